// Package awsjson is the wire protocol AWS JSON 1.0 and 1.1 as DynamoDB, SQS and
// Secrets Manager speak it: the operation in X-Amz-Target, parameters and answer
// as JSON objects, errors by name.
//
// The rule it keeps: a parameter that a service here does not know is refused by
// name. It must not verify signatures, nor know what the services do.
package awsjson

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"orderbridge/local/uuid"
)

// Error is an error of a service.
type Error struct {
	Status  int // 0 = 400
	Type    string
	Message string
	Members map[string]any    // further members of the body
	Header  map[string]string // further headers
}

// Error implements error.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Serve answers one request with what run makes of it, or with run's error: an
// *Error, or any other as InternalServerError. run gets the whole X-Amz-Target.
func Serve(w http.ResponseWriter, r *http.Request, contentType string, maxBytes int64, run func(target string, body []byte) (any, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	var out any
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		err = &Error{Status: http.StatusRequestEntityTooLarge, Type: "RequestEntityTooLarge", Message: fmt.Sprintf("a request has at most %d bytes", maxBytes)}
	} else if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	} else {
		out, err = run(r.Header.Get("X-Amz-Target"), body)
	}
	h := w.Header()
	status := http.StatusOK
	if err != nil {
		e := &Error{Status: http.StatusInternalServerError, Type: "InternalServerError", Message: err.Error()}
		errors.As(err, &e)
		members := map[string]any{"__type": e.Type, "message": e.Message}
		for name, v := range e.Members {
			members[name] = v
		}
		for name, v := range e.Header {
			h.Set(name, v)
		}
		out, status = members, e.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Errorf("write answer: %w", err)) // plain values alone
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("X-Amzn-Requestid", uuid.New())
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10)) // DynamoDB's clients compare it
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is no error
}

// Decode reads the parameters of an operation. One that into has no member for
// is refused by name with an error of the type unsupported, one of a wrong type
// with SerializationException.
func Decode(body []byte, into any, unsupported string) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	var own *Error
	var at *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &at):
		return &Error{Type: unsupported, Message: fmt.Sprintf("this emulator does not support the parameter or type %s", at.JSONPointer)}
	}
	return &Error{Type: "com.amazon.coral.service#SerializationException", Message: err.Error()}
}

// Operation is the operation that a target names.
func Operation(target string) string {
	_, operation, _ := strings.Cut(target, ".")
	return operation
}

// Unknown is the answer to an operation that a service here does not have.
func Unknown(target string) *Error {
	return &Error{Type: "com.amazon.coral.service#UnknownOperationException", Message: fmt.Sprintf("this emulator does not support %q", target)}
}
