package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"orderbridge/local/lambda"
)

// Invoker runs a function, by its short name.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) ([]byte, error)
}

// ToFunction delivers batches to a function. Batches come late and twice by
// the switches of hints; none is lost, since the service loses none.
func ToFunction(inv Invoker, function string, hints *Hints) Deliver {
	return func(ctx context.Context, batch []Record) ([]string, error) {
		events := make([]map[string]any, 0, len(batch))
		for _, r := range batch {
			events = append(events, r.Event)
		}
		payload, err := json.Marshal(map[string]any{"Records": events})
		if err != nil {
			return nil, fmt.Errorf("write event for %s: %w", function, err)
		}
		pause(ctx, hints.Late(), nil)
		if hints.Doubled() {
			if _, err := inv.Invoke(ctx, function, payload); err != nil {
				return nil, err
			}
		}
		result, err := inv.Invoke(ctx, function, payload)
		for errors.Is(err, lambda.ErrThrottled) && ctx.Err() == nil {
			// No room is no failure of the function and uses no retry up.
			pause(ctx, time.Second, nil)
			result, err = inv.Invoke(ctx, function, payload)
		}
		if err != nil {
			return nil, err
		}
		return failures(result)
	}
}

// failures reads what a function reports; anything that is not a report means
// that nothing failed.
func failures(result []byte) ([]string, error) {
	var report struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(result, &report); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) && typeErr.Field == "" {
			return nil, nil // a text, a number, a list: no report at all
		}
		return nil, fmt.Errorf("read batch failures: %w", err)
	}
	var ids []string
	for _, f := range report.Failures {
		if f.ID == nil || *f.ID == "" {
			return nil, errors.New("read batch failures: an itemIdentifier is empty")
		}
		ids = append(ids, *f.ID)
	}
	return ids, nil
}
