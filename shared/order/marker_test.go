package order_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"orderbridge/shared/order"
)

func TestReadMarker(t *testing.T) {
	const ours, other = "801000000000001AAA", "801000000000002AAA"
	id, err := order.ParseID(ours)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		marker      order.Marker
		names, hint bool // Names and MayName of our id
	}{
		"":                                        {"", false, true},
		"call the customer":                       {"", false, true},
		id.Marker():                               {ours, true, false},
		"call first\r\n" + id.Marker() + "\n":     {ours, true, false},
		id.Marker() + ";k=abc":                    {ours, true, false},
		id.Marker() + ", called the customer":     {ours, true, false},
		"see " + id.Marker() + ".":                {ours, true, false},
		"(\"" + id.Marker() + "\")":               {ours, true, false},
		"SFORDERID=" + ours:                       {ours, true, false},
		"sfOrderId " + ours:                       {ours, true, false},
		"sfOrderId" + ours:                        {ours, true, false},
		"xsfOrderId=" + ours:                      {ours, true, false},
		"<b>" + ours + "</b>":                     {ours, true, false},
		"sfOrderId=" + other + "\n" + id.Marker(): {other + " " + ours, true, false},
		id.Marker() + "\n" + id.Marker():          {ours, true, false},
		"sfOrderId=" + other:                      {other, false, false},
		"sfOrderId=801000000000001AA":             {"?", false, true},
		"sfOrderId=801000000000001AAB":            {"?", false, true},
		"sfOrderId=801000000000001aaa":            {"?", false, true},
		"sfOrderId=":                              {"?", false, true},
		"sfOrderId=80100000\n0000001AAA":          {"?", false, true},
		"sfOrderId=801000000000001":               {"801000000000001", false, true},
		"801000000000001 and " + other:            {"801000000000001 " + other, false, true},
		"801000000000002 alone":                   {"801000000000002", false, true},
		"our customer 001000000000001AAA":         {"", false, true},
	} {
		m := order.ReadMarker(text)
		if m != want.marker || m.Names(id) != want.names || !want.names && m.MayName(id) != want.hint {
			t.Errorf("%q is read as %q, names %t, may name %t", text, m, m.Names(id), m.MayName(id))
		}
	}
}

// No edit that leaves the id in the notes hides it, and what is left of a
// damaged one is never another order's. (The checksum of an id protects the case
// of its letters: a digit retyped as another digit is another order's id.)
func TestNoEditHidesAMarker(t *testing.T) {
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab801=;,. \n<>&\"'-_/sfOrderId")), 0, 40, -1)
	glue := rapid.SampledFrom([]string{" ", "\n", ",", ".", "=", "\"", "<br>", ";", ")", "sfOrderId=", "&"})
	rapid.Check(t, func(r *rapid.T) {
		notes := text.Draw(r, "before") + glue.Draw(r, "left") + id.String() + glue.Draw(r, "right") + text.Draw(r, "after")
		if !order.ReadMarker(notes).Names(id) && !strings.Contains(notes, id.String()+"s") {
			r.Errorf("%q does not name %s", notes, id)
		}
		damaged := []byte(id.Marker())
		at := rapid.IntRange(0, len(damaged)-1).Draw(r, "at")
		damaged[at] = rapid.SampledFrom([]byte("XYZ. ,")).Draw(r, "with")
		if m := order.ReadMarker(string(damaged)); !m.Names(id) && !m.MayName(id) {
			r.Errorf("%q is read as %q: another order's", damaged, m)
		}
	})
}
