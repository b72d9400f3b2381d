package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

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
	Failed(ctx context.Context, since time.Time, most int) ([]store.FailedOrder, error)
	Open(ctx context.Context, most int) (open []order.Record, found int, err error)
	Refused(ctx context.Context, now time.Time, limit int) ([]order.ID, error)
	Control(ctx context.Context, side order.Side) (order.Control, error)
	Resolve(ctx context.Context, r order.Resolution) (order.Record, error)
	Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error)
	Pause(ctx context.Context, reason, by string, at time.Time) error
	Release(ctx context.Context, of, by string, at time.Time) error
	Resume(ctx context.Context, by string, at time.Time) error
	Reconcile(ctx context.Context, since time.Time, by string, at time.Time) error
	LookBefore(ctx context.Context, before time.Time, by string, at time.Time) error
}

// queue is SQS as the commands need it.
type queue interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput, options ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
	GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// vault is Secrets Manager as the commands need it.
type vault interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, options ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, options ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

// cloud is AWS as the commands reach it.
type cloud struct {
	region string
	local  bool // the endpoint is on this machine: no question before a write
	table  func(name string) (ledger, error)
	// describe reads what the table is; its ARN names the account.
	describe func(ctx context.Context, table string) (*types.TableDescription, error)
	queues   queue
	secrets  vault
	// invoke runs a function on an event and returns its answer.
	invoke func(ctx context.Context, function string, event []byte) ([]byte, error)
	// stack reads the outputs and parameters of a stack, by name.
	stack func(ctx context.Context, name string) (map[string]string, error)
	// alarms reads the alarms of a stack that fire, by the stack's name.
	alarms func(ctx context.Context, stack string) ([]alarmView, error)
}

// credentialsLimit bounds the search for credentials: the instance metadata
// service, asked last, does not answer everywhere.
const credentialsLimit = 15 * time.Second

// connect uses the SDK's own configuration: a person has profiles, single
// sign-on and endpoint variables, all of which it honours. The verb stands in the
// user agent of each call, so that CloudTrail tells what a person did by which.
func connect(ctx context.Context, profile, region, verb string) (*cloud, error) {
	options := []func(*config.LoadOptions) error{config.WithAppID("orderctl-" + verb)}
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fault.Wrap(fault.AWSCredentials, err)
	}
	if cfg.HTTPClient != nil {
		cfg.HTTPClient = lambdaenv.WholeBody(cfg.HTTPClient)
	}
	if cfg.Region == "" {
		return nil, usagef("AWS_REGION is missing from the environment; or give --region")
	}
	limited, cancel := context.WithTimeout(ctx, credentialsLimit)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(limited); err != nil {
		return nil, fault.Wrap(fault.AWSCredentials, err)
	}
	tables := dynamodb.NewFromConfig(cfg)
	functions := lambda.NewFromConfig(cfg, func(o *lambda.Options) { o.RetryMaxAttempts = 1 }) // what it starts is not started twice
	return &cloud{
		region:   cfg.Region,
		local:    onThisMachine(aws.ToString(tables.Options().BaseEndpoint)),
		table:    func(name string) (ledger, error) { return store.New(tables, name) },
		describe: describer(tables),
		queues:   sqs.NewFromConfig(cfg),
		secrets:  secretsmanager.NewFromConfig(cfg),
		invoke:   invoker(functions),
		stack:    stackReader(cloudformation.NewFromConfig(cfg)),
		alarms:   alarmReader(cloudwatch.NewFromConfig(cfg)),
	}, nil
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func describer(client *dynamodb.Client) func(context.Context, string) (*types.TableDescription, error) {
	return func(ctx context.Context, table string) (*types.TableDescription, error) {
		out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)})
		if err != nil {
			return nil, fmt.Errorf("describe table %s: %w", table, err)
		}
		return out.Table, nil
	}
}

func invoker(client *lambda.Client) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, function string, event []byte) ([]byte, error) {
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(function), Payload: event})
		if err != nil {
			return nil, fmt.Errorf("invoke %s: %w", function, err)
		}
		if out.FunctionError != nil {
			return nil, fmt.Errorf("%s failed: %s", function, out.Payload)
		}
		return out.Payload, nil
	}
}

func stackReader(client *cloudformation.Client) func(context.Context, string) (map[string]string, error) {
	return func(ctx context.Context, name string) (map[string]string, error) {
		out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)})
		var api smithy.APIError
		if errors.As(err, &api) && api.ErrorCode() == "ValidationError" { // "Stack with id … does not exist"
			return nil, fault.Wrap(fault.AWSNotFound, err)
		}
		if err != nil {
			return nil, fmt.Errorf("describe stack %s: %w", name, err)
		}
		all := map[string]string{stackName: name}
		for _, stack := range out.Stacks {
			for _, o := range stack.Outputs {
				all[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
			}
			for _, p := range stack.Parameters {
				all[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
			}
		}
		return all, nil
	}
}

// awsFault gives an error of AWS that a person must correct a code of this
// tool's own: the bridge's "try again" is wrong advice for it.
func awsFault(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) && known.Code != fault.StoreUnavailable && known.Code != fault.SecretUnavailable {
		return err
	}
	var api smithy.APIError
	var sent interface{ ConnectionError() bool }
	switch {
	case errors.As(err, &api):
		if code := apiFault(api.ErrorCode()); code != "" {
			return fault.Wrap(code, err)
		}
	case errors.As(err, &sent) && sent.ConnectionError():
		return fault.Wrap(fault.AWSUnreachable, err)
	}
	return err
}

// apiFault maps the codes of the services (AWS General Reference, "Common error
// types", and the API references of DynamoDB, SQS, Lambda and Secrets Manager).
func apiFault(code string) fault.Code {
	switch {
	case strings.HasPrefix(code, "AccessDenied"), code == "NotAuthorized", code == "OptInRequired":
		return fault.AWSDenied
	case strings.HasPrefix(code, "ExpiredToken"), strings.HasPrefix(code, "MissingAuthenticationToken"), code == "UnrecognizedClientException",
		code == "InvalidClientTokenId", code == "InvalidSignatureException", code == "SignatureDoesNotMatch", code == "IncompleteSignature":
		return fault.AWSCredentials
	case code == "ResourceNotFoundException", strings.HasSuffix(code, "NonExistentQueue"), code == "QueueDoesNotExist":
		return fault.AWSNotFound
	}
	return ""
}

// cloud connects once.
func (a *app) cloud(ctx context.Context) (*cloud, error) {
	if a.aws == nil {
		c, err := a.connect(ctx, a.profile, a.region, a.name)
		if err != nil {
			return nil, err
		}
		a.aws = c
	}
	return a.aws, nil
}

// ledger opens the table.
func (a *app) ledger(ctx context.Context) (ledger, error) {
	name, err := a.setting(ctx, "TABLE_NAME")
	if err != nil {
		return nil, err
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return nil, err
	}
	return c.table(name)
}

// accountOf is the account in an ARN; "unknown" where there is none.
func accountOf(name *string) string {
	if a, err := arn.Parse(aws.ToString(name)); err == nil {
		return a.AccountID
	}
	return "unknown"
}
