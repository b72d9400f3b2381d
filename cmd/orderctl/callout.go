package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	secrets "orderbridge/shared/secret"
	"orderbridge/shared/webhook"
)

const (
	// maxWait is the longest wait that the API honours.
	maxWait = 25 * time.Second
	// maxFollow bounds how long an order is followed after that.
	maxFollow = 24 * time.Hour
	// slack is what an answer may take beyond the wait that was asked for:
	// the gateway gives up after 30 s.
	slack = 10 * time.Second
	// maxAnswer bounds what is read of an answer; real ones are below 1 KiB.
	maxAnswer = 1 << 20
)

// waitFlag is --wait, --wait=N and --wait N: seconds, or a time such as 10m.
type waitFlag struct{ time.Duration }

func (w *waitFlag) String() string {
	if w.Duration == 0 {
		return "" // none, for the help
	}
	return w.Duration.String()
}

func (w *waitFlag) Type() string { return "TIME" }

func (w *waitFlag) Set(s string) error {
	if _, err := strconv.Atoi(s); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > maxFollow {
		return fmt.Errorf("not seconds or a time like 10m, from 1s to %s", maxFollow)
	}
	w.Duration = d
	return nil
}

type calloutOptions struct {
	wait               waitFlag
	key, account, user string
	secretFile         string
	event, explain     bool
}

func (a *app) calloutCommand() *cobra.Command {
	var o calloutOptions
	return a.verb(spec{
		group: groupMend, use: "callout ID [--wait [TIME]] [--key K] [--explain | --dry-run | --event]", short: "sign a callout and send it as Salesforce does",
		long:  "To try a failed order again, retry needs no signing secret.\nWith --wait, exit code 3 says that the order is not finished.\n--dry-run and --event print a signature, so they need the secret too; --secret-file - with\nany text of yours makes one that the bridge refuses.",
		needs: "API_URL, WEBHOOK_SECRET_ID (or --secret-file), SF_ORG_ID (if the installation checks it), TABLE_NAME for a --wait beyond 25 s",
		examples: []string{
			"callout 801000000000001AAA",
			"callout 801000000000001AAA --wait        # up to 25 s for the end",
			"callout 801000000000001AAA --wait 10m    # and follow the order for so long",
			"callout 801000000000001AAA --wait 5 --key click-7",
			"callout 801000000000001AAA --explain     # say what is hashed, and which check refuses it",
			"callout 801000000000001AAA --secret-file -  # sign with what Salesforce holds",
			"callout 801000000000001AAA --dry-run     # print the request, send nothing",
			"callout 801000000000001AAA --event       # print a signed event for sam local invoke",
		},
		flags: func(flags *pflag.FlagSet) {
			flags.Var(&o.wait, "wait", "wait for the end, up to `TIME`: seconds, or a time like 10m")
			flags.Lookup("wait").NoOptDefVal = maxWait.String()
			flags.StringVar(&o.key, "key", "", "`K` is the Idempotency-Key; without it each call is a new click")
			flags.StringVar(&o.account, "account", "", "`ID` of the Salesforce account, so that its owner sees the order at once")
			flags.StringVar(&o.user, "requested-by", "", "`ID` of the Salesforce user, kept in the history")
			flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` (- = standard input) holds the secret as it was put into Salesforce; without it the stack's own is used")
			flags.BoolVar(&a.dryRun, "dry-run", false, "print the whole HTTP request and send nothing")
			flags.BoolVar(&o.event, "event", false, "print the request as an API Gateway event and send nothing")
			flags.BoolVar(&o.explain, "explain", false, "say what is hashed and each check in its order, and which one refuses the callout")
			flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask; for scripts")
		},
		check: func(args []string) error { return o.check(joinWait(&o.wait, args), a.dryRun) },
		do: func(ctx context.Context, args []string) error {
			id, err := parseID(joinWait(&o.wait, args)[0])
			if err != nil {
				return err
			}
			return a.callout(ctx, id, o)
		},
	})
}

func (o *calloutOptions) check(args []string, dryRun bool) error {
	if err := oneOrder(args); err != nil {
		if len(args) == 2 && order18(args[0]) != order18(args[1]) { // "--wait abc"
			return usagef("callout: exactly one order id is needed, not 2; --wait takes seconds, or a time like 10m")
		}
		return err
	}
	for prefix, id := range map[string]string{"001": o.account, "005": o.user} {
		if full, ok := order.To18(id); id != "" && (!ok || !strings.HasPrefix(full, prefix)) {
			return usagef("%q is not a Salesforce id (%s…, 15 or 18 characters)", id, prefix)
		}
	}
	if dryRun && o.event {
		return usagef("--dry-run and --event exclude each other")
	}
	return nil
}

func order18(s string) bool { _, err := order.ParseID(s); return err == nil }

// joinWait takes the TIME of "--wait TIME" back from the positional arguments,
// where a flag leaves the value that it can do without. No order id is a time.
func joinWait(w *waitFlag, args []string) []string {
	if w.Duration == 0 || len(args) < 2 {
		return args
	}
	var rest []string
	for _, arg := range args {
		if w.Set(arg) == nil {
			continue
		}
		rest = append(rest, arg)
	}
	return rest
}

func (a *app) callout(ctx context.Context, id order.ID, o calloutOptions) error {
	base := "http://localhost"
	if !o.event {
		var err error
		if base, err = a.setting(ctx, "API_URL"); err != nil {
			return err
		}
	}
	secret, err := a.signingSecret(ctx, o.secretFile)
	if err != nil {
		return err
	}
	req, body, err := a.signed(ctx, base, id, o, secret)
	if err != nil {
		return err
	}
	switch {
	case a.dryRun:
		if err := req.Write(a.out); err != nil {
			return fmt.Errorf("print request: %w", err)
		}
		_, err := fmt.Fprintln(a.out)
		return err
	case o.event:
		return a.writeEvent(req, id, body)
	}
	yes, err := a.write(ctx, "callout of "+id.String())
	if err != nil || !yes {
		return err
	}
	if o.explain {
		explain(a.err, req, body)
	}
	answer, err := a.send(req, o.wait.Duration)
	if o.explain {
		explainChecks(a.err, err)
	}
	if err != nil {
		return err
	}
	return a.follow(ctx, id, answer, o.wait.Duration)
}

// signingSecret returns what the callout is signed with. The stack's own secret
// proves only that the stack agrees with itself; a file, or standard input (-),
// holds what was put into Salesforce. One line break at its end is the editor's.
func (a *app) signingSecret(ctx context.Context, file string) (string, error) {
	if file == "" {
		return a.storedSecret(ctx)
	}
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(a.in, maxAnswer))
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

// storedSecret reads the current signing secret of the stack: the bare string,
// whose UTF-8 bytes are the key.
func (a *app) storedSecret(ctx context.Context) (string, error) {
	name, err := a.setting(ctx, "WEBHOOK_SECRET_ID")
	if err != nil {
		return "", err
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return "", err
	}
	out, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	if err != nil {
		return "", fault.Wrap(fault.SecretUnavailable, err)
	}
	text := aws.ToString(out.SecretString)
	if err := secrets.CheckWebhook(text); err != nil {
		return "", fault.New(fault.SecretUnavailable, fmt.Sprintf("The signing secret %s %v: callouts are answered 503 until it is corrected.", name, err))
	}
	return text, nil
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

func (a *app) signed(ctx context.Context, base string, id order.ID, o calloutOptions, secret string) (*http.Request, []byte, error) {
	org, err := a.optional(ctx, "SF_ORG_ID")
	if err != nil {
		return nil, nil, err
	}
	b := calloutBody{
		OrderID:        id.String(),
		Timestamp:      a.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Nonce:          string(order.NewToken()),
		OrganizationID: org,
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
	if address.Scheme != "https" && !onThisMachine(base) {
		return nil, nil, usagef("API_URL must be https, or an address of this machine: a signed callout is not sent in the clear; it is %q", base)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.JoinPath("orders", id.String(), "fulfill").String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	prefer := "respond-async"
	if o.wait.Duration > 0 {
		prefer = "wait=" + strconv.Itoa(int(min(o.wait.Duration, maxWait).Seconds()))
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

// send sends the callout, prints what was answered, and returns it.
func (a *app) send(req *http.Request, wait time.Duration) (calloutAnswer, error) {
	client := &http.Client{
		Timeout: min(wait, maxWait) + slack,
		// A signed request goes where it was addressed, or nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return calloutAnswer{}, fault.Wrap(fault.RequestNotDelivered, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return calloutAnswer{}, fault.Wrap(fault.RequestNotDelivered, fmt.Errorf("read answer: %w", err))
	}
	var answer calloutAnswer
	_ = json.Unmarshal(text, &answer) // whatever it is, the status says enough
	if res.StatusCode/100 == 2 {
		fmt.Fprintf(a.err, "HTTP %s%s\n", res.Status, notes(res.Header))
		fmt.Fprintf(a.out, "%s\n", bytes.TrimSpace(text))
		return answer, nil
	}
	if answer.Code == "" {
		return answer, errors.New(strings.TrimSuffix(fmt.Sprintf("HTTP %s: %s", res.Status, answer.Message), ": "))
	}
	return answer, fault.New(fault.Code(answer.Code), fmt.Sprintf("%s (HTTP %d, request %s)", answer.Detail, res.StatusCode, answer.RequestID))
}

// calloutAnswer is what is read of an answer: of the API's own, of a problem
// document, or of the gateway's own message.
type calloutAnswer struct {
	Status    string `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"requestId"`
	Message   string `json:"message"`
}

// follow waits for the end of an order beyond what one answer waits for, and
// says where it is not finished.
func (a *app) follow(ctx context.Context, id order.ID, answer calloutAnswer, wait time.Duration) error {
	if wait == 0 || answer.Status == string(order.StatusProvisioned) {
		return nil
	}
	if wait <= maxWait {
		return unfinished{fmt.Sprintf("%s is not finished: %s; orderctl show %s --watch", id, answer.Status, id)}
	}
	table, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	until, last := a.now().Add(wait-maxWait), order.State("")
	for {
		r, found, err := table.Get(ctx, id)
		if err != nil {
			return err
		}
		if found && r.State != last {
			fmt.Fprintf(a.err, "%s  %s\n", clock(a.now()), headline(r))
			last = r.State
		}
		if r.Status().Final() || !a.now().Before(until) {
			return ended(r, true)
		}
		if err := a.sleep(ctx, watchEvery); err != nil {
			return unfinished{fmt.Sprintf("%s is not finished: %s", id, headline(r))}
		}
	}
}

// explain says what the signature is made of.
func explain(w io.Writer, req *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	fmt.Fprintf(w, "hashed, byte by byte (%d bytes, no line end):\n  %s\nSHA-256 of these bytes: %s\nX-SF-Signature, HMAC-SHA-256 under the UTF-8 bytes of the secret, hex:\n  %s\n",
		len(body), body, hex.EncodeToString(sum[:]), req.Header.Get("X-SF-Signature"))
}

// checks are what a callout must pass, in this order (Verifier of shared/webhook).
func checks() []struct {
	what  string
	codes []fault.Code
} {
	return []struct {
		what  string
		codes []fault.Code
	}{
		{"the address it comes from is allowed", []fault.Code{fault.SourceNotAllowed}},
		{"the body is not too large", []fault.Code{fault.BodyTooLarge}},
		{"the signature is there", []fault.Code{fault.SignatureMissing}},
		{"the signature is that of the body", []fault.Code{fault.SignatureInvalid}},
		{"X-SF-Timestamp is a time", []fault.Code{fault.TimestampInvalid}},
		{"the time is inside the window", []fault.Code{fault.TimestampOutOfWindow}},
		{"X-SF-Nonce is well formed", []fault.Code{fault.NonceInvalid}},
		{"the content type is JSON", []fault.Code{fault.ContentTypeUnsupported}},
		{"the body is one strict JSON object", []fault.Code{fault.BodyMalformed}},
		{"the signed headers are those of the body", []fault.Code{fault.HeadersNotSigned}},
		{"the org may call", []fault.Code{fault.OrgNotAllowed}},
		{"the order id is one, and that of the path", []fault.Code{fault.OrderIDInvalid, fault.OrderIDMismatch}},
		{"the Idempotency-Key is there", []fault.Code{fault.IdempotencyKeyMissing}},
		{"the nonce is new", []fault.Code{fault.NonceReplayed, fault.TooManyRequests}},
	}
}

// explainChecks says which check refused the callout.
func explainChecks(w io.Writer, err error) {
	code := fault.CodeOf(err)
	for _, c := range checks() {
		if slices.Contains(c.codes, code) {
			fmt.Fprintf(w, "  refused  %s\n", c.what)
			return
		}
		fmt.Fprintf(w, "  passed   %s\n", c.what)
	}
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
func (a *app) writeEvent(req *http.Request, id order.ID, body []byte) error {
	headers := map[string]string{"content-length": strconv.Itoa(len(body)), "host": req.URL.Host}
	for name := range req.Header {
		headers[strings.ToLower(name)] = req.Header.Get(name)
	}
	const route = "POST /orders/{sfOrderId}/fulfill"
	e := json.NewEncoder(a.out)
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
			"time":      a.now().UTC().Format("02/Jan/2006:15:04:05 -0700"),
			"timeEpoch": a.now().UnixMilli(),
		},
		"body":            string(body),
		"isBase64Encoded": false,
	})
}
