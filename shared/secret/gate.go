package secret

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// blemish says what spoils a secret, in words that hold nothing of it. It is an
// answer that another read will not change.
type blemish string

// Error implements error.
func (b blemish) Error() string { return string(b) }

func spoilt(format string, args ...any) error { return blemish(fmt.Sprintf(format, args...)) }

// byteOrderMark is what some editors put in front of a UTF-8 text.
const byteOrderMark = "\ufeff"

// bare checks the text of a secret that is one value and no JSON. Nothing is
// trimmed: the other holder of the secret may have the same text with or
// without what spoils it, and a guess would be wrong for one of the two.
func bare(text string) error {
	if err := clean(text); err != nil {
		return err
	}
	switch jsontext.Value(text).Kind() {
	case '{', '[', '"':
		if jsontext.Value(text).IsValid() {
			return spoilt("is JSON, not the bare text: the Secrets Manager console wraps it, use the plain text tab")
		}
	}
	return quoted(text)
}

// clean refuses what comes along when a value is copied, typed or written by a
// script.
func clean(text string) error {
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case text == "":
		return spoilt("is empty")
	case strings.HasPrefix(text, byteOrderMark):
		return spoilt("begins with a byte order mark")
	case strings.HasSuffix(text, "\r\n"):
		return spoilt("ends with a line break (CRLF)")
	case strings.HasSuffix(text, "\n"):
		return spoilt("ends with a line break")
	case unicode.IsSpace(last):
		return spoilt("ends with white space")
	case unicode.IsSpace(first):
		return spoilt("begins with white space")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || string(r) == byteOrderMark }):
		return spoilt("holds a line break or another control character")
	case strings.Contains(text, string(utf8.RuneError)) || !utf8.ValidString(text):
		return spoilt("is not valid UTF-8")
	}
	return nil
}

func quoted(text string) error {
	for _, pair := range []string{`""`, "''", "``", "“”", "‘’"} {
		open, size := utf8.DecodeRuneInString(pair)
		if len(text) > size && strings.HasPrefix(text, string(open)) && strings.HasSuffix(text, pair[size:]) {
			return spoilt("stands in quotes")
		}
	}
	return nil
}

// Object returns the parser of a secret that is a JSON object of texts: the
// members are checked as bare does, a PEM text gets its line ends back, and
// parse gets what is there. Names lists the members that may be.
func Object[T any](names []string, parse func(members map[string]string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		members, err := object(text, names)
		if err != nil {
			var none T
			return none, err
		}
		return parse(members)
	}
}

func object(text string, names []string) (map[string]string, error) {
	var raw map[string]jsontext.Value
	list := strings.Join(names, ", ")
	switch {
	case text == "":
		return nil, spoilt("is empty")
	case strings.HasPrefix(text, byteOrderMark):
		return nil, spoilt("begins with a byte order mark")
	// The library's error may quote the secret and is dropped.
	case json.Unmarshal([]byte(text), &raw) != nil || raw == nil:
		return nil, spoilt("is not one JSON object with members out of %s", list)
	}
	members := map[string]string{}
	for name, value := range raw {
		var s string
		switch {
		case !slices.Contains(names, name):
			return nil, spoilt("has %s: it may have %s", unknown(name), list)
		case value.Kind() != '"' || json.Unmarshal(value, &s) != nil:
			return nil, spoilt("has a member %s that is not a text", name)
		}
		if block, ok := readPEM(s); ok {
			members[name] = block
			continue
		}
		err := clean(s)
		if err == nil {
			err = quoted(s)
		}
		if err != nil {
			return nil, spoilt("has a member %s that %v", name, err)
		}
		members[name] = s
	}
	return members, nil
}

// unknown names a member that may not be, where its name is surely none of the
// secret's own text.
func unknown(name string) string {
	const longest = 24
	letters := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' && r != '-' }) < 0
	if letters && name != "" && len(name) <= longest {
		return "an unknown member " + name
	}
	return "an unknown member"
}

// readPEM gives one PEM block the line ends that RFC 7468 asks for: \n written
// out as two characters, blanks or nothing stand for them where a key went
// through a form of one line. Base64 holds neither, so nothing is guessed.
func readPEM(text string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(text, byteOrderMark)), "-----BEGIN ")
	if !ok {
		return "", false
	}
	kind, rest, ok := strings.Cut(rest, "-----")
	body, tail, closed := strings.Cut(rest, "-----END "+kind+"-----")
	if !ok || !closed {
		return "", false
	}
	flat := func(s string) string {
		s = strings.NewReplacer(`\r`, "", `\n`, "").Replace(s)
		return strings.Join(strings.Fields(s), "")
	}
	der, err := base64.StdEncoding.DecodeString(flat(body))
	if err != nil || flat(tail) != "" {
		return "", false
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), true
}
