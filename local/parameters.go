package main

import (
	"strconv"
	"strings"

	"orderbridge/local/samtemplate"
)

const (
	account     = "000000000000"
	stack       = "orderbridge"
	accessKey   = "local"
	secretKey   = "local"
	audience    = "orderbridge"
	issuerPath  = "/_local/issuer"
	defaultZone = "us-east-1"
)

// addresses are the base URLs of everything that listens.
type addresses struct{ api, whmcs, salesforce, aws string }

// parameters are the values that the template gets on one machine. Those that
// are used outside a function's environment can be set by the variable named.
func parameters(at addresses, lookup func(string) (string, bool)) map[string]string {
	all := map[string]string{
		"WhmcsApiUrl":          at.whmcs,
		"SfLoginUrl":           at.salesforce,
		"PortalIssuer":         at.api + issuerPath,
		"PortalAudience":       audience,
		"PortalAllowedOrigins": at.api + "," + strings.Replace(at.api, "127.0.0.1", "localhost", 1),
	}
	for name, variable := range map[string]string{
		"PortalIssuer":             "PORTAL_ISSUER", // empty = the portal route takes SigV4
		"PortalAudience":           "PORTAL_AUDIENCE",
		"PortalScopes":             "PORTAL_SCOPES",
		"PortalAllowedOrigins":     "PORTAL_ALLOWED_ORIGINS",
		"SecurityAlertWebhook":     "SECURITY_ALERT_WEBHOOK", // empty = none
		"SecurityAlertHeader":      "SECURITY_ALERT_HEADER",
		"SecurityAlertHeaderValue": "SECURITY_ALERT_HEADER_VALUE",
	} {
		if v, ok := lookup(variable); ok {
			all[name] = v
		}
	}
	for name, variable := range map[string]string{
		"CalloutRateLimit": "CALLOUT_RATE_LIMIT", "CalloutBurstLimit": "CALLOUT_BURST_LIMIT",
		"PortalRateLimit": "PORTAL_RATE_LIMIT", "PortalBurstLimit": "PORTAL_BURST_LIMIT",
	} {
		if v, ok := lookup(variable); ok && v != "" {
			all[name] = v
		}
	}
	for name, variable := range map[string]string{"ProvisionConcurrency": "PROVISION_CONCURRENCY", "ReservedConcurrency": "RESERVED_CONCURRENCY"} {
		v, ok := lookup(variable)
		// A bad value is the function's to refuse: it names the variable.
		if n, err := strconv.Atoi(v); ok && err == nil && n >= 0 && n <= 1000 && (n >= 2 || name != "ProvisionConcurrency") {
			all[name] = v
		}
	}
	return all
}

// environment is what a function sees of its own variables: the template's,
// each replaced by the variable of that name that the host was started with,
// how often the clock ticks here, and where AWS is on this machine.
func environment(f samtemplate.Function, at addresses, set settings) map[string]string {
	env := map[string]string{}
	for name, v := range f.Environment {
		if own, ok := set.lookup(name); ok {
			v = own
		}
		if name == "CLOCK_EVERY" {
			v = strconv.FormatInt(set.tick.Milliseconds(), 10)
		}
		env[name] = v
	}
	env["AWS_ENDPOINT_URL"] = at.aws
	if set.dynamoEndpoint != "" {
		env["AWS_ENDPOINT_URL_DYNAMODB"] = set.dynamoEndpoint
	}
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = accessKey, secretKey
	return env
}
