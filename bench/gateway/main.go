// Command gateway measures the running system through its gateway: how long it
// takes to be ready, to answer a callout, to carry an order to Provisioned, and to
// answer a stranger; and what an order takes of units, calls and log.
//
// The rule it keeps: every figure stands beside a plain request through the
// same gateway in the same run, because machines are noisy and a ratio is not.
// It must not judge: there is no limit that it holds anything against.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"orderbridge/local/launch"
	"orderbridge/shared/order"
	"orderbridge/shared/webhook"
)

func main() {
	bin := flag.String("bin", "build/bin", "folder of the built binaries")
	template := flag.String("template", "template.yaml", "the template")
	n := flag.Int("n", 200, "orders to carry, one after the other")
	flag.Parse()
	if err := run(os.Stdout, *bin, *template, *n); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, bin, template string, n int) (err error) {
	began := time.Now()
	s, err := launch.Start(launch.Options{Local: bin + "/local", Bin: bin, Template: template})
	if s != nil {
		defer func() { err = errors.Join(err, s.Stop()) }()
	}
	if err != nil {
		return err
	}
	ready := time.Since(began)

	var secret struct{ Secret string }
	if _, err := call("GET", s.API+"/_local/secret", nil, nil, &secret); err != nil {
		return err
	}
	b := &bench{System: s, secret: []byte(secret.Secret)}
	var plain, callout, done []time.Duration
	for i := range n {
		id, err := order.ParseID(fmt.Sprintf("8010000%08d", i))
		if err != nil {
			return err
		}
		seed := []byte(`{"accountId":"001000000000001AAA","whmcsClientId":7,"items":[{"whmcsProductId":1,"billingCycle":"Monthly","quantity":1},{"whmcsProductId":2,"billingCycle":"One-time","quantity":3}]}`)
		if _, err := call("PUT", s.Salesforce+"/_sim/orders/"+id.String(), seed, nil, nil); err != nil {
			return err
		}
		p, c, d, err := b.carry(id)
		if err != nil {
			return err
		}
		plain, callout, done = append(plain, p), append(callout, c), append(done, d)
	}
	base := at(plain, 0.5)
	fmt.Fprintf(out, "%d orders, one after the other; a plain request through the same gateway is 1\n\n", n)
	fmt.Fprintf(out, "%-44s %10s %10s %8s\n", "", "median", "p99", "ratio")
	for _, row := range []struct {
		what string
		all  []time.Duration
	}{{"plain request (404 of the gateway)", plain}, {"callout until its answer (202)", callout}, {"callout until the order is provisioned", done}} {
		fmt.Fprintf(out, "%-44s %10s %10s %8.1f\n", row.what, round(at(row.all, 0.5)), round(at(row.all, 0.99)), float64(at(row.all, 0.5))/float64(base))
	}
	fmt.Fprintf(out, "%-44s %10s\n", "start until ready, without building", round(ready))
	if err := b.terms(out, n); err != nil {
		return err
	}
	return b.oracle(out)
}

type bench struct {
	*launch.System
	secret []byte
	asked  int // questions of the portal
}

// carry sends one callout and watches WHMCS's books until the order is active.
func (b *bench) carry(id order.ID) (plain, answered, done time.Duration, err error) {
	began := time.Now()
	if _, err = call("GET", b.API+"/nothing", nil, nil, nil); err != nil {
		return
	}
	plain = time.Since(began)

	if answered, err = b.click(id); err != nil {
		return plain, 0, 0, err
	}
	began = time.Now().Add(-answered)
	token, err := b.token("scope=orders.read.any")
	if err != nil {
		return
	}
	for time.Since(began) < time.Minute {
		var seen struct{ Status string }
		b.asked++
		if _, err = call("GET", b.API+"/orders/"+id.String(), nil, map[string]string{"Authorization": "Bearer " + token}, &seen); err != nil {
			return
		}
		switch order.Status(seen.Status) {
		case order.StatusProvisioned:
			return plain, answered, time.Since(began), nil
		case order.StatusFailed:
			return plain, answered, 0, fmt.Errorf("order %s failed", id)
		}
	}
	return plain, answered, 0, fmt.Errorf("order %s was not provisioned in a minute", id)
}

// click sends one callout, and returns how long its answer took.
func (b *bench) click(id order.ID) (time.Duration, error) {
	nonce, stamp := string(order.NewToken()), time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	body := fmt.Appendf(nil, `{"orderId":%q,"timestamp":%q,"nonce":%q,"accountId":"001000000000001AAA"}`, id, stamp, nonce)
	headers := map[string]string{
		"Content-Type": "application/json", "X-SF-Signature": webhook.Sign(b.secret, body),
		"X-SF-Timestamp": stamp, "X-SF-Nonce": nonce, "Idempotency-Key": nonce,
	}
	began := time.Now()
	status, err := call("POST", b.API+"/orders/"+id.String()+"/fulfill", body, headers, nil)
	if err != nil || status != http.StatusAccepted && status != http.StatusOK && status != http.StatusUnprocessableEntity {
		return 0, errors.Join(err, fmt.Errorf("callout of %s: %d", id, status))
	}
	return time.Since(began), nil
}

// token is one of the local issuer.
func (b *bench) token(claims string) (string, error) {
	var got struct{ Token string }
	_, err := call("GET", b.API+"/_local/token?"+claims, nil, nil, &got)
	return got.Token, err
}

func call(method, url string, body []byte, headers map[string]string, into any) (int, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body)) //nolint:noctx // bounded by the client
	if err != nil {
		return 0, err
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err
	}
	if into == nil {
		return res.StatusCode, nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return res.StatusCode, fmt.Errorf("%s %s: %d %s", method, url, res.StatusCode, strings.TrimSpace(string(b)))
	}
	return res.StatusCode, nil
}

func at(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func round(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
