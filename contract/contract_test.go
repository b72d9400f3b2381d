package contract_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"orderbridge/contract"
	"orderbridge/shared/fault"
)

const fulfill, status, ping = "/orders/{sfOrderId}/fulfill", "/orders/{sfOrderId}", "/ping"

func load(t *testing.T) *contract.Doc {
	t.Helper()
	d, err := contract.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCheck(t *testing.T) {
	d := load(t)
	accepted := map[string]string{"content-type": "application/json", "location": "/orders/801000000000001AAA", "retry-after": "5"}
	problem := map[string]string{"Content-Type": "application/problem+json"}
	shown := map[string]string{"Content-Type": "application/json", "ETag": `"abc"`, "Cache-Control": "private, no-cache"}
	without := func(m map[string]string, name string) map[string]string {
		c := map[string]string{}
		for k, v := range m {
			if k != name {
				c[k] = v
			}
		}
		return c
	}
	const activating = `{"success":false,"status":"Activating","sfOrderId":"801000000000001AAA"}`
	const refused = `{"type":"urn:orderbridge:problem:nonce_invalid","title":"t","status":401,"code":"nonce_invalid","detail":"d","requestId":"r"}`
	for _, c := range []struct {
		name, method, path string
		status             int
		headers            map[string]string
		body, complaint    string
	}{
		{"activating", "POST", fulfill, 202, accepted, activating, ""},
		{"a problem", "POST", fulfill, 401, problem, refused, ""},
		{"the gateway's own", "GET", status, 401, map[string]string{"content-type": "application/json"}, `{"message":"Unauthorized"}`, ""},
		{"the gateway's own without a text", "GET", status, 503, map[string]string{"content-type": "application/json; charset=utf-8"}, `{"message":null}`, ""},
		{"not modified", "GET", status, 304, without(shown, "Content-Type"), "", ""},
		{"an order", "GET", status, 200, shown, `{"sfOrderId":"801000000000001AAA","status":"Pending Review","final":false}`, ""},

		{"another route", "GET", "/", 200, nil, "", "has no GET /"},
		{"another method", "PUT", fulfill, 200, nil, "", "has no PUT"},
		{"another status", "POST", fulfill, 201, accepted, activating, "no status 201"},
		{"no Location", "POST", fulfill, 202, without(accepted, "location"), activating, "header Location is missing"},
		{"a short Location", "POST", fulfill, 202, map[string]string{"content-type": "application/json", "location": "/orders/1", "retry-after": "5"}, activating, "header Location is"},
		{"a member too many", "POST", fulfill, 202, accepted, strings.Replace(activating, "{", `{"x":1,`, 1), "a member x too many"},
		{"a member too few", "POST", fulfill, 202, accepted, `{"success":false,"status":"Activating"}`, "has no sfOrderId"},
		{"another value", "POST", fulfill, 202, accepted, strings.Replace(activating, "false", "true", 1), "success is true"},
		{"another type", "POST", fulfill, 202, accepted, strings.Replace(activating, `"801000000000001AAA"`, "801", 1), "is integer"},
		{"a status as a text", "POST", fulfill, 401, problem, strings.Replace(refused, "401", `"401"`, 1), "is string"},
		{"a status that is none", "POST", fulfill, 401, problem, strings.Replace(refused, "401", "200", 1), "at least 400"},
		{"a code of another status", "POST", fulfill, 403, problem, refused, "want one of"},
		{"another content type", "POST", fulfill, 202, map[string]string{"content-type": "text/html", "location": "/orders/801000000000001AAA", "retry-after": "5"}, activating, "no text/html"},
		{"no content type", "POST", fulfill, 401, nil, refused, "read content type"},
		{"two values", "POST", fulfill, 401, problem, refused + refused, "not one JSON value"},
		{"a body where none belongs", "GET", status, 304, without(shown, "Content-Type"), "{}", "no body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := d.Check(c.method, c.path, c.status, c.headers, c.body)
			if (err == nil) != (c.complaint == "") || err != nil && !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("got %v, want %q", err, c.complaint)
			}
		})
	}
}

// Each code that a function can answer is in the description, under the route
// that answers it, and no other is.
func TestTheContractListsEveryCode(t *testing.T) {
	d := load(t)
	of := map[string][]fault.Code{
		fulfill: {
			fault.SourceNotAllowed, fault.BodyTooLarge, fault.BodyMalformed, fault.SignatureMissing, fault.SignatureInvalid,
			fault.TimestampInvalid, fault.TimestampOutOfWindow, fault.NonceInvalid, fault.ContentTypeUnsupported, fault.HeadersNotSigned,
			fault.OrgNotAllowed, fault.OrderIDInvalid, fault.OrderIDMismatch, fault.IdempotencyKeyMissing, fault.NonceReplayed,
			fault.TooManyRequests, fault.SecretUnavailable, fault.TryAgain, fault.Internal,
		},
		status: {fault.CallerUnknown, fault.OrderIDInvalid, fault.TryAgain, fault.Internal},
		ping: {
			fault.SourceNotAllowed, fault.BodyTooLarge, fault.BodyMalformed, fault.SignatureMissing, fault.SignatureInvalid,
			fault.TimestampInvalid, fault.TimestampOutOfWindow, fault.NonceInvalid, fault.ContentTypeUnsupported, fault.HeadersNotSigned,
			fault.SecretUnavailable,
		},
	}
	for path, method := range map[string]string{fulfill: "POST", status: "GET", ping: "POST"} {
		listed := d.Codes(method, path)
		for _, c := range of[path] {
			if !listed[string(c)] {
				t.Errorf("%s %s does not list %s", method, path, c)
			}
			problem := `{"type":"urn:orderbridge:problem:` + string(c) + `","title":"t","status":400,"code":"` + string(c) + `","detail":"d","requestId":"r"}`
			if err := d.Check(method, path, c.Info().Status, map[string]string{"Content-Type": "application/problem+json"}, problem); err != nil {
				t.Errorf("%s %s does not list %s under %d: %v", method, path, c, c.Info().Status, err)
			}
			delete(listed, string(c))
		}
		for c := range listed {
			t.Errorf("%s %s lists %s, which it never answers", method, path, c)
		}
	}
}

// Each member of a callout's body that shared/webhook reads is described, those
// that must be there are required, and no other member is described.
func TestTheContractListsEveryMemberOfACallout(t *testing.T) {
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas struct {
				Callout struct {
					Required   []string
					Properties map[string]struct {
						Type        any
						Description string
					}
				} `yaml:"Callout"`
			}
		}
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	described := doc.Components.Schemas.Callout
	read, required := membersRead(t)
	if got := slices.Sorted(maps.Keys(described.Properties)); !slices.Equal(got, read) {
		t.Errorf("the contract describes %q, shared/webhook reads %q", got, read)
	}
	if got := slices.Sorted(slices.Values(described.Required)); !slices.Equal(got, required) {
		t.Errorf("the contract requires %q, shared/webhook %q", got, required)
	}
	for name, p := range described.Properties {
		// A member that may be absent may be null, which is the same.
		want := "string"
		if !slices.Contains(required, name) {
			want = "[string null]"
		}
		if fmt.Sprint(p.Type) != want || p.Description == "" {
			t.Errorf("%s is a %v described as %q; shared/webhook takes %s", name, p.Type, p.Description, want)
		}
	}
}

// membersRead returns the members that shared/webhook reads of a body, and those
// that it requires, from the list of members in parseBody; both sorted.
func membersRead(t *testing.T) (read, required []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../shared/webhook/body.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) string {
		lit, ok := e.(*ast.BasicLit)
		if !ok {
			return ""
		}
		s, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		name, must := "", false
		for _, e := range lit.Elts {
			pair, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := pair.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "name":
				name = text(pair.Value)
			case key.Name == "required":
				must = true
			}
		}
		if name != "" {
			read = append(read, name)
		}
		if name != "" && must {
			required = append(required, name)
		}
		return true
	})
	slices.Sort(read)
	slices.Sort(required)
	if len(read) < 3 || len(required) < 3 {
		t.Fatalf("found %q and %q in parseBody: the search is broken", read, required)
	}
	return read, required
}
