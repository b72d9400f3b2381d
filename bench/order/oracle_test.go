package main

import (
	"testing"
	"time"
)

func TestLongerIsTheShareOfPairs(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []time.Duration
		want float64
	}{
		{"always longer", []time.Duration{3, 4}, []time.Duration{1, 2}, 1},
		{"always shorter", []time.Duration{1, 2}, []time.Duration{3, 4}, 0},
		{"equal", []time.Duration{1, 2, 2}, []time.Duration{1, 2, 2}, 0.5},
		{"one of four", []time.Duration{1, 3}, []time.Duration{2, 4}, 0.25},
	} {
		if got := longer(c.a, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
