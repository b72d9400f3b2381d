package salesforcetest

import (
	"strings"
)

type kind string

const (
	kindID        kind = "id"
	kindString    kind = "string"
	kindTextArea  kind = "textarea"
	kindPicklist  kind = "picklist"
	kindDouble    kind = "double"
	kindCurrency  kind = "currency"
	kindBoolean   kind = "boolean"
	kindDateTime  kind = "datetime"
	kindReference kind = "reference"
	kindAny       kind = "anyType" // a number or a text, as the installation chose
)

type field struct {
	name, label string
	kind        kind
	length      int // UTF-16 units of a text
	digits      int // before the decimal point
	values      []string
	refTo       string
	relation    string
	writable    bool // by the API at all
	access      Access
}

type object struct {
	name     string
	label    string
	prefix   string
	fields   map[string]*field // by lower-case name
	order    []string          // lower-case names as declared
	children map[string]child  // by lower-case relationship name
}

type child struct {
	name, object, by string
}

func (o *object) add(f field) {
	f.access = AccessEdit
	if f.label == "" {
		f.label = strings.ReplaceAll(strings.TrimSuffix(f.name, "__c"), "_", " ")
	}
	low := strings.ToLower(f.name)
	o.fields[low] = &f
	o.order = append(o.order, low)
}

// visible returns the field if this user can see it. Names are matched without
// regard to case, as the platform does.
func (o *object) visible(name string) (*field, bool) {
	f, ok := o.fields[strings.ToLower(name)]
	if !ok || f.access == AccessNone {
		return nil, false
	}
	return f, true
}

func (o *object) relation(name string) (*field, bool) {
	for _, low := range o.order {
		if f := o.fields[low]; f.relation != "" && strings.EqualFold(f.relation, name) && f.access != AccessNone {
			return f, true
		}
	}
	return nil, false
}

// Statuses are the values of Provisioning_Status__c, a restricted picklist.
var statuses = []string{"Pending Review", "Activating", "Provisioned", "Failed"}

// newSchema is an org with orderbridge's fields in place. The optional fields
// of the mapping are not there: an org gets them by setting one on an order.
func newSchema() map[string]*object {
	make1 := func(name, label, prefix string) *object {
		o := &object{name: name, label: label, prefix: prefix, fields: map[string]*field{}, children: map[string]child{}}
		o.add(field{name: "Id", label: label + " ID", kind: kindID})
		return o
	}
	system := func(o *object) {
		o.add(field{name: "CreatedDate", label: "Created Date", kind: kindDateTime})
		o.add(field{name: "LastModifiedDate", label: "Last Modified Date", kind: kindDateTime})
		o.add(field{name: "SystemModstamp", label: "System Modstamp", kind: kindDateTime})
	}

	account := make1("Account", "Account", "001")
	account.add(field{name: "Name", label: "Account Name", kind: kindString, length: 255, writable: true})
	account.add(field{name: "WHMCS_Client_ID__c", kind: kindAny, writable: true})
	account.children["orders"] = child{"Orders", "Order", "AccountId"}

	product := make1("Product2", "Product", "01t")
	product.add(field{name: "Name", label: "Product Name", kind: kindString, length: 255, writable: true})
	product.add(field{name: "WH_Product_ID__c", kind: kindAny, writable: true})
	product.add(field{name: "Billing_Cycle__c", kind: kindString, length: 255, writable: true})

	orders := make1("Order", "Order", "801")
	orders.add(field{name: "OrderNumber", label: "Order Number", kind: kindString, length: 30})
	orders.add(field{name: "AccountId", label: "Account ID", kind: kindReference, refTo: "Account", relation: "Account", writable: true})
	orders.add(field{name: "Status", kind: kindString, length: 255, writable: true})
	orders.add(field{name: "Description", label: "Order Description", kind: kindTextArea, length: 32000, writable: true})
	orders.add(field{name: "IsReductionOrder", label: "Reduction Order", kind: kindBoolean})
	orders.add(field{name: "TotalAmount", label: "Order Amount", kind: kindCurrency, digits: 16})
	system(orders)
	orders.add(field{name: "Provisioning_Status__c", kind: kindPicklist, length: 255, values: statuses, writable: true})
	orders.add(field{name: "Last_Provisioning_At__c", kind: kindDateTime, writable: true})
	orders.add(field{name: "Provisioning_Seq__c", kind: kindDouble, digits: 18, writable: true})
	orders.add(field{name: "WHMCS_Order_ID__c", kind: kindString, length: 20, writable: true})
	orders.add(field{name: "Provisioning_Error_Code__c", kind: kindString, length: 80, writable: true})
	orders.add(field{name: "Provisioning_Error_Message__c", kind: kindString, length: 255, writable: true})
	orders.children["orderitems"] = child{"OrderItems", "OrderItem", "OrderId"}

	items := make1("OrderItem", "Order Product", "802")
	items.add(field{name: "OrderItemNumber", label: "Order Product Number", kind: kindString, length: 30})
	items.add(field{name: "OrderId", label: "Order ID", kind: kindReference, refTo: "Order", relation: "Order"})
	items.add(field{name: "Product2Id", label: "Product ID", kind: kindReference, refTo: "Product2", relation: "Product2"})
	items.add(field{name: "Quantity", kind: kindDouble, digits: 16, writable: true})
	items.add(field{name: "UnitPrice", label: "Unit Price", kind: kindCurrency, digits: 16, writable: true})
	system(items)
	items.add(field{name: "WHMCS_Service_ID__c", kind: kindTextArea, length: 4096, writable: true})

	all := map[string]*object{}
	for _, o := range []*object{account, product, orders, items} {
		all[strings.ToLower(o.name)] = o
	}
	return all
}
