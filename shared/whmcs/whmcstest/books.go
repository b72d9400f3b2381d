package whmcstest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/order"
)

// Client is a WHMCS client.
type Client struct {
	Status     string // Active, Inactive, Closed, missing; "" = Active
	PayMethods int    // stored pay methods
}

// Product is a WHMCS product.
type Product struct {
	Name     string
	AllowQty int    // 0 no, 1 multiple services, 2 scaling service
	Module   string // "" = none
	Missing  bool
	// PayType is free, onetime or recurring, and Cycles has the cycles that have
	// a price; "" = it is not said, and every cycle is sold.
	PayType string
	Cycles  []string
	Options []Option
}

// Option is a configurable option of a product.
type Option struct {
	ID      int64    `json:"id"`
	Name    string   `json:"name"`
	Type    string   `json:"type"` // dropdown, radio, yesno, quantity
	Choices []Choice `json:"choices"`
}

// Choice is one value of an option; the first is what WHMCS stores where
// AddOrder gave none that it can use.
type Choice struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// sells reports whether the product has a price for the cycle.
func (p Product) sells(cycle string) bool {
	switch p.PayType {
	case "":
		return true
	case "recurring":
		return slices.Contains(p.Cycles, cycle)
	}
	return cycle == p.PayType
}

// shown is an option of a service as WHMCS lists it.
func (o Option) shown(sent string) string {
	switch {
	case o.Type == "quantity":
		return cmp.Or(sent, "0")
	case o.Type == "yesno":
		return map[bool]string{true: "Yes", false: "No"}[sent == "1"]
	}
	for _, c := range o.Choices {
		if strconv.FormatInt(c.ID, 10) == sent {
			return c.Name
		}
	}
	if len(o.Choices) == 0 {
		return ""
	}
	return o.Choices[0].Name
}

// Order is one WHMCS order, with its services.
type Order struct {
	ID         int64     `json:"id"`
	UserID     int64     `json:"userid"`
	Status     string    `json:"status"`
	Notes      string    `json:"notes"`
	Services   []Service `json:"services"`
	ModuleRuns int       `json:"moduleRuns"`

	// Salesforce is the Salesforce order id of the marker that AddOrder was
	// sent, whatever became of it in the books.
	Salesforce string    `json:"-"`
	Date       time.Time `json:"-"`
	PromoCode  string    `json:"-"`
	Method     string    `json:"-"`
}

// Live reports whether something may still come of the order.
func (o Order) Live() bool { return o.Status != "Cancelled" && o.Status != "Fraud" }

// Service is one service of an order.
type Service struct {
	ID           int64  `json:"id"`
	PID          int64  `json:"pid"`
	BillingCycle string `json:"billingcycle"` // as AddOrder takes it
	Qty          int    `json:"qty"`
	Status       string `json:"status"`

	Domain       string            `json:"-"`
	CustomFields map[string]string `json:"-"`
	Options      map[string]string `json:"-"`
	Runs         int               `json:"-"` // of the module

	failed int // runs that reported a failure
}

func (s Service) live() bool { return s.Status == "Active" || s.Status == "Completed" }

// queued is a row of the module queue.
type queued struct {
	id, service int64
	module      string
	text        string
	at          time.Time
}

// Switches change how the installation behaves, until they are set again.
type Switches struct {
	Version          string   `json:"version"`          // "" = 8.13.1-release.1; before 8.12 there is no qty
	NumbersAsStrings bool     `json:"numbersAsStrings"` // every number of a reply
	EmptyList        string   `json:"emptyList"`        // "" nested, "array", "object", "string"
	ListForm         string   `json:"listForm"`         // "" nested, "indexed", "single" (one row), "bare" (not nested)
	ListOrder        string   `json:"listOrder"`        // "" or "desc" (newest first), "asc", "mixed"
	NotesOff         bool     `json:"notesOff"`         // AddOrder does not keep notes
	NotesEscaped     bool     `json:"notesEscaped"`     // notes are read HTML-escaped
	NotesAbort       bool     `json:"notesAbort"`       // a hook aborts the module while the order has notes
	FieldsOff        bool     `json:"fieldsOff"`        // AddOrder does not keep custom fields
	NoLineItems      bool     `json:"noLineItems"`      // orders are listed without their line items
	FlattenQueue     bool     `json:"flattenQueue"`     // "queue[0][id]" keys
	OrderStatus      string   `json:"orderStatus"`      // of a new order; "" = Pending
	DenyIP           string   `json:"denyIP"`           // refuse callers, showing this address
	DenyActions      []string `json:"denyActions"`      // the role lacks them
	AnyID            bool     `json:"anyId"`            // every client and product exists
	Drops            []string `json:"drops"`            // what AddOrder does not keep: promocode, domain, hostname, customfields, configoptions
}

func (s Switches) version() string { return cmp.Or(s.Version, "8.13.1-release.1") }

func (s Switches) takesQuantity() bool {
	var major, minor int
	_, _ = fmt.Sscanf(s.version(), "%d.%d", &major, &minor)
	return major > 8 || major == 8 && minor >= 12
}

// Books is the installation without its HTTP front: what WHMCS does and
// remembers. It is safe for concurrent use and, with an injected clock, takes
// part in a simulation under virtual time.
type Books struct {
	now  func() time.Time
	fail func(format string, args ...any)

	mu      sync.Mutex
	st      *state
	initial Switches
	// Ids go on after a reset, as AUTO_INCREMENT does.
	order, service, row int64
}

type state struct {
	switches Switches
	clients  map[int64]Client
	products map[int64]Product
	orders   []*Order // by id, ascending
	byID     map[int64]*Order
	marked   map[string][]*Order // by Salesforce order id; deleted ones too
	queue    []queued
	asked    map[string]map[int64]bool // Salesforce id -> clients it was asked for
}

// NewBooks returns empty books. A nil clock is time.Now; fail may be nil.
func NewBooks(now func() time.Time, fail func(format string, args ...any), s Switches) *Books {
	if now == nil {
		now = time.Now
	}
	if fail == nil {
		fail = func(string, ...any) {}
	}
	b := &Books{now: now, fail: fail, initial: s, order: 1000, service: 5000, row: 100}
	b.Reset()
	return b
}

// Reset forgets everything but the initial switches. Work that is under way
// ends in the books that were.
func (b *Books) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st = &state{
		switches: b.initial,
		clients:  map[int64]Client{}, products: map[int64]Product{},
		byID: map[int64]*Order{}, marked: map[string][]*Order{}, asked: map[string]map[int64]bool{},
	}
}

// SetClient puts a client.
func (b *Books) SetClient(id int64, c Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st.clients[id] = c
}

// SetProduct puts a product.
func (b *Books) SetProduct(id int64, p Product) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st.products[id] = p
}

// Switches returns the switches in force.
func (b *Books) Switches() Switches {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.st.switches
}

// Switch changes switches.
func (b *Books) Switch(change func(*Switches)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.st.switches)
}

// Orders returns copies of all orders, by id.
func (b *Books) Orders() []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Order, 0, len(b.st.orders))
	for _, o := range b.st.orders {
		all = append(all, o.copy())
	}
	return all
}

// OrdersOf returns copies of the orders that were made for one Salesforce order.
func (b *Books) OrdersOf(salesforce string) []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Order
	for _, o := range b.st.marked[salesforce] {
		if _, ok := b.st.byID[o.ID]; ok {
			all = append(all, o.copy())
		}
	}
	return all
}

// Order returns a copy of one order.
func (b *Books) Order(id int64) (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.st.byID[id]
	if !ok {
		return Order{}, false
	}
	return o.copy(), true
}

func (o *Order) copy() Order {
	c := *o
	c.Services = append([]Service{}, o.Services...)
	c.ModuleRuns = 0
	for _, s := range o.Services {
		c.ModuleRuns = max(c.ModuleRuns, s.Runs)
	}
	return c
}

// Edit is what an admin changes in an order; nil leaves a member alone.
type Edit struct {
	Status *string
	Notes  *string
	UserID *int64
	// Services sets the status of services by id.
	Services map[int64]string
}

// Patch edits an order as an admin would: Active accepts it (without a module
// run that is counted here), Cancelled and Fraud take its services along,
// Pending leaves them, any other status is one that an admin added.
func (b *Books) Patch(id int64, e Edit) (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.st.byID[id]
	if !ok {
		return Order{}, false
	}
	if e.Notes != nil {
		o.Notes = *e.Notes
	}
	if e.UserID != nil {
		o.UserID = *e.UserID
	}
	if e.Status != nil {
		o.Status = *e.Status
		for i := range o.Services {
			switch s := &o.Services[i]; {
			case o.Status == "Active" && s.Status == "Pending":
				b.st.build(s)
			case !o.Live():
				s.Status = o.Status
			}
		}
	}
	for i := range o.Services {
		s := &o.Services[i]
		if status, ok := e.Services[s.ID]; ok {
			if status == "Active" || status == "Completed" {
				b.st.build(s)
			}
			s.Status = status
		}
	}
	return o.copy(), true
}

// Delete removes an order with its services, as DeleteOrder does.
func (b *Books) Delete(id int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.st.byID[id]; !ok {
		return false
	}
	delete(b.st.byID, id)
	b.st.orders = slices.DeleteFunc(b.st.orders, func(o *Order) bool { return o.ID == id })
	return true
}

// build makes a service Active and takes it off the module queue.
func (st *state) build(s *Service) {
	s.Status = "Active"
	st.queue = slices.DeleteFunc(st.queue, func(q queued) bool { return q.service == s.ID })
}

func (st *state) client(id int64) (Client, bool) {
	if id <= 0 {
		return Client{}, false
	}
	c, ok := st.clients[id]
	switch {
	case ok:
	case id > lastClient && !st.switches.AnyID:
		return Client{}, false
	default:
		c.PayMethods = 1
	}
	if strings.EqualFold(c.Status, "missing") {
		return Client{}, false
	}
	c.Status = cmp.Or(c.Status, "Active")
	return c, true
}

func (st *state) product(id int64) (Product, bool) {
	if id <= 0 {
		return Product{}, false
	}
	p, ok := st.products[id]
	if !ok && id > lastProduct && !st.switches.AnyID {
		return Product{}, false
	}
	p.Name = cmp.Or(p.Name, productName(id))
	return p, !p.Missing
}

// The installation that the simulator stands for has these clients and products;
// others exist once they were put, or by the switch anyId.
const (
	lastClient  = 9999
	lastProduct = 99
)

// productName is a name as a person would write it.
func productName(id int64) string {
	lines := []string{"Web Hosting", "Virtual Server", "Mail Hosting", "Online Backup", "Managed WordPress"}
	sizes := []string{"S", "M", "L", "XL"}
	n := id - 1
	name := lines[n/int64(len(sizes))%int64(len(lines))] + " " + sizes[n%int64(len(sizes))]
	if round := n / int64(len(lines)*len(sizes)); round > 0 {
		name += " " + strconv.FormatInt(2020+round, 10)
	}
	return name
}

// Twist is how one AddOrder or AcceptOrder goes wrong inside WHMCS.
type Twist struct {
	Kind string // "" or one of the twists
	Text string // of the module
}

// The twists.
const (
	ModuleFailActive  = "module-fail-active"  // order Active, services Pending and in the queue, reply success
	ModuleFailPending = "module-fail-pending" // error with the module's text, order stays Pending
	ModuleFailMixed   = "module-fail-mixed"   // as active, but the first service is built
	ModuleMadePending = "module-made-pending" // remote account made, order Active, WHMCS leaves the service Pending
	HalfAdded         = "half-added"          // PHP dies after the first service: a blank page
	MarkerLost        = "marker-lost"         // PHP dies after the order row, before the marker: a blank page
)

const moduleText = "Module error: the remote server answered 409 Conflict"

// Run is one call under way: its first checks were made, its work is not done.
type Run struct {
	books   *Books
	st      *state
	action  string
	form    Form
	refused *Reply
	pending []int64 // services that AcceptOrder found Pending

	// Effect says, after Finish, what was done to the books; "" = nothing.
	Effect string
	// OrderID is, after Finish, the order that was made or accepted.
	OrderID int64
}

// Begin takes a call in and makes the checks that WHMCS makes before it does
// anything.
func (b *Books) Begin(action string, f Form) *Run {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &Run{books: b, st: b.st, action: known(action), form: f}
	switch r.action {
	case "AddOrder":
		r.checkAdd()
	case "AcceptOrder":
		r.checkAccept()
	}
	return r
}

// BeginAdd is Begin for an AddOrder of a plan, without a form on the way.
func (b *Books) BeginAdd(id order.ID, plan order.Plan) *Run {
	f := Form{{"notes", id.Marker()}, {"clientid", strconv.FormatInt(plan.ClientID, 10)}, {"paymentmethod", cmp.Or(plan.PaymentMethod, "mailin")}}
	for i, e := range plan.Entries {
		at := "[" + strconv.Itoa(i) + "]"
		f = append(f, Field{"pid" + at, strconv.FormatInt(e.ProductID, 10)}, Field{"qty" + at, strconv.Itoa(e.Quantity)},
			Field{"billingcycle" + at, string(e.Cycle)}, Field{"domain" + at, e.Domain}, Field{"hostname" + at, e.Hostname},
			Field{"customfields" + at, serialize(e.CustomFields)}, Field{"configoptions" + at, serialize(e.ConfigOptions)})
	}
	f = append(f, Field{"promocode", plan.PromoCode})
	return b.Begin("AddOrder", f)
}

// BeginAccept is Begin for an AcceptOrder with autosetup.
func (b *Books) BeginAccept(orderID int64) *Run {
	return b.Begin("AcceptOrder", Form{{"orderid", strconv.FormatInt(orderID, 10)}, {"autosetup", "1"}})
}

// Finish does the work and returns the reply.
func (r *Run) Finish(t Twist) Reply {
	b := r.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.refused != nil {
		return *r.refused
	}
	switch r.action {
	case "AddOrder":
		return r.add(t)
	case "AcceptOrder":
		return r.accept(t)
	}
	return b.st.read(b, r.action, r.form)
}

func (r *Run) refuse(text string) { reply := refuse(text); r.refused = &reply }

// columns are AddOrder's product arrays beside pid.
func columns() []string {
	return []string{"qty", "billingcycle", "domain", "hostname", "customfields", "configoptions", "priceoverride", "addons"}
}

func (r *Run) checkAdd() {
	f := r.form
	c, ok := r.st.client(f.int("clientid"))
	if !ok {
		r.refuse("Client ID Not Found")
		return
	}
	if c.Status == "Closed" {
		r.refuse("Unable to add order when client status is Closed")
		return
	}
	if !slices.Contains(gateways(), f.Get("paymentmethod")) {
		r.refuse("Invalid Payment Method. Valid options include " + strings.Join(gateways(), ","))
		return
	}
	if len(f.array("pid")) > 0 {
		for _, name := range columns() {
			if f.has(name) {
				r.refuse("Expecting parameter '" + name + "' to be an array")
				return
			}
		}
	}
	if len(r.st.cart(f)) == 0 {
		r.refuse("No items added to cart so order cannot proceed")
	}
}

func gateways() []string { return []string{"banktransfer", "mailin", "paypal", "stripe"} }

// cart returns the services of an AddOrder. A product that does not exist, or a
// cycle that is none, is dropped without an error.
func (st *state) cart(f Form) []Service {
	pids := f.array("pid")
	column := map[string]map[string]string{}
	for _, name := range columns() {
		column[name] = map[string]string{}
		if slices.Contains(st.switches.Drops, name) {
			continue
		}
		for _, e := range f.array(name) {
			column[name][e.index] = e.value
		}
	}
	if len(pids) == 0 && f.has("pid") { // the form of the old manual: scalars for one product
		pids = []element{{"0", f.Get("pid")}}
		for _, name := range columns() {
			if f.has(name) {
				column[name]["0"] = f.Get(name)
			}
		}
	}
	var services []Service
	for _, e := range pids {
		pid := atoi(e.value)
		p, ok := st.product(pid)
		if !ok {
			continue
		}
		s := Service{PID: pid, BillingCycle: strings.ToLower(column["billingcycle"][e.index]), Qty: 1, Status: "Pending",
			Domain: cmp.Or(column["domain"][e.index], column["hostname"][e.index])}
		s.BillingCycle = cmp.Or(s.BillingCycle, "monthly")
		if _, ok := display(s.BillingCycle); !ok {
			continue
		}
		if !p.sells(s.BillingCycle) && p.PayType != "recurring" {
			s.BillingCycle = p.PayType // the product's payment type decides
		} else if !p.sells(s.BillingCycle) && len(p.Cycles) > 0 {
			s.BillingCycle = p.Cycles[0]
		}
		if !st.switches.FieldsOff {
			s.CustomFields, _ = unserialize(column["customfields"][e.index])
		}
		s.Options, _ = unserialize(column["configoptions"][e.index])
		n := max(1, int(atoi(column["qty"][e.index])))
		if !st.switches.takesQuantity() {
			n = 1
		}
		switch p.AllowQty {
		case 1:
			for range n {
				services = append(services, s)
			}
			continue
		case 2:
			s.Qty = n
		}
		services = append(services, s)
	}
	return services
}

// marker returns the Salesforce order id of an AddOrder, from its notes or its
// custom fields.
func marker(f Form) string {
	if m := order.ReadMarker(f.Get("notes")); m != "" {
		return string(m)
	}
	for _, e := range f.array("customfields") {
		fields, _ := unserialize(e.value)
		for _, v := range fields {
			if m := order.ReadMarker(v); m != "" {
				return string(m)
			}
		}
	}
	return ""
}

// ask remembers for which client a Salesforce order was asked for.
func (st *state) ask(f Form) {
	m := marker(f)
	if m == "" {
		return
	}
	if st.asked[m] == nil {
		st.asked[m] = map[int64]bool{}
	}
	st.asked[m][f.int("clientid")] = true
}

func (r *Run) add(t Twist) Reply {
	b, f := r.books, r.form
	o := &Order{
		UserID: f.int("clientid"), Status: cmp.Or(r.st.switches.OrderStatus, "Pending"),
		Notes: f.Get("notes"), Salesforce: marker(f), Date: b.now().Round(0),
		PromoCode: f.Get("promocode"), Method: f.Get("paymentmethod"),
	}
	if slices.Contains(r.st.switches.Drops, "promocode") {
		o.PromoCode = ""
	}
	b.order++
	o.ID = b.order
	services := r.st.cart(f)
	switch {
	case t.Kind == HalfAdded:
		services = services[:min(1, len(services))]
	case t.Kind == MarkerLost:
		o.Notes = ""
		for i := range services {
			services[i].CustomFields = nil
		}
	}
	if r.st.switches.NotesOff {
		o.Notes = ""
	}
	var ids []string
	for _, s := range services {
		b.service++
		s.ID = b.service
		o.Services = append(o.Services, s)
		ids = append(ids, strconv.FormatInt(s.ID, 10))
	}
	r.st.orders = append(r.st.orders, o)
	r.st.byID[o.ID] = o
	r.st.marked[o.Salesforce] = append(r.st.marked[o.Salesforce], o)
	r.OrderID, r.Effect = o.ID, fmt.Sprintf("order %d added", o.ID)
	if o.Salesforce != "" {
		for _, other := range r.st.marked[o.Salesforce] {
			if r.st.byID[other.ID] == other && other != o && other.Live() {
				b.fail("whmcs: Salesforce order %s has two live orders, %d and %d", o.Salesforce, other.ID, o.ID)
			}
		}
	}
	if t.Kind == HalfAdded || t.Kind == MarkerLost {
		return Reply{Status: 200}
	}
	invoice := int64(0)
	if !truthy(f.Get("noinvoice")) {
		invoice = o.ID + 10000
	}
	list := strings.Join(ids, ",")
	return success(member{"orderid", o.ID}, member{"productids", list}, member{"serviceids", list},
		member{"addonids", ""}, member{"domainids", ""}, member{"invoiceid", invoice})
}

const notPending = "Order ID not found or Status not Pending"

func (r *Run) checkAccept() {
	o, ok := r.st.byID[r.form.int("orderid")]
	if !ok || o.Status != "Pending" {
		r.refuse(notPending)
		return
	}
	for _, s := range o.Services {
		if !s.live() {
			r.pending = append(r.pending, s.ID)
		}
	}
}

func (r *Run) accept(t Twist) Reply {
	b := r.books
	o, ok := r.st.byID[r.form.int("orderid")]
	if !ok {
		return refuse(notPending)
	}
	r.OrderID = o.ID
	if r.st.switches.NotesAbort && o.Notes != "" {
		return refuse("Function Aborted by Action Hook Code")
	}
	text := cmp.Or(t.Text, moduleText)
	auto := truthy(r.form.Get("autosetup"))
	for i := range o.Services {
		s := &o.Services[i]
		if !slices.Contains(r.pending, s.ID) {
			continue
		}
		p, _ := r.st.product(s.PID)
		if !auto && p.Module != "" {
			continue // accepted, and nothing created
		}
		s.Runs++
		if s.Runs-s.failed > 1 {
			b.fail("whmcs: the module ran %d times for service %d of order %d (Salesforce %s)", s.Runs, s.ID, o.ID, o.Salesforce)
		}
		switch {
		case t.Kind == ModuleFailPending:
			s.failed++
		case t.Kind == ModuleFailActive, t.Kind == ModuleFailMixed && i > 0:
			s.failed++
			b.row++
			r.st.queue = append(r.st.queue, queued{id: b.row, service: s.ID, module: cmp.Or(p.Module, "provisioner"), text: text, at: b.now()})
		case t.Kind == ModuleMadePending:
		default:
			r.st.build(s)
		}
	}
	if t.Kind == ModuleFailPending {
		r.Effect = fmt.Sprintf("order %d module failed", o.ID)
		return refuse(text)
	}
	o.Status = "Active"
	r.Effect = fmt.Sprintf("order %d accepted", o.ID)
	return success()
}

// AddService gives an order one more service, as an admin would; its id and its
// run of the module are of the books' making. It returns the service's id, 0 if
// there is no such order.
func (b *Books) AddService(id int64, s Service) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.st.byID[id]
	if !ok {
		return 0
	}
	b.service++
	s.ID, s.Runs, s.failed = b.service, 0, 0
	s.Qty = max(1, s.Qty)
	s.Status = cmp.Or(s.Status, "Pending")
	o.Services = append(o.Services, s)
	return s.ID
}
