// Command fulfill is the Lambda function behind POST
// /orders/{sfOrderId}/fulfill, the one door that faces the internet: who sent
// the callout, is it new? It records it and answers.
//
// The rule it keeps: what fails a check leaves no trace in the table, and what
// passes is recorded by one conditional write. It must not hold a credential
// of WHMCS or Salesforce, nor call either.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"orderbridge/shared/awsenv"
	"orderbridge/shared/config"
	"orderbridge/shared/secret"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/wall"
	"orderbridge/shared/webhook"
)

func main() {
	h, err := wire(os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "fulfill cannot start: %v\n", err)
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func wire(getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadFulfill(getenv)
	if err != nil {
		return nil, err
	}
	aws, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	keys := secret.NewWebhook(secretsmanager.NewFromConfig(aws), c.WebhookSecretID, c.RotationOverlap, wall.Clock{}.Now)
	verifier, err := webhook.New(keys, webhook.Config{Tolerance: c.Tolerance, Allowlist: c.Allowlist, OrgID: c.OrgID})
	if err != nil {
		return nil, err
	}
	claims, err := store.New(dynamodb.NewFromConfig(aws), c.TableName)
	if err != nil {
		return nil, err
	}
	return &Handler{
		Verifier: verifier,
		Claims:   claims,
		Wait:     c.Wait,
		Now:      wall.Clock{}.Now,
		Sleep:    wall.Clock{}.Sleep,
		Log:      telemetry.NewLogger(out, c.LogLevel, "fulfill"),
		Metrics:  telemetry.NewMetrics(out, "fulfill", wall.Clock{}.Now),
	}, nil
}
