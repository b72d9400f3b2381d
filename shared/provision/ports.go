package provision

import (
	"context"
	"time"

	"orderbridge/shared/order"
)

// Store is the table as the engine needs it. Every method is one conditional
// write (or one consistent read) and makes no second attempt with another
// meaning: the SDK may repeat the very same write, and a conflict with one's
// own token is then success.
//
// Errors carry a fault code: not_due (Lease), lease_lost (Write),
// store_unavailable (throttled, away, or answer lost: the write may have
// happened, and the next lease will see it).
type Store interface {
	// Lease makes the caller the one worker of an open order that is due and
	// whose former lease has ended: state working, a fresh lease token,
	// fence+1, attempts+1, signal=lease, due_at = until + margin (so that the
	// clock comes back when this worker dies). It returns the new image.
	//   condition: state in (queued, working, waiting), due_at <= now + order.MaxSkew,
	//   lease_until absent or lease_until + margin < now
	// MaxSkew is only about promptness: a callout's due_at is another machine's
	// now, and a worker whose clock is a little behind must not drop the hint.
	Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error)

	// Write makes one transition of the table in doc.go under the fence
	// F (lease = From.Lease and state = working) and returns the new image.
	// From is the image that the table returned last. It takes the engine's
	// attributes from To, raises version, sets updated_at, appends Entry to the
	// history, and for a visible Signal sets seq = max(last+1, now in ms), where
	// last is what the table holds, not what From saw. Nonces and keys are never touched.
	// Leaving working removes lease_until (lease stays, so that one's own
	// retry is recognised; it is useless without state working); a state that
	// is not open removes due_at and due_shard.
	Write(ctx context.Context, s order.Step) (order.Record, error)
}

// Breaker is the breaker of one side (shared/breaker). Errors carry
// store_unavailable: the table did not answer.
type Breaker interface {
	// Admit reads the switch of the side, strongly consistent, and makes the
	// probe where one is due and this worker wins it. blocked is nil where work
	// may go on.
	Admit(ctx context.Context) (c order.Control, blocked *order.Blocked, err error)
	// Trip opens the breaker and returns until when it is open.
	Trip(ctx context.Context, cause error) (until time.Time, err error)
	// Fault counts a run that the side ended by a retryable fault; enough in a
	// row open the breaker. until is zero while it stays closed.
	Fault(ctx context.Context, cause error) (until time.Time, err error)
	// Served ends the count of faults, if seen, the switch as read, has some.
	Served(ctx context.Context, seen order.Control) error
	// Unsure counts an effect of which the outcome is not known; from
	// order.UnsureInRow in a row on orders that send it wait, but for one in each
	// window, the canary.
	Unsure(ctx context.Context, effect string, lease order.Token, cause error) error
	// Try makes the worker with that lease the canary, if it comes first in this
	// window, for at least as long as the effect lasts. It returns the switch as it
	// is then.
	Try(ctx context.Context, effect string, lease order.Token, lasts time.Duration) (order.Control, error)
	// Sure ends that count, if seen has some, and the waiting.
	Sure(ctx context.Context, effect string, seen order.Control) error
	// Halt pauses the side until a person resumes it.
	Halt(ctx context.Context, by string, cause error) error
}

// Orders reads what was ordered (Salesforce).
type Orders interface {
	// Load returns the order in WHMCS's terms. Errors carry the order codes
	// (account_not_mapped, …), a salesforce_* code of kind retryable, or one of
	// kind config. When the account is known and something else is
	// wrong, the Request returned beside the error holds AccountID.
	Load(ctx context.Context, id order.ID) (order.Request, error)
	// Probe is the cheapest read that shows that Salesforce serves us.
	Probe(ctx context.Context) error
}

// Billing is the system in which services are made (WHMCS). Its reads may be
// repeated by the adapter; its two effects are one attempt each and answer nil,
// *fault.NotSent, *fault.Refused or *fault.Unsure.
type Billing interface {
	// Client returns nil when orders can be added for the client, or
	// whmcs_client_not_found, whmcs_client_closed, payment_method_missing
	// (only when the installation asks for a stored pay method).
	Client(ctx context.Context, clientID int64) error
	// Products returns what is known of the products; one that WHMCS does not
	// list is absent from the map.
	Products(ctx context.Context, ids []int64) (map[int64]order.ProductInfo, error)

	// Add sends AddOrder. On success it returns the WHMCS order id.
	Add(ctx context.Context, w order.SendWindow, id order.ID, plan order.Plan) (string, error)
	// Accept sends AcceptOrder with autosetup. A Refused with code
	// module_failed carries the module's text; with code state_changed it is
	// WHMCS's ambiguous "not Pending": a read decides.
	Accept(ctx context.Context, w order.SendWindow, whmcsOrderID string) error

	// Order reads one WHMCS order with its services; ok=false: WHMCS has no such
	// order.
	Order(ctx context.Context, whmcsOrderID string, clientID int64) (made order.BillingOrder, ok bool, err error)
	// Page reads the page of a listing that it wants next.
	Page(ctx context.Context, l order.Listing) (order.Page, error)
	// Newest returns the id of an order that WHMCS had before it was asked, each
	// later one has a higher id; 0 where it has none. It is the highest that is
	// known without a call, where one is.
	Newest(ctx context.Context) (int64, error)
	// ModuleFailures returns, of the given services, those that stand in the
	// module queue, with the module's text.
	ModuleFailures(ctx context.Context, serviceIDs []string) (map[string]string, error)
	// Probe is the cheapest read that shows that WHMCS serves us (WhmcsDetails).
	Probe(ctx context.Context) error
}

// Clock gives the wall time, without a monotonic reading (time.Now().Round(0)):
// a frozen sandbox stops the monotonic clock.
type Clock interface {
	Now() time.Time
	// Sleep returns after d or with the error of ctx.
	Sleep(ctx context.Context, d time.Duration) error
}
