// Command status is the Lambda function behind GET /orders/{sfOrderId}: it
// tells the portal how far an order is.
//
// The rule it keeps: one read of the table per request, and an order that is
// not the caller's looks like one that does not exist. It must not write, and
// never shows an internal error text.
package main

import (
	"context"
	"io"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/shared/config"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/store"
)

func main() {
	h := lambdaenv.Must("status", wire)
	lambda.Start(lambdaenv.SelfChecked(lambda.NewHandler(h.Handle), h.selfCheck))
}

func wire(_ context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadStatus(getenv)
	if err != nil {
		return nil, err
	}
	env, err := lambdaenv.New("status", c.LogLevel, getenv, out)
	if err != nil {
		return nil, err
	}
	table, err := store.New(dynamodb.NewFromConfig(env.AWS), c.TableName)
	if err != nil {
		return nil, err
	}
	return &Handler{Init: lambdaenv.Init{table.Connect}, Orders: table, Now: env.Clock.Now, Log: env.Log, Metrics: env.Metrics, AccountClaim: c.AccountClaim, ResourceServer: c.ResourceServer}, nil
}
