package main

import (
	"context"
	"flag"
	"fmt"
	"time"
)

func reconcileCommand() command {
	return command{
		name:     "reconcile",
		synopsis: "--since D --by WHO",
		summary:  "have every change since then compared with what Salesforce shows; StatusPushFunction begins within a minute",
		needs:    "TABLE_NAME",
		examples: []string{"reconcile --since 24h --by ann", "reconcile --since 2026-11-27T18:00:00Z --by ann"},
		setup: func(flags *flag.FlagSet) action {
			since := flags.String("since", "", "`D` is a duration such as 24h, or a time")
			by := flags.String("by", "", usageBy)
			check := func(args []string) error {
				if len(args) > 0 {
					return usagef("reconcile takes no argument; one order is pushed by orderctl push ID")
				}
				if *by == "" {
					return usagef("--by WHO is needed")
				}
				_, err := sinceTime(*since, time.Time{})
				return err
			}
			return onTable(check, func(ctx context.Context, c console, table ledger) error {
				from, err := sinceTime(*since, c.now())
				if err != nil {
					return err
				}
				return reconcile(ctx, c, table, from, *by)
			})
		},
	}
}

// sinceTime reads a duration before now, or a time.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usagef("--since needs a duration such as 24h, or a time such as 2026-11-27T18:00:00Z, not %q", s)
	}
	return at, nil
}

// reconcile moves the marks back up to which Salesforce was compared.
func reconcile(ctx context.Context, c console, table ledger, since time.Time, by string) error {
	if err := table.Reconcile(ctx, since, by, c.now()); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "every change since %s is compared with Salesforce, from the next minute on\n", since.UTC().Format(time.RFC3339))
	return nil
}
