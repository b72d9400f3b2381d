package salesforce

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"orderbridge/shared/fault"
)

// codeOf is the one table from Salesforce's error codes to ours. A code that is
// not here is judged by where it came: salesforce_row_unclear for a row,
// salesforce_unavailable for a whole call. Both are tried again.
//
// Sources: SOAP API Developer Guide, "Core Data Types Used in API Calls",
// StatusCode and ExceptionCode; REST API Developer Guide, "Status Codes and
// Error Responses".
func codeOf(code string) (fault.Code, bool) {
	switch code {
	case "UNABLE_TO_LOCK_ROW": // another transaction holds the record, or its parent
		return fault.SalesforceRowLocked, true

	// The platform cannot, for the moment. INVALID_QUERY_LOCATOR: the cursor
	// ended; the query may be sent again.
	case "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG",
		"FUNCTIONALITY_TEMPORARILY_UNAVAILABLE", "INVALID_QUERY_LOCATOR", "INVALID_REPLICATION_DATE",
		"ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED":
		return fault.SalesforceUnavailable, true

	case "REQUEST_LIMIT_EXCEEDED", "TOTAL_REQUESTS_LIMIT_EXCEEDED", "TXN_SECURITY_METERING_ERROR":
		return fault.SalesforceLimit, true

	case "INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "Bad_OAuth_Token":
		return fault.SalesforceSession, true

	// A person must correct the org: fields, permissions, API access.
	// JSON_PARSER_ERROR: a field of another type than ours.
	case "INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE", "INSUFFICIENT_ACCESS",
		"INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "JSON_PARSER_ERROR",
		"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED", "ORG_LOCKED", "CLIENT_NOT_ACCESSIBLE_FOR_USER":
		return fault.SalesforcePermission, true
	case "MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR", "UNSUPPORTED_API_VERSION":
		return fault.SalesforceMisconfigured, true
	case "PASSWORD_LOCKOUT", "LOGIN_MUST_USE_SECURITY_TOKEN", "INVALID_LOGIN":
		return fault.SalesforceCredentials, true

	// A person must correct this row or the rule that refuses it.
	// ENTITY_IS_LOCKED: an approval holds it.
	case "FIELD_CUSTOM_VALIDATION_EXCEPTION", "STRING_TOO_LONG", "NUMBER_OUTSIDE_VALID_RANGE", "MALFORMED_ID",
		"NOT_FOUND", "ENTITY_IS_DELETED", "ENTITY_IS_LOCKED", "INVALID_CROSS_REFERENCE_KEY", "DUPLICATE_VALUE",
		"REQUIRED_FIELD_MISSING", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":
		return fault.SalesforceRowRefused, true
	}
	return "", false
}

// nestedCode returns the code of a cause that a trigger, a flow or a managed
// package of the org may wrap in a refusal of a row; "" for any other. Such a
// cause passes when the row is tried again, alone or later. The texts are the
// platform's (Apex Developer Guide, "Execution Governors and Limits", and the
// texts that users of it report); they come translated only where the platform
// writes for people, with the code beside them.
func nestedCode(message string) fault.Code {
	low := strings.ToLower(message)
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(low, s) })
	}
	switch {
	case has("unable_to_lock_row", "unable to obtain exclusive access", "record currently unavailable", "currently being modified by another user"):
		return fault.SalesforceRowLocked
	case has("query_timeout", "server_unavailable"):
		return fault.SalesforceUnavailable
	// A governor limit of the transaction: fewer rows fit.
	case has("limitexception", "too many soql", "too many dml", "too many query rows", "too many queueable jobs", "too many future calls",
		"cpu time limit exceeded", "heap size too large", "concurrent requests limit exceeded"):
		return fault.SalesforceLimit
	}
	return ""
}

// refusedLogin is what the token endpoint's answer means (RFC 6749 and Salesforce
// Help, "OAuth 2.0 Errors"). One error code stands for many causes, so the
// description decides where it names one: seen and advice are ours for it. What
// is not known and came as the client's fault is config: an app that was blocked
// or deleted has names of its own.
func refusedLogin(status int, name, description string) (code fault.Code, seen, advice string) {
	const until = "; orders wait until then."
	said := strings.ToLower(description)
	switch {
	case name == "rate_limit_exceeded", strings.Contains(said, "login rate exceeded"), strings.Contains(said, "rate limit"):
		return fault.SalesforceLimit, "Salesforce allows no more logins for the moment.", ""
	case strings.Contains(said, "no client credentials user"):
		return fault.SalesforceCredentials, "The External Client App has no user to run as.", "Ask the on-call engineer to set the run-as user of its client credentials flow" + until
	case strings.Contains(said, "not supported on this domain"):
		return fault.SalesforceCredentials, "The login address does not serve this login.", "Ask the on-call engineer to set SF_LOGIN_URL to the org's My Domain" + until
	case strings.Contains(said, "hasn't approved this consumer"):
		return fault.SalesforceCredentials, "The integration user is not admitted to the External Client App.", "Ask the on-call engineer to pre-authorize the app for the user's permission set" + until
	case strings.Contains(said, "ip restricted"):
		return fault.SalesforceCredentials, "The address of the bridge is outside the IP ranges of the app or of the user's profile.", "Ask the on-call engineer to allow it" + until
	}
	switch name {
	case "temporarily_unavailable", "server_error", "unknown_error":
		return fault.SalesforceUnavailable, answered, ""
	}
	if status/100 == 4 && status != 429 {
		return fault.SalesforceCredentials, "", ""
	}
	return fault.SalesforceUnavailable, answered, ""
}

// answered is what was seen of an answer that holds neither a result nor a code.
const answered = "Salesforce answered, and not with a result."

// staleToken stands in the message of the validation rule on
// Provisioning_Seq__c, in every translation of it.
const staleToken = "[OB-STALE]"

// wireError is one error of the REST API: errorCode for a call, statusCode for
// a row of a collection.
type wireError struct {
	ErrorCode  string   `json:"errorCode"`
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
}

func (e wireError) code() string { return cmp.Or(e.ErrorCode, e.StatusCode) }

// of returns our code for e; unlisted for a code that the table lacks.
func (e wireError) of(unlisted fault.Code) fault.Code {
	code := e.code()
	if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" && slices.Contains(e.Fields, fieldSeq) && strings.Contains(e.Message, staleToken) {
		return fault.SalesforceStale
	}
	if e.StatusCode != "" { // of a row
		if inner := nestedCode(e.Message); inner != "" {
			return inner
		}
	}
	if known, ok := codeOf(code); ok {
		return known
	}
	return unlisted
}

// as makes our error of e. status is the HTTP status of the call; 0 for a row.
func (e wireError) as(code fault.Code, status int) error {
	words := e.code() + ": " + oneLine(essence(e.Message), maxMessage)
	if len(e.Fields) > 0 {
		words += " (fields " + oneLine(strings.Join(e.Fields, ", "), maxMessage) + ")"
	}
	if status > 0 {
		words = fmt.Sprintf("HTTP %d %s", status, words)
	}
	f := &fault.Error{Code: code, Vendor: words}
	switch {
	case code == fault.SalesforcePermission && strings.HasPrefix(e.code(), "INVALID_"):
		f.Seen = "Salesforce has no such field or object, or hides it from the integration user."
		f.Advice = "Create it, give that user its permission set back, or ask the on-call engineer; orders wait until then."
	case e.code() == "NOT_FOUND" && code == fault.SalesforceMisconfigured:
		f.Seen, f.Advice = "Salesforce does not serve the API version or address of the bridge.", "Ask the on-call engineer to check SF_API_VERSION; orders wait until then."
	case e.code() == "UNSUPPORTED_API_VERSION", status == http.StatusGone:
		f.Seen, f.Advice = "Salesforce has retired the API version of the bridge.", "Ask the on-call engineer to raise SF_API_VERSION; orders wait until then."
	case code == fault.SalesforceUnavailable:
		f.Seen = answered
	}
	return f
}

// essence is a message without the query that it quotes: the sentence that names
// the column stands behind it.
func essence(message string) string {
	for _, start := range []string{"No such column", "Didn't understand relationship"} {
		if at := strings.Index(message, start); at >= 0 {
			first, _, _ := strings.Cut(message[at:], ". ")
			return first
		}
	}
	return message
}

// maxMessage bounds what is kept of a vendor's message, in UTF-16 units.
const maxMessage = 300

// instead says what came instead of JSON: its title where it has one.
func instead(status int, raw []byte) string {
	text := oneLine(string(raw), maxBody)
	lower := strings.ToLower(text)
	_, title, found := strings.Cut(text, "<title>")
	title, _, closed := strings.Cut(title, "</title>")
	switch {
	case text == "":
		return fmt.Sprintf("HTTP %d with an empty body", status)
	case found && closed:
		return fmt.Sprintf("HTTP %d with a page, not JSON, titled %q", status, oneLine(title, maxTitle))
	case strings.HasPrefix(lower, "<"):
		return fmt.Sprintf("HTTP %d with a page, not JSON", status)
	}
	return fmt.Sprintf("HTTP %d, %d bytes that are not the JSON expected", status, len(raw))
}

// maxTitle is enough of a page's title to know whose page it is, in UTF-16 units.
const maxTitle = 60

// unreadable is the error of an answer without JSON, or without a code.
func unreadable(status int, raw []byte) *fault.Error {
	return &fault.Error{Code: fault.SalesforceUnavailable, Seen: answered, Vendor: instead(status, raw)}
}

// sessionOver is the error of an answer after which the session is of no use:
// any 401, any redirect (the org moved to another instance or My Domain, and a
// bearer token follows no redirect), and two texts of the platform. nil: it is
// none of them.
func sessionOver(status int, location string, raw []byte) *fault.Error {
	text := string(raw[:min(len(raw), maxBody/1024)])
	f := &fault.Error{Code: fault.SalesforceSession, Vendor: instead(status, raw)}
	switch {
	case status/100 == 3:
		f.Seen, f.Vendor = "Salesforce redirects the session.", fmt.Sprintf("HTTP %d to %s", status, cmp.Or(origin(location), "nowhere"))
	case status == http.StatusUnauthorized, strings.Contains(text, "Bad_OAuth_Token"), strings.Contains(text, "Destination URL not reset"):
	default:
		return nil
	}
	return f
}

// origin is scheme and host of a location; "" when it is no absolute URL.
func origin(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// classify returns the error that the answer to a data call is, nil if it is
// none. Errors are an array of {message, errorCode}; success is an object or an
// array of rows. HTML, an empty body and anything else that cannot be read is
// salesforce_unavailable. location is that of a redirect; rowRefused is the code
// where the answer refuses a row and does not say which.
func classify(status int, location string, raw []byte, rowRefused fault.Code) error {
	if status == http.StatusNoContent {
		return nil
	}
	trimmed := strings.TrimSpace(string(raw))
	var all []wireError
	var one wireError
	switch {
	case strings.HasPrefix(trimmed, "{") && status < 300:
		return nil
	case strings.HasPrefix(trimmed, "{"):
		if json.Unmarshal(raw, &one) == nil && one.code() != "" {
			all = append(all, one)
		}
	case strings.HasPrefix(trimmed, "["):
		if json.Unmarshal(raw, &all) != nil {
			return unreadable(status, raw)
		}
	}
	known := len(all) > 0 && all[0].ErrorCode != ""
	if over := sessionOver(status, location, raw); over != nil {
		if known {
			return all[0].as(fault.SalesforceSession, status)
		}
		return over
	}
	switch {
	case known:
	case strings.HasPrefix(trimmed, "[") && status < 300:
		return nil
	default:
		return unreadable(status, raw)
	}
	code := all[0].of(fault.SalesforceUnavailable)
	switch {
	case all[0].ErrorCode == "NOT_FOUND", status == http.StatusGone:
		// Of a whole call it is a wrong path, so the API version or the
		// resource, not the data.
		code = fault.SalesforceMisconfigured
	case code == fault.SalesforceRowRefused:
		code = rowRefused
	}
	return all[0].as(code, status)
}

// classifyLogin returns the error that the answer of the token endpoint is, nil
// if it is none.
func classifyLogin(status int, location string, raw []byte) error {
	var in struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err := json.Unmarshal(raw, &in)
	switch {
	case status/100 == 3:
		to := cmp.Or(origin(location), "nowhere")
		return &fault.Error{Code: fault.SalesforceMisconfigured, Vendor: fmt.Sprintf("HTTP %d to %s", status, to),
			Seen: "The login address redirects: the org's My Domain was renamed.", Advice: "Ask the on-call engineer to set SF_LOGIN_URL to " + to + "; orders wait until then."}
	case err == nil && in.Error == "" && status < 300:
		return nil
	case err != nil, in.Error == "":
		return unreadable(status, raw)
	}
	words := fmt.Sprintf("HTTP %d %s: %s", status, oneLine(in.Error, maxTitle), oneLine(in.Description, maxMessage))
	code, seen, advice := refusedLogin(status, in.Error, in.Description)
	return &fault.Error{Code: code, Seen: seen, Vendor: words, Advice: advice}
}
