package secret_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/secret"
)

const (
	first  = "first-secret-0123456789-0123456789"
	second = "second-secret-0123456789-0123456789"
	third  = "third-secret-0123456789-0123456789"
)

// manager is a Secrets Manager with one secret and a switch for its faults.
type manager struct {
	mu                sync.Mutex
	current, previous string
	rotated           time.Time // CreatedDate of AWSCURRENT; zero = not said
	binary            bool
	binaryPrevious    bool
	down              error
	downPrevious      error
	delay             time.Duration
	calls             []string
}

func (m *manager) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	m.mu.Lock()
	delay := m.delay
	stage := aws.ToString(in.VersionStage)
	m.calls = append(m.calls, stage)
	m.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if aws.ToString(in.SecretId) != "the-secret" {
		return nil, fmt.Errorf("asked for %q", aws.ToString(in.SecretId))
	}
	if m.down != nil {
		return nil, m.down
	}
	out := &secretsmanager.GetSecretValueOutput{}
	if !m.rotated.IsZero() {
		out.CreatedDate = aws.Time(m.rotated)
	}
	switch stage {
	case "AWSCURRENT":
		if m.binary {
			out.SecretBinary = []byte(m.current)
			return out, nil
		}
		out.SecretString = aws.String(m.current)
	case "AWSPREVIOUS":
		if m.downPrevious != nil {
			return nil, m.downPrevious
		}
		if m.binaryPrevious {
			out.SecretBinary = []byte(m.previous)
			return out, nil
		}
		if m.previous == "" {
			return nil, &types.ResourceNotFoundException{Message: aws.String("no such version")}
		}
		out.SecretString = aws.String(m.previous)
	default:
		return nil, fmt.Errorf("asked for stage %q", stage)
	}
	return out, nil
}

func (m *manager) set(change func(*manager)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *manager) called() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.calls)
}

func wantKeys(t *testing.T, w *secret.Webhook, refresh bool, want ...string) {
	t.Helper()
	got, err := w.Keys(t.Context(), refresh)
	if err != nil {
		t.Errorf("no keys: %v", err)
		return
	}
	var all []string
	for _, k := range got {
		all = append(all, string(k))
	}
	if strings.Join(all, "|") != strings.Join(want, "|") {
		t.Errorf("keys %q, want %q", all, want)
	}
}

func wantNone(t *testing.T, w *secret.Webhook, refresh bool) {
	t.Helper()
	got, err := w.Keys(t.Context(), refresh)
	if fault.CodeOf(err) != fault.SecretUnavailable || got != nil {
		t.Errorf("got %q, %v, want %s", got, err, fault.SecretUnavailable)
	}
}

func newWebhook(m *manager) *secret.Webhook {
	return secret.NewWebhook(m, "the-secret", 24*time.Hour, time.Now, func(error) {})
}

func TestASteadyColdStartIsOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first, previous: second, rotated: time.Now().Add(-25 * time.Hour)}
		w := newWebhook(m)
		for range 100 {
			wantKeys(t, w, false, first)
		}
		if m.called() != 1 {
			t.Errorf("%d calls: %v, want 1", m.called(), m.calls)
		}
	})
}

func TestBothSecretsAreValidDuringTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: second, previous: first, rotated: time.Now().Add(-24*time.Hour + 2*time.Minute)}
		w := newWebhook(m)
		wantKeys(t, w, false, second, first)
		time.Sleep(2*time.Minute - time.Nanosecond)
		wantKeys(t, w, false, second, first)
		// The previous one ends on the minute, also inside the cache's age.
		time.Sleep(time.Nanosecond)
		wantKeys(t, w, false, second)
	})
}

func TestThePreviousSecretMayNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantKeys(t, newWebhook(&manager{current: first, rotated: time.Now()}), false, first)
	})
}

func TestARotationWithoutADateLeavesNoPrevious(t *testing.T) {
	wantKeys(t, newWebhook(&manager{current: second, previous: first}), false, second)
}

func TestAWeakPreviousSecretIsNotValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, weak := range []string{"short", strings.Repeat("x", 64)} {
			wantKeys(t, newWebhook(&manager{current: second, previous: weak, rotated: time.Now()}), false, second)
		}
	})
}

// Without the previous secret, a sender that still uses it would be turned
// away with a final 401.
func TestHalfAnAnswerIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: second, previous: first, rotated: time.Now(), downPrevious: errors.New("throttled")}
		w := newWebhook(m)
		wantNone(t, w, false)
		m.set(func(m *manager) { m.downPrevious = nil })
		wantKeys(t, w, false, second, first)
	})
}

func TestEmptyAndWeakSecretsAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "short": "0123456789012345678901234567890", "one byte": strings.Repeat("\x00", 64), "one letter": strings.Repeat("a", 64),
	} {
		t.Run(name, func(t *testing.T) {
			wantNone(t, newWebhook(&manager{current: value}), false)
		})
	}
	t.Run("binary", func(t *testing.T) { wantNone(t, newWebhook(&manager{current: first, binary: true}), false) })
	wantKeys(t, newWebhook(&manager{current: first[:32]}), false, first[:32])
}

func TestAWeakNewSecretKeepsTheValidOneUntilItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		m.set(func(m *manager) { m.current = "" })
		wantKeys(t, w, true, first)
		time.Sleep(secret.MaxAge)
		wantNone(t, w, false)
	})
}

func TestAnUnknownSignatureForcesOneRefreshAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		// A rotation right after an ordinary read is found at once.
		m.set(func(m *manager) { m.current, m.previous, m.rotated = second, first, time.Now() })
		wantKeys(t, w, true, second, first)
		if m.called() != 3 {
			t.Errorf("%d calls, want 3", m.called())
		}
		// From then on a flood costs nothing for a minute.
		m.set(func(m *manager) { m.current, m.previous = third, second })
		for range 1000 {
			wantKeys(t, w, true, second, first)
		}
		if m.called() != 3 {
			t.Errorf("%d calls after a flood, want 3", m.called())
		}
		time.Sleep(time.Minute)
		wantKeys(t, w, true, third, second)
		if m.called() != 5 {
			t.Errorf("%d calls a minute later, want 5", m.called())
		}
	})
}

func TestAFailingForcedRefreshCountsAndKeepsTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		m.set(func(m *manager) { m.down = errors.New("away") })
		for range 100 {
			wantKeys(t, w, true, first)
		}
		if m.called() != 2 {
			t.Errorf("%d calls, want 2", m.called())
		}
	})
}

func TestAFailingRefreshNeverKeepsAValuePastItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		m.set(func(m *manager) { m.down = errors.New("away") })
		time.Sleep(secret.MaxAge - time.Nanosecond)
		wantKeys(t, w, false, first)
		time.Sleep(time.Nanosecond)
		wantNone(t, w, false)
		wantNone(t, w, true)
		m.set(func(m *manager) { m.down, m.current = nil, second })
		wantKeys(t, w, false, second)
	})
}

// A value is read again before it ends, so that a Secrets Manager that fails
// for less than a minute is not noticed.
func TestAValueIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		m.set(func(m *manager) { m.current = second })
		time.Sleep(4*time.Minute - time.Nanosecond)
		wantKeys(t, w, false, first)
		time.Sleep(time.Nanosecond)
		wantKeys(t, w, false, second)
		if m.called() != 2 {
			t.Errorf("%d calls, want 2", m.called())
		}
	})
}

// While it can still be used, a value is not asked for more than once a minute.
func TestAFailingRenewalIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first}
		w := newWebhook(m)
		wantKeys(t, w, false, first)
		m.set(func(m *manager) { m.down = errors.New("away") })
		time.Sleep(4 * time.Minute)
		for range 100 {
			wantKeys(t, w, false, first)
		}
		if m.called() != 2 {
			t.Errorf("%d calls, want 2", m.called())
		}
	})
}

func TestManyCallersShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first, delay: time.Second}
		w := newWebhook(m)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantKeys(t, w, false, first) })
		}
		wg.Wait()
		if m.called() != 1 {
			t.Errorf("%d calls, want 1", m.called())
		}
		for range 100 {
			wg.Go(func() { wantKeys(t, w, true, first) })
		}
		wg.Wait()
		if m.called() != 2 {
			t.Errorf("%d calls after a forced refresh, want 2", m.called())
		}
	})
}

func TestManyCallersShareOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{down: errors.New("away"), delay: time.Second}
		w := newWebhook(m)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantNone(t, w, false) })
		}
		wg.Wait()
		if m.called() != 1 {
			t.Errorf("%d calls, want 1", m.called())
		}
	})
}

// The caller who came first may give up without failing the others.
func TestAReadOutlivesTheCallerWhoBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first, delay: time.Second}
		w := newWebhook(m)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.Keys(ctx, false); fault.CodeOf(err) != fault.SecretUnavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { wantKeys(t, w, false, first) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if m.called() != 1 {
			t.Errorf("%d calls, want 1", m.called())
		}
	})
}

func TestAReadThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: first, delay: time.Hour}
		start := time.Now()
		wantNone(t, newWebhook(m), false)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A clock that was set back says nothing of a value's age.
func TestAClockSetBackMakesTheValueOld(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	m := &manager{current: first}
	w := secret.NewWebhook(m, "the-secret", time.Hour, func() time.Time { return now }, func(error) {})
	wantKeys(t, w, false, first)
	now = now.Add(-time.Hour)
	m.set(func(m *manager) { m.down = errors.New("away") })
	wantNone(t, w, false)
}

func TestErrorsDoNotHoldTheSecret(t *testing.T) {
	for _, weak := range []string{"a-short-secret", strings.Repeat("k", 40)} {
		_, err := newWebhook(&manager{current: weak}).Keys(t.Context(), false)
		if err == nil || strings.Contains(err.Error(), weak) {
			t.Errorf("got %v", err)
		}
	}
}

func jsonObject(members map[string]string) (string, error) {
	b, err := json.Marshal(members)
	return string(b), err
}

// identifier parses {"identifier":…} and refuses everything else.
func identifier(text string) (string, error) {
	var v struct{ Identifier string }
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", errors.New("not an object")
	}
	return v.Identifier, nil
}

func TestAValueIsParsedOnceAndCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{current: `{"identifier":"i","secret":"s"}`, rotated: time.Now()}
		v := secret.New(m, "the-secret", fault.WHMCSSecretUnavailable, identifier, time.Now)
		for range 10 {
			got, err := v.Get(t.Context())
			if err != nil || got != "i" {
				t.Fatalf("got %v", err)
			}
		}
		m.set(func(m *manager) { m.current = `{"identifier":"j","secret":"s"}` })
		if got, err := v.Refresh(t.Context()); err != nil || got != "j" {
			t.Errorf("after a refresh: %v", err)
		}
		m.set(func(m *manager) { m.current = `broken` })
		if got, err := v.Get(t.Context()); err != nil || got != "j" {
			t.Errorf("a valid value is kept: %v", err)
		}
		time.Sleep(secret.MaxAge)
		if _, err := v.Get(t.Context()); fault.CodeOf(err) != fault.WHMCSSecretUnavailable {
			t.Errorf("got %v, want %s", err, fault.WHMCSSecretUnavailable)
		}
		if m.called() != 3 {
			t.Errorf("%d calls, want 3: %v", m.called(), m.calls)
		}
	})
}
