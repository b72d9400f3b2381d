// Command provision is the Lambda function that carries orders to their end:
// it joins the engine with the table, WHMCS and Salesforce.
//
// The rule it keeps: it only wires and translates; every decision about an
// order is the engine's. It must not be reachable from the internet.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/awsenv"
	"orderbridge/shared/config"
	"orderbridge/shared/provision"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/wall"
	"orderbridge/shared/whmcs"
)

func main() {
	h, err := wire(context.Background(), os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "provision cannot start: %v\n", err)
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func wire(ctx context.Context, getenv func(string) string, out io.Writer) (*handler, error) {
	c, err := config.LoadProvision(getenv)
	if err != nil {
		return nil, err
	}
	clock := wall.Clock{}
	aws, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	check := &clockCheck{next: aws.HTTPClient, now: clock.Now}
	aws.HTTPClient = check

	log := telemetry.NewLogger(out, c.LogLevel, "provision")
	metrics := telemetry.NewMetrics(out, "provision", clock.Now)
	secrets := secretsmanager.NewFromConfig(aws)
	table, err := store.New(dynamodb.NewFromConfig(aws), c.TableName)
	if err != nil {
		return nil, err
	}

	whmcsSecret := secret.New(secrets, c.WHMCSSecretID, secret.ParseWHMCS, clock.Now)
	billing, err := whmcs.New(whmcs.Config{
		BaseURL: c.WHMCSURL, PaymentMethod: c.PaymentMethod, Marker: c.Marker,
		ReadTimeout: c.ReadTimeout, AddTimeout: c.AddTimeout, AcceptTimeout: c.AcceptTimeout,
		RequirePayMethod: c.NeedPayMethod,
	}, func(ctx context.Context) (whmcs.Credentials, error) {
		s, err := whmcsSecret.Get(ctx)
		return whmcs.Credentials{Identifier: s.Identifier, Secret: s.Secret, AccessKey: s.AccessKey}, err
	}, log, clock.Now)
	if err != nil {
		return nil, err
	}

	credentials := secret.New(secrets, c.Salesforce.SecretID, func(text string) (salesforce.Credentials, error) {
		return salesforce.ParseCredentials([]byte(text))
	}, clock.Now)
	orders, err := salesforce.Connect(ctx, salesforce.Config{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, OrgID: c.Salesforce.OrgID,
		Optional: salesforce.Optional{
			PromoCode: c.OptionalFields["promoCode"], Domain: c.OptionalFields["domain"], Hostname: c.OptionalFields["hostname"],
			CustomFields: c.OptionalFields["customFields"], ConfigOptions: c.OptionalFields["configOptions"],
		},
	}, salesforce.Deps{
		Credentials: credentials.Get, Now: clock.Now, Log: log,
		Usage: func(u salesforce.Usage) { metrics.Gauge("SalesforceAPIUsage", "", u.Share()) },
	})
	if err != nil {
		return nil, err
	}

	engine, err := provision.New(table, orders, billing, clock, log, provision.Config{
		Lease: c.Lease, Window: c.Window, Margin: c.Margin,
		Settle: c.Settle, AcceptSettle: c.AcceptSettle,
		AddTimeout: c.AddTimeout, AcceptTimeout: c.AcceptTimeout,
		RetryBase: c.RetryBase, GiveUp: provision.GiveUp, VerifyFor: provision.VerifyFor,
		Resend: c.Resend == config.ResendAuto, PaymentMethod: c.PaymentMethod,
		Idempotent: c.Idempotent, Retention: c.Retention,
	}, provision.WithSkewCheck(check.Check))
	if err != nil {
		return nil, err
	}
	return &handler{
		engine: engine, store: table, hints: &queue{client: sqs.NewFromConfig(aws), url: c.WorkQueueURL},
		workers: c.Concurrency, meter: metrics, log: log, now: clock.Now, sleep: clock.Sleep,
	}, nil
}
