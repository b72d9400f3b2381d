package whmcs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// busy is a WHMCS whose list of orders, falling by id, changes between any two
// pages of a reading.
type busy struct {
	ids    []int64
	day    func(id int64) time.Time
	before func(call int, b *busy) // each page
	calls  int
	rising bool
}

func (b *busy) add() { b.ids = slices.Insert(b.ids, 0, b.ids[0]+1) }

func (b *busy) drop(i int) { b.ids = slices.Delete(b.ids, i, i+1) }

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.before != nil {
		b.before(b.calls, b)
	}
	b.calls++
	start, _ := strconv.Atoi(r.FormValue("limitstart"))
	n, _ := strconv.Atoi(r.FormValue("limitnum"))
	list := slices.Clone(b.ids)
	if b.rising {
		slices.Reverse(list)
	}
	page := []map[string]any{}
	for _, id := range list[min(start, len(list)):min(start+n, len(list))] {
		page = append(page, map[string]any{"id": id, "userid": 7, "status": "Pending", "notes": fmt.Sprintf("sfOrderId=%d", id), "date": b.day(id).Format(time.DateTime)})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"result": "success", "totalresults": len(list), "orders": map[string]any{"order": page}})
}

var today = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// busyWith has ids 1 to n; those up to old were made last week.
func busyWith(n, old int64) *busy {
	b := &busy{day: func(id int64) time.Time {
		if id <= old {
			return today.Add(-7 * 24 * time.Hour)
		}
		return today
	}}
	for id := n; id > 0; id-- {
		b.ids = append(b.ids, id)
	}
	return b
}

func TestNewestOrdersAreCompleteWhileOrdersCome(t *testing.T) {
	for name, old := range map[string]int64{"read to the end": 0, "ended early": 300} {
		b := busyWith(650, old)
		b.before = func(call int, b *busy) {
			if call > 0 {
				b.add()
				b.add()
			}
		}
		all, complete, err := listSince(t.Context(), serve(t, b.ServeHTTP), today)
		if err != nil || !complete {
			t.Fatalf("%s: complete %v, %v", name, complete, err)
		}
		have := map[string]bool{}
		for _, m := range all {
			have[m.ID] = true
		}
		for id := old + 1; id <= 650; id++ {
			if !have[strconv.FormatInt(id, 10)] {
				t.Errorf("%s: order %d is missing", name, id)
			}
		}
	}
}

func TestRowHiddenWhileOrdersComeIsNoticed(t *testing.T) {
	// One goes between the first two pages, and the row at their seam with it;
	// then as many come that the total ends above where it began.
	for name, old := range map[string]int64{"read to the end": 0, "ended early": 300} {
		b := busyWith(650, old)
		b.before = func(call int, b *busy) {
			switch call {
			case 1:
				b.drop(0)
			case 2:
				b.add()
				b.add()
			}
		}
		if _, complete, err := listSince(t.Context(), serve(t, b.ServeHTTP), today); err != nil || complete {
			t.Errorf("%s: complete %v, %v", name, complete, err)
		}
	}
}

// A list that rises is read from its end: what comes while it is read stands
// behind what is still to be read.
func TestRisingListIsReadFromItsEnd(t *testing.T) {
	for name, old := range map[string]int64{"all young": 0, "most old": 600} {
		b := busyWith(1050, old)
		b.rising = true
		b.before = func(_ int, b *busy) { b.add() }
		all, complete, err := listSince(t.Context(), serve(t, b.ServeHTTP), today)
		if err != nil || !complete {
			t.Fatalf("%s: complete %v, %v", name, complete, err)
		}
		missing := map[string]bool{}
		for id := old + 1; id <= 1050; id++ {
			missing[strconv.FormatInt(id, 10)] = true
		}
		for _, m := range all {
			delete(missing, m.ID)
		}
		if len(missing) > 0 {
			t.Errorf("%s: missing %v", name, missing)
		}
	}
}

// Whatever comes and goes between two pages: a listing that says it is complete
// holds every young order that was there from its first page to its last.
func TestCompleteListingMissesNothing(t *testing.T) {
	var b *busy
	client := serve(t, func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) })
	trusted := 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 420).Draw(t, "orders")
		old := rapid.Int64Range(0, n).Draw(t, "old")
		b = busyWith(n, old)
		b.rising = rapid.Bool().Draw(t, "rising")
		var first []int64
		drops := rapid.IntRange(0, 3).Draw(t, "drops") == 0
		b.before = func(call int, b *busy) {
			if call == 0 {
				first = slices.Clone(b.ids)
				return
			}
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				if drops && rapid.Bool().Draw(t, "drop") {
					b.drop(rapid.IntRange(0, len(b.ids)-1).Draw(t, "which"))
					if len(b.ids) == 0 {
						b.ids = []int64{n + 1000}
					}
					continue
				}
				b.add()
			}
		}
		all, complete, err := listSince(t.Context(), client, today)
		if err != nil {
			t.Fatal(err)
		}
		if !complete {
			return
		}
		trusted++
		have := map[string]bool{}
		for _, m := range all {
			have[m.ID] = true
		}
		for _, id := range first {
			if id > old && slices.Contains(b.ids, id) && !have[strconv.FormatInt(id, 10)] {
				t.Fatalf("order %d is missing", id)
			}
		}
	})
	if trusted == 0 {
		t.Error("no listing was complete")
	}
}
