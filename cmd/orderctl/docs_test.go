package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
)

var update = flag.Bool("update", false, "write docs/orderctl.md again")

const reference = "../../docs/orderctl.md"

// docs/orderctl.md is made from the commands.
// The folder need not be there, as one of a fresh machine is not.
func TestManWritesAPageOfEachCommandIntoANewFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share", "man1")
	w := newWorld()
	if code := w.run(t, "man", dir); code != exitDone {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	for _, cmd := range (&app{}).commands() {
		if page, err := os.ReadFile(filepath.Join(dir, "orderctl-"+cmd.Name()+".1")); err != nil || !strings.Contains(string(page), "exit code: ") {
			t.Errorf("%s: %v, %d bytes", cmd.Name(), err, len(page))
		}
	}
}

func TestTheReferenceIsThatOfTheTool(t *testing.T) {
	want := referencePage()
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/orderctl.md is not that of the tool: go test ./cmd/orderctl -run Reference -update")
	}
}

func referencePage() string {
	root := (&app{}).root()
	var b strings.Builder
	fmt.Fprintf(&b, `# orderctl

The operator's command line. This page is made from the tool (go test ./cmd/orderctl -run Reference -update); [runbook.md](runbook.md) says when to use what. make install puts it into the folder of Go's binaries, with man pages by orderctl man and completion by orderctl completion.

%s

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed: understood, and did not succeed; one line with a stable code |
| 2 | not understood |
| 3 | not finished: the order is still open, or status says that a person is needed |

Before each write one line on the standard error says account, region, stack and table. Where AWS is not on this machine, a person is asked; a script says --yes. --dry-run changes nothing.

## Variables

The environment wins over the outputs of --stack, unless its STACK_NAME is another stack, which is refused.

| variable | what it names | output or parameter of the stack |
|---|---|---|
`, strings.ReplaceAll(strings.ReplaceAll(strings.Replace(root.Long, "orderctl finds", "It finds", 1), "\n\n", " "), "\n", " "))
	for _, v := range variables() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", v.name, v.what, v.output)
	}
	fmt.Fprintf(&b, "\n## Flags of every command\n\n%s", flagTable(root.PersistentFlags()))
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", g.Title)
		for _, c := range root.Commands() {
			if c.GroupID != g.ID || c.Name() == "help" || c.Name() == "completion" {
				continue
			}
			long, _, _ := strings.Cut(c.Long, "\nexit code: ")
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n```\n%s\n```\n", c.Name(), strings.TrimSpace(long), c.Annotations[usageLine])
			if c.LocalFlags().HasAvailableFlags() {
				fmt.Fprintf(&b, "\n%s", flagTable(c.LocalFlags()))
			}
			fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.ReplaceAll(c.Example, "  orderctl ", "orderctl "))
		}
	}
	return b.String()
}

func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("| flag | meaning |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		name, text := pflag.UnquoteUsage(f)
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		if f.NoOptDefVal != "" && name != "" {
			name = "[" + name + "]"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(short+"--"+f.Name+" "+name), text)
	})
	return b.String()
}

// What the docs and the guides of the codes tell a person to type is understood.
func TestTheCommandsOfTheDocsAreUnderstood(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md", "../../local/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			for _, command := range commandsOf(line) {
				found++
				if problem := misunderstood(command); problem != "" {
					t.Errorf("%s: %s: %s", filepath.Base(page), command, problem)
				}
			}
		}
	}
	for _, code := range fault.Codes() {
		for _, guide := range code.Info().OnCall {
			for _, command := range commandsOf(strings.Join(guide.Steps, "\n")) {
				found++
				if problem := misunderstood(command); problem != "" {
					t.Errorf("%s: %s: %s", code, command, problem)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d commands were found", found)
	}
}

var (
	inSpan = regexp.MustCompile("`(?:build/bin/)?orderctl ([^`]*)`")
	asLine = regexp.MustCompile(`^(?:build/bin/)?orderctl (.*)$`)
)

// commandsOf are the commands in code spans, or as a line of a block.
func commandsOf(text string) (all []string) {
	for _, m := range inSpan.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	for line := range strings.SplitSeq(text, "\n") {
		if m := asLine.FindStringSubmatch(line); m != nil {
			all = append(all, m[1])
		}
	}
	return all
}

// misunderstood says why the tool would not understand a command; "" = it would.
func misunderstood(command string) string {
	root := (&app{}).root()
	root.InitDefaultCompletionCmd()
	for i, word := range words(command) {
		name, flag := strings.CutPrefix(word, "-")
		switch {
		case i == 0 && !flag:
			var cmd *cobra.Command
			for _, c := range root.Commands() {
				if c.Name() == word {
					cmd = c
				}
			}
			if cmd == nil && word != "COMMAND" {
				return "there is no such command"
			}
			if cmd != nil {
				root = cmd
			}
		case flag && name != "":
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
			if f := root.Flags().Lookup(name); f == nil && root.InheritedFlags().Lookup(name) == nil && root.Flags().ShorthandLookup(name[:1]) == nil && name != "help" {
				return "there is no flag --" + name
			}
		}
	}
	return ""
}
