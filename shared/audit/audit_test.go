package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/audit"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var (
	now   = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	since = now.Add(-48 * time.Hour)
)

func id(t *testing.T, n int) order.ID {
	t.Helper()
	parsed, err := order.ParseID(fmt.Sprintf("801%012d", n))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// books are n orders that were provisioned yesterday, and on which all agree.
func books(t *testing.T, n int) *audit.Books {
	b := &audit.Books{Since: since, Table: map[order.ID]order.Record{}, Salesforce: map[order.ID]order.Shown{}}
	for k := range n {
		o, whmcs := id(t, k+1), fmt.Sprint(1000+k)
		at := now.Add(-24 * time.Hour)
		b.Table[o] = order.Record{ID: o, State: order.Provisioned, RecoveryPoint: order.PointAccepted, WHMCSOrderID: whmcs, FirstAddAt: at, UpdatedAt: at, CreatedAt: at}
		b.Billing = append(b.Billing, order.BillingOrder{ID: whmcs, Status: order.BillingActive, Marker: order.Marker(o.String())})
		b.Salesforce[o] = order.Shown{ID: o, Status: order.StatusProvisioned, WHMCSOrderID: whmcs}
	}
	return b
}

// change edits one order in the three books.
func change(b *audit.Books, t *testing.T, k int, do func(r *order.Record, o *order.BillingOrder, s *order.Shown)) {
	key := id(t, k+1)
	r, s := b.Table[key], b.Salesforce[key]
	do(&r, &b.Billing[k], &s)
	b.Table[key], b.Salesforce[key] = r, s
}

// Of 10,000 orders with 20 planted differences of each class all are found, and
// none is invented.
func TestEachPlantedDifferenceIsFoundAndNoneInvented(t *testing.T) {
	const each = 20
	b := books(t, 10_000)
	want := map[audit.Class]int{}
	for i := range each {
		at := func(class int) int { return class*each + i }
		k := at(0)
		b.Billing = append(b.Billing, order.BillingOrder{ID: fmt.Sprint(50_000 + i), Status: order.BillingPending, Marker: b.Billing[k].Marker})
		want[audit.Doubled]++
		change(b, t, at(1), func(_ *order.Record, o *order.BillingOrder, _ *order.Shown) {
			o.Marker = order.Marker(id(t, 90_000+i).String())
		})
		want[audit.Foreign]++
		change(b, t, at(2), func(_ *order.Record, o *order.BillingOrder, _ *order.Shown) {
			if i%2 == 0 {
				o.Status = order.BillingCancelled
			} else {
				*o = order.BillingOrder{ID: fmt.Sprint(60_000 + i)} // deleted; somebody's own stands in its place
			}
		})
		want[audit.Missing]++
		change(b, t, at(3), func(r *order.Record, _ *order.BillingOrder, s *order.Shown) {
			if i%2 == 0 {
				*r, *s = order.Record{}, order.Shown{}
			} else {
				r.State, r.ErrorCode, r.WHMCSOrderID, r.RecoveryPoint = order.Failed, fault.Stopped, "", order.PointAdding
			}
		})
		want[audit.Orphaned]++
		change(b, t, at(4), func(_ *order.Record, _ *order.BillingOrder, s *order.Shown) {
			if i%2 == 0 {
				s.Status = order.StatusActivating
			} else {
				s.WHMCSOrderID = ""
			}
		})
		want[audit.Drifted]++
	}
	got := map[audit.Class]int{}
	for _, d := range audit.Compare(*b, now) {
		got[d.Class]++
		if d.Text == "" || d.ID.IsZero() {
			t.Errorf("difference %+v", d)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("differences (-want +got):\n%s", d)
	}
}

func TestWhatIsNoDifference(t *testing.T) {
	for name, edit := range map[string]func(r *order.Record, o *order.BillingOrder, s *order.Shown){
		"all agree": func(*order.Record, *order.BillingOrder, *order.Shown) {},
		"being worked on": func(r *order.Record, _ *order.BillingOrder, s *order.Shown) {
			r.State, r.WHMCSOrderID, s.Status = order.Waiting, "", order.StatusPendingReview
		},
		"a person has to decide anyway": func(r *order.Record, _ *order.BillingOrder, s *order.Shown) {
			r.State, r.ErrorCode, r.WHMCSOrderID = order.Failed, fault.AddOutcomeUnknown, ""
		},
		"changed a moment ago": func(r *order.Record, _ *order.BillingOrder, s *order.Shown) {
			r.UpdatedAt, s.Status = now.Add(-time.Minute), order.StatusActivating
		},
		"older than what was read of WHMCS": func(r *order.Record, o *order.BillingOrder, _ *order.Shown) {
			r.FirstAddAt = since.Add(-time.Hour)
			*o = order.BillingOrder{ID: "7"}
		},
		"notes that somebody emptied": func(_ *order.Record, o *order.BillingOrder, _ *order.Shown) { o.Marker = "" },
		"a plain failure": func(r *order.Record, o *order.BillingOrder, s *order.Shown) {
			r.State, r.ErrorCode, r.WHMCSOrderID, r.RecoveryPoint = order.Failed, fault.OrderEmpty, "", order.PointNone
			s.Status, s.WHMCSOrderID = order.StatusFailed, ""
			*o = order.BillingOrder{ID: "7"}
		},
		"a dead order beside the live one": func(_ *order.Record, o *order.BillingOrder, _ *order.Shown) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := books(t, 1)
			change(b, t, 0, edit)
			if name == "a dead order beside the live one" {
				b.Billing = append(b.Billing, order.BillingOrder{ID: "9", Status: order.BillingCancelled, Marker: b.Billing[0].Marker})
			}
			if got := audit.Compare(*b, now); len(got) > 0 {
				t.Errorf("differences %+v", got)
			}
		})
	}
}
