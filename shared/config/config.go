// Package config reads the environment of each function into one small struct.
//
// The rule it keeps: everything is checked once, at start, and all problems
// come back in one error of one line that names each variable. It must not
// read secrets, files or the network, and holds no state.
package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
)

// Fulfill is what functions/fulfill needs.
type Fulfill struct {
	TableName       string
	WebhookSecretID string
	// RotationOverlap is how long the previous secret stays valid.
	RotationOverlap time.Duration
	Webhook         Webhook
	Wait            time.Duration // without a Prefer header
	LogLevel        slog.Level
}

// Status is what functions/status needs.
type Status struct {
	TableName      string
	AccountClaim   string
	ResourceServer string // before a scope's name; empty = none
	LogLevel       slog.Level
}

// StatusPush is what functions/statuspush needs.
type StatusPush struct {
	TableName          string
	DeadLetterURL      string
	SalesforceSecretID string
	Salesforce         Salesforce
	RetryBase          time.Duration
	LogLevel           slog.Level
}

// DeployCheck is what cmd/deploycheck needs.
type DeployCheck struct {
	Versions []string // ARNs of what is checked
	LogLevel slog.Level
}

// Provision is what functions/provision needs.
type Provision struct {
	TableName          string
	WorkQueueURL       string
	Concurrency        int           // messages in flight; the clock tops up to twice as many
	ClockEvery         time.Duration // between two ticks of the clock
	WHMCSSecretID      string
	WHMCS              WHMCS
	SalesforceSecretID string
	Salesforce         Salesforce
	Optional           Optional
	Engine             Engine
	LogLevel           slog.Level
}

// The types below hold the settings of one package each. They have the fields
// of that package's own type, so that a main converts one into the other and
// the compiler says when they differ.

// Webhook is webhook.Config.
type Webhook struct {
	Tolerance time.Duration  // half width of the timestamp window
	Allowlist []netip.Prefix // empty = off
	OrgID     string         // 15 or 18 characters; empty = off
}

// Salesforce is what both functions that talk to Salesforce need.
type Salesforce struct {
	LoginURL   string // scheme and host, no trailing slash
	APIVersion string // "67.0"
	OrgID      string // 15 or 18 characters; empty = off
}

// Optional is salesforce.Optional: the fields that this org has for what an
// order may hold besides. A field without a name is not asked for.
type Optional struct {
	PromoCode, CustomFields, ConfigOptions, Domain, Hostname string
}

// WHMCS is whmcs.Config.
type WHMCS struct {
	BaseURL                                string // without /includes/api.php and trailing slash
	Marker                                 string // "notes" or ids of product custom fields
	ReadTimeout, AddTimeout, AcceptTimeout time.Duration
	RequirePayMethod                       bool
}

// Engine is provision.Config.
type Engine struct {
	Lease, Window, Margin     time.Duration
	Settle, AcceptSettle      time.Duration
	AddTimeout, AcceptTimeout time.Duration
	RetryBase                 time.Duration
	GiveUp, VerifyFor         time.Duration // not set by the environment

	Resend        bool // send an AddOrder again whose outcome a search could not find (assumptions A3 and A6)
	PaymentMethod string
	// Idempotent lists the WHMCS product ids whose module may run twice
	// without harm.
	Idempotent []int64
	Retention  time.Duration // of provisioned orders and plain failures
}

// LoadDeployCheck reads the environment of cmd/deploycheck.
func LoadDeployCheck(getenv func(string) string) (DeployCheck, error) {
	r := reader{getenv: getenv}
	c := DeployCheck{Versions: strings.Split(r.required("CHECKED_VERSIONS"), ","), LogLevel: r.level("LOG_LEVEL")}
	for _, v := range c.Versions {
		if v != "" && !strings.HasPrefix(v, "arn:") {
			r.problem("CHECKED_VERSIONS", "must be ARNs, separated by commas, is %.60q", v)
		}
	}
	return c, r.err()
}

// LoadFulfill reads the environment of functions/fulfill.
func LoadFulfill(getenv func(string) string) (Fulfill, error) {
	r := reader{getenv: getenv}
	return Fulfill{
		TableName:       r.required("TABLE_NAME"),
		WebhookSecretID: r.required("WEBHOOK_SECRET_ID"),
		RotationOverlap: r.duration("WEBHOOK_ROTATION_OVERLAP", "24", time.Hour, 0, 24*30),
		Webhook: Webhook{
			Tolerance: r.duration("WEBHOOK_TIMESTAMP_TOLERANCE", "300000", time.Millisecond, 1000, 3_600_000),
			Allowlist: r.prefixes("SF_WEBHOOK_IP_ALLOWLIST"),
			OrgID:     r.orgID("SF_ORG_ID"),
		},
		Wait:     r.duration("FULFILL_WAIT", "0", time.Second, 0, 25),
		LogLevel: r.level("LOG_LEVEL"),
	}, r.err()
}

// LoadStatus reads the environment of functions/status.
func LoadStatus(getenv func(string) string) (Status, error) {
	r := reader{getenv: getenv}
	return Status{
		TableName:    r.required("TABLE_NAME"),
		AccountClaim: r.optional("PORTAL_ACCOUNT_CLAIM", "sf_account_id"),
		// A resource server's name may be an address, which ends without a slash.
		ResourceServer: strings.TrimSuffix(r.getenv("PORTAL_RESOURCE_SERVER"), "/"),
		LogLevel:       r.level("LOG_LEVEL"),
	}, r.err()
}

// LoadStatusPush reads the environment of functions/statuspush.
func LoadStatusPush(getenv func(string) string) (StatusPush, error) {
	r := reader{getenv: getenv}
	return StatusPush{
		TableName:          r.required("TABLE_NAME"),
		DeadLetterURL:      r.required("STATUSPUSH_DEAD_LETTER_URL"),
		SalesforceSecretID: r.required("SALESFORCE_SECRET_ID"),
		Salesforce:         r.salesforce(),
		RetryBase:          r.retryBase(),
		LogLevel:           r.level("LOG_LEVEL"),
	}, r.err()
}

// What the times of functions/provision may be, in seconds. RunTime is its
// time-out in the template: an effect starts only with its own time-out and the
// margin left, after what comes before it, so a run holds the longest effect and
// as much again for the reads.
const (
	RunTime      = 600
	longestReply = 300
	longestLease = 540
)

// LoadProvision reads the environment of functions/provision.
func LoadProvision(getenv func(string) string) (Provision, error) {
	r := reader{getenv: getenv}
	const day = 86_400
	whmcs := WHMCS{
		BaseURL:          strings.TrimSuffix(r.httpsURL("WHMCS_API_URL"), "/includes/api.php"),
		Marker:           r.matching("WHMCS_MARKER", "notes", isMarker, `"notes" or ids of product custom fields, separated by commas`),
		ReadTimeout:      r.duration("WHMCS_READ_TIMEOUT", "30", time.Second, 1, 120),
		AddTimeout:       r.duration("WHMCS_ADD_TIMEOUT", "60", time.Second, 1, longestReply),
		AcceptTimeout:    r.duration("WHMCS_ACCEPT_TIMEOUT", "120", time.Second, 1, longestReply),
		RequirePayMethod: r.oneOf("REQUIRE_PAY_METHOD", "false", "true") == "true",
	}
	c := Provision{
		TableName:          r.required("TABLE_NAME"),
		WorkQueueURL:       r.required("WORK_QUEUE_URL"),
		Concurrency:        int(r.whole("PROVISION_CONCURRENCY", "2", 2, 1000)),
		ClockEvery:         r.duration("CLOCK_EVERY", "60000", time.Millisecond, 50, 86_400_000),
		WHMCSSecretID:      r.required("WHMCS_SECRET_ID"),
		WHMCS:              whmcs,
		SalesforceSecretID: r.required("SALESFORCE_SECRET_ID"),
		Salesforce:         r.salesforce(),
		Optional:           r.optionalFields("SF_OPTIONAL_FIELDS"),
		Engine: Engine{
			Lease:         r.duration("PROVISION_LEASE", "150", time.Second, 1, longestLease),
			Window:        r.duration("SEND_WINDOW", "15", time.Second, 1, 300),
			Margin:        r.duration("CLOCK_MARGIN", "5", time.Second, leastMargin, 60),
			Settle:        r.duration("WHMCS_SETTLE", "300", time.Second, 1, day),
			AcceptSettle:  r.duration("WHMCS_ACCEPT_SETTLE", "900", time.Second, 1, day),
			AddTimeout:    whmcs.AddTimeout,
			AcceptTimeout: whmcs.AcceptTimeout,
			RetryBase:     r.retryBase(),
			Resend:        r.oneOf("WHMCS_RESEND", "auto", "ask") == "auto",
			PaymentMethod: r.matching("WHMCS_PAYMENT_METHOD", "mailin", isWord, "a WHMCS gateway name"),
			Idempotent:    r.ids("WHMCS_IDEMPOTENT_PRODUCTS"),
			Retention:     r.duration("ORDER_RETENTION_DAYS", "400", 24*time.Hour, leastRetention, 3650),
		},
		LogLevel: r.level("LOG_LEVEL"),
	}
	for _, e := range []struct {
		settle, timeout string
		has, needs      time.Duration
	}{
		{"WHMCS_SETTLE", "WHMCS_ADD_TIMEOUT", c.Engine.Settle, whmcs.AddTimeout},
		{"WHMCS_ACCEPT_SETTLE", "WHMCS_ACCEPT_TIMEOUT", c.Engine.AcceptSettle, whmcs.AcceptTimeout},
	} {
		if e.has < e.needs && len(r.problems) == 0 {
			r.problem(e.settle, "is %d s, shorter than %s (%d s): WHMCS would be taken to have ended while its answer is still waited for", int(e.has.Seconds()), e.timeout, int(e.needs.Seconds()))
		}
	}
	// No effect starts with less than its time-out and the margin left of the
	// lease, so a shorter lease would never start one.
	if need := max(whmcs.AddTimeout, whmcs.AcceptTimeout) + c.Engine.Margin; c.Engine.Lease < need && len(r.problems) == 0 {
		r.problem("PROVISION_LEASE", "is %d s, shorter than the longer of WHMCS_ADD_TIMEOUT and WHMCS_ACCEPT_TIMEOUT plus CLOCK_MARGIN (%d s)", int(c.Engine.Lease.Seconds()), int(need.Seconds()))
	}
	// The workers of the queue and the clock share what is reserved.
	if reserved := r.whole("RESERVED_CONCURRENCY", "0", 0, 1000); reserved != 0 && reserved < int64(c.Concurrency)+1 && len(r.problems) == 0 {
		r.problem("RESERVED_CONCURRENCY", "is %d, less than PROVISION_CONCURRENCY + 1 (%d): the clock needs one; 0 reserves nothing", reserved, c.Concurrency+1)
	}
	return c, r.err()
}

// leastMargin, in s, is how far two workers' clocks may differ (A1): with less,
// a lease could be taken from a worker that still acts.
const leastMargin = 2

// leastRetention, in days, keeps what became of an order for longer than people
// click again: what the table has forgotten can only be searched for in WHMCS.
const leastRetention = 90

// reader collects every problem instead of stopping at the first.
type reader struct {
	getenv   func(string) string
	problems []string
}

func (r *reader) problem(name, format string, args ...any) {
	r.problems = append(r.problems, name+" "+fmt.Sprintf(format, args...))
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return fault.New(fault.ConfigurationInvalid, strings.Join(r.problems, "; "))
}

func (r *reader) optional(name, fallback string) string {
	return cmp.Or(r.getenv(name), fallback)
}

func (r *reader) required(name string) string {
	v := r.getenv(name)
	if v == "" {
		r.problem(name, "is missing")
	}
	return v
}

func (r *reader) matching(name, fallback string, valid func(string) bool, what string) string {
	v := r.optional(name, fallback)
	if !valid(v) {
		r.problem(name, "must be %s, is %.60q", what, v)
	}
	return v
}

// oneOf takes one of two values, the first of which is the default.
func (r *reader) oneOf(name, fallback, other string) string {
	return r.matching(name, fallback, func(v string) bool { return v == fallback || v == other }, fallback+" or "+other)
}

// isWord reports whether s is made of ASCII letters, digits and underscores.
func isWord(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_')
	}) < 0
}

// isMarker reports whether s is "notes" or the ids of custom fields, separated
// by commas: each at most ten digits, without a leading zero, and once.
func isMarker(s string) bool {
	if s == "notes" {
		return true
	}
	ids := strings.Split(s, ",")
	for i, id := range ids {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n <= 0 || len(id) > 10 || strconv.FormatInt(n, 10) != id || slices.Contains(ids[:i], id) {
			return false
		}
	}
	return true
}

func (r *reader) whole(name, fallback string, least, most int64) int64 {
	v := r.optional(name, fallback)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		r.problem(name, "must be a whole number from %d to %d, is %.60q", least, most, v)
		return 0
	}
	return n
}

func (r *reader) duration(name, fallback string, unit time.Duration, least, most int64) time.Duration {
	return time.Duration(r.whole(name, fallback, least, most)) * unit
}

func (r *reader) level(name string) slog.Level {
	v := r.optional(name, "info")
	var l slog.Level
	if err := l.UnmarshalText([]byte(v)); err != nil {
		r.problem(name, "must be debug, info, warn or error, is %.60q", v)
	}
	return l
}

// list takes values separated by commas; none where the variable is empty.
func (r *reader) list(name string) []string {
	v := r.getenv(name)
	if v == "" {
		return nil
	}
	all := strings.Split(v, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func (r *reader) prefixes(name string) []netip.Prefix {
	var all []netip.Prefix
	for _, part := range r.list(name) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			if a, errAddr := netip.ParseAddr(part); errAddr == nil && a.Zone() == "" {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
		}
		switch {
		case err != nil:
			r.problem(name, "must be CIDR blocks separated by commas; %.60q is none", part)
		case p != p.Masked():
			r.problem(name, "has host bits set in %s; meant %s?", p, p.Masked())
		default:
			all = append(all, p)
		}
	}
	return all
}

func (r *reader) ids(name string) []int64 {
	var all []int64
	for _, part := range r.list(name) {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 1 {
			r.problem(name, "must be product ids separated by commas; %.60q is none", part)
			continue
		}
		all = append(all, n)
	}
	return all
}

// optionalFields takes name=Field__c pairs separated by commas. Whether a
// field's name is one is for package salesforce, which writes it into queries.
func (r *reader) optionalFields(name string) Optional {
	var o Optional
	fields := map[string]*string{
		"promoCode": &o.PromoCode, "domain": &o.Domain, "hostname": &o.Hostname,
		"customFields": &o.CustomFields, "configOptions": &o.ConfigOptions,
	}
	for _, pair := range r.list(name) {
		what, is, _ := strings.Cut(pair, "=")
		field := fields[what]
		if field == nil || *field != "" || is == "" {
			r.problem(name, "must be pairs like domain=Domain__c, once each, of promoCode, domain, hostname, customFields, configOptions; %.60q is none", pair)
			continue
		}
		*field = is
	}
	return o
}

// orgID takes a 15- or 18-character organization id (key prefix 00D). Salesforce
// writes both forms, so two of them are compared by their first 15 characters.
func (r *reader) orgID(name string) string {
	v := r.getenv(name)
	if v != "" && (!strings.HasPrefix(v, "00D") || len(v) != 15 && len(v) != 18 || !isWord(v) || strings.Contains(v, "_") || strings.ToUpper(v[15:]) != v[15:]) {
		r.problem(name, "must be a Salesforce organization id (00D…, 15 or 18 characters), is %.60q", v)
	}
	return v
}

// httpsURL takes an absolute https URL without query, fragment or user.
// Plain http is for simulators: loopback hosts, or a container of SAM.
func (r *reader) httpsURL(name string) string {
	v := r.required(name)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		r.problem(name, "must be an absolute https URL, is %.60q", v)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		r.problem(name, "must hold no user, query or fragment")
	case u.Scheme == "https":
	case u.Scheme == "http" && (loopback(u.Hostname()) || r.getenv("AWS_SAM_LOCAL") == "true"):
	default:
		r.problem(name, "must be https: credentials travel over it")
	}
	return strings.TrimRight(v, "/")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (r *reader) retryBase() time.Duration {
	return r.duration("RETRY_BASE", "60", time.Second, 1, 900)
}

func (r *reader) salesforce() Salesforce {
	return Salesforce{
		LoginURL:   r.httpsURL("SF_LOGIN_URL"),
		APIVersion: r.optional("SF_API_VERSION", "67.0"),
		OrgID:      r.orgID("SF_ORG_ID"),
	}
}
