package main

import (
	"fmt"
	"sync"
)

// tally counts what was done and seen. Its methods are safe for concurrent use.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[what] += n
}

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[what]
}

// line is the few numbers that tell that a run is under way.
func (t *tally) line() string {
	return fmt.Sprintf("%d kills, %d freezes, %d faults", t.of("kills"), t.of("freezes"), t.of("faults"))
}
