package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// runbook holds the commands of docs/runbook.md, by section.
type runbook map[string]section

// section is what one heading says: of an alarm, or of a code that a person must
// resolve.
type section struct {
	first, ends []string            // of an alarm: the commands of these two lines
	at          map[string][]string // of a code: the commands by recovery point
}

var (
	commandSpan = regexp.MustCompile("`(orderctl [^`]+)`")
	pointSpan   = regexp.MustCompile("`([a-z]+)`")
)

func readRunbook(file string) (runbook, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read runbook: %w", err)
	}
	book := runbook{}
	for _, part := range strings.Split(string(text), "\n### ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		s := section{at: map[string][]string{}}
		var points []string
		for line := range strings.Lines(body) {
			commands := commandsOf(line)
			switch {
			case strings.HasPrefix(line, "- First:"):
				s.first = commands
			case strings.HasPrefix(line, "- Ends:"):
				s.ends = commands
			case strings.HasPrefix(line, "At `"):
				points = nil
				before, _, _ := strings.Cut(line, ":")
				for _, m := range pointSpan.FindAllStringSubmatch(before, -1) {
					points = append(points, m[1])
				}
			default:
				for _, p := range points {
					s.at[p] = append(s.at[p], commands...)
				}
			}
		}
		for name := range strings.SplitSeq(heading, ", ") {
			book[strings.TrimSpace(name)] = s
		}
	}
	return book, nil
}

// commandsOf returns the commands of a line. "and without `--dry-run`" stands for
// the command before it without that flag.
func commandsOf(line string) (all []string) {
	for _, m := range commandSpan.FindAllStringSubmatch(line, -1) {
		all = append(all, m[1])
	}
	if strings.Contains(line, "and without `--dry-run`") && len(all) > 0 {
		all = append(all, strings.Replace(all[len(all)-1], " --dry-run", "", 1))
	}
	return all
}

// neverRun are the lines of docs/deployment.md's last section.
func neverRun(file string) (all []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read what was never run: %w", err)
	}
	_, part, ok := strings.Cut(string(text), "\n## What was never run here\n")
	if !ok {
		return nil, fmt.Errorf("read what was never run: %s has no such section", file)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	for line := range strings.Lines(part) {
		if item, ok := strings.CutPrefix(line, "- "); ok {
			all = append(all, strings.TrimSpace(item))
		}
	}
	return all, nil
}
