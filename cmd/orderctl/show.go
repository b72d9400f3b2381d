package main

import (
	"cmp"
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
	"orderbridge/shared/store"
)

func showCommand() command {
	return command{
		name:     "show",
		synopsis: "ID [--json]",
		summary:  "show how far an order is, what to do next, and its history",
		needs:    "TABLE_NAME",
		examples: []string{"show 801000000000001AAA", "show 801000000000001AAA --json | jq .history"},
		setup: func(flags *flag.FlagSet) action {
			asJSON := flags.Bool("json", false, "print the order as one JSON object")
			return onOrder(nil, func(ctx context.Context, c console, table ledger, id order.ID) error {
				return show(ctx, c, table, id, *asJSON)
			})
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

// orderView is an order as show --json prints it: the item of the table, with
// its own names, and what follows from it.
type orderView struct {
	ID     string `json:"sfOrderId"`
	Status string `json:"status"`
	Review bool   `json:"review"`
	store.Item
}

func view(r order.Record) orderView {
	return orderView{
		ID:     r.ID.String(),
		Status: string(r.Status()),
		Review: r.State == order.Failed && r.ErrorCode.Info().Review,
		Item:   store.ItemOf(r),
	}
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
		row("", "%s", cmp.Or(oneLine(r.ErrorMessage), r.ErrorCode.Info().Seen))
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
		line := fmt.Sprintf("  %s  %-20s %s", e.At.UTC().Format("2006-01-02 15:04:05Z"), e.Event, oneLine(e.Detail))
		if e.By != "" {
			line += " (" + e.By + ")"
		}
		if e.Times > 1 {
			line += fmt.Sprintf(" ×%d since %s", e.Times, e.First.UTC().Format("2006-01-02 15:04:05Z"))
		}
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
			return "a search of WHMCS comes first"
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
	parts := []string{"no order known"}
	if r.WHMCSOrderID != "" {
		parts[0] = "order " + r.WHMCSOrderID
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
	if x := r.Refusal; x.Seq == r.Seq && x.Seq != 0 {
		const minute = "2006-01-02 15:04Z"
		lines := []string{
			fmt.Sprintf("Salesforce refuses to show this since %s (%s, %d times). %s", x.Since.UTC().Format(minute), x.Code, x.Tries, x.Code.Info().Advice),
			fmt.Sprintf("It is tried again at %s. Once the cause is corrected, at once: %s", x.Next.UTC().Format(minute), ctl("push", r)),
		}
		if r.State == order.Provisioned {
			return lines
		}
		r.Refusal = order.Refusal{}
		return append(lines, advice(r, sides, now)...)
	}
	if r.State == order.Provisioned {
		return []string{"Nothing. If Salesforce shows something else: " + ctl("push", r)}
	}
	if r.State.Open() {
		return adviceOpen(r, sides, now)
	}
	guide := r.ErrorCode.OnCall(string(r.RecoveryPoint))
	lines := []string{guide.Seen}
	if len(guide.Steps) == 0 {
		lines = []string{r.ErrorCode.Info().Advice, "A click is the button in Salesforce, or: " + ctl("callout", r)}
	}
	for i, step := range guide.Steps {
		mark := fmt.Sprintf("%d. ", i+1)
		for line := range strings.SplitSeq(step, "\n") {
			lines = append(lines, mark+line)
			mark = "   "
		}
	}
	fill := strings.NewReplacer(
		"`", "",
		"{id}", r.ID.String(),
		"{marker}", r.ID.Marker(),
		"{order}", cmp.Or(r.WHMCSOrderID, "?"),
		"{client}", clientText(r),
		"{since}", sinceText(r),
	)
	for i, line := range lines {
		lines[i] = fill.Replace(line)
	}
	return lines
}

func adviceOpen(r order.Record, sides map[order.Side]order.Control, now time.Time) []string {
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		s := sides[side]
		switch {
		case s.Paused:
			return []string{"Nothing for this order alone: work is paused. When the reason is gone: orderctl resume --by YOU"}
		case s.Open(now) || s.ProbeDue(now):
			return append(append([]string{s.Why.Info().Seen}, plainSteps(s.Why)...), "The breaker closes by itself once a probe succeeds; the order loses no try.")
		}
	}
	const late = 15 * time.Minute
	switch {
	case r.State == order.Working && r.LeaseUntil.Before(now):
		return []string{"Nothing: its worker died, and the clock gives the order to another one within a minute or two."}
	case r.State != order.Working && !r.DueAt.IsZero() && now.Sub(r.DueAt) > late:
		return []string{
			"It has been due for " + span(now.Sub(r.DueAt)) + " and no worker takes it: workers are too few, or do not start.",
			"Look at the alarms of ProvisionFunction, its log and the age of the work queue.",
		}
	case r.ErrorCode != "":
		return append([]string{"Nothing: it tries again " + until(r.DueAt, now) + ", for 72 hours. If it goes on:"}, plainSteps(r.ErrorCode)...)
	}
	return []string{"Nothing: it is being provisioned."}
}

// plainSteps are what the on-call engineer does about a code of a side. What was
// seen stands above, in the error; the table's general words could contradict it.
func plainSteps(code fault.Code) []string {
	steps := code.OnCall("").Steps
	if len(steps) == 0 {
		steps = []string{code.Info().Do}
	}
	lines := make([]string, 0, len(steps))
	for _, step := range steps {
		lines = append(lines, strings.ReplaceAll(step, "`", ""))
	}
	return lines
}

func ctl(verb string, r order.Record) string { return "orderctl " + verb + " " + r.ID.String() }

func clientText(r order.Record) string {
	if r.Plan == nil {
		return "the account's client"
	}
	return fmt.Sprintf("client %d", r.Plan.ClientID)
}

func sinceText(r order.Record) string {
	return cmp.Or(r.FirstAddAt, r.OpenedAt).UTC().Format("2006-01-02 15:04Z")
}

func short(t order.Token) string {
	if len(t) > 8 {
		return string(t[:8]) + "…"
	}
	return string(t)
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
