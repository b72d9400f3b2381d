// Package fault holds every error code that leaves the system, in one table.
//
// The rule it keeps: a code, once shipped, never changes its meaning, and the
// table is the only source of its HTTP status, its kind, the advice that
// Salesforce shows and the on-call engineer's guide at each recovery point;
// orderctl and the docs are made from it. It must not import anything but the
// standard library, and must never put a cause into text that a caller or an
// operator sees.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Code is a stable snake_case name for one way to fail. The list is append-only.
type Code string

// Kind says what may be done after an error. It decides the retry, never the
// text of a message.
type Kind uint8

// The kinds, by growing severity.
const (
	// Rejected: a request was refused at the edge and left no trace.
	Rejected Kind = iota + 1
	// Retryable: nothing happened; the same call may be made again.
	Retryable
	// Unknown: it may have happened; only a read decides, never a repeat.
	Unknown
	// Permanent: a person must correct the data of this order.
	Permanent
	// Config: a person must correct the installation; it concerns every order.
	Config
)

// Error is an error with a stable code.
type Error struct {
	Code Code
	// Seen says what was seen, in this very case, as sentences; "" = the table's
	// Seen, or nothing where Advice says it. It is shown first.
	Seen string
	// Vendor is what the other system answered, in its own words; "" = nothing
	// that helps. It is shown behind what was seen.
	Vendor string
	// Advice says what to do, in this very case; "" = the table's Do. It may be
	// shown to the caller or the operator, and comes last.
	Advice string
	// Err is the cause, for logs alone.
	Err error
}

// New returns an Error without a cause; an empty advice means the table's.
func New(code Code, advice string) *Error { return &Error{Code: code, Advice: advice} }

// Saw returns an Error that says, as fmt.Sprintf does, what was seen in this very
// case; the table says what to do.
func Saw(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Seen: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error with a cause that is logged and never shown.
func Wrap(code Code, err error) *Error { return &Error{Code: code, Err: err} }

// Error implements error. It holds the cause and is for logs, not for answers.
func (e *Error) Error() string {
	s := string(e.Code)
	for _, part := range []string{e.Seen, e.Vendor, e.Advice} {
		if part != "" {
			s += ": " + part
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target carries the same code, so that
// errors.Is(err, fault.New(code, "")) works whatever the texts are.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// CodeOf returns the code carried by err, or Internal when it carries none
// (and the empty code for nil).
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// KindOf returns the kind of err. An error without a code is Unknown: what is
// not understood may have happened.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Code.Kind()
	}
	return Unknown
}

// TextOf returns the text that may be shown for err: what was seen, what the
// other system answered, then what to do.
func TextOf(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return Internal.Info().Advice
	}
	i := e.Code.Info()
	parts := []string{e.Seen, "", cmp.Or(e.Advice, i.Do)}
	if e.Advice == "" {
		parts[0] = cmp.Or(e.Seen, i.Seen)
	}
	if e.Vendor != "" {
		parts[1] = sentence(e.Code.vendor() + ": " + e.Vendor)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// SeenOf returns what was seen of err and what the other system answered, without
// what to do: for a text that has an advice of its own.
func SeenOf(err error) string {
	text := TextOf(err)
	var e *Error
	if !errors.As(err, &e) {
		return text
	}
	return strings.TrimSpace(strings.TrimSuffix(text, cmp.Or(e.Advice, e.Code.Info().Do)))
}

// sentence ends a text with a stop, unless something ends it already.
func sentence(s string) string {
	if strings.ContainsRune(".!?…", []rune(s)[len([]rune(s))-1]) {
		return s
	}
	return s + "."
}

// The three ways an effect on another system can fail to be confirmed. They
// are types of their own, because what follows from them differs: after NotSent
// the effect may be repeated, after Refused its code decides, after Unsure only
// a search of the other system does.

// NotSent says that no byte of the request can have been acted upon.
type NotSent struct{ Err error }

// Error implements error.
func (e *NotSent) Error() string { return "not sent: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSent) Unwrap() error { return e.Err }

// Refused says that the other system answered and did nothing; Err is a
// *Error whose code says why.
type Refused struct{ Err error }

// Error implements error.
func (e *Refused) Error() string { return "refused: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Refused) Unwrap() error { return e.Err }

// Unsure says that the effect may have happened, now or later.
type Unsure struct{ Err error }

// Error implements error.
func (e *Unsure) Error() string { return "outcome unknown: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Unsure) Unwrap() error { return e.Err }
