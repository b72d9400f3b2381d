package salesforce

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func TestTheFieldsOfARow(t *testing.T) {
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	head := func(status order.Status, change func(*order.Shown)) order.Shown {
		s := order.Shown{ID: id, Status: status, At: noon, Seq: order.Seq(noon.UnixMilli())}
		change(&s)
		return s
	}
	const start = `{"attributes":{"type":"Order"},"id":"801000000000001AAA","Last_Provisioning_At__c":"2026-11-24T12:00:00.000Z",`
	moduleText := &fault.Error{Code: fault.ModuleFailed, Vendor: "Quota\n reached"}
	for name, c := range map[string]struct {
		shown order.Shown
		want  string
	}{
		"open clears the error, and leaves the WHMCS order": {head(order.StatusActivating, func(*order.Shown) {}),
			start + `"Provisioning_Error_Code__c":null,"Provisioning_Error_Message__c":null,"Provisioning_Next_Try_At__c":null,"Provisioning_Seq__c":1795521600000,"Provisioning_Status__c":"Activating"}`},
		"open says why it waits": {head(order.StatusActivating, func(s *order.Shown) {
			s.Code, s.Message, s.NextTry = fault.WHMCSBusy, "WHMCS is busy.", noon.Add(time.Minute)
		}), start + `"Provisioning_Error_Code__c":"whmcs_busy","Provisioning_Error_Message__c":"WHMCS is busy.","Provisioning_Next_Try_At__c":"2026-11-24T12:01:00.000Z","Provisioning_Seq__c":1795521600000,"Provisioning_Status__c":"Activating"}`},
		"provisioned": {head(order.StatusProvisioned, func(s *order.Shown) { s.WHMCSOrderID = "991" }),
			start + `"Provisioning_Error_Code__c":null,"Provisioning_Error_Message__c":null,"Provisioning_Next_Try_At__c":null,"Provisioning_Seq__c":1795521600000,"Provisioning_Status__c":"Provisioned","WHMCS_Order_ID__c":"991"}`},
		"failed": {head(order.StatusFailed, func(s *order.Shown) {
			s.WHMCSOrderID, s.Code, s.Message = "991", fault.ModuleFailed, fault.TextOf(moduleText)
		}), start + `"Provisioning_Error_Code__c":"module_failed","Provisioning_Error_Message__c":"` + fault.ModuleFailed.Info().Seen + ` WHMCS: Quota reached. ` + fault.ModuleFailed.Info().Do + `","Provisioning_Next_Try_At__c":null,"Provisioning_Seq__c":1795521600000,"Provisioning_Status__c":"Failed","WHMCS_Order_ID__c":"991"}`},
		"a WHMCS order that is gone is cleared": {head(order.StatusFailed, func(s *order.Shown) {
			s.Gone, s.Code, s.Message = true, fault.OrderEmpty, "Add products"
		}), start + `"Provisioning_Error_Code__c":"order_empty","Provisioning_Error_Message__c":"Add products","Provisioning_Next_Try_At__c":null,"Provisioning_Seq__c":1795521600000,"Provisioning_Status__c":"Failed","WHMCS_Order_ID__c":null}`},
		"a product": {order.Shown{ID: id, Item: "802b", Seq: 7, Services: []string{"502", "503"}},
			`{"attributes":{"type":"OrderItem"},"id":"802b","Provisioning_Seq__c":7,"WHMCS_Service_ID__c":"502,503"}`},
		"a product whose services are gone": {order.Shown{ID: id, Item: "802b", Seq: 7},
			`{"attributes":{"type":"OrderItem"},"id":"802b","Provisioning_Seq__c":7,"WHMCS_Service_ID__c":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(rowOf(c.shown))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

// What was seen comes first and what to do last; a vendor's long words lose
// their end, never the advice.
func TestTheMessageSaysWhatWasSeenThenWhatToDoAndFits(t *testing.T) {
	for _, code := range fault.Codes() {
		i := code.Info()
		for _, err := range []*fault.Error{
			{Code: code}, {Code: code, Advice: "Set X on the account Acme, then click again: it is empty."},
			{Code: code, Vendor: "HTTP 403: The vendor says no"}, {Code: code, Vendor: strings.Repeat("é😀", 200)},
			{Code: code, Vendor: strings.Repeat("It went wrong. ", 40)},
		} {
			got, _ := rowOf(order.Shown{Code: code, Message: fault.TextOf(err)}).fields["Provisioning_Error_Message__c"].(string)
			if n := len(utf16.Encode([]rune(got))); n > 255 {
				t.Errorf("%s: %d units", code, n)
			}
			first, last := i.Seen, i.Do
			if err.Advice != "" {
				first, last = err.Advice, err.Advice
			}
			if !strings.HasPrefix(got, first) || !strings.HasSuffix(got, last) {
				t.Errorf("%s: %q", code, got)
			}
			if strings.HasPrefix(err.Vendor, "HTTP 403") && !strings.Contains(got, err.Vendor) {
				t.Errorf("%s: the vendor's words are lost: %q", code, got)
			}
		}
	}
}

func TestServicesThatDoNotFitAreCutAtAnID(t *testing.T) {
	var all []string
	for i := range 2000 {
		all = append(all, fmt.Sprint(100000+i))
	}
	s, _ := rowOf(order.Shown{Item: "802a", Services: all}).fields["WHMCS_Service_ID__c"].(string)
	ids := strings.Split(s, ",")
	if n := len(utf16.Encode([]rune(s))); n > 4096 || n < 4080 || ids[len(ids)-1] != "…" || ids[len(ids)-2] != fmt.Sprint(100000+len(ids)-2) {
		t.Errorf("%d units, ends %s", n, s[len(s)-30:])
	}
}

func TestOneLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("a😀é\u0301")), 0, 300, -1), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
		})).Draw(t, "s")
		limit := rapid.IntRange(1, 260).Draw(t, "limit")
		got := oneLine(s, limit)
		clean := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
		units := len(utf16.Encode([]rune(clean)))
		switch {
		case !utf8.ValidString(got):
			t.Fatalf("%q is not UTF-8", got)
		case len(utf16.Encode([]rune(got))) > limit:
			t.Fatalf("%d units", len(utf16.Encode([]rune(got))))
		case units <= limit && got != clean:
			t.Fatalf("%q became %q", clean, got)
		case units > limit && (!strings.HasSuffix(got, "…") || !strings.HasPrefix(clean, strings.TrimSuffix(got, "…"))):
			t.Fatalf("%q became %q", clean, got)
		case units > limit && len(utf16.Encode([]rune(got))) < limit-1:
			t.Fatalf("%q was cut more than it must", clean)
		}
	})
}
