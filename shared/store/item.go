package store

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Item is an order as it is stored and as orderctl shows it: one tag names the
// attribute and the JSON member. docs/data-model.md describes each.
type Item struct {
	PK      string        `json:"pk"`
	State   string        `json:"state"`
	Point   string        `json:"point"`
	Signal  string        `json:"signal,omitempty"`
	Seq     int64         `json:"seq,omitempty"`
	Version int64         `json:"version,omitempty"`
	Marks   []order.Token `json:"marks,omitempty"`

	Lease      string `json:"lease,omitempty"`
	Fence      int64  `json:"fence,omitempty"`
	LeaseUntil millis `json:"lease_until,omitempty"`

	Plan            *plan  `json:"plan,omitempty"`
	Adds            int    `json:"adds,omitempty"`
	AddUntil        millis `json:"add_until,omitempty"`
	AddSettledAt    millis `json:"add_settled_at,omitempty"`
	Accepts         int    `json:"accepts,omitempty"`
	AcceptUntil     millis `json:"accept_until,omitempty"`
	AcceptSettledAt millis `json:"accept_settled_at,omitempty"`
	FirstAddAt      millis `json:"first_add_at,omitempty"`
	Word            string `json:"word,omitempty"`
	AcceptedAt      millis `json:"accepted_at,omitempty"`
	Attempts        int    `json:"attempts,omitempty"`
	Aborted         int    `json:"aborted,omitempty"`
	OpenedAt        millis `json:"opened_at,omitempty"`
	DueAt           millis `json:"due_at,omitempty"`
	DueShard        *int64 `json:"due_shard,omitempty"`
	Failed          string `json:"failed,omitempty"`

	FirstAddAfter int64   `json:"first_add_after,omitempty"`
	Search        *search `json:"search,omitempty"`
	// The key of index confirm; it follows from Seq and Refusal.
	ConfirmShard *int64   `json:"confirm_shard,omitempty"`
	ConfirmAt    millis   `json:"confirm_at,omitempty"`
	Refusal      *refusal `json:"refusal,omitempty"`
	Told         *wait    `json:"told,omitempty"`

	// The three are there even when empty: SET of a nonce and list_append need them.
	Keys    []string         `json:"keys,omitempty"`
	Nonces  map[string]nonce `json:"nonces,omitempty"`
	History []entry          `json:"history,omitempty"`

	Correlation  string              `json:"correlation_id,omitempty"`
	AccountID    string              `json:"account_id,omitempty"`
	WHMCSOrderID string              `json:"whmcs_order_id,omitempty"`
	ServiceIDs   map[string][]string `json:"whmcs_service_ids,omitempty"`
	ErrorCode    string              `json:"error_code,omitempty"`
	ErrorMessage string              `json:"error_message,omitempty"`
	ErrorAt      iso                 `json:"error_at,omitempty"`
	CreatedAt    iso                 `json:"created_at,omitempty"`
	UpdatedAt    iso                 `json:"updated_at,omitempty"`
	ExpiresAt    seconds             `json:"expires_at,omitempty"`
}

type nonce struct {
	Expiry millis `json:"expiry"`
	By     string `json:"by"`
	Met    string `json:"met,omitempty"`
}

type entry struct {
	At     millis `json:"at"`
	Event  string `json:"event"`
	Detail string `json:"detail,omitempty"`
	By     string `json:"by,omitempty"`
	Times  int    `json:"times,omitempty"`
	First  millis `json:"first,omitempty"`
}

type wait struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	NextTry millis `json:"next_try"`
}

type refusal struct {
	Seq    int64  `json:"seq"`
	Since  millis `json:"since"`
	Next   millis `json:"next"`
	Tries  int    `json:"tries"`
	Code   string `json:"code"`
	Letter bool   `json:"letter,omitempty"`
}

type plan struct {
	ClientID      int64  `json:"client_id"`
	PaymentMethod string `json:"payment_method,omitempty"`
	PromoCode     string `json:"promo_code,omitempty"`
	Entries       []line `json:"entries"`
}

type line struct {
	ItemID        string            `json:"item_id,omitempty"`
	ProductID     int64             `json:"product_id"`
	Cycle         string            `json:"cycle,omitempty"`
	Quantity      int               `json:"quantity,omitempty"`
	Services      int               `json:"services,omitempty"`
	Domain        string            `json:"domain,omitempty"`
	Hostname      string            `json:"hostname,omitempty"`
	CustomFields  map[string]string `json:"custom_fields,omitempty"`
	ConfigOptions map[string]string `json:"config_options,omitempty"`
}

// ItemOf returns a record as it is stored.
func ItemOf(r order.Record) Item {
	v := Item{
		PK: OrderKey(r.ID), State: string(r.State), Point: string(r.RecoveryPoint), Signal: string(r.Signal),
		Seq: int64(r.Seq), Version: r.Version, Marks: r.Marks,
		Lease: string(r.Lease), Fence: int64(r.Fence), LeaseUntil: millisOf(r.LeaseUntil),
		Adds: r.Add.Count, AddUntil: millisOf(r.Add.Until), AddSettledAt: millisOf(r.Add.SettledAt),
		Accepts: r.Accept.Count, AcceptUntil: millisOf(r.Accept.Until), AcceptSettledAt: millisOf(r.Accept.SettledAt),
		FirstAddAt: millisOf(r.FirstAddAt), FirstAddAfter: r.FirstAddAfter, Search: searchOf(r.Search), Word: string(r.Word), AcceptedAt: millisOf(r.AcceptedAt),
		Attempts: r.Attempts, Aborted: r.Aborted, OpenedAt: millisOf(r.OpenedAt), DueAt: millisOf(r.DueAt),
		Keys: append([]string{}, r.Keys...), Nonces: make(map[string]nonce, len(r.Nonces)), History: entries(r.History),
		Correlation: r.CorrelationID, AccountID: r.AccountID, WHMCSOrderID: r.WHMCSOrderID,
		ErrorCode: string(r.ErrorCode), ErrorMessage: r.ErrorMessage, ErrorAt: isoOf(r.ErrorAt),
		CreatedAt: isoOf(r.CreatedAt), UpdatedAt: isoOf(r.UpdatedAt),
	}
	if r.State == order.Failed {
		v.Failed = failedKey(r)
	}
	if !r.DueAt.IsZero() || v.Failed != "" {
		shard := dueShard(r.ID)
		v.DueShard = &shard
	}
	confirm := dueShard(r.ID)
	v.ConfirmAt = millisOf(r.Listed())
	if w := r.Told; w.Code != "" {
		v.Told = &wait{string(w.Code), w.Message, millisOf(w.NextTry)}
	}
	if x := r.Refusal; x.Seq != 0 {
		if x.Seq == r.Seq {
			confirm, v.ConfirmAt = refusedShard, millisOf(x.Next)
		}
		v.Refusal = &refusal{Seq: int64(x.Seq), Since: millisOf(x.Since), Next: millisOf(x.Next), Tries: x.Tries, Code: string(x.Code), Letter: x.Letter}
	}
	v.ConfirmShard = &confirm
	if !r.ExpiresAt.IsZero() {
		v.ExpiresAt = seconds(r.ExpiresAt.Unix())
	}
	for name, n := range r.Nonces {
		v.Nonces[name] = nonceOf(n)
	}
	for item, ids := range r.ServiceIDs {
		if v.ServiceIDs == nil {
			v.ServiceIDs = map[string][]string{}
		}
		v.ServiceIDs[item] = append([]string{}, ids...)
	}
	if p := r.Plan; p != nil {
		v.Plan = &plan{ClientID: p.ClientID, PaymentMethod: p.PaymentMethod, PromoCode: p.PromoCode, Entries: []line{}}
		for _, e := range p.Entries {
			v.Plan.Entries = append(v.Plan.Entries, line{
				ItemID: e.ItemID, ProductID: e.ProductID, Cycle: string(e.Cycle), Quantity: e.Quantity, Services: e.Services,
				Domain: e.Domain, Hostname: e.Hostname, CustomFields: e.CustomFields, ConfigOptions: e.ConfigOptions,
			})
		}
	}
	return v
}

// record is the inverse of ItemOf; false for a key that is not an order's.
func (v Item) record() (order.Record, bool) {
	id, ok := OrderID(v.PK)
	r := order.Record{
		ID: id, State: order.State(v.State), RecoveryPoint: order.RecoveryPoint(v.Point), Signal: order.Signal(v.Signal),
		Seq: order.Seq(v.Seq), Version: v.Version, Marks: v.Marks,
		Lease: order.Token(v.Lease), Fence: order.Fence(v.Fence), LeaseUntil: v.LeaseUntil.time(),
		Add:        order.Sent{Count: v.Adds, Until: v.AddUntil.time(), SettledAt: v.AddSettledAt.time()},
		Accept:     order.Sent{Count: v.Accepts, Until: v.AcceptUntil.time(), SettledAt: v.AcceptSettledAt.time()},
		FirstAddAt: v.FirstAddAt.time(), FirstAddAfter: v.FirstAddAfter, Search: v.Search.value(), Word: order.Word(v.Word), AcceptedAt: v.AcceptedAt.time(),
		Attempts: v.Attempts, Aborted: v.Aborted, OpenedAt: v.OpenedAt.time(), DueAt: v.DueAt.time(),
		Keys: order.LastKeys(v.Keys), Nonces: make(map[string]order.Nonce, len(v.Nonces)), History: order.LastLines(lines(v.History)),
		CorrelationID: v.Correlation, AccountID: v.AccountID, WHMCSOrderID: v.WHMCSOrderID, ServiceIDs: v.ServiceIDs,
		ErrorCode: fault.Code(v.ErrorCode), ErrorMessage: v.ErrorMessage, ErrorAt: v.ErrorAt.time(),
		CreatedAt: v.CreatedAt.time(), UpdatedAt: v.UpdatedAt.time(), ExpiresAt: v.ExpiresAt.time(),
	}
	for name, n := range v.Nonces {
		r.Nonces[name] = order.Nonce{Expiry: n.Expiry.time(), By: order.Token(n.By), Met: order.ParseOutcome(n.Met)}
	}
	if w := v.Told; w != nil {
		r.Told = order.Wait{Code: fault.Code(w.Code), Message: w.Message, NextTry: w.NextTry.time()}
	}
	if x := v.Refusal; x != nil {
		r.Refusal = order.Refusal{Seq: order.Seq(x.Seq), Since: x.Since.time(), Next: x.Next.time(), Tries: x.Tries, Code: fault.Code(x.Code), Letter: x.Letter}
	}
	if p := v.Plan; p != nil {
		r.Plan = &order.Plan{ClientID: p.ClientID, PaymentMethod: p.PaymentMethod, PromoCode: p.PromoCode}
		for _, e := range p.Entries {
			r.Plan.Entries = append(r.Plan.Entries, order.PlanEntry{Services: e.Services, Line: order.Line{
				ItemID: e.ItemID, ProductID: e.ProductID, Cycle: order.Cycle(e.Cycle), Quantity: e.Quantity,
				Domain: e.Domain, Hostname: e.Hostname, CustomFields: e.CustomFields, ConfigOptions: e.ConfigOptions,
			}})
		}
	}
	return r.Normal(), ok
}

// Encode returns the attributes of a record.
func Encode(r order.Record) map[string]types.AttributeValue { return marshal(ItemOf(r)) }

// Decode reads a stored order, from an answer of the table or an image of its
// stream. Attributes that it does not know are ignored: another version may
// have written them. An item that cannot be read is internal_error.
func Decode(item map[string]types.AttributeValue) (order.Record, error) {
	_, r, err := decode(item)
	return r, err
}

// decode reads and checks an item, and returns it with the record that it holds.
func decode(item attributes) (Item, order.Record, error) {
	var v Item
	if err := unmarshal(item, &v); err != nil {
		return Item{}, order.Record{}, err
	}
	r, ok := v.record()
	why := ""
	switch {
	case !ok:
		why = "not the key of an order"
	case r.State.Status() == order.StatusPendingReview:
		why = fmt.Sprintf("unknown state %q", v.State)
	case !r.RecoveryPoint.Valid():
		why = fmt.Sprintf("unknown point %q", v.Point)
	case !r.Word.Valid():
		why = fmt.Sprintf("unknown word %q", v.Word)
	case slices.ContainsFunc(v.History, func(e entry) bool { return e.At == 0 || e.Event == "" }):
		why = "a line of the history without time or event"
	}
	for name, n := range v.Nonces {
		if n.Expiry == 0 || n.By == "" {
			why = fmt.Sprintf("nonce %q without expiry or by", name)
		}
	}
	for _, at := range []iso{v.ErrorAt, v.CreatedAt, v.UpdatedAt} {
		if at != "" && at.time().IsZero() {
			why = fmt.Sprintf("%q is not a time", at)
		}
	}
	if why != "" {
		return Item{}, order.Record{}, fault.Wrap(fault.Internal, fmt.Errorf("read item %q: %s", v.PK, why))
	}
	return v, r, nil
}

func nonceOf(n order.Nonce) nonce {
	return nonce{Expiry: millisOf(n.Expiry), By: string(n.By), Met: n.Met.String()}
}

func entryOf(e order.Entry) entry {
	return entry{At: millisOf(e.At), Event: e.Event, Detail: e.Detail, By: e.By, Times: e.Times, First: millisOf(e.First)}
}

func entries(history []order.Entry) []entry {
	out := make([]entry, 0, len(history))
	for _, e := range history {
		out = append(out, entryOf(e))
	}
	return out
}

func lines(history []entry) []order.Entry {
	out := make([]order.Entry, 0, len(history))
	for _, e := range history {
		out = append(out, order.Entry{At: e.At.time(), Event: e.Event, Detail: e.Detail, By: e.By, Times: e.Times, First: e.First.time()})
	}
	return out
}

// isoLayout is how times that people read are kept and shown: UTC, to the ms.
const isoLayout = "2006-01-02T15:04:05.000Z"

// millis is a time in ms since 1970, seconds one in s; JSON shows both as iso.
type (
	millis  int64
	seconds int64
	iso     string
)

func millisOf(t time.Time) millis {
	if t.IsZero() {
		return 0
	}
	return millis(t.UnixMilli())
}

func (m millis) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// MarshalJSON shows the time as people read it.
func (m millis) MarshalJSON() ([]byte, error) { return isoOf(m.time()).quoted(), nil }

func (s seconds) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// MarshalJSON shows the time as people read it.
func (s seconds) MarshalJSON() ([]byte, error) { return isoOf(s.time()).quoted(), nil }

func isoOf(t time.Time) iso {
	if t.IsZero() {
		return ""
	}
	return iso(t.UTC().Format(isoLayout))
}

// time is the zero time where s is none.
func (s iso) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(s))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

func (s iso) quoted() []byte { return strconv.AppendQuote(nil, string(s)) }
