package config_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"orderbridge/shared/config"
)

// template returns the text of the SAM template.
func template(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What the template lets through, a function must start with, and the other way
// round: the bounds of both are the same.
func TestTheTemplateHasTheBoundsOfTheFunctions(t *testing.T) {
	text := template(t)
	variables := map[string][]string{} // by parameter
	for _, m := range regexp.MustCompile(`(?m)^ +([A-Z][A-Z_]+): !Ref (\w+)$`).FindAllStringSubmatch(text, -1) {
		variables[m[2]] = append(variables[m[2]], m[1])
	}
	compared := 0
	for _, m := range regexp.MustCompile(`(?m)^  (\w+):\n    Type: Number\n    Default: (\d+)\n    MinValue: (\d+)\n    MaxValue: (\d+)\n`).FindAllStringSubmatch(text, -1) {
		for _, name := range variables[m[1]] {
			compared++
			least, err := strconv.Atoi(m[3])
			if err != nil {
				t.Fatal(err)
			}
			most, err := strconv.Atoi(m[4])
			if err != nil {
				t.Fatal(err)
			}
			for value, good := range map[int]bool{least - 1: false, least: true, most: true, most + 1: false} {
				refused := false
				for _, err := range load(env(name, strconv.Itoa(value))) {
					refused = refused || err != nil && strings.Contains(err.Error(), fmt.Sprintf("%s must be a whole number", name))
				}
				if refused == good {
					t.Errorf("%s=%d: refused %t, the template allows %d to %d for %s", name, value, refused, least, most, m[1])
				}
			}
		}
	}
	if compared < 15 {
		t.Errorf("only %d bounds were found", compared)
	}
	function := text[strings.Index(text, "  ProvisionFunction:"):]
	if m := regexp.MustCompile(`(?m)^      Timeout: (\d+)`).FindStringSubmatch(function); m == nil || m[1] != strconv.Itoa(config.RunTime) {
		t.Errorf("the time-out of ProvisionFunction is %v, the bounds are made for %d s", m, config.RunTime)
	}
}

// Times that cannot work together are refused, and not found out order by order.
func TestTimesThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		says  string
		pairs []string
	}{
		{"WHMCS_ACCEPT_TIMEOUT must be a whole number from 1 to 300", []string{"WHMCS_ACCEPT_TIMEOUT", "600", "PROVISION_LEASE", "840"}},
		{"PROVISION_LEASE must be a whole number from 1 to 540", []string{"PROVISION_LEASE", "840"}},
		{"PROVISION_LEASE is 150 s, shorter", []string{"WHMCS_ACCEPT_TIMEOUT", "300"}},
		{"RESERVED_CONCURRENCY is 2, less than PROVISION_CONCURRENCY + 1 (3)", []string{"RESERVED_CONCURRENCY", "2"}},
		{"", []string{"RESERVED_CONCURRENCY", "3"}},
		{"", []string{"RESERVED_CONCURRENCY", "0"}},
		{"", []string{"WHMCS_ACCEPT_TIMEOUT", "300", "PROVISION_LEASE", "540", "WHMCS_ADD_TIMEOUT", "300"}},
	} {
		_, err := config.LoadProvision(env(c.pairs...))
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v: %v, want %q", c.pairs, err, c.says)
		}
	}
}

// The template refuses what is no list of CIDR blocks before it deploys.
func TestTheTemplateRefusesABadAllowlist(t *testing.T) {
	m := regexp.MustCompile(`(?s)\n  SfWebhookIpAllowlist:.*?AllowedPattern: ([^\n]+)\n`).FindStringSubmatch(template(t))
	if m == nil {
		t.Fatal("no pattern")
	}
	pattern := regexp.MustCompile(m[1])
	for value, good := range map[string]bool{
		"": true, "13.108.0.0/14": true, "13.108.0.0/14, 2001:db8::/32": true, "203.0.113.7": true, "::1": true, "10.0.0.0/8,192.168.0.0/16": true,
		"13.108": false, "13.108.0.0/33": false, "300.1.1.1": false, "1.2.3.4.5": false, "a.b.c.d": false, "10.0.0.0/8;10.0.0.0/8": false, ",": false, "2001:db8::/129": false, "abcdef": false, "1.2.3.4,": false,
	} {
		if pattern.MatchString(value) != good {
			t.Errorf("the template: %q matches %t", value, !good)
		}
		if _, err := config.LoadFulfill(env("SF_WEBHOOK_IP_ALLOWLIST", value)); (err == nil) != good {
			t.Errorf("the function: %q gives %v", value, err)
		}
	}
}
