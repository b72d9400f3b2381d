package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Attribute names. The streams' filters, the template and the operator's eyes
// rely on them.
const (
	attrPK         = "pk"
	attrState      = "state"
	attrPoint      = "point"
	attrSignal     = "signal"
	attrSeq        = "seq"
	attrVersion    = "version"
	attrLease      = "lease"
	attrFence      = "fence"
	attrLeaseUntil = "lease_until"
	// attrWriteID is the random name of the last write under the fence, by
	// which a worker knows its own write when the answer was lost.
	attrWriteID = "write_id"
	// attrBumpID is the same for the last bump.
	attrBumpID          = "bump_id"
	attrPlan            = "plan"
	attrAdds            = "adds"
	attrAddUntil        = "add_until"
	attrAddSettledAt    = "add_settled_at"
	attrAccepts         = "accepts"
	attrAcceptUntil     = "accept_until"
	attrAcceptSettledAt = "accept_settled_at"
	attrFirstAddAt      = "first_add_at"
	attrWord            = "word"
	attrAcceptedAt      = "accepted_at"
	attrAttempts        = "attempts"
	attrOpenedAt        = "opened_at"
	attrDueAt           = "due_at"
	attrDueShard        = "due_shard"
	attrKeys            = "keys"
	attrNonces          = "nonces"
	attrAccountID       = "account_id"
	attrWHMCSOrderID    = "whmcs_order_id"
	attrServiceIDs      = "whmcs_service_ids"
	attrErrorCode       = "error_code"
	attrErrorMessage    = "error_message"
	attrErrorAt         = "error_at"
	attrHistory         = "history"
	attrCreatedAt       = "created_at"
	attrUpdatedAt       = "updated_at"
	attrExpiresAt       = "expires_at"

	// Members of one nonce and of one line of the history.
	memberExpiry = "expiry"
	memberBy     = "by"
	memberMet    = "met"
	memberEvent  = "event"
	memberDetail = "detail"
)

// markLen is the length of write_id and bump_id, in hex digits: 64 bits tell one
// write from every other of its order, and each byte of an item is paid for by
// each of its writes.
const markLen = 16

// image is one stored order: the record, and what the table alone has to know.
type image struct {
	rec order.Record
	// keys maps an idempotency key to the version by which it came last. A
	// list would have to be replaced whole, and of two callouts at once the
	// second would erase the key of the first; in a map each sets its own
	// name. The version, not the time, says which is oldest: it grows by every
	// write, whatever the clocks of two machines say.
	keys map[string]int64
	// met says, per nonce, what its callout met: the answer to one's own
	// repeated request, when the order has moved on meanwhile.
	met map[string]order.Outcome
	// history holds every stored name, oldest first. Concurrent writes may
	// leave some more than the limit until the next one removes them all;
	// rec.History has the newest alone.
	history []string
	writeID order.Token
	bumpID  order.Token
	// The maps that are there: SET of a child needs its parent.
	hasKeys, hasNonces, hasHistory bool
}

// engine lists the attributes that only the holder of the lease changes while
// he works (and a reopening or a person afterwards); a nil value is "absent".
// state, seq, version and the bookkeeping of writes are not among them.
var engine = []struct {
	name   string
	encode func(r *order.Record) types.AttributeValue
}{
	{attrPoint, func(r *order.Record) types.AttributeValue { return text(string(r.RecoveryPoint)) }},
	{attrLeaseUntil, func(r *order.Record) types.AttributeValue { return millis(r.LeaseUntil) }},
	{attrPlan, func(r *order.Record) types.AttributeValue { return encodePlan(r.Plan) }},
	{attrAdds, func(r *order.Record) types.AttributeValue { return count(r.Add.Count) }},
	{attrAddUntil, func(r *order.Record) types.AttributeValue { return millis(r.Add.Until) }},
	{attrAddSettledAt, func(r *order.Record) types.AttributeValue { return millis(r.Add.SettledAt) }},
	{attrAccepts, func(r *order.Record) types.AttributeValue { return count(r.Accept.Count) }},
	{attrAcceptUntil, func(r *order.Record) types.AttributeValue { return millis(r.Accept.Until) }},
	{attrAcceptSettledAt, func(r *order.Record) types.AttributeValue { return millis(r.Accept.SettledAt) }},
	{attrFirstAddAt, func(r *order.Record) types.AttributeValue { return millis(r.FirstAddAt) }},
	{attrWord, func(r *order.Record) types.AttributeValue { return text(string(r.Word)) }},
	{attrAcceptedAt, func(r *order.Record) types.AttributeValue { return millis(r.AcceptedAt) }},
	{attrAttempts, func(r *order.Record) types.AttributeValue { return count(r.Attempts) }},
	{attrOpenedAt, func(r *order.Record) types.AttributeValue { return millis(r.OpenedAt) }},
	{attrDueAt, func(r *order.Record) types.AttributeValue { return millis(r.DueAt) }},
	{attrDueShard, func(r *order.Record) types.AttributeValue {
		if r.DueAt.IsZero() {
			return nil
		}
		return num(dueShard(r.ID))
	}},
	{attrAccountID, func(r *order.Record) types.AttributeValue { return text(r.AccountID) }},
	{attrWHMCSOrderID, func(r *order.Record) types.AttributeValue { return text(r.WHMCSOrderID) }},
	{attrServiceIDs, func(r *order.Record) types.AttributeValue { return encodeServices(r.ServiceIDs) }},
	{attrErrorCode, func(r *order.Record) types.AttributeValue { return text(string(r.ErrorCode)) }},
	{attrErrorMessage, func(r *order.Record) types.AttributeValue {
		return text(order.Cut(r.ErrorMessage, order.MaxMessage))
	}},
	{attrErrorAt, func(r *order.Record) types.AttributeValue { return iso(r.ErrorAt) }},
	{attrExpiresAt, func(r *order.Record) types.AttributeValue {
		if r.ExpiresAt.IsZero() {
			return nil
		}
		return num(r.ExpiresAt.Unix())
	}},
}

// encode returns the whole item.
func encode(img image) map[string]types.AttributeValue {
	r := &img.rec
	item := members{attrPK: str(orderKey(r.ID))}
	for _, a := range engine {
		item.put(a.name, a.encode(r))
	}
	item.put(attrState, text(string(r.State)))
	item.put(attrSignal, text(string(r.Signal)))
	item.put(attrSeq, num(int64(r.Seq)))
	item.put(attrVersion, num(r.Version))
	item.put(attrLease, text(string(r.Lease)))
	item.put(attrWriteID, text(string(img.writeID)))
	item.put(attrBumpID, text(string(img.bumpID)))
	item.put(attrFence, count(int(r.Fence)))
	item.put(attrCreatedAt, iso(r.CreatedAt))
	item.put(attrUpdatedAt, iso(r.UpdatedAt))

	// The three maps are there even when empty: SET of a child needs its parent.
	keys, nonces, history := members{}, members{}, members{}
	for k, v := range img.keys {
		keys.put(k, num(v))
	}
	for n, v := range r.Nonces {
		nonces.put(n, encodeNonce(v, img.met[n]))
	}
	for i, e := range r.History {
		history.put(img.history[i], encodeEntry(e))
	}
	item.put(attrKeys, keys.value())
	item.put(attrNonces, nonces.value())
	item.put(attrHistory, history.value())
	return item
}

// Decode reads a stored order, from an answer of the table or an image of its
// stream. Attributes that it does not know are ignored: another version may
// have written them. An item that cannot be read is internal_error.
func Decode(item map[string]types.AttributeValue) (order.Record, error) {
	img, err := decode(item)
	return img.rec, err
}

func decode(item map[string]types.AttributeValue) (image, error) {
	d := decoder{item: item}
	var img image
	r := &img.rec

	id, ok := orderID(d.str(attrPK))
	if !ok {
		d.fail(attrPK, "not the key of an order")
	}
	r.ID = id
	r.State = order.State(d.str(attrState))
	if r.State.Status() == order.StatusPendingReview {
		d.fail(attrState, "unknown state")
	}
	r.RecoveryPoint = order.RecoveryPoint(d.str(attrPoint))
	if !r.RecoveryPoint.Valid() {
		d.fail(attrPoint, "unknown point")
	}
	r.Signal = order.Signal(d.str(attrSignal))
	r.Seq = order.Seq(d.int(attrSeq))
	r.Version = d.int(attrVersion)
	r.Lease = order.Token(d.str(attrLease))
	r.Fence = order.Fence(d.int(attrFence))
	r.LeaseUntil = d.millis(attrLeaseUntil)
	img.writeID = order.Token(d.str(attrWriteID))
	img.bumpID = order.Token(d.str(attrBumpID))
	r.Plan = decodePlan(&d)
	r.Add.Count = int(d.int(attrAdds))
	r.Add.Until = d.millis(attrAddUntil)
	r.Add.SettledAt = d.millis(attrAddSettledAt)
	r.Accept.Count = int(d.int(attrAccepts))
	r.Accept.Until = d.millis(attrAcceptUntil)
	r.Accept.SettledAt = d.millis(attrAcceptSettledAt)
	r.FirstAddAt = d.millis(attrFirstAddAt)
	if r.Word = order.Word(d.str(attrWord)); !r.Word.Valid() {
		d.fail(attrWord, "unknown word")
	}
	r.AcceptedAt = d.millis(attrAcceptedAt)
	r.Attempts = int(d.int(attrAttempts))
	r.OpenedAt = d.millis(attrOpenedAt)
	r.DueAt = d.millis(attrDueAt)
	r.AccountID = d.str(attrAccountID)
	r.WHMCSOrderID = d.str(attrWHMCSOrderID)
	for item, ids := range d.children(attrServiceIDs) {
		if r.ServiceIDs == nil {
			r.ServiceIDs = map[string][]string{}
		}
		r.ServiceIDs[item] = d.strings(attrServiceIDs, ids)
	}
	r.ErrorCode = fault.Code(d.str(attrErrorCode))
	r.ErrorMessage = d.str(attrErrorMessage)
	r.ErrorAt = d.iso(attrErrorAt)
	r.CreatedAt = d.iso(attrCreatedAt)
	r.UpdatedAt = d.iso(attrUpdatedAt)
	if n := d.int(attrExpiresAt); n != 0 {
		r.ExpiresAt = time.Unix(n, 0).UTC()
	}

	_, img.hasKeys = item[attrKeys]
	for k, v := range d.children(attrKeys) {
		if img.keys == nil {
			img.keys = map[string]int64{}
		}
		img.keys[k] = d.number(attrKeys, v)
	}
	r.Keys = newestKeys(img.keys)

	_, img.hasNonces = item[attrNonces]
	for n, v := range d.children(attrNonces) {
		if r.Nonces == nil {
			r.Nonces, img.met = map[string]order.Nonce{}, map[string]order.Outcome{}
		}
		m := d.child(attrNonces, v)
		r.Nonces[n] = order.Nonce{Expiry: m.millis(memberExpiry), By: order.Token(m.str(memberBy))}
		img.met[n] = outcomeOf(m.str(memberMet))
		if r.Nonces[n].Expiry.IsZero() || r.Nonces[n].By == "" {
			d.fail(attrNonces, "a nonce without expiry or by")
		}
	}

	_, img.hasHistory = item[attrHistory]
	lines := d.children(attrHistory)
	img.history = slices.Sorted(maps.Keys(lines))
	for _, name := range img.history[max(0, len(img.history)-order.MaxHistory):] {
		m := d.child(attrHistory, lines[name])
		e := order.Entry{At: historyTime(&d, name), Event: m.str(memberEvent), Detail: m.str(memberDetail), By: m.str(memberBy)}
		if e.Event == "" {
			d.fail(attrHistory, "a line without event")
		}
		r.History = append(r.History, e)
	}

	if d.err != nil {
		pk, _ := item[attrPK].(*types.AttributeValueMemberS)
		name := "item"
		if pk != nil {
			name = pk.Value
		}
		return image{}, fault.Wrap(fault.Internal, fmt.Errorf("read %s: %w", name, d.err))
	}
	return img, nil
}

// newestKeys returns the last order.MaxKeys keys, oldest first.
func newestKeys(keys map[string]int64) []string {
	all := slices.SortedFunc(maps.Keys(keys), func(a, b string) int {
		return cmp.Or(cmp.Compare(keys[a], keys[b]), cmp.Compare(a, b))
	})
	return all[max(0, len(all)-order.MaxKeys):]
}

func historyTime(d *decoder, name string) time.Time {
	if len(name) >= 13 {
		if ms, err := strconv.ParseInt(name[:13], 10, 64); err == nil {
			return time.UnixMilli(ms).UTC()
		}
	}
	d.fail(attrHistory, "a name that is no time")
	return time.Time{}
}

func encodeNonce(n order.Nonce, met order.Outcome) types.AttributeValue {
	m := members{memberExpiry: millis(n.Expiry), memberBy: str(string(n.By))}
	m.put(memberMet, text(outcomeNames[met]))
	return m.value()
}

// outcomeNames are stored: they may be added to, not changed.
var outcomeNames = map[order.Outcome]string{
	order.Created:            "created",
	order.AlreadyOpen:        "open",
	order.AlreadyProvisioned: "provisioned",
	order.StoredFailure:      "failed",
	order.Reopened:           "reopened",
}

func outcomeOf(name string) order.Outcome {
	for o, n := range outcomeNames {
		if n == name {
			return o
		}
	}
	return 0
}

func encodeEntry(e order.Entry) types.AttributeValue {
	m := members{memberEvent: str(e.Event)}
	m.put(memberDetail, text(order.Cut(e.Detail, order.MaxDetail)))
	m.put(memberBy, text(order.Cut(e.By, order.MaxBy)))
	return m.value()
}

func encodeServices(ids map[string][]string) types.AttributeValue {
	if len(ids) == 0 {
		return nil
	}
	m := members{}
	for item, services := range ids {
		l := make([]types.AttributeValue, len(services))
		for i, s := range services {
			l[i] = str(s)
		}
		m.put(item, list(l))
	}
	return m.value()
}

// Members of the plan and of its entries.
const (
	planClient   = "client_id"
	planPayment  = "payment_method"
	planPromo    = "promo_code"
	planEntries  = "entries"
	lineItem     = "item_id"
	lineProduct  = "product_id"
	lineCycle    = "cycle"
	lineQuantity = "quantity"
	lineServices = "services"
	lineDomain   = "domain"
	lineHostname = "hostname"
	lineFields   = "custom_fields"
	lineOptions  = "config_options"
)

func encodePlan(p *order.Plan) types.AttributeValue {
	if p == nil {
		return nil
	}
	entries := make([]types.AttributeValue, len(p.Entries))
	for i, e := range p.Entries {
		m := members{}
		m.put(lineItem, text(e.ItemID))
		m.put(lineProduct, num(e.ProductID))
		m.put(lineCycle, text(string(e.Cycle)))
		m.put(lineQuantity, count(e.Quantity))
		m.put(lineServices, count(e.Services))
		m.put(lineDomain, text(e.Domain))
		m.put(lineHostname, text(e.Hostname))
		m.put(lineFields, encodeStrings(e.CustomFields))
		m.put(lineOptions, encodeStrings(e.ConfigOptions))
		entries[i] = m.value()
	}
	m := members{planClient: num(p.ClientID), planEntries: list(entries)}
	m.put(planPayment, text(p.PaymentMethod))
	m.put(planPromo, text(p.PromoCode))
	return m.value()
}

func decodePlan(d *decoder) *order.Plan {
	v, ok := d.item[attrPlan]
	if !ok {
		return nil
	}
	m := d.child(attrPlan, v)
	if m.item[planClient] == nil {
		d.fail(attrPlan, "a plan without client")
	}
	p := &order.Plan{ClientID: m.int(planClient), PaymentMethod: m.str(planPayment), PromoCode: m.str(planPromo)}
	for _, v := range m.list(planEntries) {
		e := d.child(planEntries, v)
		p.Entries = append(p.Entries, order.PlanEntry{
			Line: order.Line{
				ItemID: e.str(lineItem), ProductID: e.int(lineProduct), Cycle: order.Cycle(e.str(lineCycle)),
				Quantity: int(e.int(lineQuantity)), Domain: e.str(lineDomain), Hostname: e.str(lineHostname),
				CustomFields: e.stringMap(lineFields), ConfigOptions: e.stringMap(lineOptions),
			},
			Services: int(e.int(lineServices)),
		})
	}
	return p
}

func encodeStrings(m map[string]string) types.AttributeValue {
	if len(m) == 0 {
		return nil
	}
	out := members{}
	for k, v := range m {
		out.put(k, str(v))
	}
	return out.value()
}
