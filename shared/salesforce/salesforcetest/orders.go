package salesforcetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// values holds fields by their name as declared -> string, float64, bool,
// time.Time or nil.
type values map[string]any

// record is an order or an order product.
type record struct {
	id     string
	fields values
	parent values // the account, or the product; nil = none, or not readable

	items   []string // of an order: the ids of its products
	poison  string   // of an order: the row fault that each update of it meets
	history []Change // of an order
	order   string   // of an order product
}

// Change is one change of one field, as field history tracking shows it.
type Change struct {
	Field string `json:"field"`
	Value any    `json:"value"`
	At    string `json:"at"` // RFC 3339 with milliseconds
	// Item is the order product whose field it was; empty for the order's own.
	Item string `json:"item,omitempty"`
}

// Seed is what PutOrder puts into the org, and the body of PUT /_sim/orders/.
type Seed struct {
	AccountID     string `json:"accountId"` // 15 or 18 characters; empty = the order has no account
	AccountName   string `json:"accountName"`
	WHMCSClientID any    `json:"whmcsClientId"` // number or text; nil = not mapped
	// AccountHidden: the order has an account that the user may not read.
	AccountHidden bool           `json:"accountHidden"`
	Items         []SeedItem     `json:"items"`
	Fields        map[string]any `json:"fields"` // any field of the order
	// Poison names a row fault, such as row-hidden, that every update of the
	// order and its lines meets until the order is put again; "" = none.
	Poison string `json:"poison"`
}

// SeedItem is one line of a Seed.
type SeedItem struct {
	WHMCSProductID any            `json:"whmcsProductId"` // number or text; nil = not mapped
	BillingCycle   any            `json:"billingCycle"`   // text; nil = empty
	Quantity       any            `json:"quantity"`       // number; nil = 1
	ProductName    string         `json:"productName"`
	Fields         map[string]any `json:"fields"` // any field of the order product
}

// View is one order as it stands in the org.
type View struct {
	Fields  map[string]any   `json:"fields"`
	Items   []map[string]any `json:"items"`
	History []Change         `json:"history"`
}

// PutOrder creates the order, or replaces account, lines and the given fields
// of an order that is there; its other fields, status fields among them, stay,
// and so do the ids of its lines.
func (s *Sim) PutOrder(id string, seed Seed) error {
	parsed, err := order.ParseID(id)
	if err != nil {
		return fmt.Errorf("%.40q is not an Order id", id)
	}
	id = parsed.String()
	if _, known := rowFault(seed.Poison, s.schema["order"], change{}, id); !known && seed.Poison != "" {
		return fmt.Errorf("poison %q is not the fault of a row", seed.Poison)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opt.Now()
	old, exists := s.orders[id]
	row := &record{id: id, fields: s.blank("order", id, now), poison: seed.Poison}
	if exists {
		row.fields, row.history = maps.Clone(old.fields), old.history
	} else {
		row.fields["IsReductionOrder"], row.fields["Provisioning_Status__c"] = false, statuses[0]
	}
	row.fields["AccountId"], row.fields["LastModifiedDate"] = nil, now
	if seed.AccountID != "" {
		account, ok := order.To18(seed.AccountID)
		if !ok || !strings.HasPrefix(account, "001") {
			return fmt.Errorf("accountId %q is not an Account id", seed.AccountID)
		}
		row.fields["AccountId"] = account
		if !seed.AccountHidden {
			row.parent = values{"Id": account, "Name": "Account " + account}
			if seed.AccountName != "" {
				row.parent["Name"] = seed.AccountName
			}
			if err := s.setFields("account", row.parent, map[string]any{"WHMCS_Client_ID__c": seed.WHMCSClientID}); err != nil {
				return err
			}
		}
	}
	if err := s.setFields("order", row.fields, seed.Fields); err != nil {
		return err
	}

	lines := make([]*record, len(seed.Items))
	for i, it := range seed.Items {
		line := &record{order: id, parent: values{"Name": it.ProductName}}
		if exists && i < len(old.items) {
			before := s.items[old.items[i]]
			line.id, line.fields, line.parent["Id"] = before.id, maps.Clone(before.fields), before.parent["Id"]
		} else {
			line.id, line.parent["Id"] = s.newID("802"), s.newID("01t")
			line.fields = s.blank("orderitem", line.id, now)
		}
		if it.ProductName == "" {
			line.parent["Name"] = fmt.Sprintf("Product %v", it.WHMCSProductID)
		}
		if it.Quantity == nil {
			it.Quantity = 1.0
		}
		line.fields["LastModifiedDate"] = now
		if err := errors.Join(
			s.setFields("product2", line.parent, map[string]any{"WH_Product_ID__c": it.WHMCSProductID, "Billing_Cycle__c": it.BillingCycle}),
			s.setFields("orderitem", line.fields, map[string]any{"Quantity": it.Quantity}),
			s.setFields("orderitem", line.fields, it.Fields),
		); err != nil {
			return err
		}
		lines[i] = line
	}

	if exists {
		for _, itemID := range old.items {
			delete(s.items, itemID)
		}
	}
	for _, line := range lines {
		s.items[line.id] = line
		row.items = append(row.items, line.id)
	}
	s.orders[id] = row
	delete(s.deleted, id)
	return nil
}

// blank is a new record with every field of its object.
func (s *Sim) blank(objectName, id string, now time.Time) values {
	v := values{}
	for _, f := range s.schema[objectName].fields {
		v[f.name] = nil
	}
	v["Id"], v["CreatedDate"] = id, now
	return v
}

// setFields sets fields as an administrator can: read-only fields too, and a
// custom field that the org does not have is made, as a text.
func (s *Sim) setFields(objectName string, into values, fields map[string]any) error {
	o := s.schema[objectName]
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f, ok := o.fields[strings.ToLower(name)]
		if !ok {
			if !strings.HasSuffix(name, "__c") {
				return fmt.Errorf("%s has no field %s", o.name, name)
			}
			o.add(field{name: name, kind: kindString, length: 32768, writable: true})
			f = o.fields[strings.ToLower(name)]
		}
		switch v := fields[name].(type) {
		case string:
			if f.kind == kindDouble {
				return fmt.Errorf("%s must be a number", name)
			}
			into[f.name] = v
			if f.kind == kindDateTime {
				at, err := parseDateTime(v)
				if err != nil {
					return fmt.Errorf("%s: %q is not a date and time", name, v)
				}
				into[f.name] = at
			}
		case nil, bool, float64, time.Time:
			into[f.name] = v
		case int:
			into[f.name] = float64(v)
		case int64:
			into[f.name] = float64(v)
		default:
			return fmt.Errorf("%s must be a text, a number, a boolean or null", name)
		}
	}
	return nil
}

// newID makes an id that no record has had since the last reset.
func (s *Sim) newID(prefix string) string {
	s.serial++
	return long(fmt.Sprintf("%s%012d", prefix, s.serial))
}

// DeleteOrder puts the order and its lines into the recycle bin; it reports
// whether it was there.
func (s *Sim) DeleteOrder(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.orders[long(id)]
	if row == nil {
		return false
	}
	for _, it := range row.items {
		delete(s.items, it)
		s.deleted[it] = true
	}
	delete(s.orders, row.id)
	s.deleted[row.id] = true
	return true
}

// Order returns the order as it stands, or false.
func (s *Sim) Order(id string) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.orders[long(id)]
	if row == nil {
		return View{}, false
	}
	v := View{Fields: plain(row.fields), Items: []map[string]any{}, History: append([]Change{}, row.history...)}
	for _, itemID := range row.items {
		it := s.items[itemID]
		one := plain(it.fields)
		one["WH_Product_ID__c"], one["Billing_Cycle__c"] = it.parent["WH_Product_ID__c"], it.parent["Billing_Cycle__c"]
		v.Items = append(v.Items, one)
	}
	return v, true
}

func plain(in values) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		if at, ok := v.(time.Time); ok {
			v = dateTime(at)
		}
		out[k] = v
	}
	return out
}

// dateTime is how Salesforce writes a date and time.
func dateTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000+0000") }

// parseDateTime reads the forms of xsd:dateTime that the REST API takes: with
// or without a fraction, with Z or an offset, with or without its colon.
func parseDateTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Millisecond), nil
		}
	}
	return time.Time{}, errors.New("not a date and time")
}

// record returns an order or an order product; s.mu is held.
func (s *Sim) record(o *object, id string) (*record, bool) {
	r, ok := s.orders[id]
	if o.name == "OrderItem" {
		r, ok = s.items[id]
	}
	return r, ok
}

// about adds to subjects what a fault's Match can name of the order, or the
// order product, with that id: the order's id, its WHMCS order and its WHMCS
// client. s.mu is held.
func (s *Sim) about(subjects map[string]bool, id string) {
	id = long(id)
	subjects[id] = true
	if it := s.items[id]; it != nil {
		id = it.order
		subjects[id] = true
	}
	if r := s.orders[id]; r != nil {
		if made, ok := r.fields["WHMCS_Order_ID__c"].(string); ok {
			subjects[made] = true
		}
		if r.parent["WHMCS_Client_ID__c"] != nil {
			subjects[fmt.Sprint(r.parent["WHMCS_Client_ID__c"])] = true
		}
	}
}

func (s *Sim) sortedOrders() []*record {
	return slices.SortedFunc(maps.Values(s.orders), func(a, b *record) int { return strings.Compare(a.id, b.id) })
}
