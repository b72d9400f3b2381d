package provisiontest_test

import (
	"testing"

	"orderbridge/shared/provision/provisiontest"
)

func TestMemoryConforms(t *testing.T) {
	provisiontest.Conformance(t, func(*testing.T) provisiontest.Store { return provisiontest.NewMemory() })
}
