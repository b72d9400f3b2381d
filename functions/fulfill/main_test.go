package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/store"
	"orderbridge/shared/webhook"
)

// backend is DynamoDB and Secrets Manager behind one address, and the log of
// what was asked of them.
type backend struct {
	*httptest.Server
	db *dynamo.DB

	mu    sync.Mutex
	asked []string
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{db: dynamo.New(dynamo.Options{SweepEvery: -1})}
	t.Cleanup(b.db.Close)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if operation == "GetSecretValue" {
			var in struct{ SecretID, VersionStage string }
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			operation += " " + in.SecretID + " " + in.VersionStage
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			io.WriteString(w, `{"SecretString":"`+testSecret+`","CreatedDate":1700000000}`)
		} else {
			r.Body = io.NopCloser(bytes.NewReader(body))
			b.db.ServeHTTP(w, r)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked = append(b.asked, operation)
	}))
	t.Cleanup(b.Close)
	client := dynamodb.New(dynamodb.Options{BaseEndpoint: aws.String(b.URL), Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	if _, err := client.CreateTable(t.Context(), store.CreateTableInput("Orders")); err != nil {
		t.Fatal(err)
	}
	return b
}

// take returns what was asked since the last time.
func (b *backend) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.asked = nil }()
	return b.asked
}

func (b *backend) environment(name string) string {
	return map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": b.URL,
		"TABLE_NAME": "Orders", "WEBHOOK_SECRET_ID": "the-webhook-secret", "WEBHOOK_TIMESTAMP_TOLERANCE": "3600000",
		// Other functions' secrets: this one must not touch them, even when told.
		"WHMCS_SECRET_ID": "the-whmcs-secret", "SALESFORCE_SECRET_ID": "the-salesforce-secret",
	}[name]
}

func (b *backend) handler(t *testing.T) *Handler {
	t.Helper()
	h, err := wire(t.Context(), b.environment, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	h.Now = func() time.Time { return noon }
	return h
}

// As wired for the cloud: one secret, and for a new order one write and
// nothing else. A callout that is refused asks for the secret at most.
func TestWiredItReadsOneSecretAndMakesOneWrite(t *testing.T) {
	b := newBackend(t)
	b.take()
	h := b.handler(t)
	do := bench{Handler: h}.do

	e := callout(goodBody())
	delete(e.Headers, "x-sf-signature")
	if res := do(t, e); res.StatusCode != 401 {
		t.Fatalf("got %d %s", res.StatusCode, res.Body)
	}
	if got := b.take(); len(got) != 0 {
		t.Errorf("without a signature it asked for %v", got)
	}
	if res := do(t, callout(goodBody())); res.StatusCode != 202 {
		t.Fatalf("got %d %s", res.StatusCode, res.Body)
	}
	if got, want := b.take(), []string{"GetSecretValue the-webhook-secret AWSCURRENT", "PutItem"}; !slices.Equal(got, want) {
		t.Errorf("the first callout asked for %v, want %v", got, want)
	}
	if res := do(t, click("801000000000002AAA", 1)); res.StatusCode != 202 {
		t.Fatalf("got %d %s", res.StatusCode, res.Body)
	}
	if got, want := b.take(), []string{"PutItem"}; !slices.Equal(got, want) {
		t.Errorf("the next one asked for %v, want %v", got, want)
	}
	for _, v := range vectors(t) {
		if v.code == "" || v.config.OrgID != "" || len(v.config.Allowlist) > 0 || v.code == "timestamp_out_of_window" {
			continue
		}
		if res := do(t, v.event); res.StatusCode < 400 {
			t.Errorf("%s: got %d", v.name, res.StatusCode)
		}
		for _, op := range b.take() {
			if !strings.HasPrefix(op, "GetSecretValue the-webhook-secret ") {
				t.Errorf("%s: a refused callout asked for %s", v.name, op)
			}
		}
	}
}

func TestWireNamesWhatIsMissing(t *testing.T) {
	b := newBackend(t)
	for _, name := range []string{"TABLE_NAME", "WEBHOOK_SECRET_ID", "AWS_REGION", "AWS_ACCESS_KEY_ID"} {
		h, err := wire(t.Context(), func(n string) string {
			if n == name {
				return ""
			}
			return b.environment(n)
		}, io.Discard)
		if h != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// The function does not start with a wrong value: one line that names it, exit 1.
func TestStartFailureIsOneLine(t *testing.T) {
	if os.Getenv("BE_FULFILL") == "1" {
		main()
		t.Fatal("main returned") // it exits, or serves for ever
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestStartFailureIsOneLine$")
	cmd.Env = []string{"BE_FULFILL=1", "TABLE_NAME=Orders", "WEBHOOK_SECRET_ID=s", "AWS_REGION=us-east-1", "WEBHOOK_TIMESTAMP_TOLERANCE=soon"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want exit status 1", err)
	}
	if s := stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "WEBHOOK_TIMESTAMP_TOLERANCE") {
		t.Errorf("wrote %q, want one line that names the variable", s)
	}
}

// The SDK repeats a write whose answer was lost. That is not a replay.
func TestTheSDKsOwnRetryIsNoReplay(t *testing.T) {
	b := newBackend(t)
	do := bench{Handler: b.handler(t)}.do
	b.db.Switches().LoseReply(dynamo.Fault{Op: "PutItem", Times: 1})
	if res := do(t, callout(goodBody())); res.StatusCode != 202 {
		t.Errorf("a new order: got %d %s", res.StatusCode, res.Body)
	}
	if got := b.take(); len(got) < 3 {
		t.Fatalf("asked for %v: nothing was repeated", got)
	}
	b.db.Switches().LoseReply(dynamo.Fault{Op: "UpdateItem", Times: 1})
	if res := do(t, click(testOrder, 1)); res.StatusCode != 202 {
		t.Errorf("a known order: got %d %s", res.StatusCode, res.Body)
	}
	// The very same callout of another invocation is one.
	if res := do(t, callout(goodBody())); res.StatusCode != 401 {
		t.Errorf("a replay: got %d %s", res.StatusCode, res.Body)
	}
}

func TestAThrottledTableIs503AndLeavesNothing(t *testing.T) {
	b := newBackend(t)
	h := b.handler(t)
	do := bench{Handler: h}.do
	b.db.Switches().Throttle(dynamo.Fault{Op: "*", Times: 1000})
	res := do(t, callout(goodBody()))
	wantProblem(t, res, 503, "try_again")
	if res.Headers["Retry-After"] == "" {
		t.Error("no Retry-After")
	}
	b.db.Switches().Reset()
	if _, ok, err := h.Claims.Get(t.Context(), orderID(t)); ok || err != nil {
		t.Errorf("the order is there: %v", err)
	}
	if res := do(t, callout(goodBody())); res.StatusCode != 202 {
		t.Errorf("the same callout afterwards: got %d %s", res.StatusCode, res.Body)
	}
}

// Nonces are in the table, not in a process: a replay that meets another
// process, or one that was restarted, is seen as well.
func TestAReplayMeetsAnotherProcess(t *testing.T) {
	b := newBackend(t)
	if res := (bench{Handler: b.handler(t)}).do(t, callout(goodBody())); res.StatusCode != 202 {
		t.Fatalf("got %d %s", res.StatusCode, res.Body)
	}
	wantProblem(t, (bench{Handler: b.handler(t)}).do(t, callout(goodBody())), 401, "nonce_replayed")
}

func TestCurrentAndPreviousSecretAreTriedForEachCallout(t *testing.T) {
	for _, key := range []string{testSecret, testPrevious} {
		e := callout(goodBody())
		e.Headers["x-sf-signature"] = webhook.Sign([]byte(key), []byte(e.Body))
		if res := newBench(t, &book{}, bothKeys, webhook.Config{}).do(t, e); res.StatusCode != 202 {
			t.Errorf("got %d %s", res.StatusCode, res.Body)
		}
		retired := keys{all: [][]byte{[]byte("the-secret-that-came-after-both-of-them")}}
		wantProblem(t, newBench(t, &book{}, retired, webhook.Config{}).do(t, e), 401, "signature_invalid")
	}
}
