package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/config"
	"orderbridge/shared/fault"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{
		"TABLE_NAME": "Orders", "WEBHOOK_SECRET_ID": "w", "WHMCS_SECRET_ID": "h", "SALESFORCE_SECRET_ID": "s",
		"CHECKED_VERSIONS": "arn:aws:lambda:eu-central-1:1:function:f:1",
		"WORK_QUEUE_URL":   "http://127.0.0.1:8000/q", "STATUSPUSH_DEAD_LETTER_URL": "http://127.0.0.1:8000/d",
		"WHMCS_API_URL": "https://billing.example.com/whmcs/includes/api.php", "SF_LOGIN_URL": "https://acme.my.salesforce.com/",
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func load(getenv func(string) string) map[string]error {
	_, f := config.LoadFulfill(getenv)
	_, s := config.LoadStatus(getenv)
	_, u := config.LoadStatusPush(getenv)
	_, p := config.LoadProvision(getenv)
	_, d := config.LoadDeployCheck(getenv)
	return map[string]error{"fulfill": f, "status": s, "statuspush": u, "provision": p, "deploycheck": d}
}

// Each setting that is a time is read in the unit that its documentation names.
func TestTimesAreReadInTheirUnits(t *testing.T) {
	f, err := config.LoadFulfill(env())
	if err != nil {
		t.Fatal(err)
	}
	p, err := config.LoadProvision(env())
	if err != nil {
		t.Fatal(err)
	}
	w, err := config.LoadFulfill(env("FULFILL_WAIT", "20"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want time.Duration }{
		"WEBHOOK_TIMESTAMP_TOLERANCE": {f.Webhook.Tolerance, 5 * time.Minute},
		"WEBHOOK_ROTATION_OVERLAP":    {f.RotationOverlap, 24 * time.Hour},
		"FULFILL_WAIT":                {w.Wait, 20 * time.Second},
		"WHMCS_READ_TIMEOUT":          {p.WHMCS.ReadTimeout, 30 * time.Second},
		"WHMCS_ADD_TIMEOUT":           {p.WHMCS.AddTimeout, time.Minute},
		"WHMCS_ACCEPT_TIMEOUT":        {p.WHMCS.AcceptTimeout, 2 * time.Minute},
		"PROVISION_LEASE":             {p.Engine.Lease, 150 * time.Second},
		"SEND_WINDOW":                 {p.Engine.Window, 15 * time.Second},
		"CLOCK_MARGIN":                {p.Engine.Margin, 5 * time.Second},
		"WHMCS_SETTLE":                {p.Engine.Settle, 5 * time.Minute},
		"WHMCS_ACCEPT_SETTLE":         {p.Engine.AcceptSettle, 15 * time.Minute},
		"ORDER_RETENTION_DAYS":        {p.Engine.Retention, 400 * 24 * time.Hour},
		"RETRY_BASE":                  {p.Engine.RetryBase, time.Minute},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", name, c.got, c.want)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	for name, err := range load(env()) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := config.LoadProvision(env())
	if err != nil {
		t.Fatal(err)
	}
	if p.WHMCS.BaseURL != "https://billing.example.com/whmcs" || p.Engine.Settle != 300*time.Second || p.Engine.Lease != 150*time.Second || p.Engine.Retention != 400*24*time.Hour {
		t.Errorf("got %+v", p)
	}
	if p.Salesforce.LoginURL != "https://acme.my.salesforce.com" {
		t.Errorf("login URL %q", p.Salesforce.LoginURL)
	}
}

func TestBadValueIsNamedInOneLine(t *testing.T) {
	for _, c := range []struct{ function, name, value string }{
		{"fulfill", "TABLE_NAME", ""},
		{"fulfill", "WEBHOOK_SECRET_ID", ""},
		{"fulfill", "WEBHOOK_TIMESTAMP_TOLERANCE", "5m"},
		{"fulfill", "WEBHOOK_TIMESTAMP_TOLERANCE", "0"},
		{"fulfill", "WEBHOOK_TIMESTAMP_TOLERANCE", "99999999999999999999"},
		{"fulfill", "WEBHOOK_ROTATION_OVERLAP", "-1"},
		{"fulfill", "SF_WEBHOOK_IP_ALLOWLIST", "13.108.0.0/14,nonsense"},
		{"fulfill", "SF_WEBHOOK_IP_ALLOWLIST", "13.108.0.1/14"},
		{"fulfill", "SF_ORG_ID", "001000000000001"},
		{"fulfill", "FULFILL_WAIT", "26"},
		{"fulfill", "LOG_LEVEL", "loud\nlouder"},
		{"status", "TABLE_NAME", ""},
		{"deploycheck", "CHECKED_VERSIONS", ""},
		{"deploycheck", "CHECKED_VERSIONS", "arn:aws:lambda:x:1:function:f:1,f:2"},
		{"statuspush", "SF_LOGIN_URL", "http://acme.my.salesforce.com"},
		{"statuspush", "SF_LOGIN_URL", "acme.my.salesforce.com"},
		{"statuspush", "STATUSPUSH_DEAD_LETTER_URL", ""},
		{"provision", "WHMCS_API_URL", "https://user:pass@billing.example.com"},
		{"provision", "WHMCS_API_URL", "https://billing.example.com/?accesskey=1"},
		{"provision", "WHMCS_MARKER", "0"},
		{"provision", "WHMCS_MARKER", "5,"},
		{"provision", "WHMCS_MARKER", "5,5"},
		{"provision", "WHMCS_MARKER", "notes,5"},
		{"provision", "WHMCS_RESEND", "always"},
		{"provision", "REQUIRE_PAY_METHOD", "yes"},
		{"provision", "WHMCS_SETTLE", "0"},
		{"provision", "WHMCS_SETTLE", "59"},         // < WHMCS_ADD_TIMEOUT
		{"provision", "WHMCS_ACCEPT_SETTLE", "119"}, // < WHMCS_ACCEPT_TIMEOUT
		{"provision", "CLOCK_MARGIN", "1"},          // < the skew that A1 allows
		{"provision", "ORDER_RETENTION_DAYS", "89"},
		{"provision", "PROVISION_LEASE", "100"},
		{"provision", "PROVISION_CONCURRENCY", "1"},
		{"provision", "WHMCS_IDEMPOTENT_PRODUCTS", "1,x"},
		{"provision", "SF_OPTIONAL_FIELDS", "colour=Colour__c"},
		{"provision", "SF_OPTIONAL_FIELDS", "domain"},
		{"provision", "SF_OPTIONAL_FIELDS", "domain=Domain__c,domain=Other__c"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			err := load(env(c.name, c.value))[c.function]
			if !errors.Is(err, fault.New(fault.ConfigurationInvalid, "")) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.name) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line that names %s: %q", c.name, err)
			}
		})
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	err := load(func(string) string { return "" })["provision"]
	for _, name := range []string{"TABLE_NAME", "WORK_QUEUE_URL", "WHMCS_SECRET_ID", "SALESFORCE_SECRET_ID", "WHMCS_API_URL", "SF_LOGIN_URL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %q", name, err)
		}
	}
}

func TestPlainHTTPIsForSimulators(t *testing.T) {
	for value, ok := range map[string]bool{
		"http://127.0.0.1:8081": true, "http://localhost:8081": true, "http://[::1]:8081": true,
		"http://10.0.0.1": false, "http://billing.example.com": false, "http://127.0.0.1.example.com": false,
	} {
		if err := load(env("WHMCS_API_URL", value))["provision"]; (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
	}
	if err := load(env("WHMCS_API_URL", "http://172.17.0.1:8081", "AWS_SAM_LOCAL", "true"))["provision"]; err != nil {
		t.Errorf("inside a container of SAM: %v", err)
	}
}

func TestAllowlistTakesAddressesAndBothFamilies(t *testing.T) {
	c, err := config.LoadFulfill(env("SF_WEBHOOK_IP_ALLOWLIST", "13.108.0.0/14, 204.14.232.7 ,2001:db8::/32"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Webhook.Allowlist) != 3 || c.Webhook.Allowlist[1].Bits() != 32 || !c.Webhook.Allowlist[2].Addr().Is6() {
		t.Errorf("got %v", c.Webhook.Allowlist)
	}
}

// A custom field of WHMCS belongs to one product.
func TestTheMarkerMayBeInTheFieldsOfSeveralProducts(t *testing.T) {
	for _, marker := range []string{"notes", "5", "5,6", "1234567890,7"} {
		c, err := config.LoadProvision(env("WHMCS_MARKER", marker))
		if err != nil || c.WHMCS.Marker != marker {
			t.Errorf("%q: got %q, %v", marker, c.WHMCS.Marker, err)
		}
	}
}

func TestOptionalFieldsAreNamedByTheInstallation(t *testing.T) {
	c, err := config.LoadProvision(env("SF_OPTIONAL_FIELDS", "promoCode=Promo_Code__c, domain=Domain__c"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.Optional{PromoCode: "Promo_Code__c", Domain: "Domain__c"}); c.Optional != want {
		t.Errorf("got %+v", c.Optional)
	}
}
