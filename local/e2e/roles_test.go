package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"orderbridge/local/dynamodb"
)

// itemCall is one call of a function on an item of the table.
type itemCall struct{ function, action, key string }

// itemCalls notes the calls on items in front of a DynamoDB.
type itemCalls struct {
	next http.Handler
	mu   sync.Mutex
	seen map[itemCall]bool
}

func (c *itemCalls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ Key, Item map[string]map[string]any }
	function := regexp.MustCompile(`app/orderbridge-(\w+)`).FindStringSubmatch(r.UserAgent())
	if json.Unmarshal(body, &in) == nil && function != nil {
		for _, item := range []map[string]map[string]any{in.Key, in.Item} {
			if key, ok := item["pk"]["S"].(string); ok {
				c.mu.Lock()
				c.seen[itemCall{function[1], action(r, ""), key}] = true
				c.mu.Unlock()
			}
		}
	}
	c.next.ServeHTTP(w, r)
}

// leadingKeys are, by action, the keys that a role of the template allows.
func leadingKeys(t *testing.T, template, role string) map[string][]string {
	t.Helper()
	_, text, found := strings.Cut(template, "\n  "+role+":\n")
	if !found {
		t.Fatalf("the template has no %s", role)
	}
	text, _, _ = strings.Cut(text, "\n\n")
	all := map[string][]string{}
	for statement := range strings.SplitSeq(text, "- Effect: Allow") {
		actions := regexp.MustCompile(`Action: \[?([^\]\n]+)`).FindStringSubmatch(statement)
		keys := regexp.MustCompile(`dynamodb:LeadingKeys: \[([^\]]+)\]`).FindStringSubmatch(statement)
		if actions == nil || keys == nil {
			continue
		}
		for a := range strings.SplitSeq(actions[1], ", ") {
			for k := range strings.SplitSeq(keys[1], ", ") {
				all[a] = append(all[a], strings.Trim(k, `"`))
			}
		}
	}
	return all
}

// What each function does to items, in the life of an order that fails, is
// corrected and is provisioned, its role allows. (No emulator enforces
// dynamodb:LeadingKeys.)
func TestEachFunctionStaysWithTheItemsOfItsRole(t *testing.T) {
	t.Parallel()
	db := dynamodb.New(dynamodb.Options{})
	t.Cleanup(db.Close)
	calls := &itemCalls{next: db, seen: map[itemCall]bool{}}
	srv := httptest.NewServer(calls)
	t.Cleanup(srv.Close)
	env := map[string]string{"DYNAMODB_ENDPOINT": srv.URL, "FULFILL_WAIT": "5"}
	for k, v := range quick {
		env[k] = v
	}
	s := start(t, env)
	const id = "801000000000061AAA"
	s.seed(id, nil)
	if out, code := s.orderctl("callout", id); code != 0 {
		t.Fatal(out)
	}
	s.shows(id, "Failed")
	s.seed(id, "9")
	if out, code := s.orderctl("callout", id, "--wait", "1m"); code != 0 {
		t.Fatalf("exit code %d %s", code, out)
	}
	s.shows(id, "Provisioned")
	var token struct{ Token string }
	s.JSON("GET", s.API+"/_local/token?scope=orders.read.any", nil, &token)
	if status, _, body := s.Do("GET", s.API+"/orders/"+id, nil, "Authorization", "Bearer "+token.Token); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	text, err := os.ReadFile(built.Template)
	if err != nil {
		t.Fatal(err)
	}
	calls.mu.Lock()
	defer calls.mu.Unlock()
	roles := map[string]string{"fulfill": "FulfillRole", "provision": "ProvisionRole", "statuspush": "StatusPushRole", "status": "StatusRole"}
	met := map[string]bool{}
	for call := range calls.seen {
		met[call.function] = true
		allowed := leadingKeys(t, string(text), roles[call.function])[call.action]
		if !slices.ContainsFunc(allowed, func(pattern string) bool { ok, err := path.Match(pattern, call.key); return ok && err == nil }) {
			t.Errorf("%s calls %s on %s, its role allows %v", call.function, call.action, call.key, allowed)
		}
	}
	for function := range roles {
		if !met[function] {
			t.Errorf("no call of %s was seen", function)
		}
	}
}
