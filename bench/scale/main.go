// Command scale says what the system costs, and what it meets first, from one
// order a day to a million, and writes docs/scale.md.
//
// The rule it keeps: it is a model, whose terms are measured or have a source; a
// test compares what can be compared. It must not call anything.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	template := flag.String("template", "template.yaml", "the template")
	page := flag.String("page", "docs/scale.md", "the page to write")
	flag.Parse()
	if err := run(os.Stdout, *template, *page); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, template, page string) error {
	in, err := readTemplate(template)
	if err != nil {
		return err
	}
	text := write(in)
	fmt.Fprint(out, text)
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil { //nolint:gosec // a page for everybody
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
