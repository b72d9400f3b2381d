package lambdaenv

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
)

// Bounds of one SDK call. The SDK has no answer time-out of its own and would
// sit out the 30 s of the gateway; three attempts of 1 s with little between
// them leave time to answer 503.
const (
	attemptTimeout = time.Second
	maxAttempts    = 3
	maxBackoff     = 200 * time.Millisecond
	// callTimeout bounds attempts and pauses together. It is longer than their
	// sum, so that it never takes an attempt away.
	callTimeout = 3500 * time.Millisecond
)

// awsConfig returns the aws.Config that the environment describes, built by
// hand: config.LoadDefaultConfig reads files and profiles that a function does
// not have, costs 4 to 5 ms of each cold start and 2 MB of binary. The
// documented endpoint variables are honoured exactly as the SDK would, because
// a local run that silently called real AWS would be the worst of faults.
//
// It reads AWS_REGION (or AWS_DEFAULT_REGION), the AWS_ACCESS_KEY_ID family,
// AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE> and
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS. An empty value is unset. It fails, naming the variable, when the region or the
// credentials are missing.
func awsConfig(getenv func(string) string) (aws.Config, error) {
	region := cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"))
	if region == "" {
		return aws.Config{}, errors.New("AWS_REGION is missing")
	}
	id, key := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || key == "" {
		return aws.Config{}, errors.New("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing")
	}
	creds := aws.Credentials{AccessKeyID: id, SecretAccessKey: key, SessionToken: getenv("AWS_SESSION_TOKEN"), Source: "environment"}

	env := environment(getenv)
	cfg := aws.Config{
		Region: region,
		// Lambda renews the sandbox before its credentials end.
		Credentials:   aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
		HTTPClient:    httpClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { trustFirst(t, amazonRoots) })),
		ConfigSources: []any{env},
		APIOptions:    []func(*middleware.Stack) error{boundCall},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = maxAttempts
				o.MaxBackoff = maxBackoff
			})
		},
	}
	if url := getenv("AWS_ENDPOINT_URL"); url != "" && !env.ignored() {
		cfg.BaseEndpoint = aws.String(url)
	}
	return cfg, nil
}

// boundCall ends every call after callTimeout, whatever its attempts and the
// pauses between them come to.
func boundCall(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CallTimeout",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
}

// environment answers the questions that a service client asks of
// aws.Config.ConfigSources; the SDK finds the methods by their names.
type environment func(string) string

func (e environment) ignored() bool {
	return strings.EqualFold(e("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true")
}

// GetIgnoreConfiguredEndpoints implements the SDK's provider of
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS.
func (e environment) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	return e.ignored(), true, nil
}

// GetServiceBaseEndpoint implements the SDK's provider of
// AWS_ENDPOINT_URL_<SERVICE> (AWS SDKs and Tools Reference Guide, "Service-specific
// endpoints": the service id in upper case, blanks as underscores).
func (e environment) GetServiceBaseEndpoint(_ context.Context, serviceID string) (string, bool, error) {
	name := "AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(serviceID, " ", "_"))
	if url := e(name); url != "" {
		return url, true, nil
	}
	url := e("AWS_ENDPOINT_URL")
	return url, url != "", nil
}
