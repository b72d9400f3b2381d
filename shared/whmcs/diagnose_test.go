package whmcs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

func TestEachPlantedFaultOfWHMCSIsFoundAndNoneInvented(t *testing.T) {
	for name, c := range map[string]struct {
		switches func(*whmcstest.Switches)
		sold     map[int64][]order.Cycle
		config   func(*whmcs.Config)
		want     string // of the one red finding; "" = none
		seen     string // in it
	}{
		"a sound installation": {},
		"an old version":       {switches: func(s *whmcstest.Switches) { s.Version = "8.1.0" }},
		"texts for numbers":    {switches: func(s *whmcstest.Switches) { s.NumbersAsStrings, s.ListForm = true, "indexed" }},
		"an address that is refused": {switches: func(s *whmcstest.Switches) { s.DenyIP = "203.0.113.9" },
			want: "it answers, at the address and with the credentials of the bridge", seen: "203.0.113.9"},
		"AddOrder not allowed":                     {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"AddOrder"} }, want: "the API role allows AddOrder"},
		"AcceptOrder not allowed":                  {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"AcceptOrder"} }, want: "the API role allows AcceptOrder"},
		"GetClientsDetails not allowed":            {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"GetClientsDetails"} }, want: "the API role allows GetClientsDetails"},
		"GetClientsProducts not allowed":           {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"GetClientsProducts"} }, want: "the API role allows GetClientsProducts"},
		"GetModuleQueue not allowed":               {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"GetModuleQueue"} }, want: "the API role allows GetModuleQueue"},
		"GetPayMethods not allowed and not needed": {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"GetPayMethods"} }},
		"GetPayMethods not allowed": {switches: func(s *whmcstest.Switches) { s.DenyActions = []string{"GetPayMethods"} },
			config: func(c *whmcs.Config) { c.RequirePayMethod = true }, want: "the API role allows GetPayMethods"},
		"notes that are not kept": {switches: func(s *whmcstest.Switches) { s.NotesOff = true }, want: "markers are kept in the notes"},
		"notes that are escaped":  {switches: func(s *whmcstest.Switches) { s.NotesEscaped = true }},
		"a cycle without a price": {sold: map[int64][]order.Cycle{1: {order.Monthly, order.Quarterly}}, want: "product 1 is sold quarterly"},
		"a product that is gone":  {sold: map[int64][]order.Cycle{99: {order.Monthly}}, want: "product 99 exists"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.config)
			w.sim.SetProduct(1, whmcstest.Product{Name: "Hosting", PayType: "recurring", Cycles: []string{"monthly", "annually"}})
			w.sim.SetProduct(99, whmcstest.Product{Missing: true})
			if c.switches != nil {
				w.sim.Books().Switch(c.switches)
			}
			w.sim.Books().BeginAdd(orderID(t, 1), plan()).Finish(whmcstest.Twist{})
			made := map[string]order.ID{"1001": orderID(t, 1)}
			sold := c.sold
			if sold == nil {
				sold = map[int64][]order.Cycle{1: {order.Monthly, order.Annually}}
			}
			orders := len(w.sim.Orders())
			var bad []string
			for _, f := range w.Diagnose(t.Context(), sold, made) {
				if !f.OK {
					bad = append(bad, f.What)
					if f.Do == "" {
						t.Errorf("%s: nothing is said to do", f.What)
					}
					if c.seen != "" && !strings.Contains(f.Seen, c.seen) {
						t.Errorf("%s: seen %q, want %q in it", f.What, f.Seen, c.seen)
					}
				}
			}
			if c.want == "" && len(bad) > 0 || c.want != "" && !slices.Equal(bad, []string{c.want}) {
				t.Errorf("red: %q, want %q", strings.Join(bad, "; "), c.want)
			}
			if n := len(w.sim.Orders()); n != orders {
				t.Errorf("%d orders were made by asking", n-orders)
			}
		})
	}
}

func TestTheClockOfWHMCSIsComparedWithOurs(t *testing.T) {
	for name, c := range map[string]struct {
		ours time.Duration // our clock, against that of WHMCS
		ok   bool
		seen string
	}{
		"the same":          {0, true, ""},
		"a little behind":   {-30 * time.Second, true, "ahead of ours by"},
		"ours far behind":   {-time.Hour, false, "ahead of ours by "},
		"ours far in front": {time.Hour, false, "behind ours by "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			d := quiet()
			d.Now = func() time.Time { return time.Now().Add(c.ours) }
			client, err := whmcs.New(d, whmcs.Config{BaseURL: w.url, Marker: whmcs.MarkerNotes})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			all := client.Diagnose(t.Context(), nil, nil)
			i := slices.IndexFunc(all, func(f fault.Finding) bool { return f.What == "its clock agrees with ours" })
			if i < 0 || all[i].OK != c.ok || !strings.HasPrefix(all[i].Seen, c.seen) || c.seen == "" && all[i].Seen != "" {
				t.Errorf("findings %+v, want ok %v, %q", all, c.ok, c.seen)
			}
		})
	}
}
