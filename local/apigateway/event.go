package apigateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// event is payload format 2.0.
type event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	Body                  *string           `json:"body,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorized `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         struct {
		Method    string `json:"method"`
		Path      string `json:"path"`
		Protocol  string `json:"protocol"`
		SourceIP  string `json:"sourceIp"`
		UserAgent string `json:"userAgent"`
	} `json:"http"`
	RequestID string `json:"requestId"`
	RouteKey  string `json:"routeKey"`
	Stage     string `json:"stage"`
	Time      string `json:"time"`
	TimeEpoch int64  `json:"timeEpoch"`
}

// authorized is what an authorizer adds.
type authorized struct {
	JWT *jwtContext `json:"jwt,omitempty"`
	IAM *iamContext `json:"iam,omitempty"`
}

type jwtContext struct {
	Claims map[string]string `json:"claims"`
	Scopes []string          `json:"scopes"` // null unless the route names scopes
}

type iamContext struct {
	AccessKey       string `json:"accessKey"`
	AccountID       string `json:"accountId"`
	CallerID        string `json:"callerId"`
	CognitoIdentity any    `json:"cognitoIdentity"`
	PrincipalOrgID  string `json:"principalOrgId"`
	UserARN         string `json:"userArn"`
	UserID          string `json:"userId"`
}

// requestTime is how the gateway writes the time of a request.
const requestTime = "02/Jan/2006:15:04:05 -0700"

// newEvent describes a request; what the route and its authorizer say is added
// by the caller.
func newEvent(r *http.Request, path string, body []byte, now time.Time, requestID string) event {
	e := event{Version: "2.0", RawPath: path, RawQueryString: r.URL.RawQuery, Headers: map[string]string{}}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, v := range values {
				for c := range strings.SplitSeq(v, ";") {
					e.Cookies = append(e.Cookies, strings.TrimSpace(c))
				}
			}
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	if len(r.URL.RawQuery) > 0 {
		e.QueryStringParameters = map[string]string{}
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			if pair == "" {
				continue
			}
			k, v, _ := strings.Cut(pair, "=")
			k, v = unescapeQuery(k), unescapeQuery(v)
			if first, double := e.QueryStringParameters[k]; double {
				v = first + "," + v
			}
			e.QueryStringParameters[k] = v
		}
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	e.Headers["host"] = r.Host
	if len(body) > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		e.Headers["content-length"] = fmt.Sprint(len(body))
	}
	if sent := e.Headers["x-forwarded-for"]; sent != "" {
		e.Headers["x-forwarded-for"] = sent + ", " + source
	} else {
		e.Headers["x-forwarded-for"] = source
	}
	e.Headers["x-forwarded-port"] = port
	e.Headers["x-forwarded-proto"] = "http"
	if e.Headers["x-amzn-trace-id"] == "" {
		e.Headers["x-amzn-trace-id"] = "Root=1-" + fmt.Sprintf("%08x", now.Unix()) + "-" + hexID(12)
	}
	c := &e.RequestContext
	c.DomainName = host
	c.DomainPrefix, _, _ = strings.Cut(host, ".")
	c.HTTP.Method, c.HTTP.Path, c.HTTP.Protocol = r.Method, path, r.Proto
	c.HTTP.SourceIP, c.HTTP.UserAgent = source, r.UserAgent()
	c.RequestID = requestID
	c.Stage = "$default"
	c.Time, c.TimeEpoch = now.UTC().Format(requestTime), now.UnixMilli()
	if len(body) > 0 {
		text := string(body)
		if !isText(r.Header.Get("Content-Type")) || !utf8.Valid(body) {
			text, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
		}
		e.Body = &text
	}
	return e
}

// isText tells whether the gateway hands a body of this type on as text.
func isText(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	switch t {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(t, "text/")
}

func unescapeQuery(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// decodePath is what HTTP APIs make of an encoded path, as live captures show:
// it is decoded, cut at a question mark that came out, and decoded again. ok is
// false where the second decoding fails; the gateway refuses such a request.
func decodePath(escaped string) (path string, ok bool) {
	once, err := url.PathUnescape(escaped)
	if err != nil {
		return "", false
	}
	once, _, _ = strings.Cut(once, "?")
	twice, err := url.PathUnescape(once)
	return twice, err == nil
}

// answer is what a function returned, by payload format 2.0.
type answer struct {
	status  int
	headers map[string]string
	cookies []string
	body    []byte
}

// readAnswer reads a function's result, which must have a statusCode.
func readAnswer(result []byte) (answer, error) {
	var out struct {
		StatusCode      json.Number       `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Cookies         []string          `json:"cookies"`
		Body            *string           `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(result, &out); err != nil {
		return answer{}, fmt.Errorf("read function result: %w", err)
	}
	status, err := out.StatusCode.Int64()
	if err != nil || status < 200 || status > 599 {
		return answer{}, fmt.Errorf("read function result: status code %s", out.StatusCode)
	}
	a := answer{status: int(status), headers: map[string]string{}, cookies: out.Cookies}
	for k, v := range out.Headers {
		a.headers[strings.ToLower(k)] = v
	}
	if out.Body != nil {
		a.body = []byte(*out.Body)
		if out.IsBase64Encoded {
			if a.body, err = base64.StdEncoding.DecodeString(*out.Body); err != nil {
				return answer{}, fmt.Errorf("read function result: decode body: %w", err)
			}
		}
	}
	if len(a.body) > 0 && a.headers["content-type"] == "" {
		a.headers["content-type"] = "text/plain; charset=utf-8"
	}
	return a, nil
}
