package provision

import (
	"time"

	"orderbridge/shared/fault"
)

// Config holds the times and policies of the engine. All durations are
// positive except Margin, which may be 0 where all clocks are one.
type Config struct {
	Lease  time.Duration // how long one worker may act without renewing
	Window time.Duration // how long after its write an effect may still leave
	Margin time.Duration // allowance for clock error between workers (A1)

	Settle       time.Duration // AddOrder has ended this long after its window (A3)
	AcceptSettle time.Duration // the same for AcceptOrder

	AddTimeout    time.Duration // until the answer of AddOrder is given up
	AcceptTimeout time.Duration

	RetryBase time.Duration // first wait after a retryable fault
	GiveUp    time.Duration // an order stops retrying this long after it was opened
	VerifyFor time.Duration // how long services may take to become active

	Resend        bool // false: never send a second AddOrder, ask a person
	PaymentMethod string
	Idempotent    []int64       // products whose module may run twice
	Retention     time.Duration // of provisioned orders and plain failures
}

// The numbers that no environment sets.
const (
	// GiveUp is Stripe's and rocket-rides-atomic's horizon: three days cover a
	// weekend on which no person is there to help WHMCS.
	GiveUp = 72 * time.Hour
	// VerifyFor covers the slowest module that was seen to build a service
	// after AcceptOrder had answered.
	VerifyFor = 15 * time.Minute

	// maxSends bounds AddOrder requests whose outcome had to be searched for;
	// after five a person knows more than a sixth would show.
	maxSends = 5
	// maxBackoff bounds how late an order notices that a side serves again.
	maxBackoff = 15 * time.Minute
	// renewEvery: a renewal each minute of reading keeps the lease well ahead.
	renewEvery = 60 * time.Second
	// switchAge is how old the switch of WHMCS may be when an effect leaves. A
	// pause reaches every effect that has not left after it and the send window.
	switchAge = 5 * time.Second
	// maxAborted: 20 leases are an hour; a worker killed by a deployment, or by
	// chance, is not the order's fault.
	maxAborted = 20
	// readTries: one call and the two retries inside the invocation.
	readTries = 3
)

// check refuses times that are missing or contradict each other.
func (c Config) check() error {
	for _, d := range []time.Duration{c.Lease, c.Window, c.Settle, c.AcceptSettle, c.AddTimeout, c.AcceptTimeout, c.RetryBase, c.GiveUp, c.VerifyFor, c.Retention} {
		if d <= 0 {
			return fault.New(fault.ConfigurationInvalid, "every time of the engine must be positive")
		}
	}
	if c.Lease < max(c.AddTimeout, c.AcceptTimeout)+c.Margin {
		return fault.New(fault.ConfigurationInvalid, "the lease is shorter than an effect's time-out plus the margin")
	}
	return nil
}
