package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// ledger is the table as the commands need it. Each change is one conditional
// write, tried again on a fresh image by the table itself. Errors carry a code:
// order_not_found, state_changed, store_unavailable.
type ledger interface {
	Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	Control(ctx context.Context, side order.Side) (order.Control, error)
	Resolve(ctx context.Context, r order.Resolution) (order.Record, error)
	Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error)
	Pause(ctx context.Context, reason, by string, at time.Time) error
	Resume(ctx context.Context, by string, at time.Time) error
	Reconcile(ctx context.Context, since time.Time, by string, at time.Time) error
}

// awsConfig is the SDK's own: a person has profiles, single sign-on and
// endpoint variables, all of which it honours.
func awsConfig(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
	}
	if cfg.HTTPClient != nil {
		cfg.HTTPClient = lambdaenv.WholeBody(cfg.HTTPClient)
	}
	if cfg.Region == "" {
		return aws.Config{}, usagef("AWS_REGION is missing from the environment")
	}
	return cfg, nil
}

func openTable(ctx context.Context, name string) (ledger, error) {
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return store.New(dynamodb.NewFromConfig(cfg), name)
}

func openQueue(ctx context.Context) (queue, error) {
	cfg, err := awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return sqs.NewFromConfig(cfg), nil
}

// readSecret reads the current signing secret: the bare string, whose UTF-8
// bytes are the key.
func readSecret(ctx context.Context, id string) (string, error) {
	cfg, err := awsConfig(ctx)
	if err != nil {
		return "", err
	}
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		return "", fault.Wrap(fault.SecretUnavailable, err)
	}
	if aws.ToString(out.SecretString) == "" {
		return "", fault.New(fault.SecretUnavailable, "the signing secret is empty")
	}
	return *out.SecretString, nil
}
