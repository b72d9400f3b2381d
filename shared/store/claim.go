package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Events of the history that the table's own writes add.
const (
	eventCallout  = "callout"
	eventReopened = "reopened"
	eventAdopted  = "resolved_adopt"
	eventNone     = "resolved_none"
	eventStopped  = "resolved_stop"
)

// Claim records a callout: nonce, idempotency key and order in one atomic
// write. The first callout of an order is one PutItem and no more. When the
// order exists, its image comes back with the failed condition and one update
// is decided on it; an update that meets another writer is decided afresh on
// the image that comes back with it.
//
// Callouts on an open or provisioned order carry no condition on the version,
// so that they commute with each other and with a worker's writes; reopening
// does, because it changes what a worker would do.
//
// Errors: nonce_replayed; too_many_requests when order.MaxNonces live nonces
// are remembered (this one is not); try_again when the table is throttled or
// away (the callout may be recorded: the same request sent again with a new
// nonce meets the same order); internal_error.
func (s *Store) Claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	if c.ID.IsZero() || c.Nonce == "" || c.Key == "" || c.By == "" || c.NonceExpiry.IsZero() || c.Now.IsZero() {
		return order.Claimed{}, fault.Wrap(fault.Internal, errors.New("claim: a part is missing"))
	}
	done, err := s.claim(ctx, c)
	if fault.CodeOf(err) == fault.StoreUnavailable {
		err = fault.Wrap(fault.TryAgain, err)
	}
	return done, err
}

func (s *Store) claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	random := order.NewToken()
	doing := "record callout of order " + c.ID.String()
	var img image
	exists := false
	for range maxTries {
		var got result
		var err error
		outcome := order.Created
		if !exists {
			got, err = s.put(ctx, encode(created(c, random)), "attribute_not_exists("+attrPK+")", doing)
			if err == nil && !got.applied && got.item == nil {
				err = fault.Wrap(fault.Internal, fmt.Errorf("%s: the item is there, its image did not come", doing))
			}
		} else {
			var d decision
			if d, err = decide(img, c, random); err != nil {
				return order.Claimed{}, err
			}
			if d.recorded {
				return order.Claimed{Outcome: d.outcome, Record: img.rec}, nil
			}
			outcome = d.outcome
			got, err = s.update(ctx, orderKey(c.ID), d.update, doing)
		}
		if err != nil {
			return order.Claimed{}, err
		}
		if got.item == nil { // its retention ended between two tries
			exists = false
			continue
		}
		if img, err = decode(got.item); err != nil {
			return order.Claimed{}, err
		}
		if got.applied {
			return order.Claimed{Outcome: outcome, Record: img.rec}, nil
		}
		exists = true
	}
	return order.Claimed{}, contended(doing)
}

// created is the item of an order's first callout.
func created(c order.Claim, random order.Token) image {
	entry := order.Entry{At: c.Now, Event: eventCallout, By: c.RequestedBy}
	return image{
		rec: order.Record{
			ID: c.ID, State: order.Queued, RecoveryPoint: order.PointNone, Signal: order.SignalQueued,
			Seq: order.Seq(0).Next(c.Now), Version: 1,
			OpenedAt: c.Now, DueAt: c.Now,
			Nonces:    map[string]order.Nonce{c.Nonce: {Expiry: c.NonceExpiry, By: c.By}},
			AccountID: c.AccountID,
			History:   []order.Entry{entry},
			CreatedAt: c.Now, UpdatedAt: c.Now,
		},
		keys:    map[string]int64{c.Key: 1},
		met:     map[string]order.Outcome{c.Nonce: order.Created},
		history: []string{historyName(c.Now, 1, random)},
	}
}

// decision is what an image asks for: the callout is recorded already (the
// SDK's retry of our own request), or an update records it.
type decision struct {
	outcome  order.Outcome
	recorded bool
	update   *update
}

// decide reads the image of an order that exists. Its error is the answer.
func decide(img image, c order.Claim, random order.Token) (decision, error) {
	now := c.Now.Truncate(time.Millisecond)
	live := func(n order.Nonce) bool { return n.Expiry.After(now) }
	own, there := img.rec.Nonces[c.Nonce]
	if there && own.By == c.By {
		return decision{outcome: cmp.Or(img.met[c.Nonce], meets(img, c)), recorded: true}, nil
	}
	if there && live(own) {
		return decision{}, fault.Wrap(fault.NonceReplayed, fmt.Errorf("order %s: nonce seen, remembered until %s", c.ID, own.Expiry.Format(isoLayout)))
	}
	var gone []string
	for n, v := range img.rec.Nonces {
		if n != c.Nonce && !live(v) {
			gone = append(gone, n)
		}
	}
	remembered := len(img.rec.Nonces) - len(gone)
	if there {
		remembered-- // its window is over: it is replaced
	}
	if remembered >= order.MaxNonces {
		return decision{}, fault.Wrap(fault.TooManyRequests, fmt.Errorf("order %s: %d live nonces", c.ID, remembered))
	}

	d := decision{outcome: meets(img, c), update: newUpdate()}
	u := d.update
	u.nonce(img, c, d.outcome, gone)
	u.grow(attrVersion)
	wrote, event := order.SignalNote, eventCallout
	detail := outcomeNames[d.outcome]
	switch d.outcome {
	case order.AlreadyOpen:
		u.require(u.path(attrState) + " IN (" + u.val(str(string(order.Queued))) + ", " +
			u.val(str(string(order.Working))) + ", " + u.val(str(string(order.Waiting))) + ")")
	case order.AlreadyProvisioned:
		u.equal(u.path(attrState), str(string(order.Provisioned)))
	case order.StoredFailure:
		// The nonce alone: what was told once is told again.
		u.equal(u.path(attrState), str(string(order.Failed)))
		u.require("attribute_exists(" + u.path(attrKeys, c.Key) + ")")
		u.set(u.path(attrSignal), text(string(wrote)))
		return d, nil
	case order.Reopened:
		u.equal(u.path(attrState), str(string(order.Failed)))
		u.unmoved(img.rec.Version)
		wrote, event, detail = order.SignalQueued, eventReopened, "after "+string(img.rec.ErrorCode)
		reopen(u, img.rec, c.Now)
		if img.rec.ErrorCode == fault.ModuleFailed && img.rec.RecoveryPoint == order.PointAccepting {
			u.set(u.path(attrWord), text(string(img.rec.Word.WithRerun())))
		}
	}
	u.set(u.path(attrSignal), text(string(wrote)))
	u.key(img, c.Key)
	u.line(img, historyName(c.Now, img.rec.Version+1, random), order.Entry{Event: event, Detail: detail, By: c.RequestedBy})
	if c.AccountID != "" {
		p := u.path(attrAccountID)
		u.sets = append(u.sets, p+" = if_not_exists("+p+", "+u.val(str(c.AccountID))+")")
	}
	return d, nil
}

// meets says what a callout meets on an order that exists.
func meets(img image, c order.Claim) order.Outcome {
	switch {
	case img.rec.State.Open():
		return order.AlreadyOpen
	case img.rec.State == order.Provisioned:
		return order.AlreadyProvisioned
	case slices.Contains(img.rec.Keys, c.Key):
		return order.StoredFailure
	}
	return order.Reopened
}

// reopen queues a failed order at its recovery point: a new try, due now. What
// was planned and what may have been sent stay.
func reopen(u *update, r order.Record, now time.Time) {
	u.set(u.path(attrState), text(string(order.Queued)))
	u.set(u.path(attrSeq), num(int64(r.Seq.Next(now))))
	u.set(u.path(attrOpenedAt), millis(now))
	u.set(u.path(attrDueAt), millis(now))
	u.set(u.path(attrDueShard), num(dueShard(r.ID)))
	u.set(u.path(attrUpdatedAt), iso(now))
	u.remove(u.path(attrAttempts))
	u.remove(u.path(attrLeaseUntil))
	u.remove(u.path(attrExpiresAt))
}

// nonce records the callout's nonce and drops those that left the window.
//
// The limit is part of the condition, or a flood could pass it between image
// and write. While the map is smaller than the limit its size alone is asked
// for, which no other callout's success can spoil; at the limit, room comes
// only from what is dropped, so the first of these must still be there.
func (u *update) nonce(img image, c order.Claim, met order.Outcome, gone []string) {
	value := encodeNonce(order.Nonce{Expiry: c.NonceExpiry, By: c.By}, met)
	all := u.path(attrNonces)
	if !img.hasNonces {
		u.require("attribute_not_exists(" + all + ")")
		u.set(all, members{c.Nonce: value}.value())
		return
	}
	mine := u.path(attrNonces, c.Nonce)
	limit := order.MaxNonces
	if old, there := img.rec.Nonces[c.Nonce]; there {
		u.equal(u.path(attrNonces, c.Nonce, memberBy), str(string(old.By)))
		limit++
	} else {
		u.require("attribute_not_exists(" + mine + ")")
	}
	slices.SortFunc(gone, func(a, b string) int {
		return cmp.Or(img.rec.Nonces[a].Expiry.Compare(img.rec.Nonces[b].Expiry), cmp.Compare(a, b))
	})
	if len(img.rec.Nonces) >= limit && len(gone) > 0 {
		u.require("attribute_exists(" + u.path(attrNonces, gone[0]) + ")")
		limit += len(gone)
	}
	u.require("size(" + all + ") < " + u.val(num(int64(limit))))
	u.set(mine, value)
	for _, n := range gone {
		u.remove(u.path(attrNonces, n))
	}
}

// maxDropped bounds what one update drops of a map that concurrent writers made
// larger than its limit; the next update drops the rest. DynamoDB takes 300
// operators and 4 KB an expression (Developer Guide, "Service, account, and
// table quotas").
const maxDropped = 40

// key puts an idempotency key in as the newest and drops the oldest beyond
// order.MaxKeys. A key that another callout has just used again is not
// dropped: its version is no longer the one that was seen.
func (u *update) key(img image, key string) {
	all := u.path(attrKeys)
	if !img.hasKeys {
		u.require("attribute_not_exists(" + all + ")")
		u.set(all, members{key: num(img.rec.Version + 1)}.value())
		return
	}
	u.sets = append(u.sets, u.path(attrKeys, key)+" = "+u.next(u.path(attrVersion)))
	others := make([]string, 0, len(img.keys))
	for k := range img.keys {
		if k != key {
			others = append(others, k)
		}
	}
	slices.SortFunc(others, func(a, b string) int {
		return cmp.Or(cmp.Compare(img.keys[a], img.keys[b]), cmp.Compare(a, b))
	})
	for _, k := range others[:min(maxDropped, max(0, len(others)-(order.MaxKeys-1)))] {
		p := u.path(attrKeys, k)
		u.require("(attribute_not_exists(" + p + ") OR " + p + " = " + u.val(num(img.keys[k])) + ")")
		u.remove(p)
	}
}

// line adds a line to the history and drops the oldest beyond order.MaxHistory.
func (u *update) line(img image, name string, e order.Entry) {
	all := u.path(attrHistory)
	if !img.hasHistory {
		u.require("attribute_not_exists(" + all + ")")
		u.set(all, members{name: encodeEntry(e)}.value())
		return
	}
	u.set(u.path(attrHistory, name), encodeEntry(e))
	for _, old := range img.history[:min(maxDropped, max(0, len(img.history)-(order.MaxHistory-1)))] {
		u.remove(u.path(attrHistory, old))
	}
}

// lineBlind adds a line without an image: only while there is room.
func (u *update) lineBlind(name string, e order.Entry) {
	all := u.path(attrHistory)
	u.require("attribute_exists(" + all + ")")
	u.require("size(" + all + ") < " + u.val(num(order.MaxHistory)))
	u.set(u.path(attrHistory, name), encodeEntry(e))
}
