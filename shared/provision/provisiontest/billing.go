package provisiontest

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
)

// Installation is a billing system as the rules arrange it: the adapter under
// test before a simulator. A second billing system proves itself by one.
type Installation interface {
	provision.Billing

	// PutClient makes a client, or closes it; PutProduct a product with a module.
	PutClient(id int64, closed bool)
	PutProduct(id int64, rule order.QuantityRule)
	// Lose makes the next effect of that name (AddOrder, AcceptOrder) go without an
	// answer, after it was done or before.
	Lose(effect string, done bool)
	// FailModule makes the module fail in the next AcceptOrder, with that text: it
	// is the answer, or, with success for an answer, stands in the module queue.
	FailModule(text string, queued bool)
	// Refuse makes every call be refused for its credentials, or ends that.
	Refuse(bool)
	// Cancel cancels an order, as an admin does.
	Cancel(id string)
	// Received counts the requests of an effect that arrived.
	Received(effect string) int
}

// The cast of the billing rules.
const (
	billingClient  = 7
	closedClient   = 8
	noClient       = 12_345
	billingProduct = 11
	noProduct      = 12_345
)

// BillingConformance checks what the engine relies on of a billing system: what
// NotSent, Refused and Unsure mean, and that what an effect made can be found by
// its marker. open returns an empty installation for each rule.
func BillingConformance(t *testing.T, open func(t *testing.T) Installation) {
	for _, r := range billingRules() {
		t.Run(r.name, func(t *testing.T) {
			i := open(t)
			i.PutClient(billingClient, false)
			i.PutClient(closedClient, true)
			i.PutProduct(billingProduct, order.QuantityNone)
			r.check(&billing{T: t, Installation: i, id: mustID(t)})
		})
	}
}

type billing struct {
	*testing.T
	Installation
	id order.ID
}

func mustID(t *testing.T) order.ID {
	t.Helper()
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *billing) plan(client int64) order.Plan {
	return order.Plan{ClientID: client, PaymentMethod: "mailin", Entries: []order.PlanEntry{
		{Services: 1, Line: order.Line{ItemID: "802a", ProductID: billingProduct, Cycle: order.Monthly, Quantity: 1}},
		{Services: 1, Line: order.Line{ItemID: "802b", ProductID: billingProduct, Cycle: order.Annually, Quantity: 1}},
	}}
}

// opened is a window that does not close during a test.
func opened() order.SendWindow {
	return order.SendWindow{Until: time.Now().Add(time.Hour), Timeout: time.Minute}
}

func (b *billing) add() (string, error) {
	return b.Add(b.Context(), opened(), b.id, b.plan(billingClient))
}

func (b *billing) made() string {
	b.Helper()
	id, err := b.add()
	if err != nil || id == "" {
		b.Fatalf("AddOrder: %q, %v", id, err)
	}
	return id
}

func (b *billing) read(id string) order.BillingOrder {
	b.Helper()
	o, ok, err := b.Order(b.Context(), id, billingClient)
	if err != nil || !ok {
		b.Fatalf("read order %s: %t, %v", id, ok, err)
	}
	return o
}

// marked lists the orders that carry the marker, oldest first, as the client's
// list and that of every client have them.
func (b *billing) marked() []string {
	b.Helper()
	ofClient, ofAll := b.listed(billingClient), b.listed(0)
	if !slices.Equal(ofClient, ofAll) {
		b.Errorf("the client's list has %v, that of all %v", ofClient, ofAll)
	}
	return ofAll
}

// listed reads a listing to its end.
func (b *billing) listed(client int64) []string {
	b.Helper()
	ours := func(o order.BillingOrder) bool { return o.Marker.Names(b.id) }
	l := order.Listing{ClientID: client}
	for {
		done, complete := l.Done()
		if done {
			if !complete {
				b.Fatal("a list that stands still was not read whole")
			}
			break
		}
		page, err := b.Page(b.Context(), l)
		if err != nil {
			b.Fatal(err)
		}
		l = l.Take(page, ours)
	}
	slices.SortFunc(l.Found, func(x, y order.BillingOrder) int { return cmp.Compare(x.Number(), y.Number()) })
	var ids []string
	for _, o := range l.Found {
		ids = append(ids, o.ID)
	}
	return ids
}

// outcome checks the type of an effect's error, and its code.
func outcome[T error](b *billing, err error, kinds ...fault.Kind) {
	b.Helper()
	if want := new(T); !errors.As(err, want) {
		b.Errorf("got %v, want a %T", err, *want)
	}
	if !slices.Contains(kinds, fault.KindOf(err)) || !fault.CodeOf(err).Listed() {
		b.Errorf("got the code %s of kind %d", fault.CodeOf(err), fault.KindOf(err))
	}
}

type billingRule struct {
	name  string
	check func(b *billing)
}

func billingRules() []billingRule {
	return []billingRule{
		{"add/what was made is read back and found by its marker", func(b *billing) {
			id := b.made()
			o := b.read(id)
			if o.ID != id || o.ClientID != billingClient || o.Status != order.BillingPending || !o.Marker.Names(b.id) {
				b.Errorf("order %+v", o)
			}
			cycles := []order.Cycle{}
			for _, s := range o.Services {
				cycles = append(cycles, s.Cycle)
				if s.ProductID != billingProduct || max(s.Quantity, 1) != 1 || s.ID == "" || s.Live() {
					b.Errorf("service %+v", s)
				}
			}
			if !slices.Equal(cycles, []order.Cycle{order.Monthly, order.Annually}) {
				b.Errorf("services are %v, not in the order of the lines", cycles)
			}
			if got := b.marked(); !slices.Equal(got, []string{id}) {
				b.Errorf("marked %v", got)
			}
		}},
		{"add/one effect is one request", func(b *billing) {
			b.Lose("AddOrder", false)
			_, err := b.add()
			outcome[*fault.Unsure](b, err, fault.Retryable, fault.Unknown, fault.Config)
			if n := b.Received("AddOrder"); n != 1 {
				b.Errorf("%d requests", n)
			}
		}},
		{"add/an answer lost after the work is unsure, and the order is found", func(b *billing) {
			b.Lose("AddOrder", true)
			_, err := b.add()
			outcome[*fault.Unsure](b, err, fault.Retryable, fault.Unknown, fault.Config)
			if got := b.marked(); len(got) != 1 {
				b.Errorf("marked %v", got)
			}
		}},
		{"add/an answer lost before the work is unsure, and nothing is found", func(b *billing) {
			b.Lose("AddOrder", false)
			_, err := b.add()
			outcome[*fault.Unsure](b, err, fault.Retryable, fault.Unknown, fault.Config)
			if got := b.marked(); len(got) != 0 {
				b.Errorf("marked %v", got)
			}
		}},
		{"add/after its window nothing is sent", func(b *billing) {
			_, err := b.Add(b.Context(), order.SendWindow{Until: time.Now().Add(-time.Second), Timeout: time.Minute}, b.id, b.plan(billingClient))
			outcome[*fault.NotSent](b, err, fault.Retryable)
			if n := b.Received("AddOrder"); n != 0 {
				b.Errorf("%d requests", n)
			}
		}},
		{"add/a client that is not there is refused, and nothing is made", func(b *billing) {
			_, err := b.Add(b.Context(), opened(), b.id, b.plan(noClient))
			outcome[*fault.Refused](b, err, fault.Permanent)
			if fault.CodeOf(err) != fault.WHMCSClientNotFound || len(b.marked()) != 0 {
				b.Errorf("%v, marked %v", err, b.marked())
			}
		}},
		{"add/a closed client is refused, and nothing is made", func(b *billing) {
			_, err := b.Add(b.Context(), opened(), b.id, b.plan(closedClient))
			outcome[*fault.Refused](b, err, fault.Permanent)
			if fault.CodeOf(err) != fault.WHMCSClientClosed {
				b.Error(err)
			}
		}},
		{"credentials/refused is the installation's fault, for reads and effects", func(b *billing) {
			b.Refuse(true)
			_, err := b.add()
			outcome[*fault.Refused](b, err, fault.Config)
			if err := b.Probe(b.Context()); fault.KindOf(err) != fault.Config {
				b.Errorf("probe: %v", err)
			}
			b.Refuse(false)
			if err := b.Probe(b.Context()); err != nil {
				b.Errorf("probe: %v", err)
			}
			if got := b.marked(); len(got) != 0 {
				b.Errorf("marked %v", got)
			}
		}},
		{"accept/the services are built, once", func(b *billing) {
			id := b.made()
			if err := b.Accept(b.Context(), opened(), id); err != nil {
				b.Fatal(err)
			}
			o := b.read(id)
			if o.Status != order.BillingActive || slices.ContainsFunc(o.Services, func(s order.BillingService) bool { return !s.Live() }) {
				b.Errorf("order %+v", o)
			}
			err := b.Accept(b.Context(), opened(), id)
			outcome[*fault.Refused](b, err, fault.StateChanged.Kind())
			if fault.CodeOf(err) != fault.StateChanged {
				b.Error(err)
			}
		}},
		{"accept/a lost answer is unsure, and a read shows what happened", func(b *billing) {
			id := b.made()
			b.Lose("AcceptOrder", true)
			outcome[*fault.Unsure](b, b.Accept(b.Context(), opened(), id), fault.Retryable, fault.Unknown, fault.Config)
			if o := b.read(id); o.Status != order.BillingActive || b.Received("AcceptOrder") != 1 {
				b.Errorf("order %+v after %d requests", o, b.Received("AcceptOrder"))
			}
		}},
		{"accept/a module's failure is refused with its text", func(b *billing) {
			id := b.made()
			b.FailModule("no free server", false)
			err := b.Accept(b.Context(), opened(), id)
			outcome[*fault.Refused](b, err, fault.Permanent)
			if fault.CodeOf(err) != fault.ModuleFailed || !strings.Contains(fault.TextOf(err), "no free server") {
				b.Error(err)
			}
		}},
		{"accept/a module's failure behind a success is read from its queue", func(b *billing) {
			id := b.made()
			b.FailModule("no free server", true)
			if err := b.Accept(b.Context(), opened(), id); err != nil {
				b.Fatal(err)
			}
			var ids []string
			for _, s := range b.read(id).Services {
				ids = append(ids, s.ID)
			}
			failed, err := b.ModuleFailures(b.Context(), ids)
			if err != nil || len(failed) == 0 {
				b.Errorf("failures %v, %v", failed, err)
			}
			for service, text := range failed {
				if !slices.Contains(ids, service) || !strings.Contains(text, "no free server") {
					b.Errorf("failures %v", failed)
				}
			}
		}},
		{"reads/what is not there is no error", func(b *billing) {
			if _, ok, err := b.Order(b.Context(), "999999", billingClient); ok || err != nil {
				b.Errorf("an order that is not there: %t, %v", ok, err)
			}
			found, err := b.Products(b.Context(), []int64{billingProduct, noProduct})
			if _, there := found[noProduct]; err != nil || there || len(found) != 1 {
				b.Errorf("products %v, %v", found, err)
			}
			if failed, err := b.ModuleFailures(b.Context(), nil); err != nil || len(failed) != 0 {
				b.Errorf("failures %v, %v", failed, err)
			}
			if got := b.marked(); len(got) != 0 {
				b.Errorf("marked %v", got)
			}
		}},
		{"reads/clients have their codes", func(b *billing) {
			for client, want := range map[int64]fault.Code{billingClient: "", closedClient: fault.WHMCSClientClosed, noClient: fault.WHMCSClientNotFound} {
				if err := b.Client(b.Context(), client); fault.CodeOf(err) != want {
					b.Errorf("client %d: %v, want %q", client, err, want)
				}
			}
		}},
		{"reads/a cancelled order is dead and still found", func(b *billing) {
			id := b.made()
			b.Cancel(id)
			if o := b.read(id); !o.Status.Dead() || !o.Marker.Names(b.id) {
				b.Errorf("order %+v", o)
			}
			if got := b.marked(); !slices.Equal(got, []string{id}) {
				b.Errorf("marked %v", got)
			}
		}},
		{"reads/the newest order is known, and each later one has a higher id", func(b *billing) {
			first := b.made()
			newest, err := b.Newest(b.Context())
			if err != nil || strconv.FormatInt(newest, 10) != first {
				b.Errorf("newest %d, %v, want %s", newest, err, first)
			}
			second := b.made()
			if n, err := strconv.ParseInt(second, 10, 64); err != nil || n <= newest {
				b.Errorf("a later order is %s", second)
			}
			if got := b.marked(); !slices.Equal(got, []string{first, second}) {
				b.Errorf("marked %v", got)
			}
		}},
	}
}
