package provision_test

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// A failing seed is replayed by
//
//	go test ./shared/provision -run TestSimulation -sim.seed N
var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this one seed of the simulation and print its history")
	simCount = flag.Int("sim.orders", 100_000, "how many orders the simulation carries")
)

const ordersPerRun = 5

// verdict runs one seed to its end and returns what is wrong with it.
func verdict(seed uint64, opt simOptions) (wrong []string, w *world) {
	if opt.orders == 0 {
		opt.orders = ordersPerRun
	}
	w = newWorld(seed, opt)
	w.start()
	w.run() // until nothing is left to happen, WHMCS's late runs included
	for _, id := range w.ids {
		wrong = append(wrong, w.judge(id)...)
	}
	if !opt.broken() { // else "two orders" is what must be shown
		wrong = append(wrong, w.wrong...)
	}
	return wrong, w
}

// judge checks the whole-state invariants of one order.
func (w *world) judge(id order.ID) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)+" "+id.String()) }
	rec, ok := w.get(id)
	if !ok {
		say("lost: no item")
		return wrong
	}
	var mine []*booked
	for _, b := range w.books {
		if b.sf == id {
			mine = append(mine, b)
		}
	}
	f := w.seen[id]
	wrong = append(wrong, f.zombie...)
	if len(mine) > 1 {
		say("two orders: %d WHMCS orders", len(mine))
	}
	for _, b := range mine {
		if b.runs > 1+f.consents {
			say("module twice: %d runs, %d consents", b.runs, f.consents)
		}
	}
	switch named := w.find(rec.WHMCSOrderID); {
	case rec.State == order.Provisioned && rec.Word.Named() && named != nil && named.sf != id && order.ReadMarker(named.notes).MayName(id):
		// A person named an order whose marker had been removed: nothing in WHMCS
		// can show that it is another one's.
		return wrong
	}
	switch rec.State {
	case order.Provisioned:
		if len(mine) != 1 || !mine[0].live || mine[0].id != rec.WHMCSOrderID {
			say("provisioned without exactly one active order")
		}
		if len(rec.ServiceIDs["a"]) != 1 || len(rec.ServiceIDs["b"]) != 3 {
			say("provisioned without its service ids: %v", rec.ServiceIDs)
		}
	case order.Failed:
		info := rec.ErrorCode.Info()
		if !rec.ErrorCode.Listed() || rec.ErrorMessage == "" {
			say("failed without a code and a text: %q", rec.ErrorCode)
		}
		if !info.Review && len(mine) > 0 {
			say("plain failure %s, but something was made", rec.ErrorCode)
		}
		if info.Review && len(rec.ErrorCode.OnCall(string(rec.RecoveryPoint)).Steps) == 0 {
			say("no guide for %s at %s", rec.ErrorCode, rec.RecoveryPoint)
		}
		if info.Review && !rec.ExpiresAt.IsZero() {
			say("an outcome to review will be forgotten")
		}
	default:
		say("stuck: %s at %s, due %s", rec.State, rec.RecoveryPoint, rec.DueAt)
	}
	if rec.State.Open() == rec.DueAt.IsZero() {
		say("due and state disagree: %s, due %s", rec.State, rec.DueAt)
	}
	if n := len(rec.History); n < 2 {
		say("the history has %d entries", n)
	}
	return wrong
}

// sweep runs seeds from first on until n orders are done, on all cores; it
// returns the first seed that broke an invariant.
func sweep(first uint64, n int, opt simOptions) (bad uint64, wrong []string, states map[string]int) {
	var mu sync.Mutex
	states = map[string]int{}
	var next atomic.Uint64
	next.Store(first)
	last := first + uint64(n/ordersPerRun)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				mu.Lock()
				stop := len(wrong) > 0
				mu.Unlock()
				if stop || seed >= last {
					return
				}
				found, w := verdict(seed, opt)
				mu.Lock()
				if len(found) > 0 && (len(wrong) == 0 || seed < bad) {
					bad, wrong = seed, found
				}
				for _, id := range w.ids {
					rec, _ := w.get(id)
					states[string(rec.State)+" "+string(rec.ErrorCode)]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return bad, wrong, states
}

func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		wrong, w := verdict(*simSeed, simOptions{})
		for _, id := range w.ids {
			t.Log(timeline(w, id))
		}
		for _, s := range wrong {
			t.Error(s)
		}
		return
	}
	bad, wrong, states := sweep(1, *simCount, simOptions{})
	if len(wrong) > 0 {
		t.Errorf("seed %d: %s\nreplay: go test ./shared/provision -run TestSimulation -v -sim.seed %d", bad, strings.Join(wrong, "; "), bad)
	}
	t.Logf("ends of %d orders: %v", *simCount, states)
	// A simulation in which nothing goes wrong, or nothing ends well, proves nothing.
	for _, end := range []string{"provisioned ", "failed " + string(fault.ModuleFailed), "failed " + string(fault.AcceptOutcomeUnknown), "failed " + string(fault.WHMCSRejected)} {
		if states[end] == 0 {
			t.Errorf("no order ended %q: the simulation does not reach it", end)
		}
	}
}

// The same in a storm, where several things go wrong at once.
func TestSimulationInAStorm(t *testing.T) {
	bad, wrong, states := sweep(1, *simCount/10, simOptions{storm: true, settle: 180 * time.Second})
	if len(wrong) > 0 {
		t.Errorf("seed %d: %s", bad, strings.Join(wrong, "; "))
	}
	t.Logf("ends: %v", states)
}

func TestCalmSimulationProvisionsEverything(t *testing.T) {
	_, wrong, states := sweep(1, 500, simOptions{calm: true})
	if len(wrong) > 0 || states["provisioned "] != 500 {
		t.Errorf("%v %v", wrong, states)
	}
}

// Each safeguard, switched off alone, must make the simulation fail; so must
// each assumption that two orders rest on. If one of these finds nothing, the
// safeguard is not needed, or the simulation does not see what it is for.
func TestEverySafeguardIsNeeded(t *testing.T) {
	const most = 100_000
	for name, c := range map[string]struct {
		opt  simOptions
		want string
	}{
		"settle":                       {simOptions{noSettle: true}, "two orders"},
		"stamp before the second send": {simOptions{noStamp: true}, "two orders"},
		"gate":                         {simOptions{noGate: true}, "two orders"},
		"look only after settle":       {simOptions{earlySearch: 170 * time.Second, settle: 180 * time.Second, storm: true}, "two orders"},
		"fence":                        {simOptions{noFence: true}, ""},
		"A1, clocks that agree":        {simOptions{skew: 10 * time.Minute}, "two orders"},
		"A3, a bound on WHMCS's run":   {simOptions{slowAdd: true}, "two orders"},
	} {
		t.Run(name, func(t *testing.T) {
			bad, wrong, _ := sweep(1, most, c.opt)
			if len(wrong) == 0 {
				t.Fatalf("%d orders without it, and nothing went wrong", most)
			}
			if all := strings.Join(wrong, "; "); !strings.Contains(all, c.want) {
				t.Errorf("seed %d: %s; want %q", bad, all, c.want)
			}
		})
	}
}

// With ask no second AddOrder is ever sent, so the bound on WHMCS's run (A3)
// is not needed for "never two"; a person who says that there is none while
// AddOrder runs on needs it.
func TestAskNeedsNoBound(t *testing.T) {
	if bad, wrong, _ := sweep(1, 10_000, simOptions{ask: true, slowAdd: true, noWord: true}); len(wrong) > 0 {
		t.Errorf("seed %d: %s", bad, strings.Join(wrong, "; "))
	}
}

func timeline(w *world, id order.ID) string {
	rec, _ := w.get(id)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s at %s %s adds %d accepts %d\n", id, rec.State, rec.RecoveryPoint, rec.ErrorCode, rec.Add.Count, rec.Accept.Count)
	for _, e := range rec.History {
		fmt.Fprintf(&b, "  %10s %-14s %s\n", e.At.Sub(epoch).Round(time.Millisecond), e.Event, e.Detail)
	}
	for _, k := range w.books {
		if k.sf == id {
			fmt.Fprintf(&b, "  WHMCS %s made %s status %s runs %d\n", k.id, k.made.Sub(epoch).Round(time.Millisecond), k.status, k.runs)
		}
	}
	return b.String()
}
