package whmcs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// WHMCS has no error codes, only texts, whose case and wording vary between
// actions: this file is the one place where they are matched, case-folded and
// by their beginning, before any HTTP status is looked at.

// answer is what came back for one call.
type answer struct {
	status   int
	location string // of a redirect
	body     object // nil when the body held no JSON object
}

// ok reports success in WHMCS's sense. The caller still looks for the ids it
// expects.
func (a answer) ok() bool {
	return a.status/100 == 2 && a.body.text("result") == "success"
}

// refusal returns the error text of an answer; "" when it is no error answer of
// WHMCS (a warning alone, a page of HTML, nothing).
func (a answer) refusal() string {
	if !strings.EqualFold(a.body.text("result"), "error") {
		return ""
	}
	return tidy(plain(a.body.text("message")))
}

// cause describes an answer for the log: the status and WHMCS's own error text,
// never the body.
func (a answer) cause(action string) error {
	what := "no JSON"
	if a.body != nil {
		what = "no result"
		if t := a.refusal(); t != "" {
			what = strconv.Quote(t)
		} else if r := a.body.text("result"); r != "" {
			what = "result " + strconv.Quote(order.Cut(tidy(r), 40))
		} else if a.body.text("warning") != "" {
			what = "warning only"
		}
	}
	return fmt.Errorf("%s answered HTTP %d, %s", action, a.status, what)
}

type meaning struct {
	prefix string // case-folded
	code   fault.Code
	when   stage
}

// stage says at which point of an action WHMCS gives a text.
type stage uint8

const (
	// late: the action may have changed something.
	late stage = iota
	// early: AddOrder has not made an order yet.
	early
	// entry: WHMCS refused the caller, whatever the action: it checked address,
	// credential and role before it looked at the action.
	entry
)

// meaningOf returns what a text says; the zero meaning if it is not known. The
// texts at entry were seen with HTTP 403, "Invalid IP" with 400 as well; the
// others are the documented refusals (developers.whmcs.com, "Error Responses" of
// each action).
func meaningOf(text string) meaning {
	folded := strings.ToLower(text)
	renewal := late
	if strings.Contains(folded, "can not be renewed") {
		renewal = early
	}
	for _, m := range []meaning{
		{"invalid ip", fault.WHMCSIPDenied, entry},
		{"forbidden ip", fault.WHMCSIPDenied, entry},
		{"invalid or missing credentials", fault.WHMCSCredentials, entry},
		{"authentication failed", fault.WHMCSCredentials, entry},
		{"invalid password provided", fault.WHMCSCredentials, entry},
		{"administrator account disabled", fault.WHMCSCredentials, entry},
		{"access denied", fault.WHMCSCredentials, entry},
		{"invalid permissions", fault.WHMCSRoleDenied, entry},
		// The call did not arrive whole, or this WHMCS has no such action.
		{"empty action request", fault.WHMCSMisconfigured, entry},
		{"command not found", fault.WHMCSMisconfigured, entry},

		{"client id not found", fault.WHMCSClientNotFound, early},
		{"client not found", fault.WHMCSClientNotFound, early},
		{"unable to add order when client status is closed", fault.WHMCSClientClosed, early},
		{"invalid payment method", fault.WHMCSRejected, early},
		{"no items added to cart", fault.WHMCSRejected, early},
		{"expecting parameter ", fault.WHMCSRejected, early},
		{"addon id invalid", fault.WHMCSRejected, early},
		{"service id not owned by client id", fault.WHMCSRejected, early},
		{"service id ", fault.WHMCSRejected, renewal},
		{"service not assigned to a module", fault.WHMCSRejected, late},
		{"either clientid or email is required", fault.WHMCSRejected, late},
		{"client id is required", fault.WHMCSRejected, early},
		{"order id not found", fault.StateChanged, late},
		{"the order status must be in cancelled or fraud", fault.StateChanged, late},
	} {
		if strings.HasPrefix(folded, m.prefix) {
			return m
		}
	}
	return meaning{}
}

// coded makes the error of one refusal. The advice names the address or the
// action where WHMCS's text does; WHMCS's own words stay only where the advice
// says less than they do.
func coded(code fault.Code, action string, a answer) *fault.Error {
	text := a.refusal()
	e := &fault.Error{Code: code, Err: a.cause(action)}
	switch code {
	case fault.WHMCSIPDenied:
		if ip := lastField(text); strings.ContainsAny(ip, ".:") {
			e.Advice = "Allow the address " + ip + " for the API in WHMCS, or set an access key; orders wait until then."
		}
	case fault.WHMCSRoleDenied:
		e.Advice = "Allow the action " + deniedAction(action, text) + " in the WHMCS API role; orders wait until then."
	case fault.WHMCSMisconfigured:
		e.Vendor = "(" + action + ") " + text
	case fault.WHMCSRejected:
		e.Vendor = text
	}
	return e
}

// deniedAction returns the action that a refusal names in quotes, which may be
// another than the one that was called.
func deniedAction(called, text string) string {
	_, rest, _ := strings.Cut(text, `"`)
	quoted, _, closed := strings.Cut(rest, `"`)
	if !closed || strings.EqualFold(quoted, called) {
		return called
	}
	return quoted
}

// readError returns why a read has no result; nil when it has one.
func readError(action string, a answer) error {
	if a.ok() {
		return nil
	}
	if a.status/100 == 3 {
		return &fault.Error{Code: fault.WHMCSMisconfigured, Err: a.cause(action),
			Advice: "Set WHMCS_API_URL to the address that WHMCS redirects to" + at(a.location) + "."}
	}
	m := meaningOf(a.refusal())
	switch {
	case m.code != "":
		return coded(m.code, action, a)
	case a.status == 429:
		return fault.Wrap(fault.WHMCSBusy, a.cause(action))
	case a.status == 404 && a.body == nil:
		return &fault.Error{Code: fault.WHMCSMisconfigured, Err: a.cause(action),
			Advice: "Correct WHMCS_API_URL: there is no WHMCS API at that address."}
	}
	return fault.Wrap(fault.WHMCSUnavailable, a.cause(action))
}

// addError returns why AddOrder is not known to have made an order.
func addError(a answer) error {
	if a.ok() {
		return nil
	}
	text := a.refusal()
	if text == "" || a.status/100 == 3 {
		return unsure(addOrder, a)
	}
	if m := meaningOf(text); m.when != late {
		return &fault.Refused{Err: coded(m.code, addOrder, a)}
	}
	return unsure(addOrder, a)
}

// acceptError returns why AcceptOrder is not known to have succeeded. Under HTTP
// 200 every text but the documented one is the provisioning module's, and the
// module may have run: "Access denied" there is a hosting panel's, not WHMCS's.
func acceptError(a answer) error {
	if a.ok() {
		return nil
	}
	text := a.refusal()
	if text == "" || a.status/100 == 3 {
		return unsure(acceptOrder, a)
	}
	m := meaningOf(text)
	switch {
	case a.status != 200 && m.when != entry:
		return unsure(acceptOrder, a)
	case a.status != 200 || m.code == fault.StateChanged:
		return &fault.Refused{Err: coded(m.code, acceptOrder, a)}
	}
	return &fault.Refused{Err: &fault.Error{Code: fault.ModuleFailed, Vendor: text, Err: a.cause(acceptOrder)}}
}

func unsure(action string, a answer) error {
	code := fault.WHMCSUnavailable
	if a.status == 429 {
		code = fault.WHMCSBusy
	}
	return &fault.Unsure{Err: fault.Wrap(code, a.cause(action))}
}

func lost(action string, err error) error {
	return fault.Wrap(fault.WHMCSUnavailable, fmt.Errorf("%s got no answer: %w", action, err))
}

var errNoID = errors.New("success without an order id")

// tidy makes a vendor's text fit for one line of a log and a Salesforce field.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	return order.Cut(strings.Join(strings.Fields(s), " "), maxText)
}

// maxText is the longest vendor's text that is passed on, in bytes. It holds
// more than the 255 UTF-16 units that Salesforce shows, so that the log has the
// whole of a usual module error.
const maxText = 1000

func lastField(s string) string {
	f := strings.Fields(s)
	if len(f) == 0 {
		return ""
	}
	return strings.TrimRight(f[len(f)-1], ".,;")
}

func at(location string) string {
	if location == "" {
		return ""
	}
	return " (" + location + ")"
}
