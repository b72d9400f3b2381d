package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"orderbridge/local/eventsource"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// backlogOrders is how many orders wait for Salesforce at once.
const backlogOrders = 10_000

// backlog is how a backlog of changes reaches Salesforce.
type backlog struct {
	Changes         int     `json:"changes"`
	SalesforceCalls int     `json:"salesforceCalls"`
	PerCall         float64 `json:"perCall"`
	PerSecond       float64 `json:"perSecond"` // of statuspush on this machine, with an instant Salesforce
}

// drain records orders by the store's own claim in a world of its own, then lets
// the stream's mapping bring them to statuspush as the template says, and counts
// the calls that Salesforce gets.
func (b *bench) drain(ctx context.Context, bin string) (got backlog, err error) {
	p := b.own(bin, "statuspush")
	if err := b.add(p, nil); err != nil {
		return got, err
	}
	name := b.model.Tables[0].Name
	table, err := store.New(dynamodb.NewFromConfig(b.config()), name)
	if err != nil {
		return got, fmt.Errorf("open table: %w", err)
	}
	b.say("a backlog of %d changes", backlogOrders)
	for range backlogOrders {
		id, err := b.nextOrder()
		if err != nil {
			return got, err
		}
		now := time.Now()
		claim := order.Claim{ID: id, Nonce: string(order.NewToken()), NonceExpiry: now.Add(time.Hour), Key: "bench", By: order.NewToken(), SignedAt: now, Now: now}
		if _, err := table.Claim(ctx, claim); err != nil {
			return got, fmt.Errorf("record order: %w", err)
		}
	}
	mapping := b.model.Streams[0]
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	deliver := eventsource.ToFunction(b.host, p.name, &eventsource.Hints{})
	began := time.Now()
	stream := &eventsource.Stream{Client: dynamodbstreams.NewFromConfig(b.config()), Table: name, Wake: b.db.Changed, Logf: b.say}
	err = stream.Run(ctx, eventsource.Policy{
		Filters: mapping.Filters, BatchSize: mapping.BatchSize, Window: mapping.Window, Bisect: mapping.Bisect,
		MaxRetries: mapping.MaxRetries, MaxAge: mapping.MaxAge, ReportPartial: mapping.ReportPartial,
	}, func(ctx context.Context, batch []eventsource.Record) ([]string, error) {
		failed, err := deliver(ctx, batch)
		if err == nil && len(failed) == 0 {
			got.Changes += len(batch)
		}
		if got.Changes == backlogOrders {
			got.PerSecond = backlogOrders / time.Since(began).Seconds()
			stop()
		}
		return failed, err
	})
	if err != nil {
		return got, fmt.Errorf("read the stream: %w", err)
	}
	got.SalesforceCalls = b.salesforce.APICalls()
	got.PerCall = float64(got.Changes) / float64(max(1, got.SalesforceCalls))
	return got, nil
}
