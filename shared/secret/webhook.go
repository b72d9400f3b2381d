package secret

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

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
// rotation happened. A previous version that is spoilt, or that no later read
// will bring, is left out, and dropped is told why at each read of the secret.
func NewWebhook(api API, id string, overlap time.Duration, now func() time.Time, dropped func(why error)) *Webhook {
	w := &Webhook{now: func() time.Time { return now().Round(0) }}
	w.pair = newValue(fault.SecretUnavailable, func(ctx context.Context) (pair, error) {
		current, err := readStage(ctx, api, id, stageCurrent)
		if err != nil {
			return pair{}, err
		}
		if err := CheckWebhook(current.text); err != nil {
			return pair{}, err
		}
		p := pair{current: []byte(current.text)}
		// Outside the overlap the previous version does not matter, and no
		// call is spent on it: that is every cold start but those of one day.
		// A rotation without a date cannot be said to be recent.
		if until := current.created.Add(overlap); !current.created.IsZero() && w.now().Before(until) {
			previous, err := readStage(ctx, api, id, stagePrevious)
			if err == nil {
				err = CheckWebhook(previous.text)
			}
			var none *types.ResourceNotFoundException
			switch {
			case err == nil:
				p.previous, p.until = []byte(previous.text), until
			case errors.As(err, &none): // never rotated
			case final(err):
				dropped(err)
			default:
				// With the current version alone, a sender that still signs
				// with the previous one would get a final 401.
				return pair{}, err
			}
		}
		return p, nil
	}, now)
	return w
}

// final reports whether a version cannot be had by reading it again: it is no
// usable text, or Secrets Manager or KMS refuses it (AWS Secrets Manager API
// Reference, "GetSecretValue", Errors; AccessDeniedException is among the
// common errors).
func final(err error) bool {
	var b blemish
	var refused smithy.APIError
	switch {
	case errors.As(err, &b):
		return true
	case !errors.As(err, &refused):
		return false
	}
	return slices.Contains([]string{"AccessDeniedException", "DecryptionFailure", "InvalidRequestException"}, refused.ErrorCode())
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

// CheckWebhook refuses a webhook secret that was spoilt on its way (bare), or
// that can be guessed: shorter than 32 bytes, or one byte repeated. The error
// does not quote it.
func CheckWebhook(text string) error {
	if err := bare(text); err != nil {
		return err
	}
	return CheckStrength(text)
}

// CheckStrength refuses a key that can be guessed, as CheckWebhook does.
func CheckStrength(text string) error {
	if len(text) < minLength {
		return spoilt("is shorter than %d bytes", minLength)
	}
	if strings.Count(text, text[:1]) == len(text) {
		return spoilt("is one byte repeated")
	}
	return nil
}
