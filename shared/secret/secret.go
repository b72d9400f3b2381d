// Package secret reads secrets from AWS Secrets Manager and keeps them in
// memory for a short time.
//
// The rule it keeps: a value is used only while it is younger than MaxAge and
// only if it passed its own check; otherwise the answer is an error with the
// secret's own code, never an older, empty or weak value. It must not
// log, and no text it makes holds a secret.
package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/singleflight"

	"orderbridge/shared/fault"
)

const (
	// MaxAge is how long a value may be used after it was read: a retired
	// secret is refused everywhere that long after it was retired.
	MaxAge = 5 * time.Minute
	// refreshAge is when a value is read again although it is still valid. The
	// minute until MaxAge covers a Secrets Manager that fails for a moment.
	refreshAge = 4 * time.Minute
	// minInterval is the least time between two forced reads, and between two
	// reads that fail, while the value is valid. It bounds what a flood of
	// unknown signatures can cost. A forced read soon after an ordinary one is
	// made: a rotation may lie between them.
	minInterval = time.Minute
	// loadTimeout bounds one read. The SDK's own attempts are bounded by the
	// client's configuration; this bounds their sum.
	loadTimeout = 4 * time.Second
)

// API is the one call of Secrets Manager that is made.
type API interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Value is one secret, parsed and cached. It is safe for concurrent use.
type Value[T any] struct {
	code fault.Code // of every error
	load func(context.Context) (T, error)
	now  func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	value  T
	read   time.Time // when value was asked for; zero = there is none
	tried  time.Time // when the last read began
	forced time.Time // when the last forced read began
}

// New returns the secret named id (name or ARN), read as its current version's
// string and parsed by parse. An error of parse says behind "it" what is wrong,
// like "lacks a name", is shown to operators and must not quote the secret. Every error carries code, which names the secret.
func New[T any](api API, id string, code fault.Code, parse func(string) (T, error), now func() time.Time) *Value[T] {
	return newValue(code, func(ctx context.Context) (T, error) {
		v, err := readStage(ctx, api, id, stageCurrent)
		if err != nil {
			var none T
			return none, err
		}
		value, err := parse(v.text)
		if err != nil {
			return value, blemish(err.Error())
		}
		return value, nil
	}, now)
}

func newValue[T any](code fault.Code, load func(context.Context) (T, error), now func() time.Time) *Value[T] {
	// Without the monotonic reading: it stands still while a sandbox is
	// frozen, and a value would grow older than MaxAge unnoticed.
	return &Value[T]{code: code, load: load, now: func() time.Time { return now().Round(0) }}
}

// Get returns the value. It fails with the secret's code when there is none that
// may be used and none can be read.
func (v *Value[T]) Get(ctx context.Context) (T, error) { return v.get(ctx, false) }

// Read reads the value, so that the next Get has it.
func (v *Value[T]) Read(ctx context.Context) error {
	_, err := v.get(ctx, false)
	return err
}

// Refresh returns the value after another read, unless one was forced within
// the last minute. When the read fails, a value that is still valid is returned.
func (v *Value[T]) Refresh(ctx context.Context) (T, error) { return v.get(ctx, true) }

func (v *Value[T]) get(ctx context.Context, force bool) (T, error) {
	if value, valid, fresh := v.cached(force); valid && fresh {
		return value, nil
	}
	// One read at a time, whose result all waiting callers share. The context of
	// the first caller does not end it.
	done := v.flight.DoChan("", func() (any, error) {
		// The read that ended while this caller came here may have filled it.
		if _, valid, fresh := v.cached(force); valid && fresh {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return nil, v.refill(ctx, force)
	})
	var err error
	select {
	case r := <-done:
		err = r.Err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if value, valid, _ := v.cached(force); valid {
		return value, nil
	}
	if err == nil { // read, and grown too old while this caller waited
		err = errors.New("the value expired")
	}
	var none T
	return none, v.fault(err)
}

// fault is why there is no value. What spoils a secret is told to the operator
// of an order; the sender of a callout learns nothing of it.
func (v *Value[T]) fault(err error) error {
	e := &fault.Error{Code: v.code, Err: err}
	var b blemish
	if errors.As(err, &b) && v.code.Info().Group != fault.GroupRequest {
		e.Seen = strings.TrimSuffix(v.code.Info().Seen, ".") + ": it " + string(b) + "."
	}
	return e
}

// cached returns the value, whether it may be used (valid), and whether it need
// not be read again yet (fresh).
func (v *Value[T]) cached(force bool) (value T, valid, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	age := now.Sub(v.read)
	// A negative age is a clock that was set back: how old the value is, is
	// not known.
	if v.read.IsZero() || age < 0 || age >= MaxAge {
		return value, false, false
	}
	recent := func(t time.Time) bool { return !t.After(now) && now.Sub(t) < minInterval }
	if force {
		return v.value, true, recent(v.forced)
	}
	return v.value, true, age < refreshAge || recent(v.tried)
}

func (v *Value[T]) refill(ctx context.Context, force bool) error {
	began := v.now()
	v.mu.Lock()
	v.tried = began
	if force {
		v.forced = began
	}
	v.mu.Unlock()
	value, err := v.load(ctx)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.value, v.read = value, began
	v.mu.Unlock()
	return nil
}

// The staging labels of Secrets Manager (AWS Secrets Manager User Guide,
// "Secret versions").
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// version is one version of a secret.
type version struct {
	text    string
	created time.Time // zero when Secrets Manager did not say
}

func readStage(ctx context.Context, api API, id, stage string) (version, error) {
	out, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(id),
		VersionStage: aws.String(stage),
	})
	if err != nil {
		return version{}, fmt.Errorf("read %s: %w", stage, err)
	}
	if out.SecretString == nil {
		return version{}, fmt.Errorf("read %s: %w", stage, spoilt("is binary, not a text"))
	}
	return version{*out.SecretString, aws.ToTime(out.CreatedDate)}, nil
}
