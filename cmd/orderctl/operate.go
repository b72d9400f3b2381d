package main

import (
	"context"
	"flag"
	"fmt"
	"regexp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func resolveCommand() command {
	return command{
		name:     "resolve",
		synopsis: "ID (--adopt N [--any-client] | --none | --stop | --undo-adopt) --by WHO --why TEXT",
		summary:  "record what a person found out about a failed order",
		needs:    "TABLE_NAME",
		examples: []string{
			`resolve 801000000000001AAA --adopt 1234 --by ann --why "order 1234 is it, see the client's notes"`,
			`resolve 801000000000001AAA --none --by ann --why "searched client 42 and all orders of that day"`,
			`resolve 801000000000001AAA --stop --by ann --why "the customer withdrew"`,
		},
		setup: func(flags *flag.FlagSet) action {
			var res order.Resolution
			flags.StringVar(&res.Adopt, "adopt", "", "`N` is the WHMCS order of this one; provisioning goes on with it")
			flags.BoolVar(&res.None, "none", false, "say that WHMCS has no live order of this one; it is searched for once more, then ordered again")
			flags.BoolVar(&res.Stop, "stop", false, "leave it failed with code stopped; a new click reopens it and looks first")
			flags.BoolVar(&res.AnyClient, "any-client", false, "with --adopt: the WHMCS order may belong to another client")
			flags.BoolVar(&res.UndoAdopt, "undo-adopt", false, "take a wrong --adopt back, also of a provisioned order; its own WHMCS order is searched for")
			flags.StringVar(&res.By, "by", "", usageBy)
			flags.StringVar(&res.Why, "why", "", usageWhy)
			check := func() error { return decided(res) }
			return onOrder(check, func(ctx context.Context, c console, table ledger, id order.ID) error {
				res.ID, res.Now = id, c.now()
				r, err := table.Resolve(ctx, res)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.out, "%s is %s at point %s\n", r.ID, r.State, r.RecoveryPoint)
				return nil
			})
		},
	}
}

var whmcsOrderID = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

func decided(res order.Resolution) error {
	chosen := 0
	for _, yes := range []bool{res.Adopt != "", res.None, res.Stop, res.UndoAdopt} {
		if yes {
			chosen++
		}
	}
	if chosen != 1 {
		return usagef("exactly one of --adopt N, --none, --stop and --undo-adopt is needed")
	}
	if res.AnyClient && res.Adopt == "" {
		return usagef("--any-client belongs to --adopt N")
	}
	if res.Adopt != "" && !whmcsOrderID.MatchString(res.Adopt) {
		return usagef("--adopt needs the number of a WHMCS order, not %q", res.Adopt)
	}
	return accountable(res.By, res.Why)
}

func pauseCommand() command {
	return command{
		name:     "pause",
		synopsis: "--by WHO --why TEXT",
		summary:  "stop all work on WHMCS; callouts are still accepted and queued",
		needs:    "TABLE_NAME",
		examples: []string{`pause --by ann --why "WHMCS is being upgraded"`},
		setup: func(flags *flag.FlagSet) action {
			by := flags.String("by", "", usageBy)
			why := flags.String("why", "", usageWhy)
			check := func(args []string) error {
				if len(args) > 0 {
					return usagef("pause concerns all orders and takes no argument; one order is stopped by resolve --stop")
				}
				return accountable(*by, *why)
			}
			return onTable(check, func(ctx context.Context, c console, table ledger) error {
				if err := table.Pause(ctx, *why, *by, c.now()); err != nil {
					return err
				}
				fmt.Fprint(c.out, "paused: a send that has begun ends, no other one begins\n")
				return nil
			})
		},
	}
}

func resumeCommand() command {
	return command{
		name:     "resume",
		synopsis: "--by WHO",
		summary:  "take work up again; the clock fills the queue within a minute",
		needs:    "TABLE_NAME",
		examples: []string{"resume --by ann"},
		setup: func(flags *flag.FlagSet) action {
			by := flags.String("by", "", usageBy)
			check := func(args []string) error {
				if len(args) > 0 {
					return usagef("resume takes no argument")
				}
				if *by == "" {
					return usagef("--by WHO is needed")
				}
				return nil
			}
			return onTable(check, func(ctx context.Context, c console, table ledger) error {
				if err := table.Resume(ctx, *by, c.now()); err != nil {
					return err
				}
				fmt.Fprint(c.out, "resumed\n")
				return nil
			})
		},
	}
}

func pushCommand() command {
	return command{
		name:     "push",
		synopsis: "ID --by WHO",
		summary:  "tell Salesforce once more what this order is, with a newer seq",
		needs:    "TABLE_NAME",
		examples: []string{"push 801000000000001AAA --by ann"},
		setup: func(flags *flag.FlagSet) action {
			by := flags.String("by", "orderctl", usageBy)
			return onOrder(nil, func(ctx context.Context, c console, table ledger, id order.ID) error {
				return push(ctx, c, table, id, *by)
			})
		},
	}
}

// push makes Salesforce hear of an order once more: the write wakes
// StatusPushFunction, which reads the item.
func push(ctx context.Context, c console, table ledger, id order.ID, by string) error {
	now := c.now()
	r, err := table.Bump(ctx, id, 0, now, order.Entry{At: now, Event: "push", By: by})
	switch {
	case fault.CodeOf(err) == fault.OrderNotFound:
		return unknownOrder(id)
	case err != nil:
		return err
	}
	fmt.Fprintf(c.out, "%s: %s with seq %d goes to Salesforce\n", r.ID, r.Status(), r.Seq)
	return nil
}
