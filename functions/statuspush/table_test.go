package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// attribute writes an attribute value as the stream's event does.
func attribute(t *testing.T, v types.AttributeValue) any {
	t.Helper()
	switch x := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": x.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": x.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": x.Value}
	case *types.AttributeValueMemberL:
		l := []any{}
		for _, e := range x.Value {
			l = append(l, attribute(t, e))
		}
		return map[string]any{"L": l}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": attributes(t, x.Value)}
	}
	t.Fatalf("the table keeps a %T", v)
	return nil
}

func attributes(t *testing.T, in map[string]types.AttributeValue) map[string]any {
	t.Helper()
	m := map[string]any{}
	for k, v := range in {
		m[k] = attribute(t, v)
	}
	return m
}

// TestTheTablesOwnImagesAreRead takes the images that the real table adapter
// writes through a whole life of an order and shows them to the org.
func TestTheTablesOwnImagesAreRead(t *testing.T) {
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	server := httptest.NewServer(db)
	t.Cleanup(func() { server.Close(); db.Close() })
	client := dynamodb.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	if _, err := client.CreateTable(t.Context(), store.CreateTableInput("orders")); err != nil {
		t.Fatal(err)
	}
	table, err := store.New(client, "orders")
	if err != nil {
		t.Fatal(err)
	}

	w := newWorld(t)
	id, items := orderID(1), w.seed(1, 2)
	now := time.Now()
	show := func(rec order.Record, err error) order.Record {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("orders"), ConsistentRead: aws.Bool(true),
			Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "order#" + id.String()}}})
		if err != nil {
			t.Fatal(err)
		}
		e := w.event(rec)
		d, _ := e["dynamodb"].(map[string]any)
		d["NewImage"] = attributes(t, out.Item)
		if failures := hand(t, w.handler, e); len(failures) > 0 {
			t.Fatalf("reported %v", failures)
		}
		return rec
	}
	step := func(from order.Record, state order.State, change func(*order.Record)) (order.Record, error) {
		leased, err := table.Lease(t.Context(), id, order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute), Margin: time.Second})
		if err != nil {
			return from, err
		}
		to := leased
		to.State = state
		change(&to)
		return table.Write(t.Context(), order.Step{From: leased, To: to, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: "test"}})
	}
	claim := func(key string) (order.Record, error) {
		got, err := table.Claim(t.Context(), order.Claim{ID: id, Nonce: "nonce-of-" + key, NonceExpiry: now.Add(time.Hour), Key: key, By: order.NewToken(), AccountID: "001000000000001AAA", Now: now})
		return got.Record, err
	}

	rec := show(claim("first"))
	w.shows(rec)
	rec = show(step(rec, order.Failed, func(r *order.Record) {
		r.ErrorCode, r.ErrorMessage, r.ErrorAt = fault.WHMCSRejected, fault.TextOf(&fault.Error{Code: fault.WHMCSRejected, Vendor: "Quota reached"}), now
	}))
	w.shows(rec)
	v, _ := w.sim.Order(id.String())
	if got, want := v.Fields["Provisioning_Error_Message__c"], fault.WHMCSRejected.Info().Seen+" WHMCS: Quota reached. "+fault.WHMCSRejected.Info().Do; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	now = now.Add(time.Second)
	rec = show(claim("second"))
	w.shows(rec)
	rec = show(step(rec, order.Provisioned, func(r *order.Record) {
		r.RecoveryPoint, r.WHMCSOrderID, r.ErrorCode, r.ErrorMessage = order.PointAccepted, "991", "", ""
		r.ServiceIDs = map[string][]string{items[0]: {"501"}, items[1]: {"502", "503"}}
	}))
	w.shows(rec)
	rec = show(table.Bump(t.Context(), id, 0, now, order.Entry{Event: "push", By: "ann"}))
	w.shows(rec)
	if got := w.letters.bodies(); len(got) > 0 {
		t.Errorf("letters: %v", got)
	}
}

func hand(t *testing.T, h *Handler, e event) []string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"Records": []event{e}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Handle(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(fmt.Errorf("read answer: %w", err))
	}
	var all []string
	for _, f := range got.BatchItemFailures {
		all = append(all, f.ItemIdentifier)
	}
	return all
}
