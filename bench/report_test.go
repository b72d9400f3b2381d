package main

import (
	"math"
	"strings"
	"testing"
)

func TestARatioThatIsFinerThanTheSpreadIsNotShown(t *testing.T) {
	for _, c := range []struct {
		value, floor, spread float64
		want                 string
	}{
		{1.04, 1, 0.05, "same (1.04 ms)"},
		{0.96, 1, 0.05, "same (0.96 ms)"},
		{1.06, 1, 0.05, "1.06× (1.06 ms)"},
		{0.9, 1, 0.05, "0.90× (0.90 ms)"},
		{12.34, 1, 0.05, "12× (12.3 ms)"},
		{math.NaN(), 1, 0.05, "not measured"},
	} {
		if got := ratioCell(c.value, c.floor, c.spread, "ms"); got != c.want {
			t.Errorf("%v over %v with a spread of %v: got %q, want %q", c.value, c.floor, c.spread, got, c.want)
		}
	}
}

func TestTheSpreadIsTheFarthestFloorFromItself(t *testing.T) {
	r := report{Results: []*result{
		{Kind: kindCallout, Name: "floor", Floor: true, WarmP50: 1},
		{Kind: kindCallout, Name: "again", Twin: true, WarmP50: 1.02},
		{Kind: kindCallout, Name: ours, WarmP50: 9},
		{Kind: kindStatus, Name: "floor", Floor: true, WarmP50: 2},
		{Kind: kindStatus, Name: "again", Twin: true, WarmP50: 1.8},
	}}
	for _, c := range columns() {
		if c.title == "warm p50" {
			if got := r.spread(c); math.Abs(got-0.1) > 1e-9 {
				t.Errorf("the spread is %v, want 0.1", got)
			}
		}
	}
}

func TestTheTableOfFaultsSaysWhoDidNotMeetOne(t *testing.T) {
	var text strings.Builder
	faultReport{Cells: []cellResult{{Contestant: ours, Fault: faultKillBefore, Orders: 10, Struck: 9, WHMCSOrders: 10, Ended: 10}}}.markdown(&text)
	if want := "| orderbridge | 10 / 10 (9 met the fault) |"; !strings.Contains(text.String(), want) {
		t.Errorf("got\n%s\nwant a line %s", text.String(), want)
	}
}

func TestADoubledOrLostOrderOfOursIsAnError(t *testing.T) {
	whole := cellResult{Contestant: ours, Fault: faultKillAfter, Orders: 10, Struck: 10, WHMCSOrders: 10, Ended: 10}
	rival := whole
	rival.Contestant, rival.WHMCSOrders = "a rival", 20
	if err := broken([]cellResult{whole, rival}); err != nil {
		t.Errorf("a table without a fault of ours: %v", err)
	}
	for name, change := range map[string]func(*cellResult){
		"doubled":            func(c *cellResult) { c.WHMCSOrders++ },
		"lost":               func(c *cellResult) { c.WHMCSOrders-- },
		"left to a person":   func(c *cellResult) { c.Ended-- },
		"not met by a fault": func(c *cellResult) { c.Struck-- },
	} {
		c := whole
		change(&c)
		if broken([]cellResult{whole, c}) == nil {
			t.Errorf("an order that was %s is no error", name)
		}
	}
}
