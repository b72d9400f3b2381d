package writeback

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

const (
	// quietAfter: an order that shows Activating is asked about once its last
	// push is that old. The stream is faster by far; an hour keeps the answer
	// short while WHMCS is down.
	quietAfter = time.Hour
	// failedWithin: how long a failure that was mended meanwhile is looked for.
	failedWithin = 48 * time.Hour
	// sweepBatch is how many orders are pushed at once.
	sweepBatch = 500
)

// Swept is what a sweep found.
type Swept struct {
	Asked   int // orders that the org named
	Same    int // shown as they are
	Pushed  int // shown anew
	Bumped  int // the org was ahead of the table: sent again with a newer seq
	Unknown int // the table has no such order: its callout never came, or it was forgotten
	Left    int // to be pushed still; the next sweep finds them again
}

// Sweep asks the org which orders may have fallen behind and shows those whose
// seq differs from the table's. It reads the items, never an old image. The
// error says why the org, or the table, could not be asked.
func (p *Pusher) Sweep(ctx context.Context) (Swept, error) {
	var s Swept
	if !p.admit(ctx) {
		return s, fault.New(fault.SalesforceUnavailable, "the breaker of Salesforce is open")
	}
	now := p.d.Now()
	shown, err := p.d.Salesforce.Behind(ctx, now.Add(-quietAfter), now.Add(-failedWithin))
	if err != nil {
		if fault.KindOf(err) == fault.Config {
			p.open(ctx, err)
		}
		return s, err
	}
	s.Asked = len(shown)
	ids := slices.SortedFunc(maps.Keys(shown), func(a, b order.ID) int { return cmp.Compare(a.String(), b.String()) })
	var behind []Change
	for _, id := range ids {
		rec, ok, err := p.d.Items.Get(ctx, id)
		switch {
		case fault.CodeOf(err) == fault.StoreUnavailable:
			return s, err
		case err != nil: // this one item cannot be read; the others can
			p.d.Log.ErrorContext(ctx, "item not read", "sfOrderId", id.String(), "error", err)
			s.Left++
		case !ok:
			s.Unknown++
		case rec.Seq == shown[id]:
			s.Same++
		case rec.Seq < shown[id]:
			if err := p.overtake(ctx, rec, shown[id]); err != nil {
				return s, err
			}
			s.Bumped++
		default:
			behind = append(behind, Change{Record: rec})
		}
	}
	for part := range slices.Chunk(behind, sweepBatch) {
		for _, again := range p.Push(ctx, part) {
			if again {
				s.Left++
			} else {
				s.Pushed++
			}
		}
	}
	return s, nil
}

// Again makes the stream bring the newest image of an order once more; who and
// why go into its history. Errors: order_not_found, store_unavailable.
func Again(ctx context.Context, items Items, id order.ID, who, why string, now time.Time) (order.Record, error) {
	return items.Bump(ctx, id, 0, now, order.Entry{At: now, Event: eventAgain, Detail: order.Cut(why, order.MaxDetail), By: order.Cut(who, order.MaxBy)})
}

// Queue is the dead-letter queue, as a redrive reads it.
type Queue interface {
	// Receive returns some messages, or none when the queue is empty for now.
	Receive(ctx context.Context) ([]Received, error)
	// Delete removes a message that was dealt with.
	Delete(ctx context.Context, handle string) error
}

// Received is one message of the queue.
type Received struct {
	Body   string
	Handle string
}

// Redriven counts what a redrive did.
type Redriven struct {
	Sent       int // orders sent again
	Forgotten  int // letters of orders that the table no longer has
	Unreadable int // letters that name no order; they stay in the queue
}

// Redrive sends the orders of all dead letters again, each once, and deletes
// their letters. It never reads more than a letter's order id: what is pushed
// is the item as it is then. max bounds the letters.
func Redrive(ctx context.Context, q Queue, items Items, who string, now func() time.Time, max int) (Redriven, error) {
	var r Redriven
	sent := map[order.ID]bool{}
	for n := 0; n < max; {
		got, err := q.Receive(ctx)
		if err != nil {
			return r, fmt.Errorf("receive dead letters: %w", err)
		}
		if len(got) == 0 {
			return r, nil
		}
		for _, m := range got {
			n++
			l, err := ParseLetter(m.Body)
			if err != nil {
				r.Unreadable++
				continue
			}
			if !sent[l.ID] {
				_, err := Again(ctx, items, l.ID, who, "redriven: "+string(l.Code), now())
				switch {
				case fault.CodeOf(err) == fault.OrderNotFound:
					r.Forgotten++
				case err != nil:
					return r, fmt.Errorf("send %s again: %w", l.ID, err)
				default:
					sent[l.ID] = true
					r.Sent++
				}
			}
			if err := q.Delete(ctx, m.Handle); err != nil {
				return r, fmt.Errorf("delete dead letter of %s: %w", l.ID, err)
			}
		}
	}
	return r, nil
}
