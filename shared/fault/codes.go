package fault

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Codes of GroupRequest: answers of the HTTP API to a callout or to the portal.
const (
	SourceNotAllowed       Code = "source_not_allowed"
	BodyTooLarge           Code = "body_too_large"
	BodyMalformed          Code = "body_malformed"
	SignatureMissing       Code = "signature_missing"
	SignatureInvalid       Code = "signature_invalid"
	TimestampInvalid       Code = "timestamp_invalid"
	TimestampOutOfWindow   Code = "timestamp_out_of_window"
	NonceInvalid           Code = "nonce_invalid"
	ContentTypeUnsupported Code = "content_type_unsupported"
	HeadersNotSigned       Code = "headers_not_signed"
	OrgNotAllowed          Code = "org_not_allowed"
	OrderIDInvalid         Code = "order_id_invalid"
	OrderIDMismatch        Code = "order_id_mismatch"
	IdempotencyKeyMissing  Code = "idempotency_key_missing"
	NonceReplayed          Code = "nonce_replayed"
	TooManyRequests        Code = "too_many_requests"
	SecretUnavailable      Code = "secret_unavailable"
	TryAgain               Code = "try_again"
	CallerUnknown          Code = "caller_unknown"
	Internal               Code = "internal_error"
)

// Codes of GroupOrder after which it is known what exists in WHMCS.
const (
	AccountNotMapped     Code = "account_not_mapped"
	ProductNotMapped     Code = "product_not_mapped"
	BillingCycleInvalid  Code = "billing_cycle_invalid"
	QuantityInvalid      Code = "quantity_invalid"
	OrderEmpty           Code = "order_empty"
	OrderNotFound        Code = "order_not_found"
	ReductionOrder       Code = "reduction_order"
	PaymentMethodMissing Code = "payment_method_missing"
	WHMCSClientNotFound  Code = "whmcs_client_not_found"
	WHMCSClientClosed    Code = "whmcs_client_closed"
	WHMCSRejected        Code = "whmcs_rejected"
	ModuleFailed         Code = "module_failed"
	RetriesExhausted     Code = "retries_exhausted"
	NotProcessable       Code = "not_processable"
	Stopped              Code = "stopped"
	RequestNotDelivered  Code = "request_not_delivered" // written by Salesforce itself
	AccountNotReadable   Code = "account_not_readable"
	ProductNotReadable   Code = "product_not_readable"
)

// Codes of GroupOrder that a person must review: something may exist in WHMCS.
const (
	AddOutcomeUnknown    Code = "add_outcome_unknown"
	AcceptOutcomeUnknown Code = "accept_outcome_unknown"
	WHMCSOrderMismatch   Code = "whmcs_order_mismatch"
	WHMCSOrderCancelled  Code = "whmcs_order_cancelled"
	WHMCSOrderAmbiguous  Code = "whmcs_order_ambiguous"
	MarkerNotKept        Code = "marker_not_kept"
	WHMCSIDForeign       Code = "whmcs_id_foreign"
	NotVerified          Code = "not_verified"
	StoppedInWHMCS       Code = "stopped_in_whmcs"
)

// Codes of GroupSide: they park an order or open a breaker, and stand in
// error_code while an order waits.
const (
	WHMCSSecretUnavailable      Code = "whmcs_secret_unavailable"
	SalesforceSecretUnavailable Code = "salesforce_secret_unavailable"
	WHMCSUnavailable            Code = "whmcs_unavailable"
	WHMCSBusy                   Code = "whmcs_busy"
	WHMCSIPDenied               Code = "whmcs_ip_denied"
	WHMCSCredentials            Code = "whmcs_credentials_refused"
	WHMCSRoleDenied             Code = "whmcs_role_denied"
	WHMCSMisconfigured          Code = "whmcs_misconfigured"
	SalesforceUnavailable       Code = "salesforce_unavailable"
	SalesforceRowLocked         Code = "salesforce_row_locked"
	SalesforceLimit             Code = "salesforce_limit_exceeded"
	SalesforceSession           Code = "salesforce_session_expired"
	SalesforceCredentials       Code = "salesforce_credentials_refused"
	SalesforcePermission        Code = "salesforce_permission_lost"
	SalesforceMisconfigured     Code = "salesforce_misconfigured"
	StoreUnavailable            Code = "store_unavailable"
	ListingUnstable             Code = "whmcs_listing_unstable"
	ClockSkewed                 Code = "clock_skewed"
	NoTimeLeft                  Code = "no_time_left"
)

// Codes of GroupWork: one record, one worker or one command of orderctl.
const (
	SalesforceStale      Code = "salesforce_stale"
	SalesforceRowRefused Code = "salesforce_row_refused"
	SalesforceRowUnclear Code = "salesforce_row_unclear"
	LeaseLost            Code = "lease_lost"
	NotDue               Code = "not_due"
	StateChanged         Code = "state_changed"
	ConfigurationInvalid Code = "configuration_invalid"

	// What keeps orderctl from AWS.
	AWSCredentials Code = "aws_credentials_missing"
	AWSDenied      Code = "aws_denied"
	AWSNotFound    Code = "aws_not_found"
	AWSUnreachable Code = "aws_unreachable"
)

// Group says where a code is seen. The generated tables of the docs follow it.
type Group uint8

// The groups.
const (
	// GroupRequest: an answer of the HTTP API, or of orderctl for one.
	GroupRequest Group = iota + 1
	// GroupOrder: the end of an order whose state is failed.
	GroupOrder
	// GroupSide: WHMCS, Salesforce or the table does not serve; orders wait.
	GroupSide
	// GroupWork: logs, dead letters and the answers of orderctl.
	GroupWork
)

// Info is what the table knows of a code.
type Info struct {
	// Status is the HTTP status with which the code leaves the API.
	Status int
	// Kind says what may be done after it.
	Kind Kind
	// Group says where it is seen.
	Group Group
	// Title is the short text of a problem document (RFC 9457 "title").
	Title string
	// Seen is one sentence that says what was seen. Do says what a Salesforce
	// operator does about it, "" = the sentence says it or the caller is a
	// program. They name no command: what only the on-call engineer can do is
	// "ask the on-call engineer".
	Seen, Do string
	// Advice is Seen and Do as one text; Info sets it. It is what Salesforce and
	// the API show of an error that has no advice of its own. It leaves room for
	// another system's words in Salesforce's 255 UTF-16 units.
	Advice string
	// Review is set where something may exist in WHMCS and a person must search it.
	Review bool
	// Security is set where somebody without the right to it may have tried: a
	// wrong sender, or a callout that is not fresh. Its count has an alarm.
	Security bool
	// OnCall is what the on-call engineer does, by recovery point. A code that a
	// person must review has a guide for each point at which it can occur.
	OnCall []Guide
}

// Guide is what the on-call engineer does at some recovery points. The texts
// hold Markdown code spans and these placeholders: {id} the Salesforce order id,
// {marker} its marker line, {order} the WHMCS order id, {client} the WHMCS
// client, {since} the time of the first AddOrder.
type Guide struct {
	// At lists the recovery points, as order.RecoveryPoint spells them; none
	// means every point that no other guide of the code lists.
	At []string
	// Seen says what is known at these points; "" = the code's Seen.
	Seen string
	// Steps are done in this order; alternatives stand on lines of their own.
	Steps []string
}

// vendor returns the name of the other system whose words stand under c.
func (c Code) vendor() string {
	if strings.HasPrefix(string(c), "salesforce_") {
		return "Salesforce"
	}
	return "WHMCS"
}

// Info returns what the table says of c; an unlisted code is an internal error.
func (c Code) Info() Info {
	i, ok := table[c]
	if !ok {
		i = table[Internal]
	}
	i.Advice = strings.TrimSpace(i.Seen + " " + i.Do)
	return i
}

// OnCall returns the guide of c for an order at the recovery point; without
// steps where the on-call engineer has nothing to do.
func (c Code) OnCall(point string) Guide {
	i := c.Info()
	var guide Guide
	for _, g := range i.OnCall {
		if slices.Contains(g.At, point) {
			guide = g
			break
		}
		if len(g.At) == 0 {
			guide = g
		}
	}
	guide.Seen = cmp.Or(guide.Seen, i.Seen)
	return guide
}

// NeedsPerson reports whether an order that failed with c waits for a decision of
// a person: something may exist in WHMCS, and the order was not stopped, which is
// such a decision.
func (c Code) NeedsPerson() bool { return c.Info().Review && c != StoppedInWHMCS }

// Kind returns the kind of c.
func (c Code) Kind() Kind { return c.Info().Kind }

// Listed reports whether c is in the table.
func (c Code) Listed() bool { _, ok := table[c]; return ok }

// Codes returns every listed code in alphabetical order.
func Codes() []Code { return slices.Sorted(maps.Keys(table)) }
