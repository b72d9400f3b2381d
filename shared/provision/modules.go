package provision

import (
	"sync"
	"time"

	"orderbridge/shared/order"
)

const (
	// hungTimeout is how long AcceptOrder's answer is waited for while a module
	// of the order hangs. A module that is well answers in about 10 s; what
	// takes longer is found by the read after settle.
	hungTimeout = 20 * time.Second
	// hungFor is how long a product is remembered after its module hung last.
	// Then one order waits in full again.
	hungFor = 15 * time.Minute
)

// modules is what an engine remembers of provisioning modules that hang. A
// worker that waits for one serves no other order, so only the first wait is a
// full one. It is a hint alone: a short wait ends in an unknown outcome like any
// other, and every process learns for itself. It is safe for concurrent use.
type modules struct {
	mu   sync.Mutex
	hung map[int64]time.Time // by product: when its AcceptOrder was given up last
}

// wait returns how long an AcceptOrder of the plan is waited for, at most
// longest. hangs: one of its products hung a while ago.
func (m *modules) wait(plan *order.Plan, longest time.Duration, now time.Time) (timeout time.Duration, hangs bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range plan.Entries {
		if last, ok := m.hung[e.ProductID]; ok && now.Sub(last) < hungFor {
			return min(longest, hungTimeout), true
		}
	}
	return longest, false
}

// learn takes in how an AcceptOrder of the plan ended: answered, or given up.
func (m *modules) learn(plan *order.Plan, answered bool, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range plan.Entries {
		if answered {
			delete(m.hung, e.ProductID)
		} else {
			m.hung[e.ProductID] = now
		}
	}
}
