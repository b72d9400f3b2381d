package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	secrets "orderbridge/shared/secret"
	"orderbridge/shared/webhook"
)

const (
	// maxWait is the longest wait that the API honours.
	maxWait = 25
	// slack is what an answer may take beyond the wait that was asked for:
	// the gateway gives up after 30 s.
	slack = 10 * time.Second
	// maxAnswer bounds what is read of an answer; real ones are below 1 KiB.
	maxAnswer = 1 << 20
)

// waitFlag is --wait, --wait=N and --wait N.
type waitFlag struct{ seconds int }

func (w *waitFlag) String() string   { return strconv.Itoa(w.seconds) }
func (w *waitFlag) IsBoolFlag() bool { return true }

func (w *waitFlag) Set(s string) error {
	if s == "true" { // no value
		w.seconds = maxWait
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxWait {
		return fmt.Errorf("not a whole number of seconds from 1 to %d", maxWait)
	}
	w.seconds = n
	return nil
}

type calloutOptions struct {
	wait               waitFlag
	key, account, user string
	secretFile         string
	dryRun, event      bool
}

func calloutCommand() command {
	return command{
		name:     "callout",
		synopsis: "ORDER [--wait [N]] [--key K] [--dry-run | --event]",
		summary:  "sign a callout and send it as Salesforce does",
		needs:    "API_URL, WEBHOOK_SECRET_ID (or --secret-file), SF_ORG_ID (if the installation checks it)",
		examples: []string{
			"callout 801000000000001AAA",
			"callout 801000000000001AAA --wait        # up to 25 s for the end",
			"callout 801000000000001AAA --wait 5 --key click-7",
			"callout 801000000000001AAA --secret-file -  # sign with what Salesforce holds",
			"callout 801000000000001AAA --dry-run     # print the request, send nothing",
			"callout 801000000000001AAA --event       # print a signed event for sam local invoke",
		},
		setup: func(flags *flag.FlagSet) action {
			var o calloutOptions
			flags.Var(&o.wait, "wait", "wait for the end, up to N `[N]` seconds (25)")
			flags.StringVar(&o.key, "key", "", "`K` is the Idempotency-Key; without it each call is a new click")
			flags.StringVar(&o.account, "account", "", "`ID` of the Salesforce account, so that its owner sees the order at once")
			flags.StringVar(&o.user, "requested-by", "", "`ID` of the Salesforce user, kept in the history")
			flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` (- = standard input) holds the secret as it was put into Salesforce; without it the stack's own is used")
			flags.BoolVar(&o.dryRun, "dry-run", false, "print the whole HTTP request and send nothing")
			flags.BoolVar(&o.event, "event", false, "print the request as an API Gateway event and send nothing")
			return func(ctx context.Context, c console, args []string) error {
				id, err := oneOrder(joinWait(&o.wait, args))
				if err != nil {
					return err
				}
				return callout(ctx, c, id, o)
			}
		},
	}
}

// joinWait takes the N of "--wait N" back from the positional arguments, where
// package flag leaves the value of a flag that needs none. No order id is that short.
func joinWait(w *waitFlag, args []string) []string {
	if w.seconds == 0 || len(args) < 2 {
		return args
	}
	var rest []string
	for _, a := range args {
		if len(a) <= 2 && w.Set(a) == nil {
			continue
		}
		rest = append(rest, a)
	}
	return rest
}

func callout(ctx context.Context, c console, id order.ID, o calloutOptions) error {
	if o.dryRun && o.event {
		return usagef("--dry-run and --event exclude each other")
	}
	base := "http://localhost"
	if !o.event {
		var err error
		if base, err = c.setting("API_URL", "the address of the callout API"); err != nil {
			return err
		}
	}
	key, err := signingSecret(ctx, c, o.secretFile)
	if err != nil {
		return err
	}
	req, body, err := signed(ctx, c, base, id, o, key)
	if err != nil {
		return err
	}
	switch {
	case o.dryRun:
		return req.Write(c.out)
	case o.event:
		return writeEvent(c, req, id, body)
	}
	return send(c, req, o.wait)
}

// signingSecret returns what the callout is signed with. The stack's own secret
// proves only that the stack agrees with itself; a file, or standard input (-),
// holds what was put into Salesforce. One line break at its end is the editor's.
func signingSecret(ctx context.Context, c console, file string) (string, error) {
	if file == "" {
		id, err := c.setting("WEBHOOK_SECRET_ID", "the signing secret in Secrets Manager")
		if err != nil {
			return "", err
		}
		text, err := c.secret(ctx, id)
		if err != nil {
			return "", err
		}
		if err := secrets.CheckWebhook(text); err != nil {
			return "", fault.New(fault.SecretUnavailable, fmt.Sprintf("The signing secret %s %v: callouts are answered 503 until it is corrected.", id, err))
		}
		return text, nil
	}
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(c.in, maxAnswer))
	} else {
		text, err = os.ReadFile(file) //nolint:gosec // the operator names the file
	}
	if err != nil {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if line == "" {
		return "", usagef("%s holds no secret", file)
	}
	return line, nil
}

// calloutBody is the body as Salesforce writes it.
type calloutBody struct {
	OrderID        string `json:"orderId"`
	Timestamp      string `json:"timestamp"`
	Nonce          string `json:"nonce"`
	OrganizationID string `json:"organizationId,omitempty"`
	AccountID      string `json:"accountId,omitempty"`
	RequestedBy    string `json:"requestedBy,omitempty"`
}

func signed(ctx context.Context, c console, base string, id order.ID, o calloutOptions, secret string) (*http.Request, []byte, error) {
	b := calloutBody{
		OrderID:        id.String(),
		Timestamp:      c.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Nonce:          string(order.NewToken()),
		OrganizationID: c.getenv("SF_ORG_ID"),
		AccountID:      o.account,
		RequestedBy:    o.user,
	}
	body, err := json.Marshal(b)
	if err != nil {
		return nil, nil, fmt.Errorf("encode body: %w", err)
	}
	address, err := url.Parse(base)
	if err != nil || address.Host == "" {
		return nil, nil, usagef("API_URL must be an address like https://…, is %q", base)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.JoinPath("orders", id.String(), "fulfill").String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	prefer := "respond-async"
	if o.wait.seconds > 0 {
		prefer = "wait=" + strconv.Itoa(o.wait.seconds)
	}
	for name, value := range map[string]string{
		"Content-Type":    "application/json",
		"Idempotency-Key": cmp.Or(o.key, "orderctl-"+string(order.NewToken())),
		"Prefer":          prefer,
		"User-Agent":      "orderctl",
		"X-SF-Nonce":      b.Nonce,
		"X-SF-Signature":  webhook.Sign([]byte(secret), body),
		"X-SF-Timestamp":  b.Timestamp,
	} {
		req.Header.Set(name, value)
	}
	return req, body, nil
}

func send(c console, req *http.Request, wait waitFlag) error {
	client := &http.Client{
		Timeout: time.Duration(wait.seconds)*time.Second + slack,
		// A signed request goes where it was addressed, or nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return fault.Wrap(fault.RequestNotDelivered, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(fault.RequestNotDelivered, fmt.Errorf("read answer: %w", err))
	}
	if res.StatusCode/100 == 2 {
		fmt.Fprintf(c.err, "HTTP %s%s\n", res.Status, notes(res.Header))
		fmt.Fprintf(c.out, "%s\n", bytes.TrimSpace(text))
		return nil
	}
	var p struct { // a problem document, or the gateway's own message
		Code      string `json:"code"`
		Detail    string `json:"detail"`
		RequestID string `json:"requestId"`
		Message   string `json:"message"`
	}
	_ = json.Unmarshal(text, &p) // whatever it is, the status says enough
	if p.Code == "" {
		return errors.New(strings.TrimSuffix(fmt.Sprintf("HTTP %s: %s", res.Status, p.Message), ": "))
	}
	return fault.New(fault.Code(p.Code), fmt.Sprintf("%s (HTTP %d, request %s)", p.Detail, res.StatusCode, p.RequestID))
}

// notes are the headers of an answer that tell the caller what to do next.
func notes(h http.Header) string {
	var s strings.Builder
	for _, name := range []string{"Location", "Retry-After", "Preference-Applied"} {
		if v := h.Get(name); v != "" {
			fmt.Fprintf(&s, ", %s: %s", name, v)
		}
	}
	return s.String()
}

// writeEvent prints the request as the event that an HTTP API (payload format
// 2.0) would make of it.
func writeEvent(c console, req *http.Request, id order.ID, body []byte) error {
	headers := map[string]string{"content-length": strconv.Itoa(len(body)), "host": req.URL.Host}
	for name := range req.Header {
		headers[strings.ToLower(name)] = req.Header.Get(name)
	}
	const route = "POST /orders/{sfOrderId}/fulfill"
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{
		"version":        "2.0",
		"routeKey":       route,
		"rawPath":        req.URL.Path,
		"rawQueryString": "",
		"headers":        headers,
		"pathParameters": map[string]string{"sfOrderId": id.String()},
		"requestContext": map[string]any{
			"accountId":    "123456789012",
			"apiId":        "callout",
			"domainName":   req.URL.Host,
			"domainPrefix": "callout",
			"http": map[string]string{
				"method": req.Method, "path": req.URL.Path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "orderctl",
			},
			"requestId": string(order.NewToken()),
			"routeKey":  route,
			"stage":     "$default",
			"time":      c.now().UTC().Format("02/Jan/2006:15:04:05 -0700"),
			"timeEpoch": c.now().UnixMilli(),
		},
		"body":            string(body),
		"isBase64Encoded": false,
	})
}
