package store

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// FromStream decodes one new image of the table's stream, in DynamoDB's own
// JSON ({"pk":{"S":"order#…"},…}). visible is false where Salesforce need not
// see the write: another kind of item, or a write for the engine alone. Beside
// an error (internal_error) the record holds at most its ID.
func FromStream(image []byte) (rec order.Record, visible bool, err error) {
	item, err := attributevalue.UnmarshalMapJSON(image)
	if err != nil {
		return order.Record{}, true, fault.Wrap(fault.Internal, fmt.Errorf("read stream image: %w", err))
	}
	if !order.Signal(member(item, attrSignal)).Visible() {
		return order.Record{}, false, nil
	}
	if rec, err = Decode(item); err != nil {
		id, _ := OrderID(member(item, attrPK))
		return order.Record{ID: id}, true, err
	}
	return rec, true, nil
}

// member returns a text attribute; "" where it is none.
func member(item map[string]types.AttributeValue, name string) string {
	if v, ok := item[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}
