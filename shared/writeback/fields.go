package writeback

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// The object types that are written.
const (
	typeOrder = "Order"
	typeItem  = "OrderItem"
)

// The fields that are written.
const (
	fieldStatus       = "Provisioning_Status__c"
	fieldAt           = "Last_Provisioning_At__c"
	fieldSeq          = "Provisioning_Seq__c"
	fieldWHMCSOrder   = "WHMCS_Order_ID__c"
	fieldErrorCode    = "Provisioning_Error_Code__c"
	fieldErrorMessage = "Provisioning_Error_Message__c"
	fieldService      = "WHMCS_Service_ID__c"
)

// Fields returns the API names of all fields that are ever written, by type.
func Fields() map[string][]string {
	return map[string][]string{
		typeOrder: {fieldErrorCode, fieldErrorMessage, fieldSeq, fieldStatus, fieldAt, fieldWHMCSOrder},
		typeItem:  {fieldService},
	}
}

const (
	// messageUnits is the length of Provisioning_Error_Message__c. Salesforce's
	// documents speak of characters and of bytes; UTF-16 units, what its
	// runtime counts, is the bound that holds under both for a Text field.
	messageUnits = 255
	// serviceUnits is the length of WHMCS_Service_ID__c, a long text.
	serviceUnits = 4096
	// dateTime is Salesforce's form of a date and time, in UTC with
	// milliseconds.
	dateTime = "2006-01-02T15:04:05.000Z"
)

// Row is one Salesforce record to update; a nil value clears its field.
type Row struct {
	Type   string
	ID     string
	Fields map[string]any
}

// Rows returns what Salesforce must show of r: the row of the order, and one
// for each order product whose services are known.
//
// What is shown depends on nothing but what changes together with seq. So an
// open order shows its status alone: the WHMCS order id that it may know by
// then was learnt by a write that Salesforce does not see.
func Rows(r order.Record) (head Row, items []Row) {
	head = Row{Type: typeOrder, ID: r.ID.String(), Fields: map[string]any{
		fieldStatus:       string(r.Status()),
		fieldAt:           changedAt(r).UTC().Format(dateTime),
		fieldSeq:          int64(r.Seq),
		fieldErrorCode:    nil,
		fieldErrorMessage: nil,
	}}
	if r.State == order.Failed {
		head.Fields[fieldErrorCode] = string(r.ErrorCode)
		head.Fields[fieldErrorMessage] = Message(r.ErrorCode, r.ErrorMessage)
	}
	if r.State.Open() {
		return head, nil
	}
	if r.WHMCSOrderID != "" {
		head.Fields[fieldWHMCSOrder] = r.WHMCSOrderID
	}
	for _, item := range slices.Sorted(maps.Keys(r.ServiceIDs)) {
		if ids := r.ServiceIDs[item]; len(ids) > 0 {
			items = append(items, Row{Type: typeItem, ID: item, Fields: map[string]any{fieldService: joined(ids)}})
		}
	}
	return head, items
}

// changedAt is when the change that seq stands for was made. seq is that time
// in ms, unless it had to run ahead of the clock; later writes that Salesforce
// does not see move UpdatedAt, not seq.
func changedAt(r order.Record) time.Time {
	at := time.UnixMilli(int64(r.Seq))
	if at.After(r.UpdatedAt) {
		return r.UpdatedAt
	}
	return at
}

// joined lists ids with commas; what does not fit the field is cut at an id.
func joined(ids []string) string {
	s := strings.Join(ids, ",")
	if len(s) <= serviceUnits {
		return s
	}
	s = s[:serviceUnits-1]
	return s[:strings.LastIndexByte(s, ',')] + ",…"
}

// imperatives begin every text that says what to do.
var imperatives = []string{"Add", "Allow", "Ask", "Check", "Clear", "Click", "Compare", "Correct", "Give", "Have", "Look", "Mend", "Order", "Reopen", "Set", "Wait"}

// Message is the text for the operator: first what to do, then the cause, in
// at most 255 UTF-16 units. A text that begins with what to do stands alone;
// another, what a vendor said, follows the advice of its code.
func Message(code fault.Code, text string) string {
	advice := code.Info().Advice
	text = strings.Join(strings.Fields(text), " ")
	first, _, _ := strings.Cut(text, " ")
	switch {
	case text == "":
		text = advice
	case slices.Contains(imperatives, first), strings.HasPrefix(text, advice):
	default:
		text = advice + " Cause: " + text
	}
	return Cut(text, messageUnits)
}

// Cut returns s as valid UTF-8 of at most limit UTF-16 units, cut between two
// runes; a cut text ends in an ellipsis.
func Cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	units, end := 0, 0 // end: the longest prefix that leaves room for the ellipsis
	for i, r := range s {
		n := 1
		if r > 0xFFFF {
			n = 2
		}
		units += n
		if units <= limit-1 {
			end = i + utf8.RuneLen(r)
		}
	}
	if units <= limit {
		return s
	}
	return s[:end] + "…"
}
