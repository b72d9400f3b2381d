package writeback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Salesforce is the org. Every method may be repeated without harm. Errors
// carry a salesforce_* code.
type Salesforce interface {
	// Update saves up to 1,000 rows, each on its own: one error or nil per row,
	// or one error for the whole call, after which nothing is known of a row.
	Update(ctx context.Context, rows []order.Shown) ([]error, error)
	// Shows returns what the org shows of orders; absent where the org has no
	// such order.
	Shows(ctx context.Context, ids []order.ID) (map[order.ID]order.View, error)
	// Changed returns what the org shows of the orders that may differ from the
	// table: Activating with no push after quiet, or at an end and changed in the
	// org after since. There is no limit to their number.
	Changed(ctx context.Context, quiet, since time.Time) (map[order.ID]order.View, error)
	// Probe checks that the org answers and that credentials, fields and
	// permissions suffice.
	Probe(ctx context.Context) error
}

// Items is the table, for what write-back does to an order itself.
type Items interface {
	// Get reads one order, strongly consistent; false where there is no item.
	Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	// Bump raises the order's seq to at least atLeast, so that the stream
	// brings its newest image again. Errors: order_not_found, store_unavailable.
	Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error)
	// Note adds a line to the history; no reader of the stream acts on it.
	Note(ctx context.Context, id order.ID, e order.Entry) error
	// Refuse notes that the org refuses a change, and when it is tried again.
	// Errors: order_not_found, store_unavailable.
	Refuse(ctx context.Context, id order.ID, x order.Refusal, at time.Time, e order.Entry) error
	// Confirm notes that the org shows the order as it is at seq, where it had
	// refused it. Errors: order_not_found, store_unavailable.
	Confirm(ctx context.Context, id order.ID, seq order.Seq, e order.Entry) error
	// Refused returns the orders that are to be tried again by now.
	Refused(ctx context.Context, now time.Time, limit int) ([]order.ID, error)
	// Changed returns up to limit orders that the org does not refuse and whose
	// last visible change is listed (order.Record.Listed) from from until until; all
	// that are listed before reached are there.
	Changed(ctx context.Context, from, until time.Time, limit int) (rows []order.Changed, reached time.Time, err error)
	// ChangeControl writes what change makes of the switch of a side.
	ChangeControl(ctx context.Context, side order.Side, change func(order.Control) (next order.Control, write bool)) (order.Control, error)
}

// Breaker is Salesforce's breaker (shared/breaker), the engine's too. Errors
// carry store_unavailable: the table did not answer.
type Breaker interface {
	// Admit reads the switch, and makes the probe where one is due and this
	// caller wins it. blocked is nil where the org may be called.
	Admit(ctx context.Context) (c order.Control, blocked *order.Blocked, err error)
	// Trip opens the breaker and returns until when it is open.
	Trip(ctx context.Context, cause error) (until time.Time, err error)
	// Fault counts a call that failed as a whole; enough in a row open it.
	Fault(ctx context.Context, cause error) (until time.Time, err error)
	// Served ends the count of faults, if seen, the switch as read, has some.
	Served(ctx context.Context, seen order.Control) error
}

// DeadLetters takes what a person has to look at before it is pushed again.
type DeadLetters interface {
	Send(ctx context.Context, l Letter) error
}

// Meter is told what becomes of changes.
type Meter interface {
	// Shown: the org shows the change, lag after it was made.
	Shown(c Change, lag time.Duration)
	// Retried: n changes must come again, because of the code.
	Retried(code fault.Code, n int)
	// Refused: the org does not take a change, and a person is told of it.
	Refused(code fault.Code)
	// Stale: the org refused n changes as older than what it shows.
	Stale(n int)
	// Misconfigured: no change can be shown until a person corrects something.
	Misconfigured(code fault.Code)
}

// Letter is one dead letter. It names the order and why, never its fields: a
// redrive reads the item.
type Letter struct {
	ID      order.ID // zero where the record named no order
	Seq     order.Seq
	Code    fault.Code
	Message string
}

type wireLetter struct {
	ID      string `json:"sfOrderId"`
	Seq     int64  `json:"seq"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Encode writes the letter as a queue message:
// {"sfOrderId","seq","code","message"}.
func (l Letter) Encode() (string, error) {
	b, err := json.Marshal(wireLetter{l.ID.String(), int64(l.Seq), string(l.Code), l.Message})
	if err != nil {
		return "", fmt.Errorf("encode dead letter: %w", err)
	}
	return string(b), nil
}

// ReadLetter reads a message of the dead-letter queue. It is a Letter, or the
// service's word that records of the stream were given up unread (Lambda
// Developer Guide, "Retain discarded batches for a DynamoDB Streams event
// source"): that names no order, and since is when the first of them was made.
func ReadLetter(body string) (l Letter, since time.Time, err error) {
	var in struct {
		wireLetter
		GivenUp *struct {
			Since time.Time `json:"approximateArrivalOfFirstRecord"`
		} `json:"DDBStreamBatchInfo"`
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return Letter{}, time.Time{}, fmt.Errorf("read dead letter: %w", err)
	}
	if in.GivenUp != nil {
		if in.GivenUp.Since.IsZero() {
			return Letter{}, time.Time{}, errors.New("read dead letter: records given up, and no time")
		}
		return Letter{}, in.GivenUp.Since, nil
	}
	id, err := order.ParseID(in.ID)
	if err != nil {
		return Letter{}, time.Time{}, fmt.Errorf("read dead letter: %w", err)
	}
	return Letter{id, order.Seq(in.Seq), fault.Code(in.Code), in.Message}, time.Time{}, nil
}
