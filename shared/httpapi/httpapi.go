// Package httpapi translates between API Gateway events (HTTP API, payload
// version 2.0) and what the functions work with: a small Request, and answers
// whose errors are problem documents (RFC 9457).
//
// The rule it keeps: an answer never holds a cause, only the code and the
// public text of the error table. It must not decide anything about an order,
// and trusts no header about who the caller is.
package httpapi

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
)

// Request is one HTTP request as the gateway passed it on.
type Request struct {
	// ID names the request: the gateway's, so that its access log and the
	// caller's problem document speak of the same thing.
	ID string
	// SourceIP is the address of the connection to the gateway, never that of
	// a forwarding header.
	SourceIP string
	// Body holds the raw bytes. BodyErr says that they could not be had:
	// body_too_large, or body_malformed for broken base64.
	Body    []byte
	BodyErr error
	// Caller is who the gateway's authorizer says is calling.
	Caller Caller

	headers map[string]string // lower-case names
	path    map[string]string
}

// Caller is an identity that the gateway verified. At most one of IAM and
// Claims is set; neither means that the gateway verified no caller.
type Caller struct {
	// IAM: the request was signed with SigV4 by a principal that may invoke the API.
	IAM bool
	// Claims are those of a verified JWT. The gateway gives all values as
	// strings.
	Claims map[string]string
}

// Scopes returns the scopes of a verified JWT, from the claims scope (RFC 8693,
// section 4.2) and scp (Entra ID, Okta): words between spaces (RFC 6749, section
// 3.3), or a list, which the gateway hands on as "[a b]". Where a scope stands
// says nothing.
func (c Caller) Scopes() []string {
	return append(words(c.Claims["scope"]), words(c.Claims["scp"])...)
}

// words splits one claim. No character but U+0020 separates: every other one may
// be part of a scope, and a word that is cut out of one would grant too much.
func words(claim string) []string {
	if inner, ok := strings.CutPrefix(claim, "["); ok && strings.HasSuffix(inner, "]") {
		var list []string
		if json.Unmarshal([]byte(claim), &list) == nil {
			return list
		}
		claim = strings.TrimSuffix(inner, "]")
	}
	return slices.DeleteFunc(strings.Split(claim, " "), func(word string) bool { return word == "" })
}

// Known reports whether the gateway verified anyone.
func (c Caller) Known() bool { return c.IAM || len(c.Claims) > 0 }

// NewRequest translates an event. A body of more than maxBody bytes is
// body_too_large and is not decoded.
//
// Path parameters are taken as they come: HTTP APIs hand both pathParameters
// and rawPath over percent-decoded once, as SAM's local gateway does, so that
// decoding here would be the second time.
func NewRequest(e events.APIGatewayV2HTTPRequest, maxBody int) Request {
	r := Request{
		ID:       e.RequestContext.RequestID,
		SourceIP: e.RequestContext.HTTP.SourceIP,
		headers:  lowered(e.Headers),
		path:     e.PathParameters,
	}
	r.Body, r.BodyErr = decodeBody(e.Body, e.IsBase64Encoded, maxBody)
	if a := e.RequestContext.Authorizer; a != nil {
		switch {
		case a.JWT != nil && len(a.JWT.Claims) > 0:
			r.Caller.Claims = a.JWT.Claims
		case a.IAM != nil && (a.IAM.UserARN != "" || a.IAM.AccessKey != "" || a.IAM.CallerID != ""):
			r.Caller.IAM = true
		}
	}
	return r
}

// lowered returns the headers with names in lower case: the same map where they
// are so already, as those of an HTTP API are.
func lowered(headers map[string]string) map[string]string {
	isLower := true
	for name := range headers {
		isLower = isLower && !strings.ContainsFunc(name, unicode.IsUpper)
	}
	if isLower {
		return headers
	}
	out := make(map[string]string, len(headers))
	// Sorted, so that names that differ in case alone join the same way each time.
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lower := strings.ToLower(name)
		if first, doubled := out[lower]; doubled {
			out[lower] = first + "," + headers[name]
			continue
		}
		out[lower] = headers[name]
	}
	return out
}

// Header returns the value of a header, "" when it is absent. Names are
// compared without case: HTTP APIs write them in lower case, SAM's local
// gateway in title case. A header that was sent twice holds both values,
// joined by a comma.
func (r Request) Header(name string) string { return r.headers[strings.ToLower(name)] }

// Path returns a path parameter, percent-decoded once.
func (r Request) Path(name string) string { return r.path[name] }

func decodeBody(s string, encoded bool, limit int) ([]byte, error) {
	if !encoded {
		if len(s) > limit {
			return nil, fault.New(fault.BodyTooLarge, "")
		}
		return []byte(s), nil
	}
	if len(s) > base64.StdEncoding.EncodedLen(limit) {
		return nil, fault.New(fault.BodyTooLarge, "")
	}
	// The decoder skips line breaks, which no gateway writes.
	if strings.ContainsAny(s, "\r\n") {
		return nil, fault.Wrap(fault.BodyMalformed, errors.New("line break in base64 body"))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fault.Wrap(fault.BodyMalformed, errors.New("broken base64 body"))
	}
	if len(b) > limit {
		return nil, fault.New(fault.BodyTooLarge, "")
	}
	return b, nil
}

// Response is an answer to the gateway.
type Response = events.APIGatewayV2HTTPResponse

// JSON answers status with v as application/json and the given headers. v must
// be a value that encoding/json can write: a struct of strings and booleans.
func JSON(status int, v any, headers map[string]string) Response {
	return respond(status, "application/json", v, headers)
}

// NotModified answers 304: headers and no body.
func NotModified(headers map[string]string) Response {
	return Response{StatusCode: http.StatusNotModified, Headers: headers}
}

// ProblemType is what the "type" of a problem document begins with; the code
// follows. It is a name, not an address: the list of codes is in the contract.
const ProblemType = "urn:orderbridge:problem:"

// problem is a problem document (RFC 9457) with our two members.
type problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      fault.Code `json:"code"`
	Detail    string     `json:"detail"`
	RequestID string     `json:"requestId"`
}

// Problem answers err as application/problem+json. An error without a listed
// code is an internal error; its text stays here.
func Problem(requestID string, err error, headers map[string]string) Response {
	code, detail := fault.CodeOf(err), fault.TextOf(err)
	if !code.Listed() {
		code, detail = fault.Internal, fault.Internal.Info().Advice
	}
	return problemOf(code.Info().Status, requestID, code, detail, headers)
}

// LevelOf is the level at which the log tells of a request that was answered with
// code: one that is no fault of the caller is an error.
func LevelOf(code fault.Code) slog.Level {
	if code.Kind() == fault.Rejected {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Failure answers the stored failure of an order: 422 with the order's code
// and, where it has one, the text that was shown with it.
func Failure(requestID string, code fault.Code, message string, headers map[string]string) Response {
	return problemOf(http.StatusUnprocessableEntity, requestID, code, cmp.Or(message, code.Info().Advice), headers)
}

func problemOf(status int, requestID string, code fault.Code, detail string, headers map[string]string) Response {
	return respond(status, "application/problem+json", problem{
		Type:      ProblemType + string(code),
		Title:     code.Info().Title,
		Status:    status,
		Code:      code,
		Detail:    detail,
		RequestID: requestID,
	}, headers)
}

func respond(status int, contentType string, v any, headers map[string]string) Response {
	b, err := json.Marshal(v)
	if err != nil { // v is not one of ours
		status, contentType, b = http.StatusInternalServerError, "application/problem+json",
			[]byte(`{"type":"`+ProblemType+string(fault.Internal)+`","title":"Internal error","status":500,"code":"internal_error","detail":"","requestId":""}`)
	}
	all := map[string]string{"Content-Type": contentType}
	maps.Copy(all, headers)
	return Response{StatusCode: status, Headers: all, Body: string(b)}
}

// Seconds writes a duration as Retry-After takes it (RFC 9110, section
// 10.2.3): whole seconds, rounded up, at least 1.
func Seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
