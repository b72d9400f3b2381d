package salesforce

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"orderbridge/shared/fault"
)

// codes is the one table from Salesforce's error codes to ours. A code that is
// not here is judged by where it came: salesforce_row_refused for a row,
// salesforce_unavailable for a whole call.
//
// Sources: SOAP API Developer Guide, "Core Data Types Used in API Calls",
// StatusCode and ExceptionCode; REST API Developer Guide, "Status Codes and
// Error Responses".
var codes = map[string]fault.Code{
	// Another transaction holds the record, or its parent.
	"UNABLE_TO_LOCK_ROW": fault.SalesforceRowLocked,

	// The platform cannot, for the moment.
	"SERVER_UNAVAILABLE":                    fault.SalesforceUnavailable,
	"UNKNOWN_EXCEPTION":                     fault.SalesforceUnavailable,
	"QUERY_TIMEOUT":                         fault.SalesforceUnavailable,
	"REQUEST_RUNNING_TOO_LONG":              fault.SalesforceUnavailable,
	"FUNCTIONALITY_TEMPORARILY_UNAVAILABLE": fault.SalesforceUnavailable,
	"INVALID_QUERY_LOCATOR":                 fault.SalesforceUnavailable, // the cursor ended; the query may be sent again
	"INVALID_REPLICATION_DATE":              fault.SalesforceUnavailable,
	"ALL_OR_NONE_OPERATION_ROLLED_BACK":     fault.SalesforceUnavailable,
	"PROCESSING_HALTED":                     fault.SalesforceUnavailable,

	// Used up; needs time.
	"REQUEST_LIMIT_EXCEEDED":        fault.SalesforceLimit,
	"TOTAL_REQUESTS_LIMIT_EXCEEDED": fault.SalesforceLimit,
	"TXN_SECURITY_METERING_ERROR":   fault.SalesforceLimit,

	// The token ended.
	"INVALID_SESSION_ID":  fault.SalesforceSession,
	"INVALID_AUTH_HEADER": fault.SalesforceSession,

	// A person must correct the org: fields, permissions, API access, version.
	"INVALID_FIELD":                                 fault.SalesforcePermission,
	"INVALID_TYPE":                                  fault.SalesforcePermission,
	"INVALID_FIELD_FOR_INSERT_UPDATE":               fault.SalesforcePermission,
	"INSUFFICIENT_ACCESS":                           fault.SalesforcePermission,
	"INSUFFICIENT_ACCESS_OR_READONLY":               fault.SalesforcePermission,
	"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": fault.SalesforcePermission,
	"JSON_PARSER_ERROR":                             fault.SalesforcePermission, // a field of another type than ours
	"API_DISABLED_FOR_ORG":                          fault.SalesforcePermission,
	"API_CURRENTLY_DISABLED":                        fault.SalesforcePermission,
	"FUNCTIONALITY_NOT_ENABLED":                     fault.SalesforcePermission,
	"MALFORMED_QUERY":                               fault.SalesforcePermission,
	"INVALID_QUERY_FILTER_OPERATOR":                 fault.SalesforcePermission,
	"UNSUPPORTED_API_VERSION":                       fault.SalesforcePermission,
	"ORG_LOCKED":                                    fault.SalesforcePermission,
	"CLIENT_NOT_ACCESSIBLE_FOR_USER":                fault.SalesforcePermission,
	"PASSWORD_LOCKOUT":                              fault.SalesforceCredentials,
	"LOGIN_MUST_USE_SECURITY_TOKEN":                 fault.SalesforceCredentials,
	"INVALID_LOGIN":                                 fault.SalesforceCredentials,

	// A person must correct this row or the rule that refuses it.
	"FIELD_CUSTOM_VALIDATION_EXCEPTION":       fault.SalesforceRowRefused,
	"STRING_TOO_LONG":                         fault.SalesforceRowRefused,
	"NUMBER_OUTSIDE_VALID_RANGE":              fault.SalesforceRowRefused,
	"MALFORMED_ID":                            fault.SalesforceRowRefused,
	"NOT_FOUND":                               fault.SalesforceRowRefused,
	"ENTITY_IS_DELETED":                       fault.SalesforceRowRefused,
	"ENTITY_IS_LOCKED":                        fault.SalesforceRowRefused, // an approval holds it
	"INVALID_CROSS_REFERENCE_KEY":             fault.SalesforceRowRefused,
	"DUPLICATE_VALUE":                         fault.SalesforceRowRefused,
	"REQUIRED_FIELD_MISSING":                  fault.SalesforceRowRefused,
	"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": fault.SalesforceRowRefused,
	"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":    fault.SalesforceRowRefused,
}

// nested are causes that a trigger or flow of the org may wrap in
// CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY: looked for in its message, first match
// wins. They pass when the row is tried again, alone or later.
var nested = []struct {
	text string
	code fault.Code
}{
	{"UNABLE_TO_LOCK_ROW", fault.SalesforceRowLocked},
	{"QUERY_TIMEOUT", fault.SalesforceUnavailable},
	{"System.LimitException", fault.SalesforceLimit}, // a governor limit of the transaction: fewer rows fit
}

// loginCodes is the table of the token endpoint (RFC 6749 and Salesforce Help,
// "OAuth 2.0 Errors"). What is not here is retryable.
var loginCodes = map[string]fault.Code{
	"invalid_grant":              fault.SalesforceCredentials,
	"invalid_client":             fault.SalesforceCredentials,
	"invalid_client_id":          fault.SalesforceCredentials,
	"invalid_client_credentials": fault.SalesforceCredentials,
	"invalid_assertion":          fault.SalesforceCredentials,
	"invalid_assertion_type":     fault.SalesforceCredentials,
	"invalid_app_access":         fault.SalesforceCredentials,
	"invalid_request":            fault.SalesforceCredentials,
	"invalid_scope":              fault.SalesforceCredentials,
	"access_denied":              fault.SalesforceCredentials,
	"app_not_found":              fault.SalesforceCredentials,
	"unauthorized_client":        fault.SalesforceCredentials,
	"unsupported_grant_type":     fault.SalesforceCredentials,
	"inactive_user":              fault.SalesforceCredentials,
	"inactive_org":               fault.SalesforceCredentials,
	"rate_limit_exceeded":        fault.SalesforceLimit,
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

func (e wireError) code() string {
	if e.ErrorCode != "" {
		return e.ErrorCode
	}
	return e.StatusCode
}

// of returns our code for e; unlisted for a code that the table lacks.
func (e wireError) of(unlisted fault.Code) fault.Code {
	code := e.code()
	if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" && slices.Contains(e.Fields, fieldSeq) && strings.Contains(e.Message, staleToken) {
		return fault.SalesforceStale
	}
	if code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" {
		for _, n := range nested {
			if strings.Contains(e.Message, n.text) {
				return n.code
			}
		}
	}
	if known, ok := codes[code]; ok {
		return known
	}
	return unlisted
}

// as returns e under our code, with the vendor's words.
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
	code, ok := loginCodes[in.Error]
	if !ok {
		code = fault.SalesforceUnavailable
	}
	return &fault.Error{Code: code, Vendor: oneLine(in.Error, 60) + ": " + oneLine(in.Description, maxMessage)}
}
