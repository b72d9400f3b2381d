package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
	"orderbridge/shared/whmcs/whmcstest"
)

var write = flag.String("write-items", "", "write the kinds of items that have no file yet as items of this version, such as v2; one that is there is never written again")

// versions holds, in a folder for each released layout, what real runs of that
// version stored; v1 is older than this test and has a test of its own.
var versions = filepath.Join("..", "..", "shared", "store", "testdata", "items")

// kept is an item at one moment of a real run, and WHMCS as it was then.
type kept struct {
	At    time.Time         `json:"at"`
	Item  json.RawMessage   `json:"item"` // DynamoDB's JSON
	WHMCS []whmcstest.Order `json:"whmcs,omitempty"`
}

// plain are the attributes that say no more than the state and the point do, or
// that other parts of a kind's name stand for. A new one is not among them.
var plain = []string{
	"pk", "state", "point", "signal", "seq", "version", "marks", "lease", "fence", "lease_until", "adds", "add_until", "add_settled_at", "accepts", "accept_until",
	"accept_settled_at", "first_add_at", "accepted_at", "attempts", "opened_at", "due_at", "due_shard", "failed", "confirm_at", "confirm_shard", "word", "keys",
	"nonces", "history", "account_id", "whmcs_service_ids", "error_code", "error_message", "error_at", "created_at", "updated_at", "expires_at",
}

// kindOfItem names what may make a difference to the code that meets an item:
// its state, its words and codes, and the attributes that are not plain.
func kindOfItem(r order.Record, item map[string]types.AttributeValue) string {
	parts := []string{string(r.RecoveryPoint), string(r.State), string(r.Signal), string(r.ErrorCode), string(r.Word)}
	for _, name := range slices.Sorted(maps.Keys(item)) {
		if !slices.Contains(plain, name) {
			parts = append(parts, name)
		}
	}
	if r.Add.Count > 1 {
		parts = append(parts, "added_twice")
	}
	if r.Accept.Count > 1 {
		parts = append(parts, "accepted_twice")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "-")
}

// lives are the runs whose items are kept: an order that nothing disturbs, and
// each way to a state in which an item may lie when another version takes over.
func lives() map[string]func(r *rig) {
	away := func(action, name string, times int) func(r *rig) {
		return func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: action, Fault: name, Times: times}))
			r.order(the)
		}
	}
	resolved := func(fail func(r *rig), how ...func(*order.Resolution)) func(r *rig) {
		return func(r *rig) {
			fail(r)
			for _, h := range how {
				r.ok(r.resolve(the, h))
				r.recover()
			}
		}
	}
	unknown := away("AddOrder", "drop-before", 5)
	all := map[string]func(r *rig){
		"undisturbed": (*rig).once,
		"away at none": func(r *rig) {
			for range 20 {
				r.arm(sideSF, "query", "http-500")
			}
			r.order(the)
		},
		"refused at none": func(r *rig) {
			r.whmcs.SetProduct(1, whmcstest.Product{Missing: true})
			r.order(the)
		},
		"lost reply":       func(r *rig) { r.lose(); r.order(the) },
		"others are there": func(r *rig) { r.crowd(3); r.lose(); r.order(the) },
		"lost twice":       away("AddOrder", "drop-before", 2),
		"unknown":          unknown,
		"unknown, clicked": func(r *rig) { unknown(r); r.order(the) },
		"refused by WHMCS": func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", "error-text:No items added to cart so order cannot proceed")
			r.order(the)
		},
		"none":           resolved(unknown, none),
		"stopped":        resolved(unknown, stop),
		"half added":     func(r *rig) { r.arm(sideWHMCS, "AddOrder", whmcstest.HalfAdded); r.order(the) },
		"marker lost":    (*rig).unmarked,
		"away at adding": func(r *rig) { r.lose(); away("GetOrders", "http-500", 30)(r) },
		"away at added": func(r *rig) {
			r.at("GetOrders.one", 1, func() { r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: 30})) })
			r.order(the)
		},
		"away at accepted": func(r *rig) {
			r.at("GetModuleQueue", 1, func() { r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetModuleQueue", Fault: "http-500", Times: 30})) })
			r.order(the)
		},
		"accept lost":        away("AcceptOrder", "commit-then-drop", 1),
		"accept unknown":     away("AcceptOrder", "drop-before", 1),
		"module failed":      func(r *rig) { r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending); r.order(the); r.order(the) },
		"module failed late": func(r *rig) { r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailMixed); r.order(the) },
		"not active":         func(r *rig) { r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleMadePending); r.order(the) },
		"cancelled": func(r *rig) {
			r.at("GetClientsProducts", 1, func() { r.patch(whmcstest.Edit{Status: text("Cancelled")}) })
			r.order(the)
			r.ok(r.resolve(the, none))
			r.recover()
		},
		"adopted": func(r *rig) {
			unknown(r)
			r.ok(r.resolve(the, adopt(r.byHand())))
			r.recover()
			r.ok(r.resolve(the, undo))
			r.recover()
		},
		"another client's": func(r *rig) {
			unknown(r)
			id := r.byHandFor(8)
			r.ok(r.resolve(the, func(d *order.Resolution) { d.Adopt, d.AnyClient = fmt.Sprint(id), true }))
			r.recover()
		},
		"a search is broken off": func(r *rig) {
			r.lose()
			r.at("AddOrder", 1, func() { r.crowd(250) })
			r.at("GetOrders.client", 2, func() { r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: 6})) })
			r.order(the)
		},
		"refused by Salesforce": func(r *rig) {
			unknown(r)
			now := time.Now().Round(0)
			x := order.Refusal{Seq: r.record(the).Seq, Since: now, Next: now.Add(time.Hour), Tries: 1, Code: fault.SalesforceRowRefused, Letter: true}
			r.ok(r.mem.Refuse(context.Background(), the, x, now, order.Entry{At: now, Event: "status_push_failed", By: "statuspush"}))
		},
	}
	for _, call := range []string{"query", "GetOrders.newest", "AddOrder", "AcceptOrder", "GetModuleQueue"} {
		all["workers die at "+call] = func(r *rig) {
			for n := range 3 {
				r.at(call, n+1, func() {
					for _, p := range r.procs {
						p.kill()
					}
				})
			}
			r.once()
		}
	}
	return all
}

// once is one click, and what follows from it.
func (r *rig) once() { r.order(the) }

// recorded plays a life and returns what was stored, by the kind of item.
func recorded(t *testing.T, life func(r *rig)) map[string]kept {
	kinds := map[string]kept{}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{})
		defer r.close()
		checked := r.mem.Wrote
		r.mem.Wrote = func(from, to order.Record) {
			checked(from, to)
			attributes := store.Encode(to)
			kind := kindOfItem(to, attributes)
			if _, there := kinds[kind]; to.ID != the || there {
				return
			}
			item, err := attributevalue.MarshalMapJSON(attributes)
			r.ok(err)
			kinds[kind] = kept{At: time.Now().UTC(), Item: item, WHMCS: r.whmcs.Orders()}
		}
		life(r)
	})
	return kinds
}

// Every kind of item that this version's runs store has a file: of this version,
// or of an earlier one. So the next version meets in its tests what it will
// meet in the table.
func TestEachKindOfItemIsKept(t *testing.T) {
	there := map[string]bool{}
	for path := range files(t) {
		there[strings.TrimSuffix(filepath.Base(path), ".json")] = true
	}
	for name, life := range lives() {
		t.Run(name, func(t *testing.T) {
			for kind, s := range recorded(t, life) {
				if there[kind] {
					continue
				}
				if *write == "" {
					t.Errorf("no item is kept of the kind %s: go test ./functions/provision -run TestEachKindOfItemIsKept -write-items v2", kind)
					continue
				}
				there[kind] = true
				raw, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(versions, *write, kind+".json")
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// files are the items of all versions but the first.
func files(t *testing.T) map[string]kept {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(versions, "v[2-9]*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]kept{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var s kept
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[path] = s
	}
	return all
}

// futures are what may still come, in WHMCS, of the effect that was under way
// when the item was stored.
func futures(rec order.Record, at time.Time) map[string]func(r *rig) {
	all := map[string]func(r *rig){"nothing comes": func(*rig) {}}
	switch {
	case rec.State != order.Working:
	case rec.RecoveryPoint == order.PointAdding && rec.Add.Until.After(at):
		all["AddOrder arrives"] = func(r *rig) { r.whmcs.Books().BeginAdd(the, *rec.Plan).Finish(whmcstest.Twist{}) }
	case rec.RecoveryPoint == order.PointAccepting && rec.Accept.Until.After(at):
		all["AcceptOrder arrives"] = func(r *rig) { r.whmcs.Books().BeginAccept(number(rec.WHMCSOrderID)).Finish(whmcstest.Twist{}) }
	}
	return all
}

// An older version does not know what was added after it, and writes the item
// without. docs/data-model.md says of each such attribute whether an older
// version may meet it; where it may, what it leaves behind is still carried to
// Provisioned, once.
func TestAnOlderVersionMayMeetAnItem(t *testing.T) {
	may, first := rollback(t), inFirstLayout(t)
	tried := map[string]int{}
	for path, s := range files(t) {
		var item map[string]json.RawMessage
		if err := json.Unmarshal(s.Item, &item); err != nil {
			t.Fatal(err)
		}
		for name := range item {
			if tried[name]++; first[name] || may[name] == "yes" {
				continue
			}
			t.Errorf("%s has %s, of which docs/data-model.md does not say that an older version may meet it", path, name)
		}
		for name, answer := range may {
			if _, there := item[name]; !there || answer != "yes" {
				continue
			}
			old := maps.Clone(item)
			delete(old, name)
			raw, err := json.Marshal(old)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(filepath.Base(path)+" without "+name, func(t *testing.T) { carry(t, s, rec, func(*rig) {}) })
		}
	}
	for name, answer := range may {
		if answer == "yes" && tried[name] == 0 {
			t.Errorf("no item has %s", name)
		}
	}
}

// rollback is the table of docs/data-model.md: by attribute, or attribute =
// value, yes or no.
func rollback(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "data-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## When an older version meets an item\n")
	section, _, _ = strings.Cut(section, "\n## ")
	may := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && len(cells) == 5 {
			may[strings.ReplaceAll(strings.TrimSpace(cells[1]), "`", "")] = strings.TrimSpace(cells[2])
		}
	}
	if len(may) == 0 {
		t.Fatal("docs/data-model.md has no table of what an older version may meet")
	}
	return may
}

// inFirstLayout are the attributes that every version knows.
func inFirstLayout(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, name := range []string{"none_queued", "accepted", "provisioned", "adding_failed_unknown", "accepting_queued_rerun"} {
		raw, err := os.ReadFile(filepath.Join(versions, "v1", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var item map[string]json.RawMessage
		if err := json.Unmarshal(raw, &item); err != nil {
			t.Fatal(err)
		}
		for name := range item {
			known[name] = true
		}
	}
	return known
}

func number(whmcsOrderID string) int64 { return order.BillingOrder{ID: whmcsOrderID}.Number() }

// What an earlier version stored, at any moment of an order's life, is carried
// to Provisioned by this one, once, whatever came of the effect that was under way.
func TestItemsOfEarlierVersionsAreCarriedToTheirEnd(t *testing.T) {
	all := files(t)
	if len(all) < 40 {
		t.Fatalf("%d items", len(all))
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		s := all[path]
		rec := decoded(t, s.Item)
		for name, comes := range futures(rec, s.At) {
			t.Run(filepath.Base(path)+", "+name, func(t *testing.T) { carry(t, s, rec, comes) })
		}
	}
}

func decode(raw json.RawMessage) (order.Record, error) {
	item, err := attributevalue.UnmarshalMapJSON(raw)
	if err != nil {
		return order.Record{}, err
	}
	return store.Decode(item)
}

// decoded reads an item, and wants no attribute of it to be lost by this version.
func decoded(t *testing.T, raw json.RawMessage) order.Record {
	t.Helper()
	rec, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := attributevalue.MarshalMapJSON(store.Encode(rec))
	if err != nil {
		t.Fatal(err)
	}
	var was, is map[string]any
	for into, v := range map[*map[string]any][]byte{&was: raw, &is: again} {
		d := json.NewDecoder(bytes.NewReader(v))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"confirm_at", "confirm_shard", "due_shard", "failed"} { // of an index: each version makes them of the rest
			delete(*into, key)
		}
	}
	if d := cmp.Diff(was, is); d != "" {
		t.Errorf("read and written again, the item differs (-was +is):\n%s", d)
	}
	return rec
}

// carry puts the item into the table of a rig whose WHMCS is as it was then, and
// lets the clock, and a person where the order fails, bring it to Provisioned.
func carry(t *testing.T, s kept, rec order.Record, comes func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{})
		defer r.close()
		time.Sleep(time.Until(s.At))
		r.restore(s.WHMCS)
		if rec.Word.Rerun() || rec.Accept.Count > 1 {
			r.consents[the] = 1
		}
		r.mem.Set(rec)
		comes(r)
		r.recover()
		for _, person := range []func(r *rig){(*rig).clicksAgain, (*rig).repairs, (*rig).names, (*rig).ordersAgain} {
			if r.record(the).State == order.Failed {
				person(r)
				r.recover()
			}
		}
		r.provisioned(the)
		r.judgeProvisioned(r.record(the), r.live())
		r.judgeHistory(r.record(the))
		for _, o := range r.whmcs.Orders() {
			if o.ModuleRuns > 1+r.consents[the] {
				r.Errorf("the module ran %d times for WHMCS order %d, with %d consents", o.ModuleRuns, o.ID, r.consents[the])
			}
		}
		if r.Failed() {
			r.Log(r.story(the))
		}
	})
}

// restore makes WHMCS's books as they were, with the same ids.
func (r *rig) restore(orders []whmcstest.Order) {
	r.Helper()
	books := r.whmcs.Books()
	for _, was := range orders {
		id, err := order.ParseID(string(order.ReadMarker(was.Notes)))
		if err != nil {
			id = mustID("801000000000009AAA")
		}
		plan := order.Plan{ClientID: was.UserID}
		for _, s := range was.Services {
			n := len(plan.Entries) - 1
			if n >= 0 && plan.Entries[n].ProductID == s.PID {
				plan.Entries[n].Quantity++
				plan.Entries[n].Services++
				continue
			}
			plan.Entries = append(plan.Entries, order.PlanEntry{Services: 1, Line: order.Line{ProductID: s.PID, Cycle: order.Cycle(s.BillingCycle), Quantity: 1}})
		}
		run := books.BeginAdd(id, plan)
		run.Finish(whmcstest.Twist{})
		if was.ModuleRuns > 0 && was.Status == "Active" {
			books.BeginAccept(run.OrderID).Finish(whmcstest.Twist{})
		}
		edit := whmcstest.Edit{Status: &was.Status, Notes: &was.Notes, Services: map[int64]string{}}
		for _, s := range was.Services {
			edit.Services[s.ID] = s.Status
		}
		got, _ := books.Patch(run.OrderID, edit)
		for i, s := range got.Services {
			if got.ID != was.ID || len(got.Services) != len(was.Services) || s.ID != was.Services[i].ID {
				r.Fatalf("WHMCS order %+v was restored as %+v", was, got)
			}
		}
	}
}

func (r *rig) clicksAgain() {
	if r.click(the) == order.Reopened {
		r.start("worker", the)
	}
}

// repairs accepts by hand what is Pending, sets its services, and clicks.
func (r *rig) repairs() {
	for _, o := range r.live() {
		services := map[int64]string{}
		for _, s := range o.Services {
			services[s.ID] = "Active"
		}
		r.whmcs.Books().Patch(o.ID, whmcstest.Edit{Status: text("Active"), Services: services})
	}
	r.clicksAgain()
}

// names tells the bridge which WHMCS order it is, or that there is none.
func (r *rig) names() {
	how := none
	for _, o := range r.live() {
		how = adopt(o.ID)
	}
	r.ok(r.resolve(the, how))
}

// ordersAgain cancels what is not what was ordered, and says that there is none.
func (r *rig) ordersAgain() {
	for _, o := range r.live() {
		r.whmcs.Books().Patch(o.ID, whmcstest.Edit{Status: text("Cancelled")})
	}
	r.ok(r.resolve(the, none))
}

// live are the WHMCS orders of the order, by what made them, or by hand.
func (r *rig) live() []whmcstest.Order {
	return slices.DeleteFunc(r.whmcs.Orders(), func(o whmcstest.Order) bool {
		return !o.Live() || o.Salesforce != the.String() && !strings.Contains(o.Notes, the.String()) && fmt.Sprint(o.ID) != r.record(the).WHMCSOrderID
	})
}
