// Command fulfill is the Lambda function behind POST
// /orders/{sfOrderId}/fulfill, the one door that faces the internet: who sent
// the callout, is it new? It records it and answers. POST /ping runs the same
// checks of the sender, for a test call.
//
// The rule it keeps: what fails a check leaves no trace in the table, and what
// passes is recorded by one conditional write. It must not hold a credential
// of WHMCS or Salesforce, nor call either.
package main

import (
	"context"
	"io"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"orderbridge/shared/config"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/webhook"
)

func main() {
	h := lambdaenv.Must("fulfill", wire)
	lambda.Start(lambdaenv.SelfChecked(lambda.NewHandler(h.Handle), h.selfCheck))
}

func wire(ctx context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadFulfill(getenv)
	if err != nil {
		return nil, err
	}
	env, err := lambdaenv.New("fulfill", c.LogLevel, getenv, out)
	if err != nil {
		return nil, err
	}
	keys := secret.NewWebhook(secretsmanager.NewFromConfig(env.AWS), c.WebhookSecretID, c.RotationOverlap, env.Clock.Now, func(why error) {
		env.Log.ErrorContext(ctx, "previous signing secret not used: callouts that it signed are refused", "err", why)
		env.Metrics.Count(telemetry.PreviousSecretDropped, "", 1)
	})
	verifier, err := webhook.New(keys, webhook.Config(c.Webhook))
	if err != nil {
		return nil, err
	}
	verifier.Signed = signed(env.Metrics)
	table, err := store.New(dynamodb.NewFromConfig(env.AWS), c.TableName)
	if err != nil {
		return nil, err
	}
	return &Handler{
		Init:     lambdaenv.Init{table.Connect, func(ctx context.Context) error { _, err := keys.Keys(ctx, false); return err }},
		Verifier: verifier, Keys: keys, Claims: table, Now: env.Clock.Now, Sleep: env.Clock.Sleep, Log: env.Log, Metrics: env.Metrics, Wait: c.Wait,
	}, nil
}

// signed counts the signatures by the secret before the last rotation.
func signed(m *telemetry.Meter) func(previous bool) {
	return func(previous bool) {
		if previous {
			m.Count(telemetry.PreviousSecretUsed, "", 1)
		}
	}
}
