package secret

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"orderbridge/shared/fault"
)

// minLength is the least length of the webhook secret in bytes: the output of
// SHA-256, below which the key is the weakest part of an HMAC (RFC 2104,
// section 3).
const minLength = 32

// Webhook is the secret that callouts are signed with, and during the overlap
// after a rotation the one before it. It is safe for concurrent use.
type Webhook struct {
	pair *Value[pair]
	now  func() time.Time
}

type pair struct {
	current, previous []byte
	// until is when previous ends; it is not used from then on.
	until time.Time
}

// NewWebhook returns the webhook secret named id. The previous version stays
// valid for overlap after the current one was created; that date is when the
// rotation happened.
func NewWebhook(api API, id string, overlap time.Duration, now func() time.Time) *Webhook {
	w := &Webhook{now: func() time.Time { return now().Round(0) }}
	w.pair = newValue(fault.SecretUnavailable, func(ctx context.Context) (pair, error) {
		current, err := readStage(ctx, api, id, stageCurrent)
		if err != nil {
			return pair{}, err
		}
		if err := CheckStrength(current.text); err != nil {
			return pair{}, err
		}
		p := pair{current: []byte(current.text)}
		// Outside the overlap the previous version does not matter, and no
		// call is spent on it: that is every cold start but those of one day.
		// A rotation without a date cannot be said to be recent.
		if until := current.created.Add(overlap); !current.created.IsZero() && w.now().Before(until) {
			previous, err := readStage(ctx, api, id, stagePrevious)
			var none *types.ResourceNotFoundException
			switch {
			case errors.As(err, &none): // never rotated
			case err != nil:
				// With the current version alone, a sender that still signs
				// with the previous one would get a final 401.
				return pair{}, err
			case CheckStrength(previous.text) == nil:
				p.previous, p.until = []byte(previous.text), until
			}
		}
		return p, nil
	}, now)
	return w
}

// Keys returns the valid secrets, the current one first. With refresh they are
// read again, at most once a minute. It fails with secret_unavailable.
func (w *Webhook) Keys(ctx context.Context, refresh bool) ([][]byte, error) {
	get := w.pair.Get
	if refresh {
		get = w.pair.Refresh
	}
	p, err := get(ctx)
	if err != nil {
		return nil, err
	}
	if p.previous == nil || !w.now().Before(p.until) {
		return [][]byte{p.current}, nil
	}
	return [][]byte{p.current, p.previous}, nil
}

// CheckStrength refuses a webhook secret that can be guessed: shorter than 32
// bytes, or one byte repeated. The error does not quote it.
func CheckStrength(s string) error {
	if len(s) < minLength {
		return fault.Wrap(fault.SecretUnavailable, errors.New("the webhook secret is shorter than 32 bytes"))
	}
	for i := range len(s) {
		if s[i] != s[0] {
			return nil
		}
	}
	return fault.Wrap(fault.SecretUnavailable, errors.New("the webhook secret is one byte repeated"))
}
