package lambdaenv

import (
	"context"
	"sync"
	"time"
)

// readyTimeout bounds what a function does before its first event. Lambda gives
// its start 10 s (Lambda Developer Guide, "Lambda runtime environment lifecycle").
const readyTimeout = 2 * time.Second

// Init is what a function does at its start so that its first event need not:
// it reads its secrets and opens its connections. At that time the processor is
// not shared yet.
type Init []func(context.Context) error

// Ready does all at once and waits for the end. What fails is left to the first
// event, which answers for it.
func (i Init) Ready(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, do := range i {
		all.Go(func() { _ = do(ctx) })
	}
	all.Wait()
}
