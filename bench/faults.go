package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// The faults, each once in the life of an order, at its AddOrder.
const (
	faultNone       = "none"
	faultKillBefore = "killed before the effect"
	faultKillAfter  = "killed after it"
	faultLostReply  = "reply lost"
	faultTimeout    = "time-out"
	faultFrozen     = "worker frozen 10 min"
)

func faults() []string {
	return []string{faultKillBefore, faultKillAfter, faultLostReply, faultTimeout, faultFrozen}
}

// Times are scaled down: 10 minutes are frozenFor. A function may run longer
// than that, so that a frozen worker wakes.
const (
	ordersPerCell = 10
	frozenFor     = 15 * time.Second
	trialTimeout  = 22 * time.Second
	againEvery    = time.Second     // somebody clicks again, or a message comes again
	giveUpAfter   = 5 * time.Minute // what has not ended by then needs a person
)

// The same for the functions: the proportions of our own times are those of the
// defaults as far as whole seconds go; a lock of 60 s is one of 2 s.
func scaledTimes() map[string]string {
	return map[string]string{
		"WHMCS_READ_TIMEOUT": "3", "WHMCS_ADD_TIMEOUT": "3", "WHMCS_ACCEPT_TIMEOUT": "3", "WHMCS_SETTLE": "5", "WHMCS_ACCEPT_SETTLE": "6",
		"PROVISION_LEASE": "6", "SEND_WINDOW": "1", "CLOCK_MARGIN": "2", "RETRY_BASE": "1", "LOCK_SECONDS": "2",
	}
}

// cellResult is what became of the orders of one cell.
type cellResult struct {
	Contestant  string `json:"contestant"`
	Fault       string `json:"fault"`
	Orders      int    `json:"orders"`
	Struck      int    `json:"struck"`      // orders that met the fault
	WHMCSOrders int    `json:"whmcsOrders"` // live ones, in its books
	Ended       int    `json:"ended"`       // orders that ended without a person
}

// gate stands between one order's function and the world, and strikes once.
type gate struct {
	next   http.Handler
	fault  string
	point  string // the kind of call at whose reply a worker is frozen
	kill   func()
	freeze func()

	mu     sync.Mutex
	struck bool
	frozen chan struct{}
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller died while it spoke
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	strike := g.strikes(kindOf(r, body))
	switch {
	case !strike:
		g.next.ServeHTTP(w, r)
		return
	case g.fault == faultKillBefore:
		g.kill()
		panic(http.ErrAbortHandler)
	case g.fault == faultFrozen:
		g.freeze() // before the call is carried out: no time-out of the caller passes meanwhile
	}
	reply := httptest.NewRecorder()
	g.next.ServeHTTP(reply, r)
	switch g.fault {
	case faultKillAfter:
		g.kill()
		panic(http.ErrAbortHandler)
	case faultLostReply:
		panic(http.ErrAbortHandler)
	case faultTimeout:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	close(g.frozen)
	for name, values := range reply.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.Code)
	_, _ = w.Write(reply.Body.Bytes()) // a frozen caller reads it when it wakes
}

// Kinds of calls. A worker is frozen at the answer to the last one before its
// AddOrder on which it waits: ours at the write that says that the effect may
// leave, the others at Salesforce's.
const (
	callAdd   = "AddOrder"
	callQuery = "query"
	callStamp = "stamp"
)

// kindOf names the kind of a call; "" is any other.
func kindOf(r *http.Request, body []byte) string {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_") {
		return map[bool]string{true: callStamp}[bytes.Contains(body, []byte(`"`+order.PointAdding+`"`))]
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("action") == callAdd {
		return callAdd
	}
	return map[bool]string{true: callQuery}[strings.HasSuffix(r.URL.Path, "/query")]
}

// strikes says whether the fault comes at this call, the first of its place.
func (g *gate) strikes(kind string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	here := kind == callAdd
	if g.fault == faultFrozen {
		here = kind == g.point
	}
	if g.fault == faultNone || g.struck || !here {
		return false
	}
	g.struck = true
	return true
}

// end says how far a delivery brought an order.
type end int

const (
	endAgain  end = iota // it is to be delivered again
	endDone              // it ended well
	endPerson            // it ended, and a person must look
)

// trial is one order of one contestant.
type trial struct {
	id       order.ID
	function string
	gate     *gate
	server   *httptest.Server
	deliver  func(ctx context.Context, t *trial) end
	// alone: nothing is delivered while a delivery goes on.
	alone bool
	after time.Duration // when it is delivered first
	last  string        // what the last delivery found, for an order that does not end well
}

// run delivers until the order has ended.
func (t *trial) run(ctx context.Context, resume func()) end {
	ctx, cancel := context.WithTimeout(ctx, giveUpAfter)
	defer cancel()
	first := make(chan end, 1)
	go func() { first <- t.deliver(ctx, t) }()
	reached := endAgain
	select {
	case reached = <-first:
	case <-t.gate.frozen:
		wake := time.After(frozenFor)
		for waking := true; waking; {
			select {
			case <-wake:
				waking = false
			case <-time.After(againEvery):
				if reached == endAgain && !t.alone {
					reached = t.deliver(ctx, t)
				}
			}
		}
		resume()
		if r := <-first; reached == endAgain {
			reached = r
		}
	case <-ctx.Done():
	}
	for reached == endAgain && ctx.Err() == nil {
		select {
		case <-time.After(againEvery):
			reached = t.deliver(ctx, t)
		case <-ctx.Done():
		}
	}
	return reached
}

// trier puts contestants under faults.
type trier struct {
	o      options
	events events
	boots  chan struct{} // how many processes may start at once
	say    func(format string, args ...any)
}

// faultTable runs every contestant under every fault.
func faultTable(ctx context.Context, o options, say func(string, ...any)) (all []cellResult, err error) {
	t := &trier{o: o, boots: make(chan struct{}, 2), say: say}
	if t.events, err = readEvents(o.root); err != nil {
		return nil, err
	}
	for _, name := range t.names() {
		say("faults: %s", name)
		var wait sync.WaitGroup
		cells, errs := make([]cellResult, len(faults())), make([]error, len(faults()))
		for i, fault := range faults() {
			wait.Go(func() {
				cells[i], errs[i] = t.cell(ctx, name, fault)
			})
		}
		wait.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		all = append(all, cells...)
	}
	return all, nil
}

// broken says in which cells this system did not bring every order to its end,
// once.
func broken(cells []cellResult) error {
	var all []error
	for _, c := range cells {
		if c.Contestant == ours && (c.WHMCSOrders != c.Orders || c.Ended != c.Orders || c.Struck != c.Orders) {
			all = append(all, fmt.Errorf("%s: %d WHMCS orders for %d, %d ended without a person, %d met the fault; see which above", c.Fault, c.WHMCSOrders, c.Orders, c.Ended, c.Struck))
		}
	}
	return errors.Join(all...)
}

const rawCalls = "raw calls in Go"

func (t *trier) names() []string {
	all := []string{ours, rawCalls}
	if t.o.rivals != "" {
		for _, r := range rivalsUnderFaults() {
			all = append(all, r.name)
		}
	}
	return all
}

// rivalsUnderFaults adds the other way to use the durable SDK.
func rivalsUnderFaults() []rival {
	all := rivals()
	once := all[len(all)-1]
	once.name += ", effects once and not tried again"
	once.env = map[string]string{"SEMANTICS": "once"}
	return append(all, once)
}

// cell is one contestant under one fault, in a world of its own.
func (t *trier) cell(ctx context.Context, name, fault string) (c cellResult, err error) {
	w, err := newWorld(ctx, t.o.template, filepath.Join(t.o.work, "faults", strings.NewReplacer(" ", "-", ",", "").Replace(name+fault)))
	if err != nil {
		return c, err
	}
	defer w.close()
	if t.o.rivals != "" && strings.HasPrefix(name, "NestJS") {
		if w.redis, err = startRedis(); err != nil {
			return c, err
		}
	}
	b := &bench{world: w, say: t.say}
	var trials []*trial
	for i := range ordersPerCell + others {
		meets, after := fault, time.Duration(0)
		if i >= ordersPerCell {
			meets, after = faultNone, time.Duration(i-ordersPerCell+1)*otherEvery
		}
		one, err := t.trial(ctx, b, name, meets, i)
		if err != nil {
			return c, err
		}
		one.after = after
		defer one.server.Close()
		defer one.server.CloseClientConnections()
		trials = append(trials, one)
	}
	c = cellResult{Contestant: name, Fault: fault, Orders: ordersPerCell}
	var wait sync.WaitGroup
	ends := make([]end, len(trials))
	for i, one := range trials {
		wait.Go(func() {
			time.Sleep(one.after)
			t.boots <- struct{}{}
			_ = w.host.Warm(ctx, one.function) // one that does not start in time is started by its first delivery
			<-t.boots
			ends[i] = one.run(ctx, func() { signalAll(w.host.Pids(one.function), syscall.SIGCONT) })
		})
	}
	wait.Wait()
	counted := map[string]bool{}
	for i, one := range trials[:ordersPerCell] {
		counted[one.id.String()] = true
		if one.gate.struck {
			c.Struck++
		}
		if ends[i] == endDone {
			c.Ended++
			continue
		}
		if name == ours {
			t.say("%s: order %s did not end without a person: %s; its log ends:\n%s", fault, one.id, one.last, w.logs.tail(one.function))
		}
	}
	for _, o := range w.whmcs.Orders() {
		if o.Live() && counted[o.Salesforce] {
			c.WHMCSOrders++
		}
	}
	return c, ctx.Err()
}

// An installation has orders that meet no fault: so many in a cell, this far
// apart.
const (
	others     = 5
	otherEvery = 4 * time.Second
)

func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // one that is gone needs none
	}
}

// trial makes a function of its own for one order, behind a gate of its own.
func (t *trier) trial(ctx context.Context, b *bench, name, fault string, i int) (*trial, error) {
	id, err := b.nextOrder()
	if err != nil {
		return nil, err
	}
	one := &trial{id: id, function: fmt.Sprintf("trial-%d", i)}
	one.gate = &gate{next: b.services(), fault: fault, point: callQuery, frozen: make(chan struct{})}
	one.gate.kill = func() { _, _ = b.host.Kill(one.function) } // it is known
	one.gate.freeze = func() { signalAll(b.host.Pids(one.function), syscall.SIGSTOP) }
	one.server = httptest.NewServer(one.gate)
	p, err := t.program(ctx, b, name, one)
	if err != nil {
		return nil, err
	}
	p.name, p.timeout = one.function, trialTimeout
	for k, v := range scaledTimes() {
		p.env[k] = v
	}
	p.env["WHMCS_API_URL"], p.env["SF_LOGIN_URL"] = one.server.URL, one.server.URL
	p.aws = one.server.URL
	return one, b.add(p, nil)
}

// program returns what a contestant runs, and says how an order is delivered to
// it.
func (t *trier) program(ctx context.Context, b *bench, name string, one *trial) (program, error) {
	switch name {
	case ours:
		return t.ourProgram(ctx, b, one)
	case rawCalls:
		one.deliver = t.click(b)
		return b.floorProgram(t.o.bin, "", "order"), nil
	}
	for _, r := range rivalsUnderFaults() {
		if r.name != name {
			continue
		}
		one.deliver = t.click(b)
		if r.durable {
			one.deliver, one.alone = t.execute(b), true
		}
		return b.rivalProgram(t.o.rivals, r, "order"), nil
	}
	return program{}, fmt.Errorf("no contestant is called %s", name)
}

// ourProgram records the callout by fulfill, which meets no fault, and lets hints
// come to provision.
func (t *trier) ourProgram(ctx context.Context, b *bench, one *trial) (program, error) {
	one.gate.point = callStamp
	table, err := store.New(dynamodb.NewFromConfig(b.config()), b.model.Tables[0].Name)
	if err != nil {
		return program{}, fmt.Errorf("open table: %w", err)
	}
	recorder := b.own(t.o.bin, "fulfill")
	recorder.name = one.function + "-recorder"
	if err := b.add(recorder, nil); err != nil {
		return program{}, err
	}
	if _, err := b.invoke(ctx, contestant{name: ours, steps: []step{{recorder.name, t.events.clicked, succeeded}}}, one.id, same); err != nil {
		return program{}, err
	}
	one.deliver = func(ctx context.Context, one *trial) end {
		if event, err := t.events.hinted(one.id); err == nil {
			_, _ = b.host.Invoke(ctx, one.function, event) // what it did is in the table
		}
		rec, _, err := table.Get(ctx, one.id)
		one.last = fmt.Sprintf("%s at %s, %s, told %v, due in %v", rec.State, rec.RecoveryPoint, rec.ErrorCode, rec.Told, time.Until(rec.DueAt).Round(time.Second))
		switch {
		case err == nil && rec.State == order.Provisioned:
			return endDone
		case err == nil && rec.State == order.Failed:
			return endPerson
		}
		return endAgain
	}
	return b.own(t.o.bin, "provision"), nil
}

// click delivers one more callout; an answer of 2xx is the end.
func (t *trier) click(b *bench) func(context.Context, *trial) end {
	return func(ctx context.Context, one *trial) end {
		event, err := t.events.clicked(one.id)
		if err != nil {
			return endPerson
		}
		answer, err := b.host.Invoke(ctx, one.function, event)
		if err == nil && succeeded(answer) == nil {
			return endDone
		}
		return endAgain
	}
}

// execute is the service of durable executions: it invokes until the execution
// has ended.
func (t *trier) execute(b *bench) func(context.Context, *trial) end {
	return func(ctx context.Context, one *trial) end {
		event, err := b.durably(one.function, t.events)(one.id)
		if err != nil {
			return endPerson
		}
		answer, err := b.host.Invoke(ctx, one.function, event)
		if err != nil {
			return endAgain
		}
		switch durableStatus(answer) {
		case durableSucceeded:
			return endDone
		case durableFailed:
			return endPerson
		}
		return endAgain
	}
}
