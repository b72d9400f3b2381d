// Package e2e_test runs the whole system, real processes throughout, through
// the jobs that it exists for, by the ways that people and other systems use.
package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orderbridge/local/localtest"
	"orderbridge/local/watch"
)

const account = "001000000000001AAA"

var built localtest.Options
var orderctl string

// TestMain takes the built system from BIN (make has built it), or builds it.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		if bin := os.Getenv("BIN"); bin != "" {
			use(bin)
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		targets := map[string]string{"./local": "local", "./cmd/orderctl": "orderctl", "./cmd/deploycheck": filepath.Join("deploycheck", "bootstrap")}
		for _, f := range []string{"fulfill", "provision", "status", "statuspush"} {
			targets["./functions/"+f] = filepath.Join(f, "bootstrap")
		}
		if err := localtest.Build("../..", dir, targets); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		use(dir)
		return m.Run()
	}())
}

func use(bin string) {
	built = localtest.Options{Local: filepath.Join(bin, "local"), Bin: bin, Template: "../../template.yaml"}
	orderctl = filepath.Join(bin, "orderctl")
}

// quick are times with which faults pass in seconds; the relations between them are
// those of the defaults. A loaded machine parks an order with them: a test that needs
// its end waits for longer than one answer (--wait 1m).
var quick = map[string]string{
	"WHMCS_SETTLE": "2", "WHMCS_ACCEPT_SETTLE": "2", "CLOCK_MARGIN": "2", "SEND_WINDOW": "1",
	"WHMCS_READ_TIMEOUT": "2", "WHMCS_ADD_TIMEOUT": "2", "WHMCS_ACCEPT_TIMEOUT": "2", "PROVISION_LEASE": "4",
	"RETRY_BASE": "1", "TICK_EVERY": "0.5",
}

// system is a running system with what the tests ask of it.
type system struct {
	*localtest.System
	t testing.TB
}

func start(t *testing.T, env map[string]string) *system {
	t.Helper()
	o := built
	o.Env = env
	s := &system{localtest.Start(t, o), t}
	t.Cleanup(func() {
		writes, wrong, err := watch.Stream{Client: http.DefaultClient, System: s.System.System}.Wrong(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, w := range wrong {
			t.Errorf("wrong step: %v", w)
		}
		t.Logf("%d writes of orders, %d wrong steps", writes, len(wrong))
	})
	return s
}

// salesforceOrder is what an operator sees.
type salesforceOrder struct {
	Fields map[string]any   `json:"fields"`
	Items  []map[string]any `json:"items"`
}

// whmcsOrder is one order in WHMCS's books.
type whmcsOrder struct {
	ID         int    `json:"id"`
	UserID     int    `json:"userid"`
	Status     string `json:"status"`
	Notes      string `json:"notes"`
	ModuleRuns int    `json:"moduleRuns"`
	Services   []struct {
		ID     int    `json:"id"`
		PID    int    `json:"pid"`
		Cycle  string `json:"billingcycle"`
		Status string `json:"status"`
	} `json:"services"`
}

// seed puts an order of two lines into Salesforce: monthly × 1, one-time × 3.
func (s *system) seed(id string, client any) {
	s.t.Helper()
	s.JSON("PUT", s.Salesforce+"/_sim/orders/"+id, map[string]any{
		"accountId": account, "whmcsClientId": client,
		"items": []map[string]any{
			{"whmcsProductId": "1", "billingCycle": "Monthly", "quantity": 1},
			{"whmcsProductId": "2", "billingCycle": "One-time", "quantity": 3},
		},
	}, nil)
}

func (s *system) order(id string) (o salesforceOrder) {
	s.t.Helper()
	s.JSON("GET", s.Salesforce+"/_sim/orders/"+id, nil, &o)
	return o
}

// books are the WHMCS orders that carry the marker of id.
func (s *system) books(id string) (mine []whmcsOrder) {
	s.t.Helper()
	var all []whmcsOrder
	s.JSON("GET", s.WHMCS+"/_sim/orders", nil, &all)
	for _, o := range all {
		if strings.Contains(o.Notes, "sfOrderId="+id) {
			mine = append(mine, o)
		}
	}
	return mine
}

// shows waits until Salesforce shows a status, and returns the order.
func (s *system) shows(id, status string) (o salesforceOrder) {
	s.t.Helper()
	s.Eventually("Salesforce shows "+status, func() bool {
		o = s.order(id)
		return o.Fields["Provisioning_Status__c"] == status
	})
	return o
}

// orderctl runs the operator's command line as an operator would.
func (s *system) orderctl(args ...string) (out string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), orderctl, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.t.TempDir()}
	for k, v := range s.Exports {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func (s *system) fault(url, action, fault string, more map[string]any) {
	s.t.Helper()
	body := map[string]any{"action": action, "fault": fault, "times": 1}
	for k, v := range more {
		body[k] = v
	}
	s.JSON("POST", url+"/_sim/faults", body, nil)
}

func (s *system) portal(id, as string) (int, http.Header, map[string]any) {
	s.t.Helper()
	var token struct{ Token string }
	s.JSON("GET", s.API+"/_local/token?account="+as, nil, &token)
	status, header, raw := s.Do("GET", s.API+"/orders/"+id, nil, "Authorization", "Bearer "+token.Token)
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		s.t.Fatalf("portal: %d %s", status, raw)
	}
	return status, header, body
}

func TestOrderIsProvisionedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const id = "801000000000001AAA"
	s.seed(id, "7")

	out, code := s.orderctl("callout", id, "--wait")
	if code != 0 || !strings.Contains(out, `"status":"Provisioned"`) {
		t.Fatalf("callout: %d %s", code, out)
	}
	o := s.shows(id, "Provisioned")
	books := s.books(id)
	if len(books) != 1 || books[0].Status != "Active" || books[0].UserID != 7 || len(books[0].Services) != 4 || books[0].ModuleRuns != 1 {
		t.Fatalf("books %+v", books)
	}
	if got := o.Fields["WHMCS_Order_ID__c"]; got != fmt.Sprint(books[0].ID) {
		t.Errorf("WHMCS_Order_ID__c is %v, want %d", got, books[0].ID)
	}
	ids := make([]string, 0, 4)
	for _, sv := range books[0].Services {
		ids = append(ids, fmt.Sprint(sv.ID))
	}
	if o.Items[0]["WHMCS_Service_ID__c"] != ids[0] || o.Items[1]["WHMCS_Service_ID__c"] != strings.Join(ids[1:], ",") {
		t.Errorf("service ids %v and %v, want %v", o.Items[0]["WHMCS_Service_ID__c"], o.Items[1]["WHMCS_Service_ID__c"], ids)
	}
	if o.Fields["Provisioning_Error_Code__c"] != nil {
		t.Errorf("an error is left: %v", o.Fields)
	}

	// The customer sees it; to another caller it does not exist.
	status, header, body := s.portal(id, account)
	if status != 200 || body["status"] != "Provisioned" || body["final"] != true || body["whmcsOrderId"] != fmt.Sprint(books[0].ID) || header.Get("Etag") == "" {
		t.Errorf("portal: %d %v %v", status, header, body)
	}
	if status, _, body := s.portal(id, "001000000000009AAA"); status != 200 || body["status"] != "Pending Review" || body["whmcsOrderId"] != nil {
		t.Errorf("another account: %d %v", status, body)
	}

	// A second click is answered, and nothing is ordered again.
	out, code = s.orderctl("callout", id)
	if code != 0 || !strings.Contains(out, "200") || len(s.books(id)) != 1 {
		t.Errorf("second click: %d %s, books %v", code, out, s.books(id))
	}
}

// The sender is a shell script with openssl and curl: it shares no code with
// the system.
func TestForeignSenderIsUnderstood(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const id = "801000000000002AAA"
	s.seed(id, "8")
	var secret struct{ Secret string }
	s.JSON("GET", s.API+"/_local/secret", nil, &secret)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func(prefer string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "../../contract/callout.sh", s.API, file, id)
		cmd.Env = append(os.Environ(), "PREFER="+prefer)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got, want := send("respond-async"), `{"success":false,"status":"Activating","sfOrderId":"`+id+`"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.shows(id, "Provisioned")
	if got, want := send(""), fmt.Sprintf(`{"success":true,"status":"Provisioned","sfOrderId":"%s","whmcsOrderId":"%d"}`, id, s.books(id)[0].ID); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(s.books(id)); n != 1 {
		t.Errorf("%d WHMCS orders", n)
	}
}

func TestFailureSaysWhatToDoAndAClickMendsIt(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	const id = "801000000000003AAA"
	s.seed(id, nil) // the account is not mapped
	if out, code := s.orderctl("callout", id, "--key", "click-1"); code != 0 {
		t.Fatal(out)
	}
	o := s.shows(id, "Failed")
	if o.Fields["Provisioning_Error_Code__c"] != "account_not_mapped" || !strings.Contains(fmt.Sprint(o.Fields["Provisioning_Error_Message__c"]), "WHMCS_Client_ID__c") {
		t.Errorf("fields %v", o.Fields)
	}
	// The same key gets the stored failure; a new one reopens.
	if out, code := s.orderctl("callout", id, "--key", "click-1"); code == 0 || !strings.Contains(out, "account_not_mapped") {
		t.Errorf("same key: %d %s", code, out)
	}
	s.seed(id, "9")
	if out, code := s.orderctl("callout", id, "--key", "click-2", "--wait", "1m"); code != 0 || !strings.Contains(out, "Provisioned") {
		t.Fatalf("new key: %d %s", code, out)
	}
	o = s.shows(id, "Provisioned")
	if o.Fields["Provisioning_Error_Code__c"] != nil || o.Fields["Provisioning_Error_Message__c"] != nil || len(s.books(id)) != 1 {
		t.Errorf("fields %v, books %v", o.Fields, s.books(id))
	}
}

// Whatever is lost on the way, one order is made and its module runs once.
func TestWhatIsLostOnTheWayMakesOneOrder(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	for n, c := range []struct{ name, action, fault string }{
		{"the reply of AddOrder", "AddOrder", "commit-then-drop"},
		{"AddOrder itself: it is sent again", "AddOrder", "drop-before"},
		{"the reply of AcceptOrder", "AcceptOrder", "commit-then-drop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := fmt.Sprintf("80100000000000%dAAA", 4+n)
			s.seed(id, "10")
			s.fault(s.WHMCS, c.action, c.fault, nil)
			s.orderctl("callout", id)
			s.shows(id, "Provisioned")
			if books := s.books(id); len(books) != 1 || books[0].ModuleRuns != 1 {
				t.Errorf("books %+v", books)
			}
		})
	}
}

// The worker is killed while WHMCS works on its AddOrder; another one takes
// over, searches WHMCS, and finds the order.
func TestKilledWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	const id = "801000000000007AAA"
	s.seed(id, "13")
	s.fault(s.WHMCS, "AddOrder", "slow", map[string]any{"delayMs": 1500})
	s.orderctl("callout", id)
	s.Eventually("AddOrder has arrived", func() bool {
		var calls []struct{ Action string }
		s.JSON("GET", s.WHMCS+"/_sim/journal", nil, &calls)
		for _, c := range calls {
			if c.Action == "AddOrder" {
				return true
			}
		}
		return len(s.books(id)) > 0
	})
	s.JSON("POST", s.API+"/_local/kill", map[string]string{"function": "provision"}, nil)
	s.shows(id, "Provisioned")
	if books := s.books(id); len(books) != 1 || books[0].ModuleRuns != 1 {
		t.Errorf("books %+v", books)
	}
}

// One row that the integration user may not edit, and one that a flow locks,
// stand among good ones; what Salesforce lost is compared on demand.
func TestAStatusThatSalesforceRefusesHoldsBackNobodyAndIsShownInTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	put := func(id, poison string, fields map[string]any) {
		s.JSON("PUT", s.Salesforce+"/_sim/orders/"+id, map[string]any{
			"accountId": account, "whmcsClientId": "7", "poison": poison, "fields": fields,
			"items": []map[string]any{{"whmcsProductId": "1", "billingCycle": "Monthly", "quantity": 1}},
		}, nil)
	}
	const hidden, locked, good = "801000000000001AAA", "801000000000002AAA", "801000000000003AAA"
	put(hidden, "row-hidden", nil)
	put(locked, "lock-row-flow", nil)
	put(good, "", nil)
	for _, id := range []string{hidden, locked, good} {
		if out, code := s.orderctl("callout", id, "--wait", "1m"); code != 0 {
			t.Fatalf("callout: %d %s", code, out)
		}
	}
	s.shows(good, "Provisioned")
	if o := s.order(hidden); o.Fields["Provisioning_Status__c"] != "Pending Review" {
		t.Errorf("the poisoned order shows %v", o.Fields["Provisioning_Status__c"])
	}

	// The lock ends, and nobody does anything. The permission is given back, and
	// a person has the dead letter pushed.
	put(locked, "", nil)
	s.shows(locked, "Provisioned")
	put(hidden, "", nil)
	s.Eventually("the dead letter is pushed", func() bool {
		out, code := s.orderctl("redrive", "--by", "ann")
		return code == 0 && !strings.Contains(out, "0 messages read")
	})
	s.shows(hidden, "Provisioned")

	// Salesforce is set back behind our back: a backup, or a person.
	put(good, "", map[string]any{"Provisioning_Status__c": "Pending Review", "Provisioning_Seq__c": nil})
	if out, code := s.orderctl("reconcile", "--since", "1h", "--by", "ann"); code != 0 {
		t.Fatalf("reconcile: %d %s", code, out)
	}
	s.shows(good, "Provisioned")
}

func TestModuleFailureWaitsForAPersonsClick(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	const id = "801000000000008AAA"
	s.seed(id, "14")
	s.fault(s.WHMCS, "AcceptOrder", "module-fail-pending", nil)
	s.orderctl("callout", id)
	if o := s.shows(id, "Failed"); o.Fields["Provisioning_Error_Code__c"] != "module_failed" {
		t.Errorf("fields %v", o.Fields)
	}
	s.orderctl("callout", id)
	s.shows(id, "Provisioned")
	if n := len(s.books(id)); n != 1 {
		t.Errorf("%d WHMCS orders", n)
	}
}

func TestPausedOrdersWaitAndNothingIsLost(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	if out, code := s.orderctl("pause", "--by", "ops", "--why", "maintenance"); code != 0 {
		t.Fatal(out)
	}
	const id = "801000000000009AAA"
	s.seed(id, "15")
	s.orderctl("callout", id)
	s.shows(id, "Activating")
	s.JSON("POST", s.API+"/_local/tick", nil, nil)
	if n := len(s.books(id)); n != 0 {
		t.Errorf("%d WHMCS orders while paused", n)
	}
	if out, code := s.orderctl("resume", "--by", "ops"); code != 0 {
		t.Fatal(out)
	}
	s.shows(id, "Provisioned")
}

func TestOutcomeThatNobodyKnowsIsResolvedByAPerson(t *testing.T) {
	t.Parallel()
	s := start(t, with(quick, "WHMCS_RESEND", "ask"))
	const id = "80100000000000AAAQ"
	s.seed(id, "16")
	s.fault(s.WHMCS, "AddOrder", "drop-before", nil)
	s.orderctl("callout", id)
	if o := s.shows(id, "Failed"); o.Fields["Provisioning_Error_Code__c"] != "add_outcome_unknown" {
		t.Errorf("fields %v", o.Fields)
	}
	if out, _ := s.orderctl("show", id); !strings.Contains(out, "resolve") || !strings.Contains(out, "add_outcome_unknown") {
		t.Errorf("show does not say what to do:\n%s", out)
	}
	if out, code := s.orderctl("resolve", id, "--none", "--by", "ops", "--why", "looked at the client: no order"); code != 0 {
		t.Fatal(out)
	}
	s.shows(id, "Provisioned")
	if n := len(s.books(id)); n != 1 {
		t.Errorf("%d WHMCS orders", n)
	}
}

func TestBadInputIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, c := range []struct {
		name, method, url string
		body              string
		header            []string
		status            int
		want              string
	}{
		{"an unsigned callout", "POST", s.API + "/orders/801000000000001/fulfill", `{}`, []string{"Content-Type", "application/json"}, 401, `"code":"signature_missing"`},
		{"an unknown route", "GET", s.API + "/nothing", "", nil, 404, `{"message":"Not Found"}`},
		{"the wrong method", "GET", s.API + "/orders/801000000000001/fulfill", "", nil, 404, `{"message":"Not Found"}`},
		{"a portal request without a token", "GET", s.API + "/orders/801000000000001", "", nil, 401, `{"message":"Unauthorized"}`},
		{"garbage to WHMCS", "POST", s.WHMCS + "/includes/api.php", "garbage", nil, 400, "Empty action request"},
		{"garbage to Salesforce's token", "POST", s.Salesforce + "/services/oauth2/token", "garbage", nil, 400, `"error"`},
		{"Salesforce without a token", "GET", s.Salesforce + "/services/data/v67.0/query?q=x", "", nil, 401, "INVALID_AUTH_HEADER"},
		{"an unknown fault", "POST", s.WHMCS + "/_sim/faults", `{"action":"AddOrder","fault":"meteor","times":1}`, nil, 400, "meteor"},
		{"an unknown fault of Salesforce", "POST", s.Salesforce + "/_sim/faults", `{"action":"update","fault":"meteor","times":1}`, nil, 400, "meteor"},
		{"an unknown function to kill", "POST", s.API + "/_local/kill", `{"function":"nobody"}`, nil, 404, "nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, body := s.Do(c.method, c.url, c.body, c.header...)
			if status != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("%d %s; want %d and %s", status, body, c.status, c.want)
			}
		})
	}
}

// What an org has besides travels to WHMCS once the installation names the field.
func TestFieldsThatAnInstallationNamesAreSent(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"SF_OPTIONAL_FIELDS": "promoCode=Promo_Code__c"})
	const id = "80100000000000DAAQ"
	s.JSON("PUT", s.Salesforce+"/_sim/orders/"+id, map[string]any{
		"accountId": account, "whmcsClientId": "18", "fields": map[string]any{"Promo_Code__c": "SPRING"},
		"items": []map[string]any{{"whmcsProductId": "1", "billingCycle": "Monthly", "quantity": 1}},
	}, nil)
	s.orderctl("callout", id, "--wait")
	var calls []struct {
		Action string
		Params map[string]any
	}
	s.JSON("GET", s.WHMCS+"/_sim/journal", nil, &calls)
	for _, c := range calls {
		if c.Action == "AddOrder" {
			if c.Params["promocode"] != "SPRING" {
				t.Errorf("AddOrder carries %v", c.Params)
			}
			return
		}
	}
	t.Errorf("no AddOrder in %v", calls)
}

// A table that asks for a pause of 5 s after each refusal holds no callout for
// so long: the SDK would obey, for 10 s in all. The time is the platform's to
// measure: it ends an invocation after 4 s, which the caller sees as a 500.
func TestATableThatAsksForLongPausesHoldsNoCallout(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile(built.Template)
	if err != nil {
		t.Fatal(err)
	}
	const timeout = "Timeout: 29 "
	if n := strings.Count(string(template), timeout); n != 1 {
		t.Fatalf("%q is %d times in the template, want once, in FulfillFunction", timeout, n)
	}
	o := built
	o.Template = filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(o.Template, []byte(strings.Replace(string(template), timeout, "Timeout: 4 ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &system{localtest.Start(t, o), t}
	const id = "80100000000000EAAQ"
	s.seed(id, "19")
	const many = 1000
	s.JSON("POST", s.API+"/_local/dynamo", map[string]any{"throttle": map[string]any{"op": "PutItem", "times": many, "match": id, "error": "ThrottlingException", "retryAfterMs": 5000}}, nil)
	out, code := s.orderctl("callout", id)
	if code == 0 || !strings.Contains(out, "503") || !strings.Contains(out, "try_again") {
		t.Errorf("callout: %d %s", code, out)
	}
	var table struct {
		Throttle []struct{ Times int }
	}
	s.JSON("GET", s.API+"/_local/dynamo", nil, &table)
	// Had the header been obeyed, the bound of the call would have left one try.
	if len(table.Throttle) != 1 || many-table.Throttle[0].Times != 3 {
		t.Errorf("left of %d refusals: %+v; want that of 3 tries", many, table.Throttle)
	}
	s.JSON("DELETE", s.API+"/_local/dynamo", nil, nil)
	s.orderctl("callout", id)
	s.shows(id, "Provisioned")
}

func TestUnreliableHintsLoseNothing(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	s.JSON("POST", s.API+"/_local/hints", map[string]any{"doubled": 0.5, "lateMs": 300, "lost": 0.5}, nil)
	var ids []string
	for n := range 6 {
		id := fmt.Sprintf("80100000000010%dAAA", n)
		ids = append(ids, id)
		s.seed(id, "17")
		s.orderctl("callout", id)
	}
	for _, id := range ids {
		s.shows(id, "Provisioned")
		if n := len(s.books(id)); n != 1 {
			t.Errorf("%s: %d WHMCS orders", id, n)
		}
	}
}

func TestAWrongValueStopsTheSystemWithOneLineThatNamesIt(t *testing.T) {
	t.Parallel()
	o := built
	o.Env = map[string]string{"WEBHOOK_TIMESTAMP_TOLERANCE": "soon", "SCREEN": "text"}
	code, said := localtest.StartFails(t, o)
	if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "WEBHOOK_TIMESTAMP_TOLERANCE") {
		t.Errorf("exit %d, said %s", code, said)
	}
}

// The walk of the contract is a program of its own; here it runs beside the
// rest, so that no change lands that breaks a row.
func TestContractWalk(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "python3", "../../contract/walk.py", "--start",
		built.Local+" -template ../../template.yaml -bin "+built.Bin)
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func with(env map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range env {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}
