package salesforce

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"orderbridge/shared/order"
)

// The objects of the org that are read and written.
const (
	objectOrder = "Order"
	objectItem  = "OrderItem"
)

// The fields of the org, as SOQL names them from the object that is read. No
// other file holds the name of a field for anything but a text for people.
const (
	fieldID         = "Id"
	fieldAccountID  = "AccountId"
	fieldAccount    = "Account"
	fieldReduction  = "IsReductionOrder"
	fieldItems      = "OrderItems"
	fieldQuantity   = "Quantity"
	fieldProduct    = "Product2"
	fieldName       = "Name"
	fieldClientID   = "WHMCS_Client_ID__c"
	fieldProductID  = "WH_Product_ID__c"
	fieldCycle      = "Billing_Cycle__c"
	fieldWHMCSOrder = "WHMCS_Order_ID__c"
	fieldNumber     = "OrderNumber"
	fieldModified   = "LastModifiedDate"

	fieldStatus       = "Provisioning_Status__c"
	fieldAt           = "Last_Provisioning_At__c"
	fieldSeq          = "Provisioning_Seq__c"
	fieldErrorCode    = "Provisioning_Error_Code__c"
	fieldErrorMessage = "Provisioning_Error_Message__c"
	fieldNextTry      = "Provisioning_Next_Try_At__c"
	fieldServices     = "WHMCS_Service_ID__c"
)

// Optional holds the API names of fields that not every org has. An empty name
// is never asked for, so an org without the field can be used.
type Optional struct {
	PromoCode     string // of Order, e.g. Promo_Code__c
	CustomFields  string // of OrderItem, a JSON object, e.g. WHMCS_Custom_Fields__c
	ConfigOptions string // of OrderItem, a JSON object, e.g. WHMCS_Config_Options__c
	Domain        string // of OrderItem, e.g. Domain__c
	Hostname      string // of OrderItem, e.g. Hostname__c
}

// selectOrders is the query for everything that Load reads, up to its WHERE.
func selectOrders(o Optional) string {
	set := func(names ...string) string {
		return strings.Join(slices.DeleteFunc(names, func(name string) bool { return name == "" }), ", ")
	}
	heads := set(fieldID, fieldAccountID, fieldAccount+"."+fieldName, fieldAccount+"."+fieldClientID, fieldReduction, fieldWHMCSOrder, fieldSeq, o.PromoCode)
	lines := set(fieldID, fieldQuantity, fieldProduct+"."+fieldName, fieldProduct+"."+fieldProductID, fieldProduct+"."+fieldCycle,
		o.CustomFields, o.ConfigOptions, o.Domain, o.Hostname)
	return "SELECT " + heads + ", (SELECT " + lines + " FROM " + fieldItems + " ORDER BY " + fieldID + ") FROM " + objectOrder
}

// selectShown is the query for what an order shows, up to its WHERE.
const selectShown = "SELECT " + fieldID + ", " + fieldStatus + ", " + fieldSeq + ", " + fieldErrorCode + ", " + fieldWHMCSOrder +
	", (SELECT " + fieldID + ", " + fieldSeq + ", " + fieldServices + " FROM " + fieldItems + ") FROM " + objectOrder + " WHERE "

// selectSample is the query for orders of which the bridge has read account and
// products before.
const selectSample = "SELECT " + fieldID + ", " + fieldAccount + "." + fieldName + ", (SELECT " + fieldID + ", " + fieldProduct + "." + fieldName +
	" FROM " + fieldItems + ") FROM " + objectOrder + " WHERE " + fieldSeq + " > 0 LIMIT 200"

const (
	// messageUnits is the length of Provisioning_Error_Message__c. Salesforce's
	// documents speak of characters and of bytes; UTF-16 units, what its
	// runtime counts, is the bound that holds under both for a Text field.
	messageUnits = 255
	// serviceUnits is the length of WHMCS_Service_ID__c, a long text.
	serviceUnits = 4096
	// dateTime is Salesforce's form of a date and time in JSON, in UTC with
	// milliseconds; dateTimeLiteral that of SOQL.
	dateTime        = "2006-01-02T15:04:05.000Z"
	dateTimeLiteral = "2006-01-02T15:04:05Z"
)

func literal(t time.Time) string { return t.UTC().Format(dateTimeLiteral) }

// written lists every field that an update writes, with its value. A "" clears
// the field, or, where keep says so, leaves it as it is.
var written = []struct {
	object, name string
	keep         func(order.Shown) bool // nil = never
	value        func(order.Shown) any
}{
	{objectOrder, fieldStatus, nil, func(s order.Shown) any { return string(s.Status) }},
	{objectOrder, fieldAt, nil, func(s order.Shown) any { return s.At.UTC().Format(dateTime) }},
	{objectOrder, fieldSeq, nil, func(s order.Shown) any { return int64(s.Seq) }},
	{objectOrder, fieldErrorCode, nil, func(s order.Shown) any { return string(s.Code) }},
	{objectOrder, fieldErrorMessage, nil, func(s order.Shown) any { return oneLine(s.Message, messageUnits) }},
	{objectOrder, fieldNextTry, nil, func(s order.Shown) any {
		if s.NextTry.IsZero() {
			return ""
		}
		return s.NextTry.UTC().Format(dateTime)
	}},
	{objectOrder, fieldWHMCSOrder, func(s order.Shown) bool { return !s.Gone }, func(s order.Shown) any { return s.WHMCSOrderID }},
	{objectItem, fieldSeq, nil, func(s order.Shown) any { return int64(s.Seq) }},
	{objectItem, fieldServices, nil, func(s order.Shown) any { return joined(s.Services) }},
}

type row struct {
	object, id string
	fields     map[string]any // nil clears
}

func rowOf(s order.Shown) row {
	r := row{objectOrder, s.ID.String(), map[string]any{}}
	if s.Item != "" {
		r.object, r.id = objectItem, s.Item
	}
	for _, f := range written {
		if f.object != r.object {
			continue
		}
		switch v := f.value(s); {
		case v != "":
			r.fields[f.name] = v
		case f.keep == nil || !f.keep(s):
			r.fields[f.name] = nil
		}
	}
	return r
}

// MarshalJSON implements json.Marshaler. The type comes first, as in all of the
// vendor's examples.
func (r row) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(struct {
		Attributes map[string]string `json:"attributes"`
		ID         string            `json:"id"`
	}{map[string]string{"type": r.object}, r.id})
	if err != nil || len(r.fields) == 0 {
		return head, err
	}
	tail, err := json.Marshal(r.fields)
	if err != nil {
		return nil, err
	}
	return append(append(head[:len(head)-1], ','), tail[1:]...), nil
}

// joined lists ids with commas; what does not fit the field is cut at an id.
func joined(ids []string) string {
	s := strings.Join(ids, ",")
	if len(s) <= serviceUnits {
		return s
	}
	s = s[:serviceUnits-1]
	return s[:strings.LastIndexByte(s, ',')] + "," + Ellipsis
}

// Ellipsis ends a list of services that the field could not hold whole.
const Ellipsis = "…"

// oneLine returns s as one line of valid UTF-8, white space and control characters
// being one space each run, of at most limit UTF-16 units. Of a longer text the
// middle is left out, an ellipsis in its place: what was seen stands first and
// what to do last, the vendor's words between them.
func oneLine(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if utf16Units(s) <= limit {
		return s
	}
	tail := lastSentences(s, limit/2)
	units, end := 0, 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > limit-1-utf16Units(tail) {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	return s[:end] + "…" + tail
}

// lastSentences returns the blank before, and the longest row of sentences at the
// end of s that has at most limit UTF-16 units; "" where the last one is longer.
func lastSentences(s string, limit int) string {
	tail := ""
	for at := len(s); ; {
		at = strings.LastIndex(s[:at], ". ")
		if at < 0 || utf16Units(s[at+1:]) > limit {
			return tail
		}
		tail = s[at+1:]
	}
}

func utf16Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
