package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// hostVariables are those that the host itself reads.
var hostVariables = []string{
	"API_PORT", "WHMCS_PORT", "SF_PORT", "AWS_PORT", "LISTEN_HOST", "TICK_EVERY", "ALARM_MINUTE", "DYNAMODB_ENDPOINT", "SCREEN", "DEMO", "TABLE_NAME",
	"PORTAL_ISSUER", "PORTAL_AUDIENCE", "PORTAL_SCOPES", "PORTAL_ALLOWED_ORIGINS", "PROVISION_CONCURRENCY", "RESERVED_CONCURRENCY",
	"SECURITY_ALERT_WEBHOOK", "SECURITY_ALERT_HEADER", "SECURITY_ALERT_HEADER_VALUE",
	"CALLOUT_RATE_LIMIT", "CALLOUT_BURST_LIMIT", "PORTAL_RATE_LIMIT", "PORTAL_BURST_LIMIT",
}

// misspelt returns a line for each variable of the environment that looks as if
// it were meant for this system and that nothing reads: one that begins as ours
// do, or that is two letters or fewer away from one that is read.
func (s *system) misspelt(environ []string) (lines []string) {
	known := map[string]bool{}
	for _, name := range hostVariables {
		known[name] = true
	}
	for _, kv := range s.exports() {
		known[kv[0]] = true
	}
	for _, f := range s.model.Functions {
		for name := range f.Environment {
			known[name] = true
		}
	}
	families := map[string]bool{}
	for name := range known {
		family, _, _ := strings.Cut(name, "_")
		families[family] = true
	}
	// Families in which other programs have variables too.
	for _, shared := range []string{"AWS", "LOG", "API", "TABLE", "LISTEN", "TICK", "ALARM", "CLOCK", "ORDER", "SEND", "WORK", "SCREEN", "DEMO"} {
		delete(families, shared)
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if known[name] {
			continue
		}
		near := slices.MinFunc(slices.Sorted(maps.Keys(known)), func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
		family, _, _ := strings.Cut(name, "_")
		switch d := distance(name, near); {
		case d <= 2 && len(name) > 5:
			lines = append(lines, name+" is read by nothing: "+near+" is meant?")
		case families[family]:
			lines = append(lines, name+" is read by nothing (the nearest is "+near+")")
		}
	}
	return lines
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
