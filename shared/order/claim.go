package order

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"orderbridge/shared/fault"
)

// Claim is one callout that has passed every check and is to be recorded.
type Claim struct {
	ID          ID
	Nonce       string
	NonceExpiry time.Time // past + future tolerance after the signed timestamp's latest arrival
	Key         string    // Idempotency-Key
	By          Token     // names this request: a nonce with our own By is the SDK's retry
	RequestedBy string    // Salesforce user id, for the history; may be empty
	AccountID   string    // 18 characters; may be empty
	// SignedAt is when the sender signed it: a callout that was signed before an
	// order failed consents to nothing that came after it. Zero: not known.
	SignedAt time.Time
	Now      time.Time
	// RequestID names the request in the log of the gateway and of fulfill; may be
	// empty.
	RequestID string
}

// Outcome says what the callout met.
type Outcome uint8

// The outcomes of a claim.
const (
	// Created: the first callout of this order.
	Created Outcome = iota + 1
	// AlreadyOpen: the order is being provisioned; the callout is recorded.
	AlreadyOpen
	// AlreadyProvisioned: the order was provisioned before.
	AlreadyProvisioned
	// StoredFailure: the order failed, and this key was seen before, or the
	// callout was signed before it failed.
	StoredFailure
	// Reopened: the order had failed; a new key reopened it.
	Reopened
)

// outcomeNames are stored, and are the detail of a callout's history line: they
// may be added to, not changed. The place is the Outcome.
func outcomeNames() []string {
	return []string{"", "created", "open", "provisioned", "failed", "reopened"}
}

// String returns the name under which o is stored; "" for none.
func (o Outcome) String() string {
	if names := outcomeNames(); int(o) < len(names) {
		return names[o]
	}
	return ""
}

// ParseOutcome is the inverse of Outcome.String; 0 for a name that it does not know.
func ParseOutcome(name string) Outcome { return Outcome(max(0, slices.Index(outcomeNames(), name))) }

// Claimed is what a recorded callout met; Record is the image after it.
type Claimed struct {
	Outcome Outcome
	Record  Record
}

// NewRecord is the record of an order's first callout.
func NewRecord(c Claim) Record {
	now := ms(c.Now)
	r := Record{
		ID: c.ID, State: Queued, RecoveryPoint: PointNone, Signal: SignalQueued, Seq: Seq(0).Next(now), Version: 1,
		OpenedAt: now, DueAt: now.Add(HintFirst), Keys: []string{c.Key}, Nonces: map[string]Nonce{c.Nonce: c.nonce(Created)},
		AccountID: c.AccountID, CorrelationID: c.correlation(), CreatedAt: now, UpdatedAt: now,
	}
	return r.line(c.Entry(Created, ""))
}

// maxCorrelation bounds what is kept of a request's id in characters; the
// gateway's have 16.
const maxCorrelation = 64

func (c Claim) correlation() string { return Cut(c.RequestID, maxCorrelation) }

func (c Claim) nonce(met Outcome) Nonce { return Nonce{Expiry: ms(c.NonceExpiry), By: c.By, Met: met} }

// Entry is the line of the history of a callout that met an outcome; failure is
// the code of the failure that a Reopened one ends.
func (c Claim) Entry(met Outcome, failure fault.Code) Entry {
	e := Entry{At: c.Now, Event: "callout", By: c.RequestedBy}
	switch met {
	case Reopened:
		e.Event, e.Detail = "reopened", "after "+string(failure)
	case AlreadyOpen, AlreadyProvisioned:
		e.Detail = met.String()
	}
	return e.kept()
}

// Claim records a callout on r; the zero Record is an order of which nothing is
// stored yet. A callout that r has recorded already (the SDK's retry of the
// same request) returns r unchanged, with the outcome of the first time.
// Errors: nonce_replayed; too_many_requests when MaxNonces live nonces are
// remembered; internal_error.
func (r Record) Claim(c Claim) (Record, Outcome, error) {
	switch {
	case c.ID.IsZero() || c.Nonce == "" || c.Key == "" || c.By == "" || c.NonceExpiry.IsZero() || c.Now.IsZero():
		return r, 0, fault.Wrap(fault.Internal, errors.New("a part of the claim is missing"))
	case r.ID.IsZero():
		return NewRecord(c), Created, nil
	}
	now, met := ms(c.Now), r.meets(c)
	if old, there := r.Nonces[c.Nonce]; there {
		switch {
		case old.By == c.By:
			return r, cmp.Or(old.Met, met), nil
		case old.Expiry.After(now):
			return r, 0, fault.Wrap(fault.NonceReplayed, fmt.Errorf("nonce seen, remembered until %s", old.Expiry))
		}
	}
	live := map[string]Nonce{}
	maps.Copy(live, r.Nonces)
	maps.DeleteFunc(live, func(name string, n Nonce) bool { return name == c.Nonce || !n.Expiry.After(now) })
	if len(live) >= MaxNonces {
		return r, 0, fault.Wrap(fault.TooManyRequests, fmt.Errorf("%d live nonces", len(live)))
	}
	live[c.Nonce] = c.nonce(met)
	failure := r.ErrorCode
	r.Nonces, r.Signal = live, SignalNote
	r.Version++
	switch met {
	case StoredFailure:
		// The sender may have written Activating before it called: Salesforce is
		// told again what the order is.
		r.Signal, r.Seq = SignalStatus, r.Seq.Next(now)
		return r, met, nil
	case Reopened:
		r = r.again(now)
		r.CorrelationID = c.correlation()
	}
	r.Keys = LastKeys(append(slices.Clone(r.Keys), c.Key))
	r.AccountID = cmp.Or(r.AccountID, c.AccountID)
	return r.line(c.Entry(met, failure)), met, nil
}

// meets says what a callout meets.
func (r Record) meets(c Claim) Outcome {
	switch {
	case r.State.Open():
		return AlreadyOpen
	case r.State == Provisioned:
		return AlreadyProvisioned
	case slices.Contains(r.Keys, c.Key), c.signedBefore(r.ErrorAt):
		return StoredFailure
	}
	return Reopened
}

// signedBefore reports whether the callout was signed in an earlier second than
// the failure; a timestamp may have no more than seconds.
func (c Claim) signedBefore(failure time.Time) bool {
	return !c.SignedAt.IsZero() && c.SignedAt.Truncate(time.Second).Before(failure.Truncate(time.Second))
}

// again is a new try of a failed order that a person asked for: it consents to
// one more run of a module that failed.
func (r Record) again(now time.Time) Record {
	if r.ErrorCode == fault.ModuleFailed && r.RecoveryPoint == PointAccepting {
		r.Word = r.Word.WithRerun()
	}
	return r.reopen(now)
}

// reopen queues a failed order at its recovery point: a new try. What
// was planned and what may have been sent stay.
func (r Record) reopen(now time.Time) Record {
	r.State, r.Signal, r.Seq = Queued, SignalQueued, r.Seq.Next(now)
	r.OpenedAt, r.DueAt, r.UpdatedAt, r.Attempts = now, now.Add(HintFirst), now, 0
	r.LeaseUntil, r.ExpiresAt, r.Told = time.Time{}, time.Time{}, Wait{}
	return r
}

// LastKeys returns the last MaxKeys of the keys, oldest first, each once: where
// it came last.
func LastKeys(keys []string) []string {
	var last []string
	for _, k := range slices.Backward(keys) {
		if len(last) < MaxKeys && !slices.Contains(last, k) {
			last = append(last, k)
		}
	}
	slices.Reverse(last)
	return last
}

// Limits of what an item remembers: it must stay small, since every write pays
// for its whole size.
const (
	MaxKeys    = 20
	MaxNonces  = 100 // live nonces of one order; the 101st is refused
	MaxHistory = 50
	// EngineLines are the places of the history that only the engine's lines can
	// lose to newer lines of the engine.
	EngineLines = 30
	DueShards   = 8
)
