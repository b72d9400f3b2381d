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
func (r *rig) try(condition string, n names, v values) (bool, error) {
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

// used keeps of the placeholders those that an expression has.
func used[T any](expression string, all map[string]T) map[string]T {
	out := map[string]T{}
	for _, word := range strings.FieldsFunc(expression, func(c rune) bool { return strings.ContainsRune(" (),.=<>[]+-", c) }) {
		if v, ok := all[word]; ok {
			out[word] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func TestConditionsHoldAsInTheService(t *testing.T) {
	r := start(t).orders()
	r.put(values{
		"pk": s("1"), "txt": s("Straße"), "num": n("10"), "big": n("9007199254740993"), "bin": b("\x01\xff"), "flag": yes(true), "nothing": null(),
		"strs": ss("a", "b"), "nums": ns("1", "2"), "bins": bs("x"), "many": l(s("a"), n("1.0"), m(values{"k": s("v")})),
		"dict": m(values{"in": m(values{"deep": n("-1")}), "odd.name": s("o")}), "same": n("10"), "blank": s(""), "face": s("😀"),
	})
	params := values{
		":s": s("Straße"), ":str": s("Str"), ":a": s("a"), ":z": s("z"), ":none": s(""), ":n10": n("1e1"), ":n9": n("9"), ":n11": n("11"), ":n1": n("1"),
		":big": n("9007199254740993"), ":big1": n("9007199254740992"), ":b": b("\x01\xff"), ":b1": b("\x01"), ":b2": b("\x02"), ":t": yes(true), ":f": yes(false), ":null": null(),
		":ba": ss("b", "a"), ":21": ns("2.0", "1"), ":l": l(s("a"), n("1"), m(values{"k": s("v")})), ":m": m(values{"k": s("v")}), ":x": b("x"),
		":tS": s("S"), ":tM": s("M"), ":tNULL": s("NULL"), ":n6": n("6"), ":n3": n("3"), ":n2": n("2"), ":neg": n("-1"), ":n0": n("0"),
	}
	aliases := names{"#txt": "txt", "#dict": "dict", "#odd": "odd.name", "#in": "in", "#absent": "absent"}
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
		"bin > :b1 and bin < :b2":                true,
		"txt < :n9":                              false,
		"num BETWEEN :n9 AND :n11":               true,
		"num between :n11 and :n11":              false,
		"txt BETWEEN :n9 AND :n11":               false,
		":n10 BETWEEN num AND same":              true,
		"num IN (:n9, :n10)":                     true,
		"num IN (:n9, same)":                     true,
		"num IN (:s)":                            false,
		"flag = :t":                              true,
		"flag = :f":                              false,
		"nothing = :null":                        true,
		"strs = :ba":                             true,
		"nums = :21":                             true,
		"many = :l":                              true,
		"many[2] = :m":                           true,
		"many[2].k = :a":                         false,
		"many[9] = :a":                           false,
		"dict.#in.deep = :neg":                   true,
		"#dict.#odd = :a":                        false,
		"absent = :a":                            false,
		"absent <> :a":                           true,
		"absent < :a":                            false,
		"NOT absent = :a":                        true,
		"absent = absent2":                       false,
		"attribute_exists(txt)":                  true,
		"attribute_exists(#absent)":              false,
		"attribute_exists(dict.#in)":             true,
		"attribute_exists(txt.x)":                false,
		"attribute_not_exists(#absent)":          true,
		"attribute_not_exists(many[3])":          true,
		"attribute_not_exists(many[0])":          false,
		"attribute_type(txt, :tS)":               true,
		"attribute_type(dict, :tM)":              true,
		"attribute_type(nothing, :tNULL)":        true,
		"attribute_type(absent, :tS)":            false,
		"begins_with(txt, :str)":                 true,
		"begins_with(txt, :a)":                   false,
		"begins_with(txt, :none)":                true,
		"begins_with(bin, :b1)":                  true,
		"begins_with(num, :str)":                 false,
		"contains(txt, :a)":                      true,
		"contains(txt, :z)":                      false,
		"contains(strs, :a)":                     true,
		"contains(strs, :z)":                     false,
		"contains(nums, :n1)":                    true,
		"contains(nums, :n9)":                    false,
		"contains(bins, :x)":                     true,
		"contains(many, :n1)":                    true,
		"contains(many, :m)":                     true,
		"contains(absent, :a)":                   false,
		"contains(txt, :n1)":                     false,
		"size(txt) = :n6":                        true, // UTF-16 units, not bytes
		"size(face) = :n2":                       true,
		"size(many) = :n3":                       true,
		"size(strs) = :n2":                       true,
		"size(dict) > :n1":                       true,
		"size(bin) = :n2":                        true,
		"size(blank) = :n0":                      true,
		"size(absent) < :n9":                     false,
		"size(num) < :n9":                        false,
		"NOT num = :n10":                         false,
		"NOT num = :n9 AND txt = :s":             true,
		"NOT (num = :n10 OR txt = :a)":           false,
		"num = :n9 OR txt = :s AND flag = :t":    true,
		"(num = :n10 OR txt = :s) AND flag = :f": false,
		"num = :n10 OR txt = :s AND flag = :f":   true,
		"(num) = (:n10)":                         true,
		"attribute_not_exists(pk) OR (num = :n10 AND NOT flag = :f)":        true,
		"attribute_exists(pk)and(num=:n10)and size ( strs )<>:n1":           true,
		"#txt = :s AND contains(#dict.#odd, :none) AND (dict).#in.deep<:n0": true,
	} {
		got, err := r.try(condition, used(condition, aliases), used(condition, params))
		if err != nil {
			t.Errorf("%s: %v", condition, err)
		} else if got != want {
			t.Errorf("%s: %v, want %v", condition, got, want)
		}
	}
}

func TestAWrongConditionIsRefused(t *testing.T) {
	r := start(t).orders()
	params := values{":s": s("s"), ":n": n("1"), ":n2": n("2"), ":b": yes(true), ":l": l(), ":q": s("Q")}
	aliases := names{"#a": "a"}
	in := func(count int) string { return "a IN (" + strings.TrimSuffix(strings.Repeat(":s,", count), ",") + ")" }
	for condition, message := range map[string]string{
		"":                                   "The expression can not be empty;",
		"a":                                  `Syntax error; token: "<EOF>", near: "a"`,
		"a-b":                                `Syntax error; token: "-", near: "a-b"`,
		"a = ":                               `Syntax error; token: "<EOF>", near: "="`,
		"a == :s":                            `Syntax error; token: "=", near: "==`,
		"a = :s AND":                         "Syntax error;",
		"a = :s b = :s":                      `Syntax error; token: "b", near: ":s b ="`,
		"(a = :s":                            "Syntax error;",
		"a = :s)":                            "Syntax error;",
		"a = 5":                              `Syntax error; token: "5", near: "= 5"`,
		"a = 'x'":                            "Syntax error;",
		"a[x] = :s":                          `Syntax error; token: "x", near: "[x]"`,
		"a. = :s":                            "Syntax error;",
		"# = :s":                             `Syntax error; token: "#", near: "# ="`,
		"a ! :s":                             `Syntax error; token: "!", near: "a ! :s"`,
		"ä = :s":                             `Syntax error; token: "ä", near: "ä ="`,
		"a BETWEEN :n":                       "Syntax error;",
		"a IN :n":                            "Syntax error;",
		"a IN ()":                            "Syntax error;",
		"a AND b = :s":                       "Syntax error;",
		"NOT :b":                             "Syntax error;",
		"(a = :s) = :s":                      "Syntax error;",
		"a = b = :s":                         "Syntax error;",
		"and = :s":                           "Syntax error;",
		"size() = :n":                        `Syntax error; token: ")", near: "()`,
		"size = :n":                          "Attribute name is a reserved keyword; reserved keyword: size",
		"status = :s":                        "Attribute name is a reserved keyword; reserved keyword: status",
		"a.State = :s":                       "Attribute name is a reserved keyword; reserved keyword: State",
		"((a = :s))":                         "The expression has redundant parentheses;",
		"a = ((:s))":                         "The expression has redundant parentheses;",
		"nosuch(a)":                          "Invalid function name; function: nosuch",
		"Attribute_exists(a)":                "Invalid function name; function: Attribute_exists",
		"size(a)":                            "The function is not allowed to be used this way in an expression; function: size",
		"attribute_exists(a) = :b":           "The function is not allowed to be used this way in an expression; function: attribute_exists",
		"contains(contains(a, b), :s)":       "The function is not allowed to be used this way in an expression; function: contains",
		"#b = :s":                            "An expression attribute name used in the document path is not defined; attribute name: #b",
		"a = :nope":                          "An expression attribute value used in expression is not defined; attribute value: :nope",
		"attribute_exists(a, b)":             "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
		"begins_with(a)":                     "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
		"attribute_exists(:s)":               "Operator or function requires a document path; operator or function: attribute_exists",
		"begins_with(a, :n)":                 "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"attribute_type(a, :n)":              "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
		"attribute_type(a, b)":               "operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}",
		"attribute_type(a, :q)":              "Invalid attribute type name found; type: Q, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"size(:n) = :n2":                     "Incorrect operand type for operator or function; operator or function: size, operand type: N",
		"a < :b":                             "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
		"a BETWEEN :l AND :l":                "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: L",
		"a = a":                              "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
		"#a[1] <> a[1]":                      "operator: <>, first operand: [a, [1]]",
		"a BETWEEN :n2 AND :n":               "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
		"a BETWEEN :n AND :s":                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:s}",
		"a[99999999999] = :s":                "List index is not within the allowable range; index: [99999999999]",
		in(101):                              "The IN operator is provided with too many operands; number of operands: 101",
		"a = :s" + strings.Repeat(" ", 4096): "Expression size has exceeded the maximum allowed size; expression size: 4102",
		strings.TrimSuffix(strings.Repeat("a=:s or ", 151), " or "): "The expression contains too many operators; operator count: 301",
	} {
		t.Run(condition, func(t *testing.T) {
			_, err := r.try(condition, used(condition, aliases), used(condition, params))
			wantInvalid(t, err, "Invalid ConditionExpression: ")
			wantInvalid(t, err, message)
		})
	}
	if ok, err := r.try(in(100), nil, values{":s": s("s")}); ok || err != nil {
		t.Fatalf("100 operands of IN: %v, %v", ok, err)
	}
}

func TestPlaceholdersMustBeDefinedAndUsed(t *testing.T) {
	r := start(t).orders()
	for name, c := range map[string]struct {
		condition string
		names     names
		values    values
		message   string
	}{
		"unused name":      {"a = :a", names{"#x": "x", "#y": "y"}, values{":a": s("")}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x, #y}"},
		"unused value":     {"a = :a", nil, values{":a": s(""), ":b": s("")}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"},
		"name without #":   {"a = :a", names{"x": "x"}, values{":a": s("")}, `ExpressionAttributeNames contains invalid key: Syntax error; key: "x"`},
		"value without :":  {"a = :a", nil, values{"a": s("")}, `ExpressionAttributeValues contains invalid key: Syntax error; key: "a"`},
		"bad characters":   {"a = :a", nil, values{":a-b": s("")}, `ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b"`},
		"a bad value":      {"a = :a", nil, values{":a": n("x")}, "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :a"},
		"an empty set":     {"a = :a", nil, values{":a": ss()}, "ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An string set  may not be empty for key :a"},
		"no names at all":  {"a = :a", names{}, values{":a": s("")}, "ExpressionAttributeNames must not be empty"},
		"no values at all": {"a = b", nil, values{}, "ExpressionAttributeValues must not be empty"},
		"into the key":     {"pk.x = :a", nil, values{":a": s("")}, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.try(c.condition, c.names, c.values)
			wantInvalid(t, err, c.message)
		})
	}
	_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")}, ExpressionAttributeNames: names{"#a": "a"}})
	wantInvalid(t, err, "ExpressionAttributeNames can only be specified when using expressions")
	_, err = r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}, ExpressionAttributeValues: values{":a": s("a")}})
	wantInvalid(t, err, "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null")
}

func TestLegacyParametersAreRefused(t *testing.T) {
	r := start(t).orders()
	_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")},
		Expected: map[string]types.ExpectedAttributeValue{"pk": {Exists: aws.Bool(false)}}})
	wantInvalid(t, err, "Legacy parameters are not supported")
	_, err = r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")},
		Expected: map[string]types.ExpectedAttributeValue{"pk": {Exists: aws.Bool(false)}}, ConditionExpression: aws.String("attribute_exists(pk)")})
	wantInvalid(t, err, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}")
}
