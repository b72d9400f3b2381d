package store

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// update collects one UpdateItem. Every name goes through a placeholder: half
// of the attributes are reserved words (state, keys, plan, …), and nonces and
// idempotency keys are names that a caller chose.
type update struct {
	sets, removes, conds []string
	names                map[string]string // name -> placeholder
	values               map[string]types.AttributeValue
}

func newUpdate() *update {
	return &update{names: map[string]string{}, values: map[string]types.AttributeValue{}}
}

// path returns the document path of an attribute, or of a child of a map.
func (u *update) path(names ...string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		p, ok := u.names[n]
		if !ok {
			p = "#n" + strconv.Itoa(len(u.names))
			u.names[n] = p
		}
		parts[i] = p
	}
	return strings.Join(parts, ".")
}

// val returns the placeholder of a value.
func (u *update) val(v types.AttributeValue) string {
	p := ":v" + strconv.Itoa(len(u.values))
	u.values[p] = v
	return p
}

// set writes v at path; a nil v removes what is there.
func (u *update) set(path string, v types.AttributeValue) {
	if v == nil {
		u.remove(path)
		return
	}
	u.sets = append(u.sets, path+" = "+u.val(v))
}

// grow adds 1 to a number; an absent one counts as 0.
func (u *update) grow(attr string) {
	p := u.path(attr)
	u.sets = append(u.sets, p+" = "+u.next(p))
}

// next is the operand "the number at path, plus 1", as it was before the update.
func (u *update) next(path string) string {
	return "if_not_exists(" + path + ", " + u.val(num(0)) + ") + " + u.val(num(1))
}

func (u *update) remove(path string) { u.removes = append(u.removes, path) }

func (u *update) require(cond string) { u.conds = append(u.conds, cond) }

// equal requires that path holds v.
func (u *update) equal(path string, v types.AttributeValue) {
	u.require(path + " = " + u.val(v))
}

// unmoved requires that nobody wrote since the version that was seen.
func (u *update) unmoved(version int64) {
	if version == 0 { // written before there were versions
		u.require("attribute_not_exists(" + u.path(attrVersion) + ")")
		return
	}
	u.equal(u.path(attrVersion), num(version))
}

func (u *update) input(table, pk string) *dynamodb.UpdateItemInput {
	var expr []string
	if len(u.sets) > 0 {
		expr = append(expr, "SET "+strings.Join(u.sets, ", "))
	}
	if len(u.removes) > 0 {
		expr = append(expr, "REMOVE "+strings.Join(u.removes, ", "))
	}
	in := &dynamodb.UpdateItemInput{
		TableName:                           aws.String(table),
		Key:                                 map[string]types.AttributeValue{attrPK: str(pk)},
		UpdateExpression:                    aws.String(strings.Join(expr, " ")),
		ExpressionAttributeNames:            make(map[string]string, len(u.names)),
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if len(u.conds) > 0 {
		in.ConditionExpression = aws.String(strings.Join(u.conds, " AND "))
	}
	for name, p := range u.names {
		in.ExpressionAttributeNames[p] = name
	}
	if len(u.values) > 0 {
		in.ExpressionAttributeValues = u.values
	}
	return in
}
