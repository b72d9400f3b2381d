package lambdaenv

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// httpClient returns the client under the SDK: one attempt of at most
// attemptTimeout, its answer included, that asks for no pause.
//
// It drops the header by which a service asks for one. The SDK obeys that header
// for up to 5 s an attempt (aws-sdk-go-v2 v1.48.0, aws/retry/middleware.go,
// adjustForRetryAfterHeader), after the retryer's MaxBackoff was applied; the
// only attempts that could still save the call would not be made within
// callTimeout.
func httpClient(c *awshttp.BuildableClient) aws.HTTPClient {
	next := WholeBody(c.WithTimeout(attemptTimeout))
	return doer(func(r *http.Request) (*http.Response, error) {
		res, err := next.Do(r)
		if err == nil {
			res.Header.Del("X-Amz-Retry-After")
		}
		return res, err
	})
}

// doer is an aws.HTTPClient made of a function.
type doer func(*http.Request) (*http.Response, error)

// Do implements aws.HTTPClient.
func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// WholeBody returns a client that hands each request's body to next in one
// piece that is never closed. Every client of a near server needs it.
//
// The SDK closes the body as soon as the answer's headers are there
// (smithy-go v1.28.9, transport/http/client.go). A server that is near answers
// before the transport has read the body to its end; its next read then fails,
// the transport drops the connection under the answer ("use of closed network
// connection"), and the SDK repeats a request that was carried out: about 1 in
// 25 on loopback. The bodies of this system are a few kilobytes.
func WholeBody(next aws.HTTPClient) aws.HTTPClient {
	return doer(func(r *http.Request) (*http.Response, error) {
		if r.Body == nil || r.Body == http.NoBody {
			return next.Do(r)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.WithContext(r.Context()) // a copy that shares what is not changed
		r.Body = io.NopCloser(bytes.NewReader(b))
		return next.Do(r)
	})
}
