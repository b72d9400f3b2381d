package webhook

import (
	"strconv"
	"strings"
	"time"
)

// Preference is what a Prefer header asks for of what this system can honour.
type Preference struct {
	RespondAsync bool
	// Wait is how long the sender is willing to wait; HasWait says that it
	// said so.
	Wait    time.Duration
	HasWait bool
}

// maxWait bounds what a sender may ask for before the caller's own limit
// applies: more digits than these are a number all the same, and no overflow.
const maxWait = 24 * time.Hour

// ParsePrefer reads the Prefer header (RFC 7240, section 2): preferences
// separated by commas, each a name, perhaps a value, perhaps parameters. Names
// are compared without case; of a preference that comes twice the first one
// counts; unknown ones, and those that do not follow the grammar, are ignored.
// Several headers joined by a comma are one list.
func ParsePrefer(header string) Preference {
	var p Preference
	seen := map[string]bool{}
	for _, element := range splitOutsideQuotes(header, ',') {
		// Parameters change neither of the two preferences known here.
		pref := splitOutsideQuotes(element, ';')[0]
		name, value, hasValue := strings.Cut(pref, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if !token(name) || seen[name] {
			continue
		}
		seen[name] = true
		word, ok := word(strings.Trim(value, " \t"))
		if hasValue && !ok {
			continue
		}
		switch name {
		case "respond-async":
			// RFC 7240, section 2: an empty value is no value; this
			// preference takes none.
			if word == "" {
				p.RespondAsync = true
			}
		case "wait":
			if d, ok := deltaSeconds(word); ok {
				p.Wait, p.HasWait = d, true
			}
		}
	}
	return p
}

// deltaSeconds reads a number of seconds (RFC 9111, section 1.2.2): digits
// alone. Too large a number counts as the largest.
func deltaSeconds(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > int64(maxWait/time.Second) {
		return maxWait, true
	}
	return time.Duration(n) * time.Second, true
}

// word reads a token or a quoted string (RFC 9110, section 5.6); "" is absent.
func word(s string) (string, bool) {
	if s == "" || token(s) {
		return s, true
	}
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s)-1:
			i++
		case s[i] == '\\' || s[i] == '"':
			return "", false
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// token reports whether s is a token (RFC 9110, section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// splitOutsideQuotes splits at sep, but not inside quoted strings. It always
// returns at least one part.
func splitOutsideQuotes(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[min(start, len(s)):])
}
