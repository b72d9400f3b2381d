package dynamodb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
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

// typed makes an operation of a method. A parameter that its input does not
// have is refused by name, one of a wrong type with SerializationException.
func typed[In any](run func(*DB, *In) (any, error)) operation {
	return func(db *DB, body []byte) (any, error) {
		in := new(In)
		if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
			var ours *wireError
			var at *json.SemanticError
			switch {
			case errors.As(err, &ours):
				return nil, ours
			case errors.Is(err, json.ErrUnknownName) && errors.As(err, &at):
				return nil, unsupported("the parameter or type %s", at.JSONPointer)
			}
			return nil, refuse(prefixCoral+"SerializationException", err.Error())
		}
		return run(db, in)
	}
}

// ServeHTTP serves both services, DynamoDB_20120810 and
// DynamoDBStreams_20120810, told apart by X-Amz-Target.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		panic(http.ErrAbortHandler) // the client is gone
	}
	header := w.Header()
	out, err := db.serve(r, body)
	status := http.StatusOK
	if err != nil {
		e := (*wireError)(nil)
		if !errors.As(err, &e) {
			e = internalError(err.Error())
		}
		status, out = e.status, e.body()
		if e.retryAfter > 0 {
			header.Set("X-Amz-Retry-After", strconv.FormatInt(e.retryAfter.Milliseconds(), 10))
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Errorf("write answer: %w", err)) // maps of plain values alone
	}
	header.Set("Date", db.now().UTC().Format(http.TimeFormat))
	header.Set("X-Amzn-Requestid", rand.Text())
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(b)))
	header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10))
	w.WriteHeader(status)
	// The status is out: a client that went away is no error.
	_, _ = w.Write(b)
}

// serve runs one request, with the faults that were put in for it.
func (db *DB) serve(r *http.Request, body []byte) (any, error) {
	target := r.Header.Get("X-Amz-Target")
	run := find(target)
	if r.Method != http.MethodPost || run == nil {
		return nil, refuse(prefixCoral+"UnknownOperationException", fmt.Sprintf("this emulator does not support %s %q", r.Method, target))
	}
	// The signature itself is not verified.
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		return nil, refuse(prefixCoral+"MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	if err := db.pause(r.Context()); err != nil {
		panic(http.ErrAbortHandler)
	}
	_, name, _ := strings.Cut(target, ".")
	text := string(body)
	if _, ok := db.switches.strike(pointLoseRequest, name, text); ok {
		panic(http.ErrAbortHandler)
	}
	if f, ok := db.switches.strike(pointThrottle, name, text); ok {
		return nil, f.throttled()
	}
	if _, ok := db.switches.strike(pointServerError, name, text); ok {
		return nil, internalError("Internal server error")
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
	d := db.switches.delay()
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
