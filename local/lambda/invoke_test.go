package lambda_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"orderbridge/local/lambda"
)

// api serves the Invoke API of a host to the SDK's client.
func api(t *testing.T, change func(*lambda.Function)) (*sdk.Client, *lambda.Host, string) {
	t.Helper()
	h, _ := newHost(t, change)
	srv := httptest.NewServer(h.InvokeAPI())
	t.Cleanup(srv.Close)
	return sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &srv.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}), h, srv.URL
}

func wantRefusal(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("error %v, want %s: %s", err, code, text)
	}
}

func TestTheSDKInvokesAFunctionByEachOfItsNames(t *testing.T) {
	c, _, _ := api(t, nil)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:local-TrialFunction"
	for _, name := range []string{"TrialFunction", "local-TrialFunction", arn, arn + ":$LATEST"} {
		out, err := c.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: &name, Payload: []byte(`{"text":"hello"}`)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out.StatusCode != 200 || aws.ToString(out.ExecutedVersion) != "$LATEST" || out.FunctionError != nil || !strings.Contains(string(out.Payload), `"text":"hello"`) {
			t.Errorf("%s: %+v %s", name, out, out.Payload)
		}
	}
	if out, err := c.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), Qualifier: aws.String("$LATEST")}); err != nil || !strings.Contains(string(out.Payload), `"pid"`) {
		t.Errorf("without an event: %v", err)
	}
}

func TestAFailedInvocationIsAnAnswerWithItsError(t *testing.T) {
	c, _, _ := api(t, nil)
	for event, want := range map[string]string{
		`{"do":"fail"}`: `"errorMessage":"asked to fail"`, // what the function posted
		`{"do":"exit"}`: `"errorType":"Runtime.ExitError"`,
	} {
		out, err := c.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), Payload: []byte(event)})
		if err != nil {
			t.Fatal(err)
		}
		if out.StatusCode != 200 || aws.ToString(out.FunctionError) != "Unhandled" || aws.ToString(out.ExecutedVersion) != "$LATEST" || !strings.Contains(string(out.Payload), want) {
			t.Errorf("%s: %+v %s, want %s", event, out, out.Payload, want)
		}
	}
}

func TestADryRunInvokesNothing(t *testing.T) {
	c, h, _ := api(t, nil)
	out, err := c.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), InvocationType: types.InvocationTypeDryRun})
	if err != nil || out.StatusCode != 204 {
		t.Errorf("%+v, %v", out, err)
	}
	if n := h.Stats()["trial"].Invocations; n != 0 {
		t.Errorf("%d invocations", n)
	}
}

func TestWhatInvokeRefuses(t *testing.T) {
	c, h, url := api(t, func(f *lambda.Function) { f.Reserved = 1 })
	ctx := t.Context()
	for _, name := range []string{"Nobody", "trial", "arn:aws:lambda:us-east-1:000000000000:function:Nobody", "TrialFunction:1"} {
		_, err := c.Invoke(ctx, &sdk.InvokeInput{FunctionName: &name})
		wantRefusal(t, err, "ResourceNotFoundException", "Function not found: ")
		_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeDryRun})
		wantRefusal(t, err, "ResourceNotFoundException", "Function not found: ")
	}
	_, err := c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), Qualifier: aws.String("live")})
	wantRefusal(t, err, "ResourceNotFoundException", "")
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), InvocationType: types.InvocationTypeEvent})
	wantRefusal(t, err, "InvalidParameterValueException", `does not support the invocation type "Event"`)
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), Payload: []byte("{")})
	wantRefusal(t, err, "InvalidRequestContentException", "Could not parse request body")
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("TrialFunction"), Payload: make([]byte, lambda.MaxPayload+1)})
	wantRefusal(t, err, "RequestTooLargeException", "")
	_, err = c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: aws.String("TrialFunction")})
	wantRefusal(t, err, "UnknownOperationException", "does not support GET")

	res, err := http.Post(url+lambda.InvokePath+"TrialFunction/invocations", "text/plain", strings.NewReader("{}")) //nolint:noctx // a page's own request
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("without a signature: %s", res.Status)
	}
	if n := h.Stats()["trial"].Invocations; n != 0 {
		t.Errorf("%d invocations", n)
	}

	// The only slot is taken until the file is there.
	file := filepath.Join(t.TempDir(), "go")
	running := make(chan error, 1)
	go func() {
		_, err := h.Invoke(ctx, "trial", []byte(`{"until":"`+file+`"}`))
		running <- err
	}()
	eventually(t, "the slot is taken", func() bool { return h.Stats()["trial"].Running == 1 })
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("TrialFunction")})
	wantRefusal(t, err, "TooManyRequestsException", "")
	os.WriteFile(file, nil, 0o600)
	if err := <-running; err != nil {
		t.Error(err)
	}
}
