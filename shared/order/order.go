// Package order is the domain: what an order is, which states it can have, and
// what the other packages say to each other about it.
//
// The rule it keeps: these are plain values. No type here knows DynamoDB, HTTP
// or JSON, and none may be reused as a stored item or a wire body.
package order

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
	"unicode"

	"orderbridge/shared/fault"
)

// State is the state of an order. Queued, Working and Waiting are open:
// Salesforce and the portal read "Activating".
type State string

// The states. An order with no item has none ("").
const (
	Queued      State = "queued"
	Working     State = "working"
	Waiting     State = "waiting"
	Provisioned State = "provisioned"
	Failed      State = "failed"
)

// Open reports whether work is still to be done.
func (s State) Open() bool { return s == Queued || s == Working || s == Waiting }

// Status is what people are shown of a state.
type Status string

// The statuses, spelled as the Salesforce picklist and the portal spell them.
const (
	StatusPendingReview Status = "Pending Review"
	StatusActivating    Status = "Activating"
	StatusProvisioned   Status = "Provisioned"
	StatusFailed        Status = "Failed"
)

// Status returns what people are shown: Pending Review where there is no item.
func (s State) Status() Status {
	switch s {
	case Provisioned:
		return StatusProvisioned
	case Failed:
		return StatusFailed
	case Queued, Working, Waiting:
		return StatusActivating
	}
	return StatusPendingReview
}

// Final reports whether a reader may stop asking.
func (s Status) Final() bool { return s == StatusProvisioned || s == StatusFailed }

// RecoveryPoint is the recovery point: how far an order may have got in WHMCS.
type RecoveryPoint string

// The recovery points, in order.
const (
	// PointNone: nothing can have reached WHMCS.
	PointNone RecoveryPoint = "none"
	// PointAdding: AddOrder may have reached it.
	PointAdding RecoveryPoint = "adding"
	// PointAdded: the WHMCS order is known.
	PointAdded RecoveryPoint = "added"
	// PointAccepting: AcceptOrder may have reached it.
	PointAccepting RecoveryPoint = "accepting"
	// PointAccepted: AcceptOrder answered; the services are not yet verified.
	PointAccepted RecoveryPoint = "accepted"
)

// Signal says why a write was made. The stream's filters read it, so that a
// write wakes only those that it concerns.
type Signal string

// The reasons. Queued wakes provision and statuspush, Status wakes statuspush,
// Lease and Note wake no function.
const (
	SignalQueued Signal = "queued"
	SignalStatus Signal = "status"
	SignalLease  Signal = "lease"
	SignalNote   Signal = "note"
)

// Visible reports whether Salesforce must see the write: then seq grows.
func (w Signal) Visible() bool { return w == SignalQueued || w == SignalStatus }

// Seq orders what Salesforce is told. It starts at the creation time in ms and
// becomes max(last+1, now in ms), so it never falls behind an earlier life of
// the same order.
type Seq int64

// Next returns the seq after s at the time now.
func (s Seq) Next(now time.Time) Seq { return max(s+1, Seq(now.UnixMilli())) }

// Fence counts the leases of one order; it grows by 1 per lease and is never reset.
type Fence int64

// Token is a random name for one worker or one request: 96 bits, as 16 characters
// of base64 for URLs. It is compared with the few others of one order, or of one
// side, and each byte of it is paid for by each write of the item that holds it.
type Token string

// NewToken returns a fresh random token.
func NewToken() Token {
	var b [12]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return Token(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Nonce is what is remembered of one nonce of a callout.
type Nonce struct {
	// Expiry: from then on the timestamp window alone refuses the callout.
	Expiry time.Time
	// By names the request that wrote it, so that an SDK retry of one's own
	// write is told apart from a replay.
	By Token
	// Met is what the callout met: the answer to its repetition.
	Met Outcome
}

// Entry is one line of an order's history.
type Entry struct {
	At     time.Time
	Event  string // snake_case, e.g. "callout", "add_sent", "provisioned"
	Detail string // for people; no secret, no personal data
	By     string // Salesforce user id, operator, or the component
	// Times counts lines that said the same, when it is more than 1; First is
	// then when the first of them came.
	Times int
	First time.Time
}

// Sent is what may have left of one effect on WHMCS.
type Sent struct {
	// Count is how many requests may have left, less those that are known to
	// have done nothing.
	Count int
	// Until is the moment until which the last one may leave; zero when none
	// is without a known end.
	Until time.Time
	// SettledAt is the moment by which the last one has ended, whatever its
	// answer: Until and the installation's clock margin and settle time. It is
	// written with Until, so that no reader needs those times, and is zero
	// when Until is.
	SettledAt time.Time
}

// Ended is s once the last request is known to have ended.
func (s Sent) Ended() Sent { return Sent{Count: s.Count} }

// Record is one order as the table knows it.
//
// The callout writes Keys and Nonces; the holder of the lease writes all that
// concerns the work; both may append to History. Zero times mean "absent".
type Record struct {
	ID            ID
	State         State
	RecoveryPoint RecoveryPoint
	Signal        Signal
	Seq           Seq
	Version       int64
	// Marks are random names of the last writes, oldest first, by which a
	// writer knows its own write when the answer was lost.
	Marks []Token

	Lease      Token
	Fence      Fence
	LeaseUntil time.Time

	// Plan is what was, or is to be, ordered; pinned at the first send.
	Plan *Plan
	// Add and Accept say what may have left of the two effects.
	Add, Accept Sent
	// FirstAddAt is when the first AddOrder may have left: how far back a look
	// through the orders of every client has to go.
	FirstAddAt time.Time
	// FirstAddAfter is the id of a WHMCS order that was there before the first
	// AddOrder left: what that one makes has a higher id. 0: none is known.
	FirstAddAfter int64
	// Search is how far a search of WHMCS has come that another lease goes on
	// with; nil between two searches. Only a wait and a renewal keep it.
	Search *Search
	// Word is what a person said about this order that still counts.
	Word Word
	// AcceptedAt is when AcceptOrder was known to have been answered; the
	// verification gives up 15 minutes later.
	AcceptedAt time.Time

	Attempts int
	// Aborted counts leases in a row that ended without a last write: their
	// workers died.
	Aborted  int
	OpenedAt time.Time
	// DueAt is from when on the clock sends hints for the order; absent unless
	// open. A queued order is due before, at once.
	DueAt time.Time

	Keys   []string // the last 20 idempotency keys, oldest first
	Nonces map[string]Nonce

	AccountID    string // Salesforce Account id, 18 characters
	WHMCSOrderID string
	// ServiceIDs maps a Salesforce OrderItem id to its WHMCS service ids.
	ServiceIDs map[string][]string

	ErrorCode    fault.Code
	ErrorMessage string
	ErrorAt      time.Time
	// Told is what Salesforce is told of an open order that has waited for a
	// fault twice: it changes with Seq alone.
	Told Wait

	History []Entry // oldest first

	// CorrelationID is the request id of the callout that began or reopened the
	// order: each log line of it names it. "" = none is known.
	CorrelationID string

	// Refusal: Salesforce does not take what it is to show of the order.
	Refusal Refusal

	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
}

// Wait is why an open order waits. The zero Wait is none.
type Wait struct {
	Code    fault.Code
	Message string
	// NextTry is when it is tried again, as planned when Code was met first.
	NextTry time.Time
}

// Status returns what people are shown of r.
func (r Record) Status() Status { return r.State.Status() }

// Cycle is a WHMCS billing cycle as AddOrder takes it.
type Cycle string

// The billing cycles of AddOrder (developers.whmcs.com, AddOrder, "billingcycle").
const (
	Monthly      Cycle = "monthly"
	OneTime      Cycle = "onetime"
	Quarterly    Cycle = "quarterly"
	SemiAnnually Cycle = "semiannually"
	Annually     Cycle = "annually"
	Biennially   Cycle = "biennially"
	Triennially  Cycle = "triennially"
	Free         Cycle = "free"
)

// ParseCycle reads a billing cycle as WHMCS or a person writes it: letters alone
// count, so that "One Time", "Semi-Annually" and WHMCS's label "Free Account" are
// read as well as AddOrder's own words; "Annual" is "Annually".
func ParseCycle(s string) (c Cycle, ok bool) {
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
	switch c = Cycle(letters); c {
	case Monthly, OneTime, Quarterly, SemiAnnually, Annually, Biennially, Triennially, Free:
		return c, true
	case "freeaccount":
		return Free, true
	case "semiannual", "annual", "biennial", "triennial":
		return c + "ly", true
	}
	return "", false
}

// Request is one Salesforce order, mapped and checked: what a person asked for.
type Request struct {
	ID        ID
	AccountID string
	ClientID  int64 // WHMCS client
	// WHMCSOrderID is what Salesforce already holds in WHMCS_Order_ID__c,
	// perhaps by cloning; "" if nothing.
	WHMCSOrderID string
	// ShownSeq is what Salesforce holds in Provisioning_Seq__c; 0 if nothing.
	ShownSeq  Seq
	PromoCode string
	Lines     []Line
}

// Line is one line of a Salesforce order.
type Line struct {
	ItemID        string // Salesforce OrderItem id
	ProductID     int64  // WHMCS pid
	Cycle         Cycle
	Quantity      int
	Domain        string
	Hostname      string
	CustomFields  map[string]string // WHMCS custom field id -> value
	ConfigOptions map[string]string // WHMCS option id -> value
}

// Plan is what AddOrder is to make, pinned before the first send: later looks
// and comparisons go by it, not by Salesforce as it is by then.
type Plan struct {
	ClientID      int64
	PaymentMethod string
	PromoCode     string
	Entries       []PlanEntry
}

// PlanEntry is one index of AddOrder's arrays.
type PlanEntry struct {
	Line
	// Quantity (of Line) is qty[i]; 1 where the line is repeated instead.
	// Services is how many service rows WHMCS makes of this entry: 1 for a
	// scaling service and for quantity 1, Quantity for multiple services.
	Services int
}

// ProductInfo is what the plan has to know of a WHMCS product.
type ProductInfo struct {
	ProductID int64
	Name      string
	Quantity  QuantityRule
	Module    string // "" = no provisioning module
	// Cycles are those for which WHMCS has a price; nil = not known.
	Cycles []Cycle
}

// QuantityRule is the product setting "Allow Multiple Quantities"
// (GetProducts allowqty: 0, 1, 2).
type QuantityRule int

// The quantity rules.
const (
	QuantityNone     QuantityRule = 0 // a line is repeated
	QuantityMultiple QuantityRule = 1 // qty n makes n services
	QuantityScaling  QuantityRule = 2 // one service of qty n
)

// BillingOrder is one WHMCS order as it stands in the books.
type BillingOrder struct {
	ID       string
	ClientID int64
	Status   BillingStatus
	Marker   Marker
	// Date is when WHMCS says it was made, in WHMCS's own time zone, unmarked;
	// good to the day only.
	Date time.Time
	// PromoCode is what the order was given; "" with PromoKnown = none.
	PromoCode  string
	PromoKnown bool
	Services   []BillingService // filled by the reads that say so
}

// BillingStatus is an order status of WHMCS (GetOrderStatuses); admins can add more.
type BillingStatus string

// The order statuses that matter here.
const (
	BillingPending   BillingStatus = "Pending"
	BillingActive    BillingStatus = "Active"
	BillingFraud     BillingStatus = "Fraud"
	BillingCancelled BillingStatus = "Cancelled"
)

// Dead reports whether nothing will come of the order any more.
func (s BillingStatus) Dead() bool { return s == BillingFraud || s == BillingCancelled }

// BillingService is one service of a WHMCS order.
type BillingService struct {
	ID        string
	ProductID int64
	Cycle     Cycle
	Quantity  int
	Status    string // Pending, Active, Completed, Suspended, …
	// Domain is the domain or the host name that WHMCS keeps for the service.
	Domain string
	// CustomFields by id, ConfigOptions by id in AddOrder's own values; nil = not
	// known. An option whose value is shown in other words is "".
	CustomFields, ConfigOptions map[string]string
}

// Live reports whether the service is built: Active, or Completed for one-time ones.
func (s BillingService) Live() bool { return s.Status == "Active" || s.Status == "Completed" }
