package fault

import "strings"

// Callout and portal codes: what a caller of the HTTP API can read.
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

// Order codes that mean: nothing was made in WHMCS, or it is known what was.
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
	Stopped              Code = "stopped"
	RequestNotDelivered  Code = "request_not_delivered" // written by Salesforce itself
)

// Order codes for a person to review: something may exist in WHMCS.
const (
	AddOutcomeUnknown    Code = "add_outcome_unknown"
	AcceptOutcomeUnknown Code = "accept_outcome_unknown"
	WHMCSOrderMismatch   Code = "whmcs_order_mismatch"
	WHMCSOrderCancelled  Code = "whmcs_order_cancelled"
	WHMCSOrderAmbiguous  Code = "whmcs_order_ambiguous"
	MarkerNotKept        Code = "marker_not_kept"
	WHMCSIDForeign       Code = "whmcs_id_foreign"
	NotVerified          Code = "not_verified"
)

// Codes of a side that does not serve us: they park an order or open a
// breaker, and are seen in error_code while an order waits.
const (
	WHMCSUnavailable      Code = "whmcs_unavailable"
	WHMCSBusy             Code = "whmcs_busy"
	WHMCSIPDenied         Code = "whmcs_ip_denied"
	WHMCSCredentials      Code = "whmcs_credentials_refused"
	WHMCSRoleDenied       Code = "whmcs_role_denied"
	WHMCSMisconfigured    Code = "whmcs_misconfigured"
	WHMCSSecret           Code = "whmcs_secret_unavailable"
	SalesforceUnavailable Code = "salesforce_unavailable"
	SalesforceRowLocked   Code = "salesforce_row_locked"
	SalesforceLimit       Code = "salesforce_limit_exceeded"
	SalesforceSession     Code = "salesforce_session_expired"
	SalesforceCredentials Code = "salesforce_credentials_refused"
	SalesforcePermission  Code = "salesforce_permission_lost"
	SalesforceSecret      Code = "salesforce_secret_unavailable"
	SalesforceStale       Code = "salesforce_stale"
	SalesforceRowRefused  Code = "salesforce_row_refused"
	StoreUnavailable      Code = "store_unavailable"
	LeaseLost             Code = "lease_lost"
	NotDue                Code = "not_due"
	StateChanged          Code = "state_changed"
	ConfigurationInvalid  Code = "configuration_invalid"
	ListingUnstable       Code = "whmcs_listing_unstable"
	ClockSkewed           Code = "clock_skewed"
)

// Info is what the table knows of a code.
type Info struct {
	// Status is the HTTP status with which the code leaves the API.
	Status int
	// Kind says what may be done after it.
	Kind Kind
	// Title is the short text of a problem document (RFC 9457 "title").
	Title string
	// Advice is for the operator: first what to do, then the cause. It is
	// what Salesforce shows when the error has no public text of its own.
	Advice string
	// Review is set where something may exist in WHMCS and a person must look.
	Review bool
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
	if i, ok := table[c]; ok {
		return i
	}
	return table[Internal]
}

// Kind returns the kind of c.
func (c Code) Kind() Kind { return c.Info().Kind }

// Listed reports whether c is in the table.
func (c Code) Listed() bool { _, ok := table[c]; return ok }

// Codes returns every listed code in no particular order.
func Codes() []Code {
	all := make([]Code, 0, len(table))
	for c := range table {
		all = append(all, c)
	}
	return all
}

var table = map[Code]Info{
	SourceNotAllowed:       {Status: 403, Kind: Rejected, Title: "Source address not allowed", Advice: "The callout came from an address outside the allowlist."},
	BodyTooLarge:           {Status: 413, Kind: Rejected, Title: "Body too large", Advice: "The callout body is larger than 16,384 bytes."},
	BodyMalformed:          {Status: 400, Kind: Rejected, Title: "Body malformed", Advice: "The body is not one strict JSON object with orderId, timestamp and nonce."},
	SignatureMissing:       {Status: 401, Kind: Rejected, Title: "Signature missing", Advice: "The X-SF-Signature header is absent or empty."},
	SignatureInvalid:       {Status: 401, Kind: Rejected, Title: "Signature invalid", Advice: "The signature does not match the body under a valid secret."},
	TimestampInvalid:       {Status: 401, Kind: Rejected, Title: "Timestamp invalid", Advice: "The X-SF-Timestamp header is not YYYY-MM-DDThh:mm:ss[.sss]Z."},
	TimestampOutOfWindow:   {Status: 401, Kind: Rejected, Title: "Timestamp out of window", Advice: "The timestamp is too old or too far in the future."},
	NonceInvalid:           {Status: 401, Kind: Rejected, Title: "Nonce invalid", Advice: "The X-SF-Nonce header is not 16 to 128 characters of A-Z, a-z, 0-9, _ and -."},
	ContentTypeUnsupported: {Status: 415, Kind: Rejected, Title: "Content type not supported", Advice: "The content type must be application/json."},
	HeadersNotSigned:       {Status: 401, Kind: Rejected, Title: "Headers not signed", Advice: "The timestamp or nonce header differs from the signed body."},
	OrgNotAllowed:          {Status: 403, Kind: Rejected, Title: "Organization not allowed", Advice: "The signed organizationId is not the one this installation serves."},
	OrderIDInvalid:         {Status: 400, Kind: Rejected, Title: "Order id invalid", Advice: "The order id is not a Salesforce Order id."},
	OrderIDMismatch:        {Status: 400, Kind: Rejected, Title: "Order id mismatch", Advice: "The order id of the path and of the body differ."},
	IdempotencyKeyMissing:  {Status: 400, Kind: Rejected, Title: "Idempotency key missing", Advice: "The Idempotency-Key header must be 1 to 255 printable ASCII characters."},
	NonceReplayed:          {Status: 401, Kind: Rejected, Title: "Nonce replayed", Advice: "This callout was received before."},
	TooManyRequests:        {Status: 429, Kind: Rejected, Title: "Too many requests", Advice: "Too many callouts for this order; wait a few minutes."},
	SecretUnavailable:      {Status: 503, Kind: Config, Title: "Signing secret unavailable", Advice: "The signing secret cannot be read or is not valid."},
	TryAgain:               {Status: 503, Kind: Retryable, Title: "Try again", Advice: "The callout was not recorded; send it again."},
	CallerUnknown:          {Status: 401, Kind: Rejected, Title: "Caller unknown", Advice: "The request carries no verified identity."},
	Internal:               {Status: 500, Kind: Unknown, Title: "Internal error", Advice: "Something went wrong here; the log has the request id."},

	AccountNotMapped:     {Status: 422, Kind: Permanent, Title: "Account not mapped", Advice: "Set WHMCS_Client_ID__c on the account, then click again."},
	ProductNotMapped:     {Status: 422, Kind: Permanent, Title: "Product not mapped", Advice: "Set WH_Product_ID__c on the product, then click again."},
	BillingCycleInvalid:  {Status: 422, Kind: Permanent, Title: "Billing cycle invalid", Advice: "Correct Billing_Cycle__c on the product, then click again."},
	QuantityInvalid:      {Status: 422, Kind: Permanent, Title: "Quantity invalid", Advice: "Set a whole quantity of 1 or more, then click again."},
	OrderEmpty:           {Status: 422, Kind: Permanent, Title: "Order empty", Advice: "Add products to the order, then click again."},
	OrderNotFound:        {Status: 422, Kind: Permanent, Title: "Order not found", Advice: "The order does not exist in Salesforce, or is hidden from the integration user."},
	ReductionOrder:       {Status: 422, Kind: Permanent, Title: "Reduction order", Advice: "Reduction orders are not provisioned."},
	PaymentMethodMissing: {Status: 422, Kind: Permanent, Title: "Payment method missing", Advice: "Have the customer store a pay method in WHMCS, then click again."},
	WHMCSClientNotFound:  {Status: 422, Kind: Permanent, Title: "WHMCS client not found", Advice: "Correct WHMCS_Client_ID__c on the account: WHMCS has no such client."},
	WHMCSClientClosed:    {Status: 422, Kind: Permanent, Title: "WHMCS client closed", Advice: "Reopen the client in WHMCS, then click again."},
	WHMCSRejected:        {Status: 422, Kind: Permanent, Title: "Rejected by WHMCS", Advice: "Mend what WHMCS names, then click again. Nothing was ordered."},
	ModuleFailed:         {Status: 422, Kind: Permanent, Title: "Module failed", Advice: "Check the remote account in WHMCS, mend the cause, then click again: the click consents to one more run.", Review: true},
	RetriesExhausted:     {Status: 422, Kind: Permanent, Title: "Retries exhausted", Advice: "Click again: nothing was ordered in 72 hours of trying."},
	Stopped:              {Status: 422, Kind: Permanent, Title: "Stopped by an operator", Advice: "Click again to resume; the bridge looks in WHMCS first."},
	RequestNotDelivered:  {Status: 422, Kind: Retryable, Title: "Request not delivered", Advice: "Not delivered to the bridge. Click again, it is safe."},

	AddOutcomeUnknown:    {Status: 422, Kind: Permanent, Title: "AddOrder outcome unknown", Advice: "Look in WHMCS for an order of this client, then resolve with adopt or none.", Review: true},
	AcceptOutcomeUnknown: {Status: 422, Kind: Permanent, Title: "AcceptOrder outcome unknown", Advice: "Look whether the services of the WHMCS order exist, accept it there if not, then click again.", Review: true},
	WHMCSOrderMismatch:   {Status: 422, Kind: Permanent, Title: "WHMCS order differs", Advice: "Compare the WHMCS order with this one, mend it there, then click again.", Review: true},
	WHMCSOrderCancelled:  {Status: 422, Kind: Permanent, Title: "WHMCS order cancelled", Advice: "The WHMCS order was cancelled, marked as fraud or deleted. Resolve with adopt or none.", Review: true},
	WHMCSOrderAmbiguous:  {Status: 422, Kind: Permanent, Title: "WHMCS order ambiguous", Advice: "Look in WHMCS which order belongs to this one, cancel the wrong ones, then resolve with adopt or none.", Review: true},
	MarkerNotKept:        {Status: 422, Kind: Config, Title: "Marker not kept", Advice: "WHMCS did not keep this order's marker. Mend the installation, restore the marker, then click again.", Review: true},
	WHMCSIDForeign:       {Status: 422, Kind: Permanent, Title: "WHMCS order of another order", Advice: "WHMCS_Order_ID__c belongs to another order, perhaps by cloning. Clear it, then click again.", Review: true},
	NotVerified:          {Status: 422, Kind: Permanent, Title: "Services not verified", Advice: "Check the services of the WHMCS order, activate them, then click again.", Review: true},

	WHMCSUnavailable:      {Status: 503, Kind: Retryable, Title: "WHMCS unavailable", Advice: "Wait: WHMCS does not answer; the bridge tries again."},
	WHMCSBusy:             {Status: 503, Kind: Retryable, Title: "WHMCS busy", Advice: "Wait: WHMCS is busy; the bridge tries again."},
	WHMCSIPDenied:         {Status: 503, Kind: Config, Title: "WHMCS refuses our address", Advice: "Allow the bridge's address in WHMCS; orders wait until then."},
	WHMCSCredentials:      {Status: 503, Kind: Config, Title: "WHMCS refuses the credentials", Advice: "Mend the WHMCS API credential; orders wait until then."},
	WHMCSRoleDenied:       {Status: 503, Kind: Config, Title: "WHMCS role too narrow", Advice: "Allow the named action in the WHMCS API role; orders wait until then."},
	WHMCSMisconfigured:    {Status: 503, Kind: Config, Title: "WHMCS misconfigured", Advice: "Mend the WHMCS installation; orders wait until then."},
	WHMCSSecret:           {Status: 503, Kind: Config, Title: "WHMCS secret unavailable", Advice: "Put a valid WHMCS secret into Secrets Manager and let the function read it; orders wait until then."},
	SalesforceUnavailable: {Status: 503, Kind: Retryable, Title: "Salesforce unavailable", Advice: "Wait: Salesforce does not answer; the bridge tries again."},
	SalesforceRowLocked:   {Status: 503, Kind: Retryable, Title: "Salesforce row locked", Advice: "Wait: the record is locked; the bridge tries again."},
	SalesforceLimit:       {Status: 503, Kind: Retryable, Title: "Salesforce limit exceeded", Advice: "Wait: the org's API limit is used up; the bridge slows down."},
	SalesforceSession:     {Status: 503, Kind: Retryable, Title: "Salesforce session expired", Advice: "Wait: the bridge logs in again."},
	SalesforceCredentials: {Status: 503, Kind: Config, Title: "Salesforce refuses the credentials", Advice: "Mend the External Client App's credentials; orders wait until then."},
	SalesforcePermission:  {Status: 503, Kind: Config, Title: "Salesforce permission lost", Advice: "Give the integration user its permission set back; orders wait until then."},
	SalesforceSecret:      {Status: 503, Kind: Config, Title: "Salesforce secret unavailable", Advice: "Put a valid Salesforce secret into Secrets Manager and let the functions read it; orders wait until then."},
	SalesforceStale:       {Status: 409, Kind: Permanent, Title: "Salesforce is newer", Advice: "Salesforce already shows a newer status."},
	SalesforceRowRefused:  {Status: 422, Kind: Permanent, Title: "Salesforce refuses the row", Advice: "Mend the rule or field that refuses the status, then push the order again."},
	StoreUnavailable:      {Status: 503, Kind: Retryable, Title: "Table unavailable", Advice: "Wait: the table does not answer; the bridge tries again."},
	LeaseLost:             {Status: 409, Kind: Retryable, Title: "Lease lost", Advice: "Another worker holds the order."},
	NotDue:                {Status: 409, Kind: Retryable, Title: "Not due", Advice: "The order is not due, or another worker holds it."},
	StateChanged:          {Status: 409, Kind: Rejected, Title: "State changed", Advice: "The order is not in the state this needs; look at it again."},
	ConfigurationInvalid:  {Status: 500, Kind: Config, Title: "Configuration invalid", Advice: "Mend the environment value that is named."},
	ListingUnstable:       {Status: 503, Kind: Retryable, Title: "WHMCS listing unstable", Advice: "Wait: the list of orders changes while it is read."},
	ClockSkewed:           {Status: 503, Kind: Config, Title: "Clock skewed", Advice: "Wait: this worker's clock differs from the table's by more than two seconds."},
}
