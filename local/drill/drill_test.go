package main

import (
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

// Every alarm of the template has a cause, or a line that says why it was never
// run; so has every code that a person must resolve, and every code of an
// installation that must be corrected.
func TestEveryAlarmAndEveryCodeHasACause(t *testing.T) {
	alarms, err := alarmsOf("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	never, err := neverRun("../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(alarms, scenes(), never); err != nil {
		t.Error(err)
	}
	planted := map[fault.Code]bool{}
	for _, sc := range scenes() {
		for _, c := range sc.causes {
			planted[c.code] = true
		}
	}
	for _, code := range fault.Codes() {
		info := code.Info()
		listed := slices.ContainsFunc(never, func(n string) bool { return strings.HasPrefix(n, "`"+string(code)+"`") })
		if needs := code.NeedsPerson() || info.Kind == fault.Config && info.Group == fault.GroupSide; needs && planted[code] == listed {
			t.Errorf("%s: planted %v, and listed as never run %v", code, planted[code], listed)
		}
	}
}

// The commands that a cause is corrected by stand in the runbook.
func TestTheCommandsOfTheCausesStandInTheRunbook(t *testing.T) {
	book, err := readRunbook("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range scenes() {
		for _, c := range sc.causes {
			for _, beginning := range c.commands {
				if _, err := commandFor(book, c, beginning); err != nil {
					t.Errorf("%s, %s: %v", sc.name, c.name(), err)
				}
			}
			for _, name := range c.alarms {
				if _, there := book[name]; !there && !isPart(name) {
					t.Errorf("the runbook has no section %s", name)
				}
			}
		}
	}
}

// isPart reports whether an alarm is a part of another, which has the section.
func isPart(name string) bool {
	return strings.HasPrefix(name, "CalloutsInTime") || strings.HasPrefix(name, "OrdersInTime")
}

func TestCommandsAreTakenAsTheyAreWritten(t *testing.T) {
	got := commandsOf("- Ends: first, `orderctl retry --code CODE --dry-run --by YOU`, and without `--dry-run`; `SendWindow` too.")
	if want := []string{"orderctl retry --code CODE --dry-run --by YOU", "orderctl retry --code CODE --by YOU"}; !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	if got := words(got[0], map[string]string{"CODE": "x", "YOU": "drill"}); !slices.Equal(got, []string{"retry", "--code", "x", "--dry-run", "--by", "drill"}) {
		t.Errorf("words %q", got)
	}
}
