package dynamodb

import "net/http"

// wireError is an error as the service puts it on the wire.
type wireError struct {
	status  int
	kind    string // the value of __type
	message string
	// item is the image that goes with a failed condition, on request.
	item item
}

// Error implements error.
func (e *wireError) Error() string { return e.kind + ": " + e.message }

const (
	prefixCoral    = "com.amazon.coral.service#"
	prefixValidate = "com.amazon.coral.validate#"
	prefixDynamo   = "com.amazonaws.dynamodb.v20120810#"
)

func refuse(kind, message string) *wireError {
	return &wireError{status: http.StatusBadRequest, kind: kind, message: message}
}

func invalid(message string) *wireError {
	return refuse(prefixValidate+"ValidationException", message)
}

func serialization(message string) *wireError {
	return refuse(prefixCoral+"SerializationException", message)
}

func notFound(message string) *wireError {
	return refuse(prefixDynamo+"ResourceNotFoundException", message)
}

func inUse(message string) *wireError {
	return refuse(prefixDynamo+"ResourceInUseException", message)
}

func conditionFailed(old item) *wireError {
	e := refuse(prefixDynamo+"ConditionalCheckFailedException", "The conditional request failed")
	e.item = old
	return e
}
