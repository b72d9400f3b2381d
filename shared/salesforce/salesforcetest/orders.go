package salesforcetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// values is one record: field name as declared -> string, float64, bool,
// time.Time or nil.
type values map[string]any

type orderRow struct {
	id      string
	fields  values
	account values // the account as this order sees it; nil = none, or not readable
	items   []string
	history []Change
}

type itemRow struct {
	id      string
	order   string
	fields  values
	product values
}

// Change is one change of one field, as field history tracking shows it.
type Change struct {
	Field string `json:"field"`
	Value any    `json:"value"`
	At    string `json:"at"` // RFC 3339 with milliseconds
	// Item is the order product whose field it was; empty for the order's own.
	Item string `json:"item,omitempty"`
}

// Seed is what PutOrder puts into the org.
type Seed struct {
	AccountID     string // 15 or 18 characters; empty = the order has no account
	AccountName   string
	WHMCSClientID any // number or text; nil = not mapped
	// AccountHidden: the order has an account that the user may not read.
	AccountHidden bool
	Items         []SeedItem
	Fields        map[string]any // any field of the order
}

// SeedItem is one line of a Seed.
type SeedItem struct {
	WHMCSProductID any // number or text; nil = not mapped
	BillingCycle   any // text; nil = empty
	Quantity       any // number; nil = 1
	ProductName    string
	Fields         map[string]any // any field of the order product
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
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(id, seed)
}

func (s *Sim) put(raw string, seed Seed) error {
	parsed, err := order.ParseID(raw)
	if err != nil {
		return fmt.Errorf("%q is not an Order id", raw)
	}
	id := parsed.String()
	now := s.opt.Now()

	var account values
	var accountID any
	if seed.AccountID != "" {
		full, ok := order.To18(seed.AccountID)
		if !ok || !strings.HasPrefix(full, "001") {
			return fmt.Errorf("accountId %q is not an Account id", seed.AccountID)
		}
		accountID = full
		if !seed.AccountHidden {
			name := seed.AccountName
			if name == "" {
				name = "Account " + full
			}
			client, err := scalar("whmcsClientId", seed.WHMCSClientID)
			if err != nil {
				return err
			}
			account = values{"Id": full, "Name": name, "WHMCS_Client_ID__c": client}
		}
	}

	old, exists := s.orders[id]
	row := &orderRow{id: id, account: account}
	if exists {
		row.fields, row.history = maps.Clone(old.fields), old.history
	} else {
		row.fields = values{}
		for _, low := range s.schema["order"].order {
			row.fields[s.schema["order"].fields[low].name] = nil
		}
		maps.Copy(row.fields, values{
			"Id": id, "OrderNumber": fmt.Sprintf("%08d", len(s.orders)+100), "Status": "Draft",
			"IsReductionOrder": false, "TotalAmount": 0.0, "CreatedDate": now, "Provisioning_Status__c": statuses[0],
		})
	}
	row.fields["AccountId"] = accountID
	row.fields["LastModifiedDate"], row.fields["SystemModstamp"] = now, now
	if err := s.setFields("order", row.fields, seed.Fields); err != nil {
		return err
	}

	lines := make([]*itemRow, len(seed.Items))
	for i, it := range seed.Items {
		line := &itemRow{order: id}
		var productID string
		if exists && i < len(old.items) {
			before := s.items[old.items[i]]
			line.id, line.fields = before.id, maps.Clone(before.fields)
			productID, _ = before.product["Id"].(string)
		} else {
			line.id, productID = s.newID("802"), s.newID("01t")
			line.fields = values{}
			for _, low := range s.schema["orderitem"].order {
				line.fields[s.schema["orderitem"].fields[low].name] = nil
			}
			maps.Copy(line.fields, values{"Id": line.id, "OrderId": id, "OrderItemNumber": fmt.Sprintf("%010d", i+1), "UnitPrice": 0.0, "CreatedDate": now})
		}
		pid, err := scalar("whmcsProductId", it.WHMCSProductID)
		if err != nil {
			return err
		}
		cycle, err := scalar("billingCycle", it.BillingCycle)
		if err != nil {
			return err
		}
		quantity, err := scalar("quantity", it.Quantity)
		if err != nil {
			return err
		}
		if quantity == nil {
			quantity = 1.0
		}
		if _, ok := quantity.(float64); !ok {
			return errors.New("quantity must be a number")
		}
		name := it.ProductName
		if name == "" {
			name = fmt.Sprintf("Product %v", it.WHMCSProductID)
			if it.WHMCSProductID == nil {
				name = "Product without WHMCS id"
			}
		}
		line.product = values{"Id": productID, "Name": name, "WH_Product_ID__c": pid, "Billing_Cycle__c": cycle}
		maps.Copy(line.fields, values{"Product2Id": productID, "Quantity": quantity, "LastModifiedDate": now, "SystemModstamp": now})
		if err := s.setFields("orderitem", line.fields, it.Fields); err != nil {
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

// setFields is the administrator's hand: read-only fields too, and a custom
// field that the org does not have is made, as a text of 255.
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
		if f.kind == kindID {
			continue
		}
		v, err := scalar(name, fields[name])
		if err != nil {
			return err
		}
		if text, ok := v.(string); ok && f.kind == kindDateTime {
			at, err := parseDateTime(text)
			if err != nil {
				return fmt.Errorf("%s: %q is not a date and time", name, text)
			}
			v = at
		}
		into[f.name] = v
	}
	return nil
}

func scalar(name string, v any) (any, error) {
	switch x := v.(type) {
	case nil, string, bool, float64:
		return x, nil
	case int:
		return float64(x), nil
	case int64:
		return float64(x), nil
	case json.Number:
		f, err := x.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a number", name, x)
		}
		return f, nil
	case time.Time:
		return x, nil
	}
	return nil, fmt.Errorf("%s must be a text, a number, a boolean or null", name)
}

// newID makes an id that no record has had since the last reset.
func (s *Sim) newID(prefix string) string {
	s.serial++
	full, _ := order.To18(fmt.Sprintf("%s%012d", prefix, s.serial))
	return full
}

// DeleteOrder puts the order and its lines into the recycle bin; it reports
// whether it was there.
func (s *Sim) DeleteOrder(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	full, ok := order.To18(id)
	row := s.orders[full]
	if !ok || row == nil {
		return false
	}
	for _, it := range row.items {
		delete(s.items, it)
		s.deleted[it] = true
	}
	delete(s.orders, full)
	s.deleted[full] = true
	return true
}

// Order returns the order as it stands, or false.
func (s *Sim) Order(id string) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full, ok := order.To18(id)
	row := s.orders[full]
	if !ok || row == nil {
		return View{}, false
	}
	v := View{Fields: plain(row.fields), Items: []map[string]any{}, History: append([]Change{}, row.history...)}
	for _, itemID := range row.items {
		it := s.items[itemID]
		one := plain(it.fields)
		one["WH_Product_ID__c"], one["Billing_Cycle__c"] = it.product["WH_Product_ID__c"], it.product["Billing_Cycle__c"]
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

func (s *Sim) record(objectName, id string) (values, bool) {
	switch objectName {
	case "Order":
		if r := s.orders[id]; r != nil {
			return r.fields, true
		}
	case "OrderItem":
		if r := s.items[id]; r != nil {
			return r.fields, true
		}
	case "Account":
		for _, r := range s.sortedOrders() {
			if r.account != nil && r.account["Id"] == id {
				return r.account, true
			}
		}
	case "Product2":
		for _, r := range s.items {
			if r.product["Id"] == id {
				return r.product, true
			}
		}
	}
	return nil, false
}

func (s *Sim) sortedOrders() []*orderRow {
	all := slices.Collect(maps.Values(s.orders))
	slices.SortFunc(all, func(a, b *orderRow) int { return strings.Compare(a.id, b.id) })
	return all
}
