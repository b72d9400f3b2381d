package whmcs_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

// What stands in front of WHMCS, or a WHMCS that does not work, is named with
// its status and words; again and again it is a fault of the installation.
func TestAnAnswerThatIsNotTheAPIIsSaidAndBecomesAConfigFault(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		says   []string
		odd    bool // again and again it is config
	}{
		"Cloudflare": {403, "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>",
			[]string{"Something in front of WHMCS answers instead of its API.", `HTTP 403 to WhmcsDetails, a page that is not its API, titled "Attention Required! | Cloudflare".`}, true},
		"a login page with 401":     {401, "<html><title>401 Authorization Required</title>", []string{"HTTP 401", "401 Authorization Required"}, true},
		"mod_security":              {406, "<html><head><title>Not Acceptable!</title></head></html>", []string{"HTTP 406", "Not Acceptable!"}, true},
		"the license page":          {200, "<html><head><title>License Invalid</title></head></html>", []string{"HTTP 200", "License Invalid"}, true},
		"a page without a title":    {200, "<html><p>hello", []string{"HTTP 200", "a page that is not its API."}, true},
		"no page at all":            {200, "maintenance", []string{"HTTP 200", "a body that is not its API's JSON"}, true},
		"a banned address":          {403, `{"result":"error","message":"Your IP has been banned"}`, []string{"WHMCS, or something in front of it, refuses the bridge.", "HTTP 403 to WhmcsDetails: Your IP has been banned."}, true},
		"an unknown text under 200": {200, `{"result":"error","message":"License Invalid"}`, []string{"WHMCS answered, and not with a result.", "License Invalid."}, false},
		"a gateway's fault":         {502, "<html><title>502 Bad Gateway</title>", []string{"HTTP 502", "502 Bad Gateway"}, false},
		"a maintenance page":        {503, "<html><title>Back soon</title>", []string{"HTTP 503", "Back soon"}, false},
		"an empty body":             {200, "", []string{"HTTP 200 to WhmcsDetails, an empty body."}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = fmt.Fprint(w, c.body)
			})
			for try := 1; try <= 4; try++ {
				err := client.Probe(t.Context())
				want := fault.WHMCSUnavailable
				if c.odd && try >= 3 {
					want = fault.WHMCSMisconfigured
				}
				if fault.CodeOf(err) != want {
					t.Errorf("try %d: %v, want %s", try, err, want)
				}
				for _, words := range c.says {
					if !strings.Contains(fault.TextOf(err), words) {
						t.Errorf("shows %q, want %q", fault.TextOf(err), words)
					}
				}
				if strings.Contains(fault.TextOf(err), "does not answer") {
					t.Errorf("an answer came, the text says %q", fault.TextOf(err))
				}
			}
		})
	}
}

// A firewall may let every read through and stop AddOrder alone: the outcome
// stays unknown, and the second time in a row the code says whose fault it is.
func TestAFirewallThatStopsAddOrderAloneIsSeen(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("action") == "AddOrder" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, "<html><title>Imunify360</title>")
			return
		}
		_, _ = fmt.Fprint(w, `{"result":"success","whmcs":{"version":"8.13.0"}}`)
	})
	for _, want := range []string{"unsure whmcs_unavailable", "unsure whmcs_misconfigured", "unsure whmcs_misconfigured"} {
		if err := client.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := client.Add(t.Context(), gate(), orderID(t, 1), plan())
		if outcome(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if text := fault.TextOf(err); !strings.Contains(text, `HTTP 403 to AddOrder, a page that is not its API, titled "Imunify360"`) || strings.Contains(text, "lost") {
			t.Errorf("shows %q", text)
		}
	}
}
