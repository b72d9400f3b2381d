package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// counted is a transport that counts reads and the bytes of their answers.
type counted struct{ reads, bytes, most atomic.Int64 }

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetItem") {
		c.reads.Add(1)
		c.bytes.Add(int64(len(body)))
		c.most.Store(max(c.most.Load(), int64(len(body))))
	}
	return res, nil
}

// Each poll is one read of bounded size, however long the order's history is,
// and an unchanged order is answered without a body.
func TestAPollIsOneSmallRead(t *testing.T) {
	const orders, polls = 1000, 20
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	server := httptest.NewServer(db)
	t.Cleanup(func() { server.Close(); db.Close() })
	count := &counted{}
	client := dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: &http.Client{Transport: count},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	if _, err := client.CreateTable(t.Context(), store.CreateTableInput("Orders")); err != nil {
		t.Fatal(err)
	}
	table, err := store.New(client, "Orders")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := newHandler(table)
	ids := make([]string, orders)
	for n := range ids {
		id, err := order.ParseID(fmt.Sprintf("801%012d", n))
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = id.String()
		c := order.Claim{ID: id, Key: "k", Nonce: fmt.Sprintf("nonce-%016d", n), By: "test", AccountID: myAcct, Now: noon, NonceExpiry: noon.Add(time.Hour)}
		if _, err := table.Claim(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	// One order has a history as long as it gets.
	first, _ := order.ParseID(ids[0])
	for n := range 50 {
		if err := table.Note(t.Context(), first, order.Entry{At: noon.Add(time.Duration(n) * time.Second), Event: "note", Detail: strings.Repeat("x", 200), By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	count.reads.Store(0)
	count.bytes.Store(0)
	count.most.Store(0)
	sent := 0
	for _, id := range ids {
		tag := ""
		for range polls {
			e := withToken(get(id), owner())
			e.Headers["If-None-Match"] = tag
			res, err := h.Handle(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if want := 304; tag != "" && res.StatusCode != want {
				t.Fatalf("an unchanged order is answered %d %s", res.StatusCode, res.Body)
			}
			tag = res.Headers["ETag"]
			sent += len(res.Body)
		}
	}
	t.Logf("%d orders, %d polls each: %d reads, %d bytes read (%d at most by one), %d bytes of bodies sent", orders, polls, count.reads.Load(), count.bytes.Load(), count.most.Load(), sent)
	if got := count.reads.Load(); got != orders*polls {
		t.Errorf("%d reads, want one a poll", got)
	}
	if got := count.most.Load(); got > 400 {
		t.Errorf("a read brought %d bytes", got)
	}
}
