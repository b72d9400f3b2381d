package fault_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"orderbridge/shared/fault"
)

// Salesforce's error message field holds 255 UTF-16 units; an advice leaves a
// quarter of them to the words of another system.
const (
	messageUnits = 255
	adviceUnits  = 190
)

// occurs lists the recovery points at which shared/provision can end an order
// with a code to review (the table in its doc.go).
var occurs = map[fault.Code][]string{
	fault.AddOutcomeUnknown:    {"adding"},
	fault.AcceptOutcomeUnknown: {"added", "accepting"}, // added: 72 hours are over
	fault.WHMCSOrderMismatch:   {"adding", "added", "accepting", "accepted"},
	fault.WHMCSOrderCancelled:  {"adding", "added", "accepting", "accepted"},
	fault.WHMCSOrderAmbiguous:  {"adding", "accepted"},
	fault.MarkerNotKept:        {"added", "accepted"},
	fault.WHMCSIDForeign:       {"adding"},
	fault.NotVerified:          {"accepted"},
	fault.ModuleFailed:         {"accepting", "accepted"},
	fault.StoppedInWHMCS:       {"adding", "added", "accepting", "accepted"}, // by a person
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// TestEveryCodeKeepsTheRulesOfTheTable walks all codes.
func TestEveryCodeKeepsTheRulesOfTheTable(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	sentence := regexp.MustCompile(`^[A-Z][^.!?]*(\.[^ ][^.!?]*)*\.$`) // one; a stop inside it is followed by no blank
	commands := regexp.MustCompile("orderctl|`|--|\\{|}|[aA]dopt|[rR]esolve")
	for _, code := range fault.Codes() {
		t.Run(string(code), func(t *testing.T) {
			i := code.Info()
			if !snake.MatchString(string(code)) {
				t.Error("the code is not snake_case")
			}
			if i.Title == "" || strings.HasSuffix(i.Title, ".") || units(i.Title) > 40 {
				t.Errorf("title %q", i.Title)
			}
			if i.Status < 400 || i.Status > 599 {
				t.Errorf("status %d", i.Status)
			}
			if i.Kind < fault.Rejected || i.Kind > fault.Config || i.Group < fault.GroupRequest || i.Group > fault.GroupWork {
				t.Errorf("kind %d, group %d", i.Kind, i.Group)
			}

			if !sentence.MatchString(i.Seen) {
				t.Errorf("what was seen is not one sentence: %q", i.Seen)
			}
			if i.Do == "" && i.Group != fault.GroupRequest || i.Do != "" && !strings.HasSuffix(i.Do, ".") {
				t.Errorf("what to do: %q", i.Do)
			}
			if n := units(i.Advice); n > adviceUnits || !strings.HasPrefix(i.Advice, i.Seen) || !strings.HasSuffix(i.Advice, i.Do) {
				t.Errorf("advice of %d units: %q", n, i.Advice)
			}
			if commands.MatchString(i.Advice) {
				t.Errorf("the advice names what a Salesforce operator does not have: %q", i.Advice)
			}
			if i.Kind == fault.Config && i.Group != fault.GroupRequest && !strings.Contains(i.Do, "sk the on-call engineer") {
				t.Errorf("the installation is the on-call engineer's, the advice says %q", i.Do)
			}

			said := fault.TextOf(&fault.Error{Code: code, Vendor: "No.", Err: errors.New("cause")})
			with := func(words string) string { return strings.TrimSpace(i.Seen + " " + words + " " + i.Do) }
			if said != with("WHMCS: No.") && said != with("Salesforce: No.") || strings.Contains(said, "Salesforce: ") != strings.HasPrefix(string(code), "salesforce_") {
				t.Errorf("with the vendor's words: %q", said)
			}
			if units(said) > messageUnits {
				t.Errorf("no room for the vendor's words: %q", said)
			}

			checkGuides(t, code, i)
		})
	}
}

// A text sends a person to a field only where the Salesforce package lets that
// person edit it: who clicks, or else an administrator.
func TestATextNamesNoFieldThatItsReaderCannotEdit(t *testing.T) {
	editable := map[string]bool{}
	for _, set := range []string{"orderbridge/permissionsets/OrderBridge_Operator", "orderbridge-mapping/permissionsets/OrderBridge_Mapping_Editor"} {
		xml, err := os.ReadFile("../../sfdx/" + set + ".permissionset-meta.xml")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`<editable>true</editable>\s*<field>\w+\.(\w+)</field>`).FindAllStringSubmatch(string(xml), -1) {
			editable[m[1]] = true
		}
	}
	n := 0
	for _, code := range fault.Codes() {
		i := code.Info()
		for _, field := range regexp.MustCompile(`\w+__c`).FindAllString(i.Advice, -1) {
			n++
			if !editable[field] && !strings.Contains(i.Do, "administrator") {
				t.Errorf("%s sends who clicked to %s: %q", code, field, i.Advice)
			}
		}
	}
	if n < 4 {
		t.Errorf("found %d fields: the search is broken", n)
	}
}

// A WHMCS order that differs may be another order's, adopted by a wrong number: no
// text has it corrected or cancelled before that is looked at.
func TestAnOrderThatDiffersMayBeAnothers(t *testing.T) {
	i := fault.WHMCSOrderMismatch.Info()
	if !strings.Contains(i.Do, "another order's") || strings.Contains(i.Do, "cancel") {
		t.Errorf("the operator reads %q", i.Do)
	}
	for _, g := range i.OnCall {
		if slices.Contains(g.At, "added") && !strings.Contains(g.Steps[0], "--undo-adopt") {
			t.Errorf("the first step at %q is %q", g.At, g.Steps[0])
		}
	}
}

func checkGuides(t *testing.T, code fault.Code, i fault.Info) {
	placeholder := regexp.MustCompile(`\{[^}]*\}?`)
	var at []string
	for _, g := range i.OnCall {
		at = append(at, g.At...)
		if len(g.Steps) == 0 {
			t.Error("a guide without steps")
		}
		for _, text := range append([]string{g.Seen}, g.Steps...) {
			for _, name := range placeholder.FindAllString(text, -1) {
				if !slices.Contains([]string{"{id}", "{marker}", "{order}", "{client}", "{since}"}, name) {
					t.Errorf("unknown placeholder %s in %q", name, text)
				}
				if i.Group == fault.GroupSide {
					t.Errorf("a side is down for every order, not for one: %q", text)
				}
			}
			if strings.Count(text, "`")%2 != 0 {
				t.Errorf("an open code span: %q", text)
			}
		}
		for _, point := range g.At {
			if got := code.OnCall(point); !slices.Equal(got.Steps, g.Steps) || got.Seen == "" {
				t.Errorf("the guide for %s is %+v", point, got)
			}
		}
	}
	slices.Sort(at)
	if len(slices.Compact(slices.Clone(at))) != len(at) {
		t.Errorf("two guides for one recovery point: %v", at)
	}
	if (occurs[code] != nil) != i.Review {
		t.Errorf("review is %t, it occurs at %v", i.Review, occurs[code])
	}
	if i.Review {
		if !slices.Equal(at, slices.Sorted(slices.Values(occurs[code]))) {
			t.Errorf("guides for %v, it occurs at %v", at, occurs[code])
		}
		if i.Group != fault.GroupOrder {
			t.Error("a code to review is not one of an order")
		}
	}
}

// TestEveryCodeIsListedOnce reads the constants: each has a row in the table,
// and no two have one name.
func TestEveryCodeIsListedOnce(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var named []fault.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			lit, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not a literal", spec.Names[0].Name)
			}
			code, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			named = append(named, fault.Code(code))
		}
		return true
	})
	slices.Sort(named)
	if all := fault.Codes(); !slices.Equal(named, all) {
		t.Errorf("constants and table differ:\n%v\n%v", named, all)
	}
}

func TestAnUnlistedCodeIsAnInternalError(t *testing.T) {
	if c := fault.Code("no_such_code"); c.Listed() || c.Info().Status != 500 || c.Kind() != fault.Unknown || len(c.OnCall("none").Steps) != 1 {
		t.Errorf("%+v", c.Info())
	}
	if !fault.Stopped.Listed() {
		t.Error("stopped is not listed")
	}
}

func TestAGuideWithoutPointsServesThoseThatNoOtherLists(t *testing.T) {
	none, added := fault.Stopped.OnCall("none"), fault.Stopped.OnCall("added")
	if len(none.Steps) == 0 || !slices.Equal(none.Steps, added.Steps) || none.Seen != fault.Stopped.Info().Seen || added.Seen != none.Seen {
		t.Errorf("none %+v, added %+v", none, added)
	}
	if adding, added := fault.StoppedInWHMCS.OnCall("adding"), fault.StoppedInWHMCS.OnCall("added"); slices.Equal(adding.Steps, added.Steps) {
		t.Errorf("adding %+v, added %+v", adding, added)
	}
	if g := fault.NotVerified.OnCall("none"); len(g.Steps) != 0 || g.Seen == "" {
		t.Errorf("a point at which the code cannot occur: %+v", g)
	}
}

func TestTextOf(t *testing.T) {
	cause := errors.New("dial 203.0.113.7: refused")
	table := fault.WHMCSUnavailable.Info().Advice
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"the table's advice":                   {fault.New(fault.WHMCSUnavailable, ""), table},
		"an advice of its own":                 {fault.New(fault.WHMCSUnavailable, "Do this."), "Do this."},
		"the vendor's words before what to do": {&fault.Error{Code: fault.WHMCSUnavailable, Vendor: "HTTP 502"}, "WHMCS does not answer. WHMCS: HTTP 502. Wait: the bridge tries again."},
		"what was seen in this case":           {&fault.Error{Code: fault.WHMCSUnavailable, Seen: "A page came.", Vendor: "HTTP 403!"}, "A page came. WHMCS: HTTP 403! Wait: the bridge tries again."},
		"both":                                 {&fault.Error{Code: fault.SalesforceLimit, Seen: "This.", Advice: "Do this.", Vendor: "No."}, "This. Salesforce: No. Do this."},
		"an advice that says what was seen":    {&fault.Error{Code: fault.SalesforceLimit, Advice: "Do this.", Vendor: "No."}, "Salesforce: No. Do this."},
		"a cause is never shown":               {fault.Wrap(fault.WHMCSUnavailable, cause), table},
		"an outcome shows what it holds":       {&fault.Refused{Err: fault.New(fault.ModuleFailed, "Do this.")}, "Do this."},
		"an error without a code is internal":  {cause, fault.Internal.Info().Advice},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fault.TextOf(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestErrorIsForLogs(t *testing.T) {
	cause := errors.New("cause")
	err := error(&fault.Error{Code: fault.ModuleFailed, Advice: "advice", Vendor: "vendor", Err: cause})
	if err.Error() != "module_failed: vendor: advice: cause" {
		t.Error(err)
	}
	for name, wrapped := range map[string]error{
		"not sent": &fault.NotSent{Err: err}, "refused": &fault.Refused{Err: err}, "outcome unknown": &fault.Unsure{Err: err},
	} {
		if !errors.Is(wrapped, cause) || !errors.Is(wrapped, fault.New(fault.ModuleFailed, "")) || errors.Is(wrapped, fault.New(fault.Stopped, "")) ||
			!strings.HasPrefix(wrapped.Error(), name+": ") || fault.CodeOf(wrapped) != fault.ModuleFailed || fault.KindOf(wrapped) != fault.Permanent {
			t.Errorf("%s: %v", name, wrapped)
		}
	}
	if fault.CodeOf(nil) != "" || fault.CodeOf(cause) != fault.Internal || fault.KindOf(cause) != fault.Unknown {
		t.Error("an error without a code is not understood")
	}
}
