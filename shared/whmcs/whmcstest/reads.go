package whmcstest

import (
	"cmp"
	"html"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// Actions lists those that this installation knows.
func Actions() []string {
	return []string{
		"AddOrder", "AcceptOrder", "GetOrders", "GetClientsProducts", "GetModuleQueue", "GetClientsDetails",
		"GetPayMethods", "GetPaymentMethods", "GetProducts", "GetOrderStatuses", "WhmcsDetails",
	}
}

// known returns the vendor's spelling of an action, whose case does not matter;
// "" if there is none.
func known(action string) string {
	for _, a := range Actions() {
		if strings.EqualFold(a, action) {
			return a
		}
	}
	return ""
}

// read answers one of the reads.
func (st *state) read(b *Books, action string, f Form) Reply {
	switch action {
	case "GetOrders":
		return st.getOrders(f)
	case "GetClientsProducts":
		return st.getClientsProducts(f)
	case "GetModuleQueue":
		return st.getModuleQueue(f)
	case "GetClientsDetails":
		return st.getClientsDetails(f)
	case "GetPayMethods":
		return st.getPayMethods(f)
	case "GetProducts":
		return st.getProducts(f)
	case "GetPaymentMethods":
		var list []obj
		for _, g := range gateways() {
			list = append(list, obj{{"module", g}, {"displayname", g}})
		}
		return success(member{"totalresults", len(list)}, member{"paymentmethods", rows{"paymentmethod", list}})
	case "GetOrderStatuses":
		count := map[string]int64{"Pending": 0, "Active": 0, "Fraud": 0, "Cancelled": 0}
		for _, o := range st.orders {
			count[o.Status]++
		}
		var list []obj
		for _, title := range slices.Sorted(maps.Keys(count)) {
			list = append(list, obj{{"title", title}, {"count", count[title]}})
		}
		return success(member{"totalresults", len(list)}, member{"statuses", rows{"status", list}})
	case "WhmcsDetails":
		short, _, _ := strings.Cut(st.switches.version(), "-")
		return success(member{"whmcs", obj{{"version", short}, {"canonicalversion", st.switches.version()}}})
	}
	return refuseWith(400, "Command Not Found")
}

// window cuts one page out of a list.
func window[T any](f Form, all []T) (list []T, start int64) {
	start = max(0, f.int("limitstart"))
	n := int64(25)
	if f.has("limitnum") {
		n = max(0, f.int("limitnum"))
	}
	if start >= int64(len(all)) {
		return nil, start
	}
	return all[start:min(int64(len(all)), start+n)], start
}

func (st *state) getOrders(f Form) Reply {
	var found []*Order
	for _, o := range st.orders {
		if f.has("id") && o.ID != f.int("id") || f.has("userid") && o.UserID != f.int("userid") ||
			f.has("status") && !strings.EqualFold(o.Status, f.Get("status")) {
			continue
		}
		found = append(found, o)
	}
	switch st.switches.ListOrder {
	case "asc":
	case "mixed":
		slices.SortStableFunc(found, func(a, b *Order) int { return cmp.Compare(a.ID*7919%10007, b.ID*7919%10007) })
	default:
		slices.Reverse(found)
	}
	list, start := window(f, found)
	var page []obj
	for _, o := range list {
		page = append(page, st.orderRow(o))
	}
	return success(member{"totalresults", len(found)}, member{"startnumber", start}, member{"numreturned", len(page)}, member{"orders", rows{"order", page}})
}

func (st *state) orderRow(o *Order) obj {
	notes := o.Notes
	if st.switches.NotesEscaped {
		notes = html.EscapeString(notes)
	}
	var items []obj
	for _, s := range o.Services {
		shown, _ := display(s.BillingCycle)
		p, _ := st.product(s.PID)
		items = append(items, obj{{"type", "product"}, {"relid", s.ID}, {"producttype", "Hosting Account"}, {"product", "Web - " + p.Name},
			{"domain", s.Domain}, {"billingcycle", shown}, {"amount", "$8.00 USD"}, {"status", s.Status}})
	}
	row := obj{
		{"id", o.ID}, {"ordernum", 4000000000 + o.ID}, {"userid", o.UserID}, {"contactid", int64(0)}, {"requestor_id", int64(0)}, {"admin_requestor_id", int64(1)},
		{"date", o.Date.Format(time.DateTime)}, {"nameservers", ""}, {"transfersecret", ""}, {"renewals", ""}, {"promocode", o.PromoCode}, {"promotype", ""}, {"promovalue", ""},
		{"orderdata", "[]"}, {"amount", "8.00"}, {"paymentmethod", o.Method}, {"invoiceid", int64(0)}, {"status", o.Status}, {"ipaddress", "203.0.113.7"},
		{"fraudmodule", ""}, {"fraudoutput", ""}, {"notes", notes}, {"paymentmethodname", "Mail In Payment"}, {"paymentstatus", ""}, {"name", "A Client"},
		{"currencyprefix", "$"}, {"currencysuffix", " USD"}, {"frauddata", ""}, {"validationdata", ""},
	}
	if !st.switches.NoLineItems {
		row = append(row, member{"lineitems", rows{"lineitem", items}})
	}
	return row
}

func (st *state) getClientsProducts(f Form) Reply {
	type owned struct {
		s Service
		o *Order
	}
	var found []owned
	for _, o := range st.orders {
		for _, s := range o.Services {
			if f.has("clientid") && o.UserID != f.int("clientid") || f.has("serviceid") && s.ID != f.int("serviceid") ||
				f.has("pid") && s.PID != f.int("pid") || f.has("domain") && s.Domain != f.Get("domain") {
				continue
			}
			found = append(found, owned{s, o})
		}
	}
	list, start := window(f, found)
	var page []obj
	for _, w := range list {
		shown, _ := display(w.s.BillingCycle)
		p, _ := st.product(w.s.PID)
		row := obj{{"id", w.s.ID}}
		if st.switches.takesQuantity() {
			row = append(row, member{"qty", strconv.Itoa(w.s.Qty)})
		}
		var fields []obj
		for _, id := range slices.Sorted(maps.Keys(w.s.CustomFields)) {
			fields = append(fields, obj{{"id", id}, {"name", "Field " + id}, {"translated_name", "Field " + id}, {"value", w.s.CustomFields[id]}})
		}
		row = append(row, obj{
			{"clientid", w.o.UserID}, {"orderid", w.o.ID}, {"ordernumber", 4000000000 + w.o.ID}, {"pid", w.s.PID}, {"regdate", w.o.Date.Format(time.DateOnly)},
			{"name", p.Name}, {"translated_name", p.Name}, {"groupname", "Web"}, {"domain", w.s.Domain}, {"dedicatedip", ""}, {"serverid", int64(0)},
			{"firstpaymentamount", "8.00"}, {"recurringamount", "8.00"}, {"paymentmethod", w.o.Method}, {"billingcycle", shown},
			{"nextduedate", w.o.Date.Format(time.DateOnly)}, {"status", w.s.Status}, {"username", "user" + strconv.FormatInt(w.s.ID, 10)}, {"password", "not-for-logs"},
			{"notes", ""}, {"customfields", rows{"customfield", fields}}, {"configoptions", rows{"configoption", optionRows(p, w.s.Options)}},
		}...)
		page = append(page, row)
	}
	id := any(nil)
	if f.has("clientid") {
		id = f.int("clientid")
	}
	return success(member{"clientid", id}, member{"serviceid", nil}, member{"pid", nil}, member{"domain", nil},
		member{"totalresults", strconv.Itoa(len(found))}, member{"startnumber", start}, member{"numreturned", len(page)}, member{"products", rows{"product", page}})
}

func (st *state) getModuleQueue(f Form) Reply {
	list := []obj{}
	for _, q := range st.queue {
		if f.has("relatedId") && q.service != f.int("relatedId") || f.has("serviceType") && f.Get("serviceType") != "service" ||
			f.has("moduleName") && q.module != f.Get("moduleName") || f.has("moduleAction") && f.Get("moduleAction") != "CreateAccount" {
			continue
		}
		at := q.at.UTC().Format(time.DateTime)
		list = append(list, obj{{"id", q.id}, {"serviceType", "service"}, {"serviceId", q.service}, {"moduleName", q.module}, {"moduleAction", "CreateAccount"},
			{"lastAttempt", at}, {"lastAttemptError", q.text}, {"numRetries", int64(0)}, {"completed", int64(0)}, {"createdAt", at}, {"updatedAt", at}})
	}
	return success(member{"count", len(list)}, member{"queue", list})
}

func (st *state) getClientsDetails(f Form) Reply {
	if !f.has("clientid") && !f.has("email") {
		return refuse("Either clientid Or email Is Required")
	}
	id := f.int("clientid")
	c, ok := st.client(id)
	if !ok {
		return refuse("Client Not Found")
	}
	details := obj{{"id", id}, {"uuid", "5d1a2b6c-0000-4000-8000-" + strconv.FormatInt(100000000000+id, 10)}, {"firstname", "A"}, {"lastname", "Client"},
		{"status", c.Status}, {"currency_code", "USD"}, {"customfields", []obj{{{"id", int64(198)}, {"value", strconv.FormatInt(id, 10)}}}}}
	// The same, flat, is deprecated and still sent.
	flat := obj{{"userid", id}, {"client_id", id}, {"firstname", "A"}, {"lastname", "Client"}, {"status", c.Status}}
	return success(append(flat, member{"client", details})...)
}

func (st *state) getPayMethods(f Form) Reply {
	if !f.has("clientid") {
		return refuse("Client ID Is Required")
	}
	id := f.int("clientid")
	c, ok := st.client(id)
	if !ok {
		return refuse("Client Not Found")
	}
	list := []obj{}
	for i := range c.PayMethods {
		list = append(list, obj{{"id", int64(i + 1)}, {"type", "RemoteCreditCard"}, {"description", ""}, {"gateway_name", "stripe"}, {"contact_type", "Client"},
			{"card_last_four", "4242"}, {"remote_token", "not-for-logs"}})
	}
	return success(member{"clientid", id}, member{"paymethods", list})
}

func (st *state) getProducts(f Form) Reply {
	var ids []int64
	if f.has("pid") {
		for s := range strings.SplitSeq(f.Get("pid"), ",") {
			ids = append(ids, atoi(s))
		}
	} else {
		ids = slices.Sorted(maps.Keys(st.products))
	}
	var list []obj
	for _, id := range ids {
		p, ok := st.product(id)
		if !ok || f.has("module") && p.Module != f.Get("module") {
			continue
		}
		row := obj{{"pid", id}, {"gid", int64(1)}, {"type", "hostingaccount"}, {"name", p.Name}, {"description", ""}, {"module", p.Module}}
		if p.PayType != "" {
			row = append(row, member{"paytype", p.PayType})
		}
		if st.switches.takesQuantity() {
			row = append(row, member{"allowqty", int64(p.AllowQty)})
		}
		row = append(row, member{"quantity_available", int64(0)}, member{"pricing", obj{{"USD", priceRow(p)}}}, member{"configoptions", rows{"configoption", choiceRows(p)}})
		list = append(list, row)
	}
	return success(member{"totalresults", len(list)}, member{"products", rows{"product", list}})
}

// priceRow has the prices of a product; -1.00 is none, and a one-time price
// stands under monthly.
func priceRow(p Product) obj {
	row := obj{{"prefix", "$"}, {"suffix", " USD"}, {"msetupfee", "0.00"}}
	for _, cycle := range []order.Cycle{order.Monthly, order.Quarterly, order.SemiAnnually, order.Annually, order.Biennially, order.Triennially} {
		price := "-1.00"
		if p.sells(string(cycle)) || p.PayType == string(order.OneTime) && cycle == order.Monthly {
			price = "8.00"
		}
		row = append(row, member{string(cycle), price})
	}
	return row
}

// choiceRows has the options of a product with their choices, as GetProducts
// lists them: types are numbers there.
func choiceRows(p Product) []obj {
	var list []obj
	for _, o := range p.Options {
		var choices []obj
		for _, c := range o.Choices {
			choices = append(choices, obj{{"id", c.ID}, {"name", c.Name}, {"rawName", nil}, {"recurring", int64(0)}, {"required", nil}})
		}
		kind := map[string]string{"dropdown": "1", "radio": "2", "yesno": "3", "quantity": "4"}[o.Type]
		list = append(list, obj{{"id", o.ID}, {"name", o.Name}, {"type", kind}, {"options", rows{"option", choices}}})
	}
	return list
}

// optionRows has the options of a service, as GetClientsProducts lists them:
// every one that its product has. A product of which nothing is said keeps what
// was sent.
func optionRows(p Product, sent map[string]string) []obj {
	var list []obj
	for _, o := range p.Options {
		list = append(list, obj{{"id", o.ID}, {"option", o.Name}, {"type", o.Type}, {"value", o.shown(sent[strconv.FormatInt(o.ID, 10)])}})
	}
	if len(p.Options) == 0 && p.PayType == "" {
		for _, id := range slices.Sorted(maps.Keys(sent)) {
			list = append(list, obj{{"id", id}, {"option", "Option " + id}, {"type", "quantity"}, {"value", sent[id]}})
		}
	}
	return list
}

// display returns the form in which reads show a billing cycle.
func display(cycle string) (string, bool) {
	switch order.Cycle(cycle) {
	case order.Monthly:
		return "Monthly", true
	case order.OneTime:
		return "One-Time", true
	case order.Quarterly:
		return "Quarterly", true
	case order.SemiAnnually:
		return "Semi-Annually", true
	case order.Annually:
		return "Annually", true
	case order.Biennially:
		return "Biennially", true
	case order.Triennially:
		return "Triennially", true
	case order.Free:
		return "Free Account", true
	}
	return "", false
}

// names returns all that a fault's match may say to fit this call.
func (st *state) names(action string, f Form) map[string]bool {
	found := map[string]bool{}
	client := func(id int64) {
		if id <= 0 {
			return
		}
		found[strconv.FormatInt(id, 10)] = true
		for m, clients := range st.asked {
			if clients[id] {
				found[m] = true
			}
		}
		for _, o := range st.orders {
			if o.UserID == id {
				st.nameOrder(found, o)
			}
		}
	}
	byOrder := func(o *Order) {
		st.nameOrder(found, o)
		found[strconv.FormatInt(o.UserID, 10)] = true
	}
	switch action {
	case "AddOrder":
		if m := marker(f); m != "" {
			found[m] = true
		}
		if id := f.int("clientid"); id > 0 {
			found[strconv.FormatInt(id, 10)] = true
		}
	case "AcceptOrder":
		if o, ok := st.byID[f.int("orderid")]; ok {
			byOrder(o)
		}
	case "GetOrders":
		switch {
		case f.has("id"):
			if o, ok := st.byID[f.int("id")]; ok {
				byOrder(o)
			}
		case f.has("userid"):
			client(f.int("userid"))
		default:
			st.nameAll(found)
		}
	case "GetClientsProducts", "GetModuleQueue":
		service := f.int("serviceid")
		if action == "GetModuleQueue" {
			service = f.int("relatedId")
		}
		switch {
		case f.has("clientid"):
			client(f.int("clientid"))
		case service > 0:
			for _, o := range st.orders {
				if slices.ContainsFunc(o.Services, func(s Service) bool { return s.ID == service }) {
					byOrder(o)
				}
			}
		default:
			st.nameAll(found)
		}
	case "GetClientsDetails", "GetPayMethods":
		client(f.int("clientid"))
	}
	return found
}

func (st *state) nameOrder(found map[string]bool, o *Order) {
	found[strconv.FormatInt(o.ID, 10)] = true
	for _, m := range append(strings.Fields(string(order.ReadMarker(o.Notes))), o.Salesforce) {
		if m != "" {
			found[m] = true
		}
	}
}

func (st *state) nameAll(found map[string]bool) {
	for _, o := range st.orders {
		st.nameOrder(found, o)
		found[strconv.FormatInt(o.UserID, 10)] = true
	}
	for m := range st.asked {
		found[m] = true
	}
}
