package order

import "time"

// Claim is one callout that has passed every check and is to be recorded.
type Claim struct {
	ID          ID
	Nonce       string
	NonceExpiry time.Time // past + future tolerance after the signed timestamp's latest arrival
	Key         string    // Idempotency-Key
	By          Token     // names this request: a nonce with our own By is the SDK's retry
	RequestedBy string    // Salesforce user id, for the history; may be empty
	AccountID   string    // 18 characters; may be empty
	Now         time.Time
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
	// StoredFailure: the order failed and this key was seen before.
	StoredFailure
	// Reopened: the order had failed; a new key reopened it.
	Reopened
)

// Claimed is what a recorded callout met; Record is the image after it.
type Claimed struct {
	Outcome Outcome
	Record  Record
}

// Resolution is what a person decided about a failed order.
type Resolution struct {
	ID ID
	// Exactly one of the three: Adopt holds a WHMCS order id, None vouches
	// that there is none, Stop changes the code alone.
	Adopt string
	None  bool
	Stop  bool
	By    string // who; required
	Why   string // required
	Now   time.Time
}

// AfterAdopting is the recovery point of an order for which a person names a
// WHMCS order: added, so that it is compared and accepted. The order that is
// known already keeps the point at which AcceptOrder may have run: its name
// says nothing about that, and a second AcceptOrder would run the module twice.
func (r Record) AfterAdopting(whmcsOrderID string) RecoveryPoint {
	if r.WHMCSOrderID == whmcsOrderID && (r.RecoveryPoint == PointAccepting || r.RecoveryPoint == PointAccepted) {
		return r.RecoveryPoint
	}
	return PointAdded
}

// Limits of what an item remembers: it must stay small, since every write pays
// for its whole size.
const (
	MaxKeys    = 20
	MaxNonces  = 100 // live nonces of one order; the 101st is refused
	MaxHistory = 50
	DueShards  = 8
)
