package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orderbridge/shared/order"
)

// moment is one line of a timeline.
type moment struct {
	At     string `json:"at"`
	Of     string `json:"of"` // order, or the side whose switch was thrown
	Event  string `json:"event"`
	Detail string `json:"detail,omitempty"`
	By     string `json:"by,omitempty"`

	at time.Time
}

func (a *app) timelineCommand() *cobra.Command {
	return a.verb(spec{
		group: groupFind, use: "timeline ID…", short: "show what happened to an order, line by line, with the switches that were thrown meanwhile",
		needs:    "TABLE_NAME",
		examples: []string{"timeline 801000000000001AAA", "timeline 801000000000001AAA --json | jq -r '.events[].event'"},
		check:    someOrders,
		do: func(ctx context.Context, args []string) error {
			return a.onOrders(ctx, args, func(table ledger, id order.ID) error { return a.timeline(ctx, table, id) })
		},
	})
}

func (a *app) timeline(ctx context.Context, table ledger, id order.ID) error {
	r, found, err := table.Get(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return unknownOrder(id)
	}
	all := moments("order", r.History)
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		c, err := table.Control(ctx, side)
		if err != nil {
			return err
		}
		for _, m := range moments(string(side), c.History) {
			if !m.at.Before(r.CreatedAt) && (r.State.Open() || !m.at.After(r.UpdatedAt)) {
				all = append(all, m)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y moment) int { return x.at.Compare(y.at) })
	return a.print(map[string]any{"order_id": id.String(), "events": all}, func(p *printer) {
		fmt.Fprintf(p, "%s  %s\n\n", id, headline(r))
		var before time.Time
		for _, m := range all {
			gap := ""
			if !before.IsZero() {
				gap = "+" + m.at.Sub(before).Round(time.Millisecond).String()
			}
			before = m.at
			who := ""
			if m.Of != "order" {
				who = m.Of + " "
			}
			line := fmt.Sprintf("  %s  %10s  %-22s %s", m.at.UTC().Format("2006-01-02 15:04:05.000Z"), gap, who+oneLine(m.Event), oneLine(m.Detail))
			if m.By != "" {
				line += " (" + oneLine(m.By) + ")"
			}
			fmt.Fprintln(p, strings.TrimRight(line, " "))
		}
	})
}

func moments(of string, history []order.Entry) []moment {
	all := make([]moment, 0, len(history))
	for _, e := range history {
		all = append(all, moment{At: jsonTime(e.At), Of: of, Event: e.Event, Detail: e.Detail, By: e.By, at: e.At})
	}
	return all
}
