package whmcs

import (
	"encoding/base64"
	"testing"
)

func TestCustomFieldsAreTextInPHPSerialize(t *testing.T) {
	for _, c := range []struct {
		name string
		in   map[string]string
		want string // before base64
	}{
		{"none keeps the index with an empty value", nil, ``},
		{"one, integer key", map[string]string{"1": "Google"}, `a:1:{i:1;s:6:"Google";}`},
		{"digits stay text", map[string]string{"1": "999"}, `a:1:{i:1;s:3:"999";}`},
		{"lengths count bytes", map[string]string{"1": "dómáin"}, `a:1:{i:1;s:8:"dómáin";}`},
		{"quotes are not escaped", map[string]string{"1": `O'Neil "x" \`}, `a:1:{i:1;s:12:"O'Neil "x" \";}`},
		{"keys ascend by number", map[string]string{"10": "b", "9": "a", "198": "c"}, `a:3:{i:9;s:1:"a";i:10;s:1:"b";i:198;s:1:"c";}`},
		{"a key that is no PHP integer stays text, last", map[string]string{"01": "x", "2": "y"}, `a:2:{i:2;s:1:"y";s:2:"01";s:1:"x";}`},
	} {
		if got := decoded(t, customFields(c.in)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestConfigOptionsAreNumbersOrQuantities(t *testing.T) {
	for _, c := range []struct {
		name string
		in   map[string]string
		want string
	}{
		{"the chosen option", map[string]string{"1": "999"}, `a:1:{i:1;i:999;}`},
		{"a quantity option", map[string]string{"5": `{"optionid":12,"qty":3}`}, `a:1:{i:5;a:2:{s:8:"optionid";i:12;s:3:"qty";i:3;}}`},
		{"anything else is text", map[string]string{"1": "12a", "2": "007", "3": "{}"}, `a:3:{i:1;s:3:"12a";i:2;s:3:"007";i:3;s:2:"{}";}`},
		{"an integer beyond 64 bits is text", map[string]string{"1": "9223372036854775808"}, `a:1:{i:1;s:19:"9223372036854775808";}`},
	} {
		if got := decoded(t, configOptions(c.in)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// The vectors that PHP itself made (base64_encode(serialize(…))).
func TestPHPVectors(t *testing.T) {
	for want, got := range map[string]string{
		"YToxOntpOjE7czo2OiJHb29nbGUiO30=":     customFields(map[string]string{"1": "Google"}),
		"YToxOntpOjE7aTo5OTk7fQ==":             configOptions(map[string]string{"1": "999"}),
		"YToxOntpOjE7czo4OiJkw7Ntw6FpbiI7fQ==": customFields(map[string]string{"1": "dómáin"}),
		"YTowOnt9":                             base64.StdEncoding.EncodeToString([]byte(phpMap(nil, phpString))),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func decoded(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
