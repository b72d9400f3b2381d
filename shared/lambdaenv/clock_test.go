package lambdaenv_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/lambdaenv"
)

func TestNowHasNoMonotonicReading(t *testing.T) {
	if now := (lambdaenv.Clock{}).Now(); now != now.Round(0) {
		t.Errorf("%v has a monotonic reading", now)
	}
}

func TestSleepEndsWithTheTimeOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := (lambdaenv.Clock{}).Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := (lambdaenv.Clock{}).Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
