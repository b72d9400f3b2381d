// Package watch reads, from the stream of a running system's table, every write
// of every order, and says which of them are no steps of the protocol.
//
// The rule it keeps: it reads the stream as AWS gives it and changes nothing. It
// must not know what the functions say of themselves.
package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"orderbridge/local/launch"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/store"
)

// Stream is the stream of a running system's table.
type Stream struct {
	Client *http.Client
	System *launch.System
}

// record is one record of the stream, of GetRecords.
type record struct {
	EventName string `json:"eventName"`
	Dynamodb  struct {
		Created  float64                      `json:"ApproximateCreationDateTime"` // whole seconds
		Keys     map[string]map[string]string `json:"Keys"`
		NewImage json.RawMessage              `json:"NewImage"`
	} `json:"dynamodb"`
}

// Wrong reads the stream from its first record to what is its last one now. It
// returns how many writes of orders there were, and those that are no steps.
func (s Stream) Wrong(ctx context.Context) (writes int, wrong []error, err error) {
	records, err := s.records(ctx)
	if err != nil {
		return 0, nil, fmt.Errorf("read the table's stream: %w", err)
	}
	var steps provisiontest.Steps
	last := map[string]order.Record{}
	for _, r := range records {
		key := r.Dynamodb.Keys["pk"]["S"]
		if kind, _, _ := strings.Cut(key, "#"); kind != "order" {
			continue
		}
		if r.EventName == "REMOVE" {
			delete(last, key)
			continue
		}
		writes++
		item, err := attributevalue.UnmarshalMapJSON(r.Dynamodb.NewImage)
		if err != nil {
			return writes, wrong, fmt.Errorf("read an image of %s: %w", key, err)
		}
		to, err := store.Decode(item)
		if err == nil {
			made := time.Unix(int64(r.Dynamodb.Created)+1, 0) // the end of the second
			err = steps.Write(last[key], to, made)
		}
		if err != nil {
			wrong = append(wrong, err)
		}
		last[key] = to
	}
	return writes, wrong, nil
}

func (s Stream) records(ctx context.Context) (all []record, err error) {
	var list struct{ Streams []struct{ StreamArn string } }
	if err := s.call(ctx, "ListStreams", map[string]any{"TableName": s.System.Exports["TABLE_NAME"]}, &list); err != nil {
		return nil, err
	}
	for _, stream := range list.Streams {
		var described struct {
			StreamDescription struct {
				Shards []struct {
					ShardID string `json:"ShardId"`
				}
			}
		}
		if err := s.call(ctx, "DescribeStream", map[string]any{"StreamArn": stream.StreamArn}, &described); err != nil {
			return nil, err
		}
		for _, shard := range described.StreamDescription.Shards {
			var at struct{ ShardIterator string }
			if err := s.call(ctx, "GetShardIterator", map[string]any{"StreamArn": stream.StreamArn, "ShardId": shard.ShardID, "ShardIteratorType": "TRIM_HORIZON"}, &at); err != nil {
				return nil, err
			}
			for at.ShardIterator != "" {
				var page struct {
					Records           []record
					NextShardIterator string
				}
				if err := s.call(ctx, "GetRecords", map[string]any{"ShardIterator": at.ShardIterator}, &page); err != nil {
					return nil, err
				}
				if len(page.Records) == 0 {
					break
				}
				all, at.ShardIterator = append(all, page.Records...), page.NextShardIterator
			}
		}
	}
	return all, nil
}

// call makes one call of DynamoDB Streams.
func (s Stream) call(ctx context.Context, action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.System.AWS+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDBStreams_20120810."+action)
	env, sum := s.System.Exports, sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), "dynamodb", env["AWS_REGION"], time.Now()); err != nil {
		return err
	}
	res, err := s.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", action, err)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %d %s", action, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}
