package store

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"orderbridge/shared/fault"
)

// classify gives an error of the SDK its code: the one place that does. What
// the service calls malformed is a fault of this package (internal_error);
// everything else (throttled, away, answer lost, credentials or permission
// lost, table missing, time over) is store_unavailable: a write may or may not
// have happened, and only the table can tell.
func classify(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException":
			return fault.Wrap(fault.Internal, err)
		}
	}
	return fault.Wrap(fault.StoreUnavailable, err)
}

// contended is the end of a bounded run of conditional writes that each met
// another writer. Nothing was written.
func contended(doing string) error {
	return fault.Wrap(fault.StoreUnavailable, fmt.Errorf("%s: met another writer %d times", doing, maxTries))
}
