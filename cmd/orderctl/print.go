package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"context"
)

// printer writes what a person reads.
type printer struct{ io.Writer }

// rows prints a table under its head.
func (p *printer) rows(head []string, rows [][]string) {
	w := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, cells := range append([][]string{head}, rows...) {
		for i, cell := range cells {
			cells[i] = strings.ToValidUTF8(oneLine(cell), "\uFFFD") // tabwriter.Escape is no text
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // as Fprint to the same writer: a reader that went away is no error
}

// plain is a writer that a terminal may stand behind. What WHMCS, Salesforce or a
// person wrote may hold characters that move the cursor, colour, hide or turn
// others; each is written as \u001b, which JSON takes for the same character. A line
// of HTTP keeps its end. Each Write has whole characters.
type plain struct{ io.Writer }

// Write implements io.Writer.
func (p plain) Write(b []byte) (int, error) {
	var out []byte
	for i, c := range string(b) {
		if c == '\n' || c == '\t' || c == '\r' && bytes.HasPrefix(b[i+1:], []byte("\n")) || unicode.IsPrint(c) {
			out = utf8.AppendRune(out, c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	if _, err := p.Writer.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// print writes v as JSON where that was asked for, else what table prints.
func (a *app) print(v any, table func(*printer)) error {
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(v)
	}
	table(&printer{a.out})
	return nil
}

// jsonTime is a time as every output of this tool writes it: UTC, to the ms; ""
// for none.
func jsonTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// clock is a time as a person reads it.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return clock(t) + " (" + span(now.Sub(t)) + " ago)"
}

// inTime is a moment that is still to come, or has passed.
func inTime(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "at no time"
	case t.After(now):
		return "in " + span(t.Sub(now)) + ", at " + t.UTC().Format("15:04:05Z")
	}
	return "for " + span(now.Sub(t))
}

// span rounds a duration to what a reader needs.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// version names the commit and its date, as go build stamps them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	text := cmp.Or(info.Main.Version, "(devel)")
	if set["vcs.revision"] != "" {
		text += ", commit " + set["vcs.revision"] + " of " + set["vcs.time"]
	}
	if set["vcs.modified"] == "true" {
		text += ", with changes that are not committed"
	}
	return text + ", " + info.GoVersion
}

func (a *app) versionCommand() *cobra.Command {
	return a.verb(spec{
		group: groupTool, use: "version", short: "print the version, its commit and its date",
		examples: []string{"version"},
		do: func(context.Context, []string) error {
			return a.print(map[string]string{"version": version()}, func(p *printer) { fmt.Fprintf(p, "orderctl %s\n", version()) })
		},
	})
}

func (a *app) manCommand() *cobra.Command {
	return a.verb(spec{
		group: groupTool, use: "man DIR", short: "write a man page of each command into a folder, which it makes",
		examples: []string{"man /usr/local/share/man/man1"},
		check: func(args []string) error {
			if len(args) != 1 {
				return usagef("man needs the folder to write to")
			}
			return nil
		},
		do: func(_ context.Context, args []string) error {
			const open = 0o755 // man pages are read by everybody
			if err := os.MkdirAll(args[0], open); err != nil {
				return fmt.Errorf("make the folder of the man pages: %w", err)
			}
			root := a.root()              //nolint:contextcheck // a command has its context when it runs
			root.DisableAutoGenTag = true // the same tool writes the same pages
			if err := doc.GenManTree(root, &doc.GenManHeader{Title: "ORDERCTL", Section: "1", Source: "orderbridge", Manual: "orderbridge"}, args[0]); err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			return nil
		},
	})
}
