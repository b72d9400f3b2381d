package dynamodb_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// try runs a condition on the item "1" of Orders and changes nothing.
func (r *rig) try(condition string, v values) (bool, error) {
	condition, n, v := aliased(condition, v)
	return r.tryWith(condition, n, v)
}

func (r *rig) tryWith(condition string, n names, v values) (bool, error) {
	_, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("Orders"), Key: values{"pk": s("1")}, ConditionExpression: &condition,
		ExpressionAttributeNames: n, ExpressionAttributeValues: v,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return false, nil
	}
	return err == nil, err
}

func TestConditionsHoldAsInTheService(t *testing.T) {
	r := start(t).orders()
	r.put(values{
		"pk": s("1"), "txt": s("Straße"), "num": n("10"), "big": n("9007199254740993"), "flag": yes(true), "nothing": null(),
		"many": l(s("a"), n("1.0"), m(values{"k": s("v")})),
		"dict": m(values{"core": m(values{"deep": n("-1")}), "odd": s("o")}), "same": n("10"), "blank": s(""), "face": s("😀"),
	})
	params := values{
		":s": s("Straße"), ":str": s("Str"), ":a": s("a"), ":n10": n("10.0"), ":n9": n("9"), ":n1": n("1"),
		":big": n("9007199254740993"), ":big1": n("9007199254740992"), ":t": yes(true), ":f": yes(false), ":null": null(),
		":l": l(s("a"), n("1"), m(values{"k": s("v")})), ":n6": n("6"), ":n3": n("3"), ":n2": n("2"), ":neg": n("-1"), ":n0": n("0"),
	}
	for want, conditions := range map[bool][]string{
		true: { // size counts UTF-16 units, not bytes
			"txt = :s", "txt <> :n10", "num = :n10", "num = same", "big = :big", "big > :big1", "num > :n9", "num >= :n10 AND num <= :n10", "txt > :str",
			"num IN (:n9, :n10)", "num in (:n9, same)", "flag = :t", "nothing = :null", "many = :l", "dict.core.deep = :neg", "absent <> :a",
			"NOT absent = :a", "attribute_exists(txt)", "attribute_exists(dict.core)", "attribute_not_exists(absent)", "size(txt) = :n6", "size(face) = :n2",
			"size(many) = :n3", "size(dict) > :n1", "size(blank) = :n0", "NOT num = :n9 AND txt = :s", "num = :n9 OR txt = :s AND flag = :t",
			"num = :n10 OR txt = :s AND flag = :f", "attribute_not_exists(pk) OR (num = :n10 AND NOT flag = :f)",
			"attribute_exists(pk)and(num=:n10)and size ( many )<>:n1",
		},
		false: {
			"txt = :n10", "num <> same", "big = :big1", "num < :n9", "txt < :n9", "num IN (:s)", "absent IN (:s)", "flag = :f", "dict.odd = :a",
			"absent = :a", "absent < :a", "absent = absent2", "attribute_exists(absent)", "attribute_exists(txt.x)", "attribute_not_exists(dict.core)",
			"size(absent) < :n9", "size(num) < :n9", "NOT num = :n10", "NOT (num = :n10 OR txt = :a)", "(num = :n10 OR txt = :s) AND flag = :f",
		},
	} {
		for _, condition := range conditions {
			if got, err := r.try(condition, params); err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", condition, got, err, want)
			}
		}
	}
	if ok, err := r.tryWith("attribute_exists(pk)", nil, nil); !ok || err != nil {
		t.Errorf("a key's name needs no placeholder: %v, %v", ok, err)
	}
}

func TestAWrongConditionIsRefused(t *testing.T) {
	r := start(t).orders()
	params := values{":s": s("s"), ":n": n("1"), ":b": yes(true)}
	in := func(count int) string { return "a IN (" + strings.TrimSuffix(strings.Repeat(":s,", count), ",") + ")" }
	for message, conditions := range map[string][]string{
		"Syntax error;": {
			"", "a", "a-b", "a = ", "a == :s", "a = :s AND", "a = :s b = :s", "(a = :s", "a = :s)", "a = 5", "a = 'x'", "a[0] = :s", "a. = :s", "a ! :s", "ä = :s", "a IN :n", "a IN ()",
			"a AND b = :s", "NOT :b", "(a = :s) = :s", "a = b = :s", "size() = :n", "size(a)", "attribute_exists(a) = :b", "attribute_exists(a, b)", "(a) = :s", "attribute_exists(:s)",
		},
		`token: "BETWEEN"`:                     {"a BETWEEN :n AND :n"},
		`does not support "begins_with"`:       {"begins_with(a, :s)"},
		`does not support "contains"`:          {"contains(a, :s)"},
		`does not support "attribute_type"`:    {"attribute_type(a, :s)"},
		`does not support "Attribute_exists"`:  {"Attribute_exists(a)"},
		"The expression has redundant":         {"((a = :s))"},
		"is not defined; attribute name: #":    {"# = :s"},
		"is not defined; attribute value: :no": {"a = :no"},
		"The first operand must be distinct":   {"a = a"},
		"number of operands: 101":              {in(101)},
		"expression size: 4103":                {"a = :s" + strings.Repeat(" ", 4096)},
		"operator count: 301":                  {strings.TrimSuffix(strings.Repeat("a=:s or ", 151), " or ")},
		"nesting depth: 33":                    {"a" + strings.Repeat(".a", 32) + " = :s"},
	} {
		for _, condition := range conditions {
			_, err := r.try(condition, params)
			wantInvalid(t, err, "Invalid ConditionExpression: ")
			wantInvalid(t, err, message)
		}
	}
	if ok, err := r.try(in(100), params); ok || err != nil {
		t.Fatalf("100 operands of IN: %v, %v", ok, err)
	}
}

func TestPlaceholdersMustBeDefinedAndUsed(t *testing.T) {
	r := start(t).orders()
	a := names{"#a": "a"}
	for name, c := range map[string]struct {
		condition string
		names     names
		values    values
		message   string
	}{
		"no placeholder":   {"status = :a", nil, values{":a": s("")}, `does not support "status" here: the name of an attribute that is not of a key needs a placeholder`},
		"undefined name":   {"#b = :a", a, values{":a": s("")}, "An expression attribute name used in the document path is not defined; attribute name: #b"},
		"unused name":      {"#a = :a", names{"#a": "a", "#y": "y"}, values{":a": s("")}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#y}"},
		"unused value":     {"#a = :a", a, values{":a": s(""), ":b": s("")}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"},
		"name without #":   {"#a = :a", names{"#a": "a", "x": "x"}, values{":a": s("")}, "unused in expressions: keys: {x}"},
		"a bad value":      {"#a = :a", a, values{":a": n("x")}, `"x" is not a number`},
		"no names at all":  {"pk = :a", names{}, values{":a": s("")}, "must not be empty"},
		"no values at all": {"attribute_exists(pk)", nil, values{}, "must not be empty"},
	} {
		t.Log(name)
		_, err := r.tryWith(c.condition, c.names, c.values)
		wantInvalid(t, err, c.message)
	}
	r.calls([3]string{"PutItem", `{"Item":{"pk":{"S":"1"}},"ExpressionAttributeNames":{"#a":"a"}}`, "unused in expressions"})
}
