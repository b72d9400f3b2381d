package whmcs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// WHMCS has no error codes, only texts, whose case and wording vary between
// actions: this file is the one place where they are matched, case-folded. A
// read goes by their beginning. An effect that failed counts as not done only by
// a text of WHMCS's own under its own HTTP status, and in full where an order may
// have been made: a hook, a registrar or PHP may say the like afterwards.

// answer is what came back for one call.
type answer struct {
	status   int
	location string // of a redirect
	body     object // nil when the body held no JSON object
	disputed bool   // the body held several results, and they differ
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
	// entry: WHMCS refused the caller, whatever the action: it checked address,
	// credential and role before it looked at the action.
	entry bool
}

// meaningOf returns what a text says; the zero meaning if it is not known. The
// texts at entry were seen with HTTP 403, "Invalid IP" with 400 as well; the
// others are the documented refusals (developers.whmcs.com, "Error Responses" of
// each action), under HTTP 200.
func meaningOf(text string) meaning {
	folded := strings.ToLower(text)
	for _, m := range []meaning{
		{"invalid ip", fault.WHMCSIPDenied, true},
		{"forbidden ip", fault.WHMCSIPDenied, true},
		{"invalid or missing credentials", fault.WHMCSCredentials, true},
		{"authentication failed", fault.WHMCSCredentials, true},
		{"invalid password provided", fault.WHMCSCredentials, true},
		{"administrator account disabled", fault.WHMCSCredentials, true},
		{"access denied", fault.WHMCSCredentials, true},
		{"invalid permissions", fault.WHMCSRoleDenied, true},
		// The call did not arrive whole, or this WHMCS has no such action.
		{"empty action request", fault.WHMCSMisconfigured, true},
		{"command not found", fault.WHMCSMisconfigured, true},

		{"client id not found", fault.WHMCSClientNotFound, false},
		{"client not found", fault.WHMCSClientNotFound, false},
		{"unable to add order when client status is closed", fault.WHMCSClientClosed, false},
		{"invalid payment method", fault.WHMCSRejected, false},
		{"no items added to cart", fault.WHMCSRejected, false},
		{"expecting parameter ", fault.WHMCSRejected, false},
		{"addon id invalid", fault.WHMCSRejected, false},
		{"service id ", fault.WHMCSRejected, false},
		{"service not assigned to a module", fault.WHMCSRejected, false},
		{"either clientid or email is required", fault.WHMCSRejected, false},
		{"client id is required", fault.WHMCSRejected, false},
		{"order id not found", fault.StateChanged, false},
		{"the order status must be in cancelled or fraud", fault.StateChanged, false},
	} {
		if strings.HasPrefix(folded, m.prefix) {
			return m
		}
	}
	return meaning{}
}

// refusedAtEntry reports whether WHMCS refused the caller before it looked at
// the action: one of its texts for that, under a status that it gives them.
func (a answer) refusedAtEntry(m meaning) bool {
	return m.entry && (a.status == 400 || a.status == 401 || a.status == 403)
}

// addRefused reports whether an answer is, in full, one of the refusals that
// AddOrder gives before it has made an order (developers.whmcs.com, AddOrder,
// "Error Responses"); * stands for what varies.
func (a answer) addRefused() bool {
	text := strings.TrimSuffix(strings.ToLower(a.refusal()), ".")
	return a.status == 200 && slices.ContainsFunc([]string{
		"client id not found", "client not found", "client id is required",
		"unable to add order when client status is closed",
		"invalid payment method", "invalid payment method. valid options include *",
		"no items added to cart so order cannot proceed",
		"expecting parameter '*' to be an array",
		"addon id invalid",
		"service id not owned by client id provided", "service id * can not be renewed at this time",
	}, func(whole string) bool {
		before, after, varies := strings.Cut(whole, "*")
		return text == whole || varies && len(text) > len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
	})
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
	m := meaningOf(a.refusal())
	switch {
	case a.disputed:
		return unsure(addOrder, a)
	case a.ok():
		return nil
	case a.refusedAtEntry(m), a.addRefused():
		return &fault.Refused{Err: coded(m.code, addOrder, a)}
	}
	return unsure(addOrder, a)
}

// acceptError returns why AcceptOrder is not known to have succeeded. Under HTTP
// 200 every text but the documented one is the provisioning module's, and the
// module may have run: "Access denied" there is a hosting panel's, not WHMCS's.
func acceptError(a answer) error {
	text := a.refusal()
	m := meaningOf(text)
	switch {
	case a.disputed:
		return unsure(acceptOrder, a)
	case a.ok():
		return nil
	case a.refusedAtEntry(m), a.status == 200 && m.code == fault.StateChanged:
		return &fault.Refused{Err: coded(m.code, acceptOrder, a)}
	case a.status == 200 && text != "":
		return &fault.Refused{Err: &fault.Error{Code: fault.ModuleFailed, Vendor: text, Err: a.cause(acceptOrder)}}
	}
	return unsure(acceptOrder, a)
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
