package salesforcetest

import "strings"

type kind string

const (
	kindID       kind = "id"
	kindString   kind = "string"
	kindTextArea kind = "textarea"
	kindPicklist kind = "picklist"
	kindDouble   kind = "double"
	kindBoolean  kind = "boolean"
	kindDateTime kind = "datetime"
	kindAny      kind = "anyType" // a number or a text, as the installation chose
)

type field struct {
	name     string
	kind     kind
	length   int  // UTF-16 units of a text
	digits   int  // before the decimal point
	writable bool // by the API at all
	access   Access
}

func (f *field) label() string {
	return strings.ReplaceAll(strings.TrimSuffix(f.name, "__c"), "_", " ")
}

type object struct {
	name, label string
	prefix      string
	parent      string            // the object, and the relationship, that it points to; "" = none
	fields      map[string]*field // by lower-case name
	order       []string          // lower-case names as declared
}

func newObject(name, label, prefix, parent string, fields ...field) *object {
	o := &object{name: name, label: label, prefix: prefix, parent: parent, fields: map[string]*field{}}
	o.add(field{name: "Id", kind: kindID})
	for _, f := range fields {
		o.add(f)
	}
	return o
}

func (o *object) add(f field) {
	f.access = AccessEdit
	low := strings.ToLower(f.name)
	o.fields[low] = &f
	o.order = append(o.order, low)
}

// visible returns the field if this user can see it. Names are matched without
// regard to case, as the platform does.
func (o *object) visible(name string) (*field, bool) {
	f, ok := o.fields[strings.ToLower(name)]
	return f, ok && f.access != AccessNone
}

// statuses are the values of Provisioning_Status__c, a restricted picklist.
var statuses = []string{"Pending Review", "Activating", "Provisioned", "Failed"}

// newSchema is an org with orderbridge's fields in place. The optional fields
// of the mapping are not there: an org gets them by setting one on an order.
func newSchema() map[string]*object {
	return map[string]*object{
		"account": newObject("Account", "Account", "001", "",
			field{name: "Name", kind: kindString, length: 255},
			field{name: "WHMCS_Client_ID__c", kind: kindAny}),
		"product2": newObject("Product2", "Product", "01t", "",
			field{name: "Name", kind: kindString, length: 255},
			field{name: "WH_Product_ID__c", kind: kindAny},
			field{name: "Billing_Cycle__c", kind: kindString, length: 255}),
		"order": newObject("Order", "Order", "801", "Account",
			field{name: "AccountId", kind: kindID},
			field{name: "OrderNumber", kind: kindString, length: 30},
			field{name: "IsReductionOrder", kind: kindBoolean},
			field{name: "CreatedDate", kind: kindDateTime},
			field{name: "LastModifiedDate", kind: kindDateTime},
			field{name: "Provisioning_Status__c", kind: kindPicklist, length: 255, writable: true},
			field{name: "Last_Provisioning_At__c", kind: kindDateTime, writable: true},
			field{name: "Provisioning_Next_Try_At__c", kind: kindDateTime, writable: true},
			field{name: "Provisioning_Seq__c", kind: kindDouble, digits: 18, writable: true},
			field{name: "WHMCS_Order_ID__c", kind: kindString, length: 20, writable: true},
			field{name: "Provisioning_Error_Code__c", kind: kindString, length: 80, writable: true},
			field{name: "Provisioning_Error_Message__c", kind: kindString, length: 255, writable: true}),
		"orderitem": newObject("OrderItem", "Order Product", "802", "Product2",
			field{name: "Quantity", kind: kindDouble, digits: 16, writable: true},
			field{name: "CreatedDate", kind: kindDateTime},
			field{name: "LastModifiedDate", kind: kindDateTime},
			field{name: "Provisioning_Seq__c", kind: kindDouble, digits: 18, writable: true},
			field{name: "WHMCS_Service_ID__c", kind: kindTextArea, length: 4096, writable: true}),
	}
}
