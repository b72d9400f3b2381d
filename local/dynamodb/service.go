package dynamodb

import (
	"context"
	"net/http"
	"strings"
	"time"

	"orderbridge/local/awsjson"
)

// maxRequestBytes is the largest body the service reads.
const maxRequestBytes = 16 << 20

const contentType = "application/x-amz-json-1.0"

// operation serves one target: the body of a request, the answer to it.
type operation func(db *DB, body []byte) (any, error)

// find returns the operation of an X-Amz-Target; nil for one that is unknown.
// DynamoDB and DynamoDB Streams are two services on one endpoint.
func find(target string) operation {
	switch target {
	case "DynamoDB_20120810.CreateTable":
		return typed((*DB).createTable)
	case "DynamoDB_20120810.DescribeTable":
		return typed((*DB).describeTable)
	case "DynamoDB_20120810.DeleteTable":
		return typed((*DB).deleteTable)
	case "DynamoDB_20120810.UpdateTimeToLive":
		return typed((*DB).updateTimeToLive)
	case "DynamoDB_20120810.GetItem":
		return typed((*DB).getItem)
	case "DynamoDB_20120810.PutItem":
		return typed((*DB).putItem)
	case "DynamoDB_20120810.UpdateItem":
		return typed((*DB).updateItem)
	case "DynamoDB_20120810.DeleteItem":
		return typed((*DB).deleteItem)
	case "DynamoDB_20120810.Query":
		return typed((*DB).query)
	case "DynamoDBStreams_20120810.ListStreams":
		return typed((*DB).listStreams)
	case "DynamoDBStreams_20120810.DescribeStream":
		return typed((*DB).describeStream)
	case "DynamoDBStreams_20120810.GetShardIterator":
		return typed((*DB).getShardIterator)
	case "DynamoDBStreams_20120810.GetRecords":
		return typed((*DB).getRecords)
	}
	return nil
}

// typed makes an operation of a method.
func typed[In any](run func(*DB, *In) (any, error)) operation {
	return func(db *DB, body []byte) (any, error) {
		in := new(In)
		if err := awsjson.Decode(body, in, validation); err != nil {
			return nil, err
		}
		return run(db, in)
	}
}

// ServeHTTP serves both services, DynamoDB_20120810 and
// DynamoDBStreams_20120810, told apart by X-Amz-Target.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", db.now().UTC().Format(http.TimeFormat))
	awsjson.Serve(w, r, contentType, maxRequestBytes, func(target string, body []byte) (any, error) {
		return db.serve(r, target, body)
	})
}

// serve runs one request, with the faults that were put in for it.
func (db *DB) serve(r *http.Request, target string, body []byte) (any, error) {
	run := find(target)
	if r.Method != http.MethodPost || run == nil {
		return nil, awsjson.Unknown(target)
	}
	// The signature itself is not verified.
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		return nil, &awsjson.Error{Type: "com.amazon.coral.service#MissingAuthenticationTokenException", Message: "Request is missing Authentication Token"}
	}
	if err := db.pause(r.Context()); err != nil {
		panic(http.ErrAbortHandler)
	}
	name, text := awsjson.Operation(target), string(body)
	if _, ok := db.switches.strike(pointLoseRequest, name, text); ok {
		panic(http.ErrAbortHandler)
	}
	if f, ok := db.switches.strike(pointThrottle, name, text); ok {
		return nil, f.throttled()
	}
	if _, ok := db.switches.strike(pointServerError, name, text); ok {
		return nil, serverError()
	}
	out, err := run(db, body)
	if err != nil {
		return nil, err
	}
	if _, ok := db.switches.strike(pointLoseReply, name, text); ok {
		panic(http.ErrAbortHandler)
	}
	return out, nil
}

// pause waits for the latency that was put in; it fails when the client leaves
// or the DB ends first.
func (db *DB) pause(ctx context.Context) error {
	d := db.switches.Get().Latency
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-db.done:
		return http.ErrServerClosed
	}
}
