package whmcs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// listing is a client of an API whose GetOrders lists the orders by falling id,
// but for one that stands last.
func listing(t *testing.T, all []whmcstest.Order, last int64) *whmcs.Client {
	t.Helper()
	slices.SortFunc(all, func(a, b whmcstest.Order) int {
		switch {
		case a.ID == last:
			return 1
		case b.ID == last:
			return -1
		}
		return int(b.ID - a.ID)
	})
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(r.FormValue("limitstart"))
		n, _ := strconv.Atoi(r.FormValue("limitnum"))
		page := []map[string]any{}
		for _, o := range all[min(start, len(all)):min(start+n, len(all))] {
			page = append(page, map[string]any{"id": o.ID, "userid": o.UserID, "status": o.Status, "notes": o.Notes, "date": o.Date.Format(time.DateTime)})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"result": "success", "totalresults": len(all), "orders": map[string]any{"order": page}})
	})
}

// list reads a listing to its end, newest id first.
func list(ctx context.Context, c *whmcs.Client, l order.Listing) ([]order.BillingOrder, bool, error) {
	for {
		p, err := c.Page(ctx, l)
		if err != nil {
			return nil, false, err
		}
		l = l.Take(p, func(m order.BillingOrder) bool { return !l.Old(m) })
		if done, complete := l.Done(); done {
			slices.SortFunc(l.Found, func(a, b order.BillingOrder) int { return cmp.Compare(b.Number(), a.Number()) })
			return l.Found, complete, nil
		}
	}
}

// listSince lists the orders of every client from a day on.
func listSince(ctx context.Context, c *whmcs.Client, day time.Time) ([]order.BillingOrder, bool, error) {
	return list(ctx, c, order.Listing{Since: day.UTC().Truncate(24 * time.Hour)})
}
