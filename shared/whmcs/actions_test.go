package whmcs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/whmcs/whmcstest"
)

// An action that the client calls must be answered by the simulator and stand in
// the list of what the WHMCS API role allows: forgotten there, the first call in
// production is whmcs_role_denied and every order waits.
func TestEveryActionIsSimulatedAndInTheRole(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	literal := regexp.MustCompile(`(?:c\.read|c\.list)\(ctx, "([A-Z][A-Za-z]+)"|(?:addOrder|acceptOrder) += "([A-Z][A-Za-z]+)"`)
	variable := regexp.MustCompile(`c\.read\(ctx, [a-z]`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			called[m[1]+m[2]] = true
		}
		if n := len(variable.FindAll(text, -1)); n > 0 && (file != "orders.go" && file != "diagnose.go" || n > 1) { // diagnose.go asks for what the others send
			t.Errorf("%s reads an action that this test cannot see", file)
		}
	}
	page, err := os.ReadFile("../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(page), "whose role allows ")
	list, _, ended := strings.Cut(list, ". ")
	if !found || !ended {
		t.Fatal("docs/deployment.md lists no actions")
	}
	allowed := strings.Split(list, ", ")
	simulated := whmcstest.Actions()
	if len(called) < 9 {
		t.Errorf("only %d actions were found: %v", len(called), called)
	}
	for action := range called {
		if !slices.Contains(allowed, action) {
			t.Errorf("%s is called, and docs/deployment.md does not have the role allow it", action)
		}
		if !slices.Contains(simulated, action) {
			t.Errorf("%s is called, and the simulator does not know it", action)
		}
	}
	for _, action := range allowed { // the least that the role needs
		if !called[action] {
			t.Errorf("%s is allowed, and never called", action)
		}
	}
}
