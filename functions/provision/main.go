// Command provision is the Lambda function that carries orders to their end:
// it joins the engine with the table, WHMCS and Salesforce.
//
// The rule it keeps: it only wires and translates; every decision about an
// order is the engine's. It must not be reachable from the internet.
package main

import (
	"context"
	"io"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/breaker"
	"orderbridge/shared/config"
	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/whmcs"
)

func main() {
	h := lambdaenv.Must("provision", wire)
	lambda.Start(lambdaenv.SelfChecked(lambda.NewHandler(h.Handle), h.selfCheck))
}

func wire(ctx context.Context, getenv func(string) string, out io.Writer) (*handler, error) {
	c, err := config.LoadProvision(getenv)
	if err != nil {
		return nil, err
	}
	env, err := lambdaenv.New("provision", c.LogLevel, getenv, out)
	if err != nil {
		return nil, err
	}
	clock := env.Clock
	check := &clockCheck{next: env.AWS.HTTPClient, now: clock.Now}
	env.AWS.HTTPClient = check
	table, err := store.New(dynamodb.NewFromConfig(env.AWS), c.TableName)
	if err != nil {
		return nil, err
	}
	secrets := secretsmanager.NewFromConfig(env.AWS)
	whmcsSecret := secret.New(secrets, c.WHMCSSecretID, fault.WHMCSSecretUnavailable, secret.Object(whmcs.SecretMembers(), whmcs.ParseCredentials), clock.Now)
	salesforceSecret := secret.New(secrets, c.SalesforceSecretID, fault.SalesforceSecretUnavailable, secret.Object(salesforce.SecretMembers(), salesforce.ParseCredentials), clock.Now)
	billing, err := whmcs.New(whmcs.Deps{
		Credentials: whmcsSecret.Get,
		Log:         env.Log, Now: clock.Now, Called: env.Metrics.Called(telemetry.WhmcsCalls),
	}, whmcs.Config(c.WHMCS))
	if err != nil {
		return nil, err
	}
	usage := env.Metrics.Slowly(telemetry.SalesforceAPIUsage)
	orders, err := salesforce.Connect(ctx, salesforce.Deps{
		Credentials: salesforceSecret.Get,
		Log:         env.Log, Now: clock.Now,
		Called: env.Metrics.Called(telemetry.SalesforceCalls),
		Usage:  func(u salesforce.Usage) { usage(u.Share()) },
	}, salesforce.Config{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, OrgID: c.Salesforce.OrgID, Optional: salesforce.Optional(c.Optional),
	})
	if err != nil {
		return nil, err
	}
	deps := provision.Deps{Store: table, Orders: orders, Billing: billing, Clock: clock, Log: env.Log, Skewed: check.Check}
	whmcsSide, err := breaker.New(breaker.Deps{Controls: table, Side: order.SideWHMCS, Probe: billing.Probe, Now: clock.Now, Log: env.Log}, c.Engine.RetryBase)
	if err != nil {
		return nil, err
	}
	salesforceSide, err := breaker.New(breaker.Deps{Controls: table, Side: order.SideSalesforce, Probe: orders.Probe, Now: clock.Now, Log: env.Log}, c.Engine.RetryBase)
	if err != nil {
		return nil, err
	}
	deps.WHMCS, deps.Salesforce = whmcsSide, salesforceSide
	rules := provision.Config(c.Engine)
	rules.GiveUp, rules.VerifyFor = provision.GiveUp, provision.VerifyFor
	engine, err := provision.New(deps, rules)
	if err != nil {
		return nil, err
	}
	return &handler{
		Init: lambdaenv.Init{table.Connect, whmcsSecret.Read, salesforceSecret.Read},
		desk: &desk{
			engine: engine, table: table, orders: orders, billing: billing, skewed: check.Check,
			sides: map[string]prober{string(order.SideWHMCS): whmcsSide, string(order.SideSalesforce): salesforceSide},
			clerk: &clerk{table: table, orders: orders, billing: billing, meter: env.Metrics, now: clock.Now},
		},
		engine: engine, store: table, begin: table.Begin, hints: &queue{client: sqs.NewFromConfig(env.AWS), url: c.WorkQueueURL},
		probes:  probes{whmcs: billing.Probe, salesforce: orders.Probe},
		workers: c.Concurrency, every: c.ClockEvery, meter: env.Metrics, log: env.Log, now: clock.Now, sleep: clock.Sleep,
	}, nil
}
