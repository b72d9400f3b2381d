package whmcs_test

import (
	"maps"
	"slices"
	"testing"

	"orderbridge/shared/order"
	"orderbridge/shared/whmcs/whmcstest"
)

// What was ordered besides the product is read back in AddOrder's own words.
func TestAnOrderIsReadBackWithAllThatWasOrdered(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.SetProduct(21, whmcstest.Product{Name: "Virtual Server M", PayType: "recurring", Cycles: []string{"monthly"}, Options: []whmcstest.Option{
		{ID: 4, Name: "Location", Type: "dropdown", Choices: []whmcstest.Choice{{ID: 40, Name: "Oslo & Bergen"}, {ID: 41, Name: "Rome"}}},
		{ID: 5, Name: "Extra disks", Type: "quantity"},
		{ID: 6, Name: "Backup", Type: "yesno"},
	}})
	p := order.Plan{ClientID: clientID, PaymentMethod: "mailin", PromoCode: "SPRING", Entries: []order.PlanEntry{{Services: 1, Line: order.Line{
		ItemID: "802a", ProductID: 21, Cycle: order.Monthly, Quantity: 1, Domain: "example.com",
		CustomFields: map[string]string{"7": "blue"}, ConfigOptions: map[string]string{"4": "41", "5": "3", "6": "1"},
	}}}}
	made, err := w.Add(t.Context(), gate(), orderID(t, 1), p)
	if err != nil {
		t.Fatal(err)
	}
	o, ok, err := w.Order(t.Context(), made, clientID)
	if err != nil || !ok || len(o.Services) != 1 {
		t.Fatalf("%+v, %t, %v", o, ok, err)
	}
	s := o.Services[0]
	if !o.PromoKnown || o.PromoCode != "SPRING" || s.Domain != "example.com" || s.CustomFields["7"] != "blue" || !maps.Equal(s.ConfigOptions, map[string]string{"4": "41", "5": "3", "6": "1"}) {
		t.Errorf("order %+v", o)
	}
	// The same after WHMCS has left out what it could not use.
	w.sim.Books().Switch(func(s *whmcstest.Switches) {
		s.Drops = []string{"promocode", "domain", "customfields", "configoptions"}
	})
	if made, err = w.Add(t.Context(), gate(), orderID(t, 2), p); err != nil {
		t.Fatal(err)
	}
	if o, _, err = w.Order(t.Context(), made, clientID); err != nil {
		t.Fatal(err)
	}
	s = o.Services[0]
	if !o.PromoKnown || o.PromoCode != "" || s.Domain != "" || s.CustomFields["7"] != "" || !maps.Equal(s.ConfigOptions, map[string]string{"4": "40", "5": "0", "6": "0"}) {
		t.Errorf("order %+v", o)
	}
}

func TestTheCyclesThatWHMCSSellsAreRead(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.SetProduct(21, whmcstest.Product{PayType: "recurring", Cycles: []string{"quarterly", "annually"}})
	w.sim.SetProduct(22, whmcstest.Product{PayType: "onetime"})
	w.sim.SetProduct(23, whmcstest.Product{PayType: "free"})
	w.sim.SetProduct(24, whmcstest.Product{PayType: "recurring"})
	w.sim.SetProduct(25, whmcstest.Product{})
	found, err := w.Products(t.Context(), []int64{21, 22, 23, 24, 25})
	if err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int64][]order.Cycle{21: {order.Quarterly, order.Annually}, 22: {order.OneTime}, 23: {order.Free}, 24: {}, 25: nil} {
		if got := found[pid].Cycles; !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("product %d is sold %v, want %v", pid, got, want)
		}
	}
}
