package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"orderbridge/local/lambda"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
	"orderbridge/shared/webhook"
)

// The kinds of work that are compared, each with a floor of its own.
const (
	kindCallout = "callout"
	kindOrder   = "order"
	kindStatus  = "status"
)

// contestant does one kind of work by one or more functions, one after the other.
type contestant struct {
	kind  string
	name  string
	steps []step
	floor bool // what the others of its kind are compared with
	twin  bool // the floor once more: its distance from the floor is the spread
	rival bool
	once  bool // there is no second one of the same order
}

// step is one invocation.
type step struct {
	function string                            // in the host
	event    func(id order.ID) ([]byte, error) // made anew for each delivery
	check    func(answer []byte) error
}

func (c contestant) functions() []string {
	var all []string
	for _, s := range c.steps {
		all = append(all, s.function)
	}
	return all
}

// program is what a function runs, and how.
type program struct {
	name      string // of the function in the host
	bootstrap string
	env       map[string]string
	timeout   time.Duration
	memoryMB  int
	aws       string // where AWS is; empty = the world's own address
}

// Memory and time-out of the functions that are not ours: those of fulfill.
const (
	defaultMemory  = 256
	defaultTimeout = 29 * time.Second
)

// add makes a program known to the host, once as it is and once more under a
// slice of a processor, if the machine can give one.
func (w *world) add(p program, slice *slice) error {
	f := lambda.Function{
		Name: p.name, FullName: p.name, ARN: "arn:aws:lambda:" + region + ":" + account + ":function:" + p.name, Bootstrap: p.bootstrap, Handler: "index.handler",
		MemoryMB: cmp.Or(p.memoryMB, defaultMemory), Timeout: cmp.Or(p.timeout, defaultTimeout), Environment: w.environment(p.env, cmp.Or(p.aws, w.aws.URL)),
	}
	if err := w.host.Add(f); err != nil {
		return fmt.Errorf("add %s: %w", p.name, err)
	}
	if slice == nil {
		return nil
	}
	inside, err := slice.wrap(p.bootstrap, p.name)
	if err != nil {
		return err
	}
	f.Name, f.FullName, f.ARN, f.Bootstrap = sliced(p.name), sliced(p.name), sliced(f.ARN), inside
	if err := w.host.Add(f); err != nil {
		return fmt.Errorf("add %s: %w", f.Name, err)
	}
	return nil
}

// sliced is the name of a function under a slice of a processor.
func sliced(name string) string { return name + "-sliced" }

// own returns the program of one of the template's functions.
func (w *world) own(bin, short string) program {
	f := w.function(short)
	return program{name: short, bootstrap: filepath.Join(bin, short, "bootstrap"), env: maps.Clone(f.Environment), timeout: f.Timeout, memoryMB: f.MemoryMB}
}

// floorProgram returns the floor for one kind of work, under a name.
func (w *world) floorProgram(bin, name, work string) program {
	env := w.plainEnvironment()
	env["WORK"], env["TABLE_NAME"] = work, floorTable
	if work == "status" {
		env["TABLE_NAME"] = w.model.Tables[0].Name
	}
	return program{name: name, bootstrap: filepath.Join(bin, "floor", "bootstrap"), env: env}
}

// plainEnvironment is what every function that is not ours needs.
func (w *world) plainEnvironment() map[string]string {
	return map[string]string{
		"WEBHOOK_SECRET_ID": w.secret("WebhookSecret"), "WHMCS_SECRET_ID": w.secret("WhmcsSecret"), "SALESFORCE_SECRET_ID": w.secret("SalesforceSecret"),
		"WHMCS_API_URL": w.vendors.URL, "SF_LOGIN_URL": w.vendors.URL,
	}
}

// events makes events from those that the functions' own tests recorded.
type events struct {
	callout, status, message map[string]any
}

func readEvents(root string) (e events, err error) {
	for path, into := range map[string]*map[string]any{
		"functions/fulfill/testdata/gateway.json": &e.callout,
		"functions/status/testdata/jwt.json":      &e.status,
		"functions/provision/testdata/sqs.json":   &e.message,
	} {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return e, fmt.Errorf("read event: %w", err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			return e, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return e, nil
}

// with returns a copy of an event with some members replaced.
func with(event map[string]any, members map[string]any) ([]byte, error) {
	all := maps.Clone(event)
	maps.Copy(all, members)
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return b, nil
}

// clicked is the callout of one click on an order, signed now.
func (e events) clicked(id order.ID) ([]byte, error) {
	nonce, stamp := string(order.NewToken()), time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	body := fmt.Sprintf(`{"orderId":%q,"timestamp":%q,"nonce":%q}`, id, stamp, nonce)
	return with(e.callout, map[string]any{
		"rawPath": "/orders/" + id.String() + "/fulfill", "pathParameters": map[string]string{"sfOrderId": id.String()},
		"body": body, "isBase64Encoded": false,
		"headers": map[string]string{
			"content-type": "application/json", "content-length": strconv.Itoa(len(body)), "user-agent": "SFDC-Callout/67.0",
			"x-sf-signature": webhook.Sign([]byte(webhookSecret), []byte(body)), "x-sf-timestamp": stamp, "x-sf-nonce": nonce, "idempotency-key": "provision-" + id.String(),
		},
	})
}

// hinted is the message of the work queue that names an order.
func (e events) hinted(id order.ID) ([]byte, error) {
	return with(e.message, map[string]any{"Records": []any{map[string]any{
		"messageId": string(order.NewToken()), "body": fmt.Sprintf(`{"pk":%q}`, store.OrderKey(id)), "eventSource": "aws:sqs", "awsRegion": region,
	}}})
}

// polled is the portal's question for one order.
func (e events) polled(id order.ID) ([]byte, error) {
	return with(e.status, map[string]any{"rawPath": "/orders/" + id.String(), "pathParameters": map[string]string{"sfOrderId": id.String()}})
}

// succeeded wants an answer of the gateway's form with a 2xx.
func succeeded(answer []byte) error {
	var a struct {
		StatusCode int    `json:"statusCode"`
		Body       string `json:"body"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.StatusCode < 200 || a.StatusCode > 299 {
		return fmt.Errorf("answered %.300s", answer)
	}
	return nil
}

// anyAnswer takes what the function says: what it did is read in the books.
func anyAnswer([]byte) error { return nil }

// invoke runs the steps for one order and returns how long each took.
func (w *world) invoke(ctx context.Context, c contestant, id order.ID, name func(string) string) ([]time.Duration, error) {
	var took []time.Duration
	for _, s := range c.steps {
		event, err := s.event(id)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		answer, err := w.host.Invoke(ctx, name(s.function), event)
		took = append(took, time.Since(began))
		if err == nil {
			err = s.check(answer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, %s of order %s: %w; its log ends:\n%s", c.name, s.function, id, err, w.logs.tail(name(s.function)))
		}
	}
	return took, nil
}

func same(name string) string { return name }
