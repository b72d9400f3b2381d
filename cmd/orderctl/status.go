package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/spf13/cobra"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// overview is an installation as status prints it.
type overview struct {
	Sides  []sideView     `json:"sides"`
	Open   map[string]int `json:"open"`             // by state
	Failed map[string]int `json:"failed"`           // by code
	Oldest *row           `json:"oldest,omitempty"` // of the open orders
	// Overdue is how many open orders no worker takes although they are due.
	Overdue int `json:"overdue"`
	// Refused are orders whose newest status Salesforce refuses to show;
	// every change before ConfirmedUntil that is not among them is shown.
	Refused        []string       `json:"refused"`
	ConfirmedUntil string         `json:"confirmed_until,omitempty"`
	DeadLetters    map[string]int `json:"dead_letters"` // by queue
	// Alarms are those that fire; AlarmsUnread says why they are not known.
	Alarms       []alarmView `json:"alarms"`
	AlarmsUnread string      `json:"alarms_unread,omitempty"`
	alarmsError  error
	// Needed says, line by line, why a person is needed.
	Needed []string `json:"person_needed,omitempty"`
}

// sideView is the switch of one side.
type sideView struct {
	Side    string     `json:"side"`
	Paused  []holdView `json:"paused,omitempty"`
	Breaker string     `json:"breaker"` // closed, open, probe due
	Why     string     `json:"why,omitempty"`
	Until   string     `json:"until,omitempty"`
	// Unanswered are the effects that one order at a time tries.
	Unanswered []effectView `json:"unanswered,omitempty"`
	LookBefore string       `json:"look_before,omitempty"`
}

type effectView struct {
	Effect string `json:"effect"`
	Why    string `json:"why"`
	Until  string `json:"until"` // when the next order may try it
}

type holdView struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
	At     string `json:"at"`
}

func viewSide(c order.Control, now time.Time) sideView {
	v := sideView{Side: string(c.Side), Breaker: "closed", LookBefore: jsonTime(c.LookBefore)}
	if c.Open(now) || c.ProbeDue(now) {
		v.Breaker, v.Why, v.Until = "open", string(c.Why), jsonTime(c.OpenUntil)
		if c.ProbeDue(now) {
			v.Breaker = "probe due"
		}
	}
	for _, h := range c.Held() {
		v.Paused = append(v.Paused, holdView{h.By, h.Reason, jsonTime(h.At)})
	}
	for _, effect := range c.Unanswered(now) {
		d := c.Unsure[effect]
		v.Unanswered = append(v.Unanswered, effectView{effect, string(d.Why), jsonTime(d.Until)})
	}
	return v
}

func (a *app) statusCommand() *cobra.Command {
	return a.verb(spec{
		group: groupFind, use: "status", short: "show the switches, what waits and what failed, the alarms that fire, and whether a person is needed",
		long:     "Exit code 3 says that a person is needed; the last lines say for what.",
		needs:    "TABLE_NAME, WORK_DEAD_LETTER_URL, STATUSPUSH_DEAD_LETTER_URL, STACK_NAME",
		examples: []string{"status", "status --json | jq .person_needed"},
		do: func(ctx context.Context, _ []string) error {
			o, sides, err := a.overview(ctx)
			if err != nil {
				return err
			}
			if err := a.print(o, func(p *printer) { a.statusPage(p, o, sides) }); err != nil {
				return err
			}
			if len(o.Needed) > 0 {
				return unfinished{"a person is needed"}
			}
			return o.alarmsError
		},
	})
}

func (a *app) overview(ctx context.Context) (overview, []order.Control, error) {
	o := overview{Open: map[string]int{}, Failed: map[string]int{}, DeadLetters: map[string]int{}}
	table, err := a.ledger(ctx)
	if err != nil {
		return o, nil, err
	}
	now := a.now()
	var sides []order.Control
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		c, err := table.Control(ctx, side)
		if err != nil {
			return o, nil, err
		}
		sides = append(sides, c)
		o.Sides = append(o.Sides, viewSide(c, now))
		if (c.Open(now) || c.ProbeDue(now)) && c.Why.Kind() == fault.Config {
			o.Needed = append(o.Needed, fmt.Sprintf("%s: %s %s", c.Side, c.Why, c.Why.Info().Advice))
		}
	}
	if err := a.countOpen(ctx, table, &o, sides[0].Paused); err != nil {
		return o, nil, err
	}
	if err := a.countFailed(ctx, table, &o); err != nil {
		return o, nil, err
	}
	if err := a.countRefused(ctx, table, &o, sides[1]); err != nil {
		return o, nil, err
	}
	if err := a.countLetters(ctx, &o); err != nil {
		return o, nil, err
	}
	return o, sides, a.countAlarms(ctx, &o)
}

const (
	// refusedMost bounds the refused orders that are named.
	refusedMost = 1000
	// untilTried lies behind the next try of every refused order.
	untilTried = 30 * 24 * time.Hour
)

func (a *app) countRefused(ctx context.Context, table ledger, o *overview, salesforce order.Control) error {
	ids, err := table.Refused(ctx, a.now().Add(untilTried), refusedMost)
	if err != nil {
		return err
	}
	o.ConfirmedUntil, o.Refused = jsonTime(salesforce.ConfirmedUntil), []string{}
	for _, id := range ids {
		o.Refused = append(o.Refused, id.String())
	}
	if len(ids) > 0 {
		o.Needed = append(o.Needed, fmt.Sprintf("Salesforce refuses to show %d orders: orderctl show %s says why", len(ids), ids[0]))
	}
	return nil
}

func (a *app) countOpen(ctx context.Context, table ledger, o *overview, paused bool) error {
	open, _, err := table.Open(ctx, 0)
	if err != nil {
		return err
	}
	b := order.BacklogOf(open, a.now())
	for state, n := range b.ByState {
		o.Open[string(state)] = n
	}
	if len(open) > 0 {
		oldest := openRow(b.Oldest)
		o.Oldest = &oldest
	}
	o.Overdue = b.Overdue
	if o.Overdue > 0 && !paused {
		o.Needed = append(o.Needed, fmt.Sprintf("%d orders are due for more than %s and no worker takes them: look at the alarms and the log of ProvisionFunction", o.Overdue, span(order.Late)))
	}
	return nil
}

func (a *app) countFailed(ctx context.Context, table ledger, o *overview) error {
	failed, err := table.Failed(ctx, time.Time{}, 0)
	if err != nil {
		return err
	}
	person := 0
	for _, f := range failed {
		o.Failed[string(f.Code)]++
		if f.Code.NeedsPerson() {
			person++
		}
	}
	if person > 0 {
		o.Needed = append(o.Needed, fmt.Sprintf("%d failed orders wait for a decision: orderctl list --needs person", person))
	}
	return nil
}

func (a *app) countLetters(ctx context.Context, o *overview) error {
	for _, q := range deadLetterQueues() {
		url, err := a.optional(ctx, q.variable)
		if err != nil {
			return err
		}
		if url == "" {
			continue
		}
		c, err := a.cloud(ctx)
		if err != nil {
			return err
		}
		const visible, hidden = types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
		out, err := c.queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: []types.QueueAttributeName{visible, hidden}})
		if err != nil {
			return fmt.Errorf("count dead letters of %s: %w", q.name, err)
		}
		n, _ := strconv.Atoi(out.Attributes[string(visible)]) // always a number
		held, _ := strconv.Atoi(out.Attributes[string(hidden)])
		o.DeadLetters[q.name] = n + held
		if n+held > 0 {
			o.Needed = append(o.Needed, fmt.Sprintf("%d dead letters of %s: orderctl redrive --queue %s --dry-run shows them", n+held, q.name, q.name))
		}
	}
	return nil
}

func (a *app) statusPage(p *printer, o overview, sides []order.Control) {
	now := a.now()
	line := func(name, format string, args ...any) {
		fmt.Fprintf(p, "  %-12s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintln(p, "Switches")
	for _, c := range sides {
		line(string(c.Side), "%s", breakerText(c, now))
		for _, h := range c.Held() {
			line("", "paused %s", holdText(h, now))
		}
		switch {
		case c.LookBefore.Equal(order.LookAlways()):
			line("", "every order is searched in WHMCS first")
		case !c.LookBefore.IsZero():
			line("", "orders created before %s are searched in WHMCS first", clock(c.LookBefore))
		}
	}
	fmt.Fprintln(p, "\nOrders")
	line("open", "%s", countsText(o.Open))
	if o.Oldest != nil {
		line("oldest open", "%s, %s since %s, %s", o.Oldest.ID, o.Oldest.State, ago(o.Oldest.since, now), cmp.Or(o.Oldest.Code, "no error"))
	}
	line("failed", "%s", countsText(o.Failed))
	compared := "not compared yet"
	if o.ConfirmedUntil != "" {
		compared = "compared until " + o.ConfirmedUntil
	}
	line("Salesforce", "%s, refuses %d orders", compared, len(o.Refused))
	if len(o.DeadLetters) > 0 {
		line("dead letters", "%s", countsText(o.DeadLetters))
	}
	fmt.Fprintln(p, "\nAlarms")
	switch {
	case o.AlarmsUnread != "":
		line("not known", "%s", o.AlarmsUnread)
	case len(o.Alarms) == 0:
		line("firing", "none")
	}
	for _, alarm := range o.Alarms {
		fmt.Fprintf(p, "  %s\n", oneLine(fmt.Sprintf("%s fires since %s: %s", alarm.Name, alarm.Since, alarm.Reason)))
	}
	fmt.Fprintln(p, "\nA person is needed")
	if len(o.Needed) == 0 {
		fmt.Fprintln(p, "  for nothing")
	}
	for _, n := range o.Needed {
		fmt.Fprintf(p, "  %s\n", oneLine(n))
	}
}

func breakerText(c order.Control, now time.Time) string {
	switch {
	case c.Open(now):
		return fmt.Sprintf("breaker open (%s), next probe %s", c.Why, inTime(c.OpenUntil, now))
	case c.ProbeDue(now):
		return fmt.Sprintf("breaker open (%s), a probe is due", c.Why)
	}
	if all := c.Unanswered(now); len(all) > 0 {
		return "serves, but " + unansweredText(c, all[0], now)
	}
	return "serves"
}

// unansweredText says that orders wait which send an effect.
func unansweredText(c order.Control, effect string, now time.Time) string {
	d := c.Unsure[effect]
	if d.Until.After(now) {
		return fmt.Sprintf("%s is not answered (%s): orders that send it wait, one tries it %s", effect, d.Why, inTime(d.Until, now))
	}
	return fmt.Sprintf("%s is not answered (%s): the next order that sends it tries it alone", effect, d.Why)
}

// countsText is "3: 2 waiting, 1 queued".
func countsText(counts map[string]int) string {
	total, text := 0, ""
	names := slices.SortedFunc(maps.Keys(counts), func(x, y string) int { return cmp.Or(counts[y]-counts[x], cmp.Compare(x, y)) })
	for i, name := range names {
		total += counts[name]
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", counts[name], name)
	}
	if total == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: %s", total, text)
}
