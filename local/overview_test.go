package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs/whmcstest"
)

func TestTheSimulatorsPageNamesEveryFault(t *testing.T) {
	page, err := os.ReadFile("../docs/simulators.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(whmcstest.FaultNames(), slices.Sorted(maps.Keys(salesforcetest.FaultNames()))...) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/simulators.md does not name %s", name)
		}
	}
}

// The page offers verbs of orderctl: those of its reference, which is made from it.
func TestThePageRunsVerbsOfOrderctlAlone(t *testing.T) {
	for page, form := range map[string]string{"../docs/orderctl.md": "\n### %s\n", "README.md": "`%s`"} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range operations {
			if !strings.Contains(string(b), fmt.Sprintf(form, verb)) {
				t.Errorf("%s has no %s", page, verb)
			}
		}
	}
}

// Every code by which a check refuses a callout belongs to one check of the page.
func TestEveryRefusalOfACalloutBelongsToACheck(t *testing.T) {
	for _, c := range checks {
		for _, code := range c.codes {
			got := checked(string(code))
			if !strings.HasSuffix(got, c.name+" refused") || strings.Count(got, "refused") != 1 {
				t.Errorf("%s: %s", code, got)
			}
		}
	}
	if got := checked(""); strings.Contains(got, "refused") || strings.Count(got, "ok") != len(checks) {
		t.Errorf("a callout that was recorded: %s", got)
	}
	if got := checked(string(fault.SignatureInvalid)); got != "source address ok, signature refused" {
		t.Errorf("a wrong signature: %s", got)
	}
}

func TestMisspeltCountsLetters(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"A", "", 1}, {"WHMCS_SETTEL", "WHMCS_SETTLE", 2}, {"WHMCS_SETTLE", "WHMCS_SETTLE", 0}, {"abc", "xyz", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
