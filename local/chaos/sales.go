package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// product is a WHMCS product of the cast.
type product struct {
	id       int64
	allowQty int
}

func products() []product { return []product{{101, 0}, {102, 1}, {103, 2}, {104, 0}} }

// line is one line of a sale.
type line struct {
	product  product
	cycle    string // as Salesforce spells it
	quantity int
}

// service is one service that WHMCS must hold.
type service struct {
	pid   int64
	cycle string
	qty   int
}

// services are what a line must become (GetProducts, allowqty).
func (l line) services() []service {
	cycle := strings.ToLower(strings.ReplaceAll(l.cycle, "-", ""))
	if l.product.allowQty == 2 {
		return []service{{l.product.id, cycle, l.quantity}}
	}
	var all []service
	for range l.quantity {
		all = append(all, service{l.product.id, cycle, 1})
	}
	return all
}

// sale is one Salesforce order and what is done to it.
type sale struct {
	id     order.ID
	client int64
	lines  []line
	// want is the code of a sale that a person has to correct in Salesforce, or in
	// WHMCS's client; "" = it can be provisioned.
	want fault.Code

	at      time.Duration // of the first click
	doubled bool          // the very same request twice at once
	again   []click

	consents atomic.Int64 // clicks with a new key after the first
}

// click is one more click, some time after the one before.
type click struct {
	after  time.Duration
	newKey bool
}

const closedClient = 7000 // and above: clients that are closed

// cast makes the sales of a run.
func (r *run) cast() error {
	rng := r.random("cast")
	all := products()
	cycles := []string{"Monthly", "One-time", "Annually"}
	for i := range r.o.orders {
		id, err := order.ParseID(fmt.Sprintf("801%012d", i+1))
		if err != nil {
			return err
		}
		s := &sale{id: id, client: 1 + rng.Int64N(int64(max(1, r.o.orders/3))), at: time.Duration(float64(i) / r.o.rate * float64(time.Second))}
		for range 1 + rng.IntN(3) {
			l := line{one(rng, all), one(rng, cycles), 1}
			switch rng.IntN(3) {
			case 0:
				l.cycle, l.quantity = "One-time", 3
			case 1:
				l.quantity = 1 + rng.IntN(4)
			}
			s.lines = append(s.lines, l)
		}
		if rng.IntN(25) == 0 {
			s.want = one(rng, []fault.Code{fault.AccountNotMapped, fault.ProductNotMapped, fault.BillingCycleInvalid, fault.QuantityInvalid, fault.OrderEmpty, fault.WHMCSClientClosed})
		}
		if s.want == fault.WHMCSClientClosed {
			s.client = closedClient + s.client
		}
		// A restored table has forgotten nonces; the window ends that.
		s.doubled = rng.IntN(5) == 0 && r.o.scenario != backup
		if rng.IntN(6) == 0 {
			s.again = append(s.again, click{between(rng, 0, 3*time.Second), false})
		}
		for rng.IntN(4) == 0 && len(s.again) < 4 {
			s.again = append(s.again, click{between(rng, 0, 20*time.Second), true})
		}
		r.sales = append(r.sales, s)
	}
	return nil
}

// seed puts the cast into both simulators.
func (r *run) seed(ctx context.Context) error {
	if err := r.cast(); err != nil {
		return err
	}
	for _, p := range products() {
		if err := r.ask(ctx, "PUT", fmt.Sprintf("%s/_sim/products/%d", r.sys.WHMCS, p.id), map[string]any{"name": fmt.Sprintf("Product %d", p.id), "allowqty": p.allowQty, "module": "provisioner"}, nil); err != nil {
			return err
		}
	}
	for _, s := range r.sales {
		if s.want == fault.WHMCSClientClosed {
			if err := r.ask(ctx, "PUT", fmt.Sprintf("%s/_sim/clients/%d", r.sys.WHMCS, s.client), map[string]any{"status": "Closed"}, nil); err != nil {
				return err
			}
		}
		if err := r.ask(ctx, "PUT", r.sys.Salesforce+"/_sim/orders/"+s.id.String(), s.seed(), nil); err != nil {
			return err
		}
	}
	var got struct {
		Secret string `json:"secret"`
	}
	if err := r.ask(ctx, "GET", r.sys.API+"/_local/secret", nil, &got); err != nil {
		return err
	}
	r.secret = []byte(got.Secret)
	return nil
}

// seed is the sale as Salesforce holds it.
func (s *sale) seed() map[string]any {
	items := []any{}
	for _, l := range s.lines {
		items = append(items, map[string]any{"whmcsProductId": l.product.id, "billingCycle": l.cycle, "quantity": l.quantity})
	}
	first := map[string]any{"whmcsProductId": s.lines[0].product.id, "billingCycle": s.lines[0].cycle, "quantity": s.lines[0].quantity}
	seed := map[string]any{"accountId": fmt.Sprintf("001%012d", s.client), "whmcsClientId": s.client}
	switch s.want {
	case fault.AccountNotMapped:
		seed["whmcsClientId"] = nil
	case fault.ProductNotMapped:
		first["whmcsProductId"] = nil
	case fault.BillingCycleInvalid:
		first["billingCycle"] = "Fortnightly"
	case fault.QuantityInvalid:
		first["quantity"] = 0
	case fault.OrderEmpty:
		seed["items"] = []any{}
		return seed
	}
	items[0] = first
	seed["items"] = items
	return seed
}

// feed clicks every sale at its time, and again as it is cast, and returns when
// each click was recorded.
func (r *run) feed(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var clicking sync.WaitGroup
	for i, s := range r.sales {
		if !wait(ctx, s.at-time.Since(began)) {
			break
		}
		if err := r.alive(); err != nil {
			cancel(err)
			break
		}
		if i > 0 && i%max(1, len(r.sales)/10) == 0 {
			r.say("%d of %d orders sent; %s", i, len(r.sales), r.seen.line())
		}
		rng := r.random("clicks " + s.id.String())
		clicking.Go(func() {
			if err := r.clicks(ctx, s, rng); err != nil {
				cancel(err)
			}
		})
	}
	clicking.Wait()
	return context.Cause(ctx)
}

// clicks are all clicks of one sale.
func (r *run) clicks(ctx context.Context, s *sale, rng *rand.Rand) error {
	key := "click-" + s.id.String()
	if s.doubled {
		r.twice(ctx, s, key)
	}
	if err := r.click(ctx, s, key, rng); err != nil {
		return err
	}
	for i, c := range s.again {
		if !wait(ctx, c.after) {
			return context.Cause(ctx)
		}
		if c.newKey {
			key = fmt.Sprintf("click-%s-%d", s.id, i+1)
			s.consents.Add(1)
		}
		if err := r.click(ctx, s, key, rng); err != nil {
			return err
		}
	}
	return nil
}
