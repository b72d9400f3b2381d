// Package config reads the environment of each function into one small struct.
//
// The rule it keeps: everything is checked once, at start, and all problems
// come back in one error of one line that names each variable. It must not
// read secrets, files or the network, and holds no state.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
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
	// Tolerance is the half width of the timestamp window.
	Tolerance time.Duration
	// RotationOverlap is how long the previous secret stays valid.
	RotationOverlap time.Duration
	Allowlist       []netip.Prefix // empty = off
	OrgID           string         // 15 or 18 characters; empty = off
	Wait            time.Duration  // without a Prefer header
	LogLevel        slog.Level
}

// Status is what functions/status needs.
type Status struct {
	TableName    string
	AccountClaim string
	LogLevel     slog.Level
}

// Salesforce is what both functions that talk to Salesforce need.
type Salesforce struct {
	SecretID   string
	LoginURL   string // scheme and host, no trailing slash
	APIVersion string // "67.0"
	OrgID      string // 15 or 18 characters; empty = off
}

// StatusPush is what functions/statuspush needs.
type StatusPush struct {
	TableName     string
	DeadLetterURL string
	Salesforce    Salesforce
	ClockMargin   time.Duration
	LogLevel      slog.Level
}

// Resend says what follows an AddOrder whose outcome a look could not find.
type Resend string

// The two policies of WHMCS_RESEND.
const (
	ResendAuto Resend = "auto" // send again, under assumptions A3 and A6
	ResendAsk  Resend = "ask"  // never; ask a person
)

// Provision is what functions/provision needs.
type Provision struct {
	TableName     string
	WorkQueueURL  string
	Concurrency   int // messages in flight; the clock tops up to twice as many
	WHMCSSecretID string
	WHMCSURL      string // without /includes/api.php and trailing slash
	PaymentMethod string
	Marker        string // "notes" or a product custom field id
	Resend        Resend
	NeedPayMethod bool
	Salesforce    Salesforce
	// OptionalFields maps what an order may hold besides (promoCode, domain,
	// hostname, customFields, configOptions) to the Salesforce field that an
	// org has for it; what is not named is not asked for.
	OptionalFields map[string]string

	Settle, AcceptSettle                   time.Duration
	ReadTimeout, AddTimeout, AcceptTimeout time.Duration
	Lease, Window, Margin, RetryBase       time.Duration
	// Idempotent lists the WHMCS product ids whose module may run twice
	// without harm.
	Idempotent []int64
	Retention  time.Duration // of provisioned orders and plain failures
	LogLevel   slog.Level
}

// LoadFulfill reads the environment of functions/fulfill.
func LoadFulfill(getenv func(string) string) (Fulfill, error) {
	r := reader{getenv: getenv}
	c := Fulfill{
		TableName:       r.required("TABLE_NAME"),
		WebhookSecretID: r.required("WEBHOOK_SECRET_ID"),
		Tolerance:       r.duration("WEBHOOK_TIMESTAMP_TOLERANCE", "300000", time.Millisecond, 1000, 3_600_000),
		RotationOverlap: r.duration("WEBHOOK_ROTATION_OVERLAP", "24", time.Hour, 0, 24*30),
		Allowlist:       r.prefixes("SF_WEBHOOK_IP_ALLOWLIST"),
		OrgID:           r.orgID("SF_ORG_ID"),
		Wait:            r.duration("FULFILL_WAIT", "0", time.Second, 0, 25),
		LogLevel:        r.level("LOG_LEVEL"),
	}
	return c, r.err()
}

// LoadStatus reads the environment of functions/status.
func LoadStatus(getenv func(string) string) (Status, error) {
	r := reader{getenv: getenv}
	c := Status{
		TableName:    r.required("TABLE_NAME"),
		AccountClaim: r.optional("PORTAL_ACCOUNT_CLAIM", "sf_account_id"),
		LogLevel:     r.level("LOG_LEVEL"),
	}
	return c, r.err()
}

// LoadStatusPush reads the environment of functions/statuspush.
func LoadStatusPush(getenv func(string) string) (StatusPush, error) {
	r := reader{getenv: getenv}
	c := StatusPush{
		TableName:     r.required("TABLE_NAME"),
		DeadLetterURL: r.required("STATUSPUSH_DEAD_LETTER_URL"),
		Salesforce:    r.salesforce(),
		ClockMargin:   r.duration("CLOCK_MARGIN", "5", time.Second, 0, 300),
		LogLevel:      r.level("LOG_LEVEL"),
	}
	return c, r.err()
}

// LoadProvision reads the environment of functions/provision.
func LoadProvision(getenv func(string) string) (Provision, error) {
	r := reader{getenv: getenv}
	const day = 86_400
	c := Provision{
		TableName:      r.required("TABLE_NAME"),
		WorkQueueURL:   r.required("WORK_QUEUE_URL"),
		Concurrency:    int(r.whole("PROVISION_CONCURRENCY", "2", 2, 1000)),
		WHMCSSecretID:  r.required("WHMCS_SECRET_ID"),
		WHMCSURL:       strings.TrimSuffix(r.httpsURL("WHMCS_API_URL"), "/includes/api.php"),
		PaymentMethod:  r.matching("WHMCS_PAYMENT_METHOD", "mailin", `^[A-Za-z0-9_]+$`, "a WHMCS gateway name"),
		Marker:         r.matching("WHMCS_MARKER", "notes", `^(notes|[1-9][0-9]{0,9})$`, `"notes" or a product custom field id`),
		Resend:         Resend(r.matching("WHMCS_RESEND", "auto", `^(auto|ask)$`, "auto or ask")),
		NeedPayMethod:  r.boolean("REQUIRE_PAY_METHOD", "false"),
		Salesforce:     r.salesforce(),
		OptionalFields: r.fields("SF_OPTIONAL_FIELDS"),
		Settle:         r.duration("WHMCS_SETTLE", "300", time.Second, 1, day),
		AcceptSettle:   r.duration("WHMCS_ACCEPT_SETTLE", "900", time.Second, 1, day),
		ReadTimeout:    r.duration("WHMCS_READ_TIMEOUT", "30", time.Second, 1, 300),
		AddTimeout:     r.duration("WHMCS_ADD_TIMEOUT", "60", time.Second, 1, 600),
		AcceptTimeout:  r.duration("WHMCS_ACCEPT_TIMEOUT", "120", time.Second, 1, 600),
		Lease:          r.duration("PROVISION_LEASE", "150", time.Second, 1, 840),
		Window:         r.duration("SEND_WINDOW", "15", time.Second, 1, 300),
		Margin:         r.duration("CLOCK_MARGIN", "5", time.Second, 0, 300),
		RetryBase:      r.duration("RETRY_BASE", "60", time.Second, 1, 900),
		Idempotent:     r.ids("WHMCS_IDEMPOTENT_PRODUCTS"),
		Retention:      r.duration("ORDER_RETENTION_DAYS", "400", 24*time.Hour, 1, 3650),
		LogLevel:       r.level("LOG_LEVEL"),
	}
	// No effect starts with less than its time-out and the margin left of the
	// lease, so a shorter lease would never start one.
	if need := max(c.AddTimeout, c.AcceptTimeout) + c.Margin; c.Lease > 0 && c.Lease < need && len(r.problems) == 0 {
		r.problem("PROVISION_LEASE", "is %d s, shorter than the longer of WHMCS_ADD_TIMEOUT and WHMCS_ACCEPT_TIMEOUT plus CLOCK_MARGIN (%d s)", int(c.Lease.Seconds()), int(need.Seconds()))
	}
	return c, r.err()
}

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
	if v := r.getenv(name); v != "" {
		return v
	}
	return fallback
}

func (r *reader) required(name string) string {
	v := r.getenv(name)
	if v == "" {
		r.problem(name, "is missing")
	}
	return v
}

func (r *reader) matching(name, fallback, pattern, what string) string {
	v := r.optional(name, fallback)
	if !regexp.MustCompile(pattern).MatchString(v) {
		r.problem(name, "must be %s, is %.60q", what, v)
	}
	return v
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

func (r *reader) boolean(name, fallback string) bool {
	v := r.optional(name, fallback)
	if v != "true" && v != "false" {
		r.problem(name, "must be true or false, is %.60q", v)
	}
	return v == "true"
}

func (r *reader) level(name string) slog.Level {
	v := r.optional(name, "info")
	var l slog.Level
	if err := l.UnmarshalText([]byte(v)); err != nil {
		r.problem(name, "must be debug, info, warn or error, is %.60q", v)
	}
	return l
}

func (r *reader) prefixes(name string) []netip.Prefix {
	var all []netip.Prefix
	v := r.getenv(name)
	if v == "" {
		return nil
	}
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
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
	v := r.getenv(name)
	if v == "" {
		return nil
	}
	for part := range strings.SplitSeq(v, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil || n < 1 {
			r.problem(name, "must be product ids separated by commas; %.60q is none", part)
			continue
		}
		all = append(all, n)
	}
	return all
}

// fields takes name=Field__c pairs separated by commas.
func (r *reader) fields(name string) map[string]string {
	v := r.getenv(name)
	if v == "" {
		return nil
	}
	known := []string{"promoCode", "domain", "hostname", "customFields", "configOptions"}
	field := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,79}$`)
	all := map[string]string{}
	for pair := range strings.SplitSeq(v, ",") {
		what, is, _ := strings.Cut(strings.TrimSpace(pair), "=")
		_, twice := all[what]
		if !slices.Contains(known, what) || !field.MatchString(is) || twice {
			r.problem(name, "must be pairs like domain=Domain__c, once each, of %s; %.60q is none", strings.Join(known, ", "), pair)
			continue
		}
		all[what] = is
	}
	return all
}

// orgID takes a 15- or 18-character organization id (key prefix 00D); whoever
// compares two of them does so by their first 15 characters, since Salesforce
// writes both forms.
func (r *reader) orgID(name string) string {
	v := r.getenv(name)
	if v != "" && !regexp.MustCompile(`^00D[A-Za-z0-9]{12}([A-Z0-5]{3})?$`).MatchString(v) {
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

func (r *reader) salesforce() Salesforce {
	return Salesforce{
		SecretID:   r.required("SALESFORCE_SECRET_ID"),
		LoginURL:   r.httpsURL("SF_LOGIN_URL"),
		APIVersion: r.matching("SF_API_VERSION", "67.0", `^[1-9][0-9]\.0$`, "like 67.0"),
		OrgID:      r.orgID("SF_ORG_ID"),
	}
}
