package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) reconcileCommand() *cobra.Command {
	var since, by string
	return a.verb(spec{
		group: groupMend, use: "reconcile --since TIME --by WHO", short: "have every change since then compared with what Salesforce shows",
		long:  "StatusPushFunction begins within a minute, and tells Salesforce what it shows differently.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{"reconcile --since 24h --by ann", "reconcile --since 2026-11-20T18:00:00Z --by ann"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&since, "since", "", "`TIME` is a time such as 24h or 7d, or a moment")
			flags.StringVar(&by, "by", "", usageBy)
		},
		check: func(args []string) error {
			if len(args) > 0 {
				return usagef("reconcile takes no argument; one order is pushed by orderctl push ID")
			}
			if by == "" {
				return usagef("--by WHO is needed")
			}
			_, err := sinceTime(since, time.Time{})
			return err
		},
		do: func(ctx context.Context, _ []string) error {
			from, err := sinceTime(since, a.now())
			if err != nil {
				return err
			}
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			yes, err := a.write(ctx, "compare every change since "+jsonTime(from)+" with Salesforce")
			if err != nil || !yes {
				return err
			}
			return a.reconcile(ctx, table, from, by)
		},
	})
}

// sinceTime reads how long before now, or a moment.
func sinceTime(s string, now time.Time) (time.Time, error) {
	var d spanFlag
	if d.Set(s) == nil {
		return now.Add(-time.Duration(d)), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usagef("--since needs a time such as 24h or 7d, or a moment such as 2026-11-20T18:00:00Z, not %q", s)
	}
	return at, nil
}

// reconcile moves the marks back up to which Salesforce was compared.
func (a *app) reconcile(ctx context.Context, table ledger, since time.Time, by string) error {
	if err := table.Reconcile(ctx, since, by, a.now()); err != nil {
		return err
	}
	return a.print(map[string]string{"since": jsonTime(since)}, func(p *printer) {
		fmt.Fprintf(p, "every change since %s is compared with Salesforce, from the next minute on\n", since.UTC().Format(time.RFC3339))
	})
}
