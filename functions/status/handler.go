package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/httpapi"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
)

// Orders reads orders.
type Orders interface {
	// Progress reads one order in one read; the zero Progress: there is none.
	// Its errors are throttling and outages: the caller may ask again.
	Progress(ctx context.Context, id order.ID) (order.Progress, error)
}

// Handler answers GET /orders/{sfOrderId}.
type Handler struct {
	lambdaenv.Init
	Orders  Orders
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *telemetry.Meter
	// AccountClaim is the claim that holds the caller's Salesforce account id.
	AccountClaim string
	// ResourceServer is the name that the issuer writes before a scope of its own
	// making, as Cognito does; "" = none.
	ResourceServer string
}

// scopeAny lets a token see the orders of every account.
const scopeAny = "orders.read.any"

const (
	// retrySoon is told when the table could not be read.
	retrySoon = 2 * time.Second
	// The customer of a young order looks at the screen: it is worth asking
	// for every second until it is 15 s old. Later a change is seen within a
	// fifteenth of the time that the order has taken: what takes minutes waits
	// for another system or for a person.
	youngPoll, oldPoll, pollShare = time.Second, time.Minute, 15
	// An order of which the caller is told nothing has no age that may show.
	// It waits for a person's click.
	blindPoll = 10 * time.Second
)

// representation is the order as the portal sees it.
type representation struct {
	SFOrderID    string       `json:"sfOrderId"`
	Status       order.Status `json:"status"`
	WHMCSOrderID string       `json:"whmcsOrderId,omitempty"`
	UpdatedAt    string       `json:"updatedAt,omitempty"`
	Final        bool         `json:"final"`
}

// Handle answers one event. It never returns an error: that would be a 500 of
// the gateway's.
func (h *Handler) Handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (httpapi.Response, error) {
	r := httpapi.NewRequest(e, 0) // a GET has no body that matters
	if !r.Caller.Known() {
		return h.reject(ctx, r.ID, fault.New(fault.CallerUnknown, "")), nil
	}
	id, err := order.ParseID(r.Path("sfOrderId"))
	if err != nil {
		return h.reject(ctx, r.ID, fault.Wrap(fault.OrderIDInvalid, err)), nil
	}
	// Read first, then judge: what is not there and what is not the caller's
	// take the same work.
	progress, err := h.Orders.Progress(ctx, id)
	if err != nil {
		return h.reject(order.WithID(ctx, id), r.ID, fault.Wrap(fault.TryAgain, err)), nil
	}
	if !h.maySee(r.Caller, progress) {
		progress = order.Progress{}
	}
	return h.show(id, progress, r.Header("If-None-Match")), nil
}

// maySee reports whether the caller may see the order. An order whose account
// is not known yet is visible to no account.
func (h *Handler) maySee(c httpapi.Caller, p order.Progress) bool {
	if c.IAM || slices.ContainsFunc(c.Scopes(), h.opensAll) {
		return true
	}
	account, ok := order.To18(c.Claims[h.AccountClaim])
	return ok && p.AccountID != "" && account == p.AccountID
}

// opensAll reports whether a scope lets its token see every order: by itself, or
// behind the name of the resource server that this installation names.
func (h *Handler) opensAll(scope string) bool {
	return scope == scopeAny || h.ResourceServer != "" && scope == h.ResourceServer+"/"+scopeAny
}

// show answers with the representation of p; the zero Progress is the order
// that has not been asked for.
func (h *Handler) show(id order.ID, p order.Progress, ifNoneMatch string) httpapi.Response {
	status := p.Status()
	rep := representation{SFOrderID: id.String(), Status: status, WHMCSOrderID: p.WHMCSOrderID, Final: status.Final()}
	if !p.UpdatedAt.IsZero() {
		rep.UpdatedAt = p.UpdatedAt.UTC().Format(time.RFC3339Nano)
	}
	headers := map[string]string{"Cache-Control": "private, no-cache"}
	if !rep.Final {
		headers["Retry-After"] = httpapi.Seconds(h.poll(p))
	}
	shown := httpapi.JSON(http.StatusOK, rep, headers)
	headers["ETag"] = etag(shown.Body)
	if matches(ifNoneMatch, headers["ETag"]) {
		return httpapi.NotModified(headers)
	}
	shown.Headers["ETag"] = headers["ETag"]
	return shown
}

// poll returns when to ask again.
func (h *Handler) poll(p order.Progress) time.Duration {
	if p.OpenedAt.IsZero() {
		return blindPoll
	}
	return min(max(h.Now().Sub(p.OpenedAt)/pollShare, youngPoll), oldPoll)
}

// etag is a strong validator (RFC 9110, section 8.8.3): the representation's
// own hash.
func etag(representation string) string {
	sum := sha256.Sum256([]byte(representation))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// matches implements If-None-Match (RFC 9110, section 13.1.2): "*", or a list
// of entity tags, compared weakly. Commas may stand inside a tag's quotes. A
// field that does not follow the grammar matches nothing: the whole
// representation is always a right answer.
func matches(field, tag string) bool {
	field = strings.Trim(field, " \t")
	if field == "*" {
		return true
	}
	found := false
	for field != "" {
		if field[0] == ',' { // empty list elements are allowed
			field = strings.TrimLeft(field[1:], " \t")
			continue
		}
		rest, _ := strings.CutPrefix(field, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == tag {
			found = true
		}
		field = strings.TrimLeft(rest[end+2:], " \t")
		if field != "" && field[0] != ',' {
			return false
		}
	}
	return found
}

// reject answers a request that was not served.
func (h *Handler) reject(ctx context.Context, requestID string, err error) httpapi.Response {
	headers := map[string]string{"Cache-Control": "no-store"}
	if fault.CodeOf(err) == fault.TryAgain {
		headers["Retry-After"] = httpapi.Seconds(retrySoon)
	}
	code := fault.CodeOf(err)
	h.Metrics.Count(telemetry.ReadsRejected, string(code), 1)
	h.Metrics.Flush(ctx, h.Log, httpapi.LevelOf(code), "request rejected", string(code), slog.String("request_id", requestID), slog.Any("err", err))
	return httpapi.Problem(requestID, err, headers)
}
