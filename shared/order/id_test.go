package order_test

import (
	"testing"

	"orderbridge/shared/order"
)

func TestParseID(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"15 characters get their check characters", "801000000000001", "801000000000001AAA"},
		{"18 characters stay", "801000000000001AAA", "801000000000001AAA"},
		{"upper case sets bits", "8010K000000CaBc", "8010K000000CaBcQAK"},
		{"wrong check characters", "801000000000001AAB", ""},
		{"check characters in the wrong case", "801000000000001aaa", ""},
		{"another object", "001000000000001AAA", ""},
		{"16 characters", "801000000000001A", ""},
		{"a dash", "80100000000000-", ""},
		{"not ASCII", "80100000000000é", ""},
		{"NUL", "80100000000000\x00", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := order.ParseID(c.in)
			if (err == nil) != (c.want != "") || id.String() != c.want {
				t.Errorf("ParseID(%q) = %q, %v; want %q", c.in, id, err, c.want)
			}
		})
	}
}

// The vector of Salesforce's own documentation: 001A0000006Vm9r -> …IAC.
func TestTo18KnownVector(t *testing.T) {
	if got, ok := order.To18("001A0000006Vm9r"); !ok || got != "001A0000006Vm9rIAC" {
		t.Errorf("got %q, %v", got, ok)
	}
}
