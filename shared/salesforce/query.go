package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"orderbridge/shared/fault"
)

type page struct {
	Done    bool     `json:"done"`
	Next    string   `json:"nextRecordsUrl"`
	Records []record `json:"records"`
}

func (c *Client) query(ctx context.Context, soql string) ([]record, error) {
	var all []record
	err := c.each(ctx, soql, func(page []record) error {
		all = append(all, page...)
		return nil
	})
	return all, err
}

// each hands over the pages of a query one by one, so that no more than one is
// kept.
func (c *Client) each(ctx context.Context, soql string, take func([]record) error) error {
	var first page
	if err := c.data(ctx, http.MethodGet, c.base()+"/query?q="+url.QueryEscape(soql), nil, &first); err != nil {
		return err
	}
	return c.pages(ctx, first, take)
}

// pages hands over the records of p and of the pages after it. Pages that never
// end are ended by their address, which then comes again.
func (c *Client) pages(ctx context.Context, p page, take func([]record) error) error {
	for seen := map[string]bool{}; ; {
		if err := take(p.Records); err != nil {
			return err
		}
		if p.Done {
			return nil
		}
		next := p.Next
		if seen[next] || !strings.HasPrefix(next, "/services/data/") {
			return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("query does not end: after %d pages, next %.60q", len(seen)+1, next))
		}
		seen[next] = true
		p = page{}
		if err := c.data(ctx, http.MethodGet, next, nil, &p); err != nil {
			return err
		}
	}
}

// follow returns the records of a subquery: raw holds its first page, or is nil.
func (c *Client) follow(ctx context.Context, raw json.RawMessage) ([]record, error) {
	if raw == nil {
		return nil, nil
	}
	var first page
	if err := json.Unmarshal(raw, &first); err != nil {
		return nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("read order products: %w", err))
	}
	var all []record
	err := c.pages(ctx, first, func(page []record) error {
		all = append(all, page...)
		return nil
	})
	return all, err
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// record is one record of an answer by the names of its fields: a related
// record is an object in it, a subquery a page.
type record map[string]json.RawMessage

// raw returns the JSON of a field; nil where it is absent or null, or where its
// name is empty because it is not configured. Names are compared without regard
// to case, as the platform does: an optional field is spelled as a person
// configured it.
func (r record) raw(name string) json.RawMessage {
	for k, v := range r {
		if strings.EqualFold(k, name) && string(v) != "null" {
			return v
		}
	}
	return nil
}

// related returns the record behind a relationship; nil where there is none, or
// where the user may not read it.
func (r record) related(name string) record {
	var in record
	if json.Unmarshal(r.raw(name), &in) != nil {
		return nil
	}
	return in
}

// text returns a field that an installation may keep as a text or as a number:
// a text without the space around it, a number with its digits as the vendor
// wrote them (1.7E12), "" where there is none.
func (r record) text(name string) string {
	raw := r.raw(name)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.TrimSpace(s)
	}
	return string(raw)
}

// page returns the first page of a subquery; the zero page where there is none.
func (r record) page(name string) (p page) {
	if json.Unmarshal(r.raw(name), &p) != nil {
		return page{}
	}
	return p
}
