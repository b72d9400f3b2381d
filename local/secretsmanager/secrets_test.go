package secretsmanager_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	secrets "orderbridge/local/secretsmanager"
)

func client(t *testing.T, s *secrets.Service) *secretsmanager.Client {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return secretsmanager.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:webhook-local1"

func TestRotationMovesTheLabels(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := secrets.New(func() time.Time { return at })
	if err := s.Create("webhook", arn, "first"); err != nil {
		t.Fatal(err)
	}
	c, ctx := client(t, s), t.Context()
	get := func(stage string) (string, error) {
		in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(arn)}
		if stage != "" {
			in.VersionStage = &stage
		}
		out, err := c.GetSecretValue(ctx, in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.SecretString), nil
	}
	if v, err := get(""); v != "first" || err != nil {
		t.Errorf("current %q, %v", v, err)
	}
	_, err := get("AWSPREVIOUS")
	wantCode(t, err, "ResourceNotFoundException")

	at = at.Add(time.Hour)
	put, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("webhook"), SecretString: aws.String("second")})
	if err != nil || !slices.Equal(put.VersionStages, []string{"AWSCURRENT"}) {
		t.Fatalf("put %+v, %v", put, err)
	}
	for stage, want := range map[string]string{"": "second", "AWSCURRENT": "second", "AWSPREVIOUS": "first"} {
		if v, err := get(stage); v != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", stage, v, err, want)
		}
	}
	if _, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(arn), SecretString: aws.String("third")}); err != nil {
		t.Fatal(err)
	}
	if v, err := get("AWSPREVIOUS"); v != "second" || err != nil {
		t.Errorf("previous %q, %v", v, err)
	}
	if s.Value(arn) != "third" {
		t.Errorf("value %q", s.Value(arn))
	}
}

func TestWhatIsNotSupportedIsRefusedAndChangesNothing(t *testing.T) {
	s := secrets.New(nil)
	if err := s.Create("webhook", arn, "first"); err != nil {
		t.Fatal(err)
	}
	c := client(t, s)
	_, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(arn), SecretString: aws.String("next"), VersionStages: []string{"AWSPENDING"}})
	wantCode(t, err, "InvalidParameterException")
	_, err = c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(arn), SecretBinary: []byte("next")})
	wantCode(t, err, "InvalidParameterException")
	_, err = c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(arn), VersionId: aws.String("x")})
	wantCode(t, err, "InvalidParameterException")
	if s.Value(arn) != "first" {
		t.Errorf("value %q", s.Value(arn))
	}
}

func TestRepeatedPutIsOneVersion(t *testing.T) {
	s := secrets.New(nil)
	c, ctx := client(t, s), t.Context()
	if err := s.Create("x", arn, "a"); err != nil {
		t.Fatal(err)
	}
	token := aws.String("12345678-1234-1234-1234-123456789012")
	for range 2 {
		if _, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("x"), ClientRequestToken: token, SecretString: aws.String("b")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("x"), ClientRequestToken: token, SecretString: aws.String("c")})
	wantCode(t, err, "ResourceExistsException")
	if s.Create("x", arn, "a") == nil {
		t.Error("a second secret of one name")
	}
	list, err := c.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
	if err != nil || len(list.SecretList) != 1 || aws.ToString(list.SecretList[0].Name) != "x" {
		t.Errorf("list %+v, %v", list, err)
	}
}

func TestASecretWithoutAValueIsNotFound(t *testing.T) {
	s := secrets.New(nil)
	if err := s.Create("empty", arn, ""); err != nil {
		t.Fatal(err)
	}
	c := client(t, s)
	for _, id := range []string{"empty", "nobody"} {
		_, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
		wantCode(t, err, "ResourceNotFoundException")
	}
	_, err := c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("empty")})
	wantCode(t, err, "UnknownOperationException")
}
