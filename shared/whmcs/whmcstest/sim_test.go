package whmcstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/whmcs/whmcstest"
)

const (
	sf15 = "801Wx0000000001"
	cred = "identifier=id&secret=top-secret&responsetype=json&"
)

func marker(t *testing.T) string {
	t.Helper()
	id, err := order.ParseID(sf15)
	if err != nil {
		t.Fatal(err)
	}
	return id.Marker()
}

// post sends one vendor call; ok=false: the connection was dropped.
func post(t *testing.T, h http.Handler, body string) (status int, text string, ok bool) {
	t.Helper()
	return send(t, h, "POST", "/billing/includes/api.php", body)
}

func send(t *testing.T, h http.Handler, method, path, body string) (status int, text string, ok bool) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			ok = false
		}
	}()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), true
}

func add(t *testing.T) string {
	return cred + "action=AddOrder&clientid=7&paymentmethod=mailin&pid%5B0%5D=11&billingcycle%5B0%5D=monthly&notes=" + url.QueryEscape(marker(t))
}

func accept(id int64) string {
	return cred + fmt.Sprintf("action=AcceptOrder&autosetup=1&orderid=%d", id)
}

func TestGarbageIsAnsweredAsTheVendorDoes(t *testing.T) {
	s := whmcstest.New(whmcstest.Options{})
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/includes/api.php", "", 400, `message=Empty action request;`},
		{"POST", "/includes/api.php", "responsetype=json", 400, `{"result":"error","message":"Empty action request"}`},
		{"GET", "/includes/api.php?action=GetOrders", "", 400, "Empty action request"},
		{"POST", "/includes/api.php", "responsetype=json&action=GetOrders", 403, `{"result":"error","message":"Invalid or missing credentials"}`},
		{"POST", "/includes/api.php", cred + "action=Nonsense", 400, "Command Not Found"},
		{"POST", "/includes/api.php", "%%%&&&=&x", 400, "Empty action request"},
		{"POST", "/includes/api.php", cred + "action=AddOrder", 200, `{"result":"error","message":"Client ID Not Found"}`},
		{"POST", "/includes/api.php", cred + "action=AddOrder&clientid=7&paymentmethod=mailin", 200, "No items added to cart so order cannot proceed"},
		{"POST", "/includes/api.php", cred + "action=AddOrder&clientid=7&paymentmethod=mailin&pid[]=1&billingcycle=monthly", 200, "Expecting parameter 'billingcycle' to be an array"},
		{"POST", "/includes/api.php", cred + "action=AcceptOrder&orderid=1", 200, "Order ID not found or Status not Pending"},
		{"POST", "/includes/api.php", cred + "action=GetClientsDetails", 200, "Either clientid Or email Is Required"},
		{"POST", "/includes/api.php", cred + "action=GetPayMethods", 200, "Client ID Is Required"},
		{"POST", "/includes/api.php", cred + "action=gEtOrDeRs", 200, `{"result":"success","totalresults":0,"startnumber":0,"numreturned":0,"orders":{"order":[]}}`},
		{"POST", "/includes/api.php", "identifier=i&secret=s&action=GetOrders", 200, "result=success;totalresults=0;"},
		{"POST", "/nowhere", "", 404, "<h1>Oops!</h1>"},
		{"GET", "/_sim/nowhere", "", 404, `{"error":`},
		{"GET", "/_sim/reset", "", 405, `{"error":`},
		{"POST", "/_sim/faults", "x", 400, `{"error":`},
		{"POST", "/_sim/faults", `{"action":"AddOrder","fault":"explode"}`, 400, "unknown fault"},
		{"POST", "/_sim/faults", `{"action":"token","fault":"slow"}`, 400, "unknown action"},
		{"POST", "/_sim/faults", `{"action":"AddOrder","fault":"lock-row"}`, 400, "unknown fault"},
		{"POST", "/_sim/faults", `{"action":"AddOrder","fault":"limit-exceeded"}`, 400, "unknown fault"},
		{"POST", "/_sim/faults", `{"action":"AddOrder","fault":"session-expired"}`, 400, "unknown fault"},
		{"POST", "/_sim/faults", `{"action":"GetOrders","fault":"module-fail-active"}`, 400, "none of GetOrders"},
		{"POST", "/_sim/faults", `{"action":"GetOrders","fault":"slow","times":-1}`, 400, "not negative"},
		{"POST", "/_sim/faults", `{"action":"GetOrders","fault":"slow","times":"x"}`, 400, "right types"},
		{"POST", "/_sim/faults", `{"action":"GetOrders","fault":"slow","match":[1]}`, 400, "match must be an id"},
		{"PUT", "/_sim/clients/x", `{"status":"Active"}`, 400, "positive number"},
		{"PUT", "/_sim/clients/0", `{"status":"Active"}`, 400, "positive number"},
		{"PUT", "/_sim/clients/1", `{"status":"Gone"}`, 400, "status of a client"},
		{"PUT", "/_sim/products/1", `{"allowqty":3}`, 400, "allowqty"},
		{"PATCH", "/_sim/orders/1", `{"status":"Active"}`, 404, "no such order"},
		{"POST", "/_sim/switches", `{"listForm":"x"}`, 400, "form of a list"},
	} {
		status, text, ok := send(t, s, c.method, c.path, c.body)
		if !ok || status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, status, text, c.status, c.want)
		}
	}
	if n := len(s.Orders()); n != 0 {
		t.Errorf("%d orders", n)
	}
}

func TestControlRoutes(t *testing.T) {
	s := whmcstest.New(whmcstest.Options{})
	do := func(method, path, body string) string {
		t.Helper()
		status, text, ok := send(t, s, method, path, body)
		if !ok || status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	do("PUT", "/_sim/clients/7", `{"status":"Active","unknown":1}`)
	do("PUT", "/_sim/products/11", `{"name":"Web","allowqty":1,"module":"cpanel","unknown":{}}`)
	do("POST", "/_sim/faults", `{"action":"addorder","fault":"notice-prefix","times":1,"match":"`+sf15+`","unknown":[]}`)
	if _, text, _ := post(t, s, add(t)); !strings.HasPrefix(text, "<br />") || !strings.Contains(text, `"orderid":1001`) {
		t.Errorf("answer %s", text)
	}
	post(t, s, accept(1001))
	want := fmt.Sprintf(`[{"id":1001,"userid":7,"status":"Active","notes":%q,"services":[{"id":5001,"pid":11,"billingcycle":"monthly","qty":1,"status":"Active"}],"moduleRuns":1}]`, marker(t))
	if got := strings.TrimSpace(do("GET", "/_sim/orders", "")); got != want {
		t.Errorf("orders %s\nwant   %s", got, want)
	}
	var journal []map[string]any
	text := do("GET", "/_sim/journal", "")
	if err := json.Unmarshal([]byte(text), &journal); err != nil || len(journal) != 2 {
		t.Fatal(err, text)
	}
	first := journal[0]
	if first["action"] != "AddOrder" || first["fault"] != "notice-prefix" || first["effect"] != "order 1001 added" || first["params"].(map[string]any)["pid[0]"] != "11" {
		t.Errorf("journal %v", first)
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(first["at"])); err != nil {
		t.Error(err)
	}
	if _, ok := journal[1]["fault"]; ok || journal[1]["effect"] != "order 1001 accepted" {
		t.Errorf("journal %v", journal[1])
	}
	if strings.Contains(text, "top-secret") || strings.Contains(text, `"identifier"`) {
		t.Error("the journal holds a credential")
	}
	if got := do("PATCH", "/_sim/orders/1001", `{"status":"Cancelled","notes":"x","userid":9,"unknown":0}`); !strings.Contains(got, `"userid":9,"status":"Cancelled","notes":"x"`) || !strings.Contains(got, `"qty":1,"status":"Cancelled"`) {
		t.Errorf("patched %s", got)
	}
	if got := do("PATCH", "/_sim/orders/1001", `{"services":[{"id":5001,"status":"Suspended"}]}`); !strings.Contains(got, `"qty":1,"status":"Suspended"`) {
		t.Errorf("patched %s", got)
	}
	do("POST", "/_sim/faults", `{"action":"GetOrders","fault":"slow","times":3,"delayMs":5}`)
	if got := do("GET", "/_sim/faults", ""); !strings.Contains(got, `"times":3,"delayMs":5`) {
		t.Errorf("faults %s", got)
	}
	do("DELETE", "/_sim/faults", "")
	do("POST", "/_sim/switches", `{"emptyList":"string"}`)
	if got := do("GET", "/_sim/switches", ""); !strings.Contains(got, `"emptyList":"string"`) {
		t.Errorf("switches %s", got)
	}
	do("POST", "/_sim/faults", `{"action":"GetOrders","fault":"slow"}`)
	do("POST", "/_sim/reset", "")
	for _, path := range []string{"orders", "journal", "faults"} {
		if got := do("GET", "/_sim/"+path, ""); got != "[]\n" {
			t.Errorf("%s after reset: %s", path, got)
		}
	}
	if got := s.Books().Switches().EmptyList; got != "" {
		t.Errorf("switches after reset: %q", got)
	}
}

func TestAMatchFits(t *testing.T) {
	full := strings.TrimPrefix(marker(t), order.MarkerPrefix)
	for _, c := range []struct {
		action, match, body string
		fits                bool
	}{
		{"AddOrder", sf15, "", true}, {"AddOrder", full, "", true}, {"AddOrder", "7", "", true}, {"AddOrder", "8", "", false},
		{"AddOrder", "801Wx0000000002", "", false},
		{"AcceptOrder", full, accept(1001), true}, {"AcceptOrder", "1001", accept(1001), true}, {"AcceptOrder", "7", accept(1001), true},
		{"AcceptOrder", full, accept(1002), false}, {"AcceptOrder", "1002", accept(1001), false},
		{"GetOrders", full, cred + "action=GetOrders&id=1001", true}, {"GetOrders", full, cred + "action=GetOrders&userid=7", true},
		{"GetOrders", full, cred + "action=GetOrders&userid=8", false}, {"GetOrders", full, cred + "action=GetOrders&id=1002", false},
		{"GetOrders", full, cred + "action=GetOrders", true}, {"GetOrders", "1002", cred + "action=GetOrders&userid=7", false},
		{"GetClientsProducts", "1001", cred + "action=GetClientsProducts&clientid=7", true}, {"GetClientsProducts", full, cred + "action=GetClientsProducts&serviceid=5001", true},
		{"GetClientsProducts", full, cred + "action=GetClientsProducts&serviceid=5002", false},
		{"GetModuleQueue", full, cred + "action=GetModuleQueue&relatedId=5001", true}, {"GetModuleQueue", full, cred + "action=GetModuleQueue", true},
		{"GetClientsDetails", full, cred + "action=GetClientsDetails&clientid=7", true}, {"GetClientsDetails", "9", cred + "action=GetClientsDetails&clientid=7", false},
		{"WhmcsDetails", "7", cred + "action=WhmcsDetails", false},
	} {
		s := whmcstest.New(whmcstest.Options{})
		post(t, s, add(t))
		post(t, s, strings.ReplaceAll(strings.ReplaceAll(add(t), "801Wx0000000001", "801Wx0000000003"), "clientid=7", "clientid=8"))
		body := c.body
		if body == "" {
			s.Reset()
			body = add(t)
		}
		if err := s.Fault(whmcstest.Fault{Action: c.action, Fault: "slow", Match: c.match}); err != nil {
			t.Fatal(err)
		}
		post(t, s, body)
		if fits := len(s.Faults()) == 0; fits != c.fits {
			t.Errorf("%s %s %s: fits %v, want %v", c.action, c.match, c.body, fits, c.fits)
		}
	}
}

func TestTheFirstFaultLeftThatFitsApplies(t *testing.T) {
	s := whmcstest.New(whmcstest.Options{})
	for _, f := range []whmcstest.Fault{
		{Action: "AddOrder", Fault: "http-500", Match: "8"}, {Action: "AddOrder", Fault: "blank-200", Times: 2}, {Action: "AddOrder", Fault: "html-503"},
	} {
		if err := s.Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		post(t, s, add(t))
	}
	var got []string
	for _, c := range s.Journal() {
		got = append(got, c.Fault)
	}
	if want := []string{"blank-200", "blank-200", "html-503", ""}; !slices.Equal(got, want) {
		t.Errorf("faults %v, want %v", got, want)
	}
}

// A look before anything was made: the Salesforce order was asked for that client.
func TestAMatchFitsTheLookForAnOrderThatWasNeverMade(t *testing.T) {
	s := whmcstest.New(whmcstest.Options{})
	for _, f := range []whmcstest.Fault{{Action: "AddOrder", Fault: "drop-before"}, {Action: "GetOrders", Fault: "http-500", Match: sf15}} {
		if err := s.Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok := post(t, s, add(t)); ok {
		t.Error("the call was answered")
	}
	if status, _, _ := post(t, s, cred+"action=GetOrders&userid=7"); status != 500 {
		t.Errorf("status %d, want the fault's", status)
	}
}

// failures collects what the books complain of.
type failures struct {
	mu  sync.Mutex
	all []string
}

func (f *failures) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

func (f *failures) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

func TestASecondOrderFailsLoudly(t *testing.T) {
	var f failures
	s := whmcstest.New(whmcstest.Options{Fail: f.add})
	post(t, s, add(t))
	s.Books().Switch(func(sw *whmcstest.Switches) { sw.NotesOff = true }) // known by what was sent
	status := "Cancelled"
	s.Books().Patch(1001, whmcstest.Edit{Status: &status})
	post(t, s, add(t))
	if len(f.list()) != 0 {
		t.Errorf("an order after a cancelled one: %v", f.list())
	}
	post(t, s, add(t))
	if len(f.list()) != 1 || !strings.Contains(f.list()[0], "two live orders, 1002 and 1003") {
		t.Errorf("failures %v", f.list())
	}
}

func TestAModuleThatRunsTwiceFailsLoudly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failures
		s := whmcstest.New(whmcstest.Options{Fail: f.add})
		post(t, s, add(t))
		if err := s.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: "slow", Delay: 20 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		done := make(chan string)
		go func() {
			_, text, _ := post(t, s, accept(1001))
			done <- text
		}()
		synctest.Wait()
		if o, _ := s.Books().Order(1001); o.Status != "Pending" || o.ModuleRuns != 0 {
			t.Errorf("while the module runs: %+v", o)
		}
		if _, text, _ := post(t, s, accept(1001)); text != `{"result":"success"}` || len(f.list()) != 0 {
			t.Errorf("second accept: %s, %v", text, f.list())
		}
		if text := <-done; text != `{"result":"success"}` || time.Since(start) != 20*time.Minute {
			t.Errorf("first accept: %s after %v", text, time.Since(start))
		}
		if o, _ := s.Books().Order(1001); o.ModuleRuns != 2 {
			t.Errorf("module runs %d", o.ModuleRuns)
		}
		if len(f.list()) != 1 || !strings.Contains(f.list()[0], "ran 2 times") {
			t.Errorf("failures %v", f.list())
		}
	})
}

func TestModuleOutcomes(t *testing.T) {
	two := "&pid%5B1%5D=12&billingcycle%5B1%5D=onetime"
	for kind, want := range map[string]struct {
		order    string
		services []string
		queue    string
		text     string
	}{
		whmcstest.ModuleFailActive:  {"Active", []string{"Pending", "Pending"}, `"count":2`, `{"result":"success"}`},
		whmcstest.ModuleFailMixed:   {"Active", []string{"Active", "Pending"}, `"count":1`, `{"result":"success"}`},
		whmcstest.ModuleFailPending: {"Pending", []string{"Pending", "Pending"}, `"count":0`, `{"result":"error","message":"no room"}`},
		whmcstest.ModuleMadePending: {"Active", []string{"Pending", "Pending"}, `"count":0`, `{"result":"success"}`},
	} {
		var f failures
		s := whmcstest.New(whmcstest.Options{Fail: f.add})
		post(t, s, add(t)+two)
		if err := s.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: kind, Message: "no room"}); err != nil {
			t.Fatal(err)
		}
		if _, text, _ := post(t, s, accept(1001)); text != want.text {
			t.Errorf("%s: %s", kind, text)
		}
		o, _ := s.Books().Order(1001)
		if o.Status != want.order || o.Services[0].Status != want.services[0] || o.Services[1].Status != want.services[1] || o.ModuleRuns != 1 {
			t.Errorf("%s: %+v", kind, o)
		}
		if _, text, _ := post(t, s, cred+"action=GetModuleQueue"); !strings.Contains(text, want.queue) {
			t.Errorf("%s: queue %s", kind, text)
		}
		post(t, s, accept(1001)) // a person's click after a failure that was told
		if len(f.list()) != 0 {
			t.Errorf("%s: %v", kind, f.list())
		}
	}
}

func TestWorkGoesOnWhenTheCallerIsGone(t *testing.T) {
	release := make(chan time.Time)
	waited := make(chan time.Duration, 1)
	s := whmcstest.New(whmcstest.Options{Fail: t.Errorf, After: func(d time.Duration) <-chan time.Time { waited <- d; return release }})
	finished := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(finished)
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	if err := s.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "commit-after-timeout", Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/includes/api.php", strings.NewReader(add(t)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got := make(chan error)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		got <- err
	}()
	if d := <-waited; d <= 0 || d > time.Hour {
		t.Errorf("waits %v", d)
	}
	cancel()
	if err := <-got; err == nil {
		t.Error("the call was answered")
	}
	if n := len(s.Orders()); n != 0 {
		t.Errorf("%d orders before the work is done", n)
	}
	release <- time.Time{}
	<-finished
	if o := s.Orders(); len(o) != 1 || s.Journal()[0].Effect != "order 1001 added" {
		t.Errorf("orders %+v", o)
	}
}

func TestProductsQuantitiesAndPHPsLimits(t *testing.T) {
	s := whmcstest.New(whmcstest.Options{})
	s.SetProduct(1, whmcstest.Product{AllowQty: 1})
	s.SetProduct(2, whmcstest.Product{AllowQty: 2})
	s.SetProduct(4, whmcstest.Product{Missing: true})
	order := func(version, fields string) (got []string) {
		t.Helper()
		s.Books().Switch(func(sw *whmcstest.Switches) { sw.Version = version })
		_, text, _ := post(t, s, cred+"action=AddOrder&clientid=7&paymentmethod=mailin&"+fields)
		if !strings.Contains(text, `"result":"success"`) {
			return []string{text}
		}
		all := s.Orders()
		for _, v := range all[len(all)-1].Services {
			got = append(got, fmt.Sprint(v.PID, "x", v.Qty))
		}
		return got
	}
	for _, c := range []struct {
		version, fields string
		want            []string
	}{
		{"", "pid[0]=1&qty[0]=3&pid[1]=2&qty[1]=3&pid[2]=3&qty[2]=3", []string{"1x1", "1x1", "1x1", "2x3", "3x1"}},
		{"8.11.0", "pid[0]=1&qty[0]=3&pid[1]=2&qty[1]=3", []string{"1x1", "2x1"}},
		{"", "pid[0]=4&pid[1]=2", []string{"2x1"}},                                               // a bad pid is dropped
		{"", "pid[0]=2&billingcycle[0]=weekly&pid[1]=3", []string{"3x1"}},                        // so is a bad cycle
		{"", "pid[1]=3&pid[10]=5&pid[2]=6&billingcycle[10]=free", []string{"3x1", "5x1", "6x1"}}, // the order of arrival
		{"", "pid[]=3&pid[]=5", []string{"3x1", "5x1"}},
		{"", "pid=3&billingcycle=monthly", []string{"3x1"}},
		{"", "pid[0]=4", []string{`{"result":"error","message":"No items added to cart so order cannot proceed"}`}},
	} {
		if got := order(c.version, c.fields); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v, want %v", c.version, c.fields, got, c.want)
		}
	}
	// PHP drops what comes after 1000 fields; action comes last.
	if status, text, _ := post(t, s, cred+strings.Repeat("x=1&", 998)+"action=GetOrders"); status != 400 || !strings.Contains(text, "Empty action request") {
		t.Errorf("%d %s", status, text)
	}
}

func TestBooksTakePartInVirtualTime(t *testing.T) {
	id, err := order.ParseID(sf15)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := whmcstest.NewBooks(func() time.Time { return now }, t.Errorf, whmcstest.Switches{})
	run := b.BeginAdd(id, order.Plan{ClientID: 7, Entries: []order.PlanEntry{{Line: order.Line{ProductID: 1, Cycle: order.Monthly, Quantity: 1}, Services: 1}}})
	if len(b.Orders()) != 0 {
		t.Error("made before its time")
	}
	now = now.Add(time.Minute)
	if r := run.Finish(whmcstest.Twist{}); !r.Success() || run.OrderID != 1001 {
		t.Errorf("%+v", r)
	}
	if o := b.OrdersOf(id.String()); len(o) != 1 || !o[0].Date.Equal(now) {
		t.Errorf("orders %+v", o)
	}
	late := b.BeginAccept(1001)
	b.Reset()
	if r := late.Finish(whmcstest.Twist{}); !r.Success() || len(b.Orders()) != 0 {
		t.Errorf("work of the books that were: %+v", r)
	}
	if r := b.BeginAccept(1001).Finish(whmcstest.Twist{}); r.Success() || r.Message() == "" {
		t.Errorf("%+v", r)
	}
}
