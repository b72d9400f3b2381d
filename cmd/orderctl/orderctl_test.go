package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/store"
	"orderbridge/shared/writeback"
)

const (
	orderID = "801000000000001AAA"
	secret  = "a signing secret of 32 bytes or more"
)

var now = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// world is a console whose outside is in memory.
type world struct {
	env      map[string]string
	out, err bytes.Buffer
	in       string
	stored   string // the secret in Secrets Manager
	table    *memory
	letters  *letters
	terminal bool              // somebody answers in
	remote   bool              // AWS is not on this machine
	stack    map[string]string // outputs of the one stack there is, orderbridge
	answers  map[string]string // of ProvisionFunction, by question
	asked    []string
	put      []string // secrets
	slept    func()   // runs with each sleep
	alarms   []alarmView
	connect  error
}

func newWorld() *world {
	return &world{
		env: map[string]string{
			"API_URL": "http://127.0.0.1:1", "WEBHOOK_SECRET_ID": "webhook", "TABLE_NAME": "orders", "STATUSPUSH_DEAD_LETTER_URL": "http://queue",
			"WORK_DEAD_LETTER_URL": "http://work-dead", "WORK_QUEUE_URL": "http://work", "PROVISION_FUNCTION": "provision", "STACK_NAME": "orderbridge",
		},
		in:      secret,
		stored:  secret,
		table:   &memory{orders: map[string]order.Record{}},
		letters: &letters{visible: map[string][]types.Message{}},
		answers: map[string]string{},
	}
}

func (w *world) run(t *testing.T, args ...string) int {
	t.Helper()
	w.out.Reset()
	w.err.Reset()
	at := now
	return run(t.Context(), console{
		getenv: func(name string) string { return w.env[name] },
		now:    func() time.Time { return at },
		sleep: func(_ context.Context, d time.Duration) error {
			at = at.Add(d)
			if w.slept != nil {
				w.slept()
			}
			return nil
		},
		in:       strings.NewReader(w.in),
		out:      &w.out,
		err:      &w.err,
		terminal: w.terminal,
		connect:  func(context.Context, string, string, string) (*cloud, error) { return w.cloud(), w.connect },
	}, args)
}

func (w *world) cloud() *cloud {
	return &cloud{
		region:  "eu-central-1",
		local:   !w.remote,
		table:   func(string) (ledger, error) { return w.table, nil },
		queues:  w.letters,
		secrets: w,
		describe: func(context.Context, string) (*ddb.TableDescription, error) {
			return &ddb.TableDescription{TableArn: aws.String("arn:aws:dynamodb:eu-central-1:123456789012:table/orders"), TableStatus: ddb.TableStatusActive}, w.table.err
		},
		invoke: func(_ context.Context, function string, event []byte) ([]byte, error) {
			w.asked = append(w.asked, function+" "+string(event))
			answer, ok := w.answers[string(event)]
			if strings.HasPrefix(string(event), `{"audit"`) {
				answer, ok = cmp.Or(w.answers["audit"], `{"differences":[],"orders":0}`), true
			}
			if !ok {
				return nil, &smithy.GenericAPIError{Code: "ResourceNotFoundException"}
			}
			return []byte(answer), nil
		},
		stack: func(_ context.Context, name string) (map[string]string, error) {
			if name != "orderbridge" {
				return nil, fault.Wrap(fault.AWSNotFound, errors.New("no such stack"))
			}
			return w.stack, nil
		},
		alarms: func(_ context.Context, stack string) ([]alarmView, error) {
			if stack != "orderbridge" {
				return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"}
			}
			return w.alarms, nil
		},
	}
}

func (w *world) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	if *in.SecretId != "webhook" {
		return nil, errors.New("no such secret")
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(w.stored)}, nil
}

func (w *world) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	w.put = append(w.put, *in.SecretString)
	return &secretsmanager.PutSecretValueOutput{}, nil
}

// fails checks an exit code and that the error is one line that starts with
// prefix, after the line that says where a write goes, if there is one.
func (w *world) fails(t *testing.T, code int, prefix string, args ...string) {
	t.Helper()
	if got := w.run(t, args...); got != code {
		t.Errorf("orderctl %q: exit code %d, want %d", args, got, code)
	}
	text := w.err.String()
	if strings.HasPrefix(text, "account ") {
		_, text, _ = strings.Cut(text, "\n")
	}
	if !strings.HasPrefix(text, "orderctl: "+prefix) || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Errorf("orderctl %q says %q, want one line that starts with %q", args, text, "orderctl: "+prefix)
	}
}

// memory is a table that keeps what it was asked to do.
type memory struct {
	orders   map[string]order.Record
	control  order.Control
	resolved []order.Resolution
	bumped   []order.ID
	err      error
}

func (m *memory) Reconcile(_ context.Context, since time.Time, by string, at time.Time) error {
	c, err := m.control.Reconcile(since, by, at)
	m.control = c
	return cmp.Or(m.err, err)
}

func (m *memory) Get(_ context.Context, id order.ID) (order.Record, bool, error) {
	r, ok := m.orders[id.String()]
	return r, ok, m.err
}

func (m *memory) Control(_ context.Context, side order.Side) (order.Control, error) {
	if side == m.control.Side {
		return m.control, m.err
	}
	return order.Control{Side: side}, m.err
}

func (m *memory) Failed(_ context.Context, since time.Time, _ int) (all []store.FailedOrder, err error) {
	for _, r := range m.orders {
		if r.State == order.Failed && !r.ErrorAt.Before(since) {
			all = append(all, store.FailedOrder{ID: r.ID, At: r.ErrorAt, Code: r.ErrorCode, Point: r.RecoveryPoint, AccountID: r.AccountID, WHMCSOrderID: r.WHMCSOrderID})
		}
	}
	return all, m.err
}

func (m *memory) Open(context.Context, int) (all []order.Record, found int, err error) {
	for _, r := range m.orders {
		if r.State.Open() {
			all = append(all, r)
		}
	}
	return all, len(all), m.err
}

func (m *memory) Refused(context.Context, time.Time, int) (ids []order.ID, err error) {
	for _, r := range m.orders {
		if r.Refusal.Seq != 0 && r.Refusal.Seq == r.Seq {
			ids = append(ids, r.ID)
		}
	}
	return ids, m.err
}

func (m *memory) LookBefore(_ context.Context, before time.Time, by string, at time.Time) (err error) {
	m.control.Side = order.SideWHMCS
	m.control, err = m.control.WithLookBefore(before, by, at)
	return cmp.Or(err, m.err)
}

func (m *memory) Resolve(_ context.Context, r order.Resolution) (order.Record, error) {
	m.resolved = append(m.resolved, r)
	return order.Record{ID: r.ID, State: order.Queued, RecoveryPoint: order.PointAdded}, m.err
}

func (m *memory) Bump(_ context.Context, id order.ID, _ order.Seq, _ time.Time, _ order.Entry) (order.Record, error) {
	r, ok := m.orders[id.String()]
	if !ok {
		return order.Record{}, fault.New(fault.OrderNotFound, "")
	}
	if m.err != nil {
		return order.Record{}, m.err
	}
	m.bumped = append(m.bumped, id)
	r.Seq++
	return r, nil
}

func (m *memory) Pause(_ context.Context, reason, by string, at time.Time) (err error) {
	m.control.Side = order.SideWHMCS
	m.control, err = m.control.Pause(reason, by, at)
	return cmp.Or(err, m.err)
}

func (m *memory) Release(_ context.Context, of, by string, at time.Time) (err error) {
	m.control, err = m.control.Release(of, by, at)
	return cmp.Or(err, m.err)
}

func (m *memory) Resume(_ context.Context, by string, at time.Time) (err error) {
	m.control, err = m.control.Resume(by, at)
	return cmp.Or(err, m.err)
}

// letters are queues whose messages are hidden once received.
type letters struct {
	visible        map[string][]types.Message // by queue
	deleted, shown []string
	sent           []string
}

func (l *letters) ReceiveMessage(_ context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	all := l.visible[*in.QueueUrl]
	n := min(int(in.MaxNumberOfMessages), len(all))
	l.visible[*in.QueueUrl] = all[n:]
	return &sqs.ReceiveMessageOutput{Messages: all[:n]}, nil
}

func (l *letters) DeleteMessage(_ context.Context, in *sqs.DeleteMessageInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error) {
	l.deleted = append(l.deleted, aws.ToString(in.ReceiptHandle))
	return &sqs.DeleteMessageOutput{}, nil
}

func (l *letters) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	l.sent = append(l.sent, *in.QueueUrl+" "+*in.MessageBody)
	return &sqs.SendMessageOutput{}, nil
}

func (l *letters) ChangeMessageVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	l.shown = append(l.shown, *in.ReceiptHandle)
	return &sqs.ChangeMessageVisibilityOutput{}, nil
}

func (l *letters) GetQueueAttributes(_ context.Context, in *sqs.GetQueueAttributesInput, _ ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{
		"ApproximateNumberOfMessages": strconv.Itoa(len(l.visible[*in.QueueUrl])), "ApproximateNumberOfMessagesNotVisible": "0",
	}}, nil
}

func (l *letters) add(handle, body string) { l.addTo("http://queue", handle, body) }

func (l *letters) addTo(queue, handle, body string) {
	l.visible[queue] = append(l.visible[queue], types.Message{MessageId: aws.String(handle), ReceiptHandle: aws.String(handle), Body: aws.String(body)})
}

func TestWhatIsNotUnderstoodIsRefusedInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		args   []string
		unset  string
	}{
		"an unknown command":              {`unknown command "frobnicate" for "orderctl"`, []string{"frobnicate"}, ""},
		"an unknown flag":                 {"callout: unknown flag: --frobnicate", []string{"callout", orderID, "--frobnicate"}, ""},
		"no order":                        {"exactly one order id is needed", []string{"callout"}, ""},
		"two orders":                      {"exactly one order id is needed", []string{"callout", orderID, orderID}, ""},
		"no order to show":                {"an order id is needed, or -", []string{"show"}, ""},
		"a misspelt command":              {`unknown command "lst" for "orderctl" Did you mean this? list`, []string{"lst"}, ""},
		"a form that there is not":        {"--output is table or json", []string{"list", "-o", "yaml"}, ""},
		"a state that there is not":       {"--state is open", []string{"list", "--state", "done"}, ""},
		"a list of provisioned orders":    {"provisioned orders are in no list", []string{"list", "--state", "provisioned"}, ""},
		"a code that there is not":        {"there is no error code", []string{"list", "--code", "no_such_code"}, ""},
		"an account that is none":         {`"foo" is not a Salesforce Account id`, []string{"list", "--account", "foo"}, ""},
		"a callout for an odd account":    {`"foo" is not a Salesforce id (001`, []string{"callout", orderID, "--account", "foo"}, ""},
		"a callout by nobody known":       {`"ann" is not a Salesforce id (005`, []string{"callout", orderID, "--requested-by", "ann"}, ""},
		"a retry of nothing":              {"retry needs order ids", []string{"retry", "--by", "ann", "--why", "x"}, ""},
		"a retry of two kinds":            {"retry needs order ids", []string{"retry", orderID, "--code", "module_failed", "--by", "ann", "--why", "x"}, ""},
		"a retry of nobody":               {"--by WHO and --why TEXT", []string{"retry", orderID}, ""},
		"an adoption for two orders":      {"--adopt is said of one order", []string{"resolve", orderID, orderID, "--adopt", "1", "--by", "ann", "--why", "x"}, ""},
		"a probe of nothing":              {"probe needs a side", []string{"probe", "both"}, ""},
		"a restore at no time":            {"look-before needs one time", []string{"look-before", "--by", "ann"}, ""},
		"a restore yesterday, in words":   {`"yesterday" is not a time`, []string{"look-before", "yesterday", "--by", "ann"}, ""},
		"a restore that is to come":       {"2026-11-24 04:00:00Z is still to come", []string{"look-before", "2026-11-24T04:00:00Z", "--by", "ann"}, ""},
		"a rotation by nobody":            {"--by WHO is needed", []string{"rotate-secret"}, ""},
		"no PROVISION_FUNCTION":           {"PROVISION_FUNCTION is missing", []string{"doctor"}, "PROVISION_FUNCTION"},
		"a queue that there is not":       {"--queue is statuspush", []string{"redrive", "--queue", "other"}, ""},
		"two ways to resume":              {"--of and --all exclude", []string{"resume", "--by", "ann", "--of", "bob", "--all"}, ""},
		"a bad order id":                  {"order_id_invalid", []string{"callout", "801000000000001AAB"}, ""},
		"an order id in lower case":       {`order_id_invalid: "801000000000001aaa" was mistyped, or its upper and lower case were changed`, []string{"show", "801000000000001aaa"}, ""},
		"an order id that is cut":         {`order_id_invalid: "80100000000000" is not a Salesforce Order id`, []string{"callout", "80100000000000"}, ""},
		"a list since a word":             {"list: invalid argument \"soon\" for \"--since\" flag: not a time such as 15m, 24h or 7d", []string{"list", "--since", "soon"}, ""},
		"a list of what is to come":       {"list: invalid argument \"-1h\" for \"--older-than\" flag: not a time such as", []string{"list", "--older-than=-1h"}, ""},
		"an audit since a word":           {"audit: invalid argument \"d\" for \"--since\" flag: not a time such as", []string{"audit", "--since", "d"}, ""},
		"a reconcile since a word":        {"--since needs a time such as 24h or 7d, or a moment such as", []string{"reconcile", "--since", "soon", "--by", "ann"}, ""},
		"an account id":                   {"order_id_invalid", []string{"show", "001000000000001AAA"}, ""},
		"a wait of days":                  {"callout: invalid", []string{"callout", orderID, "--wait=25h"}, ""},
		"a wait in words":                 {"callout: exactly one order id is needed, not 2; --wait takes", []string{"callout", orderID, "--wait", "abc"}, ""},
		"a wait of nothing":               {"callout: invalid", []string{"callout", orderID, "--wait=0"}, ""},
		"dry-run and event":               {"--dry-run and --event exclude", []string{"callout", orderID, "--dry-run", "--event"}, ""},
		"no API_URL":                      {"API_URL is missing", []string{"callout", orderID}, "API_URL"},
		"no WEBHOOK_SECRET_ID":            {"WEBHOOK_SECRET_ID is missing", []string{"callout", orderID}, "WEBHOOK_SECRET_ID"},
		"no TABLE_NAME":                   {"TABLE_NAME is missing", []string{"show", orderID}, "TABLE_NAME"},
		"no STATUSPUSH_DEAD_LETTER_URL":   {"STATUSPUSH_DEAD_LETTER_URL is missing", []string{"redrive"}, "STATUSPUSH_DEAD_LETTER_URL"},
		"a resolution without a decision": {"exactly one of", []string{"resolve", orderID, "--by", "ann", "--why", "x"}, ""},
		"two decisions":                   {"exactly one of", []string{"resolve", orderID, "--none", "--stop", "--by", "ann", "--why", "x"}, ""},
		"a decision of nobody":            {"--by WHO and --why TEXT", []string{"resolve", orderID, "--none", "--why", "x"}, ""},
		"a decision without a reason":     {"--by WHO and --why TEXT", []string{"resolve", orderID, "--none", "--by", "ann", "--why", "  "}, ""},
		"an adoption of a word":           {"--adopt needs the number", []string{"resolve", orderID, "--adopt", "it", "--by", "ann", "--why", "x"}, ""},
		"a pause of one order":            {"pause concerns all orders", []string{"pause", orderID, "--by", "ann", "--why", "x"}, ""},
		"a pause of nobody":               {"--by WHO and --why TEXT", []string{"pause", "--why", "x"}, ""},
		"a resume of nobody":              {"--by WHO is needed", []string{"resume"}, ""},
		"a redrive of one order":          {"redrive takes no argument", []string{"redrive", orderID}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			delete(w.env, c.unset)
			w.fails(t, exitUsage, c.prefix, c.args...)
			if len(w.table.resolved) > 0 || w.table.control.By != "" {
				t.Error("the table was changed")
			}
		})
	}
	w := newWorld()
	if code := w.run(t); code != exitUsage || !strings.Contains(w.err.String(), "orderctl callout") {
		t.Errorf("no command: exit code %d, %q", code, w.err.String())
	}
}

func TestEveryCommandHelpsWithExamplesThatItUnderstands(t *testing.T) {
	w := newWorld()
	w.table.orders[orderID] = record(t)
	w.env["API_URL"] = answering(t, http.StatusAccepted, `{"success":false}`).URL
	w.table.orders[failedID] = failedRecord(t)
	w.stack = map[string]string{"TableName": "orders"}
	w.answers = map[string]string{
		`{"find":"1001"}`: `{"orders":["` + orderID + `"]}`, `{"probe":"whmcs"}`: `{"side":"whmcs","serves":true}`, `{"probe":"salesforce"}`: `{"side":"salesforce","serves":true}`,
		`{"check":"` + orderID + `"}`: `{"order_id":"` + orderID + `"}`, `{"doctor":true}`: `{"findings":[]}`,
	}
	// What is said of these is that they exit with another code in this world.
	other := map[string]int{"doctor": exitFailed, "restore-check": exitFailed}
	for _, cmd := range (&app{}).root().Commands() {
		for _, args := range [][]string{{cmd.Name(), "--help"}, {"help", cmd.Name()}, {cmd.Name(), "-h"}} {
			if cmd.Name() == "help" {
				continue
			}
			if code := w.run(t, args...); code != exitDone {
				t.Errorf("%q: exit code %d", args, code)
			}
			if !strings.Contains(w.out.String(), cmd.Example) {
				t.Errorf("%q lacks the examples", args)
			}
		}
		for e := range strings.SplitSeq(cmd.Example, "\n") {
			e, ok := strings.CutPrefix(e, "  orderctl ")
			if !ok || cmd.Name() == "man" {
				continue
			}
			want := other[cmd.Name()]
			if strings.Contains(e, "--wait") || strings.Contains(e, "--watch") {
				want = exitUnfinished
				w.slept = func() { w.table.orders[orderID] = failedRecord(t) }
				if strings.Contains(e, "10m") || strings.Contains(e, "--watch") {
					want = exitFailed // it follows the order to its end
				}
			}
			w.table.control = order.Control{}
			if strings.HasPrefix(e, "resume") {
				w.run(t, "pause", "--by", "ann", "--why", "x")
				w.run(t, "pause", "--by", "bob", "--why", "x")
			}
			open := record(t)
			open.State, open.DueAt = order.Waiting, now.Add(time.Hour)
			w.table.orders[orderID] = open
			if strings.Contains(e, "--dry-run") {
				w.table.orders[orderID] = record(t)
			}
			if code := w.run(t, words(e)...); code != want {
				t.Errorf("example %q: exit code %d, want %d, %s", e, code, want, w.err.String())
			}
		}
	}
	if code := w.run(t, "--help"); code != exitDone || !strings.Contains(w.out.String(), "orderctl resolve") {
		t.Errorf("--help: exit code %d, %q", code, w.out.String())
	}
}

// words splits an example as a shell would, without its comment or pipe.
func words(example string) []string {
	var all []string
	for i, part := range strings.Split(example, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		for _, word := range strings.Fields(part) {
			if word == "#" || word == "|" || word == ">" {
				return all
			}
			all = append(all, word)
		}
	}
	return all
}

// answering is an API that gives every callout the same answer.
func answering(t *testing.T, status int, body string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "5")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// A try-out that signs with the stack's own secret proves nothing of Salesforce's.
func TestCalloutSignsWithWhatSalesforceHolds(t *testing.T) {
	w := newWorld()
	delete(w.env, "WEBHOOK_SECRET_ID")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, "-"} {
		w.in = secret + "\n"
		if code := w.run(t, "callout", orderID, "--dry-run", "--secret-file", from); code != exitDone {
			t.Fatalf("exit code %d: %s", code, w.err.String())
		}
		r, err := http.ReadRequest(bufio.NewReader(&w.out))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		checkSigned(t, r.Header, body)
	}
	w.in = "\n"
	w.fails(t, exitUsage, "- holds no secret", "callout", orderID, "--secret-file", "-")
}

// What the function refuses to use, orderctl does not sign with.
func TestCalloutRefusesASpoiltSecret(t *testing.T) {
	w := newWorld()
	for text, says := range map[string]string{
		secret + "\n": "ends with a line break", `{"webhookSecret":"` + secret + `"}`: "is JSON", "\ufeff" + secret: "byte order mark",
	} {
		w.stored = text
		w.fails(t, exitFailed, "secret_unavailable: ", "callout", orderID)
		if !strings.Contains(w.err.String(), says) || strings.Contains(w.err.String(), secret) {
			t.Errorf("says %q, want %q", w.err.String(), says)
		}
	}
}

// checkSigned checks what a receiver checks.
func checkSigned(t *testing.T, header http.Header, body []byte) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if got := header.Get("X-SF-Signature"); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q is not that of the body", got)
	}
	var b map[string]string
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	for name, want := range map[string]string{
		"orderId": orderID, "timestamp": header.Get("X-SF-Timestamp"), "nonce": header.Get("X-SF-Nonce"),
	} {
		if b[name] != want || want == "" {
			t.Errorf("body says %s %q, the header %q", name, b[name], want)
		}
	}
	if got := header.Get("X-SF-Timestamp"); got != "2026-11-24T03:00:00.000Z" {
		t.Errorf("timestamp %q", got)
	}
	if header.Get("Idempotency-Key") == "" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}
}

func TestCalloutIsSignedAndSentAsSalesforceDoes(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		rw.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(rw, `{"success":false,"status":"Activating","sfOrderId":"`+orderID+`"}`)
	}))
	defer s.Close()
	w := newWorld()
	w.env["API_URL"] = s.URL + "/" // a slash too many does no harm
	for name, c := range map[string]struct {
		args   []string
		prefer string
		key    string
	}{
		"at once":                     {[]string{"callout", orderID}, "respond-async", ""},
		"waiting":                     {[]string{"callout", orderID, "--wait"}, "wait=25", ""},
		"waiting, flag first":         {[]string{"callout", "--wait", orderID}, "wait=25", ""},
		"waiting so long":             {[]string{"callout", orderID, "--wait", "5"}, "wait=5", ""},
		"waiting so long, flag first": {[]string{"callout", "--wait", "5", "--key", "k", orderID}, "wait=5", "k"},
		"with an equals sign":         {[]string{"callout", "--wait=7", "--key=k", orderID}, "wait=7", "k"},
		"a 15-character id":           {[]string{"callout", orderID[:15], "--key", "k"}, "respond-async", "k"},
		"after --":                    {[]string{"callout", "--key", "k", "--", orderID}, "respond-async", "k"},
	} {
		t.Run(name, func(t *testing.T) {
			want := exitDone
			if strings.HasPrefix(c.prefer, "wait") {
				want = exitUnfinished // the answer says Activating
			}
			if code := w.run(t, c.args...); code != want {
				t.Fatalf("exit code %d, want %d: %s", code, want, w.err.String())
			}
			checkSigned(t, got.Header, body)
			if got.Method != http.MethodPost || got.URL.Path != "/orders/"+orderID+"/fulfill" {
				t.Errorf("%s %s", got.Method, got.URL.Path)
			}
			if p := got.Header.Get("Prefer"); p != c.prefer {
				t.Errorf("Prefer %q, want %q", p, c.prefer)
			}
			if k := got.Header.Get("Idempotency-Key"); c.key != "" && k != c.key {
				t.Errorf("key %q, want %q", k, c.key)
			}
			if !json.Valid(w.out.Bytes()) {
				t.Errorf("stdout is %q, want the answer alone", w.out.String())
			}
		})
	}
}

func TestEveryCalloutHasItsOwnNonceAndKey(t *testing.T) {
	w := newWorld()
	seen := map[string]bool{}
	for range 3 {
		w.run(t, "callout", orderID, "--dry-run")
		req, err := http.ReadRequest(bufio.NewReader(&w.out))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"X-SF-Nonce", "Idempotency-Key"} {
			v := name + req.Header.Get(name)
			if seen[v] {
				t.Errorf("%s came twice", v)
			}
			seen[v] = true
		}
	}
}

func TestDryRunPrintsTheRequestAndSendsNothing(t *testing.T) {
	w := newWorld()
	w.env["API_URL"] = "https://api.example.com/base"
	w.env["SF_ORG_ID"] = "00D000000000001EAA"
	if code := w.run(t, "callout", orderID, "--dry-run", "--account", "001000000000001AAA", "--requested-by", "005000000000001AAA"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	if strings.Contains(w.out.String(), secret) {
		t.Error("the secret is printed")
	}
	req, err := http.ReadRequest(bufio.NewReader(&w.out))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkSigned(t, req.Header, body)
	if req.Host != "api.example.com" || req.URL.Path != "/base/orders/"+orderID+"/fulfill" {
		t.Errorf("goes to %s%s", req.Host, req.URL.Path)
	}
	for _, want := range []string{`"organizationId":"00D000000000001EAA"`, `"accountId":"001000000000001AAA"`, `"requestedBy":"005000000000001AAA"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("body %s lacks %s", body, want)
		}
	}
}

func TestEventIsASignedEventOfTheGateway(t *testing.T) {
	w := newWorld()
	delete(w.env, "API_URL") // nothing is sent
	if code := w.run(t, "callout", orderID, "--event"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	var e struct {
		Version, RouteKey, Body string
		Headers, PathParameters map[string]string
	}
	if err := json.Unmarshal(w.out.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	for name, v := range e.Headers {
		if name != strings.ToLower(name) {
			t.Errorf("the gateway would write %s in lower case", name)
		}
		header.Set(name, v)
	}
	checkSigned(t, header, []byte(e.Body))
	if e.Version != "2.0" || e.RouteKey != "POST /orders/{sfOrderId}/fulfill" || e.PathParameters["sfOrderId"] != orderID {
		t.Errorf("event %+v", e)
	}
}

func TestRefusalsAreOneLineWithTheirCode(t *testing.T) {
	w := newWorld()
	w.env["API_URL"] = answering(t, 422, `{"type":"about:blank","title":"Account not mapped","status":422,"code":"account_not_mapped","detail":"Set WHMCS_Client_ID__c.","requestId":"r-1"}`).URL
	w.fails(t, exitFailed, "account_not_mapped: Set WHMCS_Client_ID__c. (HTTP 422, request r-1)", "callout", orderID)
	w.env["API_URL"] = answering(t, 404, `{"message":"Not Found"}`).URL
	w.fails(t, exitFailed, "HTTP 404 Not Found: Not Found", "callout", orderID)
	w.env["API_URL"] = answering(t, 302, "").URL
	w.fails(t, exitFailed, "HTTP 302 Found", "callout", orderID)
	gone := answering(t, 200, "")
	gone.Close()
	w.env["API_URL"] = gone.URL
	w.fails(t, exitFailed, "request_not_delivered: Not delivered", "callout", orderID)
	w.env["WEBHOOK_SECRET_ID"] = "another"
	w.fails(t, exitFailed, "secret_unavailable: ", "callout", orderID)
	w.fails(t, exitFailed, "order_not_found: no callout of "+orderID, "show", orderID)
	w.fails(t, exitFailed, "order_not_found: no callout of "+orderID, "push", orderID)
	w.table.err = fault.Wrap(fault.StoreUnavailable, errors.New("throttled"))
	w.fails(t, exitFailed, "store_unavailable: ", "show", orderID)
	w.fails(t, exitFailed, "store_unavailable: ", "pause", "--by", "ann", "--why", "x")
	w.table.err = fault.Wrap(fault.StateChanged, errors.New("it is provisioned, not failed"))
	w.fails(t, exitFailed, "state_changed: ", "resolve", orderID, "--stop", "--by", "ann", "--why", "x")
}

const failedID = "801000000000002AAA"

// failedRecord is another order, that failed.
func failedRecord(t *testing.T) order.Record {
	r := record(t)
	id, err := order.ParseID(failedID)
	if err != nil {
		t.Fatal(err)
	}
	r.ID, r.ErrorCode = id, fault.ProductNotMapped
	return r
}

func record(t *testing.T) order.Record {
	t.Helper()
	id, err := order.ParseID(orderID)
	if err != nil {
		t.Fatal(err)
	}
	return order.Record{
		ID: id, State: order.Failed, RecoveryPoint: order.PointAdding, Seq: 7, AccountID: "001000000000001AAA",
		Plan:       &order.Plan{ClientID: 42, PaymentMethod: "mailin"},
		FirstAddAt: now.Add(-time.Hour), Add: order.Sent{Count: 1, Until: now.Add(-time.Hour), SettledAt: now.Add(-50 * time.Minute)}, OpenedAt: now.Add(-2 * time.Hour), UpdatedAt: now.Add(-time.Minute),
		ErrorCode: fault.AddOutcomeUnknown, ErrorMessage: "no order with the marker", ErrorAt: now.Add(-time.Minute),
		Nonces: map[string]order.Nonce{"n0nce-that-nobody-needs": {By: "t"}},
		History: []order.Entry{
			{At: now.Add(-2 * time.Hour), Event: "callout", By: "005000000000001AAA"},
			{At: now.Add(-time.Minute), Event: "failed", Detail: "add_outcome_unknown"},
		},
	}
}

func TestShowSaysWhatToDo(t *testing.T) {
	open := func(change func(*order.Record)) func(*order.Record) {
		return func(r *order.Record) {
			r.State, r.ErrorCode, r.ErrorMessage, r.DueAt = order.Waiting, "", "", now.Add(time.Minute)
			change(r)
		}
	}
	for name, c := range map[string]struct {
		change  func(*order.Record)
		control order.Control
		want    []string
	}{
		"an unknown outcome": {func(*order.Record) {}, order.Control{}, []string{
			"Failed: something may exist in WHMCS", "client 42 since 2026-11-24 02:00Z",
			"orderctl resolve " + orderID + " --adopt N", "orderctl resolve " + orderID + " --none",
			"2026-11-24 01:00:00Z  callout", "(005000000000001AAA)", "sfOrderId=" + orderID,
		}},
		"a plain failure": {func(r *order.Record) {
			r.ErrorCode, r.RecoveryPoint, r.Add.Count = fault.AccountNotMapped, order.PointNone, 0
		}, order.Control{}, []string{
			"Failed: account not mapped", "nothing can have reached WHMCS", "Set WHMCS_Client_ID__c", "orderctl retry " + orderID,
		}},
		"provisioned": {func(r *order.Record) {
			r.State, r.RecoveryPoint, r.ErrorCode, r.WHMCSOrderID = order.Provisioned, order.PointAccepted, "", "1234"
			r.ServiceIDs = map[string][]string{"802a": {"7", "8"}}
		}, order.Control{}, []string{"Provisioned", "order 1234", "services 7 8", "Nothing.", "orderctl push " + orderID}},
		"waiting for its next try": {open(func(r *order.Record) { r.ErrorCode = fault.WHMCSUnavailable; r.Attempts = 3 }), order.Control{}, []string{
			"waits for its next try", "3 since", "in 60 s", "WHMCS does not answer",
		}},
		"queued": {open(func(r *order.Record) { r.State, r.DueAt = order.Queued, now.Add(25*time.Second) }), order.Control{}, []string{
			"due        now: its hint is in the queue; the clock sends another one in 25 s", "it is being provisioned",
		}},
		"due and not taken": {open(func(r *order.Record) { r.DueAt = now.Add(-time.Hour) }), order.Control{}, []string{"due for 60 min", "ProvisionFunction"}},
		"a dead worker": {open(func(r *order.Record) {
			r.State, r.Lease, r.LeaseUntil = order.Working, order.NewToken(), now.Add(-time.Minute)
		}), order.Control{}, []string{"its worker died"}},
		"a living worker": {open(func(r *order.Record) {
			r.State, r.Lease, r.LeaseUntil = order.Working, order.NewToken(), now.Add(time.Minute)
		}), order.Control{}, []string{"it is being provisioned", "a worker holds it"}},
		"paused": {open(func(*order.Record) {}), order.Control{Side: order.SideWHMCS, Paused: true, By: "bob", Reason: "upgrade", At: now.Add(-time.Hour)}, []string{
			"whmcs is paused by bob", "upgrade", "orderctl resume --by YOU",
		}},
		"paused by the bridge itself": {open(func(*order.Record) {}), restored(t), []string{
			"whmcs is paused by provision", "restored from a backup of orders-1; orderctl restore-check says what comes next", "resume only after what the reason above asks for",
		}},
		"breaker open": {open(func(*order.Record) {}), order.Control{Side: order.SideSalesforce, Why: fault.SalesforcePermission, OpenUntil: now.Add(time.Minute)}, []string{
			"salesforce: breaker open (salesforce_permission_lost)", "permission set back",
		}},
		"its effect is not answered": {open(func(r *order.Record) { r.RecoveryPoint = order.PointAdding }), order.Control{Side: order.SideWHMCS, Unsure: map[string]order.Doubt{
			"AddOrder": {InRow: order.UnsureInRow, Until: now.Add(time.Minute), Why: fault.WHMCSUnavailable},
		}}, []string{
			"whmcs: AddOrder is not answered (whmcs_unavailable): orders that send it wait, one tries it in 60 s", "AddOrder is not answered. WHMCS does not answer.", "One order at a time tries it",
		}},
		"another effect is not answered": {open(func(r *order.Record) { r.RecoveryPoint = order.PointAdded }), order.Control{Side: order.SideWHMCS, Unsure: map[string]order.Doubt{
			"AddOrder": {InRow: order.UnsureInRow, Until: now.Add(time.Minute), Why: fault.WHMCSUnavailable},
		}}, []string{"whmcs: AddOrder is not answered", "it is being provisioned"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			r := record(t)
			c.change(&r)
			w.table.orders[orderID] = r
			w.table.control = c.control
			if code := w.run(t, "show", orderID[:15]); code != exitDone {
				t.Fatalf("exit code %d: %s", code, w.err.String())
			}
			for _, want := range c.want {
				if !strings.Contains(w.out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, w.out.String())
				}
			}
			if strings.Contains(w.out.String(), "{") {
				t.Errorf("a placeholder was not filled:\n%s", w.out.String())
			}
		})
	}
}

// What WHMCS, Salesforce or a person wrote is shown, and does nothing to the
// terminal: it neither moves the cursor nor turns the letters, and makes no line of
// its own.
func TestWhatOthersWroteDoesNothingToTheTerminal(t *testing.T) {
	const hostile = "a\x1b[2J\x1b]0;t\x07b\nFORGED  Provisioned\r\u009b31m\u202ec\u2028d\xffe\tf"
	w := newWorld()
	r := record(t)
	r.ErrorMessage, r.WHMCSOrderID, r.AccountID = hostile, hostile, hostile
	r.History = []order.Entry{{At: now, Event: hostile, Detail: hostile, By: hostile}}
	r.ServiceIDs = map[string][]string{"802a": {hostile}}
	w.table.orders[orderID] = r
	w.table.control = order.Control{Side: order.SideWHMCS, Paused: true, By: hostile, Reason: hostile, At: now, History: r.History}
	letter, err := json.Marshal(map[string]any{"sfOrderId": orderID, "seq": 7, "code": hostile, "message": hostile})
	if err != nil {
		t.Fatal(err)
	}
	w.letters.add("x", string(letter))
	for _, args := range [][]string{
		{"show", orderID}, {"list"}, {"status"}, {"timeline", orderID}, {"redrive", "--dry-run"}, {"resume", "--by", hostile},
		{"resolve", orderID, "--stop", "--by", hostile, "--why", hostile, "--dry-run"},
	} {
		for _, output := range []string{"table", "json"} {
			w.run(t, append(args, "--output", output)...)
			for name, out := range map[string]string{"output": w.out.String(), "error": w.err.String()} {
				if i := strings.IndexFunc(out, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
					t.Errorf("%v: %s has %q", args[0], name, out[max(0, i-20):min(len(out), i+20)])
				}
				if strings.Contains(out, "\nFORGED") {
					t.Errorf("%v: %s has a line of somebody else's:\n%s", args[0], name, out)
				}
			}
		}
	}
}

func TestAProbeSaysWhichEffectIsNotAnswered(t *testing.T) {
	w := newWorld()
	w.answers = map[string]string{`{"probe":"whmcs"}`: `{"side":"whmcs","serves":true}`}
	w.table.control = order.Control{Side: order.SideWHMCS, Unsure: map[string]order.Doubt{"AddOrder": {InRow: order.UnsureInRow, Until: now, Why: fault.WHMCSUnavailable}}}
	want := "whmcs serves; its breaker is closed\nAddOrder is not answered (whmcs_unavailable): the next order that sends it tries it alone\n"
	if code := w.run(t, "probe", "whmcs"); code != exitDone || w.out.String() != want {
		t.Errorf("exit code %d, %q, %s", code, w.out.String(), w.err.String())
	}
}

func restored(t *testing.T) order.Control {
	t.Helper()
	c, err := order.Control{Side: order.SideWHMCS}.Restored("orders-1", now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryGuideOfTheTableIsShownInFull(t *testing.T) {
	points := []order.RecoveryPoint{order.PointNone, order.PointAdding, order.PointAdded, order.PointAccepting, order.PointAccepted}
	for _, code := range fault.Codes() {
		for _, guide := range code.Info().OnCall {
			for _, point := range guide.At {
				if !slices.Contains(points, order.RecoveryPoint(point)) {
					t.Errorf("%s: there is no recovery point %q", code, point)
				}
			}
		}
		for _, point := range points {
			r := record(t)
			r.ErrorCode, r.RecoveryPoint = code, point
			text := strings.Join(advice(r, nil, now), "\n")
			if text == "" || strings.ContainsAny(text, "{}`") {
				t.Errorf("%s at %s: %s", code, point, text)
			}
			for i := range code.OnCall(string(point)).Steps {
				if !strings.Contains(text, fmt.Sprintf("\n%d. ", i+1)) {
					t.Errorf("%s at %s lacks step %d: %s", code, point, i+1, text)
				}
			}
		}
		if !code.Info().Review {
			continue
		}
		for _, guide := range code.Info().OnCall {
			r := record(t)
			r.ErrorCode, r.RecoveryPoint = code, order.RecoveryPoint(guide.At[0])
			if text := strings.Join(advice(r, nil, now), "\n"); !strings.Contains(text, "orderctl ") {
				t.Errorf("%s at %s names no command: %s", code, r.RecoveryPoint, text)
			}
		}
	}
}

func TestShowAsJSON(t *testing.T) {
	w := newWorld()
	w.table.orders[orderID] = record(t)
	if code := w.run(t, "show", orderID, "--json"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	var v map[string]any
	if err := json.Unmarshal(w.out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"order_id": orderID, "status": "Failed", "state": "failed", "point": "adding", "error_code": "add_outcome_unknown",
		"review": true, "adds": 1.0, "seq": 7.0, "add_until": "2026-11-24T02:00:00.000Z",
	} {
		if v[name] != want {
			t.Errorf("%s is %v, want %v", name, v[name], want)
		}
	}
	history, ok := v["history"].([]any)
	if !ok || len(history) != 2 {
		t.Errorf("history is %v", v["history"])
	}
	if nonces, ok := v["nonces"].(map[string]any); !ok || len(nonces) != 1 {
		t.Errorf("nonces are %v", v["nonces"])
	}
}

func TestResolveRecordsWhoDecidedWhat(t *testing.T) {
	w := newWorld()
	if code := w.run(t, "resolve", "--none", orderID, "--by", "ann", "--why", "looked"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	if code := w.run(t, "resolve", orderID, "--adopt", "1234", "--by", "ann", "--why", "it is"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	none, adopt := w.table.resolved[0], w.table.resolved[1]
	if !none.None || none.By != "ann" || none.Why != "looked" || none.ID.String() != orderID || !none.Now.Equal(now) {
		t.Errorf("resolution %+v", none)
	}
	if adopt.Adopt != "1234" || adopt.None || adopt.Stop {
		t.Errorf("resolution %+v", adopt)
	}
}

func TestPauseAndResume(t *testing.T) {
	w := newWorld()
	if code := w.run(t, "pause", "--by", "ann", "--why", "upgrade"); code != exitDone || !w.table.control.Paused || w.table.control.Reason != "upgrade" || w.table.control.By != "ann" {
		t.Errorf("exit code %d, control %+v", code, w.table.control)
	}
	if !strings.Contains(w.out.String(), "may still leave for 5 s and SEND_WINDOW") {
		t.Errorf("when nothing leaves any more is not said: %q", w.out.String())
	}
	w.fails(t, exitFailed, "state_changed: bob pauses nothing. Paused by ann.", "resume", "--by", "bob")
	if code := w.run(t, "pause", "--by", "bob", "--why", "audit"); code != exitDone || len(w.table.control.Holds) != 2 {
		t.Errorf("exit code %d, control %+v", code, w.table.control)
	}
	if code := w.run(t, "resume", "--by", "bob", "--of", "ann"); code != exitDone || !w.table.control.Paused || !strings.Contains(w.out.String(), "by bob") {
		t.Errorf("exit code %d, control %+v, %s", code, w.table.control, w.out.String())
	}
	if code := w.run(t, "resume", "--by", "bob"); code != exitDone || w.table.control.Paused || w.table.control.By != "bob" {
		t.Errorf("exit code %d, control %+v", code, w.table.control)
	}
	w.fails(t, exitFailed, "state_changed: Nothing is paused.", "resume", "--by", "bob")
	w.fails(t, exitFailed, "state_changed: Nothing is paused.", "resume", "--by", "bob", "--all")
}

func TestShowSaysWhatSalesforceRefuses(t *testing.T) {
	w := newWorld()
	r := record(t)
	r.State, r.ErrorCode = order.Provisioned, ""
	r.Refusal = order.Refusal{Seq: r.Seq, Since: now.Add(-time.Hour), Next: now.Add(time.Hour), Tries: 4, Code: fault.SalesforceRowRefused, Letter: true}
	w.table.orders[orderID] = r
	if code := w.run(t, "show", orderID); code != exitDone || !strings.Contains(w.out.String(), "salesforce_row_refused, 4 times") ||
		!strings.Contains(w.out.String(), "orderctl push "+orderID) || strings.Contains(w.out.String(), "Nothing") {
		t.Errorf("exit code %d: %s", code, w.out.String())
	}
	r.Seq++ // a newer change is on its way
	w.table.orders[orderID] = r
	if w.run(t, "show", orderID); strings.Contains(w.out.String(), "salesforce_row_refused") {
		t.Error(w.out.String())
	}
}

func TestReconcileMovesTheMarksBack(t *testing.T) {
	w := newWorld()
	w.table.control.ConfirmedUntil, w.table.control.AskedUntil = now, now.Add(-time.Hour)
	if code := w.run(t, "reconcile", "--since", "30m", "--by", "ann"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	c := w.table.control
	if !c.ConfirmedUntil.Equal(now.Add(-30*time.Minute)) || !c.AskedUntil.Equal(now.Add(-time.Hour)) || len(c.History) != 1 || c.History[0].By != "ann" {
		t.Errorf("%+v", c)
	}
	if code := w.run(t, "reconcile", "--since", now.Add(-2*time.Hour).Format(time.RFC3339), "--by", "ann"); code != exitDone || !w.table.control.AskedUntil.Equal(now.Add(-2*time.Hour).Truncate(time.Second)) {
		t.Errorf("exit code %d, %+v", code, w.table.control)
	}
	if code := w.run(t, "reconcile", "--since", "2d", "--by", "ann"); code != exitDone || !w.table.control.AskedUntil.Equal(now.AddDate(0, 0, -2)) {
		t.Errorf("exit code %d, %+v", code, w.table.control)
	}
	for _, args := range [][]string{{"--since", "soon", "--by", "ann"}, {"--by", "ann"}, {"--since", "1h"}, {"--since", "-1h", "--by", "ann"}, {"--since", "1h", "--by", "ann", orderID}} {
		if code := w.run(t, append([]string{"reconcile"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}

func TestRedriveComparesWhatTheStreamGaveUp(t *testing.T) {
	w := newWorld()
	w.table.control.ConfirmedUntil = now
	w.letters.add("given up", `{"version":"1.0","DDBStreamBatchInfo":{"approximateArrivalOfFirstRecord":"`+now.Add(-7*time.Hour).Format(time.RFC3339)+`","batchSize":3}}`)
	if code := w.run(t, "redrive", "--by", "ann"); code != exitDone || !slices.Equal(w.letters.deleted, []string{"given up"}) {
		t.Fatalf("exit code %d, deleted %q: %s", code, w.letters.deleted, w.err.String())
	}
	if c := w.table.control; c.ConfirmedUntil.After(now.Add(-7 * time.Hour)) {
		t.Errorf("%+v", c)
	}
}

func TestRedrivePushesEachOrderOnceAndKeepsWhatNamesNone(t *testing.T) {
	w := newWorld()
	w.table.orders[orderID] = record(t)
	// As statuspush writes it.
	letter, err := writeback.Letter{ID: record(t).ID, Seq: 5, Code: fault.SalesforceRowRefused, Message: "refused"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.letters.add("first", letter)
	w.letters.add("again", `{"sfOrderId":"`+orderID+`","seq":6}`)
	w.letters.add("forgotten", `{"sfOrderId":"801000000000002AAA","seq":6}`)
	if code := w.run(t, "redrive", "--by", "ann"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	if len(w.table.bumped) != 1 || w.table.bumped[0].String() != orderID {
		t.Errorf("pushed %v", w.table.bumped)
	}
	if got := strings.Join(w.letters.deleted, " "); got != "first again forgotten" {
		t.Errorf("deleted %q", got)
	}

	w = newWorld()
	w.letters.add("garbage", `<xml/>`)
	w.letters.add("nobody", `{"seq":6}`)
	if code := w.run(t, "redrive"); code != exitFailed || len(w.letters.deleted) != 0 {
		t.Errorf("exit code %d, deleted %q", code, w.letters.deleted)
	}

	w = newWorld()
	w.table.orders[orderID] = record(t)
	w.table.err = fault.New(fault.StoreUnavailable, "")
	w.letters.add("first", `{"sfOrderId":"`+orderID+`","seq":5}`)
	w.fails(t, exitFailed, "store_unavailable", "redrive")
	if len(w.letters.deleted) != 0 {
		t.Errorf("deleted %q although nothing was pushed", w.letters.deleted)
	}
}

// On another machine's AWS nothing is written without a yes; each write is
// announced by where it goes.
// With the variables of staging and --stack production the write would go to
// staging's table.
func TestAnEnvironmentOfAnotherStackIsRefused(t *testing.T) {
	w := newWorld()
	if code := w.run(t, "pause", "--by", "ann", "--why", "x", "--stack", "production"); code != exitUsage || w.table.control.Paused {
		t.Errorf("exit code %d, paused %t", code, w.table.control.Paused)
	}
	if text := w.err.String(); !strings.Contains(text, "the environment is that of stack orderbridge (STACK_NAME), and --stack names production") {
		t.Errorf("it says %q", text)
	}
	if code := w.run(t, "pause", "--by", "ann", "--why", "x", "--stack", "orderbridge"); code != exitDone {
		t.Errorf("its own stack: exit code %d, %s", code, w.err.String())
	}
}

func TestAWriteIsAnnouncedAndAskedFor(t *testing.T) {
	const place = "account 123456789012, region eu-central-1, stack orderbridge, table orders: pause all work on WHMCS\n"
	for name, c := range map[string]struct {
		remote, terminal bool
		in               string
		args             []string
		code             int
		paused           bool
		says             string
	}{
		"this machine":              {false, false, "", nil, exitDone, true, ""},
		"a script":                  {true, false, "", nil, exitUsage, false, "nobody can be asked here"},
		"a script that says yes":    {true, false, "", []string{"--yes"}, exitDone, true, ""},
		"a person who says yes":     {true, true, "yes\n", nil, exitDone, true, "Go on? yes or no: "},
		"a person who says no":      {true, true, "no\n", nil, exitFailed, false, "the answer was not yes"},
		"a person who says nothing": {true, true, "", nil, exitFailed, false, "the answer was not yes"},
		"a dry run":                 {true, false, "", []string{"--dry-run"}, exitDone, false, "dry run: nothing is changed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.remote, w.terminal, w.in = c.remote, c.terminal, c.in
			code := w.run(t, append([]string{"pause", "--by", "ann", "--why", "x"}, c.args...)...)
			if code != c.code || w.table.control.Paused != c.paused {
				t.Errorf("exit code %d, paused %t", code, w.table.control.Paused)
			}
			if text := w.err.String(); !strings.HasPrefix(text, place) || !strings.Contains(text, c.says) {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestListShowsWhatTheFlagsMean(t *testing.T) {
	w := newWorld()
	w.table.orders[orderID] = record(t) // add_outcome_unknown, a minute ago
	w.table.orders[failedID] = failedRecord(t)
	open := record(t)
	open.ID, _ = order.ParseID("801000000000003AAA")
	open.State, open.ErrorCode, open.AccountID = order.Waiting, fault.WHMCSRoleDenied, ""
	w.table.orders[open.ID.String()] = open
	for args, want := range map[string]string{
		"":                                      "801000000000001AAA 801000000000002AAA 801000000000003AAA",
		"--state failed":                        "801000000000001AAA 801000000000002AAA",
		"--state open":                          "801000000000003AAA",
		"--state waiting,failed":                "801000000000001AAA 801000000000002AAA 801000000000003AAA",
		"--state queued":                        "",
		"--needs person":                        "801000000000001AAA",
		"--needs mending":                       "801000000000003AAA",
		"--code product_not_mapped":             "801000000000002AAA",
		"--account 001000000000001AAA":          "801000000000001AAA 801000000000002AAA",
		"--older-than 1h":                       "801000000000003AAA",
		"--since 1h":                            "801000000000001AAA 801000000000002AAA",
		"--limit 1":                             "801000000000001AAA",
		"--needs person --code order_empty":     "",
		"--since 30s":                           "",
		"--since 1d --code order_empty":         "",
		"--older-than 1d":                       "",
		"--since 7d --limit 1":                  "801000000000001AAA",
		"--code order_empty,product_not_mapped": "801000000000002AAA",
	} {
		if code := w.run(t, append([]string{"list", "--json"}, strings.Fields(args)...)...); code != exitDone {
			t.Fatalf("list %s: exit code %d, %s", args, code, w.err.String())
		}
		var rows []struct {
			ID string `json:"order_id"`
		}
		if err := json.Unmarshal(w.out.Bytes(), &rows); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("list %s: %q, want %q", args, got, want)
		}
	}
	if w.run(t, "list", "--limit", "1"); !strings.Contains(w.err.String(), "2 more: --limit 0 lists all") {
		t.Errorf("it says %q", w.err.String())
	}
}

func TestStatusSaysUntilWhenSalesforceWasCompared(t *testing.T) {
	w := newWorld()
	if w.run(t, "status"); !strings.Contains(w.out.String(), "not compared yet, refuses 0 orders") {
		t.Error(w.out.String())
	}
	w.table.control = order.Control{Side: order.SideSalesforce, ConfirmedUntil: now}
	if w.run(t, "status"); !strings.Contains(w.out.String(), "compared until "+jsonTime(now)) {
		t.Error(w.out.String())
	}
}

func TestStatusSaysWhetherAPersonIsNeeded(t *testing.T) {
	w := newWorld()
	if code := w.run(t, "status"); code != exitDone || !strings.Contains(w.out.String(), "for nothing") {
		t.Errorf("exit code %d, %s", code, w.out.String())
	}
	for name, c := range map[string]struct {
		change func(*world)
		says   string
	}{
		"a decision": {func(w *world) { w.table.orders[orderID] = record(t) }, "1 failed orders wait for a decision: orderctl list --needs person"},
		"a refused status": {func(w *world) {
			r := record(t)
			r.State, r.Refusal = order.Provisioned, order.Refusal{Seq: r.Seq, Code: fault.SalesforceRowRefused}
			w.table.orders[orderID] = r
		}, "Salesforce refuses to show 1 orders: orderctl show " + orderID},
		"dead letters": {func(w *world) { w.letters.add("x", "{}") }, "1 dead letters of statuspush"},
		"dead work":    {func(w *world) { w.letters.addTo("http://work-dead", "x", "{}") }, "1 dead letters of work"},
		"an installation": {func(w *world) {
			w.table.control = order.Control{Side: order.SideWHMCS, Why: fault.WHMCSRoleDenied, OpenUntil: now.Add(time.Minute)}
		}, "whmcs: whmcs_role_denied"},
		"an alarm": {func(w *world) {
			w.alarms = []alarmView{{"ClockSilent", "2026-11-28T03:00:00Z", "no data point", "The clock is silent"}}
		}, "alarm ClockSilent: The clock is silent"},
		"workers too few": {func(w *world) {
			r := record(t)
			r.State, r.DueAt = order.Queued, now.Add(-time.Hour)
			w.table.orders[orderID] = r
		}, "1 orders are due for more than 15 min"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.change(w)
			if code := w.run(t, "status"); code != exitUnfinished || !strings.Contains(w.out.String(), c.says) {
				t.Errorf("exit code %d, %s", code, w.out.String())
			}
		})
	}
	for name, change := range map[string]func(*world){
		"a paused side keeps orders waiting": func(w *world) {
			r := record(t)
			r.State, r.DueAt = order.Queued, now.Add(-time.Hour)
			w.table.orders[orderID] = r
			w.table.control = order.Control{Side: order.SideWHMCS, Paused: true, By: "ann", Reason: "upgrade", At: now}
		},
		"a side that is away for a while": func(w *world) {
			w.table.control = order.Control{Side: order.SideWHMCS, Why: fault.WHMCSUnavailable, OpenUntil: now.Add(time.Minute)}
		},
		"a plain failure": func(w *world) { w.table.orders[failedID] = failedRecord(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			change(w)
			if code := w.run(t, "status"); code != exitDone {
				t.Errorf("exit code %d, %s", code, w.out.String())
			}
		})
	}
}

func TestStatusSaysWhyAlarmsAreNotKnown(t *testing.T) {
	for stack, want := range map[string]struct {
		says string
		code int
	}{
		"":            {"not known    STACK_NAME is missing", exitDone},
		"other":       {"not known    aws_denied: AWS does not allow this", exitFailed},
		"orderbridge": {"firing       none", exitDone},
	} {
		w := newWorld()
		w.env["STACK_NAME"] = stack
		if code := w.run(t, "status"); code != want.code || !strings.Contains(w.out.String(), want.says) || (code == exitFailed) != strings.Contains(w.err.String(), "aws_denied") {
			t.Errorf("stack %q: exit code %d, %s%s", stack, code, w.out.String(), w.err.String())
		}
	}
}

func TestShowSaysWhetherSalesforceShowsTheOrder(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*order.Record, *order.Control)
		want   string
	}{
		"not looked for yet":   {func(*order.Record, *order.Control) {}, "Salesforce is told by seq 7;"},
		"looked for":           {func(r *order.Record, c *order.Control) { c.ConfirmedUntil = r.Listed().Add(time.Millisecond) }, "Salesforce shows it (seq 7)"},
		"looked for, up to it": {func(r *order.Record, c *order.Control) { c.ConfirmedUntil = r.Listed() }, "Salesforce is told by seq 7;"},
		"refused": {func(r *order.Record, c *order.Control) {
			c.ConfirmedUntil = r.Listed().Add(time.Hour)
			r.Refusal = order.Refusal{Seq: r.Seq, Code: fault.SalesforceRowRefused, Since: now, Next: now, Tries: 1}
		}, "Salesforce refuses to show it (salesforce_row_refused, seq 7)"},
	} {
		t.Run(name, func(t *testing.T) {
			r, salesforce := failedRecord(t), order.Control{Side: order.SideSalesforce}
			c.change(&r, &salesforce)
			var out strings.Builder
			page(&out, r, map[order.Side]order.Control{order.SideSalesforce: salesforce}, now)
			if !strings.Contains(out.String(), "  "+c.want) {
				t.Errorf("%s, want %q", out.String(), c.want)
			}
		})
	}
}

// No call shows that nothing calls a function, or that nothing reads the stream:
// their alarms do.
func TestDoctorJudgesTicksAndStreamReadersByTheirAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		alarms []alarmView
		stack  string
		says   string
		red    bool
	}{
		"quiet":             {nil, "orderbridge", "ok   clock       ProvisionFunction is called each minute: alarm ClockSilent is quiet\n", false},
		"no tick":           {[]alarmView{{Name: "ClockSilent", Since: "2026-11-28T03:00:00Z", Reason: "no data point"}}, "orderbridge", "RED  clock       ProvisionFunction is called each minute: alarm ClockSilent fires since 2026-11-28T03:00:00Z: no data point\n                 Look at the schedule", true},
		"no pipe":           {[]alarmView{{Name: "WorkPipeFailures"}}, "orderbridge", "RED  stream      the pipe brings new orders to the work queue", true},
		"an alarm of loads": {[]alarmView{{Name: "FailureRate"}, {Name: "Paused"}}, "orderbridge", "ok   alarm       other alarms: orderctl status says what to do about FailureRate Paused\n", false},
		"denied":            {nil, "other", "ok   alarm       ticks and stream readers, by their alarms: not looked at: aws_denied", false},
		"no stack":          {nil, "", "not looked at: STACK_NAME is missing", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.answers[`{"doctor":true}`] = `{"findings":[]}`
			w.alarms, w.env["STACK_NAME"] = c.alarms, c.stack
			w.run(t, "doctor")
			red := strings.Contains(w.out.String(), "RED  clock") || strings.Contains(w.out.String(), "RED  stream") || strings.Contains(w.out.String(), "RED  alarm")
			if !strings.Contains(w.out.String(), c.says) || red != c.red {
				t.Errorf("%s%s", w.out.String(), w.err.String())
			}
		})
	}
}

// The alarms of a stack whose name begins as this one's are not its own.
func TestAlarmsOfAStackAreToldByTheirNames(t *testing.T) {
	for rest, want := range map[string]bool{"-ClockSilent": true, "-ClockSilent-1A2B3C4D": true, "-staging-ClockSilent-1A2B3C4D": false, "ClockSilent": false, "-": false} {
		if got := ownAlarm.MatchString(rest); got != want {
			t.Errorf("orderbridge%s: %v, want %v", rest, got, want)
		}
	}
}

func TestRetryTakesTheOldestOfACode(t *testing.T) {
	w := newWorld()
	for k := range 5 {
		r := failedRecord(t)
		r.ID, _ = order.ParseID(fmt.Sprintf("801%012d", k+1))
		r.ErrorAt = now.Add(-time.Duration(k+1) * time.Hour)
		w.table.orders[r.ID.String()] = r
	}
	args := []string{"retry", "--code", "product_not_mapped", "--max", "2", "--by", "ann", "--why", "mapped"}
	if code := w.run(t, append(args, "--dry-run")...); code != exitDone || len(w.table.resolved) != 0 || !strings.Contains(w.out.String(), "would be queued") {
		t.Fatalf("dry run: exit code %d, %v, %s", code, w.table.resolved, w.out.String())
	}
	if code := w.run(t, args...); code != exitDone {
		t.Fatalf("exit code %d, %s", code, w.err.String())
	}
	var ids []string
	for _, d := range w.table.resolved {
		if !d.Retry || d.By != "ann" || d.Why != "mapped" {
			t.Errorf("decision %+v", d)
		}
		ids = append(ids, d.ID.String())
	}
	if got := strings.Join(ids, " "); got != "801000000000004AAA 801000000000005AAA" {
		t.Errorf("retried %q", got)
	}
	if !strings.Contains(w.err.String(), "5 orders, of which the oldest 2 are taken") {
		t.Errorf("it says %q", w.err.String())
	}
	w.in = "ORDER  STATE\n" + orderID + "  failed\n\n" + failedID + " failed\n"
	w.table.resolved = nil
	if code := w.run(t, "retry", "-", "--by", "ann", "--why", "x"); code != exitDone || len(w.table.resolved) != 2 {
		t.Errorf("from a list: exit code %d, %v, %s", code, w.table.resolved, w.err.String())
	}
}

func TestRedriveOfWorkGivesTheHintBack(t *testing.T) {
	w := newWorld()
	w.letters.addTo("http://work-dead", "hint", `{"pk":"order#`+orderID+`"}`)
	if code := w.run(t, "redrive", "--dry-run"); code != exitDone || len(w.letters.sent) != 0 || len(w.letters.shown) != 1 {
		t.Fatalf("dry run: exit code %d, sent %q, shown again %q", code, w.letters.sent, w.letters.shown)
	}
	w.letters.addTo("http://work-dead", "hint", `{"pk":"order#`+orderID+`"}`)
	if code := w.run(t, "redrive", "--queue", "work"); code != exitDone {
		t.Fatalf("exit code %d, %s", code, w.err.String())
	}
	if got := strings.Join(w.letters.sent, ";"); got != `http://work {"pk":"order#`+orderID+`"}` || len(w.letters.deleted) != 1 {
		t.Errorf("sent %s, deleted %q", got, w.letters.deleted)
	}
}

func TestWhatKeepsTheToolFromAWSHasItsOwnCode(t *testing.T) {
	for cause, want := range map[error]string{
		&smithy.GenericAPIError{Code: "AccessDeniedException"}:       "aws_denied",
		&smithy.GenericAPIError{Code: "ExpiredTokenException"}:       "aws_credentials_missing",
		&smithy.GenericAPIError{Code: "UnrecognizedClientException"}: "aws_credentials_missing",
		&smithy.GenericAPIError{Code: "ResourceNotFoundException"}:   "aws_not_found",
		&smithy.GenericAPIError{Code: "ThrottlingException"}:         "store_unavailable",
	} {
		w := newWorld()
		w.table.err = fault.Wrap(fault.StoreUnavailable, cause)
		w.fails(t, exitFailed, want+": ", "show", orderID)
	}
	w := newWorld()
	w.connect = fault.Wrap(fault.AWSCredentials, errors.New("no provider"))
	w.fails(t, exitFailed, "aws_credentials_missing: ", "show", orderID)
}

func TestAnAuditGoesOnUntilItsLastPart(t *testing.T) {
	w := newWorld()
	w.answers["audit"] = `{"differences":[{"class":"doubled","order_id":"801000000000001AAA","whmcs_order_ids":["7","8"],"text":"two"}],"orders":5000,"next":"801000000000001AAA"}`
	if code := w.run(t, "audit", "--since", "24h", "--csv"); code != exitUnfinished {
		t.Errorf("exit code %d, %s", code, w.err.String())
	}
	if got := w.out.String(); got != "order_id,class,whmcs_order_ids,text\n"+strings.Repeat("801000000000001AAA,doubled,7 8,two\n", 2) {
		t.Errorf("printed %q", got)
	}
	want := []string{
		`provision {"audit":{"after":"","since":"2026-11-23T03:00:00Z"}}`, `provision {"audit":{"after":"801000000000001AAA","since":"2026-11-23T03:00:00Z"}}`,
	}
	if !slices.Equal(w.asked, want) {
		t.Errorf("asked %q", w.asked)
	}
}

func TestASignedCalloutIsNotSentInTheClear(t *testing.T) {
	w := newWorld()
	w.env["API_URL"] = "http://orders.example.com"
	w.fails(t, exitUsage, "API_URL must be https", "callout", orderID)
}

func TestAnOrderIsTriedAsLongAsTheEngineSays(t *testing.T) {
	if giveUp != provision.GiveUp {
		t.Errorf("orderctl says %s, the engine gives up after %s", giveUp, provision.GiveUp)
	}
}
