package lambdaenv_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/lambdaenv"
)

// What a function does at its start is done at once, and neither an error nor
// a service that does not answer keeps it from starting.
func TestAStartIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int32
		slow := func(context.Context) error { time.Sleep(time.Second); done.Add(1); return nil }
		began := time.Now()
		lambdaenv.Init{slow, slow, func(context.Context) error { return errors.New("refused") }}.Ready(t.Context())
		if took := time.Since(began); took != time.Second || done.Load() != 2 {
			t.Errorf("%d done after %s", done.Load(), took)
		}
		began = time.Now()
		lambdaenv.Init{func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}.Ready(t.Context())
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("held up for %s", took)
		}
		lambdaenv.Init(nil).Ready(t.Context())
	})
}
