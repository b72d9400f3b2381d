package provision

import (
	"context"
	"errors"
	"fmt"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Examiner reads an order with all that is wrong with it (Salesforce).
type Examiner interface {
	Examine(ctx context.Context, id order.ID) (order.Request, []error)
}

// Checkup is what an engine would meet if it began an order now.
type Checkup struct {
	// Problems are the reasons why the order would fail, in the order in which
	// the engine would meet them. Each is a *fault.Error.
	Problems []error
	// Plan is what AddOrder would be asked for; nil where there is a problem.
	Plan     *order.Plan
	Products map[int64]order.ProductInfo
}

// Check says what would be ordered for an order of which nothing was sent yet,
// or every reason why it would fail. It reads alone; rec is what the table
// holds, the zero Record where it holds nothing.
func (e *Engine) Check(ctx context.Context, orders Examiner, id order.ID, rec order.Record) Checkup {
	var c Checkup
	req, problems := orders.Examine(ctx, id)
	c.Problems = problems
	if req.ID.IsZero() {
		return c
	}
	if err := e.checkHeld(ctx, req, rec); err != nil {
		c.Problems = append(c.Problems, err)
	}
	if req.ClientID > 0 {
		if err := e.d.Billing.Client(ctx, req.ClientID); err != nil {
			c.Problems = append(c.Problems, coded(err))
		}
	}
	if len(req.Lines) == 0 {
		return c
	}
	products, err := e.d.Billing.Products(ctx, productIDs(req))
	if err != nil {
		c.Problems = append(c.Problems, coded(err))
		return c
	}
	c.Products = products
	plan, err := makePlan(req, products, e.cfg.PaymentMethod)
	if err == nil && len(c.Problems) == 0 {
		c.Plan = &plan
	}
	if err != nil {
		c.Problems = append(c.Problems, linesProblems(req, products, e.cfg.PaymentMethod, err)...)
	}
	return c
}

// linesProblems are the reasons why lines cannot be planned: of each line its
// own, else whole, that of all together.
func linesProblems(req order.Request, products map[int64]order.ProductInfo, method string, whole error) (all []error) {
	seen := map[string]bool{}
	for _, l := range req.Lines {
		alone := req
		alone.Lines = []order.Line{l}
		if _, err := makePlan(alone, products, method); err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			all = append(all, err)
		}
	}
	if len(all) == 0 {
		all = append(all, whole)
	}
	return all
}

// checkHeld looks at the WHMCS order that Salesforce names, where the table
// knows none: a clone carries the one of its original.
func (e *Engine) checkHeld(ctx context.Context, req order.Request, rec order.Record) error {
	if req.WHMCSOrderID == "" || rec.WHMCSOrderID != "" {
		return nil
	}
	held, exists, err := e.d.Billing.Order(ctx, req.WHMCSOrderID, req.ClientID)
	switch {
	case err != nil:
		return coded(err)
	case !exists || !held.Marker.Names(req.ID):
		return fault.Wrap(fault.WHMCSIDForeign, fmt.Errorf("WHMCS order %s, exists: %t, its marker names %q", req.WHMCSOrderID, exists, string(held.Marker)))
	}
	return nil
}

// coded is err with a code.
func coded(err error) error {
	if errors.As(err, new(*fault.Error)) {
		return err
	}
	return fault.Wrap(fault.Internal, err)
}
