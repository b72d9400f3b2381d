package writeback

import (
	"cmp"
	"context"
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
	// failedWithin: how long a failure is asked about that may have been resolved
	// since.
	failedWithin = 48 * time.Hour
	// sweepBatch is how many orders are pushed at once.
	sweepBatch = 500
)

// Swept is what a sweep found.
type Swept struct {
	Asked   int // orders that the org named
	Same    int // shown as they are
	Pushed  int // shown now, because Salesforce was behind
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
			p.trip(ctx, err)
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
			p.d.Log.ErrorContext(ctx, "item not read", "order_id", id.String(), "error", err)
			s.Left++
		case !ok:
			s.Unknown++
		case rec.Seq == shown[id]:
			s.Same++
		case rec.Seq < shown[id]:
			if err := p.raiseSeq(ctx, rec, shown[id]); err != nil {
				return s, err
			}
			s.Bumped++
		default:
			behind = append(behind, Change{Record: rec})
		}
	}
	for part := range slices.Chunk(behind, sweepBatch) {
		for _, retry := range p.Push(ctx, part) {
			if retry {
				s.Left++
			} else {
				s.Pushed++
			}
		}
	}
	return s, nil
}
