package store_test

import (
	"testing"

	"orderbridge/shared/provision/provisiontest"
)

// The suite that the store in memory passes too.
func TestStoreConforms(t *testing.T) {
	for _, e := range endpoints(t) {
		t.Run(e.name, func(t *testing.T) {
			provisiontest.Conformance(t, func(t *testing.T) provisiontest.Store {
				s, _ := e.open(t)
				return s
			})
		})
	}
}

// The same suite when the answer to every write is lost and the SDK repeats it:
// what a caller sees is the same, so every method knows its own write.
func TestStoreConformsWhenEveryWriteIsSentTwice(t *testing.T) {
	for _, e := range endpoints(t) {
		t.Run(e.name, func(t *testing.T) {
			provisiontest.Conformance(t, func(t *testing.T) provisiontest.Store {
				return with(t, &spy{Client: e.client, twice: true}, e.table(t))
			})
		})
	}
}
