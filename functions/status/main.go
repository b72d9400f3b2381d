// Command status is the Lambda function behind GET /orders/{sfOrderId}: it
// tells the portal how far an order is.
//
// The rule it keeps: one read of the table per request, and an order that is
// not the caller's looks like one that does not exist. It must not write, and
// never shows an internal error text.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/shared/awsenv"
	"orderbridge/shared/config"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/wall"
)

func main() {
	h, err := wire(os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "status cannot start: %v\n", err)
		os.Exit(1)
	}
	lambda.Start(h.Handle)
}

func wire(getenv func(string) string, out io.Writer) (*Handler, error) {
	c, err := config.LoadStatus(getenv)
	if err != nil {
		return nil, err
	}
	aws, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	orders, err := store.New(dynamodb.NewFromConfig(aws), c.TableName)
	if err != nil {
		return nil, err
	}
	return &Handler{
		Orders:       orders,
		AccountClaim: c.AccountClaim,
		Now:          wall.Clock{}.Now,
		Log:          telemetry.NewLogger(out, c.LogLevel, "status"),
		Metrics:      telemetry.NewMetrics(out, "status", wall.Clock{}.Now),
	}, nil
}
