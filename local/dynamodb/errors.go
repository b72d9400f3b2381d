package dynamodb

import (
	"fmt"
	"net/http"

	"orderbridge/local/awsjson"
)

const (
	validation   = "com.amazon.coral.validate#ValidationException"
	prefixDynamo = "com.amazonaws.dynamodb.v20120810#"
)

func invalid(format string, args ...any) *awsjson.Error {
	return &awsjson.Error{Type: validation, Message: fmt.Sprintf(format, args...)}
}

// unsupported refuses what the service knows and this emulator does not.
func unsupported(format string, args ...any) *awsjson.Error {
	return invalid("this emulator does not support "+format, args...)
}

func notFound(format string, args ...any) *awsjson.Error {
	return &awsjson.Error{Type: prefixDynamo + "ResourceNotFoundException", Message: "Requested resource not found: " + fmt.Sprintf(format, args...)}
}

func serverError() *awsjson.Error {
	return &awsjson.Error{Status: http.StatusInternalServerError, Type: prefixDynamo + "InternalServerError", Message: "Internal server error"}
}

// conditionFailed carries the image on which the condition failed, if it was
// asked for and there is one.
func conditionFailed(old item) *awsjson.Error {
	e := &awsjson.Error{Type: prefixDynamo + "ConditionalCheckFailedException", Message: "The conditional request failed"}
	if old != nil {
		e.Members = map[string]any{"Item": old.wire()}
	}
	return e
}
