package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/store"
)

var operations = flag.Int("operations", 1000, "calls of the histories that porcupine judges")

const (
	// callsOfAnOrder is the length of one order's history: a long one has too
	// many explanations to be judged.
	callsOfAnOrder = 70
	ordersAtOnce   = 4
	judgeFor       = 2 * time.Minute
	// The clock of the histories moves by up to maxTick with each call. No nonce
	// is forgotten within one history, and leases run out often.
	maxTick  = 4 * time.Second
	leaseFor = 10 * time.Second
	margin   = 5 * time.Second
)

// Clicks, resolves, reads and workers' writes at once, by clients that are killed
// before or after their request, whose requests are sent twice, or arrive after
// others: porcupine finds an order of the calls in which a simple model of an
// order (booked) gives each answer.
func TestHistoriesOfTheTableAreLinearizable(t *testing.T) {
	for _, e := range endpoints(t) {
		t.Run(e.name, func(t *testing.T) {
			table := e.table(t)
			judge(t, func(r *rand.Rand) history {
				late := &lateRequests{}
				return history{late: late, open: func(r *rand.Rand) historyStore {
					return with(t, &unreliable{Client: e.client, r: r, late: late}, table)
				}}
			})
		})
	}
}

func TestHistoriesOfTheMemoryAreLinearizable(t *testing.T) {
	memory := provisiontest.NewMemory()
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(1, 2))
	kills := func(ctx context.Context, op provisiontest.Op, share float64, applied bool) error {
		runtime.Gosched() // or one caller makes all its calls before the next begins
		mu.Lock()
		defer mu.Unlock()
		if !op.Read && r.Float64() < share {
			return killed(ctx, applied)
		}
		return nil
	}
	memory.Before = func(ctx context.Context, op provisiontest.Op) error { return kills(ctx, op, killBefore, false) }
	memory.After = func(ctx context.Context, op provisiontest.Op, _ order.Record, err error) error {
		return kills(ctx, op, killAfter, err == nil)
	}
	judge(t, func(*rand.Rand) history {
		return history{open: func(*rand.Rand) historyStore { return memory }}
	})
}

// A history that no order of the calls explains is refused: of two clicks that
// both found no order, of a lost update, and of a read that shows an old state.
func TestWrongHistoriesAreRefused(t *testing.T) {
	click := func(nonce int, key byte) call { return call{Kind: "click", Nonce: nonce, Key: key, Now: 1000} }
	got := func(met string, version int64) reply {
		return reply{Met: met, State: order.Queued, Version: version, Fence: 0}
	}
	read := func(exists bool, version int64) reply {
		return reply{Met: "ok", Exists: exists, State: order.Queued, Version: version, Seq: 1000, Keys: "a"}
	}
	for _, c := range []struct {
		name string
		want porcupine.CheckResult
		ops  []porcupine.Operation
	}{
		{"one click, then a read", porcupine.Ok, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 2}, {Input: call{Kind: "get"}, Output: read(true, 1), Call: 3, Return: 4}}},
		{"a read beside the click may miss it", porcupine.Ok, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 4}, {Input: call{Kind: "get"}, Output: reply{Met: "ok"}, Call: 2, Return: 3}}},
		{"a killed click that a read shows", porcupine.Ok, []porcupine.Operation{
			{Input: click(1, 'a'), Output: reply{Met: unknown}, Call: 1, Return: 2}, {Input: call{Kind: "get"}, Output: read(true, 1), Call: 3, Return: 4}}},
		{"a read after the click misses it", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 2}, {Input: call{Kind: "get"}, Output: reply{Met: "ok"}, Call: 3, Return: 4}}},
		{"a killed click arrived, and changed nothing", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: reply{Met: unknown}, Call: 1, Return: 2}, {Input: call{Kind: "get"}, Output: reply{Met: "ok"}, Call: 3, Return: 4}}},
		{"two clicks create", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 4}, {Input: click(2, 'b'), Output: got("created", 1), Call: 2, Return: 3}}},
		{"one of two updates is lost", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 2},
			{Input: click(2, 'b'), Output: got("open", 2), Call: 3, Return: 6}, {Input: click(3, 'c'), Output: got("open", 2), Call: 4, Return: 5}}},
		{"a replay is recorded", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 2}, {Input: click(1, 'b'), Output: got("open", 2), Call: 3, Return: 4}}},
		{"two workers have one lease", porcupine.Illegal, []porcupine.Operation{
			{Input: click(1, 'a'), Output: got("created", 1), Call: 1, Return: 2},
			{Input: call{Kind: "lease", Token: "x", Now: 2000, Until: 22000}, Output: reply{Met: "ok", State: order.Working, Version: 2, Fence: 1}, Call: 3, Return: 6},
			{Input: call{Kind: "lease", Token: "y", Now: 2000, Until: 22000}, Output: reply{Met: "ok", State: order.Working, Version: 3, Fence: 2}, Call: 4, Return: 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperationsTimeout(model, c.ops, judgeFor); got != c.want {
				t.Errorf("porcupine says %s, want %s", got, c.want)
			}
		})
	}
}

// judge makes the histories, some orders at once, and has porcupine judge each.
func judge(t *testing.T, begin func(*rand.Rand) history) {
	t.Helper()
	orders := max(1, *operations/callsOfAnOrder)
	var mu sync.Mutex
	met := map[string]int{} // how often each answer was given
	tokens := make(chan struct{}, ordersAtOnce)
	var all sync.WaitGroup
	for k := range orders {
		tokens <- struct{}{}
		all.Go(func() {
			defer func() { <-tokens }()
			h := begin(rand.New(rand.NewPCG(uint64(k), 0)))
			h.id, h.seed = id(t, k+1), uint64(k)
			h.run()
			mu.Lock()
			for _, op := range h.ops {
				met[answerOf(op)]++
			}
			mu.Unlock()
			result, info := porcupine.CheckOperationsVerbose(model, h.ops, judgeFor)
			if result == porcupine.Ok {
				return
			}
			path := filepath.Join(t.ArtifactDir(), h.id.String()+".html")
			if err := porcupine.VisualizePath(model, info, path); err != nil {
				t.Error(err)
			}
			t.Errorf("porcupine says %s of the %d calls of order %s: see %s (go test -artifacts keeps it)", result, len(h.ops), h.id, path)
		})
	}
	all.Wait()
	t.Logf("%d orders, answers: %v", orders, met)
}

func answerOf(op porcupine.Operation) string {
	in, _ := op.Input.(call)    //nolint:errcheck // a history holds nothing else
	out, _ := op.Output.(reply) //nolint:errcheck // a history holds nothing else
	return in.Kind + ":" + out.Met
}

// historyStore is what the clients of a history call.
type historyStore interface {
	Claim(ctx context.Context, c order.Claim) (order.Claimed, error)
	Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error)
	Write(ctx context.Context, s order.Step) (order.Record, error)
	Resolve(ctx context.Context, d order.Resolution) (order.Record, error)
}

// history is the calls on one order.
type history struct {
	id   order.ID
	seed uint64
	open func(*rand.Rand) historyStore // a client of its own for each caller
	late *lateRequests                 // nil: none arrives late

	event  atomic.Int64 // numbers the calls and the returns
	now    atomic.Int64 // ms
	mu     sync.Mutex
	ops    []porcupine.Operation
	fates  []*fate // of each of ops
	nonces int     // that were used
}

// run lets the callers call, and reads the order once they have ended.
func (h *history) run() {
	h.now.Store(epoch.UnixMilli())
	var all sync.WaitGroup
	callers := []func(*caller){(*caller).click, (*caller).click, (*caller).click, (*caller).resolve, (*caller).read, (*caller).work, (*caller).work}
	for client, work := range callers {
		r := rand.New(rand.NewPCG(h.seed, uint64(client)))
		c := &caller{history: h, r: r, store: h.open(r), client: client}
		all.Go(func() {
			for range callsOfAnOrder / len(callers) {
				work(c)
			}
		})
	}
	all.Wait()
	if h.late != nil {
		h.late.send()
	}
	last := &caller{history: h, client: len(callers)}
	last.store = h.open(rand.New(rand.NewPCG(h.seed, uint64(last.client))))
	last.read()
	h.settle()
	h.markAlone()
}

// settle says when the calls of killed clients took effect, which the network
// knows, and leaves out those that took none: no later answer may depend on them.
func (h *history) settle() {
	for i, f := range h.fates {
		if f.killed {
			h.ops[i].Output, h.ops[i].Return = reply{Met: unknown}, f.arrived
		}
	}
	h.ops = slices.DeleteFunc(h.ops, func(op porcupine.Operation) bool { return op.Return == 0 })
}

// markAlone notes which calls met no other one: those have no excuse for a
// refusal that only a change meanwhile explains.
func (h *history) markAlone() {
	for i := range h.ops {
		in, ok := h.ops[i].Input.(call)
		if !ok {
			continue
		}
		in.Alone = !slices.ContainsFunc(h.ops, func(o porcupine.Operation) bool {
			return o.Call != h.ops[i].Call && o.Call < h.ops[i].Return && o.Return > h.ops[i].Call
		})
		h.ops[i].Input = in
	}
}

// caller is one client: a browser's click, an operator, the portal, a worker.
type caller struct {
	*history
	r      *rand.Rand
	store  historyStore
	client int
	held   order.Record // the last image of a worker's own lease; it may be long lost
}

// unknown is the answer to a client that was killed after, or before, its
// request took effect.
const unknown = "unknown"

// calls makes one call and notes it.
func (c *caller) calls(in call, do func(ctx context.Context) (reply, error)) reply {
	was := &fate{event: &c.event}
	ctx := context.WithValue(context.Background(), fateKey{}, was)
	begun := c.event.Add(1)
	out, err := do(ctx)
	returned := c.event.Add(1)
	switch code := fault.CodeOf(err); code {
	case "":
		if out.Met == "" {
			out.Met = "ok"
		}
		// The image that tells a repeated request of its success may be a later one.
		out.Later = was.repeated
	case fault.StoreUnavailable, fault.TryAgain:
		out = reply{Met: unknown} // settle says when
	default:
		out = reply{Met: string(code)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops = append(c.ops, porcupine.Operation{ClientId: c.client, Input: in, Output: out, Call: begun, Return: returned})
	c.fates = append(c.fates, was)
	return out
}

// tick returns the time of the next call, in ms.
func (c *caller) tick() int64 { return c.now.Add(c.r.Int64N(maxTick.Milliseconds())) }

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (c *caller) click() {
	in := call{Kind: "click", Key: 'A' + byte(c.r.IntN(26)), Now: c.tick()}
	in.Signed = in.Now - c.r.Int64N(2*maxTick.Milliseconds())
	c.mu.Lock()
	if in.Nonce = c.nonces; c.nonces > 0 && c.r.IntN(10) == 0 {
		in.Nonce = c.r.IntN(c.nonces) // a replay
	} else {
		c.nonces++
	}
	c.mu.Unlock()
	c.calls(in, func(ctx context.Context) (reply, error) {
		got, err := c.store.Claim(ctx, order.Claim{
			ID: c.id, Nonce: fmt.Sprintf("nonce-%d", in.Nonce), NonceExpiry: at(in.Now).Add(time.Hour), Key: string(in.Key), By: order.NewToken(), SignedAt: at(in.Signed), Now: at(in.Now),
		})
		return replyOf(got.Outcome.String(), got.Record), err
	})
}

func (c *caller) resolve() {
	in := call{Kind: "resolve", Way: []string{"retry", "none", "adopt", "stop"}[c.r.IntN(4)], Now: c.tick()}
	s := order.Resolution{ID: c.id, Retry: in.Way == "retry", None: in.Way == "none", Stop: in.Way == "stop", By: "me", Why: "looked", Now: at(in.Now)}
	if in.Way == "adopt" {
		s.Adopt = "78"
	}
	c.calls(in, func(ctx context.Context) (reply, error) {
		got, err := c.store.Resolve(ctx, s)
		return replyOf("", got), err
	})
}

// read reads the whole order, or as the portal does, where the store can.
func (c *caller) read() {
	if portal, ok := c.store.(*store.Store); ok && c.r != nil && c.r.IntN(2) == 0 {
		c.calls(call{Kind: "status"}, func(ctx context.Context) (reply, error) {
			got, err := portal.Progress(ctx, c.id)
			return reply{State: got.State}, err
		})
		return
	}
	c.calls(call{Kind: "get"}, func(ctx context.Context) (reply, error) {
		got, exists, err := c.store.Get(ctx, c.id)
		out := replyOf("", got)
		out.Exists, out.Seq, out.Keys = exists, int64(got.Seq), strings.Join(got.Keys, "")
		return out, err
	})
}

// work is a worker's next call: a lease where it has none, else a write under
// it. Now and then it forgets that it had one, as a worker that was killed.
func (c *caller) work() {
	if c.held.ID.IsZero() || c.r.IntN(8) == 0 {
		now := c.tick()
		l := order.Lease{Token: order.NewToken(), Now: at(now), Until: at(now).Add(leaseFor), Margin: margin}
		c.held = order.Record{}
		c.calls(call{Kind: "lease", Token: string(l.Token), Now: now, Until: l.Until.UnixMilli()}, func(ctx context.Context) (reply, error) {
			got, err := c.store.Lease(ctx, c.id, l)
			c.held = got
			return replyOf("", got), err
		})
		return
	}
	now, to := c.tick(), c.held
	to.State = []order.State{order.Working, order.Working, order.Waiting, order.Failed, order.Failed, order.Failed, order.Provisioned}[c.r.IntN(7)]
	to.LeaseUntil, to.DueAt = at(now).Add(leaseFor), at(now).Add(leaseFor+margin)
	signal := order.SignalStatus
	switch to.State {
	case order.Working:
		signal = order.SignalLease
	case order.Waiting:
		to.DueAt = at(now)
	case order.Failed:
		to.ErrorCode, to.ErrorAt = fault.OrderEmpty, at(now)
	}
	in := call{Kind: "write", Token: string(c.held.Lease), To: to.State, Now: now, Until: to.LeaseUntil.UnixMilli(), Due: to.DueAt.UnixMilli()}
	out := c.calls(in, func(ctx context.Context) (reply, error) {
		got, err := c.store.Write(ctx, order.Step{From: c.held, To: to, Signal: signal, Now: at(now)})
		if err == nil {
			c.held = got
		}
		return replyOf("", got), err
	})
	if out.Met != "ok" || to.State != order.Working {
		c.held = order.Record{}
	}
}

func replyOf(met string, r order.Record) reply {
	return reply{Met: met, State: r.State, Version: r.Version, Fence: int64(r.Fence)}
}

// How often a client is killed before its request leaves and after it has
// arrived, a request is sent twice because its answer was lost, and the request
// of a client that was killed arrives late.
const (
	killBefore = 0.01
	killAfter  = 0.02
	sendTwice  = 0.10
	arriveLate = 0.02
)

type fateKey struct{}

// fate is what became of the requests of one call.
type fate struct {
	event    *atomic.Int64 // of its history
	repeated bool
	killed   bool
	arrived  int64 // when the request of the killed client had taken effect; 0: it took none
}

// took notes that the request of a killed client has taken effect by now, or that
// it was refused.
func (f *fate) took(effect bool) {
	if effect {
		f.arrived = f.event.Add(1)
	}
}

var errKilled = errors.New("killed")

// killed ends the client of the call of ctx.
func killed(ctx context.Context, effect bool) error {
	f := fateOf(ctx)
	f.killed = true
	f.took(effect)
	return errKilled
}

func fateOf(ctx context.Context) *fate {
	f, _ := ctx.Value(fateKey{}).(*fate) //nolint:errcheck // each call has one
	return f
}

// unreliable is the SDK's client of a process that may be killed, over a network
// that loses answers and delays requests.
type unreliable struct {
	store.Client
	r    *rand.Rand // of one caller alone
	late *lateRequests
}

func (u *unreliable) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return sendUnreliably(ctx, u, func(ctx context.Context) (*dynamodb.PutItemOutput, error) { return u.Client.PutItem(ctx, in, o...) })
}

func (u *unreliable) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return sendUnreliably(ctx, u, func(ctx context.Context) (*dynamodb.UpdateItemOutput, error) {
		return u.Client.UpdateItem(ctx, in, o...)
	})
}

func sendUnreliably[T any](ctx context.Context, u *unreliable, send func(context.Context) (T, error)) (out T, err error) {
	if u.late != nil && u.r.IntN(4) == 0 {
		u.late.send()
	}
	switch x := u.r.Float64(); {
	case x < killBefore:
		return out, killed(ctx, false)
	case x < killBefore+killAfter:
		_, err := send(ctx) // its answer is lost
		return out, killed(ctx, err == nil)
	case x < killBefore+killAfter+arriveLate:
		u.late.keep(func() {
			_, err := send(context.WithoutCancel(ctx))
			fateOf(ctx).took(err == nil)
		})
		return out, killed(ctx, false) // until it arrives
	case x < killBefore+killAfter+arriveLate+sendTwice:
		fateOf(ctx).repeated = true
		_, _ = send(ctx) // its answer is lost
	}
	return send(ctx)
}

// lateRequests are requests that are still under way, of clients that were
// killed.
type lateRequests struct {
	mu    sync.Mutex
	sends []func()
}

func (l *lateRequests) keep(send func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sends = append(l.sends, send)
}

// send lets those arrive that are under way.
func (l *lateRequests) send() {
	l.mu.Lock()
	sends := l.sends
	l.sends = nil
	l.mu.Unlock()
	for _, send := range sends {
		send()
	}
}
