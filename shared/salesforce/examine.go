package salesforce

import (
	"context"
	"fmt"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Examine is Load for a person: beside what could be mapped it returns the
// reasons why the order cannot be provisioned, the one of the account or the
// order first, then one of each line.
func (c *Client) Examine(ctx context.Context, id order.ID) (order.Request, []error) {
	req, o, items, err := c.fetch(ctx, id)
	if err != nil {
		return req, []error{err}
	}
	var problems []error
	lines := req
	// Without a line the mapping ends before the lines.
	if err := c.mapInto(&req, o, nil); err != nil && (len(items) == 0 || fault.CodeOf(err) != fault.OrderEmpty) {
		problems = append(problems, err)
	}
	for _, it := range items {
		line, err := c.line(it)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		lines.Lines = append(lines.Lines, line)
	}
	req.Lines, req.PromoCode = lines.Lines, o.text(c.cfg.Optional.PromoCode)
	return req, problems
}

// Numbered returns the orders that have this order number.
func (c *Client) Numbered(ctx context.Context, number string) ([]order.ID, error) {
	if err := c.braked(); err != nil {
		return nil, err
	}
	found, err := c.query(ctx, "SELECT "+fieldID+" FROM "+objectOrder+" WHERE "+fieldNumber+" = "+quote(number))
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, r := range found {
		id, err := order.ParseID(r.text(fieldID))
		if err != nil {
			return nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("read order of number %.30s: %w", number, err))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ShownSince returns what the org shows of each order that was told once and
// was changed after since. Errors carry salesforce_* codes.
func (c *Client) ShownSince(ctx context.Context, since time.Time) (map[order.ID]order.Shown, error) {
	if err := c.braked(); err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, fmt.Sprintf("SELECT %s, %s, %s FROM %s WHERE %s > %s AND %s > 0", fieldID, fieldStatus, fieldWHMCSOrder, objectOrder, fieldModified, literal(since), fieldSeq))
	if err != nil {
		return nil, err
	}
	all := make(map[order.ID]order.Shown, len(rows))
	for _, r := range rows {
		id, err := order.ParseID(r.text(fieldID))
		if err != nil {
			return nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("read orders since %s: %w", since, err))
		}
		all[id] = order.Shown{ID: id, Status: order.Status(r.text(fieldStatus)), WHMCSOrderID: wholeText(r.text(fieldWHMCSOrder))}
	}
	return all, nil
}
