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
	"net/http"
	"os"
	"time"

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
	"orderbridge/shared/whmcs"
)

func main() {
	h, err := wire(os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "provision cannot start: %v\n", err)
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func wire(getenv func(string) string, out io.Writer) (*handler, error) {
	c, err := config.LoadProvision(getenv)
	if err != nil {
		return nil, err
	}
	aws, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	check := &clockCheck{next: aws.HTTPClient, now: wall{}.Now}
	aws.HTTPClient = check

	log := telemetry.NewLogger(out, c.LogLevel, "provision")
	metrics := telemetry.NewMetrics(out, "provision", time.Now)
	secrets := secretsmanager.NewFromConfig(aws)
	table, err := store.New(dynamodb.NewFromConfig(aws), c.TableName)
	if err != nil {
		return nil, err
	}

	whmcsSecret := secret.New(secrets, c.WHMCSSecretID, secret.ParseWHMCS, time.Now)
	billing, err := whmcs.New(whmcs.Config{
		BaseURL: c.WHMCSURL, PaymentMethod: c.PaymentMethod, Marker: c.Marker,
		ReadTimeout: c.ReadTimeout, AddTimeout: c.AddTimeout, AcceptTimeout: c.AcceptTimeout,
		RequirePayMethod: c.NeedPayMethod,
	}, func(ctx context.Context) (whmcs.Credentials, error) {
		s, err := whmcsSecret.Get(ctx)
		return whmcs.Credentials{Identifier: s.Identifier, Secret: s.Secret, AccessKey: s.AccessKey}, err
	}, log, wall{}.Now)
	if err != nil {
		return nil, err
	}

	salesforceSecret := secret.New(secrets, c.Salesforce.SecretID, secret.ParseSalesforce, time.Now)
	orders, err := salesforce.New(salesforce.Config{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, OrgID: c.Salesforce.OrgID,
	}, &http.Client{}, func(ctx context.Context) (salesforce.Credentials, error) {
		s, err := salesforceSecret.Get(ctx)
		return salesforce.Credentials{ClientID: s.ClientID, ClientSecret: s.ClientSecret, Username: s.Username, PrivateKey: s.PrivateKey}, err
	}, log, wall{}.Now)
	if err != nil {
		return nil, err
	}

	engine, err := provision.New(table, orders, billing, wall{}, log, provision.Config{
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
		workers: c.Concurrency, meter: metrics, log: log, now: wall{}.Now, sleep: wall{}.Sleep,
	}, nil
}

// wall is the machine's wall clock. Round(0) drops the monotonic reading,
// which stops while the platform freezes the sandbox.
type wall struct{}

// Now returns the wall time.
func (wall) Now() time.Time { return time.Now().Round(0) }

// Sleep waits for d or the end of ctx.
func (wall) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
