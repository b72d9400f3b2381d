package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"orderbridge/local/localtest"
)

// realBin returns the folder of the built system: BIN when make has built it,
// else one that is built here, once.
var realBin = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	targets := map[string]string{"./local": "local", "./cmd/orderctl": "orderctl"}
	for _, f := range functions {
		targets["./functions/"+f] = f + "/bootstrap"
	}
	dir := filepath.Join(filepath.Dir(built.Local), "real")
	return dir, localtest.Build("..", dir, targets)
})

// bridge is a running system of the real functions.
type bridge struct {
	*localtest.System
	t   *testing.T
	bin string
}

func startReal(t *testing.T, env map[string]string) *bridge {
	t.Helper()
	bin, err := realBin()
	if err != nil {
		t.Fatal(err)
	}
	return &bridge{t: t, bin: bin, System: localtest.Start(t, localtest.Options{Local: filepath.Join(bin, "local"), Bin: bin, Template: "../template.yaml", Env: env})}
}

const accountID = "001000000000001AAA"

// seed puts an order of two lines into the org: one a month, three once.
func (b *bridge) seed(id string) {
	b.t.Helper()
	b.JSON("PUT", b.WHMCS+"/_sim/clients/42", map[string]any{"status": "Active"}, nil)
	b.JSON("PUT", b.WHMCS+"/_sim/products/7", map[string]any{"name": "Hosting", "allowqty": 0, "module": "cpanel"}, nil)
	b.JSON("PUT", b.WHMCS+"/_sim/products/9", map[string]any{"name": "Setup", "allowqty": 2}, nil)
	b.JSON("PUT", b.Salesforce+"/_sim/orders/"+id, map[string]any{"accountId": accountID, "whmcsClientId": 42, "items": []any{
		map[string]any{"whmcsProductId": 7, "billingCycle": "monthly", "quantity": 1},
		map[string]any{"whmcsProductId": 9, "billingCycle": "onetime", "quantity": 3},
	}}, nil)
}

// orderctl runs the operator's command and returns what it printed.
func (b *bridge) orderctl(args ...string) string {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), filepath.Join(b.bin, "orderctl"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range b.Exports {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("orderctl %v: %v\n%s%s", args, err, out, errors.String())
	}
	return string(out)
}

type sfOrder struct {
	Fields  map[string]any
	Items   []map[string]any
	History []struct {
		Field string
		Value any
	}
}

func (b *bridge) salesforceOrder(id string) (o sfOrder) {
	b.t.Helper()
	b.JSON("GET", b.Salesforce+"/_sim/orders/"+id, nil, &o)
	return o
}

// shown waits until Salesforce shows a status.
func (b *bridge) shown(id, status string) sfOrder {
	b.t.Helper()
	var o sfOrder
	b.Eventually("Salesforce shows "+status, func() bool {
		o = b.salesforceOrder(id)
		return o.Fields["Provisioning_Status__c"] == status
	})
	return o
}

type whmcsOrder struct {
	ID       int64
	Status   string
	Notes    string
	Services []struct {
		ID           int64
		PID          int64
		BillingCycle string
		Qty          int
		Status       string
	}
	ModuleRuns int
}

func (b *bridge) whmcsOrders() (all []whmcsOrder) {
	b.t.Helper()
	b.JSON("GET", b.WHMCS+"/_sim/orders", nil, &all)
	return all
}

// portal asks as a portal's user of an account would.
func (b *bridge) portal(id, account string) (status int, answer map[string]any) {
	b.t.Helper()
	var got struct{ Token string }
	b.JSON("GET", b.API+"/_local/token?account="+account, nil, &got)
	status, _, body := b.Do("GET", b.API+"/orders/"+id, nil, "Authorization", "Bearer "+got.Token)
	if err := json.Unmarshal(body, &answer); err != nil {
		b.t.Fatalf("portal: %d %s", status, body)
	}
	return status, answer
}

// stranger signs and sends a callout with openssl and curl.
func (b *bridge) stranger(id string) string {
	b.t.Helper()
	var got struct{ Secret string }
	b.JSON("GET", b.API+"/_local/secret", nil, &got)
	file := filepath.Join(b.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(got.Secret), 0o600); err != nil {
		b.t.Fatal(err)
	}
	out, err := exec.CommandContext(b.t.Context(), "../contract/callout.sh", b.API, file, id).Output()
	if err != nil {
		b.t.Fatalf("contract/callout.sh: %v\n%s", err, out)
	}
	return string(out)
}

func TestASignedCalloutBecomesOneOrderAndEveryoneKnows(t *testing.T) {
	t.Parallel()
	b := startReal(t, nil)
	const id = "801000000000001AAA"
	b.seed(id)
	// WHMCS takes longer than statuspush's window, so that Activating is seen.
	b.JSON("POST", b.WHMCS+"/_sim/faults", map[string]any{"action": "AddOrder", "fault": "slow", "times": 1, "delayMs": 4000}, nil)

	out := b.orderctl("callout", id)
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer["status"] != "Activating" || answer["success"] != false {
		t.Errorf("callout: %s", out)
	}
	b.shown(id, "Activating")
	if status, answer := b.portal(id, accountID); status != 200 || answer["status"] != "Activating" || answer["final"] != false {
		t.Errorf("portal: %d %v", status, answer)
	}
	o := b.shown(id, "Provisioned")

	books := b.whmcsOrders()
	if len(books) != 1 || books[0].Status != "Active" || books[0].ModuleRuns != 1 || len(books[0].Services) != 2 {
		t.Fatalf("books %+v", books)
	}
	lines := []string{}
	for _, s := range books[0].Services {
		lines = append(lines, fmt.Sprintf("%d %s %d %s", s.PID, s.BillingCycle, s.Qty, s.Status))
	}
	slices.Sort(lines)
	// WHMCS calls a one-time product's cycle by its own name; the line is told
	// by product and quantity.
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "7 monthly 1 ") || !strings.HasPrefix(lines[1], "9 ") || !strings.Contains(lines[1], " 3 ") {
		t.Errorf("services %v", lines)
	}
	if o.Fields["WHMCS_Order_ID__c"] != fmt.Sprint(books[0].ID) || o.Fields["Provisioning_Error_Code__c"] != nil {
		t.Errorf("order in Salesforce %v", o.Fields)
	}
	for i, item := range o.Items {
		if ids, _ := item["WHMCS_Service_ID__c"].(string); ids == "" {
			t.Errorf("line %d has no service id: %v", i, item)
		}
	}
	statuses := []any{}
	for _, h := range o.History {
		if h.Field == "Provisioning_Status__c" {
			statuses = append(statuses, h.Value)
		}
	}
	if !slices.Equal(statuses, []any{"Activating", "Provisioned"}) {
		t.Errorf("Salesforce went through %v", statuses)
	}
	if status, answer := b.portal(id, accountID); status != 200 || answer["status"] != "Provisioned" || answer["final"] != true || answer["whmcsOrderId"] != fmt.Sprint(books[0].ID) {
		t.Errorf("portal: %d %v", status, answer)
	}
	if status, answer := b.portal(id, "001000000000002AAA"); status != 200 || answer["status"] != "Pending Review" || answer["whmcsOrderId"] != nil {
		t.Errorf("portal of someone else: %d %v", status, answer)
	}

	again := b.stranger(id)
	if err := json.Unmarshal([]byte(again), &answer); err != nil || answer["success"] != true || answer["status"] != "Provisioned" || answer["whmcsOrderId"] != fmt.Sprint(books[0].ID) {
		t.Errorf("second click: %s", again)
	}
	if books := b.whmcsOrders(); len(books) != 1 {
		t.Errorf("a second click made a second order: %+v", books)
	}
	for _, name := range functions {
		if n := stats(b.System)[name].Errors; n != 0 {
			t.Errorf("%s failed %d times", name, n)
		}
	}
}

// short are the times of the protocol scaled down, so that recovery takes
// seconds. The assumptions between them hold as in the defaults.
func short() map[string]string {
	return map[string]string{"TICK_EVERY": "0.2", "WHMCS_SETTLE": "2", "WHMCS_ACCEPT_SETTLE": "2", "WHMCS_READ_TIMEOUT": "2", "WHMCS_ADD_TIMEOUT": "1",
		"WHMCS_ACCEPT_TIMEOUT": "1", "PROVISION_LEASE": "3", "SEND_WINDOW": "1", "CLOCK_MARGIN": "1", "RETRY_BASE": "1"}
}

func TestAWorkerKilledInTheMiddleIsFollowedByAnotherAndTheOrderIsOne(t *testing.T) {
	t.Parallel()
	b := startReal(t, short())
	const id = "801000000000002AAA"
	b.seed(id)
	// The order is made, and the worker dies before it can hear of it.
	b.JSON("POST", b.WHMCS+"/_sim/faults", map[string]any{"action": "AddOrder", "fault": "commit-after-timeout", "times": 1, "delayMs": 800}, nil)
	b.orderctl("callout", id)
	b.Eventually("AddOrder is under way", func() bool {
		var calls []struct{ Action string }
		b.JSON("GET", b.WHMCS+"/_sim/journal", nil, &calls)
		return slices.ContainsFunc(calls, func(c struct{ Action string }) bool { return c.Action == "AddOrder" })
	})
	b.JSON("POST", b.API+"/_local/kill", map[string]string{"function": "provision"}, nil)
	o := b.shown(id, "Provisioned")
	books := b.whmcsOrders()
	if len(books) != 1 || books[0].ModuleRuns != 1 || o.Fields["WHMCS_Order_ID__c"] != fmt.Sprint(books[0].ID) {
		t.Errorf("books %+v, order %v", books, o.Fields)
	}
}

func TestUnreliableHintsLoseNothing(t *testing.T) {
	t.Parallel()
	b := startReal(t, short())
	b.JSON("POST", b.API+"/_local/hints", map[string]any{"doubled": 0.5, "lateMs": 300, "lost": 0.5}, nil)
	ids := []string{}
	for n := range 6 {
		ids = append(ids, fmt.Sprintf("80100000000010%dAAA", n))
	}
	for _, id := range ids {
		b.seed(id)
		b.orderctl("callout", id)
	}
	for _, id := range ids {
		b.shown(id, "Provisioned")
	}
	if books := b.whmcsOrders(); len(books) != len(ids) {
		t.Errorf("%d orders in WHMCS, want %d", len(books), len(ids))
	}
}

func TestAWrongValueStopsTheFunctionWithOneLineThatNamesIt(t *testing.T) {
	t.Parallel()
	b := startReal(t, map[string]string{"WEBHOOK_TIMESTAMP_TOLERANCE": "soon"})
	b.WaitLog("WEBHOOK_TIMESTAMP_TOLERANCE")
	if status, _, body := b.Do("POST", b.API+"/orders/801000000000001AAA/fulfill", `{}`); status != 500 || string(body) != `{"message":"Internal Server Error"}` {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := b.portal("801000000000001AAA", accountID); status != 200 {
		t.Errorf("the other functions do not run: %d", status)
	}
}
