package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// row is an order as list prints it.
type row struct {
	ID           string `json:"order_id"`
	State        string `json:"state"`
	Code         string `json:"error_code,omitempty"`
	Needs        string `json:"needs,omitempty"`
	Point        string `json:"point"`
	WHMCSOrderID string `json:"whmcs_order_id,omitempty"`
	AccountID    string `json:"account_id,omitempty"`
	Since        string `json:"since"`

	since time.Time // of the failure, or of this try
}

var listHead = []string{"ORDER", "STATE", "CODE", "NEEDS", "POINT", "WHMCS", "ACCOUNT", "SINCE", "AGE"} //nolint:gochecknoglobals // a constant, but for the language

// Who must do something before an order can go on.
const (
	needsPerson  = "person"  // it failed where only a person can know
	needsMending = "mending" // the installation must be corrected first
)

// needs says who must do something about an order.
func needs(state order.State, code fault.Code) string {
	switch {
	case state == order.Failed && code.NeedsPerson():
		return needsPerson
	case state.Open() && code != "" && code.Kind() == fault.Config:
		return needsMending
	}
	return ""
}

func openRow(r order.Record) row {
	return row{
		ID: r.ID.String(), State: string(r.State), Code: string(r.ErrorCode), Needs: needs(r.State, r.ErrorCode), Point: string(r.RecoveryPoint),
		WHMCSOrderID: r.WHMCSOrderID, AccountID: r.AccountID, Since: jsonTime(r.OpenedAt), since: r.OpenedAt,
	}
}

func failedRow(f store.FailedOrder) row {
	return row{
		ID: f.ID.String(), State: string(order.Failed), Code: string(f.Code), Needs: needs(order.Failed, f.Code), Point: string(f.Point),
		WHMCSOrderID: f.WHMCSOrderID, AccountID: f.AccountID, Since: jsonTime(f.At), since: f.At,
	}
}

// filter says which orders are meant.
type filter struct {
	states           []string
	codes            []string
	needs, account   string
	olderThan, since time.Duration
	limit            int
}

func (f *filter) flags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.states, "state", nil, "only this `STATE`: open, queued, working, waiting or failed; several with commas")
	flags.StringSliceVar(&f.codes, "code", nil, "only this error `CODE`; several with commas")
	flags.StringVar(&f.needs, "needs", "", "only what needs this `WHO`: person, or mending of the installation")
	flags.StringVar(&f.account, "account", "", "only this Salesforce Account `ID`")
	flags.Var((*spanFlag)(&f.olderThan), "older-than", "only what stands as it is for this `TIME` or longer, like 15m")
	flags.Var((*spanFlag)(&f.since), "since", "only what came to be so in the last `TIME`, like 24h or 7d")
}

func (f *filter) check() error {
	for _, s := range f.states {
		if s == string(order.Provisioned) {
			return usagef("provisioned orders are in no list: they need nothing. Show one by its id: orderctl show ID")
		}
		if s != "open" && s != string(order.Failed) && !order.State(s).Open() {
			return usagef("--state is open, queued, working, waiting or failed, not %q", s)
		}
	}
	for _, c := range f.codes {
		if !fault.Code(c).Listed() {
			return usagef("there is no error code %q; docs/runbook.md lists them", c)
		}
	}
	if f.needs != "" && f.needs != needsPerson && f.needs != needsMending {
		return usagef("--needs is person or mending, not %q", f.needs)
	}
	if f.limit < 0 {
		return usagef("--limit is a number of orders, 0 for all")
	}
	if f.account == "" {
		return nil
	}
	account, ok := order.To18(f.account)
	if !ok || !strings.HasPrefix(account, "001") {
		return usagef("%q is not a Salesforce Account id (001…, 15 or 18 characters)", f.account)
	}
	f.account = account
	return nil
}

func (f *filter) wants(state order.State) bool {
	return len(f.states) == 0 || slices.Contains(f.states, string(state)) || state.Open() && slices.Contains(f.states, "open")
}

func (f *filter) matches(r row, now time.Time) bool {
	age := now.Sub(r.since)
	return f.wants(order.State(r.State)) &&
		(len(f.codes) == 0 || slices.Contains(f.codes, r.Code)) &&
		(f.needs == "" || f.needs == r.Needs) &&
		(f.account == "" || f.account == r.AccountID) &&
		age >= f.olderThan && (f.since == 0 || age <= f.since)
}

// find returns what the filter means, newest first.
func (a *app) find(ctx context.Context, table ledger, f filter) ([]row, error) {
	now := a.now()
	var all []row
	if f.wants(order.Failed) && f.needs != needsMending {
		var since time.Time
		if f.since > 0 {
			since = now.Add(-f.since)
		}
		failed, err := table.Failed(ctx, since, 0)
		if err != nil {
			return nil, err
		}
		for _, o := range failed {
			all = append(all, failedRow(o))
		}
	}
	if f.needs != needsPerson && (f.wants(order.Queued) || f.wants(order.Working) || f.wants(order.Waiting)) {
		open, _, err := table.Open(ctx, 0)
		if err != nil {
			return nil, err
		}
		for _, r := range open {
			all = append(all, openRow(r))
		}
	}
	all = slices.DeleteFunc(all, func(r row) bool { return !f.matches(r, now) })
	slices.SortStableFunc(all, func(x, y row) int { return cmp.Or(y.since.Compare(x.since), cmp.Compare(x.ID, y.ID)) })
	return all, nil
}

// listLimit is what fits on a screen and a little more.
const listLimit = 100

func (a *app) listCommand() *cobra.Command {
	var f filter
	return a.verb(spec{
		group: groupFind, use: "list [flags]", short: "list open and failed orders, newest first",
		long:  "It reads two sparse indexes: open orders, and failed ones with what this list shows.\nA provisioned order is in neither. The first word of each line is the order id, so\nthat the list can be piped into retry, push, resolve or show.",
		needs: "TABLE_NAME",
		examples: []string{
			"list                                     # everything that is not provisioned",
			"list --needs person                      # what only a person can decide",
			"list --code module_failed --since 24h",
			"list --state open --older-than 15m --json | jq -r .[].order_id",
		},
		flags: func(flags *pflag.FlagSet) {
			f.flags(flags)
			flags.IntVar(&f.limit, "limit", listLimit, "at most `N` orders; 0 = all")
		},
		check: func(args []string) error {
			if len(args) > 0 {
				return usagef("list takes no argument; one order is shown by orderctl show ID")
			}
			return f.check()
		},
		do: func(ctx context.Context, _ []string) error { return a.list(ctx, f) },
	})
}

func (a *app) list(ctx context.Context, f filter) error {
	table, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	all, err := a.find(ctx, table, f)
	if err != nil {
		return err
	}
	shown := all
	if f.limit > 0 && len(all) > f.limit {
		shown = all[:f.limit]
	}
	err = a.print(append([]row{}, shown...), func(p *printer) { a.rows(p, shown) })
	if more := len(all) - len(shown); more > 0 {
		fmt.Fprintf(a.err, "%d more: --limit 0 lists all\n", more)
	}
	return err
}

func (a *app) rows(p *printer, all []row) {
	if len(all) == 0 {
		fmt.Fprintln(p, "no such order")
		return
	}
	var cells [][]string
	for _, r := range all {
		cells = append(cells, []string{
			r.ID, r.State, dash(r.Code), dash(r.Needs), r.Point, dash(r.WHMCSOrderID), dash(r.AccountID), clock(r.since), span(a.now().Sub(r.since)),
		})
	}
	p.rows(listHead, cells)
}
