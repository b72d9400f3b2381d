package lambdaenv_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/lambdaenv"
)

// Each endpoint variable is tested on the clients themselves: a hand-built
// aws.Config ignores them silently unless its ConfigSources answer.
func TestEndpointVariablesReachTheClients(t *testing.T) {
	calls := map[string]func(aws.Config) error{
		"DYNAMODB": func(c aws.Config) error {
			_, err := dynamodb.NewFromConfig(c).ListTables(context.Background(), &dynamodb.ListTablesInput{})
			return err
		},
		"SECRETS_MANAGER": func(c aws.Config) error {
			_, err := secretsmanager.NewFromConfig(c).ListSecrets(context.Background(), &secretsmanager.ListSecretsInput{})
			return err
		},
		"SQS": func(c aws.Config) error {
			_, err := sqs.NewFromConfig(c).ListQueues(context.Background(), &sqs.ListQueuesInput{})
			return err
		},
	}
	for service, call := range calls {
		t.Run(service, func(t *testing.T) {
			reached := ""
			server := func(name string) *httptest.Server {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					reached = name
					w.Header().Set("Content-Type", "application/x-amz-json-1.0")
					_, _ = w.Write([]byte("{}"))
				}))
				t.Cleanup(s.Close)
				return s
			}
			global, own := server("global"), server("own")
			for _, c := range []struct{ name, global, own, want string }{
				{"the service's own", "", own.URL, "own"},
				{"the global one", global.URL, "", "global"},
				{"its own before the global one", global.URL, own.URL, "own"},
			} {
				t.Run(c.name, func(t *testing.T) {
					t.Setenv("AWS_REGION", "eu-central-1")
					t.Setenv("AWS_ACCESS_KEY_ID", "test")
					t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
					t.Setenv("AWS_ENDPOINT_URL", c.global)
					t.Setenv("AWS_ENDPOINT_URL_"+service, c.own)
					env, err := lambdaenv.New("f", slog.LevelInfo, os.Getenv, io.Discard)
					if err != nil {
						t.Fatal(err)
					}
					reached = ""
					if err := call(env.AWS); err != nil {
						t.Fatal(err)
					}
					if reached != c.want {
						t.Errorf("reached %q, want %q", reached, c.want)
					}
				})
			}
		})
	}
}

func TestEmptyEndpointIsUnset(t *testing.T) {
	env, err := lambdaenv.New("f", slog.LevelInfo, func(k string) string {
		return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}[k]
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if env.AWS.BaseEndpoint != nil {
		t.Errorf("base endpoint %q, want none", *env.AWS.BaseEndpoint)
	}
}

func TestMissingValueIsNamed(t *testing.T) {
	_, err := lambdaenv.New("f", slog.LevelInfo, func(string) string { return "" }, io.Discard)
	if err == nil || err.Error() != "AWS_REGION is missing" {
		t.Errorf("got %v", err)
	}
}
