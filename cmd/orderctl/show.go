package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func showCommand() command {
	return command{
		name:     "show",
		synopsis: "ID [--json]",
		summary:  "show how far an order is, what to do next, and its history",
		needs:    []string{"TABLE_NAME", "AWS_REGION and credentials"},
		examples: []string{"show 801000000000001AAA", "show 801000000000001AAA --json | jq .history"},
		setup: func(flags *flag.FlagSet) action {
			asJSON := flags.Bool("json", false, "print the order as one JSON object")
			return func(ctx context.Context, c console, args []string) error {
				id, err := oneOrder(args)
				if err != nil {
					return err
				}
				table, err := c.ledger(ctx)
				if err != nil {
					return err
				}
				return show(ctx, c, table, id, *asJSON)
			}
		},
	}
}

func show(ctx context.Context, c console, table ledger, id order.ID, asJSON bool) error {
	r, found, err := table.Get(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return unknownOrder(id)
	}
	if asJSON {
		return json.NewEncoder(c.out).Encode(view(r))
	}
	sides := make(map[order.Side]order.Control, 2)
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		if sides[side], err = table.Control(ctx, side); err != nil {
			return err
		}
	}
	page(c.out, r, sides, c.now())
	return nil
}

// unknownOrder says that the table has no such order.
func unknownOrder(id order.ID) error {
	return fault.New(fault.OrderNotFound, fmt.Sprintf("no callout of %s was ever recorded here (Salesforce reads Pending Review); send one: orderctl callout %s", id, id))
}

// page writes what an on-call engineer needs, the most urgent first.
func page(w io.Writer, r order.Record, sides map[order.Side]order.Control, now time.Time) {
	fmt.Fprintf(w, "%s  %s\n\n", r.ID, headline(r))
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("state", "%s, at point %s: %s", r.State, r.RecoveryPoint, pointText(r))
	if r.ErrorCode != "" {
		row("error", "%s, %s", r.ErrorCode, ago(r.ErrorAt, now))
		if r.ErrorMessage != "" {
			row("", "%s", oneLine(r.ErrorMessage))
		}
	}
	row("WHMCS", "%s", whmcsText(r))
	if r.AccountID != "" {
		row("account", "%s", r.AccountID)
	}
	if r.State.Open() {
		row("tries", "%d since %s", r.Attempts, ago(r.OpenedAt, now))
		row("due", "%s", until(r.DueAt, now))
	}
	if r.State == order.Working {
		row("worker", "%s holds it %s (fence %d)", short(r.Lease), until(r.LeaseUntil, now), r.Fence)
	}
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		if s := sideText(sides[side], now); s != "" && r.State.Open() {
			row("halted", "%s", s)
		}
	}
	row("told", "seq %d, changed %s", r.Seq, ago(r.UpdatedAt, now))

	fmt.Fprint(w, "\nWhat to do\n")
	for _, line := range advice(r, sides, now) {
		fmt.Fprintf(w, "  %s\n", line)
	}

	fmt.Fprint(w, "\nHistory\n")
	if len(r.History) == 0 {
		fmt.Fprint(w, "  none\n")
	}
	for _, e := range r.History {
		line := fmt.Sprintf("  %s  %-20s %s%s", e.At.UTC().Format("2006-01-02 15:04:05Z"), e.Event, oneLine(e.Detail), byText(e.By))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

func headline(r order.Record) string {
	switch {
	case r.State == order.Failed && r.ErrorCode.Info().Review:
		return "Failed: something may exist in WHMCS, a person must look"
	case r.State == order.Failed:
		return "Failed: " + strings.ToLower(r.ErrorCode.Info().Title)
	case r.State == order.Waiting:
		return "Activating: waits for its next try"
	case r.State == order.Working:
		return "Activating: a worker holds it"
	}
	return string(r.Status())
}

func pointText(r order.Record) string {
	switch r.RecoveryPoint {
	case order.PointNone:
		return "nothing can have reached WHMCS"
	case order.PointAdding:
		if r.Add.Count == 0 {
			return "a look in WHMCS comes first"
		}
		return fmt.Sprintf("AddOrder may have reached WHMCS (%d sent)", r.Add.Count)
	case order.PointAdded:
		return "the WHMCS order is known, not yet accepted"
	case order.PointAccepting:
		return fmt.Sprintf("AcceptOrder may have reached WHMCS (%d sent)", r.Accept.Count)
	case order.PointAccepted:
		if r.State == order.Provisioned {
			return "accepted, and the services were verified"
		}
		return "accepted, the services are not yet verified"
	}
	return "unknown point"
}

func whmcsText(r order.Record) string {
	var parts []string
	if r.WHMCSOrderID != "" {
		parts = append(parts, "order "+r.WHMCSOrderID)
	} else {
		parts = append(parts, "no order known")
	}
	if r.Plan != nil {
		parts = append(parts, fmt.Sprintf("client %d", r.Plan.ClientID))
	}
	var services []string
	for _, item := range slices.Sorted(maps.Keys(r.ServiceIDs)) {
		services = append(services, r.ServiceIDs[item]...)
	}
	if len(services) > 0 {
		parts = append(parts, "services "+strings.Join(services, " "))
	}
	return strings.Join(append(parts, "marker "+r.ID.Marker()), ", ")
}

func sideText(s order.Control, now time.Time) string {
	switch {
	case s.Paused:
		return fmt.Sprintf("%s is paused by %s, %s: %s", s.Side, s.By, ago(s.At, now), s.Reason)
	case s.Open(now):
		return fmt.Sprintf("%s: breaker open (%s), next probe %s", s.Side, s.Why, until(s.OpenUntil, now))
	case s.ProbeDue(now):
		return fmt.Sprintf("%s: breaker open (%s), a probe is due", s.Side, s.Why)
	}
	return ""
}

// advice says what to do next, as commands where there are any.
func advice(r order.Record, sides map[order.Side]order.Control, now time.Time) []string {
	if r.State == order.Provisioned {
		return []string{"Nothing. If Salesforce shows something else: " + ctl("push", r)}
	}
	if r.State.Open() {
		return adviceOpen(r, sides, now)
	}
	lines := []string{r.ErrorCode.Info().Advice}
	if steps, ok := review[r.ErrorCode]; ok {
		lines = steps
	}
	fill := strings.NewReplacer(
		"{id}", r.ID.String(),
		"{marker}", r.ID.Marker(),
		"{order}", orElse(r.WHMCSOrderID, "?"),
		"{client}", clientText(r),
		"{since}", sinceText(r),
		"{again}", ctl("callout", r),
		"{adopt}", ctl("resolve", r)+" --adopt N --by YOU --why TEXT",
		"{none}", ctl("resolve", r)+" --none --by YOU --why TEXT",
		"{stop}", ctl("resolve", r)+" --stop --by YOU --why TEXT",
	)
	filled := make([]string, 0, len(lines)+1)
	for _, l := range lines {
		filled = append(filled, fill.Replace(l))
	}
	if _, ok := review[r.ErrorCode]; !ok {
		filled = append(filled, "A click is the button in Salesforce, or: "+ctl("callout", r))
	}
	return filled
}

func adviceOpen(r order.Record, sides map[order.Side]order.Control, now time.Time) []string {
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		s := sides[side]
		switch {
		case s.Paused:
			return []string{"Nothing for this order alone: work is paused. When the reason is gone: orderctl resume --by YOU"}
		case s.Open(now) || s.ProbeDue(now):
			return []string{
				s.Why.Info().Advice,
				"The breaker closes by itself once a probe succeeds; the order loses no try.",
			}
		}
	}
	const late = 15 * time.Minute
	switch {
	case r.State == order.Working && r.LeaseUntil.Before(now):
		return []string{"Nothing: its worker died, and the clock gives the order to another one within a minute or two."}
	case r.State != order.Working && !r.DueAt.IsZero() && now.Sub(r.DueAt) > late:
		return []string{
			"It has been due for " + span(now.Sub(r.DueAt)) + " and nobody takes it: workers are too few, or do not start.",
			"Look at the alarms of ProvisionFunction, its log and the age of the work queue.",
		}
	case r.ErrorCode != "":
		return []string{"Nothing: it tries again " + until(r.DueAt, now) + ", for 72 hours.", r.ErrorCode.Info().Advice}
	}
	return []string{"Nothing: it is being provisioned."}
}

// review holds the steps for each code after which something may exist in
// WHMCS. docs/runbook.md tells the same at length.
var review = map[fault.Code][]string{
	fault.AddOutcomeUnknown: {
		"AddOrder was sent and its answer was lost; no order with the marker was found.",
		"1. In WHMCS, list the orders of {client} since {since}; look for one with these products and without a marker.",
		"2. There is one, number N:  {adopt}",
		"   There is none:           {none}",
	},
	fault.AcceptOutcomeUnknown: {
		"AcceptOrder of WHMCS order {order} was sent and its answer was lost; the order is still Pending.",
		"1. In WHMCS, open order {order}, and look at the remote system whether its accounts exist.",
		"2. They do not: accept the order in WHMCS. They do: set its services to Active by hand.",
		"3. Then click again, it reads and verifies:  {again}",
	},
	fault.WHMCSOrderMismatch: {
		"WHMCS order {order} is not what was ordered.",
		"1. In WHMCS, compare order {order} with the Salesforce order, and mend it there.",
		"2. Click again, it compares again:  {again}",
		"   Another order is the right one, number N:  {adopt}",
	},
	fault.WHMCSOrderCancelled: {
		"WHMCS order {order} was cancelled, marked as fraud or deleted.",
		"1. Ask whoever did it whether the customer is still to be served.",
		"2. No:                         {stop}",
		"   Yes, by a new WHMCS order:  {none}",
		"   Yes, by WHMCS order N:      {adopt}",
	},
	fault.WHMCSOrderAmbiguous: {
		"Several WHMCS orders may be this one; the error names them.",
		"1. In WHMCS, cancel those that are wrong; nothing was accepted for the customer yet.",
		"2. Keep one, number N:  {adopt}",
	},
	fault.MarkerNotKept: {
		"WHMCS order {order} lost its marker: every further order would be in danger, so the breaker is open.",
		"1. Find what strips the notes (a hook, an addon) or set another WHMCS_MARKER.",
		"2. In WHMCS, put this line back into the admin notes of order {order}:  {marker}",
		"3. Click again:  {again}",
	},
	fault.WHMCSIDForeign: {
		"WHMCS_Order_ID__c on this Salesforce order names the WHMCS order of another one, as a clone does.",
		"1. In Salesforce, clear WHMCS_Order_ID__c.",
		"2. Click again:  {again}",
		"   It is this order's after all, number N:  {adopt}",
	},
	fault.NotVerified: {
		"AcceptOrder succeeded, but not every service of WHMCS order {order} became Active in 15 minutes.",
		"1. In WHMCS, open order {order}; see Utilities, Module Queue; activate what is not Active.",
		"2. Click again, it verifies again:  {again}",
	},
	fault.ModuleFailed: {
		"A provisioning module of WHMCS order {order} failed; the error says what it said.",
		"1. On the remote system, look whether the account exists all the same.",
		"2. Mend the cause. The account exists: set its service to Active in WHMCS.",
		"3. Click again; while the order is Pending, the click consents to one more run:  {again}",
	},
}

func ctl(verb string, r order.Record) string { return "orderctl " + verb + " " + r.ID.String() }

func clientText(r order.Record) string {
	if r.Plan == nil {
		return "the account's client"
	}
	return fmt.Sprintf("client %d", r.Plan.ClientID)
}

func sinceText(r order.Record) string {
	at := r.FirstAddAt
	if at.IsZero() {
		at = r.OpenedAt
	}
	return at.UTC().Format("2006-01-02 15:04Z")
}

func byText(by string) string {
	if by == "" {
		return ""
	}
	return " (" + by + ")"
}

func short(t order.Token) string {
	if len(t) > 8 {
		return string(t[:8]) + "…"
	}
	return string(t)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z") + " (" + span(now.Sub(t)) + " ago)"
}

func until(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "at no time"
	case t.After(now):
		return "in " + span(t.Sub(now)) + ", at " + t.UTC().Format("15:04:05Z")
	}
	return "since " + span(now.Sub(t))
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
