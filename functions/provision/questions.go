package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/question"
)

// prober asks a side now.
type prober interface {
	ProbeNow(ctx context.Context) (*order.Blocked, error)
}

// desk answers questions. It only reads, but for a probe, which may close a breaker.
type desk struct {
	engine interface {
		Check(ctx context.Context, orders provision.Examiner, id order.ID, rec order.Record) provision.Checkup
	}
	table interface {
		Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	}
	orders interface {
		provision.Examiner
		Numbered(ctx context.Context, number string) ([]order.ID, error)
		Diagnose(ctx context.Context) []fault.Finding
		Sold(ctx context.Context) (sold map[int64][]order.Cycle, made map[string]order.ID, err error)
	}
	billing interface {
		Order(ctx context.Context, whmcsOrderID string, clientID int64) (order.BillingOrder, bool, error)
		Diagnose(ctx context.Context, sold map[int64][]order.Cycle, made map[string]order.ID) []fault.Finding
	}
	sides  map[string]prober
	skewed func() error
	clerk  *clerk
}

// answer answers one question; what keeps it from that is its answer too, with
// its code. An error is a question that was not understood.
func (d *desk) answer(ctx context.Context, q question.Question) (any, error) {
	out, err := d.look(ctx, q)
	if q.Audit != nil && q.Audit.Days > 0 {
		// Nobody reads an answer to the schedule: the alarm on errors calls.
		if a, ok := out.(question.Audited); ok && err == nil && a.Next != "" {
			err = fmt.Errorf("audit: the time was enough for %d orders, not for all; orderctl audit goes on by itself", a.Orders)
		}
		return out, err
	}
	var known *fault.Error
	if errors.As(err, &known) {
		text := fault.TextOf(err)
		if known.Err != nil {
			text += " (" + known.Err.Error() + ")"
		}
		return question.Refusal{Code: string(known.Code), Text: text}, nil
	}
	return out, err
}

func (d *desk) look(ctx context.Context, q question.Question) (any, error) {
	switch {
	case q.Check != "":
		return d.check(ctx, q.Check)
	case q.Find != "":
		return d.find(ctx, q.Find)
	case q.Probe != "":
		return d.probe(ctx, q.Probe)
	case q.Audit != nil:
		return d.clerk.audit(ctx, *q.Audit)
	}
	return d.diagnose(ctx), nil
}

func (d *desk) check(ctx context.Context, text string) (any, error) {
	id, err := order.ParseID(text)
	if err != nil {
		return nil, fmt.Errorf("check order: %w", err)
	}
	rec, found, err := d.table.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("check order: %w", err)
	}
	out := question.Checked{ID: id.String(), State: string(rec.State)}
	if found {
		out.Note = noteOf(rec)
	}
	if rec.State == order.Provisioned {
		return out, nil
	}
	c := d.engine.Check(ctx, d.orders, id, rec)
	for _, p := range c.Problems {
		out.Problems = append(out.Problems, question.Problem{Code: string(fault.CodeOf(p)), Text: fault.TextOf(p)})
	}
	if p := c.Plan; p != nil {
		out.Plan = &question.Plan{ClientID: p.ClientID, PaymentMethod: p.PaymentMethod, PromoCode: p.PromoCode}
		for _, e := range p.Entries {
			out.Plan.Lines = append(out.Plan.Lines, question.Line{
				ItemID: e.ItemID, ProductID: e.ProductID, Name: c.Products[e.ProductID].Name, Cycle: string(e.Cycle),
				Quantity: e.Quantity, Services: e.Services, Domain: e.Domain, Hostname: e.Hostname,
			})
		}
	}
	return out, nil
}

// noteOf says what the table's record changes of what would be ordered.
func noteOf(r order.Record) string {
	switch {
	case r.State == order.Provisioned:
		return "Nothing would be ordered: it is Provisioned, by WHMCS order " + r.WHMCSOrderID + "."
	case r.RecoveryPoint == order.PointNone:
		return ""
	case r.WHMCSOrderID != "":
		return "Nothing new would be ordered: it goes on with WHMCS order " + r.WHMCSOrderID + "."
	}
	return "WHMCS is searched first: an AddOrder may have reached it. What is ordered then is the plan of that time, not this one."
}

// find returns the orders of which a person knows the WHMCS order id or the
// Salesforce order number.
func (d *desk) find(ctx context.Context, text string) (any, error) {
	ids := []string{}
	add := func(id string) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	made, exists, errWHMCS := d.billing.Order(ctx, strings.TrimLeft(text, "0"), 0)
	if exists {
		for _, word := range strings.Fields(string(made.Marker)) {
			if id, err := order.ParseID(word); err == nil {
				add(id.String())
			}
		}
	}
	numbered, errSalesforce := d.orders.Numbered(ctx, text)
	for _, id := range numbered {
		add(id.String())
	}
	if err := errors.Join(errWHMCS, errSalesforce); err != nil && len(ids) == 0 {
		return nil, fmt.Errorf("find %s: %w", text, err)
	}
	return question.Found{Orders: ids}, nil
}

func (d *desk) probe(ctx context.Context, side string) (any, error) {
	p := d.sides[side]
	if p == nil {
		return nil, fmt.Errorf("probe: there is no side %q", side)
	}
	blocked, err := p.ProbeNow(ctx)
	out := question.Probed{Side: side, Serves: err == nil && (blocked == nil || blocked.Why == "")}
	if err != nil {
		out.Code = string(fault.CodeOf(err))
	} else if blocked != nil && blocked.Why != "" {
		out.Code, out.Until = string(blocked.Why), blocked.Until.UTC()
	}
	return out, nil
}

// diagnose examines the installation, each side by itself.
func (d *desk) diagnose(ctx context.Context) any {
	all := d.orders.Diagnose(ctx)
	sold, made, err := d.orders.Sold(ctx)
	if err != nil {
		all = append(all, fault.Red("Salesforce", "the mapped products can be read", err))
	}
	all = append(all, d.billing.Diagnose(ctx, sold, made)...)
	all = append(all, fault.Check("clock", "it agrees with the table's", d.skewed()))
	rows := make([]lambdaenv.Finding, 0, len(all))
	for _, f := range all {
		rows = append(rows, lambdaenv.Finding(f))
	}
	return map[string]any{"findings": rows}
}
