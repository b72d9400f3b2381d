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
	for condition, want := range map[string]bool{
		"txt = :s":                               true,
		"txt = :n10":                             false,
		"txt <> :n10":                            true,
		"num = :n10":                             true,
		"num = same":                             true,
		"num <> same":                            false,
		"big = :big":                             true,
		"big = :big1":                            false,
		"big > :big1":                            true,
		"num > :n9":                              true,
		"num < :n9":                              false,
		"num >= :n10 AND num <= :n10":            true,
		"txt > :str":                             true,
		"txt < :n9":                              false,
		"num IN (:n9, :n10)":                     true,
		"num in (:n9, same)":                     true,
		"num IN (:s)":                            false,
		"absent IN (:s)":                         false,
		"flag = :t":                              true,
		"flag = :f":                              false,
		"nothing = :null":                        true,
		"many = :l":                              true,
		"dict.core.deep = :neg":                  true,
		"dict.odd = :a":                          false,
		"absent = :a":                            false,
		"absent <> :a":                           true,
		"absent < :a":                            false,
		"NOT absent = :a":                        true,
		"absent = absent2":                       false,
		"attribute_exists(txt)":                  true,
		"attribute_exists(absent)":               false,
		"attribute_exists(dict.core)":            true,
		"attribute_exists(txt.x)":                false,
		"attribute_not_exists(absent)":           true,
		"attribute_not_exists(dict.core)":        false,
		"size(txt) = :n6":                        true, // UTF-16 units, not bytes
		"size(face) = :n2":                       true,
		"size(many) = :n3":                       true,
		"size(dict) > :n1":                       true,
		"size(blank) = :n0":                      true,
		"size(absent) < :n9":                     false,
		"size(num) < :n9":                        false,
		"NOT num = :n10":                         false,
		"NOT num = :n9 AND txt = :s":             true,
		"NOT (num = :n10 OR txt = :a)":           false,
		"num = :n9 OR txt = :s AND flag = :t":    true,
		"(num = :n10 OR txt = :s) AND flag = :f": false,
		"num = :n10 OR txt = :s AND flag = :f":   true,
		"attribute_not_exists(pk) OR (num = :n10 AND NOT flag = :f)": true,
		"attribute_exists(pk)and(num=:n10)and size ( many )<>:n1":    true,
	} {
		got, err := r.try(condition, params)
		if err != nil {
			t.Errorf("%s: %v", condition, err)
		} else if got != want {
			t.Errorf("%s: %v, want %v", condition, got, want)
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
	const syntax = "Syntax error;"
	for condition, message := range map[string]string{
		"": syntax, "a": syntax, "a-b": syntax, "a = ": syntax, "a == :s": syntax, "a = :s AND": syntax, "a = :s b = :s": syntax,
		"(a = :s": syntax, "a = :s)": syntax, "a = 5": syntax, "a = 'x'": syntax, "a[0] = :s": syntax, "a. = :s": syntax, "# = :s": "is not defined",
		"a ! :s": syntax, "ä = :s": syntax, "a IN :n": syntax, "a IN ()": syntax, "a AND b = :s": syntax, "NOT :b": syntax, "(a = :s) = :s": syntax,
		"a = b = :s": syntax, "size() = :n": syntax, "size(a)": syntax, "attribute_exists(a) = :b": syntax, "attribute_exists(a, b)": syntax,
		"(a) = :s":                           syntax,
		"a BETWEEN :n AND :n":                `token: "BETWEEN"`,
		"begins_with(a, :s)":                 `does not support "begins_with"`,
		"contains(a, :s)":                    `does not support "contains"`,
		"attribute_type(a, :s)":              `does not support "attribute_type"`,
		"Attribute_exists(a)":                `does not support "Attribute_exists"`,
		"attribute_exists(:s)":               syntax,
		"((a = :s))":                         "The expression has redundant parentheses;",
		"a = :nope":                          "An expression attribute value used in expression is not defined; attribute value: :nope",
		"a = a":                              "The first operand must be distinct from the remaining operands",
		in(101):                              "The IN operator is provided with too many operands; number of operands: 101",
		"a = :s" + strings.Repeat(" ", 4096): "Expression size has exceeded the maximum allowed size; expression size: 4103",
		strings.TrimSuffix(strings.Repeat("a=:s or ", 151), " or "): "The expression contains too many operators; operator count: 301",
		"a" + strings.Repeat(".a", 32) + " = :s":                    "The document path has too many nesting elements; nesting depth: 33",
	} {
		t.Run(condition, func(t *testing.T) {
			_, err := r.try(condition, params)
			wantInvalid(t, err, "Invalid ConditionExpression: ")
			wantInvalid(t, err, message)
		})
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
		t.Run(name, func(t *testing.T) {
			_, err := r.tryWith(c.condition, c.names, c.values)
			wantInvalid(t, err, c.message)
		})
	}
	_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")}, ExpressionAttributeNames: a})
	wantInvalid(t, err, "unused in expressions")
}
