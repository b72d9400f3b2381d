package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"orderbridge/shared/lambdaenv"
)

// AWSConfig points at the services of the system.
func (s *System) AWSConfig() aws.Config {
	return aws.Config{
		Region: s.Exports["AWS_REGION"], BaseEndpoint: &s.AWS,
		Credentials: credentials.NewStaticCredentialsProvider(s.Exports["AWS_ACCESS_KEY_ID"], s.Exports["AWS_SECRET_ACCESS_KEY"], ""),
		HTTPClient:  lambdaenv.WholeBody(awshttp.NewBuildableClient()),
	}
}

// Ask sends a request with a JSON body (nil = none) to a control route, wants a 2xx
// answer, and reads it into out when out is not nil.
func Ask(ctx context.Context, client *http.Client, method, url string, body, out any) error {
	status, answer, err := Send(ctx, client, method, url, body)
	switch {
	case err != nil:
		return err
	case status < 200 || status > 299:
		return fmt.Errorf("%s %s: %d %s", method, url, status, bytes.TrimSpace(answer))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read answer of %s %s: %w", method, url, err)
	}
	return nil
}

// Send sends a request with a JSON body (nil = none) and headers by pairs, and
// returns what was answered, whatever the status.
func Send(ctx context.Context, client *http.Client, method, url string, body any, headers ...string) (status int, answer []byte, err error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("write body of %s %s: %w", method, url, err)
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		return 0, nil, fmt.Errorf("read answer of %s %s: %w", method, url, err)
	}
	return res.StatusCode, answer, nil
}
