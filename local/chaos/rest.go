package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Bounds of the waiting. They are there to call an order stuck, not to measure:
// the longest pause is that of Salesforce's breaker, five minutes, which no
// environment scales down.
const (
	restLimit  = 6 * time.Minute
	agreeLimit = 6 * time.Minute
	lookEvery  = 500 * time.Millisecond
	sayEvery   = 10 * time.Second
)

// rest waits until every order has come to its end.
func (r *run) rest(ctx context.Context) error {
	open := r.sales
	return r.until(ctx, restLimit, func(ctx context.Context) (string, error) {
		if err := r.resume(ctx); err != nil {
			return "", err
		}
		var left []*sale
		states := map[string]int{}
		for _, s := range open {
			rec, ok, err := r.table.Get(ctx, s.id)
			switch {
			case err != nil:
				return "", fmt.Errorf("read order %s: %w", s.id, err)
			case !ok:
				states["unknown"]++
			case rec.State.Open():
				states[string(rec.State)]++
			default:
				continue
			}
			left = append(left, s)
		}
		open = left
		if len(open) == 0 {
			return "", nil
		}
		return fmt.Sprintf("%d orders are open: %v", len(open), states), nil
	})
}

// until asks again and again until nothing is left to wait for, or the limit
// has passed: what is left then is for judge to name.
func (r *run) until(ctx context.Context, limit time.Duration, left func(context.Context) (string, error)) error {
	began, said := time.Now(), time.Now()
	for {
		what, err := left(ctx)
		if e := r.alive(); e != nil {
			err = e // whatever else failed, this is why
		}
		switch {
		case err != nil:
			return err
		case what == "":
			return nil
		case time.Since(began) > limit:
			r.say("gave up after %v: %s", limit, what)
			return nil
		case time.Since(said) > sayEvery:
			r.say("%s", what)
			said = time.Now()
		}
		if !wait(ctx, lookEvery) {
			return context.Cause(ctx)
		}
	}
}

// correct does to every other failed order what the advice of its code says,
// clicks, and waits for it again; the others stay failed, and judge checks that
// they do.
func (r *run) correct(ctx context.Context) error {
	rng := r.random("correct")
	var todo []*sale
	for _, s := range r.sales {
		rec, ok, err := r.table.Get(ctx, s.id)
		if err != nil {
			return fmt.Errorf("read order %s: %w", s.id, err)
		}
		if ok && rec.State == order.Failed && s.want == "" && rng.IntN(2) == 0 {
			todo = append(todo, s)
		}
	}
	r.seen.add("corrected", len(todo))
	const rounds = 5 // a wrong word, taken back; an unstable list, searched again, then decided
	for round := 0; round < rounds && len(todo) > 0; round++ {
		r.say("correcting %d failed orders as their codes advise", len(todo))
		for _, s := range todo {
			rec, _, err := r.table.Get(ctx, s.id)
			if err != nil {
				return fmt.Errorf("read order %s: %w", s.id, err)
			}
			decided, err := r.err(ctx, rec, round, rng)
			if err == nil && !decided {
				decided, err = r.repair(ctx, rec, round)
			}
			if err != nil {
				return err
			}
			if decided {
				continue
			}
			s.consents.Add(1)
			if err := r.click(ctx, s, fmt.Sprintf("correct-%s-%d", s.id, round), rng); err != nil {
				return err
			}
		}
		if err := r.rest(ctx); err != nil {
			return err
		}
		var left []*sale
		for _, s := range todo {
			if rec, _, err := r.table.Get(ctx, s.id); err != nil {
				return fmt.Errorf("read order %s: %w", s.id, err)
			} else if rec.State != order.Provisioned {
				left = append(left, s)
			}
		}
		todo = left
	}
	for _, s := range todo {
		r.found(s.id, "was corrected as its code advises, clicked, and is not provisioned")
	}
	return nil
}

// err is a person who says something wrong: that WHMCS has no order of one that
// lives, or the number of another order. decided: it was said; the order looks,
// and fails again. A wrong number is taken back.
func (r *run) err(ctx context.Context, rec order.Record, round int, rng *rand.Rand) (decided bool, err error) {
	say := func(word ...string) error {
		_, err := r.orderctl(ctx, append([]string{"resolve", rec.ID.String(), "--by", "chaos", "--why", "it seemed so"}, word...)...)
		return err
	}
	if rec.State == order.Failed && rec.ErrorCode == fault.WHMCSOrderMismatch && rec.Word.Named() {
		return true, say("--undo-adopt")
	}
	if round > 0 || rng.IntN(3) > 0 {
		return false, nil
	}
	all, err := r.orders(ctx)
	if err != nil {
		return false, err
	}
	var others []whmcsOrder
	lives := false // and says so: a person's none about an order without a marker is not for WHMCS to correct
	for _, o := range all {
		marked := o.salesforce != "" && order.ReadMarker(o.Notes).Names(mustID(o.salesforce))
		switch {
		case o.salesforce == rec.ID.String():
			lives = lives || marked && o.Status != "Cancelled" && o.Status != "Fraud"
		case marked:
			others = append(others, o)
		}
	}
	r.seen.add("wrong words", 1)
	if lives && rng.IntN(2) == 0 {
		return true, say("--none")
	}
	return true, say("--adopt", fmt.Sprint(one(rng, others).ID))
}

// repair is what a person does in WHMCS before the next click. decided: the
// person decided by orderctl, which needs no click.
func (r *run) repair(ctx context.Context, rec order.Record, round int) (decided bool, err error) {
	if rec.ErrorCode == fault.AddOutcomeUnknown {
		if round == 0 {
			return false, nil // a search without faults may be enough
		}
		all, err := r.books(ctx)
		if err != nil {
			return false, err
		}
		verdict := []string{"--none"}
		if made := all[rec.ID.String()]; len(made) > 0 {
			verdict = []string{"--adopt", fmt.Sprint(made[0].ID)}
		}
		_, err = r.orderctl(ctx, append([]string{"resolve", rec.ID.String(), "--by", "chaos", "--why", "looked in WHMCS"}, verdict...)...)
		return true, err
	}
	if rec.ErrorCode == fault.WHMCSOrderAmbiguous || rec.ErrorCode == fault.MarkerNotKept {
		// The order that is not known to be this one's may be another's whose
		// marker was damaged.
		all, err := r.orders(ctx)
		if err != nil {
			return false, err
		}
		for _, o := range all {
			if o.salesforce == "" || order.ReadMarker(o.Notes).Names(mustID(o.salesforce)) {
				continue
			}
			if err := r.ask(ctx, "PATCH", fmt.Sprintf("%s/_sim/orders/%d", r.sys.WHMCS, o.ID), map[string]any{"notes": mustID(o.salesforce).Marker()}, nil); err != nil {
				return false, err
			}
		}
		return false, nil
	}
	if rec.WHMCSOrderID == "" {
		return false, nil
	}
	url := r.sys.WHMCS + "/_sim/orders/" + rec.WHMCSOrderID
	var made whmcsOrder
	if err := r.ask(ctx, "GET", url, nil, &made); err != nil {
		return false, err
	}
	edit := map[string]any{}
	switch {
	case rec.ErrorCode == fault.AcceptOutcomeUnknown && made.Status == "Pending":
		edit["status"] = "Active"
	case rec.ErrorCode == fault.ModuleFailed && made.Status == "Active":
		services := []any{}
		for _, s := range made.Services {
			services = append(services, map[string]any{"id": s.ID, "status": "Active"})
		}
		edit["services"] = services
	default:
		return false, nil
	}
	return false, r.ask(ctx, "PATCH", url, edit, nil)
}

// agree waits until Salesforce shows what the table knows.
func (r *run) agree(ctx context.Context) error {
	behind := r.sales
	return r.until(ctx, agreeLimit, func(ctx context.Context) (string, error) {
		var left []*sale
		for _, s := range behind {
			rec, ok, err := r.table.Get(ctx, s.id)
			if err != nil {
				return "", fmt.Errorf("read order %s: %w", s.id, err)
			}
			var v salesforceOrder
			if err := r.ask(ctx, "GET", r.sys.Salesforce+"/_sim/orders/"+s.id.String(), nil, &v); err != nil {
				return "", err
			}
			if ok && len(differ(rec, v)) > 0 {
				left = append(left, s)
			}
		}
		behind = left
		if len(behind) == 0 {
			return "", nil
		}
		return fmt.Sprintf("%d orders are behind in Salesforce", len(behind)), nil
	})
}

// differ lists where Salesforce shows something else than the table knows.
func differ(rec order.Record, v salesforceOrder) (all []string) {
	show := func(field, want string) {
		got := v.Fields[field]
		if got == nil {
			got = ""
		}
		if n, ok := got.(float64); ok {
			got = fmt.Sprintf("%.0f", n)
		}
		if got != want {
			all = append(all, fmt.Sprintf("%s is %q, the table says %q", field, got, want))
		}
	}
	show("Provisioning_Status__c", string(rec.Status()))
	show("Provisioning_Seq__c", fmt.Sprint(int64(rec.Seq)))
	code := ""
	if rec.State == order.Failed {
		code = string(rec.ErrorCode)
	}
	show("Provisioning_Error_Code__c", code)
	if rec.State.Open() {
		return all
	}
	show("WHMCS_Order_ID__c", rec.WHMCSOrderID)
	for _, item := range v.Items {
		id, _ := item["Id"].(string)
		got, _ := item["WHMCS_Service_ID__c"].(string)
		if want := strings.Join(rec.ServiceIDs[id], ","); got != want {
			all = append(all, fmt.Sprintf("product %s shows services %q, the table says %q", id, got, want))
		}
	}
	return all
}
