package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/question"
	"orderbridge/shared/store"
)

func (a *app) showCommand() *cobra.Command {
	var watch, exitStatus bool
	return a.verb(spec{
		group: groupFind, use: "show ID… | NUMBER…", short: "show how far an order is, what to do next, and its history",
		long:  "ID is a Salesforce Order id of 15 or 18 characters, or -. NUMBER is a WHMCS order id, or\na Salesforce order number with its leading zeros; both are asked for inside ProvisionFunction.",
		needs: "TABLE_NAME; PROVISION_FUNCTION for a number",
		examples: []string{
			"show 801000000000001AAA", "show 801000000000001AAA --json | jq .history", "show 1001                  # by its WHMCS order id",
			"show 801000000000001AAA --watch      # until it ends",
		},
		flags: func(flags *pflag.FlagSet) {
			flags.BoolVarP(&watch, "watch", "w", false, "show it again with each change until it is Provisioned or Failed; sets --exit-status")
			flags.BoolVar(&exitStatus, "exit-status", false, "exit 1 where the order failed, 3 where it is not finished")
		},
		check: func(args []string) error {
			var ids []string
			for _, arg := range args {
				if !number.MatchString(arg) {
					ids = append(ids, arg)
				}
			}
			if len(ids) == 0 && len(args) > 0 {
				return nil
			}
			return someOrders(ids)
		},
		do: func(ctx context.Context, args []string) error {
			args, err := a.numbers(ctx, args)
			if err != nil {
				return err
			}
			ids, err := a.orderIDs(args)
			if err != nil {
				return err
			}
			if watch && len(ids) > 1 {
				return usagef("--watch is for one order")
			}
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			return a.each(ids, func(id order.ID) error { return a.show(ctx, table, id, watch, exitStatus || watch) })
		},
	})
}

var number = regexp.MustCompile(`^[0-9]{1,14}$`)

// numbers replaces the numbers among the arguments by the orders that they are of.
func (a *app) numbers(ctx context.Context, args []string) ([]string, error) {
	var ids []string
	for _, arg := range args {
		if !number.MatchString(arg) {
			ids = append(ids, arg)
			continue
		}
		var found question.Found
		if err := a.ask(ctx, question.Question{Find: arg}, &found); err != nil {
			return nil, err
		}
		if len(found.Orders) == 0 {
			return nil, fault.New(fault.OrderNotFound, "neither a WHMCS order "+arg+" that carries a marker, nor a Salesforce order of that number is known")
		}
		ids = append(ids, found.Orders...)
	}
	return ids, nil
}

// watchEvery is how often a watched order is read.
const watchEvery = 2 * time.Second

// show prints an order, and with watch again after each change until it ends.
func (a *app) show(ctx context.Context, table ledger, id order.ID, watch, exitStatus bool) error {
	for last := int64(-1); ; {
		r, found, err := table.Get(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return unknownOrder(id)
		}
		if r.Version != last {
			if err := a.showOnce(ctx, table, r); err != nil {
				return err
			}
			last = r.Version
		}
		if r.Status().Final() || !watch {
			return ended(r, exitStatus)
		}
		if err := a.sleep(ctx, watchEvery); err != nil {
			return unfinished{fmt.Sprintf("%s: %s", id, headline(r))}
		}
	}
}

// ended is the exit of a command that ends with the order.
func ended(r order.Record, exitStatus bool) error {
	switch {
	case !exitStatus || r.State == order.Provisioned:
		return nil
	case r.State == order.Failed:
		return fault.New(r.ErrorCode, r.ErrorMessage)
	}
	return unfinished{fmt.Sprintf("%s: %s", r.ID, headline(r))}
}

func (a *app) showOnce(ctx context.Context, table ledger, r order.Record) error {
	sides := make(map[order.Side]order.Control, 2)
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		c, err := table.Control(ctx, side)
		if err != nil {
			return err
		}
		sides[side] = c
	}
	return a.print(view(r, sides, a.now()), func(p *printer) { page(p, r, sides, a.now()) })
}

// orderView is an order as show --json prints it: the item of the table, with
// its own names, and what follows from it.
type orderView struct {
	ID       string     `json:"order_id"`
	Status   string     `json:"status"`
	Review   bool       `json:"review"`
	Needs    string     `json:"needs,omitempty"`
	Headline string     `json:"headline"`
	ToDo     []string   `json:"what_to_do"`
	Sides    []sideView `json:"sides"`
	store.Item
}

func view(r order.Record, sides map[order.Side]order.Control, now time.Time) orderView {
	v := orderView{
		ID:       r.ID.String(),
		Status:   string(r.Status()),
		Review:   r.State == order.Failed && r.ErrorCode.Info().Review,
		Needs:    needs(r.State, r.ErrorCode),
		Headline: headline(r),
		ToDo:     advice(r, sides, now),
		Item:     store.ItemOf(r),
	}
	v.Lease = "" // the worker's own, and of no use to anyone else
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		v.Sides = append(v.Sides, viewSide(sides[side], now))
	}
	return v
}

// page writes what an on-call engineer needs, the most urgent first.
func page(w io.Writer, r order.Record, sides map[order.Side]order.Control, now time.Time) {
	fmt.Fprintf(w, "%s  %s\n\n", r.ID, headline(r))
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
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
		row("due", "%s", inTime(r.DueAt, now))
	}
	if r.State == order.Working {
		row("worker", "%s holds it until %s (fence %d)", short(r.Lease), clock(r.LeaseUntil), r.Fence)
	}
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		for _, s := range sideTexts(sides[side], now) {
			row("halted", "%s", s)
		}
	}
	row("changed", "%s", ago(r.UpdatedAt, now))
	row("Salesforce", "%s", salesforceText(r, sides[order.SideSalesforce]))

	fmt.Fprint(w, "\nWhat to do\n")
	for _, line := range advice(r, sides, now) {
		fmt.Fprintf(w, "  %s\n", line)
	}

	fmt.Fprint(w, "\nHistory\n")
	if len(r.History) == 0 {
		fmt.Fprint(w, "  none\n")
	}
	for _, e := range r.History {
		line := fmt.Sprintf("  %s  %-20s %s", e.At.UTC().Format("2006-01-02 15:04:05Z"), oneLine(e.Event), oneLine(e.Detail))
		if e.By != "" {
			line += " (" + oneLine(e.By) + ")"
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

// salesforceText says whether Salesforce shows what stands above.
func salesforceText(r order.Record, side order.Control) string {
	switch {
	case r.Confirmed(side):
		return fmt.Sprintf("shows it (seq %d)", r.Seq)
	case r.Refusal.Seq != 0 && r.Refusal.Seq == r.Seq:
		return fmt.Sprintf("refuses to show it (%s, seq %d)", r.Refusal.Code, r.Refusal.Seq)
	}
	return fmt.Sprintf("is told by seq %d; that it shows it is confirmed some minutes later", r.Seq)
}

// holdText says by whom the bridge is paused, since when and why.
func holdText(h order.Hold, now time.Time) string {
	return oneLine(fmt.Sprintf("by %s, %s: %s", h.By, ago(h.At, now), h.Reason))
}

// sideTexts says what keeps work with a side from going on.
func sideTexts(s order.Control, now time.Time) (all []string) {
	for _, h := range s.Held() {
		all = append(all, fmt.Sprintf("%s is paused %s", s.Side, holdText(h, now)))
	}
	if s.Open(now) || s.ProbeDue(now) {
		all = append(all, fmt.Sprintf("%s: %s", s.Side, breakerText(s, now)))
	}
	for _, effect := range s.Unanswered(now) {
		all = append(all, fmt.Sprintf("%s: %s", s.Side, unansweredText(s, effect, now)))
	}
	return all
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
		lines = []string{r.ErrorCode.Info().Advice, "A click is the button in Salesforce, or: " + ctl("retry", r) + " --by YOU --why TEXT"}
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

// giveUp is how long an order is tried (provision.GiveUp, which this tool does
// not link; a test compares them).
const giveUp = 72 * time.Hour

func adviceOpen(r order.Record, sides map[order.Side]order.Control, now time.Time) []string {
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		s := sides[side]
		switch {
		case s.Paused:
			lines := []string{"Nothing for this order alone: work is paused. When the reason is gone: orderctl resume --by YOU, for another's pause with --of NAME"}
			if slices.ContainsFunc(s.Held(), func(h order.Hold) bool { return h.By == order.ByEngine }) {
				lines = append(lines, "The bridge paused by itself: resume only after what the reason above asks for. docs/runbook.md, Paused, has the steps.")
			}
			return lines
		case s.Open(now) || s.ProbeDue(now):
			return append(append([]string{s.Why.Info().Seen}, plainSteps(s.Why)...), "The breaker closes by itself once a probe succeeds; the order loses no try.")
		}
		if effect := sends(r); side == order.SideWHMCS && slices.Contains(s.Unanswered(now), effect) && !r.DueAt.Before(s.Unsure[effect].Until) {
			why := s.Unsure[effect].Why
			return append(append([]string{effect + " is not answered. " + why.Info().Seen}, plainSteps(why)...), "One order at a time tries it; once it is answered all go on. The order loses no try.")
		}
	}
	switch {
	case r.State == order.Working && r.LeaseUntil.Before(now):
		return []string{"Nothing: its worker died, and the clock gives the order to another one within a minute or two."}
	case r.State != order.Working && !r.DueAt.IsZero() && now.Sub(r.DueAt) > order.Late:
		return []string{
			"It has been due for " + span(now.Sub(r.DueAt)) + " and no worker takes it: workers are too few, or do not start.",
			"Look at the alarms of ProvisionFunction, its log and the age of the work queue.",
		}
	case r.ErrorCode != "":
		return append([]string{"Nothing: it tries again " + inTime(r.DueAt, now) + ". It gives up 72 hours after this try began, at " + clock(r.OpenedAt.Add(giveUp)) + ". If it goes on:"}, plainSteps(r.ErrorCode)...)
	}
	return []string{"Nothing: it is being provisioned."}
}

// sends is the effect that the order sends next, if it has to.
func sends(r order.Record) string {
	if r.RecoveryPoint == order.PointNone || r.RecoveryPoint == order.PointAdding {
		return "AddOrder"
	}
	return "AcceptOrder"
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
