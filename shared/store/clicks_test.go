package store_test

import (
	"context"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/store"
)

// BenchmarkClicksAtOnce is 200 callouts at once on one open order, whose window
// ends as they arrive, so that all are accepted.
func BenchmarkClicksAtOnce(b *testing.B) {
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	server := httptest.NewServer(db)
	b.Cleanup(func() { server.Close(); db.Close() })
	e := connect("embedded", server.URL)
	if _, err := e.client.CreateTable(b.Context(), store.CreateTableInput("clicks")); err != nil {
		b.Fatal(err)
	}
	s, err := store.New(e.client, "clicks")
	if err != nil {
		b.Fatal(err)
	}
	k := 0
	for b.Loop() {
		k++
		click := func(n int, expiry time.Time) {
			c := callout(id(b, k), n, "k"+strconv.Itoa(n), epoch)
			c.NonceExpiry = expiry
			if _, err := s.Claim(context.Background(), c); err != nil {
				b.Error(err)
			}
		}
		click(0, epoch.Add(time.Minute))
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() { click(1+n, epoch) })
		}
		all.Wait()
	}
}
