package whmcs_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// fill makes n orders of alternating clients 7 and 8 directly in the books.
func fill(t testing.TB, w *world, n int) {
	t.Helper()
	for i := range n {
		p := plan()
		p.ClientID = clientID + int64(i%2)
		w.sim.Books().BeginAdd(orderID(t, i), p).Finish(whmcstest.Twist{})
	}
}

func TestListsAreReadWholeInEveryForm(t *testing.T) {
	for _, listOrder := range []string{"desc", "asc", "mixed"} {
		for form, strs := range map[string]bool{"": false, "indexed": true, "bare": true} {
			w := newWorld(t, nil)
			fill(t, w, 460) // 230 a client: three pages
			w.sim.Books().Switch(func(s *whmcstest.Switches) {
				s.ListOrder, s.ListForm, s.NumbersAsStrings, s.NotesEscaped = listOrder, form, strs, true
			})
			all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID})
			if err != nil || !complete || len(all) != 230 {
				t.Fatalf("%s %s %v: %d orders, complete %v, %v", listOrder, form, strs, len(all), complete, err)
			}
			for i, m := range all {
				if i > 0 && number(t, m.ID) >= number(t, all[i-1].ID) {
					t.Fatalf("%s after %s: not newest first", m.ID, all[i-1].ID)
				}
				if want := orderID(t, 458-2*i).String(); string(m.Marker) != want || m.ClientID != clientID || m.Status != order.BillingPending {
					t.Fatalf("%+v, want marker %s", m, want)
				}
			}
		}
	}
}

func number(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEmptyListsAndSingleRows(t *testing.T) {
	for _, empty := range []string{"", "array", "object", "string"} {
		w := newWorld(t, nil)
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.EmptyList, s.ListForm = empty, "single" })
		if all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); err != nil || !complete || len(all) != 0 {
			t.Errorf("%q: %v %v %v", empty, all, complete, err)
		}
		if _, ok, err := w.Order(t.Context(), "1001", clientID); ok || err != nil {
			t.Errorf("%q: an order that is not there: %v, %v", empty, ok, err)
		}
		if _, ok, err := w.Order(t.Context(), "x", clientID); ok || err != nil {
			t.Errorf("an id that is none: %v, %v", ok, err)
		}
		fill(t, w, 1)
		if all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); err != nil || !complete || len(all) != 1 {
			t.Errorf("%q: %v %v %v", empty, all, complete, err)
		}
		if m, ok, err := w.Order(t.Context(), "1001", clientID); !ok || err != nil || len(m.Services) != 1 {
			t.Errorf("%q: %+v, %v, %v", empty, m, ok, err)
		}
	}
}

func TestAListThatShiftsIsNotComplete(t *testing.T) {
	for _, shift := range []string{"list-shift-up", "list-shift-down"} {
		w := newWorld(t, nil)
		fill(t, w, 460)
		for _, times := range []int{1, 2} { // one page of the two that follow, or both
			must(t, w.sim.Fault(whmcstest.Fault{Action: "GetOrders", Fault: shift, Times: times, Match: fmt.Sprint(clientID)}))
			all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID})
			// A list that falls and only grows hides nothing.
			grew := shift == "list-shift-down" && times == 2
			if err != nil || complete != grew || grew && len(all) != 230 {
				t.Errorf("%s: %d orders, complete %v, %v", shift, len(all), complete, err)
			}
			if left := w.sim.Faults(); len(left) != 0 {
				t.Fatalf("faults left: %+v", left)
			}
		}
		if _, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); err != nil || !complete {
			t.Errorf("after %s: complete %v, %v", shift, complete, err)
		}
		must(t, w.sim.Fault(whmcstest.Fault{Action: "GetOrders", Fault: shift}))
		if _, complete, err := listSince(t.Context(), w.Client, time.Time{}); err != nil || complete {
			t.Errorf("%s, all clients: complete %v, %v", shift, complete, err)
		}
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.NoLineItems = true })
		must(t, w.sim.Fault(whmcstest.Fault{Action: "GetClientsProducts", Fault: shift}))
		if _, _, err := w.Order(t.Context(), "1001", clientID); fault.CodeOf(err) != fault.ListingUnstable {
			t.Errorf("%s, services: %v", shift, err)
		}
	}
}

// daily is a simulator whose clock moves on by one hour an order.
func daily(t *testing.T, n int, change func(*whmcs.Config)) (*world, time.Time) {
	t.Helper()
	start := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	now := start
	w := newWorld(t, change, func(o *whmcstest.Options) { o.Now = func() time.Time { return now } })
	for i := range n {
		now = start.Add(time.Duration(i) * time.Hour)
		fillOne(t, w, i)
	}
	return w, start
}

func fillOne(t *testing.T, w *world, i int) {
	p := plan()
	p.ClientID = clientID + int64(i%3)
	w.sim.Books().BeginAdd(orderID(t, i), p).Finish(whmcstest.Twist{})
}

func TestListSinceFindsEveryYoungOrderInAnyOrder(t *testing.T) {
	const n = 720 // 30 days
	w, start := daily(t, n, nil)
	for _, listOrder := range []string{"desc", "asc", "mixed"} {
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.ListOrder = listOrder })
		for _, day := range []int{0, 15, 29, 40} {
			before := w.sim.Calls("GetOrders")
			all, complete, err := listSince(t.Context(), w.Client, start.Add(time.Duration(day)*24*time.Hour+13*time.Hour))
			want := max(0, n-24*day)
			if err != nil || !complete || len(all) != want {
				t.Errorf("%s, day %d: %d orders, want %d, complete %v, %v", listOrder, day, len(all), want, complete, err)
			}
			for i, m := range all {
				if string(m.Marker) != orderID(t, n-1-i).String() {
					t.Fatalf("%s, day %d: order %d is %s", listOrder, day, i, m.Marker)
				}
			}
			if calls := w.sim.Calls("GetOrders") - before; listOrder == "desc" && day == 29 && calls > 3 {
				t.Errorf("%d calls for one day of a list that falls", calls)
			}
		}
	}
}

func TestListSinceIsNotCompleteWhenTheListShifts(t *testing.T) {
	w, start := daily(t, 500, nil)
	since := start.Add(14 * 24 * time.Hour) // 164 young orders: two pages
	before := w.sim.Calls("GetOrders")
	if all, complete, err := listSince(t.Context(), w.Client, since); err != nil || !complete || len(all) != 164 {
		t.Fatalf("%d orders, complete %v, %v", len(all), complete, err)
	}
	if calls := w.sim.Calls("GetOrders") - before; calls != 4 { // two with young ones, one without, the last
		t.Errorf("%d calls", calls)
	}
	// A young order is gone between the first page and the second: the second
	// begins one row later, and that row is never seen.
	must(t, w.sim.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "list-shift-up", Times: 3}))
	if all, complete, err := listSince(t.Context(), w.Client, since); err != nil || complete || len(all) != 163 {
		t.Errorf("%d orders, complete %v, %v", len(all), complete, err)
	}
}

// An installation whose list only looks sorted at its head.
func TestListSinceDoesNotTrustAHeadAlone(t *testing.T) {
	w, start := daily(t, 300, nil)
	young := w.sim.Orders()[299].ID
	// The first pages fall; the youngest order stands last.
	all := w.sim.Orders()
	api := listing(t, all, young)
	got, complete, err := listSince(t.Context(), api, start.Add(12*24*time.Hour))
	if err != nil || !complete || len(got) != 12 {
		t.Errorf("%d orders, complete %v, %v", len(got), complete, err)
	}
}

// What an AddOrder makes has a higher id than the newest order before it, so a
// search need not look below.
func TestTheNewestOrderIsKnownWithoutACallToAProcessAtWork(t *testing.T) {
	for listOrder, asked := range map[string]int{"desc": 1, "asc": 2} {
		c := &clock{}
		w := newWorld(t, nil)
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.ListOrder = listOrder })
		client := newClient(t, w.url, whmcs.Deps{Now: c.now})
		newest := func(want int64, calls int) {
			t.Helper()
			before := w.sim.Calls("GetOrders")
			id, err := client.Newest(t.Context())
			if n := w.sim.Calls("GetOrders") - before; err != nil || id != want || n != calls {
				t.Errorf("%s: newest %d, want %d; %d calls, want %d, %v", listOrder, id, want, n, calls, err)
			}
		}
		newest(0, 1)
		fill(t, w, 5)
		newest(1005, asked)
		newest(1005, 0)
		fillOne(t, w, 6) // of another sender: an older id is a bound too
		newest(1005, 0)
		made, err := client.Add(t.Context(), order.SendWindow{Until: c.now().Add(time.Hour), Timeout: time.Minute}, orderID(t, 7), plan())
		must(t, err)
		newest(number(t, made), 0)
		w.sim.Books().Delete(number(t, made))
		newest(1007, 0)
		c.freeze(11 * time.Minute)
		newest(1006, asked)
	}
}

func TestTheMarkerCanLiveInACustomField(t *testing.T) {
	for _, escaped := range []bool{false, true} {
		w, start := daily(t, 0, func(c *whmcs.Config) { c.Marker = "4,9" })
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.NotesEscaped = escaped })
		var made string
		for i := range 3 {
			e := entry(11, order.Monthly, 1)
			e.CustomFields = map[string]string{"5": "a'b"}
			p := plan(e, entry(12, order.Monthly, 1))
			p.ClientID = clientID + int64(i%2)
			var err error
			if made, err = w.Add(t.Context(), gate(), orderID(t, i), p); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range w.sim.Orders() {
			if o.Notes != "" || o.Services[0].CustomFields["5"] != "a'b" || o.Services[1].CustomFields["4"] == "" || o.Services[1].CustomFields["9"] == "" {
				t.Errorf("made %+v", o)
			}
		}
		all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID})
		if err != nil || !complete || len(all) != 2 || string(all[0].Marker) != orderID(t, 2).String() || string(all[1].Marker) != orderID(t, 0).String() {
			t.Errorf("list %+v, %v, %v", all, complete, err)
		}
		all, complete, err = listSince(t.Context(), w.Client, start.Add(-24*time.Hour))
		if err != nil || !complete || len(all) != 3 || string(all[1].Marker) != orderID(t, 1).String() {
			t.Errorf("list of all clients %+v, %v, %v", all, complete, err)
		}
		m, ok, err := w.Order(t.Context(), made, clientID)
		if err != nil || !ok || string(m.Marker) != orderID(t, 2).String() {
			t.Errorf("order %+v, %v, %v", m, ok, err)
		}
		// A field that was not kept is a marker that is not there.
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.FieldsOff = true })
		if made, err = w.Add(t.Context(), gate(), orderID(t, 8), plan()); err != nil {
			t.Fatal(err)
		}
		if m, _, err := w.Order(t.Context(), made, clientID); err != nil || m.Marker != "" {
			t.Errorf("order %+v, %v", m, err)
		}
	}
}

func TestWhatAnAdminDoesToAnOrderIsSeen(t *testing.T) {
	w := newWorld(t, nil)
	made, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	id := number(t, made)
	read := func() order.BillingOrder {
		t.Helper()
		m, ok, err := w.Order(t.Context(), made, clientID)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return m
	}
	edit := func(e whmcstest.Edit) { w.sim.Books().Patch(id, e) }
	text := func(s string) *string { return &s }

	edit(whmcstest.Edit{Notes: text("called the client<br />\n" + orderID(t, 1).Marker() + "<br />;k=12 &amp; more")})
	if m := read(); string(m.Marker) != orderID(t, 1).String() {
		t.Errorf("a marker among other notes: %+v", m)
	}
	edit(whmcstest.Edit{Notes: text("SFORDERID=x")})
	if m := read(); m.Marker.Names(orderID(t, 1)) {
		t.Errorf("edited notes: %+v", m)
	}
	other := int64(99)
	edit(whmcstest.Edit{UserID: &other})
	if m := read(); m.ClientID != 99 || len(m.Services) != 1 {
		t.Errorf("merged client: %+v", m)
	}
	edit(whmcstest.Edit{Status: text("Cancelled")})
	if m := read(); !m.Status.Dead() || m.Services[0].Live() {
		t.Errorf("cancelled: %+v", m)
	}
	edit(whmcstest.Edit{Status: text("In Review")})
	if m := read(); m.Status != "In Review" {
		t.Errorf("custom status: %+v", m)
	}
	if err := w.Accept(t.Context(), gate(), made); outcome(err) != "refused state_changed" {
		t.Errorf("accept: %v", err)
	}
	w.sim.Books().Delete(id)
	if _, ok, err := w.Order(t.Context(), made, clientID); ok || err != nil {
		t.Errorf("deleted: %v, %v", ok, err)
	}
	if err := w.Accept(t.Context(), gate(), made); outcome(err) != "refused state_changed" {
		t.Errorf("accept: %v", err)
	}
}

func TestNotesThatAreNotKeptOrThatAbortTheModule(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.Books().Switch(func(s *whmcstest.Switches) { s.NotesAbort = true })
	made, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	if err := w.Accept(t.Context(), gate(), made); outcome(err) != "refused module_failed" || !strings.Contains(fault.TextOf(err), "Action Hook") {
		t.Errorf("accept: %v", err)
	}
	w.sim.Books().Switch(func(s *whmcstest.Switches) { s.NotesOff = true })
	made, err = w.Add(t.Context(), gate(), orderID(t, 2), plan())
	must(t, err)
	if m, _, err := w.Order(t.Context(), made, clientID); err != nil || m.Marker != "" {
		t.Errorf("order %+v, %v", m, err)
	}
}

// TestAListingIsNeverCompleteAndWrong: whatever shape, order and number of rows,
// a complete listing holds exactly what is in the books.
func TestAListingIsNeverCompleteAndWrong(t *testing.T) {
	w := newWorld(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		w.sim.Reset()
		n := rapid.SampledFrom([]int{0, 1, 2, 3, 99, 100, 101, 102, 201, 202}).Draw(t, "orders")
		w.sim.Books().Switch(func(s *whmcstest.Switches) {
			s.ListOrder = rapid.SampledFrom([]string{"", "asc", "mixed"}).Draw(t, "order")
			s.ListForm = rapid.SampledFrom([]string{"", "indexed", "single", "bare"}).Draw(t, "form")
			s.EmptyList = rapid.SampledFrom([]string{"", "array", "object", "string"}).Draw(t, "empty")
			s.NumbersAsStrings = rapid.Bool().Draw(t, "strings")
		})
		want := map[string]string{}
		for i := range n {
			id, err := order.ParseID(fmt.Sprintf("801Wz%010d", i))
			if err != nil {
				t.Fatal(err)
			}
			run := w.sim.Books().BeginAdd(id, plan())
			run.Finish(whmcstest.Twist{})
			want[fmt.Sprint(run.OrderID)] = id.String()
		}
		shifted := rapid.SampledFrom([]string{"", "list-shift-up", "list-shift-down"}).Draw(t, "shift")
		if shifted != "" {
			if err := w.sim.Fault(whmcstest.Fault{Action: "GetOrders", Fault: shifted, Times: rapid.IntRange(1, 3).Draw(t, "times")}); err != nil {
				t.Fatal(err)
			}
		}
		all, complete, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, m := range all {
			got[m.ID] = string(m.Marker)
		}
		if !complete && (shifted == "" || n <= 100) {
			t.Fatalf("%d of %d orders, and nothing shifted", len(got), n)
		}
		if complete && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("complete with %d of %d orders", len(got), len(want))
		}
	})
}
