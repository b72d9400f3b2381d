package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/httpapi"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/webhook"
)

// Claims records callouts on orders.
type Claims interface {
	// Claim records one callout in one conditional write and returns the order
	// as it is then. Concurrent callouts of one order are tried again inside.
	// Codes: nonce_replayed and too_many_requests left nothing behind;
	// anything else means that the callout may not have been recorded, and the
	// sender must send it again (try_again, or internal_error).
	Claim(ctx context.Context, c order.Claim) (order.Claimed, error)
	// Get reads one order, strongly consistent.
	Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	// Control reads the switch of one side.
	Control(ctx context.Context, side order.Side) (order.Control, error)
}

// Handler answers POST /orders/{sfOrderId}/fulfill and POST /ping.
type Handler struct {
	lambdaenv.Init
	Verifier *webhook.Verifier
	Keys     webhook.Keys // those of Verifier, for the self-check
	Claims   Claims
	Now      func() time.Time
	Sleep    func(ctx context.Context, d time.Duration) error
	Log      *slog.Logger
	Metrics  *telemetry.Meter
	// Wait is how long a caller without a Prefer header waits for the end.
	Wait time.Duration
}

// routePing is the route of the test call, as the gateway names it.
const routePing = "POST /ping"

const (
	// maxWait leaves the rest of the gateway's 30 s (HTTP API quotas,
	// "Maximum integration timeout") to the claim and the answer.
	maxWait = 25 * time.Second
	// slow is what a callout may take beyond the wait that was asked for: 99.9 % of
	// them are to be answered within it.
	slow = time.Second
	// answerTime is kept free of the invocation's deadline.
	answerTime = time.Second
	// The watch begins with firstPoll between two reads and doubles to
	// lastPoll: an order takes seconds, and a caller costs few reads.
	firstPoll, lastPoll = 250 * time.Millisecond, 2 * time.Second
	// retrySoon is told to a caller whose callout was not recorded: throttling
	// is over in about a second.
	retrySoon = 2 * time.Second
	// retryOpen is when to ask again for an order that is being provisioned.
	retryOpen = 5 * time.Second
	// retryFlood is told past 100 live nonces: some of them end within minutes.
	retryFlood = time.Minute
)

// The answers about a recorded order. Their members are exactly those of the
// contract.
type (
	activating struct {
		Success   bool         `json:"success"`
		Status    order.Status `json:"status"`
		SFOrderID string       `json:"sfOrderId"`
	}
	provisioned struct {
		Success      bool         `json:"success"`
		Status       order.Status `json:"status"`
		SFOrderID    string       `json:"sfOrderId"`
		WHMCSOrderID string       `json:"whmcsOrderId"`
	}
	// pong says which org is served; empty where any is.
	pong struct {
		OK             bool   `json:"ok"`
		OrganizationID string `json:"organizationId"`
	}
)

// Handle answers one event. It never returns an error: that would be a 500 of
// the gateway's.
func (h *Handler) Handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (httpapi.Response, error) {
	r := httpapi.NewRequest(e, webhook.MaxBody)
	now := h.Now()

	request := webhook.Request{
		SourceIP:       r.SourceIP,
		PathID:         r.Path("sfOrderId"),
		Body:           r.Body,
		BodyErr:        r.BodyErr,
		Signature:      r.Header("X-SF-Signature"),
		Timestamp:      r.Header("X-SF-Timestamp"),
		Nonce:          r.Header("X-SF-Nonce"),
		ContentType:    r.Header("Content-Type"),
		IdempotencyKey: r.Header("Idempotency-Key"),
	}
	if e.RouteKey == routePing {
		return h.ping(ctx, r, request, now), nil
	}
	callout, err := h.Verifier.Verify(ctx, request, now)
	if err != nil {
		return h.reject(ctx, r, now, err), nil
	}
	ctx = order.WithID(ctx, callout.OrderID)
	claimed, err := h.Claims.Claim(ctx, order.Claim{
		ID:          callout.OrderID,
		Nonce:       callout.Nonce,
		NonceExpiry: callout.NonceExpiry,
		Key:         callout.Key,
		By:          order.NewToken(),
		RequestedBy: callout.RequestedBy,
		AccountID:   callout.AccountID,
		SignedAt:    callout.Timestamp,
		Now:         now,
		RequestID:   r.ID,
	})
	if err != nil {
		return h.reject(ctx, r, now, err), nil
	}
	ctx = order.WithCorrelation(ctx, claimed.Record.CorrelationID)
	outcome := outcomes[claimed.Outcome]
	h.Metrics.Count(telemetry.CalloutsRecorded, outcome, 1)
	wait, applied := h.waitFor(r.Header("Prefer"))
	recorded := h.Now()
	waits := wait > 0 && claimed.Record.State.Open()
	if !waits {
		h.answered(recorded.Sub(now), http.StatusOK)
	}
	h.Metrics.Flush(ctx, h.Log, slog.LevelInfo, "callout recorded", outcome, named(ctx, r,
		slog.String("idempotency_key", callout.Key), slog.String("requested_by", callout.RequestedBy))...)
	if !waits {
		return answer(r.ID, claimed.Record, applied), nil
	}
	// The line of the callout is written by now: what ends the wait cannot lose it.
	last := h.watch(ctx, claimed.Record, wait)
	took := h.Now().Sub(now)
	h.answered(max(took-wait, recorded.Sub(now)), http.StatusOK)
	h.Metrics.Flush(ctx, h.Log, slog.LevelInfo, "callout answered", "", named(ctx, r, slog.String("state", string(last.State)), slog.Duration("took", took))...)
	return answer(r.ID, last, applied), nil
}

// named adds the request's id to the attributes of a line, unless the line names it
// already as the callout that began the order; and drops what is empty.
func named(ctx context.Context, r httpapi.Request, attrs ...slog.Attr) []slog.Attr {
	if r.ID != order.CorrelationFrom(ctx) {
		attrs = append(attrs, slog.String("request_id", r.ID))
	}
	return slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Value.Kind() == slog.KindString && a.Value.String() == "" })
}

// answered counts a callout that is answered with the status, after took beyond
// the wait that was asked for.
func (h *Handler) answered(took time.Duration, status int) {
	h.Metrics.Duration(telemetry.CalloutTime, took)
	if took > slow || status >= http.StatusInternalServerError {
		h.Metrics.Count(telemetry.CalloutsSlow, "", 1)
	}
}

// ping answers the test call of Salesforce's set-up page with the refusal that a
// callout would meet, or with the org that is served. It reads and writes
// nothing but the secret.
func (h *Handler) ping(ctx context.Context, r httpapi.Request, w webhook.Request, now time.Time) httpapi.Response {
	if err := h.Verifier.Ping(ctx, w, now); err != nil {
		return h.refuse(ctx, r, err)
	}
	h.Metrics.Flush(ctx, h.Log, slog.LevelInfo, "ping", "", named(ctx, r)...)
	return httpapi.JSON(http.StatusOK, pong{true, h.Verifier.OrgID}, nil)
}

// outcomes spells the outcomes of a claim for logs and metrics.
var outcomes = map[order.Outcome]string{
	order.Created:            "created",
	order.AlreadyOpen:        "already_open",
	order.AlreadyProvisioned: "already_provisioned",
	order.StoredFailure:      "stored_failure",
	order.Reopened:           "reopened",
}

// reject answers a callout that was not recorded.
func (h *Handler) reject(ctx context.Context, r httpapi.Request, began time.Time, err error) httpapi.Response {
	h.answered(h.Now().Sub(began), fault.CodeOf(err).Info().Status)
	return h.refuse(ctx, r, err)
}

// refuse answers, counts and logs a request that did not pass.
func (h *Handler) refuse(ctx context.Context, r httpapi.Request, err error) httpapi.Response {
	headers := map[string]string{}
	code := fault.CodeOf(err)
	switch code {
	case fault.TryAgain:
		headers["Retry-After"] = httpapi.Seconds(retrySoon)
	case fault.TooManyRequests:
		headers["Retry-After"] = httpapi.Seconds(retryFlood)
	}
	h.Metrics.Count(telemetry.CalloutsRejected, string(code), 1)
	if code.Info().Security {
		h.Metrics.Count(telemetry.SecurityEvents, string(code), 1)
	}
	h.Metrics.Flush(ctx, h.Log, httpapi.LevelOf(code), "callout rejected", string(code), named(ctx, r, slog.String("source_ip", r.SourceIP), slog.Any("err", err))...)
	return httpapi.Problem(r.ID, err, headers)
}

// waitFor says how long to wait for the end, and which preferences that honours
// (RFC 7240, section 3): wait=N as the longest wait, alone or with
// respond-async; respond-async alone as no wait.
func (h *Handler) waitFor(prefer string) (wait time.Duration, applied string) {
	p := webhook.ParsePrefer(prefer)
	var honoured []string
	wait = h.Wait
	if p.RespondAsync {
		wait = 0
		honoured = append(honoured, "respond-async")
	}
	if p.HasWait {
		wait = min(p.Wait, maxWait)
		honoured = append(honoured, "wait="+strconv.Itoa(int(wait.Seconds())))
	}
	return min(wait, maxWait), strings.Join(honoured, ", ")
}

// watch reads the order until it ends, is parked, or wait is over. The callout
// is recorded by now: a read that fails ends the watch and not the request.
func (h *Handler) watch(ctx context.Context, r order.Record, wait time.Duration) order.Record {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, deadline.Sub(h.Now())-answerTime)
	}
	end := h.Now().Add(wait)
	for pause := firstPoll; r.State == order.Queued || r.State == order.Working; pause = min(2*pause, lastPoll) {
		left := end.Sub(h.Now())
		if left <= 0 || r.State == order.Queued && h.held(ctx) {
			return r
		}
		if h.Sleep(ctx, min(pause, left)) != nil {
			return r
		}
		next, ok, err := h.Claims.Get(ctx, r.ID)
		if err != nil || !ok {
			return r
		}
		r = next
	}
	return r
}

// held reports whether no worker will take a queued order now: then waiting is
// in vain. It costs one read of half a unit.
func (h *Handler) held(ctx context.Context) bool {
	c, err := h.Claims.Control(ctx, order.SideWHMCS)
	return err == nil && (c.Paused || c.Open(h.Now()))
}

// answer is the second table of the contract.
func answer(requestID string, r order.Record, applied string) httpapi.Response {
	headers := map[string]string{}
	if applied != "" {
		headers["Preference-Applied"] = applied
	}
	switch r.State {
	case order.Provisioned:
		return httpapi.JSON(http.StatusOK, provisioned{true, r.Status(), r.ID.String(), r.WHMCSOrderID}, headers)
	case order.Failed:
		return httpapi.Failure(requestID, r.ErrorCode, r.ErrorMessage, headers)
	}
	headers["Location"] = "/orders/" + r.ID.String()
	headers["Retry-After"] = httpapi.Seconds(retryOpen)
	return httpapi.JSON(http.StatusAccepted, activating{false, order.StatusActivating, r.ID.String()}, headers)
}
