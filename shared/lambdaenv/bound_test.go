package lambdaenv

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// pipes is a listener whose connections are pipes in memory, so that a call
// over the real transport takes virtual time alone.
type pipes chan net.Conn

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Every call ends within 3.5 s and is tried three times, whatever the service
// answers.
func TestEveryCallEndsInTime(t *testing.T) {
	refuse := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.Header().Set("X-Amz-Retry-After", "5000")
			w.WriteHeader(status)
			io.WriteString(w, `{"__type":"`+code+`","message":"wait"}`)
		}
	}
	answers := map[string]http.HandlerFunc{
		"throttled, asking for 5 s":   refuse(400, "ThrottlingException"),
		"unavailable, asking for 5 s": refuse(503, "ServiceUnavailable"),
		"no answer":                   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"an answer without end": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	}
	calls := map[string]func(context.Context, aws.Config) error{
		"DynamoDB": func(ctx context.Context, c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).ListTables(ctx, &dynamodb.ListTablesInput{})
			return err
		},
		"Secrets Manager": func(ctx context.Context, c aws.Config) error {
			_, err := secretsmanager.NewFromConfig(c).ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
			return err
		},
		"SQS": func(ctx context.Context, c aws.Config) error {
			_, err := sqs.NewFromConfig(c).ListQueues(ctx, &sqs.ListQueuesInput{})
			return err
		},
	}
	for service, call := range calls {
		for name, answer := range answers {
			t.Run(service+": "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var attempts atomic.Int32
					listener := make(pipes)
					server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						attempts.Add(1)
						answer(w, r)
					})}
					go func() { _ = server.Serve(listener) }()
					cfg, err := awsConfig(func(name string) string {
						return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": "http://service.test"}[name]
					})
					if err != nil {
						t.Fatal(err)
					}
					cfg.HTTPClient = httpClient(awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
						tr.DialContext, tr.DisableKeepAlives = listener.dial, true
					}))
					began := time.Now()
					err = call(t.Context(), cfg)
					if took := time.Since(began); err == nil || took > 3500*time.Millisecond {
						t.Errorf("ended after %s: %v", took, err)
					}
					if attempts.Load() != maxAttempts {
						t.Errorf("%d attempts, want %d", attempts.Load(), maxAttempts)
					}
					_ = server.Close()
				})
			})
		}
	}
}

// The bound holds for whatever the retryer does.
func TestTheBoundIsThatOfTheWholeCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := awsConfig(func(name string) string {
			return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}[name]
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.HTTPClient = hanging{}
		began := time.Now()
		_, err = dynamodb.NewFromConfig(cfg).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if took := time.Since(began); err == nil || took != callTimeout {
			t.Errorf("ended after %s: %v", took, err)
		}
	})
}

// hanging is a client without a time-out of its own whose server never answers.
type hanging struct{}

func (hanging) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}
