package fault

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
	SalesforceUnavailable Code = "salesforce_unavailable"
	SalesforceRowLocked   Code = "salesforce_row_locked"
	SalesforceLimit       Code = "salesforce_limit_exceeded"
	SalesforceSession     Code = "salesforce_session_expired"
	SalesforceCredentials Code = "salesforce_credentials_refused"
	SalesforcePermission  Code = "salesforce_permission_lost"
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
	SourceNotAllowed:       {403, Rejected, "Source address not allowed", "The callout came from an address outside the allowlist.", false},
	BodyTooLarge:           {413, Rejected, "Body too large", "The callout body is larger than 16,384 bytes.", false},
	BodyMalformed:          {400, Rejected, "Body malformed", "The body is not one strict JSON object with orderId, timestamp and nonce.", false},
	SignatureMissing:       {401, Rejected, "Signature missing", "The X-SF-Signature header is absent or empty.", false},
	SignatureInvalid:       {401, Rejected, "Signature invalid", "The signature does not match the body under a valid secret.", false},
	TimestampInvalid:       {401, Rejected, "Timestamp invalid", "The X-SF-Timestamp header is not YYYY-MM-DDThh:mm:ss[.sss]Z.", false},
	TimestampOutOfWindow:   {401, Rejected, "Timestamp out of window", "The timestamp is too old or too far in the future.", false},
	NonceInvalid:           {401, Rejected, "Nonce invalid", "The X-SF-Nonce header is not 16 to 128 characters of A-Z, a-z, 0-9, _ and -.", false},
	ContentTypeUnsupported: {415, Rejected, "Content type not supported", "The content type must be application/json.", false},
	HeadersNotSigned:       {401, Rejected, "Headers not signed", "The timestamp or nonce header differs from the signed body.", false},
	OrgNotAllowed:          {403, Rejected, "Organization not allowed", "The signed organizationId is not the one this installation serves.", false},
	OrderIDInvalid:         {400, Rejected, "Order id invalid", "The order id is not a Salesforce Order id.", false},
	OrderIDMismatch:        {400, Rejected, "Order id mismatch", "The order id of the path and of the body differ.", false},
	IdempotencyKeyMissing:  {400, Rejected, "Idempotency key missing", "The Idempotency-Key header must be 1 to 255 printable ASCII characters.", false},
	NonceReplayed:          {401, Rejected, "Nonce replayed", "This callout was received before.", false},
	TooManyRequests:        {429, Rejected, "Too many requests", "Too many callouts for this order; wait a few minutes.", false},
	SecretUnavailable:      {503, Config, "Signing secret unavailable", "The signing secret cannot be read or is not valid.", false},
	TryAgain:               {503, Retryable, "Try again", "The callout was not recorded; send it again.", false},
	CallerUnknown:          {401, Rejected, "Caller unknown", "The request carries no verified identity.", false},
	Internal:               {500, Unknown, "Internal error", "Something went wrong here; the log has the request id.", false},

	AccountNotMapped:     {422, Permanent, "Account not mapped", "Set WHMCS_Client_ID__c on the account, then click again.", false},
	ProductNotMapped:     {422, Permanent, "Product not mapped", "Set WH_Product_ID__c on the product, then click again.", false},
	BillingCycleInvalid:  {422, Permanent, "Billing cycle invalid", "Correct Billing_Cycle__c on the product, then click again.", false},
	QuantityInvalid:      {422, Permanent, "Quantity invalid", "Set a whole quantity of 1 or more, then click again.", false},
	OrderEmpty:           {422, Permanent, "Order empty", "Add products to the order, then click again.", false},
	OrderNotFound:        {422, Permanent, "Order not found", "The order does not exist in Salesforce, or is hidden from the integration user.", false},
	ReductionOrder:       {422, Permanent, "Reduction order", "Reduction orders are not provisioned.", false},
	PaymentMethodMissing: {422, Permanent, "Payment method missing", "Have the customer store a pay method in WHMCS, then click again.", false},
	WHMCSClientNotFound:  {422, Permanent, "WHMCS client not found", "Correct WHMCS_Client_ID__c on the account: WHMCS has no such client.", false},
	WHMCSClientClosed:    {422, Permanent, "WHMCS client closed", "Reopen the client in WHMCS, then click again.", false},
	WHMCSRejected:        {422, Permanent, "Rejected by WHMCS", "Mend what WHMCS names, then click again. Nothing was ordered.", false},
	ModuleFailed:         {422, Permanent, "Module failed", "Check the remote account in WHMCS, mend the cause, then click again: the click consents to one more run.", true},
	RetriesExhausted:     {422, Permanent, "Retries exhausted", "Click again: nothing was ordered in 72 hours of trying.", false},
	Stopped:              {422, Permanent, "Stopped by an operator", "Click again to resume; the bridge looks in WHMCS first.", false},
	RequestNotDelivered:  {422, Retryable, "Request not delivered", "Not delivered to the bridge. Click again, it is safe.", false},

	AddOutcomeUnknown:    {422, Permanent, "AddOrder outcome unknown", "Look in WHMCS for an order of this client, then resolve with adopt or none.", true},
	AcceptOutcomeUnknown: {422, Permanent, "AcceptOrder outcome unknown", "Look whether the services of the WHMCS order exist, accept it there if not, then click again.", true},
	WHMCSOrderMismatch:   {422, Permanent, "WHMCS order differs", "Compare the WHMCS order with this one, mend it there, then click again.", true},
	WHMCSOrderCancelled:  {422, Permanent, "WHMCS order cancelled", "The WHMCS order was cancelled, marked as fraud or deleted. Resolve with adopt or none.", true},
	WHMCSOrderAmbiguous:  {422, Permanent, "WHMCS order ambiguous", "Look in WHMCS which order belongs to this one, cancel the wrong ones, then resolve with adopt or none.", true},
	MarkerNotKept:        {422, Config, "Marker not kept", "WHMCS did not keep this order's marker. Mend the installation, restore the marker, then click again.", true},
	WHMCSIDForeign:       {422, Permanent, "WHMCS order of another order", "WHMCS_Order_ID__c belongs to another order, perhaps by cloning. Clear it, then click again.", true},
	NotVerified:          {422, Permanent, "Services not verified", "Check the services of the WHMCS order, activate them, then click again.", true},

	WHMCSUnavailable:      {503, Retryable, "WHMCS unavailable", "Wait: WHMCS does not answer; the bridge tries again.", false},
	WHMCSBusy:             {503, Retryable, "WHMCS busy", "Wait: WHMCS is busy; the bridge tries again.", false},
	WHMCSIPDenied:         {503, Config, "WHMCS refuses our address", "Allow the bridge's address in WHMCS; orders wait until then.", false},
	WHMCSCredentials:      {503, Config, "WHMCS refuses the credentials", "Mend the WHMCS API credential; orders wait until then.", false},
	WHMCSRoleDenied:       {503, Config, "WHMCS role too narrow", "Allow the named action in the WHMCS API role; orders wait until then.", false},
	WHMCSMisconfigured:    {503, Config, "WHMCS misconfigured", "Mend the WHMCS installation; orders wait until then.", false},
	SalesforceUnavailable: {503, Retryable, "Salesforce unavailable", "Wait: Salesforce does not answer; the bridge tries again.", false},
	SalesforceRowLocked:   {503, Retryable, "Salesforce row locked", "Wait: the record is locked; the bridge tries again.", false},
	SalesforceLimit:       {503, Retryable, "Salesforce limit exceeded", "Wait: the org's API limit is used up; the bridge slows down.", false},
	SalesforceSession:     {503, Retryable, "Salesforce session expired", "Wait: the bridge logs in again.", false},
	SalesforceCredentials: {503, Config, "Salesforce refuses the credentials", "Mend the External Client App's credentials; orders wait until then.", false},
	SalesforcePermission:  {503, Config, "Salesforce permission lost", "Give the integration user its permission set back; orders wait until then.", false},
	SalesforceStale:       {409, Permanent, "Salesforce is newer", "Salesforce already shows a newer status.", false},
	SalesforceRowRefused:  {422, Permanent, "Salesforce refuses the row", "Mend the rule or field that refuses the status, then push the order again.", false},
	StoreUnavailable:      {503, Retryable, "Table unavailable", "Wait: the table does not answer; the bridge tries again.", false},
	LeaseLost:             {409, Retryable, "Lease lost", "Another worker holds the order.", false},
	NotDue:                {409, Retryable, "Not due", "The order is not due, or another worker holds it.", false},
	StateChanged:          {409, Rejected, "State changed", "The order is not in the state this needs; look at it again.", false},
	ConfigurationInvalid:  {500, Config, "Configuration invalid", "Mend the environment value that is named.", false},
	ListingUnstable:       {503, Retryable, "WHMCS listing unstable", "Wait: the list of orders changes while it is read.", false},
	ClockSkewed:           {503, Config, "Clock skewed", "Wait: this worker's clock differs from the table's by more than two seconds.", false},
}
