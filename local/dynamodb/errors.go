package dynamodb

import (
	"fmt"
	"net/http"
	"time"
)

// wireError is an error as the service puts it on the wire.
type wireError struct {
	status  int
	kind    string // the value of __type
	message string
	// item is the image that goes with a failed condition, on request.
	item item
	// retryAfter is sent as X-Amz-Retry-After when it is not 0.
	retryAfter time.Duration
}

// Error implements error.
func (e *wireError) Error() string { return e.kind + ": " + e.message }

func (e *wireError) body() map[string]any {
	b := map[string]any{"__type": e.kind, "message": e.message}
	if e.item != nil {
		b["Item"] = e.item.wire()
	}
	return b
}

const (
	prefixCoral    = "com.amazon.coral.service#"
	prefixValidate = "com.amazon.coral.validate#"
	prefixDynamo   = "com.amazonaws.dynamodb.v20120810#"
)

func refuse(kind, message string) *wireError {
	return &wireError{status: http.StatusBadRequest, kind: kind, message: message}
}

func invalid(format string, args ...any) *wireError {
	return refuse(prefixValidate+"ValidationException", fmt.Sprintf(format, args...))
}

// unsupported refuses what the service knows and this emulator does not.
func unsupported(format string, args ...any) *wireError {
	return invalid("this emulator does not support %s", fmt.Sprintf(format, args...))
}

func notFound(format string, args ...any) *wireError {
	return refuse(prefixDynamo+"ResourceNotFoundException", "Requested resource not found: "+fmt.Sprintf(format, args...))
}

func internalError(message string) *wireError {
	return &wireError{status: http.StatusInternalServerError, kind: prefixDynamo + "InternalServerError", message: message}
}

func conditionFailed(old item) *wireError {
	e := refuse(prefixDynamo+"ConditionalCheckFailedException", "The conditional request failed")
	e.item = old
	return e
}
