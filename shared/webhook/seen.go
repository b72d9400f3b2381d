package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The texts below say what is wrong with a callout. Of a callout whose MAC does
// not hold they go to the log alone; they name forms and lengths, never a value.

// signatureForm says what a signature is instead of 64 hex digits.
func signatureForm(s string) string {
	n := fmt.Sprintf("the signature has %d characters", utf8.RuneCountInString(s))
	lower := strings.ToLower(s)
	switch {
	case strings.Contains(s, "{!") || strings.Contains(s, "{{") || strings.Contains(s, "$Credential"):
		return n + " and holds a merge field that was not filled"
	case strings.Contains(s, ","):
		return n + " and a comma: the header was sent twice, or holds two values"
	case strings.HasPrefix(lower, "sha256=") || strings.HasPrefix(lower, "sha256:") || strings.HasPrefix(lower, "v1="):
		return n + " and begins with a prefix like sha256=: it must be the 64 hex digits alone"
	case strings.Trim(s, "\"' \t") != s:
		return n + " and stands in quotes or white space"
	}
	if raw, err := base64.StdEncoding.DecodeString(s); err == nil && len(raw) == sha256.Size {
		return n + " and looks like base64: it must be hex"
	}
	if len(s) != hex.EncodedLen(sha256.Size) {
		return n + ", not 64"
	}
	return n + ", of which not all are hex digits"
}

// nearMiss says under which common slip of the sender the MAC would have
// matched; "" = none of them. It costs a few dozen MACs, so the caller bounds
// how often it is asked.
func nearMiss(keys [][]byte, body, mac []byte) string {
	for _, k := range keys {
		for _, slip := range slips(string(k)) {
			if hmac.Equal(sum([]byte(slip.key), body), mac) {
				return "the signature matches under the secret " + slip.what
			}
		}
		for _, b := range []struct{ what, body string }{
			{"with a line break behind it", string(body) + "\n"},
			{"without the white space around it", strings.TrimFunc(string(body), unicode.IsSpace)},
			{"as base64", base64.StdEncoding.EncodeToString(body)},
		} {
			if b.body != string(body) && hmac.Equal(sum(k, []byte(b.body)), mac) {
				return "the signature matches the body " + b.what + ": the sender signs another text than it sends"
			}
		}
	}
	return ""
}

type slip struct{ what, key string }

// slips are what senders have made of a secret.
func slips(secret string) []slip {
	all := []slip{
		{"with a line break behind it", secret + "\n"},
		{"with a line break (CRLF) behind it", secret + "\r\n"},
		{"with a blank behind it", secret + " "},
		{"with a blank before it", " " + secret},
		{"with a byte order mark before it", "\ufeff" + secret},
		{"in double quotes", `"` + secret + `"`},
		{"in single quotes", "'" + secret + "'"},
		{"encoded as base64", base64.StdEncoding.EncodeToString([]byte(secret))},
		{"encoded as hex", hex.EncodeToString([]byte(secret))},
		{"in upper case", strings.ToUpper(secret)},
		{"in lower case", strings.ToLower(secret)},
	}
	// The member names are those that the Secrets Manager console and the
	// examples of AWS write.
	for _, name := range []string{"webhookSecret", "secret", "key", "value", "password", "signingSecret"} {
		for _, form := range []string{`{"%s":"%s"}`, `{"%s": "%s"}`} {
			all = append(all, slip{"inside a JSON object", fmt.Sprintf(form, name, secret)})
		}
	}
	if raw, err := hex.DecodeString(secret); err == nil {
		all = append(all, slip{"decoded from hex", string(raw)})
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(secret); err == nil {
			all = append(all, slip{"decoded from base64", string(raw)})
		}
	}
	return all
}

// timestampForm says what a signed timestamp is instead of the form asked for.
func timestampForm(s string) string {
	const want = " It must be YYYY-MM-DDThh:mm:ss[.sss]Z."
	digits := strings.Trim(s, "0123456789") == ""
	_, offset := time.Parse(time.RFC3339, s)
	_, colonless := time.Parse("2006-01-02T15:04:05.999-0700", s)
	switch {
	case s == "":
		return "The X-SF-Timestamp header is absent or empty." + want
	case digits:
		return "The X-SF-Timestamp header is a number, like a Unix time." + want
	case strings.Contains(s, ","):
		return "The X-SF-Timestamp header was sent twice." + want
	case strings.Contains(s, " "):
		return "The X-SF-Timestamp header holds a blank where T belongs, or around it." + want
	case offset == nil && !strings.HasSuffix(s, "Z"), colonless == nil:
		return "The X-SF-Timestamp header has an offset from UTC." + want
	case strings.HasSuffix(s, "Z"):
		return fmt.Sprintf("The X-SF-Timestamp header has %d characters, or a date or time that does not exist.", len(s)) + want
	}
	return fmt.Sprintf("The X-SF-Timestamp header has %d characters and does not end with Z.", len(s)) + want
}

// outOfWindow says how far a signed timestamp is off, and what likely makes it so.
func outOfWindow(at, now time.Time, tolerance time.Duration) string {
	off, way := at.Sub(now), "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	text := fmt.Sprintf("The timestamp is %d s %s our clock, allowed are %d s", int64(off/time.Second), way, int64(tolerance/time.Second))
	// Zones are whole quarters of an hour off UTC, up to 14 hours; a callout takes
	// far less than two minutes.
	const quarter, widest, travel, half = 15 * time.Minute, 14 * time.Hour, 2 * time.Minute, 12 * time.Hour
	year := at.AddDate(1, 0, 0)
	if at.After(now) {
		year = at.AddDate(-1, 0, 0)
	}
	zone := off.Round(quarter)
	switch {
	case year.Sub(now).Abs() <= tolerance:
		return text + ", about a year: does the sender write the year as YYYY, the week year, instead of yyyy?"
	case zone == half && (off-zone).Abs() <= travel:
		return text + ", half a day: does the sender write the hour as hh instead of HH, or local time with Z?"
	case zone >= quarter && zone <= widest && (off-zone).Abs() <= travel:
		return text + ": is it local time, written with Z?"
	}
	return text + "."
}
