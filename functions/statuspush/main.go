// Command statuspush is the Lambda function behind the stream of the table: it
// tells Salesforce the newest truth. Once an hour its schedule makes it ask
// Salesforce which orders fell behind.
//
// The rule it keeps: it never fails on one record. What may pass later is
// reported by its sequence number, what cannot pass becomes a dead letter that
// names the order. It must not call WHMCS, and writes to an order only its
// seq and its history.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/awsenv"
	"orderbridge/shared/config"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/wall"
	"orderbridge/shared/writeback"
)

func main() {
	h, err := wire(context.Background(), os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "statuspush cannot start: %v\n", err)
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func wire(ctx context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadStatusPush(getenv)
	if err != nil {
		return nil, err
	}
	aws, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	log := telemetry.NewLogger(out, c.LogLevel, "statuspush")
	metrics := telemetry.NewMetrics(out, "statuspush", wall.Clock{}.Now)
	now := wall.Clock{}.Now

	credentials := secret.New(secretsmanager.NewFromConfig(aws), c.Salesforce.SecretID, func(text string) (salesforce.Credentials, error) {
		return salesforce.ParseCredentials([]byte(text))
	}, now)
	org, err := salesforce.Connect(ctx, salesforce.Config{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, OrgID: c.Salesforce.OrgID, Timeout: callTimeout,
	}, salesforce.Deps{
		Credentials: credentials.Get, Now: now, Log: log,
		Usage: func(u salesforce.Usage) { metrics.Gauge("SalesforceAPIUsage", "", u.Share()) },
	})
	if err != nil {
		return nil, err
	}
	table, err := store.New(dynamodb.NewFromConfig(aws), c.TableName)
	if err != nil {
		return nil, err
	}
	pusher, err := writeback.New(writeback.Deps{
		Salesforce: org, Items: table, Breaker: table,
		Dead:    deadLetters{sqs.NewFromConfig(aws), c.DeadLetterURL},
		Metrics: metrics, Log: log, Now: now, Sleep: wall.Clock{}.Sleep,
	})
	if err != nil {
		return nil, err
	}
	return &Handler{Pusher: pusher, Log: log, Metrics: metrics, Now: now}, nil
}

// callTimeout: a thousand rows behind slow triggers take tens of seconds; two
// such calls fit into the function's 120 s.
const callTimeout = 50 * time.Second
