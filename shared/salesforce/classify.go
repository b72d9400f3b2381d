package salesforce

import (
	"cmp"
	"encoding/json"
	"fmt"
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

	case "INVALID_SESSION_ID", "INVALID_AUTH_HEADER":
		return fault.SalesforceSession, true

	// A person must correct the org: fields, permissions, API access, version.
	// JSON_PARSER_ERROR: a field of another type than ours.
	case "INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE", "INSUFFICIENT_ACCESS",
		"INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "JSON_PARSER_ERROR",
		"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED", "MALFORMED_QUERY",
		"INVALID_QUERY_FILTER_OPERATOR", "UNSUPPORTED_API_VERSION", "ORG_LOCKED", "CLIENT_NOT_ACCESSIBLE_FOR_USER":
		return fault.SalesforcePermission, true
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

// loginCode is the table of the token endpoint (RFC 6749 and Salesforce Help,
// "OAuth 2.0 Errors"). What is not here is retryable.
func loginCode(name string) fault.Code {
	switch name {
	case "invalid_grant", "invalid_client", "invalid_client_id", "invalid_client_credentials",
		"invalid_assertion", "invalid_assertion_type", "invalid_app_access", "invalid_request",
		"invalid_scope", "access_denied", "app_not_found", "unauthorized_client",
		"unsupported_grant_type", "inactive_user", "inactive_org":
		return fault.SalesforceCredentials
	case "rate_limit_exceeded":
		return fault.SalesforceLimit
	}
	return fault.SalesforceUnavailable
}

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

func (e wireError) as(code fault.Code) error {
	words := e.code() + ": " + oneLine(e.Message, maxMessage)
	if len(e.Fields) > 0 {
		words += " (fields " + oneLine(strings.Join(e.Fields, ", "), maxMessage) + ")"
	}
	return &fault.Error{Code: code, Vendor: words}
}

// maxMessage bounds what is kept of a vendor's message, in UTF-16 units.
const maxMessage = 300

// classify returns the error that the answer to a data call is, nil if it is
// none. Errors are an array of {message, errorCode}; success is an object or an
// array of rows. HTML, an empty body and anything else that cannot be read is
// salesforce_unavailable. rowRefused is the code where the answer refuses a row
// and does not say which.
func classify(status int, raw []byte, rowRefused fault.Code) error {
	if status == 204 {
		return nil
	}
	trimmed := strings.TrimSpace(string(raw))
	switch {
	case trimmed == "":
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("empty answer (HTTP %d)", status))
	case trimmed[0] == '{' && status < 300:
		return nil
	case trimmed[0] != '[' && trimmed[0] != '{':
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("answer is not JSON (HTTP %d, %d bytes)", status, len(raw)))
	}
	var all []wireError
	if trimmed[0] == '{' {
		var one wireError
		if err := json.Unmarshal(raw, &one); err == nil && one.code() != "" {
			all = append(all, one)
		}
	} else if err := json.Unmarshal(raw, &all); err != nil {
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("answer is not the JSON expected (HTTP %d, %d bytes)", status, len(raw)))
	}
	if len(all) > 0 && all[0].ErrorCode != "" {
		code := all[0].of(fault.SalesforceUnavailable)
		switch {
		case all[0].ErrorCode == "NOT_FOUND":
			// Of a whole call it is a wrong path, so the API version or the
			// resource, not the data.
			code = fault.SalesforcePermission
		case code == fault.SalesforceRowRefused:
			code = rowRefused
		}
		return all[0].as(code)
	}
	if status < 300 {
		return nil
	}
	return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("error without a code (HTTP %d, %d bytes)", status, len(raw)))
}

// classifyLogin returns the error that the answer of the token endpoint is, nil
// if it is none.
func classifyLogin(status int, raw []byte) error {
	var in struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("token answer is not JSON (HTTP %d, %d bytes)", status, len(raw)))
	}
	if in.Error == "" {
		if status < 300 {
			return nil
		}
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("token error without a code (HTTP %d)", status))
	}
	return &fault.Error{Code: loginCode(in.Error), Vendor: oneLine(in.Error, 60) + ": " + oneLine(in.Description, maxMessage)}
}
