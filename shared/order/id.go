package order

import (
	"errors"
	"strings"
)

// ID is a Salesforce Order id in its 18-character form: key prefix 801,
// 15 case-sensitive letters and digits, 3 check characters. The zero value is
// no id. Only ParseID makes one.
type ID struct{ v string }

// ErrID is what ParseID returns for everything that is not an Order id.
var ErrID = errors.New("not a Salesforce Order id")

// keyPrefixOrder is the key prefix of the Order object (Salesforce, "Standard
// Field Record ID Prefix Decoder").
const keyPrefixOrder = "801"

// ParseID takes a 15-character id, or an 18-character one whose check
// characters are right as written, and returns the 18-character form.
// Anything else, other objects' ids included, is ErrID.
func ParseID(s string) (ID, error) {
	if !strings.HasPrefix(s, keyPrefixOrder) {
		return ID{}, ErrID
	}
	full, ok := To18(s)
	if !ok {
		return ID{}, ErrID
	}
	return ID{full}, nil
}

// String returns the 18-character form, or "" for the zero value.
func (id ID) String() string { return id.v }

// IsZero reports whether id is no id.
func (id ID) IsZero() bool { return id.v == "" }

// To18 brings any Salesforce record id to its 18-character form. It reports
// false for anything that is not 15 or 18 ASCII letters and digits, and for an
// 18-character id with wrong check characters.
//
// The rule (Salesforce, "What are Salesforce ID's composed of"): each group of
// five characters gives a 5-bit number, bit k set when character k is an
// upper-case letter; the number picks one of A-Z0-5.
func To18(s string) (string, bool) {
	if len(s) != 15 && len(s) != 18 {
		return "", false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return "", false
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var check [3]byte
	for g := range 3 {
		bits := 0
		for k := range 5 {
			if c := s[g*5+k]; 'A' <= c && c <= 'Z' {
				bits |= 1 << k
			}
		}
		check[g] = alphabet[bits]
	}
	if len(s) == 18 {
		if s[15:] != string(check[:]) {
			return "", false
		}
		return s, true
	}
	return s + string(check[:]), true
}
