package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"orderbridge/shared/fault"
)

// page is one page of a query or of a subquery.
type page[T any] struct {
	Done    bool   `json:"done"`
	Next    string `json:"nextRecordsUrl"`
	Records []T    `json:"records"`
}

// maxPages ends a query whose pages never end.
const maxPages = 200

// query answers soql with the records of all its pages.
func query[T any](ctx context.Context, c *Client, soql string) ([]T, error) {
	var first page[T]
	if err := c.data(ctx, http.MethodGet, c.base()+"/query?q="+url.QueryEscape(soql), nil, &first); err != nil {
		return nil, err
	}
	return follow(ctx, c, first)
}

// follow returns the records of p and of the pages after it.
func follow[T any](ctx context.Context, c *Client, p page[T]) ([]T, error) {
	all := p.Records
	for n := 1; !p.Done; n++ {
		if n == maxPages || !strings.HasPrefix(p.Next, "/services/data/") {
			return nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("query does not end: page %d, next %.60q", n, p.Next))
		}
		next := p.Next
		p = page[T]{}
		if err := c.data(ctx, http.MethodGet, next, nil, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Records...)
	}
	return all, nil
}

// quote writes a text literal of SOQL.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// loose is a field that an installation may keep as a number or as a text.
type loose string

// UnmarshalJSON implements json.Unmarshaler. A number keeps its digits as the
// vendor wrote them (1.7E12); null is "".
func (l *loose) UnmarshalJSON(b []byte) error {
	var v any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("read field: %w", err)
	}
	switch x := v.(type) {
	case nil:
		*l = ""
	case string:
		*l = loose(strings.TrimSpace(x))
	case json.Number:
		*l = loose(x)
	default:
		return errors.New("read field: neither a number nor a text")
	}
	return nil
}
