package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"orderbridge/shared/audit"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/question"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
)

const (
	// auditPart is how many orders are compared at a time: their items are in
	// memory together, some 3 KB each.
	auditPart = 5000
	// readsAtOnce is how many items are read side by side.
	readsAtOnce = 16
	// auditReserve is what is kept of the invocation's time to answer.
	auditReserve = 30 * time.Second
)

// clerk reads the three books.
type clerk struct {
	table interface {
		Get(ctx context.Context, id order.ID) (order.Record, bool, error)
		Failed(ctx context.Context, since time.Time, most int) ([]store.FailedOrder, error)
	}
	orders interface {
		ShownSince(ctx context.Context, since time.Time) (map[order.ID]order.Shown, error)
	}
	billing interface {
		Page(ctx context.Context, l order.Listing) (order.Page, error)
		Order(ctx context.Context, whmcsOrderID string, clientID int64) (order.BillingOrder, bool, error)
	}
	meter counter
	now   func() time.Time
}

// audit compares the orders, part after part, as far as the invocation's time goes.
func (c *clerk) audit(ctx context.Context, q question.Audit) (any, error) {
	now := c.now()
	if q.Days > 0 {
		q.Since = now.AddDate(0, 0, -q.Days)
	}
	if q.Since.IsZero() || q.Since.After(now) {
		return nil, errors.New("audit: a time that has passed is needed")
	}
	books, err := c.read(ctx, q.Since)
	if err != nil {
		return nil, err
	}
	ids, err := c.orderIDs(ctx, books)
	if err != nil {
		return nil, err
	}
	out := question.Audited{Differences: []question.Difference{}}
	counts := map[audit.Class]int{}
	for part := range slices.Chunk(ids[behind(ids, q.After):], auditPart) {
		books.Table = map[order.ID]order.Record{}
		done, err := c.records(ctx, part, &books, out.Orders > 0)
		if err != nil {
			return nil, err
		}
		found, err := c.confirm(ctx, audit.Compare(books, now))
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			counts[d.Class]++
			out.Differences = append(out.Differences, question.Difference{Class: string(d.Class), ID: d.ID.String(), WHMCSOrderIDs: d.WHMCSOrderIDs, Text: d.Text})
		}
		if done > 0 {
			out.Orders, out.Next = out.Orders+done, part[done-1].String()
		}
		if done < len(part) {
			break
		}
	}
	if out.Next != "" && out.Next == ids[len(ids)-1].String() {
		out.Next = ""
	}
	for _, class := range audit.Classes() {
		c.meter.Count(telemetry.BooksDiffer, string(class), counts[class])
	}
	return out, nil
}

// behind is the place behind an id in the sorted ids.
func behind(ids []order.ID, last string) int {
	i, found := slices.BinarySearchFunc(ids, last, func(id order.ID, s string) int { return cmp.Compare(id.String(), s) })
	if found {
		i++
	}
	return i
}

// read reads the books of WHMCS and Salesforce.
func (c *clerk) read(ctx context.Context, since time.Time) (audit.Books, error) {
	b := audit.Books{Since: since, Table: map[order.ID]order.Record{}}
	made := map[string]order.BillingOrder{}
	// A day more: WHMCS's dates are in its own time zone.
	for l := (order.Listing{Since: since.AddDate(0, 0, -1)}); ; {
		if done, complete := l.Done(); done && complete {
			break
		} else if done {
			return b, fault.New(fault.ListingUnstable, "")
		}
		p, err := c.billing.Page(ctx, l)
		if err != nil {
			return b, err
		}
		l = l.Take(p, func(o order.BillingOrder) bool { made[o.ID] = o; return false })
	}
	b.Billing = slices.Collect(maps.Values(made))
	var err error
	b.Salesforce, err = c.orders.ShownSince(ctx, since)
	return b, err
}

// orderIDs are all orders that a book names, sorted.
func (c *clerk) orderIDs(ctx context.Context, b audit.Books) ([]order.ID, error) {
	ids := map[order.ID]bool{}
	for id := range b.Salesforce {
		ids[id] = true
	}
	for _, o := range b.Billing {
		for word := range strings.FieldsSeq(string(o.Marker)) {
			if id, err := order.ParseID(word); err == nil && id.String() == word {
				ids[id] = true
			}
		}
	}
	failed, err := c.table.Failed(ctx, b.Since, 0)
	if err != nil {
		return nil, fmt.Errorf("list failed orders: %w", err)
	}
	for _, f := range failed {
		ids[f.ID] = true
	}
	return slices.SortedFunc(maps.Keys(ids), func(x, y order.ID) int { return cmp.Compare(x.String(), y.String()) }), nil
}

// records reads the items of the orders into the books, and returns how many
// there was time for: at least some, unless others were read before.
func (c *clerk) records(ctx context.Context, ids []order.ID, b *audit.Books, before bool) (done int, err error) {
	deadline, limited := ctx.Deadline()
	var mu sync.Mutex
	for chunk := range slices.Chunk(ids, 10*readsAtOnce) {
		if limited && (done > 0 || before) && deadline.Sub(c.now()) < auditReserve {
			return done, nil
		}
		work, ctx := errgroup.WithContext(ctx)
		work.SetLimit(readsAtOnce)
		for _, id := range chunk {
			work.Go(func() error {
				r, _, err := c.table.Get(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				b.Table[id] = r
				return err
			})
		}
		if err := work.Wait(); err != nil {
			return done, fmt.Errorf("read orders: %w", err)
		}
		done += len(chunk)
	}
	return done, nil
}

// confirm asks WHMCS for each order that the listing did not show.
func (c *clerk) confirm(ctx context.Context, found []audit.Difference) ([]audit.Difference, error) {
	var sure []audit.Difference
	for _, d := range found {
		if d.Class == audit.Missing && len(d.WHMCSOrderIDs) == 1 {
			made, exists, err := c.billing.Order(ctx, d.WHMCSOrderIDs[0], 0)
			if err != nil {
				return nil, err
			}
			if exists && !made.Status.Dead() {
				continue
			}
		}
		sure = append(sure, d)
	}
	return sure, nil
}
