package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Limits of one update call (REST API Developer Guide): rows of a collection,
// collections of a composite.
const (
	rowsPerCollection  = 200
	collectionsPerCall = 5
	MaxRows            = rowsPerCollection * collectionsPerCall // of one Update
	idsPerQuery        = 300                                    // keeps the URL below 16,384 bytes
	behindLimit        = 5000
	dateTimeLiteral    = "2006-01-02T15:04:05Z"
)

// Row is one record to update.
type Row struct {
	Type   string // Order or OrderItem
	ID     string
	Fields map[string]any // by API name; nil clears
}

// MarshalJSON implements json.Marshaler. The type comes first, as in all of the
// vendor's examples.
func (r Row) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(struct {
		Attributes map[string]string `json:"attributes"`
		ID         string            `json:"id"`
	}{map[string]string{"type": r.Type}, r.ID})
	if err != nil || len(r.Fields) == 0 {
		return head, err
	}
	tail, err := json.Marshal(r.Fields)
	if err != nil {
		return nil, err
	}
	return append(append(head[:len(head)-1], ','), tail[1:]...), nil
}

type collectionBody struct {
	AllOrNone bool  `json:"allOrNone"`
	Records   []Row `json:"records"`
}

type subrequest struct {
	Method string         `json:"method"`
	URL    string         `json:"url"`
	Ref    string         `json:"referenceId"`
	Body   collectionBody `json:"body"`
}

type composite struct {
	AllOrNone bool         `json:"allOrNone"`
	Requests  []subrequest `json:"compositeRequest"`
}

type subanswer struct {
	Body   json.RawMessage `json:"body"`
	Status int             `json:"httpStatusCode"`
	Ref    string          `json:"referenceId"`
}

type compositeAnswer struct {
	Responses []subanswer `json:"compositeResponse"`
}

type savedRow struct {
	Success bool        `json:"success"`
	Errors  []wireError `json:"errors"`
}

// Update saves up to MaxRows rows in one API call, each on its own. It returns
// one error or nil per row, in their order, or an error for the whole call:
// then nothing is known of any row. Repeating it is harmless.
//
// The codes of a row: salesforce_row_locked, salesforce_limit_exceeded (a
// governor limit of the org's own code: fewer rows would fit),
// salesforce_unavailable, salesforce_permission_lost, salesforce_stale (the
// org shows a newer Provisioning_Seq__c), salesforce_row_refused (Advice holds
// the org's reason).
func (c *Client) Update(ctx context.Context, rows []Row) ([]error, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if len(rows) > MaxRows {
		return nil, fault.Wrap(fault.Internal, fmt.Errorf("%d rows in one update, the most are %d", len(rows), MaxRows))
	}
	if err := c.braked(); err != nil {
		return nil, err
	}
	var body composite
	for part := range slices.Chunk(rows, rowsPerCollection) {
		body.Requests = append(body.Requests, subrequest{
			Method: http.MethodPatch, URL: c.base() + "/composite/sobjects", Ref: "rows" + strconv.Itoa(len(body.Requests)),
			Body: collectionBody{Records: part},
		})
	}
	var out compositeAnswer
	if err := c.data(ctx, http.MethodPost, c.base()+"/composite", body, &out); err != nil {
		return nil, err
	}
	results := make([]error, 0, len(rows))
	for _, req := range body.Requests {
		results = append(results, c.collectionResults(req, out)...)
	}
	return results, nil
}

func (c *Client) collectionResults(req subrequest, out compositeAnswer) []error {
	all := make([]error, len(req.Body.Records))
	fill := func(err error) []error {
		for i := range all {
			all[i] = err
		}
		return all
	}
	i := slices.IndexFunc(out.Responses, func(r subanswer) bool { return r.Ref == req.Ref })
	if i < 0 {
		return fill(fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("composite answer lacks %s", req.Ref)))
	}
	sub := out.Responses[i]
	if err := classify(sub.Status, sub.Body); err != nil {
		if fault.CodeOf(err) == fault.SalesforceRowRefused {
			// One row spoils its whole collection and is not named: in smaller
			// ones it takes fewer along.
			err = fault.Wrap(fault.SalesforceLimit, err)
		}
		return fill(err)
	}
	var saved []savedRow
	if err := json.Unmarshal(sub.Body, &saved); err != nil || len(saved) != len(all) {
		return fill(fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("collection answer has %d rows, want %d", len(saved), len(all))))
	}
	for i, s := range saved {
		if s.Success {
			continue
		}
		if len(s.Errors) == 0 {
			all[i] = fault.Wrap(fault.SalesforceUnavailable, errors.New("row refused without an error"))
			continue
		}
		all[i] = rowError(s.Errors)
	}
	return all
}

// rowError picks of a row's errors the one that decides: stale before what a
// person must mend, that before what passes by itself.
func rowError(all []wireError) error {
	rank := func(code fault.Code) int {
		switch {
		case code == fault.SalesforceStale:
			return 0
		case code.Kind() == fault.Config:
			return 1
		case code.Kind() == fault.Permanent:
			return 2
		}
		return 3
	}
	best := all[0]
	for _, e := range all[1:] {
		if rank(e.of(fault.SalesforceRowRefused)) < rank(best.of(fault.SalesforceRowRefused)) {
			best = e
		}
	}
	code := best.of(fault.SalesforceRowRefused)
	if code != fault.SalesforceRowRefused {
		return fault.Wrap(code, best.cause())
	}
	return &fault.Error{Code: code, Err: best.cause(),
		Vendor: best.cause().Error()}
}

// Pushed returns the API names of the fields that a push may write, by type:
// those that Probe looks for.
func Pushed() map[string][]string {
	return map[string][]string{
		"Order":     {"Provisioning_Error_Code__c", "Provisioning_Error_Message__c", "Provisioning_Seq__c", "Provisioning_Status__c", "Last_Provisioning_At__c", "WHMCS_Order_ID__c"},
		"OrderItem": {"WHMCS_Service_ID__c"},
	}
}

// Probe shows whether the org serves us: it answers, the credentials hold,
// every field that Load reads is there, and every field that a push writes may
// be written. salesforce_permission_lost names the fields that are not.
func (c *Client) Probe(ctx context.Context) error {
	if err := c.braked(); err != nil {
		return err
	}
	var found page[json.RawMessage]
	soql, _ := strings.CutSuffix(c.loadQuery(), whereID)
	if err := c.data(ctx, http.MethodGet, c.base()+"/query?q="+url.QueryEscape(soql+" LIMIT 1"), nil, &found); err != nil {
		return err
	}
	var lost []string
	fields := Pushed()
	for _, typ := range slices.Sorted(maps.Keys(fields)) {
		var out struct {
			Fields []struct {
				Name       string `json:"name"`
				Updateable bool   `json:"updateable"`
			} `json:"fields"`
		}
		if err := c.data(ctx, http.MethodGet, c.base()+"/sobjects/"+typ+"/describe", nil, &out); err != nil {
			return err
		}
		may := map[string]bool{}
		for _, f := range out.Fields {
			may[f.Name] = f.Updateable
		}
		for _, name := range fields[typ] {
			if !may[name] {
				lost = append(lost, typ+"."+name)
			}
		}
	}
	if len(lost) > 0 {
		return fault.Wrap(fault.SalesforcePermission, fmt.Errorf("not there or not writable for the integration user: %s (permission set OrderBridge_Integration)", strings.Join(lost, ", ")))
	}
	return nil
}

type wireShown struct {
	ID  string `json:"Id"`
	Seq loose  `json:"Provisioning_Seq__c"`
}

// Seqs returns the Provisioning_Seq__c that the org shows for each order; 0
// where it is blank. An order that the org does not have is absent.
func (c *Client) Seqs(ctx context.Context, ids []order.ID) (map[order.ID]order.Seq, error) {
	all := make(map[order.ID]order.Seq, len(ids))
	for part := range slices.Chunk(ids, idsPerQuery) {
		quoted := make([]string, len(part))
		for i, id := range part {
			quoted[i] = quote(id.String())
		}
		if err := c.seqs(ctx, "SELECT Id, Provisioning_Seq__c FROM Order WHERE Id IN ("+strings.Join(quoted, ",")+")", all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Behind returns orders that may have fallen behind, with the seq that the org
// shows: those Activating whose last push is older than quiet (or that never
// saw one), and those that failed after since. At most 5,000, the oldest push
// first.
func (c *Client) Behind(ctx context.Context, quiet, since time.Time) (map[order.ID]order.Seq, error) {
	if err := c.braked(); err != nil {
		return nil, err
	}
	all := map[order.ID]order.Seq{}
	soql := fmt.Sprintf("SELECT Id, Provisioning_Seq__c FROM Order"+
		" WHERE (Provisioning_Status__c = 'Activating' AND (Last_Provisioning_At__c = null OR Last_Provisioning_At__c < %s))"+
		" OR (Provisioning_Status__c = 'Failed' AND Last_Provisioning_At__c > %s)"+
		" ORDER BY Last_Provisioning_At__c ASC NULLS FIRST LIMIT %d",
		quiet.UTC().Format(dateTimeLiteral), since.UTC().Format(dateTimeLiteral), behindLimit)
	if err := c.seqs(ctx, soql, all); err != nil {
		return nil, err
	}
	return all, nil
}

func (c *Client) seqs(ctx context.Context, soql string, into map[order.ID]order.Seq) error {
	rows, err := query[wireShown](ctx, c, soql)
	if err != nil {
		return err
	}
	for _, r := range rows {
		id, err := order.ParseID(r.ID)
		if err != nil {
			return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("Order.Id %.20q: %w", r.ID, err))
		}
		seq, ok := parseSeq(string(r.Seq))
		if !ok {
			return fault.Wrap(fault.SalesforcePermission, fmt.Errorf("Provisioning_Seq__c of %s is %.40q, not a whole number", id, r.Seq))
		}
		into[id] = seq
	}
	return nil
}

// parseSeq reads a number field; the vendor writes 1.732435200000E12.
func parseSeq(s string) (order.Seq, bool) {
	if s == "" {
		return 0, true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return order.Seq(n), n >= 0
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f != math.Trunc(f) || f >= math.MaxInt64 {
		return 0, false
	}
	return order.Seq(f), true
}
