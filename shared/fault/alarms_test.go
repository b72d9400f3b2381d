package fault_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

// heardBy says which alarms of template.yaml a code raises while it goes on.
// An alarm that several codes share stands once.
var heardBy = map[string][]fault.Code{
	"NeedsMending": {fault.WHMCSIPDenied, fault.WHMCSCredentials, fault.WHMCSRoleDenied, fault.WHMCSMisconfigured,
		fault.WHMCSSecretUnavailable, fault.SalesforceCredentials, fault.SalesforcePermission, fault.SalesforceMisconfigured,
		fault.SalesforceSecretUnavailable, fault.ClockSkewed, fault.MarkerNotKept},
	"OrdersForAPerson": {fault.AddOutcomeUnknown, fault.AcceptOutcomeUnknown, fault.WHMCSOrderMismatch, fault.WHMCSOrderCancelled,
		fault.WHMCSOrderAmbiguous, fault.MarkerNotKept, fault.WHMCSIDForeign, fault.NotVerified, fault.ModuleFailed},
	"WhmcsDown":        {fault.WHMCSUnavailable, fault.WHMCSBusy},
	"SalesforceDown":   {fault.SalesforceUnavailable, fault.SalesforceSession},
	"SalesforceLimit":  {fault.SalesforceLimit},
	"OrdersStandStill": {fault.ListingUnstable, fault.NoTimeLeft},
	"SalesforceBehind": {fault.SalesforceRowLocked, fault.SalesforceRowUnclear},
	"FailureRate": {fault.AccountNotReadable, fault.ProductNotReadable, fault.AccountNotMapped, fault.ProductNotMapped,
		fault.BillingCycleInvalid, fault.QuantityInvalid, fault.OrderEmpty, fault.OrderNotFound, fault.ReductionOrder,
		fault.PaymentMethodMissing, fault.WHMCSClientNotFound, fault.WHMCSClientClosed, fault.WHMCSRejected,
		fault.RetriesExhausted, fault.NotProcessable},
	"SecurityEvents": {fault.SourceNotAllowed, fault.SignatureMissing, fault.SignatureInvalid, fault.HeadersNotSigned, fault.TimestampOutOfWindow,
		fault.OrgNotAllowed, fault.NonceReplayed},
	"CalloutsThrottled":          {fault.TooManyRequests},
	"CalloutErrors":              {fault.SecretUnavailable, fault.TryAgain, fault.Internal},
	"ClockSilent":                {fault.StoreUnavailable},
	"StatusPushDeadLettersDepth": {fault.SalesforceRowRefused},
	"PortalErrors":               {fault.StoreUnavailable, fault.Internal},
	"FulfillErrors":              {fault.ConfigurationInvalid},
	"ProvisionErrors":            {fault.ConfigurationInvalid},
	"StatusPushErrors":           {fault.ConfigurationInvalid},
	"StatusErrors":               {fault.ConfigurationInvalid},
}

// needsNoAlarm says of the other codes why no person is called for them.
var needsNoAlarm = map[string][]fault.Code{
	"the sender reads it": {fault.BodyTooLarge, fault.BodyMalformed, fault.TimestampInvalid, fault.NonceInvalid,
		fault.ContentTypeUnsupported, fault.OrderIDInvalid, fault.OrderIDMismatch,
		fault.IdempotencyKeyMissing, fault.CallerUnknown},
	"who clicked reads it":       {fault.RequestNotDelivered},
	"a person decided it":        {fault.Stopped, fault.StoppedInWHMCS},
	"all is well":                {fault.SalesforceStale, fault.LeaseLost, fault.NotDue},
	"who runs orderctl reads it": {fault.StateChanged, fault.AWSCredentials, fault.AWSDenied, fault.AWSNotFound, fault.AWSUnreachable},
}

// alarmsOf returns what the tables of the docs say of a code: the alarms that
// it raises, or why there is none.
func alarmsOf(code fault.Code) string {
	var said []string
	for _, alarm := range slices.Sorted(maps.Keys(heardBy)) {
		if slices.Contains(heardBy[alarm], code) {
			said = append(said, alarm)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(needsNoAlarm)) {
		if slices.Contains(needsNoAlarm[why], code) {
			said = append(said, "none: "+why)
		}
	}
	return strings.Join(said, ", ")
}

func TestEveryCodeRaisesAnAlarmOrNeedsNone(t *testing.T) {
	for _, code := range fault.Codes() {
		i := code.Info()
		said := alarmsOf(code)
		for rule, broken := range map[string]bool{
			"no alarm hears it, and nothing says why":            said == "",
			"it has an alarm and needs none":                     strings.Contains(said, ", none") || strings.HasPrefix(said, "none") && strings.Contains(said, ","),
			"OrdersForAPerson does not hear what needs a person": code.NeedsPerson() != slices.Contains(heardBy["OrdersForAPerson"], code),
			"SecurityEvents does not hear what is of security":   i.Security != slices.Contains(heardBy["SecurityEvents"], code),
			"what a person must review needs none":               i.Review && !code.NeedsPerson() && code != fault.StoppedInWHMCS,
			"it must be corrected and no person is called":       i.Kind == fault.Config && i.Group != fault.GroupRequest && i.Group != fault.GroupWork && !slices.Contains(heardBy["NeedsMending"], code),
			"NeedsMending hears what is not configuration":       slices.Contains(heardBy["NeedsMending"], code) && i.Kind != fault.Config,
		} {
			if broken {
				t.Errorf("%s: %s (%s)", code, rule, said)
			}
		}
	}
}

// alarmsOfTheTemplate returns the alarms that tell a person.
func alarmsOfTheTemplate(t *testing.T) map[string]bool {
	t.Helper()
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	alarm := regexp.MustCompile(`(?m)^  (\w+):\n    Type: AWS::CloudWatch::(?:Composite)?Alarm\n(?:    .*\n)+`)
	for _, m := range alarm.FindAllSubmatch(template, -1) {
		if strings.Contains(string(m[0]), "AlarmActions: ") {
			all[string(m[1])] = true
		}
	}
	if len(all) < 30 {
		t.Fatalf("found %d alarms: the search is broken", len(all))
	}
	return all
}

// The saved queries find what the alarms are about.
func TestTheSavedQueriesListTheCodesOfTheirAlarms(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for query, alarm := range map[string]string{"NeedsAPersonQuery": "OrdersForAPerson", "SecurityEventsQuery": "SecurityEvents"} {
		_, text, _ := strings.Cut(string(template), "\n  "+query+":\n")
		_, list, _ := strings.Cut(text, "filter code in [")
		list, _, _ = strings.Cut(list, "]")
		want := slices.Clone(heardBy[alarm])
		slices.Sort(want)
		var got []fault.Code
		for code := range strings.SplitSeq(list, ", ") {
			got = append(got, fault.Code(strings.Trim(code, `"`)))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s lists %q, %s hears %q", query, got, alarm, want)
		}
	}
}

func TestEachAlarmHasItsSectionOfTheRunbook(t *testing.T) {
	alarms := alarmsOfTheTemplate(t)
	page, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(page), "\n## Alarms\n")
	if !ok {
		t.Fatal("the runbook has no part on alarms")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	told := map[string]bool{}
	for _, section := range strings.Split(part, "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		for _, name := range strings.Split(heading, ", ") {
			if told[name] || !alarms[name] {
				t.Errorf("the section %s is there twice, or its alarm is not there", name)
			}
			told[name] = true
		}
		for _, label := range []string{"\n- Seen: ", "\n- First: ", "\n- Ends: "} {
			if strings.Count(text, label) != 1 {
				t.Errorf("%s does not say %q once", heading, strings.TrimSpace(label))
			}
		}
	}
	for name := range alarms {
		if !told[name] {
			t.Errorf("%s has no section", name)
		}
	}
	for name := range heardBy {
		if !alarms[name] {
			t.Errorf("codes raise %s, which is no alarm of the template", name)
		}
	}
}
