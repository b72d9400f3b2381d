// Command statuspush is the Lambda function behind the stream of the table: it
// tells Salesforce the newest truth. Once a minute its schedule makes it look
// whether Salesforce shows it.
//
// The rule it keeps: it never fails on one record. What may pass later is
// reported by its sequence number, what cannot pass becomes a dead letter that
// names the order. It must not call WHMCS, and writes to an order only its
// seq, what Salesforce refuses, and its history.
package main

import (
	"context"
	"io"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/breaker"
	"orderbridge/shared/config"
	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/writeback"
)

func main() {
	h := lambdaenv.Must("statuspush", wire)
	lambda.Start(lambdaenv.SelfChecked(lambda.NewHandler(h.Handle), h.selfCheck))
}

func wire(ctx context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadStatusPush(getenv)
	if err != nil {
		return nil, err
	}
	env, err := lambdaenv.New("statuspush", c.LogLevel, getenv, out)
	if err != nil {
		return nil, err
	}
	credentials := secret.New(secretsmanager.NewFromConfig(env.AWS), c.SalesforceSecretID, fault.SalesforceSecretUnavailable, secret.Object(salesforce.SecretMembers(), salesforce.ParseCredentials), env.Clock.Now)
	usage := env.Metrics.Slowly(telemetry.SalesforceAPIUsage)
	org, err := salesforce.Connect(ctx, salesforce.Deps{
		Credentials: credentials.Get, Now: env.Clock.Now, Log: env.Log,
		Called: env.Metrics.Called(telemetry.SalesforceCalls),
		Usage:  func(u salesforce.Usage) { usage(u.Share()) },
	}, salesforce.Config{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, OrgID: c.Salesforce.OrgID, Timeout: callTimeout,
	})
	if err != nil {
		return nil, err
	}
	table, err := store.New(dynamodb.NewFromConfig(env.AWS), c.TableName)
	if err != nil {
		return nil, err
	}
	switches, err := breaker.New(breaker.Deps{Controls: table, Side: order.SideSalesforce, Probe: org.Probe, Now: env.Clock.Now, Log: env.Log}, c.RetryBase)
	if err != nil {
		return nil, err
	}
	pusher, err := writeback.New(writeback.Deps{
		Salesforce: org, Items: table, Breaker: switches,
		Dead:  deadLetters{sqs.NewFromConfig(env.AWS), c.DeadLetterURL},
		Meter: meter{env.Metrics, env.Clock.Now}, Log: env.Log, Now: env.Clock.Now, Sleep: env.Clock.Sleep, RetryBase: c.RetryBase,
	})
	if err != nil {
		return nil, err
	}
	return &Handler{
		Init: lambdaenv.Init{table.Connect, credentials.Read}, Pusher: pusher, Table: table, Probe: org.Probe,
		Log: env.Log, Metrics: env.Metrics, Now: env.Clock.Now,
	}, nil
}

// callTimeout: a thousand rows behind slow triggers take tens of seconds; two
// such calls fit into the function's 120 s.
const callTimeout = 50 * time.Second
