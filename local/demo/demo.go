package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const account = "001000000000001AAA"

// waitLimit bounds how long something may take to hold. It is there to end a
// demonstration that hangs, not to measure.
const waitLimit = time.Minute

// lookEvery is the pause between two looks.
const lookEvery = 100 * time.Millisecond

// demo drives a running system by the routes of its console page.
type demo struct {
	base   string
	out    io.Writer
	token  string
	serial int
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// call asks a route; in and into may be nil. Errors: no answer, or a status of
// 400 and more with what was said.
func (d *demo) call(ctx context.Context, method, path string, in, into any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, body)
	if err != nil {
		return fmt.Errorf("make %s %s: %w", method, path, err)
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, said)
	}
	if into != nil {
		if err := json.Unmarshal(said, into); err != nil {
			return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
		}
	}
	return nil
}

// click is the operator's.
func (d *demo) click(ctx context.Context, id string) error {
	var got struct{ Status int }
	if err := d.call(ctx, "POST", "/_local/callout", map[string]string{"orderId": id}, &got); err != nil {
		return err
	}
	if got.Status != http.StatusAccepted && got.Status != http.StatusOK {
		return fmt.Errorf("the callout was answered %d", got.Status)
	}
	return nil
}

// seen is what every book shows of one order.
type seen struct {
	state, point             string // of the table
	whmcs                    []whmcsOrder
	salesforce, salesforceID string
	portal                   string
}

type whmcsOrder struct{ id, status string }

func (d *demo) look(ctx context.Context, id string) (seen, error) {
	var o seen
	var order struct {
		Item struct{ State, Point string }
	}
	if err := d.call(ctx, "GET", "/_local/orders/"+id, nil, &order); err != nil {
		return o, err
	}
	o.state, o.point = order.Item.State, order.Item.Point
	var books struct {
		Salesforce []struct {
			ID    string
			Order struct{ Fields map[string]any }
		}
		WHMCS []struct {
			ID            json.Number
			Status, Notes string
		}
	}
	if err := d.call(ctx, "GET", "/_local/orders", nil, &books); err != nil {
		return o, err
	}
	for _, s := range books.Salesforce {
		if s.ID == id {
			o.salesforce, _ = s.Order.Fields["Provisioning_Status__c"].(string)
			o.salesforceID, _ = s.Order.Fields["WHMCS_Order_ID__c"].(string)
		}
	}
	for _, w := range books.WHMCS {
		if strings.Contains(w.Notes, id) {
			o.whmcs = append(o.whmcs, whmcsOrder{w.ID.String(), w.Status})
		}
	}
	if d.token == "" {
		var t struct{ Token string }
		if err := d.call(ctx, "GET", "/_local/token?account="+account, nil, &t); err != nil {
			return o, err
		}
		d.token = t.Token
	}
	var portal struct{ Status string }
	if err := d.call(ctx, "GET", "/orders/"+id, nil, &portal); err != nil {
		return o, err
	}
	o.portal = portal.Status
	return o, nil
}

// until looks until something holds, and then says a sentence. It fails when it
// does not hold within waitLimit, and when WHMCS holds the order twice.
func (d *demo) until(ctx context.Context, what, id string, holds func(seen) bool, sentence string) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for {
		o, err := d.look(ctx, id)
		switch {
		case err != nil:
			return err
		case len(o.whmcs) > 1:
			return fmt.Errorf("WHMCS has %d orders for it", len(o.whmcs))
		case holds(o):
			if sentence != "" {
				d.say("   %s", sentence)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last seen %+v", what, context.Cause(ctx), o)
		case <-time.After(lookEvery):
		}
	}
}

// settled waits until all books agree that the order is provisioned.
func (d *demo) settled(ctx context.Context, id string) (last seen, err error) {
	err = d.until(ctx, "every book says Provisioned", id, func(o seen) bool {
		last = o
		return len(o.whmcs) == 1 && o.whmcs[0].status == "Active" && o.salesforce == "Provisioned" && o.salesforceID == o.whmcs[0].id && o.portal == "Provisioned"
	}, "")
	return last, err
}
