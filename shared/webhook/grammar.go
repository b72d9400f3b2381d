package webhook

import (
	"mime"
	"time"
)

// ParseTimestamp reads YYYY-MM-DDThh:mm:ss[.sss]Z and nothing else: ASCII
// digits, upper-case T and Z, no offset, a date that exists, no leap second.
// time.Parse is more generous (a comma before the fraction, one-digit hours,
// offsets of 24 hours), and every other spelling of one instant would be
// another signed text.
func ParseTimestamp(s string) (time.Time, bool) {
	const seconds, millis = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.000Z")
	if len(s) != seconds && len(s) != millis {
		return time.Time{}, false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 4, 7:
			if c != '-' {
				return time.Time{}, false
			}
		case 10:
			if c != 'T' {
				return time.Time{}, false
			}
		case 13, 16:
			if c != ':' {
				return time.Time{}, false
			}
		case len(s) - 1:
			if c != 'Z' {
				return time.Time{}, false
			}
		case 19:
			if c != '.' {
				return time.Time{}, false
			}
		default:
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
		}
	}
	year, month, day := number(s[0:4]), number(s[5:7]), number(s[8:10])
	hour, minute, second := number(s[11:13]), number(s[14:16]), number(s[17:19])
	if hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	milli := 0
	if len(s) == millis {
		milli = number(s[20:23])
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), time.UTC)
	// time.Date moves February 30 to March 1: a date that moved did not exist.
	if t.Year() != year || int(t.Month()) != month || t.Day() != day {
		return time.Time{}, false
	}
	return t, true
}

// number reads ASCII digits that were checked before.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// ValidNonce reports whether s is 16 to 128 of A-Z, a-z, 0-9, _ and -. Sixteen
// hex digits are 64 bits, which is what the oldest senders send.
func ValidNonce(s string) bool {
	if len(s) < 16 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// ValidKey reports whether s is an idempotency key: 1 to 255 printable ASCII
// characters. A comma is refused, because that is how the gateway joins a
// header that was sent twice, and a doubled header is as an invalid one.
func ValidKey(s string) bool {
	if len(s) < 1 || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == ',' {
			return false
		}
	}
	return true
}

// JSONContent reports whether s is the media type application/json, with or
// without well-formed parameters. They change nothing: JSON is UTF-8 (RFC
// 8259, section 8.1).
func JSONContent(s string) bool {
	const plain = "application/json"
	if s == plain {
		return true
	}
	for i := range len(s) {
		// mime folds case by Unicode, where a dotted capital I becomes an i.
		if s[i] < ' ' && s[i] != '\t' || s[i] > '~' {
			return false
		}
	}
	t, _, err := mime.ParseMediaType(s)
	return err == nil && t == plain
}
