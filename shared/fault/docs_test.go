package fault_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

var update = flag.Bool("update", false, "write the tables of the docs that are made from the table of codes")

// TestTheDocsSayWhatTheTableSays compares each block of the docs that is made
// from the table of codes with what the table says now. The block NAME stands
// between <!-- codes: NAME --> and <!-- end of codes -->.
func TestTheDocsSayWhatTheTableSays(t *testing.T) {
	for path, blocks := range map[string]map[string]string{
		"../../docs/runbook.md": {
			"plain":   plainFailures(),
			"review":  reviewSections(),
			"side":    onCallTable(fault.GroupSide),
			"request": onCallTable(fault.GroupRequest),
			"work":    onCallTable(fault.GroupWork),
		},
		"../../docs/exactly-once.md": {"review": reviewTable()},
	} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := string(page)
		for name, body := range blocks {
			if left := placeholder.FindString(body); left != "" {
				t.Errorf("block %s has %s, which only orderctl show can fill", name, left)
			}
			before, rest, ok := strings.Cut(want, "<!-- codes: "+name+" -->\n")
			_, after, ended := strings.Cut(rest, "<!-- end of codes -->")
			if !ok || !ended {
				t.Fatalf("%s has no block %s", path, name)
			}
			want = before + "<!-- codes: " + name + " -->\n" + body + "<!-- end of codes -->" + after
		}
		if n := strings.Count(want, "<!-- codes: "); n != len(blocks) {
			t.Errorf("%s has %d blocks, %d are made", path, n, len(blocks))
		}
		switch {
		case want == string(page):
		case *update:
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s differs from the table of codes; write it with: go test ./shared/fault -update", path)
		}
	}
}

// placeholder is a part of a guide that orderctl show fills for one order.
var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// generic fills the placeholders of a guide with words for any order.
var generic = strings.NewReplacer(". WHMCS order {order}", ". The WHMCS order", "WHMCS order {order}", "the WHMCS order",
	"Order {order}", "The WHMCS order", "order {order}", "the order", "--adopt {order}", "--adopt N",
	"{id}", "ID", "{marker}", "sfOrderId=ID", "{client}", "the client", "{since}", "the time that `show` gives")

// say is generic with a capital at the start of the sentence.
func say(text string) string {
	text = generic.Replace(text)
	return strings.ToUpper(text[:1]) + text[1:]
}

// each calls f for every code of the group, in alphabetical order.
func each(group fault.Group, review bool, f func(fault.Code, fault.Info)) {
	for _, code := range fault.Codes() {
		if i := code.Info(); i.Group == group && i.Review == review {
			f(code, i)
		}
	}
}

// oneLine joins the steps of a guide for the cell of a table.
func oneLine(steps []string) string {
	var cell []string
	for _, line := range strings.Split(strings.Join(steps, "\n"), "\n") {
		if !strings.HasSuffix(line, ".") {
			line += "."
		}
		cell = append(cell, line)
	}
	return strings.ReplaceAll(say(strings.Join(cell, " ")), "|", `\|`)
}

func plainFailures() string {
	var b strings.Builder
	b.WriteString("| code | Salesforce shows | on-call | alarm |\n|---|---|---|---|\n")
	each(fault.GroupOrder, false, func(code fault.Code, i fault.Info) {
		steps := "nothing"
		if guide := code.OnCall("").Steps; len(guide) > 0 {
			steps = oneLine(guide)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", code, i.Advice, steps, alarmsOf(code))
	})
	return b.String()
}

func onCallTable(group fault.Group) string {
	var b strings.Builder
	b.WriteString("| code | seen | on-call | alarm |\n|---|---|---|---|\n")
	each(group, false, func(code fault.Code, i fault.Info) {
		steps := i.Do
		if guide := code.OnCall("").Steps; len(guide) > 0 {
			steps = oneLine(guide)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", code, i.Seen, steps, alarmsOf(code))
	})
	return b.String()
}

func reviewSections() string {
	var b strings.Builder
	each(fault.GroupOrder, true, func(code fault.Code, i fault.Info) {
		fmt.Fprintf(&b, "\n### %s\n\nSalesforce shows: %s\n", code, i.Advice)
		for _, guide := range i.OnCall {
			fmt.Fprintf(&b, "\nAt `%s`: %s\n\n", strings.Join(guide.At, "`, `"), say(guide.Seen))
			for n, step := range guide.Steps {
				fmt.Fprintf(&b, "%d. %s\n", n+1, strings.ReplaceAll(say(step), "\n", "<br>\n   "))
			}
		}
	})
	return b.String() + "\n"
}

func reviewTable() string {
	var b strings.Builder
	b.WriteString("| code (review: something may exist) | at | what is known | what Salesforce shows |\n|---|---|---|---|\n")
	each(fault.GroupOrder, true, func(code fault.Code, i fault.Info) {
		for _, guide := range i.OnCall {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", code, strings.Join(guide.At, "`, `"), say(guide.Seen), i.Advice)
		}
	})
	return b.String()
}
