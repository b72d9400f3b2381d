package salesforce_test

import (
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce"
)

// A session that the org does not take any more is thrown away, whatever the
// org's way of saying so: one login more, and the call goes to the instance
// that the new token names.
func TestASessionThatIsOfNoUseIsThrownAway(t *testing.T) {
	first, second := tokenFor("https://acme.my.salesforce.com"), tokenFor("https://acme2.my.salesforce.com")
	for name, over := range map[string]string{
		"INVALID_SESSION_ID":        `401 [{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`,
		"401 with an empty body":    `401 `,
		"401 with a page":           `401 <html><title>Login</title></html>`,
		"401 with XML":              `401 <?xml version="1.0"?><Errors/>`,
		"401 with another code":     `401 [{"errorCode":"NEVER_SEEN","message":"x"}]`,
		"301":                       `301 `,
		"302":                       `302 `,
		"307":                       `307 `,
		"403 Bad_OAuth_Token":       `403 Bad_OAuth_Token`,
		"401 Bad_OAuth_Token":       `401 Bad_OAuth_Token`,
		"404 Destination URL":       `404 URL No Longer Exists: Destination URL not reset. The URL returned from login must be set in the SforceService`,
		"500 Destination URL, SOAP": `500 <soap>Destination URL not reset</soap>`,
		"403 INVALID_SESSION_ID":    `403 [{"errorCode":"INVALID_SESSION_ID","message":"x"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			client, s := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, first, over, second, none)
			if _, err := client.Shows(t.Context(), []order.ID{id(1)}); err != nil {
				t.Fatal(err)
			}
			if len(s.seen) != 4 || s.seen[3].URL.Host != "acme2.my.salesforce.com" {
				t.Errorf("%d calls, the last to %s", len(s.seen), s.seen[len(s.seen)-1].URL.Host)
			}
		})
	}
	t.Run("the new instance of another org is refused", func(t *testing.T) {
		foreign := strings.Replace(second, "00Dxx0000001gPLEAY", "00Dyy0000009gPLEAY", 1)
		client, _ := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, first, `301 `, foreign)
		_, err := client.Shows(t.Context(), []order.ID{id(1)})
		wantCode(t, err, fault.SalesforceCredentials)
		if !strings.Contains(fault.TextOf(err), "00Dyy0000009gPLEAY") {
			t.Errorf("shows %q", fault.TextOf(err))
		}
	})
}

// An outage in which no login is answered keeps no login from the time after it.
func TestAnOutageUsesUpNoLogins(t *testing.T) {
	answers := slices.Repeat([]string{`503 down`}, 20)
	client, _ := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, append(answers, tokenFor("https://acme.my.salesforce.com"), none)...)
	for range answers {
		_, err := client.Shows(t.Context(), []order.ID{id(1)})
		wantCode(t, err, fault.SalesforceUnavailable)
	}
	if _, err := client.Shows(t.Context(), []order.ID{id(1)}); err != nil {
		t.Error(err)
	}
}

// Each error says what was seen, with the HTTP status and the org's words, and
// advises what helps against it.
func TestWhatWasSeenOfSalesforceIsSaid(t *testing.T) {
	ok := tokenFor("https://acme.my.salesforce.com")
	for name, c := range map[string]struct {
		answers []string
		code    fault.Code
		says    []string
	}{
		"a missing column": {[]string{ok, `400 [{"errorCode":"INVALID_FIELD","message":"\nSELECT Id, Account.WHMCS_Client_ID__c FROM Order\n           ^\nERROR at Row:1:Column:12\nNo such column 'WHMCS_Client_ID__c' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c'."}]`},
			fault.SalesforcePermission, []string{"no such field", "HTTP 400 INVALID_FIELD: No such column 'WHMCS_Client_ID__c' on entity 'Account'."}},
		"a wrong API version": {[]string{ok, `404 [{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`},
			fault.SalesforceMisconfigured, []string{"HTTP 404 NOT_FOUND", "check SF_API_VERSION"}},
		"a retired API version": {[]string{ok, `410 [{"errorCode":"UNSUPPORTED_API_VERSION","message":"Invalid Api version specified on URL"}]`},
			fault.SalesforceMisconfigured, []string{"has retired the API version", "HTTP 410", "raise SF_API_VERSION"}},
		"gone, with another code": {[]string{ok, `410 [{"errorCode":"GONE","message":"x"}]`}, fault.SalesforceMisconfigured, []string{"HTTP 410 GONE", "raise SF_API_VERSION"}},
		"a query it cannot read":  {[]string{ok, `400 [{"errorCode":"MALFORMED_QUERY","message":"unexpected token: 'x'"}]`}, fault.SalesforceMisconfigured, []string{"HTTP 400 MALFORMED_QUERY: unexpected token"}},
		"a renamed My Domain":     {[]string{`302 `}, fault.SalesforceMisconfigured, []string{"renamed", "set SF_LOGIN_URL to https://elsewhere.example"}},
		"no user to run as":       {[]string{`400 {"error":"invalid_grant","error_description":"no client credentials user enabled"}`}, fault.SalesforceCredentials, []string{"has no user to run as", "HTTP 400 invalid_grant: no client credentials user enabled", "set the run-as user"}},
		"another domain":          {[]string{`400 {"error":"invalid_grant","error_description":"request not supported on this domain"}`}, fault.SalesforceCredentials, []string{"set SF_LOGIN_URL to the org's My Domain"}},
		"a consumer not approved": {[]string{`400 {"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`}, fault.SalesforceCredentials, []string{"pre-authorize the app"}},
		"a restricted address":    {[]string{`400 {"error":"invalid_grant","error_description":"ip restricted"}`}, fault.SalesforceCredentials, []string{"outside the IP ranges", "allow it"}},
		"the login rate":          {[]string{`400 {"error":"invalid_grant","error_description":"login rate exceeded"}`}, fault.SalesforceLimit, []string{"no more logins for the moment", "Wait"}},
		"a blocked app":           {[]string{`400 {"error":"OAUTH_APP_BLOCKED","error_description":"this app is blocked by admin"}`}, fault.SalesforceCredentials, []string{"HTTP 400 OAUTH_APP_BLOCKED: this app is blocked by admin"}},
		"a deleted app":           {[]string{`400 {"error":"OAUTH_EC_APP_NOT_FOUND","error_description":"external client app is not installed in this org"}`}, fault.SalesforceCredentials, []string{"OAUTH_EC_APP_NOT_FOUND"}},
		"a server's fault":        {[]string{`500 {"error":"server_error","error_description":"x"}`}, fault.SalesforceUnavailable, []string{"HTTP 500 server_error"}},
		"a page":                  {[]string{ok, `503 <html><title>Down for maintenance</title></html>`}, fault.SalesforceUnavailable, []string{"Salesforce answered, and not with a result.", `HTTP 503 with a page, not JSON, titled "Down for maintenance"`}},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, c.answers...)
			_, err := client.Shows(t.Context(), []order.ID{id(1)})
			wantCode(t, err, c.code)
			for _, words := range c.says {
				if !strings.Contains(fault.TextOf(err), words) {
					t.Errorf("shows %q, want %q", fault.TextOf(err), words)
				}
			}
			if strings.Contains(fault.TextOf(err), "does not answer") {
				t.Errorf("an answer came: %q", fault.TextOf(err))
			}
		})
	}
}

// A page in place of the API, again and again, is a fault of the installation.
func TestPagesInARowAreAConfigFault(t *testing.T) {
	client, _ := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"},
		tokenFor("https://acme.my.salesforce.com"), `403 <html><title>Blocked by proxy</title></html>`)
	for try := 1; try <= 4; try++ {
		_, err := client.Shows(t.Context(), []order.ID{id(1)})
		want := fault.SalesforceUnavailable
		if try >= 3 {
			want = fault.SalesforceMisconfigured
		}
		wantCode(t, err, want)
		if !strings.Contains(fault.TextOf(err), `HTTP 403 with a page, not JSON, titled "Blocked by proxy"`) {
			t.Errorf("shows %q", fault.TextOf(err))
		}
	}
}
