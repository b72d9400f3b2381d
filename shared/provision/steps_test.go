package provision_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

// plant is one wrong step: what a write of that kind must not make.
type plant struct {
	name  string
	at    func(from, to order.Record) bool // the writes that it can be planted on
	spoil func(from order.Record, to *order.Record)
}

func last(r order.Record) string {
	if len(r.History) == 0 {
		return ""
	}
	return r.History[len(r.History)-1].Event
}

func logs(names ...string) func(from, to order.Record) bool {
	return func(from, to order.Record) bool {
		return len(to.History) > len(from.History) && slices.Contains(names, last(to))
	}
}

func leased(from, to order.Record) bool { return to.Fence > from.Fence }

func failing(code fault.Code) func(from, to order.Record) bool {
	return func(from, to order.Record) bool { return logs("failed")(from, to) && to.ErrorCode == code }
}

func unsure(from, to order.Record) bool {
	return from.State == order.Working && to.State == order.Waiting && to.RecoveryPoint == order.PointAdding && to.Add.SettledAt.After(to.UpdatedAt)
}

func plants() []plant {
	every := func(from, _ order.Record) bool { return !from.ID.IsZero() }
	addSent, acceptSent, provisioned := logs("add_sending"), logs("accept_sending"), logs("provisioned")
	return []plant{
		{"a stamp left out: AddOrder without its window", addSent, func(_ order.Record, to *order.Record) { to.Add.Until, to.Add.SettledAt = time.Time{}, time.Time{} }},
		{"a stamp left out: AddOrder without its count", addSent, func(from order.Record, to *order.Record) { to.Add.Count = from.Add.Count }},
		{"a stamp that keeps the former window", func(from, to order.Record) bool { return addSent(from, to) && !from.Add.Until.IsZero() },
			func(from order.Record, to *order.Record) {
				to.Add.Until, to.Add.SettledAt = from.Add.Until, from.Add.SettledAt
			}},
		{"AddOrder sent again before the former one has settled", unsure,
			func(_ order.Record, to *order.Record) {
				to.State, to.LeaseUntil, to.Add.Count = order.Working, to.UpdatedAt.Add(time.Minute), to.Add.Count+1
				to.Add.Until, to.Add.SettledAt = to.UpdatedAt.Add(time.Second), to.UpdatedAt.Add(time.Hour)
			}},
		{"AddOrder without a plan", addSent, func(_ order.Record, to *order.Record) { to.Plan = nil }},
		{"the word absent kept over a stamp", addSent, func(_ order.Record, to *order.Record) { to.Word = order.WordAbsent }},
		{"AcceptOrder without its count", acceptSent, func(from order.Record, to *order.Record) { to.Accept.Count = from.Accept.Count }},
		{"AcceptOrder without its settle time", acceptSent, func(_ order.Record, to *order.Record) { to.Accept.SettledAt = time.Time{} }},
		{"AcceptOrder without the services", acceptSent, func(_ order.Record, to *order.Record) { to.ServiceIDs = nil }},
		{"a fence set back", every, func(_ order.Record, to *order.Record) { to.Fence-- }},
		{"a fence raised without a lease", every, func(_ order.Record, to *order.Record) { to.Fence++ }},
		{"a version skipped", every, func(_ order.Record, to *order.Record) { to.Version++ }},
		{"seq set back", every, func(from order.Record, to *order.Record) { to.Seq = from.Seq - 1 }},
		{"seq that stands still on a visible write", provisioned, func(from order.Record, to *order.Record) { to.Seq = from.Seq }},
		{"created_at moved", every, func(_ order.Record, to *order.Record) { to.CreatedAt = to.CreatedAt.Add(time.Second) }},
		{"another account by a lease", leased, func(_ order.Record, to *order.Record) { to.AccountID = "001000000000009AAA" }},
		{"attempts not raised at a lease", leased, func(from order.Record, to *order.Record) { to.Attempts = from.Attempts }},
		{"a lease that is due before its end", leased, func(_ order.Record, to *order.Record) { to.DueAt = to.LeaseUntil.Add(-time.Second) }},
		{"a lease stolen before its end", func(from, to order.Record) bool {
			return from.State == order.Working && to.State == order.Waiting && to.UpdatedAt.Before(from.LeaseUntil)
		}, func(from order.Record, to *order.Record) {
			*to = from.Normal()
			to.Version, to.Fence, to.Attempts, to.Signal, to.Lease = from.Version+1, from.Fence+1, from.Attempts+1, order.SignalLease, "thief"
			to.LeaseUntil = from.LeaseUntil.Add(time.Minute)
			to.DueAt = to.LeaseUntil.Add(time.Second)
		}},
		{"a lease under the former token", leased, func(from order.Record, to *order.Record) { to.Lease = from.Lease }},
		{"due_at missing on an open order", func(_, to order.Record) bool { return to.State.Open() }, func(_ order.Record, to *order.Record) { to.DueAt = time.Time{} }},
		{"due_at on an order that has ended", provisioned, func(_ order.Record, to *order.Record) { to.DueAt = to.UpdatedAt }},
		{"due before AddOrder has settled", unsure, func(_ order.Record, to *order.Record) { to.DueAt = to.Add.SettledAt.Add(-time.Second) }},
		{"a lease kept while waiting", logs("waiting"), func(_ order.Record, to *order.Record) { to.LeaseUntil = to.UpdatedAt.Add(time.Minute) }},
		{"adds lowered after an unsure answer", unsure, func(_ order.Record, to *order.Record) { to.Add.Count-- }},
		{"settled_at shortened", unsure, func(_ order.Record, to *order.Record) { to.Add.SettledAt = to.Add.SettledAt.Add(-time.Second) }},
		{"add_until removed after an unsure answer", unsure, func(_ order.Record, to *order.Record) { to.Add.Until, to.Add.SettledAt = time.Time{}, time.Time{} }},
		{"accepts lowered after waiting", func(from, to order.Record) bool { return leased(from, to) && to.Accept.Count > 0 }, func(_ order.Record, to *order.Record) { to.Accept.Count-- }},
		{"a plan changed after the send", func(from, to order.Record) bool {
			return from.RecoveryPoint != order.PointNone && from.Plan != nil && to.Plan != nil
		},
			func(_ order.Record, to *order.Record) { p := *to.Plan; p.PromoCode = "OTHER"; to.Plan = &p }},
		{"a point that jumps from none to added", func(from, to order.Record) bool { return addSent(from, to) && from.RecoveryPoint == order.PointNone },
			func(_ order.Record, to *order.Record) { to.RecoveryPoint, to.WHMCSOrderID = order.PointAdded, "1" }},
		{"a point taken back to none by a lease", func(from, to order.Record) bool { return leased(from, to) && from.RecoveryPoint != order.PointNone },
			func(_ order.Record, to *order.Record) { to.RecoveryPoint, to.Add = order.PointNone, order.Sent{} }},
		{"provisioned without services", provisioned, func(_ order.Record, to *order.Record) { to.ServiceIDs = nil }},
		{"provisioned with a service less than planned", provisioned, func(_ order.Record, to *order.Record) {
			for item, ids := range to.ServiceIDs {
				to.ServiceIDs[item] = ids[1:]
				return
			}
		}},
		{"provisioned without a WHMCS order", provisioned, func(_ order.Record, to *order.Record) { to.WHMCSOrderID = "" }},
		{"provisioned with an error", provisioned, func(_ order.Record, to *order.Record) { to.ErrorCode = fault.NotVerified }},
		{"provisioned without its retention", provisioned, func(_ order.Record, to *order.Record) { to.ExpiresAt = time.Time{} }},
		{"provisioned before AcceptOrder", acceptSent, func(_ order.Record, to *order.Record) {
			to.State, to.DueAt, to.LeaseUntil, to.ExpiresAt = order.Provisioned, time.Time{}, time.Time{}, to.UpdatedAt.Add(time.Hour)
		}},
		{"expires_at on an unknown outcome", failing(fault.AcceptOutcomeUnknown), func(_ order.Record, to *order.Record) { to.ExpiresAt = to.UpdatedAt.Add(time.Hour) }},
		{"a plain code past none with something sent", failing(fault.AcceptOutcomeUnknown), func(_ order.Record, to *order.Record) { to.ErrorCode = fault.OrderEmpty }},
		{"a code that is not listed", logs("failed"), func(_ order.Record, to *order.Record) { to.ErrorCode = "somehow" }},
		{"a module failure that WHMCS did not report", failing(fault.AcceptOutcomeUnknown), func(_ order.Record, to *order.Record) { to.ErrorCode = fault.ModuleFailed }},
		{"a WHMCS order changed without resolve", leased, func(_ order.Record, to *order.Record) { to.WHMCSOrderID = "4711" }},
		{"a WHMCS order changed by an answer to nothing", logs("failed"), func(_ order.Record, to *order.Record) { to.WHMCSOrderID += "1" }},
		{"a live nonce dropped", logs("callout"), func(from order.Record, to *order.Record) {
			for name := range from.Nonces {
				delete(to.Nonces, name)
			}
		}},
		{"a nonce touched by a worker", logs("waiting", "provisioned", "failed"), func(_ order.Record, to *order.Record) { to.Nonces = nil }},
		{"a key lost by a callout", logs("callout", "reopened"), func(_ order.Record, to *order.Record) { to.Keys = to.Keys[len(to.Keys)-1:] }},
		{"a key lost by a worker", leased, func(_ order.Record, to *order.Record) { to.Keys = nil }},
		{"reopened by a key that was seen", logs("reopened"), func(from order.Record, to *order.Record) { to.Keys = from.Keys }},
		{"reopened with the attempts of before", logs("reopened"), func(_ order.Record, to *order.Record) { to.Attempts = 3 }},
		{"reopened without the consent of the click", func(from, to order.Record) bool { return logs("reopened")(from, to) && to.Word.Rerun() },
			func(_ order.Record, to *order.Record) { to.Word = order.WordNone }},
		{"a line of the history lost from the middle", func(from, _ order.Record) bool { return len(from.History) > 2 },
			func(_ order.Record, to *order.Record) { to.History = slices.Delete(slices.Clone(to.History), 1, 2) }},
		{"a line of the history changed", every, func(_ order.Record, to *order.Record) {
			to.History = slices.Clone(to.History)
			to.History[0].Detail += "!"
		}},
		{"two lines at once", logs("provisioned"), func(_ order.Record, to *order.Record) {
			to.History = append(slices.Clone(to.History), order.Entry{At: to.UpdatedAt, Event: "more"})
		}},
		{"a provisioned order opened again", provisioned, func(_ order.Record, to *order.Record) {
			to.State, to.DueAt, to.ExpiresAt = order.Queued, to.UpdatedAt, time.Time{}
		}},
		{"another bound of the search", leased, func(_ order.Record, to *order.Record) { to.FirstAddAfter++ }},
		{"a search kept over AddOrder", addSent, func(_ order.Record, to *order.Record) { to.Search = &order.Search{ClientID: 7} }},
		{"a search kept on an order that has ended", logs("failed", "provisioned"), func(_ order.Record, to *order.Record) { to.Search = &order.Search{ClientID: 7} }},
		{"a word of a person that no person gave", leased, func(_ order.Record, to *order.Record) { to.Word = order.WordNamed }},
	}
}

// Each wrong step, planted on the writes of real runs, is found; the runs as
// they were have none.
func TestWrongStepsAreFound(t *testing.T) {
	const enough = 20 // writes of one kind
	planted := map[string]int{}
	for seed := uint64(1); seed <= 400; seed++ {
		wrong, w := verdict(seed, simOptions{storm: seed%2 == 0})
		if len(wrong) > 0 {
			t.Fatalf("seed %d: %v", seed, wrong)
		}
		for i, at := range w.writes {
			for _, p := range plants() {
				if planted[p.name] == enough || !p.at(at.from, at.to) {
					continue
				}
				to := at.to.Normal()
				p.spoil(at.from, &to)
				if reflect.DeepEqual(to, at.to) {
					continue
				}
				planted[p.name]++
				if replay(w.writes[:i], to.ID).Write(at.from, to, at.seen) == nil {
					t.Errorf("%s: not found in seed %d, write %d of %s (%s at %s to %s at %s, %q)", p.name, seed, i, to.ID, at.from.State, at.from.RecoveryPoint, at.to.State, at.to.RecoveryPoint, last(at.to))
				}
			}
		}
	}
	for _, p := range plants() {
		if planted[p.name] == 0 {
			t.Errorf("%s: no run has a write that it could be planted on", p.name)
		}
	}
}

// replay is a checker that was told these writes of one order.
func replay(writes []write, id order.ID) *provisiontest.Steps {
	var s provisiontest.Steps
	for _, w := range writes {
		if w.to.ID == id {
			_ = s.Write(w.from, w.to, w.seen) // it was judged in its run
		}
	}
	return &s
}

// Each row of the engine's table that writes is one that a step covers, and no
// step is for a row that the table has not.
func TestStepsCoverTheTable(t *testing.T) {
	source, err := os.ReadFile("decide.go")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`"((?:none|adding|added|accepting|accepted|past|sent|any)/[a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		rows = append(rows, m[1])
	}
	slices.Sort(rows)
	// These write nothing: what they make of the record the next row writes.
	unwritten := []string{"accepting/active", "added/active", "any/read", "any/read-again", "any/tell-breaker", "sent/done", "sent/not-done", "sent/not-pending-active"}
	want := slices.DeleteFunc(slices.Compact(rows), func(row string) bool { return slices.Contains(unwritten, row) })
	got := provisiontest.Rows()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the steps cover %v, the table writes by %v", got, want)
	}
}
