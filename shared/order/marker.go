package order

import (
	"cmp"
	"slices"
	"strings"
)

// MarkerPrefix stands before the order id in the marker that WHMCS keeps.
const MarkerPrefix = "sfOrderId="

// Marker is the text by which a WHMCS order is known to be this order's.
// Its alphabet survives HTML escaping.
func (id ID) Marker() string { return MarkerPrefix + id.v }

// Marker is what the notes of a WHMCS order say about whose it is: the Order
// ids in them, each once, in the order of the text and separated by blanks.
// People edit notes, so what cannot be read is kept too: it is no proof that an
// order is somebody else's. "" says that nothing in the notes speaks of an order.
type Marker string

// unreadable stands for marker text without an Order id.
const unreadable = "?"

// ReadMarker reads the decoded text of notes or of a custom field. Every Order
// id in it counts, whatever stands around it; one of 15 characters, which no
// checksum protects, is kept as such.
func ReadMarker(text string) Marker {
	word := strings.TrimSuffix(strings.ToLower(MarkerPrefix), "=")
	var found []string
	named := false
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		if len(run) >= len(word) && strings.EqualFold(run[:len(word)], word) {
			named = true
			run = run[len(word):]
		}
		if _, err := ParseID(run); err == nil && !slices.Contains(found, run) {
			found = append(found, run)
		}
	}
	if named && len(found) == 0 {
		return unreadable
	}
	return Marker(strings.Join(found, " "))
}

// With returns what two texts of one WHMCS order say together.
func (m Marker) With(other Marker) Marker {
	return cmp.Or(ReadMarker(string(m+" "+other)), m, other)
}

// Names reports whether the marker holds the id, all of its 18 characters.
func (m Marker) Names(id ID) bool {
	return !id.IsZero() && slices.Contains(strings.Fields(string(m)), id.v)
}

// MayName reports whether the order can be the id's although its marker does
// not name it: it speaks of no order, cannot be read, holds no id of 18
// characters, or holds the first 15 of this one.
func (m Marker) MayName(id ID) bool {
	whole := slices.ContainsFunc(strings.Fields(string(m)), func(s string) bool { return len(s) == 18 })
	return !whole || !id.IsZero() && slices.Contains(strings.Fields(string(m)), id.v[:15])
}
