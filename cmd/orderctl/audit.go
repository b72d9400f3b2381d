package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/question"
)

// auditSince is how far back an audit looks that names no time.
const auditSince = 48 * time.Hour

func (a *app) auditCommand() *cobra.Command {
	since := auditSince
	var asCSV bool
	return a.verb(spec{
		group: groupExplain, use: "audit [--since TIME] [--csv]", short: "compare table, WHMCS and Salesforce, and list the orders about which they differ",
		long:     "It runs inside ProvisionFunction, in parts if there are many orders, and only reads.\nClasses: doubled, foreign, missing, orphaned, drifted; docs/runbook.md says what to do\nabout each. Exit code 3 says that the books differ.",
		needs:    "PROVISION_FUNCTION",
		examples: []string{"audit", "audit --since 168h --csv", "audit --json | jq '.differences[] | .order_id'"},
		flags: func(flags *pflag.FlagSet) {
			flags.Var((*spanFlag)(&since), "since", "orders of the last `TIME`, like 48h or 7d")
			flags.BoolVar(&asCSV, "csv", false, "print comma separated values")
		},
		check: func(args []string) error {
			switch {
			case len(args) > 0:
				return usagef("audit takes no argument; one order is examined by orderctl check ID")
			case asCSV && (a.json || a.output == "json"):
				return usagef("--csv and --json exclude each other")
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error { return a.audit(ctx, since, asCSV) },
	})
}

func (a *app) audit(ctx context.Context, since time.Duration, asCSV bool) error {
	all, orders, err := a.auditParts(ctx, a.now().Add(-since))
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, d := range all {
		counts[d.Class]++
	}
	if asCSV {
		err = a.auditCSV(all)
	} else {
		err = a.print(map[string]any{"orders": orders, "counts": counts, "differences": all}, func(p *printer) {
			var rows [][]string
			for _, d := range all {
				rows = append(rows, []string{d.ID, d.Class, dash(strings.Join(d.WHMCSOrderIDs, " ")), d.Text})
			}
			if len(rows) > 0 {
				p.rows([]string{"ORDER", "CLASS", "WHMCS", "SEEN"}, rows)
			}
			fmt.Fprintf(p, "%d orders compared, differences %s\n", orders, countsText(counts))
		})
	}
	if err == nil && len(all) > 0 {
		return unfinished{fmt.Sprintf("the books differ about %d orders", len(all))}
	}
	return err
}

// auditParts asks for part after part, and says on a terminal how far it is.
func (a *app) auditParts(ctx context.Context, since time.Time) (all []question.Difference, orders int, err error) {
	all = []question.Difference{}
	for next := ""; ; {
		var part question.Audited
		if err := a.ask(ctx, question.Question{Audit: &question.Audit{Since: since.UTC().Truncate(time.Second), After: next}}, &part); err != nil {
			return nil, 0, err
		}
		all, orders = append(all, part.Differences...), orders+part.Orders
		if part.Next == "" || part.Next == next {
			return all, orders, nil
		}
		if next = part.Next; a.terminal {
			fmt.Fprintf(a.err, "%d orders compared, %d differences; it goes on\n", orders, len(all))
		}
	}
}

func (a *app) auditCSV(all []question.Difference) error {
	w := csv.NewWriter(a.out)
	rows := [][]string{{"order_id", "class", "whmcs_order_ids", "text"}}
	for _, d := range all {
		rows = append(rows, []string{d.ID, d.Class, strings.Join(d.WHMCSOrderIDs, " "), d.Text})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	return nil
}
