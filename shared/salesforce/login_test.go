package salesforce_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce"
)

// script answers calls from a list and remembers them.
type script struct {
	answers []string // status, blank, body; the last one repeats
	seen    []*http.Request
	bodies  []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	s.seen, s.bodies = append(s.seen, r), append(s.bodies, body)
	a := s.answers[min(len(s.seen), len(s.answers))-1]
	var status int
	if _, err := fmt.Sscan(a, &status); err != nil {
		return nil, err
	}
	_, text, _ := strings.Cut(a, " ")
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func scripted(t *testing.T, login string, cred salesforce.Credentials, answers ...string) (*salesforce.Client, *script) {
	t.Helper()
	s := &script{answers: answers}
	c, err := salesforce.New(salesforce.Deps{
		HTTP:        &http.Client{Transport: s},
		Credentials: func(context.Context) (salesforce.Credentials, error) { return cred, nil },
		Now:         time.Now, Log: slog.New(slog.DiscardHandler),
	}, salesforce.Config{LoginURL: login, APIVersion: "67.0"})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func tokenFor(instance string) string {
	return `200 {"access_token":"00D!x","instance_url":"` + instance + `","id":"https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001Sv6AAAS"}`
}

const none = `200 {"totalSize":0,"done":true,"records":[]}`

func TestTheAudienceIsThatOfTheLoginHost(t *testing.T) {
	key := rsaKey(t)
	for login, want := range map[string]string{
		"https://login.salesforce.com":                  "https://login.salesforce.com",
		"https://test.salesforce.com":                   "https://test.salesforce.com",
		"https://acme.my.salesforce.com":                "https://login.salesforce.com",
		"https://acme--uat.sandbox.my.salesforce.com":   "https://test.salesforce.com",
		"https://data-7.scratch.my.salesforce.com":      "https://test.salesforce.com",
		"https://acme-dev-ed.develop.my.salesforce.com": "https://login.salesforce.com",
		"http://127.0.0.1:8082":                         "http://127.0.0.1:8082",
	} {
		c, s := scripted(t, login, salesforce.Credentials{ClientID: "app", Username: "u", PrivateKey: key}, tokenFor(login), none)
		if _, err := c.Shows(t.Context(), []order.ID{id(1)}); err != nil {
			t.Fatalf("%s: %v", login, err)
		}
		form, err := url.ParseQuery(s.bodies[0])
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(form.Get("assertion"), claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, jwt.WithValidMethods([]string{"RS256"})); err != nil {
			t.Fatal(err)
		}
		exp, _ := claims.GetExpirationTime()
		if claims["aud"] != want || claims["iss"] != "app" || claims["sub"] != "u" || time.Until(exp.Time) > 3*time.Minute {
			t.Errorf("%s: claims %v, want aud %s", login, claims, want)
		}
	}
}

func TestTheTokenGoesOnlyToASaneInstance(t *testing.T) {
	cred := salesforce.Credentials{ClientID: "app", ClientSecret: "s"}
	for _, c := range []struct {
		login, instance, want string
	}{
		{"https://acme.my.salesforce.com", "https://acme.my.salesforce.com", "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com", "https://acme.my.salesforce.com/some/path?x=1", "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com", "https://um5.salesforce.com", "https://um5.salesforce.com"},
		{"https://acme.my.salesforce.com", "https://evil.example", ""},
		{"https://acme.my.salesforce.com", "https://evilsalesforce.com", ""},
		{"https://acme.my.salesforce.com", "https://salesforce.com.evil.example", ""},
		{"https://proxy.acme.example", "https://proxy.acme.example", "https://proxy.acme.example"},
		{"https://proxy.acme.example", "https://acme.my.salesforce.com", "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com", "http://acme.my.salesforce.com", ""},
		{"https://acme.my.salesforce.com", "http://127.0.0.1:80", ""},
		{"https://acme.my.salesforce.com", "https://user@acme.my.salesforce.com", ""},
		{"https://acme.my.salesforce.com", "", ""},
		{"https://acme.my.salesforce.com", "acme", ""},
		{"http://127.0.0.1:8082", "http://localhost:8082", "http://localhost:8082"},
		{"http://172.17.0.1:8082", "http://172.17.0.1:8082", "http://172.17.0.1:8082"},
		{"http://127.0.0.1:8082", "http://10.0.0.1:8082", ""},
	} {
		client, s := scripted(t, c.login, cred, tokenFor(c.instance), none)
		_, err := client.Shows(t.Context(), []order.ID{id(1)})
		if c.want == "" {
			if fault.CodeOf(err) != fault.SalesforceCredentials || len(s.seen) != 1 {
				t.Errorf("%s at %s: %v after %d calls", c.instance, c.login, err, len(s.seen))
			}
			continue
		}
		if err != nil || len(s.seen) != 2 || s.seen[1].URL.Scheme+"://"+s.seen[1].URL.Host != c.want || s.seen[1].Header.Get("Authorization") != "Bearer 00D!x" {
			t.Errorf("%s at %s: %v, %v", c.instance, c.login, err, s.seen)
		}
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	ok := tokenFor("https://acme.my.salesforce.com")
	for name, c := range map[string]struct {
		answers []string
		want    fault.Code
	}{
		"redirect of the login":      {[]string{"302 "}, fault.SalesforceMisconfigured},
		"HTML with 200":              {[]string{ok, "200 <html>"}, fault.SalesforceUnavailable},
		"too large":                  {[]string{ok, "200 [" + strings.Repeat(" ", 5<<20)}, fault.SalesforceUnavailable},
		"cut JSON":                   {[]string{ok, `200 {"records":[`}, fault.SalesforceUnavailable},
		"lock with status 500":       {[]string{ok, `500 [{"errorCode":"UNABLE_TO_LOCK_ROW","message":"x"}]`}, fault.SalesforceRowLocked},
		"limit with status 403":      {[]string{ok, `403 [{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"x"}]`}, fault.SalesforceLimit},
		"field with status 400":      {[]string{ok, `400 [{"errorCode":"INVALID_FIELD","message":"x"}]`}, fault.SalesforcePermission},
		"API off with status 403":    {[]string{ok, `403 [{"errorCode":"API_DISABLED_FOR_ORG","message":"x"}]`}, fault.SalesforcePermission},
		"wrong path":                 {[]string{ok, `404 [{"errorCode":"NOT_FOUND","message":"x"}]`}, fault.SalesforceMisconfigured},
		"a code that is new":         {[]string{ok, `400 [{"errorCode":"NEVER_SEEN","message":"x"}]`}, fault.SalesforceUnavailable},
		"a row's code for a call":    {[]string{ok, `400 [{"errorCode":"MALFORMED_ID","message":"x"}]`}, fault.SalesforceUnavailable},
		"error object":               {[]string{ok, `400 {"errorCode":"SERVER_UNAVAILABLE","message":"x"}`}, fault.SalesforceUnavailable},
		"error without a code":       {[]string{ok, `500 []`}, fault.SalesforceUnavailable},
		"session with status 403":    {[]string{ok, `403 [{"errorCode":"INVALID_SESSION_ID","message":"x"}]`, ok, none}, ""},
		"login HTML":                 {[]string{`503 <html>`}, fault.SalesforceUnavailable},
		"login without a token":      {[]string{`200 {}`}, fault.SalesforceUnavailable},
		"login invalid_client":       {[]string{`401 {"error":"invalid_client","error_description":"x"}`}, fault.SalesforceCredentials},
		"login invalid_grant":        {[]string{`400 {"error":"invalid_grant","error_description":"x"}`}, fault.SalesforceCredentials},
		"login new error":            {[]string{`400 {"error":"never_seen"}`}, fault.SalesforceCredentials},
		"login 500 without an error": {[]string{`500 {}`}, fault.SalesforceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			client, s := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, c.answers...)
			_, err := client.Shows(t.Context(), []order.ID{id(1)})
			wantCode(t, err, c.want)
			if len(s.seen) > 4 {
				t.Errorf("%d calls", len(s.seen))
			}
		})
	}
}

func TestRowsOfAnUpdate(t *testing.T) {
	row := func(errors string) string { return `{"success":false,"errors":[` + errors + `]}` }
	composite := func(status int, body string) string {
		return fmt.Sprintf(`200 {"compositeResponse":[{"referenceId":"rows0","httpStatusCode":%d,"body":%s}]}`, status, body)
	}
	stale := `{"statusCode":"FIELD_CUSTOM_VALIDATION_EXCEPTION","message":"neuer [OB-STALE]","fields":["Provisioning_Seq__c"]}`
	refused := `{"statusCode":"STRING_TOO_LONG","message":"Name: data value too large","fields":["X"]}`
	for name, c := range map[string]struct {
		answer string
		want   fault.Code
		says   string
	}{
		"saved":                       {composite(200, `[{"id":"x","success":true,"errors":[]}]`), "", ""},
		"stale":                       {composite(200, `[`+row(stale)+`]`), fault.SalesforceStale, ""},
		"stale beside another":        {composite(200, `[`+row(refused+","+stale)+`]`), fault.SalesforceStale, ""},
		"the token on another field":  {composite(200, `[`+row(strings.Replace(stale, "Provisioning_Seq__c", "Status", 1))+`]`), fault.SalesforceRowRefused, ""},
		"another rule on the field":   {composite(200, `[`+row(strings.Replace(stale, "[OB-STALE]", "", 1))+`]`), fault.SalesforceRowRefused, ""},
		"refused":                     {composite(200, `[`+row(refused)+`]`), fault.SalesforceRowRefused, "STRING_TOO_LONG"},
		"a row code that is new":      {composite(200, `[`+row(`{"statusCode":"NEVER_SEEN","message":"m"}`)+`]`), fault.SalesforceRowUnclear, "NEVER_SEEN"},
		"locked inside a flow":        {composite(200, `[`+row(`{"statusCode":"CANNOT_EXECUTE_FLOW_TRIGGER","message":"We can't save this record. UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record"}`)+`]`), fault.SalesforceRowLocked, ""},
		"locked, in people's words":   {composite(200, `[`+row(`{"statusCode":"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY","message":"Record Currently Unavailable: it is currently being modified by another user"}`)+`]`), fault.SalesforceRowLocked, ""},
		"locked inside a rule":        {composite(200, `[`+row(`{"statusCode":"FIELD_CUSTOM_VALIDATION_EXCEPTION","message":"UNABLE_TO_LOCK_ROW"}`)+`]`), fault.SalesforceRowLocked, ""},
		"a package ran out":           {composite(200, `[`+row(`{"statusCode":"CANNOT_EXECUTE_FLOW_TRIGGER","message":"SBQQ:Too many SOQL queries: 101"}`)+`]`), fault.SalesforceLimit, ""},
		"a flow ran out":              {composite(200, `[`+row(`{"statusCode":"CANNOT_EXECUTE_FLOW_TRIGGER","message":"System.LimitException: Too many SOQL queries: 101"}`)+`]`), fault.SalesforceLimit, ""},
		"a flow failed":               {composite(200, `[`+row(`{"statusCode":"CANNOT_EXECUTE_FLOW_TRIGGER","message":"The flow failed"}`)+`]`), fault.SalesforceRowUnclear, "The flow failed"},
		"locked":                      {composite(200, `[`+row(`{"statusCode":"UNABLE_TO_LOCK_ROW","message":"m"}`)+`]`), fault.SalesforceRowLocked, ""},
		"locked inside a trigger":     {composite(200, `[`+row(`{"statusCode":"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY","message":"T: UNABLE_TO_LOCK_ROW, m"}`)+`]`), fault.SalesforceRowLocked, ""},
		"trigger failed":              {composite(200, `[`+row(`{"statusCode":"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY","message":"T: System.NullPointerException"}`)+`]`), fault.SalesforceRowRefused, "NullPointer"},
		"trigger ran out":             {composite(200, `[`+row(`{"statusCode":"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY","message":"T: System.LimitException: CPU"}`)+`]`), fault.SalesforceLimit, ""},
		"permission":                  {composite(200, `[`+row(`{"statusCode":"INSUFFICIENT_ACCESS_OR_READONLY","message":"m"}`)+`]`), fault.SalesforcePermission, ""},
		"refused without a reason":    {composite(200, `[{"success":false,"errors":[]}]`), fault.SalesforceUnavailable, ""},
		"a row too few":               {composite(200, `[]`), fault.SalesforceUnavailable, ""},
		"collection hides a field":    {composite(400, `[{"errorCode":"INVALID_FIELD","message":"No such column 'X'"}]`), fault.SalesforcePermission, ""},
		"collection spoilt by a row":  {composite(400, `[{"errorCode":"MALFORMED_ID","message":"m"}]`), fault.SalesforceLimit, ""},
		"collection failed":           {composite(500, `[{"errorCode":"UNKNOWN_EXCEPTION","message":"m"}]`), fault.SalesforceUnavailable, ""},
		"collection answered nothing": {composite(200, `null`), fault.SalesforceUnavailable, ""},
		"no answer for the part":      {`200 {"compositeResponse":[]}`, fault.SalesforceUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, tokenFor("https://acme.my.salesforce.com"), c.answer)
			errs, err := client.Update(t.Context(), []order.Shown{{ID: id(1), Seq: 1}})
			if err != nil || len(errs) != 1 {
				t.Fatalf("%v, %v", errs, err)
			}
			wantCode(t, errs[0], c.want)
			if c.says != "" && !strings.Contains(fault.TextOf(errs[0]), c.says) {
				t.Errorf("says %q, not %q", fault.TextOf(errs[0]), c.says)
			}
			if c.says != "" && strings.Count(errs[0].Error(), c.says) != 1 {
				t.Errorf("the log says it more than once: %v", errs[0])
			}
		})
	}
}

func TestUpdateHasItsLimits(t *testing.T) {
	client, s := scripted(t, "https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "app", ClientSecret: "s"}, tokenFor("https://acme.my.salesforce.com"))
	if errs, err := client.Update(t.Context(), nil); err != nil || errs != nil {
		t.Errorf("no rows: %v, %v", errs, err)
	}
	if _, err := client.Update(t.Context(), make([]order.Shown, salesforce.MaxRows+1)); err == nil {
		t.Error("too many rows were sent")
	}
	if len(s.seen) != 0 {
		t.Errorf("%d calls", len(s.seen))
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := salesforce.Config{LoginURL: "https://acme.my.salesforce.com", APIVersion: "67.0"}
	deps := salesforce.Deps{HTTP: http.DefaultClient, Credentials: func(context.Context) (salesforce.Credentials, error) { return salesforce.Credentials{}, nil }, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if _, err := salesforce.New(deps, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*salesforce.Config){
		"login URL":      func(c *salesforce.Config) { c.LoginURL = "acme" },
		"API version":    func(c *salesforce.Config) { c.APIVersion = "v67" },
		"optional field": func(c *salesforce.Config) { c.Optional.PromoCode = "Promo__c FROM Account" },
	} {
		bad := good
		change(&bad)
		if _, err := salesforce.New(deps, bad); fault.CodeOf(err) != fault.ConfigurationInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	deps.Now = nil
	if _, err := salesforce.New(deps, good); err == nil {
		t.Error("no clock, and yet a client")
	}
}
