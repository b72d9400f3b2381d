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

// meaning is what one text of WHMCS says.
type meaning struct {
	prefix string // case-folded
	code   fault.Code
}

// installation lists the texts that refuse the caller, whatever the action:
// WHMCS checked address, credential and role before it looked at the action
// (seen with HTTP 403, "Invalid IP" with 400 as well).
func installation() []meaning {
	return []meaning{
		{"invalid ip", fault.WHMCSIPDenied},
		{"forbidden ip", fault.WHMCSIPDenied},
		{"invalid or missing credentials", fault.WHMCSCredentials},
		{"authentication failed", fault.WHMCSCredentials},
		{"invalid password provided", fault.WHMCSCredentials},
		{"administrator account disabled", fault.WHMCSCredentials},
		{"access denied", fault.WHMCSCredentials},
		{"invalid permissions", fault.WHMCSRoleDenied},
		// The call did not arrive whole, or this WHMCS has no such action.
		{"empty action request", fault.WHMCSMisconfigured},
		{"command not found", fault.WHMCSMisconfigured},
	}
}

// business lists the documented refusals that WHMCS gives before it changes
// anything (developers.whmcs.com, "Error Responses" of each action).
func business() []meaning {
	return []meaning{
		{"client id not found", fault.WHMCSClientNotFound},
		{"client not found", fault.WHMCSClientNotFound},
		{"unable to add order when client status is closed", fault.WHMCSClientClosed},
		{"invalid payment method", fault.WHMCSRejected},
		{"no items added to cart", fault.WHMCSRejected},
		{"expecting parameter ", fault.WHMCSRejected},
		{"addon id invalid", fault.WHMCSRejected},
		{"service id ", fault.WHMCSRejected},
		{"service not assigned to a module", fault.WHMCSRejected},
		{"either clientid or email is required", fault.WHMCSRejected},
		{"client id is required", fault.WHMCSRejected},
		{"order id not found", fault.StateChanged},
		{"the order status must be in cancelled or fraud", fault.StateChanged},
	}
}

// addCheck reports whether AddOrder gives this refusal of business before it
// makes an order. Any other text of AddOrder may come after the order was made.
func addCheck(code fault.Code, folded string) bool {
	switch code {
	case fault.WHMCSClientNotFound, fault.WHMCSClientClosed:
		return true
	case fault.WHMCSRejected:
		for _, p := range []string{
			"invalid payment method", "no items added to cart", "expecting parameter ", "addon id invalid",
			"service id not owned by client id", "client id is required",
		} {
			if strings.HasPrefix(folded, p) {
				return true
			}
		}
		return strings.HasPrefix(folded, "service id ") && strings.Contains(folded, "can not be renewed")
	}
	return false
}

func find(list []meaning, text string) (fault.Code, bool) {
	folded := strings.ToLower(text)
	for _, m := range list {
		if strings.HasPrefix(folded, m.prefix) {
			return m.code, true
		}
	}
	return "", false
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
	if text := a.refusal(); text != "" {
		if code, ok := find(installation(), text); ok {
			return coded(code, action, a)
		}
		if code, ok := find(business(), text); ok {
			return coded(code, action, a)
		}
	}
	switch {
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
	if code, ok := find(installation(), text); ok {
		return &fault.Refused{Err: coded(code, addOrder, a)}
	}
	if code, ok := find(business(), text); ok && addCheck(code, strings.ToLower(text)) {
		return &fault.Refused{Err: coded(code, addOrder, a)}
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
	if a.status != 200 {
		if code, ok := find(installation(), text); ok {
			return &fault.Refused{Err: coded(code, acceptOrder, a)}
		}
		return unsure(acceptOrder, a)
	}
	if code, _ := find(business(), text); code == fault.StateChanged {
		return &fault.Refused{Err: coded(code, acceptOrder, a)}
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

// lost is the error of a call without an answer.
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
