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

// counted is a transport that counts reads, the bytes that they ask and those of their answers.
type counted struct{ reads, asked, bytes, most atomic.Int64 }

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
		c.asked.Add(r.ContentLength)
		c.bytes.Add(int64(len(body)))
		c.most.Store(max(c.most.Load(), int64(len(body))))
	}
	return res, nil
}

// emulated is a table in the emulator, whose reads are counted.
func emulated(t *testing.T) (*store.Store, *counted, *dynamo.DB) {
	t.Helper()
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
	return table, count, db
}

// click records the first callout of an order of myAcct.
func click(t *testing.T, table *store.Store, id order.ID) {
	t.Helper()
	c := order.Claim{ID: id, Key: "k", Nonce: "nonce-" + id.String(), By: "test", AccountID: myAcct, Now: noon, NonceExpiry: noon.Add(time.Hour)}
	if _, err := table.Claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// lengthen gives an order a history as long as it gets.
func lengthen(t *testing.T, table *store.Store, id order.ID) {
	t.Helper()
	for n := range 50 {
		if err := table.Note(t.Context(), id, order.Entry{At: noon.Add(time.Duration(n) * time.Second), Event: "note", Detail: strings.Repeat("x", 200), By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
}

// Each poll is one read of bounded size, however long the order's history is,
// and an unchanged order is answered without a body.
func TestAPollIsOneSmallRead(t *testing.T) {
	const orders, polls = 1000, 20
	table, count, _ := emulated(t)
	h, _ := newHandler(table)
	ids := make([]string, orders)
	for n := range ids {
		id, err := order.ParseID(fmt.Sprintf("801%012d", n))
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = id.String()
		click(t, table, id)
	}
	// One order has a history as long as it gets.
	first, _ := order.ParseID(ids[0])
	lengthen(t, table, first)
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

// Whether an order exists must not show in the work either: for one that is not
// there, one of another account and one whose account is not known, the table is
// asked once, by requests that differ in the id alone, and brings as little for a
// long history as for none. make bench-gateway shows the times over 10,000 requests.
func TestForeignAndUnknownOrdersTakeTheSameWork(t *testing.T) {
	table, count, db := emulated(t)
	h, _ := newHandler(table)
	parse := func(n int) order.ID {
		id, err := order.ParseID(fmt.Sprintf("801%012d", n))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	foreign, long, unknown := parse(1), parse(2), parse(3)
	click(t, table, foreign)
	click(t, table, long)
	lengthen(t, table, long)
	stranger := map[string]string{"sub": "u2", "sf_account_id": "001000000000002AAA"}
	type work struct {
		reads, asked, brought int64
		calls                 int
	}
	of := func(id order.ID) (w work) {
		count.reads.Store(0)
		count.bytes.Store(0)
		count.asked.Store(0)
		db.ResetConsumed()
		res := do(t, h, withToken(get(id.String()), stranger))
		if want := `{"sfOrderId":"` + id.String() + `","status":"Pending Review","final":false}`; res.Body != want {
			t.Fatalf("a stranger is told %s", res.Body)
		}
		calls := 0
		for _, o := range db.Consumed()["Orders"].Operations {
			calls += o.Calls
		}
		return work{count.reads.Load(), count.asked.Load(), count.bytes.Load(), calls}
	}
	a, b, c := of(foreign), of(long), of(unknown)
	t.Logf("foreign %+v, foreign with a long history %+v, unknown %+v", a, b, c)
	if a != b {
		t.Errorf("the length of the history shows: %+v, %+v", a, b)
	}
	c.brought = a.brought // nothing is there to bring
	if a != c || a.reads != 1 || a.calls != 1 {
		t.Errorf("an order that is there takes %+v, one that is not %+v", a, c)
	}
}
