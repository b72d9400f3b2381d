package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// parseID reads a Salesforce Order id.
func parseID(s string) (order.ID, error) {
	id, err := order.ParseID(s)
	if err == nil {
		return id, nil
	}
	// Of 18 characters the last three are made from the case of the others.
	const short, long = 15, 18
	if len(s) == long {
		if _, err := order.ParseID(s[:short]); err == nil {
			return order.ID{}, usagef("order_id_invalid: %q was mistyped, or its upper and lower case were changed: its last three characters do not fit the others. Copy it again", s)
		}
	}
	return order.ID{}, usagef("order_id_invalid: %q is not a Salesforce Order id (801…, 15 or 18 characters)", s)
}

// oneOrder wants one argument that is an order id.
func oneOrder(args []string) error {
	if len(args) != 1 {
		return usagef("exactly one order id is needed, not %d", len(args))
	}
	_, err := parseID(args[0])
	return err
}

// someOrders wants order ids, or "-" for those on the standard input.
func someOrders(args []string) error {
	if len(args) == 0 {
		return usagef("an order id is needed, or - for those on the standard input")
	}
	for _, arg := range args {
		if arg == "-" {
			continue
		}
		if _, err := parseID(arg); err != nil {
			return err
		}
	}
	return nil
}

// orderIDs returns each order once, in the order of the arguments. "-" stands
// for the first word of each line of the standard input, as list prints it.
func (a *app) orderIDs(args []string) (ids []order.ID, err error) {
	seen := map[order.ID]bool{}
	add := func(s string) error {
		id, err := parseID(s)
		if err == nil && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		return err
	}
	for _, arg := range args {
		if arg != "-" {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(a.in)
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) == 0 || words[0] == listHead[0] {
				continue
			}
			if err := add(words[0]); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read order ids: %w", err)
		}
	}
	if len(ids) == 0 {
		return nil, usagef("the standard input holds no order id")
	}
	return ids, nil
}

// onOrders opens the table and does something to every order that the
// arguments mean.
func (a *app) onOrders(ctx context.Context, args []string, do func(table ledger, id order.ID) error) error {
	ids, err := a.orderIDs(args)
	if err != nil {
		return err
	}
	table, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	return a.each(ids, func(id order.ID) error { return do(table, id) })
}

// each does something to every order. One that fails does not keep the others
// back; the error then says how many failed.
func (a *app) each(ids []order.ID, do func(order.ID) error) error {
	if len(ids) == 1 {
		return do(ids[0])
	}
	var failed int
	var code int
	for _, id := range ids {
		if err := do(id); err != nil {
			code = max(code, a.report(err))
			if code == exitUnfinished {
				continue
			}
			failed++
			if unreachable(err) {
				break // the next one would fail the same way
			}
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d orders failed", failed, len(ids))
	case code == exitUnfinished:
		return unfinished{"not every order is finished"}
	}
	return nil
}

func unreachable(err error) bool {
	switch fault.CodeOf(awsFault(err)) {
	case fault.AWSCredentials, fault.AWSDenied, fault.AWSUnreachable:
		return true
	}
	return false
}

// unknownOrder says that the table has no such order.
func unknownOrder(id order.ID) error {
	return fault.New(fault.OrderNotFound, fmt.Sprintf("no callout of %s was ever recorded here (Salesforce reads Pending Review); send one: orderctl callout %s", id, id))
}

// notFound gives order_not_found the words of this tool.
func notFound(id order.ID, err error) error {
	if errors.Is(err, fault.New(fault.OrderNotFound, "")) {
		return unknownOrder(id)
	}
	return err
}
