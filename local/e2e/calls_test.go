package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var updateCalls = flag.Bool("update-calls", false, "write the calls of each verb into docs/operations.md")

// calls are the calls of AWS that each verb of orderctl made while the scripts
// ran, as IAM names them.
type calls struct {
	mu     sync.Mutex
	byVerb map[string]map[string]bool
	began  int // scripts
}

// record passes requests on to an endpoint, and notes them.
func (c *calls) record(endpoint string) *httptest.Server {
	target, err := url.Parse(endpoint)
	if err != nil {
		panic(err) // it is printed by the system itself
	}
	c.mu.Lock()
	c.began++
	c.mu.Unlock()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// A client that went away, or a system that a script killed, is no news here.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if verb := regexp.MustCompile(`app/orderctl-([a-z-]+)`).FindStringSubmatch(r.UserAgent()); verb != nil {
			c.note(verb[1], action(r, string(body)))
		}
		proxy.ServeHTTP(w, r)
	}))
}

func (c *calls) note(verb, action string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byVerb == nil {
		c.byVerb = map[string]map[string]bool{}
	}
	if c.byVerb[verb] == nil {
		c.byVerb[verb] = map[string]bool{}
	}
	c.byVerb[verb][action] = true
}

// action is the IAM action of a request (Service Authorization Reference): a
// batch call of SQS is allowed by the action of the single one.
func action(r *http.Request, body string) string {
	services := map[string]string{"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch form, err := url.ParseQuery(body); {
	case services[service] != "":
		return services[service] + ":" + strings.TrimSuffix(operation, "Batch")
	case strings.HasSuffix(r.URL.Path, "/invocations"):
		return "lambda:InvokeFunction"
	case strings.HasPrefix(r.URL.Path, "/service/GraniteServiceVersion20100801/operation/"): // CloudWatch, over Smithy's RPC
		return "cloudwatch:" + path.Base(r.URL.Path)
	case err == nil && form.Has("Action"):
		return "cloudformation:" + form.Get("Action")
	}
	return r.Method + " " + r.URL.Path
}

// granted are the actions of a managed policy of the template.
func granted(t *testing.T, template, policy string) map[string]bool {
	t.Helper()
	_, text, found := strings.Cut(template, "\n  "+policy+":\n")
	if !found {
		t.Fatalf("the template has no %s", policy)
	}
	if next := regexp.MustCompile(`\n  [A-Z#]`).FindStringIndex(text); next != nil {
		text = text[:next[0]]
	}
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +Action: \[?([^\]\n]+)`).FindAllStringSubmatch(text, -1) {
		for a := range strings.SplitSeq(m[1], ", ") {
			all[a] = true
		}
	}
	return all
}

// judge compares the calls with the policies for people, and with the table of
// docs/operations.md.
func (c *calls) judge(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	template, err := os.ReadFile(built.Template)
	if err != nil {
		t.Fatal(err)
	}
	reader, operator := granted(t, string(template), "ReaderPolicy"), granted(t, string(template), "OperatorPolicy")
	var rows strings.Builder
	used := map[string]bool{}
	for _, verb := range slices.Sorted(maps.Keys(c.byVerb)) {
		need := "`ReaderPolicy`"
		var more []string
		for _, a := range slices.Sorted(maps.Keys(c.byVerb[verb])) {
			used[a] = true
			switch {
			case reader[a]:
			case operator[a]:
				need = "`ReaderPolicy`, `OperatorPolicy`"
			case strings.HasPrefix(a, "secretsmanager:"):
				more = append(more, "`"+a+"` on the signing secret")
			default:
				t.Errorf("orderctl %s calls %s, which no policy allows", verb, a)
			}
		}
		need = strings.Join(append([]string{need}, more...), ", ")
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", verb, need, strings.Join(slices.Sorted(maps.Keys(c.byVerb[verb])), ", "))
	}
	if scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar")); err != nil || c.began < len(scripts) {
		return // some scripts alone say nothing of all calls
	}
	for _, policy := range []map[string]bool{reader, operator} {
		for a := range policy {
			if !used[a] {
				t.Errorf("a policy allows %s, which no verb calls", a)
			}
		}
	}
	compareCalls(t, rows.String())
}

const operations = "../../docs/operations.md"

func compareCalls(t *testing.T, rows string) {
	t.Helper()
	page, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- calls of orderctl -->\n", "<!-- end of calls -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("docs/operations.md has no table of calls")
	}
	want := before + begin + "| verb | needs | calls |\n|---|---|---|\n" + rows + end + after
	if *updateCalls {
		if err := os.WriteFile(operations, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("docs/operations.md has not the calls that were seen (go test ./local/e2e -run Scripts -update-calls writes them):\n%s", rows)
	}
}
