package main

import (
	"fmt"
	"testing"
)

// What happened last is kept for the page; that a sweep read an order is no news of it.
func TestAReadPutsNoOtherOrderOut(t *testing.T) {
	e := newEvents(func(event) {})
	for i := range maxOrders + 1 {
		e.add(event{Order: fmt.Sprint(i), Title: "callout"})
	}
	for i := range maxOrders {
		e.add(event{Order: fmt.Sprint(i), Title: "read the order", minor: true})
	}
	if all, _, _ := e.timeline("0"); len(all) != 0 {
		t.Errorf("an order that was put out is back: %v", all)
	}
	if all, _, _ := e.timeline("1"); len(all) != 2 {
		t.Errorf("a read of an order that is there is lost: %v", all)
	}
	e.add(event{Order: "new", Title: "callout"})
	if all, _, _ := e.timeline("1"); len(all) != 0 {
		t.Errorf("a read counts as a change: %v", all)
	}
}
