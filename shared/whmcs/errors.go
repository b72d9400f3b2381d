package whmcs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	page     string // what came instead of it, for people
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

// observed describes an answer in one line, for people and for the log: the
// status, and WHMCS's own error text or what came instead, never the body.
func (a answer) observed(action string) string {
	what := ", " + a.page
	if a.body != nil {
		what = ", no result"
		if t := a.refusal(); t != "" {
			what = ": " + t
		} else if r := a.body.text("result"); r != "" {
			what = ", result " + strconv.Quote(order.Cut(tidy(r), 40))
		} else if a.body.text("warning") != "" {
			what = ", a warning and no result"
		}
	}
	return fmt.Sprintf("HTTP %d to %s%s", a.status, action, what)
}

// isAPI reports whether an answer is one of WHMCS's API: an object with a result
// under a status that WHMCS gives one. What is none comes from something in
// front of WHMCS, or from a WHMCS that does not work (its license page).
func (a answer) isAPI() bool {
	if a.refusal() != "" {
		return a.status/100 == 2 || meaningOf(a.refusal()).code != ""
	}
	return a.body != nil && a.status/100 == 2
}

// odd reports whether an answer is none of the API and does not pass by itself,
// as a server's fault, a limit and the empty page of a PHP that died do.
func (a answer) odd() bool {
	return !a.isAPI() && a.page != emptyBody && a.status/100 != 5 && a.status != 429 && a.status != 408
}

const emptyBody = "an empty body"

// describe says what a body without a JSON object is: its title where it is a
// page, since that names who made it.
func describe(body []byte) string {
	text := strings.TrimSpace(string(body))
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return emptyBody
	case !strings.HasPrefix(lower, "<") && !strings.Contains(lower, "<html"):
		return "a body that is not its API's JSON"
	}
	const page = "a page that is not its API"
	if _, rest, ok := strings.Cut(lower, "<title"); ok {
		if _, rest, ok = strings.Cut(rest, ">"); ok {
			at := len(lower) - len(rest)
			if title, _, ok := strings.Cut(text[min(at, len(text)):], "</"); ok && len(lower) == len(text) && tidy(title) != "" {
				return page + ", titled " + strconv.Quote(order.Cut(tidy(plain(title)), maxTitle))
			}
		}
	}
	return page
}

// maxTitle is enough of a page's title to know whose page it is, in bytes.
const maxTitle = 60

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

// coded makes the error of one refusal, with what WHMCS answered. What was seen
// names the address or the action where WHMCS's text does.
func coded(code fault.Code, action string, a answer) *fault.Error {
	text := a.refusal()
	e := &fault.Error{Code: code, Vendor: a.observed(action)}
	switch code {
	case fault.WHMCSIPDenied:
		if ip := lastField(text); strings.ContainsAny(ip, ".:") {
			e.Seen = "WHMCS refuses the address " + ip + " of the bridge."
		}
	case fault.WHMCSRoleDenied:
		e.Seen = "The WHMCS API role of the bridge lacks the action " + deniedAction(action, text) + "."
	case fault.WHMCSRejected, fault.WHMCSClientNotFound, fault.WHMCSClientClosed:
		e.Vendor = text
	}
	if code == fault.WHMCSRejected && strings.HasPrefix(strings.ToLower(text), "invalid payment method") {
		e.Advice = "Ask the on-call engineer to set WHMCS_PAYMENT_METHOD to one of these, then click again."
		e.Seen = code.Info().Seen
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

// readError returns why a read has no result; nil when it has one. again: the
// answers to reads before it were none of the API either.
func readError(action string, a answer, again bool) error {
	if a.ok() {
		return nil
	}
	if a.status/100 == 3 {
		return &fault.Error{Code: fault.WHMCSMisconfigured, Vendor: a.observed(action), Seen: "WHMCS redirects" + at(a.location) + ".",
			Advice: "Ask the on-call engineer to set WHMCS_API_URL to the address that WHMCS redirects to; orders wait until then."}
	}
	m := meaningOf(a.refusal())
	switch {
	case m.code != "":
		return coded(m.code, action, a)
	case a.status == 404 && a.body == nil:
		return &fault.Error{Code: fault.WHMCSMisconfigured, Vendor: a.observed(action), Seen: "There is no WHMCS API at the address WHMCS_API_URL.",
			Advice: "Ask the on-call engineer to correct it; orders wait until then."}
	}
	return unread(action, a, again)
}

// unread is the error of an answer that says neither that the call succeeded
// nor why it did not.
func unread(action string, a answer, again bool) *fault.Error {
	e := &fault.Error{Code: fault.WHMCSUnavailable, Vendor: a.observed(action), Seen: "WHMCS answered, and not with a result."}
	switch {
	case a.disputed:
		e.Seen = "WHMCS answered with two results that differ; perhaps a module prints its own."
	case a.status == 429:
		e.Code, e.Seen = fault.WHMCSBusy, ""
	case a.odd():
		e.Seen = "WHMCS, or something in front of it, refuses the bridge."
		if a.body == nil {
			e.Seen = "Something in front of WHMCS answers instead of its API."
		}
		if again {
			e.Code = fault.WHMCSMisconfigured
		}
	}
	return e
}

// addError returns why AddOrder is not known to have made an order. again: the
// answer to the AddOrder before it was none of the API either.
func addError(a answer, again bool) error {
	m := meaningOf(a.refusal())
	switch {
	case a.disputed:
		return unsure(addOrder, a, false)
	case a.ok():
		return nil
	case a.refusedAtEntry(m), a.addRefused():
		return &fault.Refused{Err: coded(m.code, addOrder, a)}
	}
	return unsure(addOrder, a, again)
}

// acceptError returns why AcceptOrder is not known to have succeeded. Under HTTP
// 200 every text but the documented one is the provisioning module's, and the
// module may have run: "Access denied" there is a hosting panel's, not WHMCS's.
func acceptError(a answer, again bool) error {
	text := a.refusal()
	m := meaningOf(text)
	switch {
	case a.disputed:
		return unsure(acceptOrder, a, false)
	case a.ok():
		return nil
	case a.refusedAtEntry(m), a.status == 200 && m.code == fault.StateChanged:
		return &fault.Refused{Err: coded(m.code, acceptOrder, a)}
	case a.status == 200 && text != "":
		return &fault.Refused{Err: &fault.Error{Code: fault.ModuleFailed, Vendor: text}}
	}
	return unsure(acceptOrder, a, again)
}

func unsure(action string, a answer, again bool) error {
	e := unread(action, a, again)
	e.Advice = searches
	if e.Code == fault.WHMCSMisconfigured {
		e.Advice = "Ask the on-call engineer; the bridge searches WHMCS before it sends again."
	}
	return &fault.Unsure{Err: e}
}

// searches is what happens after an effect whose outcome is not known.
const searches = "Wait: the bridge searches WHMCS before it sends again."

// lost is the error of a call without an answer: it may have arrived.
func lost(action string, err error) *fault.Error {
	return &fault.Error{Code: fault.WHMCSUnavailable, Vendor: "no answer to " + action + how(err), Err: fmt.Errorf("%s got no answer: %w", action, err)}
}

// how says in a few words why there was no answer; "" = not known. The error
// itself holds addresses and is for the log.
func how(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &name):
		return ": its name cannot be resolved"
	case errors.As(err, &certificate):
		return ": its TLS certificate is not accepted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": the connection was refused"
	case errors.Is(err, errWindow):
		return ": the send window was over"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return " in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return ": the connection was closed"
	}
	return ""
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
