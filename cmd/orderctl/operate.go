package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// retryMost bounds a retry of all orders of a code that names no bound.
const retryMost = 10

func (a *app) retryCommand() *cobra.Command {
	var f filter
	var by, why string
	var most int
	return a.verb(spec{
		group: groupMend, use: "retry (ID… | - | --code CODE) --by WHO --why TEXT", short: "try failed orders again, as a click of the button does",
		long:  "The order goes on at its recovery point: it searches, reads and compares before it\nsends anything. After module_failed it consents to one more run of the module.\nNo signing secret is needed.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{
			`retry 801000000000001AAA --by ann --why "the mapping is corrected"`,
			`retry --code product_not_mapped --max 50 --dry-run --by ann --why "mapped"`,
			`list --code salesforce_row_refused --json | jq -r .[].order_id | orderctl retry - --by ann --why "rule corrected"`,
		},
		flags: func(flags *pflag.FlagSet) {
			f.flags(flags)
			flags.IntVar(&most, "max", retryMost, "with --code or another filter: at most `N` orders, the oldest first")
			flags.StringVar(&by, "by", "", usageBy)
			flags.StringVar(&why, "why", "", usageWhy)
		},
		check: func(args []string) error {
			filtered := len(f.codes) > 0 || f.needs != "" || f.account != "" || f.since > 0 || f.olderThan > 0
			switch {
			case filtered == (len(args) > 0):
				return usagef("retry needs order ids, - for those on the standard input, or --code CODE")
			case len(f.states) > 0:
				return usagef("retry is for failed orders alone: --state says nothing here")
			case most < 1:
				return usagef("--max is a number of orders, 1 or more")
			case !filtered:
				if err := someOrders(args); err != nil {
					return err
				}
			}
			if err := f.check(); err != nil {
				return err
			}
			return accountable(by, why)
		},
		do: func(ctx context.Context, args []string) error {
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			ids, err := a.failedOrders(ctx, table, args, f, most)
			if err != nil || len(ids) == 0 {
				return err
			}
			return a.decide(ctx, table, ids, "retry", order.Resolution{Retry: true, By: by, Why: why})
		},
	})
}

// failedOrders are the orders that the arguments or the filter mean.
func (a *app) failedOrders(ctx context.Context, table ledger, args []string, f filter, most int) ([]order.ID, error) {
	if len(args) > 0 {
		return a.orderIDs(args)
	}
	f.states = []string{string(order.Failed)}
	rows, err := a.find(ctx, table, f)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.err, "no such order")
		return nil, nil
	}
	if len(rows) > most {
		fmt.Fprintf(a.err, "%d orders, of which the oldest %d are taken: --max N takes more\n", len(rows), most)
		rows = rows[len(rows)-most:]
	}
	var ids []order.ID
	for _, r := range rows {
		id, err := parseID(r.ID)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// outcome is what a write made of an order.
type outcome struct {
	ID    string `json:"order_id"`
	State string `json:"state"`
	Point string `json:"point"`
	Seq   int64  `json:"seq"`
	// DryRun: nothing was written; this is what would be.
	DryRun bool `json:"dry_run,omitempty"`
}

func outcomeOf(r order.Record, dry bool) outcome {
	return outcome{ID: r.ID.String(), State: string(r.State), Point: string(r.RecoveryPoint), Seq: int64(r.Seq), DryRun: dry}
}

// decide carries one decision out on each order.
func (a *app) decide(ctx context.Context, table ledger, ids []order.ID, verb string, d order.Resolution) error {
	what := fmt.Sprintf("%s %s", verb, ids[0])
	if len(ids) > 1 {
		what = fmt.Sprintf("%s %d orders", verb, len(ids))
	}
	yes, err := a.write(ctx, what)
	if err != nil {
		return err
	}
	return a.each(ids, func(id order.ID) error {
		d.ID, d.Now = id, a.now()
		var r order.Record
		var err error
		if yes {
			r, err = table.Resolve(ctx, d)
		} else if r, _, err = table.Get(ctx, id); err == nil {
			r, err = r.Resolve(d)
		}
		if err != nil {
			return notFound(id, err)
		}
		return a.print(outcomeOf(r, !yes), func(p *printer) {
			is := "is"
			if !yes {
				is = "would be"
			}
			fmt.Fprintf(p, "%s %s %s at point %s\n", id, is, r.State, r.RecoveryPoint)
		})
	})
}

func (a *app) resolveCommand() *cobra.Command {
	var d order.Resolution
	return a.verb(spec{
		group: groupMend, use: "resolve ID… (--adopt N [--any-client] | --none | --stop | --undo-adopt) --by WHO --why TEXT",
		short: "record what a person found out about a failed order",
		needs: "TABLE_NAME", writes: true,
		examples: []string{
			`resolve 801000000000001AAA --adopt 1234 --by ann --why "order 1234 is it, see the client's notes"`,
			`resolve 801000000000001AAA --none --by ann --why "searched client 42 and all orders of that day"`,
			`resolve 801000000000001AAA --stop --by ann --why "the customer withdrew"`,
		},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&d.Adopt, "adopt", "", "`N` is the WHMCS order of this one; provisioning goes on with it")
			flags.BoolVar(&d.AnyClient, "any-client", false, "with --adopt: the WHMCS order may belong to another client")
			flags.BoolVar(&d.None, "none", false, "say that WHMCS has no live order of this one; it is searched for once more, then ordered again")
			flags.BoolVar(&d.Stop, "stop", false, "leave it failed with code stopped; a new click reopens it and searches WHMCS first")
			flags.BoolVar(&d.UndoAdopt, "undo-adopt", false, "take a wrong --adopt back, also of a provisioned order; its own WHMCS order is searched for")
			flags.StringVar(&d.By, "by", "", usageBy)
			flags.StringVar(&d.Why, "why", "", usageWhy)
		},
		check: func(args []string) error {
			if err := someOrders(args); err != nil {
				return err
			}
			if d.Adopt != "" && (len(args) != 1 || args[0] == "-") {
				return usagef("--adopt is said of one order: a WHMCS order belongs to one")
			}
			return decided(d)
		},
		do: func(ctx context.Context, args []string) error {
			ids, err := a.orderIDs(args)
			if err != nil {
				return err
			}
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			return a.decide(ctx, table, ids, "resolve", d)
		},
	})
}

var whmcsOrderID = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

func decided(d order.Resolution) error {
	chosen := 0
	for _, yes := range []bool{d.Adopt != "", d.None, d.Stop, d.UndoAdopt} {
		if yes {
			chosen++
		}
	}
	if chosen != 1 {
		return usagef("exactly one of --adopt N, --none, --stop and --undo-adopt is needed")
	}
	if d.AnyClient && d.Adopt == "" {
		return usagef("--any-client belongs to --adopt N")
	}
	if d.Adopt != "" && !whmcsOrderID.MatchString(d.Adopt) {
		return usagef("--adopt needs the number of a WHMCS order, not %q", d.Adopt)
	}
	return accountable(d.By, d.Why)
}

func (a *app) pauseCommand() *cobra.Command {
	var by, why string
	return a.verb(spec{
		group: groupMend, use: "pause --by WHO --why TEXT", short: "stop all work on WHMCS; callouts are still accepted and queued",
		long:  "What was about to be sent may still leave for 5 s and SEND_WINDOW (15 s).\nEach person has a pause of their own: work goes on once everyone has resumed.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{`pause --by ann --why "WHMCS is being upgraded"`},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&by, "by", "", usageBy)
			flags.StringVar(&why, "why", "", usageWhy)
		},
		check: func(args []string) error {
			if len(args) > 0 {
				return usagef("pause concerns all orders and takes no argument; one order is stopped by resolve --stop")
			}
			return accountable(by, why)
		},
		do: func(ctx context.Context, _ []string) error {
			return a.throw(ctx, "pause all work on WHMCS", func(table ledger) error { return table.Pause(ctx, why, by, a.now()) },
				"paused: what was about to be sent may still leave for 5 s and SEND_WINDOW (15 s unless it was set), nothing after that")
		},
	})
}

func (a *app) resumeCommand() *cobra.Command {
	var by, of string
	var all bool
	return a.verb(spec{
		group: groupMend, use: "resume --by WHO [--of NAME | --all]", short: "end your pause, or another's; work goes on once nobody pauses",
		long:  "The clock fills the queue within a minute.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{"resume --by ann", "resume --by bob --of ann    # ann cannot be reached", "resume --by bob --all"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&by, "by", "", usageBy)
			flags.StringVar(&of, "of", "", "`NAME` whose pause is ended, instead of your own")
			flags.BoolVar(&all, "all", false, "end every pause")
		},
		check: func(args []string) error {
			switch {
			case len(args) > 0:
				return usagef("resume takes no argument")
			case by == "":
				return usagef("--by WHO is needed")
			case all && of != "":
				return usagef("--of and --all exclude each other")
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error { return a.resume(ctx, by, of, all) },
	})
}

func (a *app) resume(ctx context.Context, by, of string, all bool) error {
	table, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	before, err := table.Control(ctx, order.SideWHMCS)
	if err != nil {
		return err
	}
	if of == "" {
		of = by
	}
	what := "end the pause of " + of
	if all {
		what = "end every pause"
	}
	// What the switch would refuse is said before a person is asked.
	if _, err := before.Release(of, by, a.now()); err != nil && !(all && before.Paused) {
		return resumable(before, by, err)
	}
	for _, h := range before.Held() {
		fmt.Fprintf(a.err, "paused %s\n", holdText(h, a.now()))
	}
	return a.throw(ctx, what, func(ledger) error {
		if all {
			return table.Resume(ctx, by, a.now())
		}
		return table.Release(ctx, of, by, a.now())
	}, "resumed")
}

// resumable adds to a refusal how another's pause is ended.
func resumable(c order.Control, by string, err error) error {
	var known *fault.Error
	if held := c.Held(); len(held) > 0 && errors.As(err, &known) {
		return fault.New(known.Code, fmt.Sprintf("%s End it with: orderctl resume --by %s --of %s", known.Advice, by, held[0].By))
	}
	return err
}

// throw changes the switch of WHMCS and says how it then is.
func (a *app) throw(ctx context.Context, what string, change func(ledger) error, done string) error {
	table, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	yes, err := a.write(ctx, what)
	if err != nil {
		return err
	}
	if yes {
		if err := change(table); err != nil {
			return err
		}
	}
	c, err := table.Control(ctx, order.SideWHMCS)
	if err != nil {
		return err
	}
	return a.print(viewSide(c, a.now()), func(p *printer) {
		if !yes {
			return
		}
		fmt.Fprintln(p, done)
		if held := c.Held(); len(held) > 0 && done == "resumed" {
			fmt.Fprintln(p, "work is still paused:")
			for _, h := range held {
				fmt.Fprintf(p, "  %s\n", holdText(h, a.now()))
			}
		}
		if open, _, err := table.Open(ctx, 0); err == nil && len(open) > 0 {
			fmt.Fprintf(p, "%d orders wait\n", len(open))
		}
	})
}

func (a *app) pushCommand() *cobra.Command {
	var by string
	return a.verb(spec{
		group: groupMend, use: "push ID… [--by WHO]", short: "tell Salesforce once more what an order is, with a newer seq",
		needs: "TABLE_NAME", writes: true,
		examples: []string{"push 801000000000001AAA --by ann"},
		flags:    func(flags *pflag.FlagSet) { flags.StringVar(&by, "by", "orderctl", usageBy) },
		check:    someOrders,
		do: func(ctx context.Context, args []string) error {
			yes, err := a.write(ctx, "push "+strings.Join(args, " "))
			if err != nil {
				return err
			}
			return a.onOrders(ctx, args, func(table ledger, id order.ID) error {
				if !yes {
					_, found, err := table.Get(ctx, id)
					if err == nil && !found {
						err = unknownOrder(id)
					}
					return err
				}
				return a.push(ctx, table, id, by)
			})
		},
	})
}

// push makes Salesforce hear of an order once more: the write wakes
// StatusPushFunction, which reads the item.
func (a *app) push(ctx context.Context, table ledger, id order.ID, by string) error {
	now := a.now()
	r, err := table.Bump(ctx, id, 0, now, order.Entry{At: now, Event: "push", By: by})
	switch {
	case fault.CodeOf(err) == fault.OrderNotFound:
		return unknownOrder(id)
	case err != nil:
		return err
	}
	return a.print(outcomeOf(r, false), func(p *printer) { fmt.Fprintf(p, "%s: %s with seq %d goes to Salesforce\n", r.ID, r.Status(), r.Seq) })
}
