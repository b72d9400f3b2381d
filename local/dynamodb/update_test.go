package dynamodb_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func TestUpdatesWorkAsInTheService(t *testing.T) {
	r := start(t).orders()
	params := values{
		":1": n("1"), ":half": n("0.5"), ":neg": n("-7"), ":s": s("x"), ":l": l(s("new")), ":m": m(values{"k": n("1")}), ":ss": ss("b", "c"), ":ns": ns("2.0", "9"),
		":bs": bs("y"), ":ab": ss("a", "b"), ":tiny": n("1e-30"),
	}
	aliases := names{"#k": "key.with.dots", "#m": "dict", "#state": "state"}
	for expression, change := range map[string]values{
		"SET txt = :s":                                          {"txt": s("x")},
		"set txt = :s":                                          {"txt": s("x")},
		"SET fresh = :m":                                        {"fresh": m(values{"k": n("1")})},
		"SET num = num + :1":                                    {"num": n("11")},
		"SET num = num - :half":                                 {"num": n("9.5")},
		"SET num = :1 - num":                                    {"num": n("-9")},
		"SET num = (num + :tiny)":                               {"num": n("10.000000000000000000000000000001")},
		"SET num = ((dict.core.deep) + (:1))":                   {"num": n("0")},
		"SET num = if_not_exists(num, :1) + :1":                 {"num": n("11")},
		"SET cnt = if_not_exists(cnt, :1) + :1":                 {"cnt": n("2")},
		"SET cnt = if_not_exists(cnt, if_not_exists(num, :1))":  {"cnt": n("10")},
		"SET num = txt, txt = num":                              {"num": s("text"), "txt": n("10")},
		"SET dict.fresh = :s":                                   {"dict": m(values{"core": m(values{"deep": n("-1")}), "fresh": s("x")})},
		"SET #m.#k = :s":                                        {"dict": m(values{"core": m(values{"deep": n("-1")}), "key.with.dots": s("x")})},
		"SET dict.core.deep = :1 REMOVE dict.gone":              {"dict": m(values{"core": m(values{"deep": n("1")})})},
		"SET many[1] = :s":                                      {"many": l(s("a"), s("x"), s("c"))},
		"SET many[9] = :s, many[7] = :1":                        {"many": l(s("a"), s("b"), s("c"), n("1"), s("x"))},
		"REMOVE many[0], many[1]":                               {"many": l(s("c"))},
		"REMOVE many[0] SET many[2] = :s":                       {"many": l(s("b"), s("x"))},
		"REMOVE many[5]":                                        {},
		"SET many = list_append(many, :l)":                      {"many": l(s("a"), s("b"), s("c"), s("new"))},
		"SET many = list_append(:l, many)":                      {"many": l(s("new"), s("a"), s("b"), s("c"))},
		"SET logs = list_append(if_not_exists(logs, :l), :l)":   {"logs": l(s("new"), s("new"))},
		"REMOVE txt, nothere, dict":                             {"txt": nil, "dict": nil},
		"REMOVE dict.core.deep":                                 {"dict": m(values{"core": m(values{})})},
		"ADD num :neg":                                          {"num": n("3")},
		"ADD cnt :1":                                            {"cnt": n("1")},
		"ADD dict.cnt :1":                                       {"dict": m(values{"core": m(values{"deep": n("-1")}), "cnt": n("1")})},
		"ADD strs :ss":                                          {"strs": ss("a", "b", "c")},
		"ADD nums :ns":                                          {"nums": ns("1", "2", "9")},
		"ADD bins :bs":                                          {"bins": bs("x", "y")},
		"ADD another :ss":                                       {"another": ss("b", "c")},
		"DELETE strs :ss":                                       {"strs": ss("a")},
		"DELETE nums :ns":                                       {"nums": ns("1")},
		"DELETE strs :ab":                                       {"strs": nil}, // a set is never empty
		"DELETE nothere :ab":                                    {},
		"SET #state = :s REMOVE txt ADD num :1 DELETE nums :ns": {"state": s("x"), "txt": nil, "num": n("11"), "nums": ns("1")},
		"SET many[0] = many[2], many[2] = many[0]":              {"many": l(s("c"), s("b"), s("a"))},
	} {
		t.Run(expression, func(t *testing.T) {
			before := values{
				"pk": s("1"), "num": n("10"), "txt": s("text"), "many": l(s("a"), s("b"), s("c")), "dict": m(values{"core": m(values{"deep": n("-1")})}),
				"strs": ss("a", "b"), "nums": ns("1", "2"), "bins": bs("x"),
			}
			r.put(before)
			out, err := r.update("1", expression, used(expression, aliases), used(expression, params))
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range change {
				if v == nil {
					delete(before, name)
				} else {
					before[name] = v
				}
			}
			wantItem(t, out.Attributes, before)
			wantItem(t, r.get("1"), before)
		})
	}
}

func TestAWrongUpdateIsRefusedAndChangesNothing(t *testing.T) {
	r := start(t).orders()
	largest := strings.Repeat("9", 38) + strings.Repeat("0", 88)
	item := values{"pk": s("1"), "num": n("10"), "txt": s("text"), "many": l(s("a")), "dict": m(values{"k": s("v")}), "strs": ss("a"), "most": n(largest)}
	r.put(item)
	params := values{":1": n("1"), ":s": s("x"), ":ss": ss("a"), ":ns": ns("1"), ":l": l(), ":m": m(values{}), ":null": null(), ":empty": s(""), ":small": n("1e-30"), ":max": n(largest)}
	aliases := names{"#d": "dict", "#k": "k"}
	const (
		path    = "The document path provided in the update expression is invalid for update"
		operand = "An operand in the update expression has an incorrect data type"
		absent  = "The provided expression refers to an attribute that does not exist in the item"
		wrong   = "Invalid UpdateExpression: "
		overlap = wrong + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: "
	)
	for expression, message := range map[string]string{
		"":                             wrong + "The expression can not be empty;",
		"whatever":                     wrong + `Syntax error; token: "whatever", near: "whatever"`,
		"INVALID SYNTAX HERE":          wrong + `Syntax error; token: "INVALID", near: "INVALID SYNTAX"`,
		"SET":                          wrong + `Syntax error; token: "<EOF>", near: "SET"`,
		"SET a":                        wrong + "Syntax error;",
		"SET a = ":                     wrong + "Syntax error;",
		"SET a = :s,":                  wrong + "Syntax error;",
		"SET a = set":                  wrong + "Syntax error;",
		"SET a = b + c + d":            wrong + "Syntax error;",
		"SET a = b * c":                wrong + "Syntax error;",
		"SET a = 1":                    wrong + "Syntax error;",
		`SET a = "x"`:                  wrong + "Syntax error;",
		"SET (a = :s)":                 wrong + "Syntax error;",
		"SET a = (b.c).d":              wrong + "Syntax error;",
		"SET :s = a":                   wrong + "Syntax error;",
		"REMOVE a = b":                 wrong + "Syntax error;",
		"REMOVE a b":                   wrong + "Syntax error;",
		"ADD a b":                      wrong + "Syntax error;",
		"ADD hits : incr":              wrong + `Syntax error; token: ":", near: "hits : incr"`,
		"DELETE a":                     wrong + "Syntax error;",
		"SET a = :s SET b = :s":        wrong + `The "SET" section can only be used once in an update expression;`,
		"remove a set b = :s remove c": wrong + `The "REMOVE" section can only be used once in an update expression;`,
		"SET state = :s":               wrong + "Attribute name is a reserved keyword; reserved keyword: state",
		"SET a = nosuch(b)":            wrong + "Invalid function name; function: nosuch",
		"SET a = size(b)":              wrong + "Invalid function name; function: size",
		"SET #x = :s":                  wrong + "An expression attribute name used in the document path is not defined; attribute name: #x",
		"SET a = :x":                   wrong + "An expression attribute value used in expression is not defined; attribute value: :x",
		"SET a = if_not_exists(b)":     wrong + "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
		"SET a = if_not_exists(:s, b)": wrong + "Operator or function requires a document path; operator or function: if_not_exists",
		"SET a = list_append(:s, b)":   wrong + "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
		"SET a = b + :s":               wrong + "Incorrect operand type for operator or function; operator or function: +, operand type: S",
		"SET a = :l - b":               wrong + "Incorrect operand type for operator or function; operator or function: -, operand type: L",
		"ADD a :s":                     wrong + "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND",
		"ADD a :l":                     wrong + "Incorrect operand type for operator or function; operator: ADD, operand type: LIST",
		"DELETE a :1":                  wrong + "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND",
		"SET a = :s, a = :1":           overlap + "[a], path two: [a]",
		"SET a = :s REMOVE a.b":        overlap + "[a], path two: [a, b]",
		"SET many = list_append(many, :l) REMOVE many[0]": overlap + "[many], path two: [many, [0]]",
		"ADD strs :ss DELETE strs :ss":                    overlap + "[strs], path two: [strs]",
		"SET #d.#k = :s, dict.k = :s":                     overlap + "[dict, k], path two: [dict, k]",
		"SET a.b = :s, a[0] = :s":                         wrong + "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]",
		"SET nothere.a = :s":                              path,
		"SET dict.a.b = :s":                               path,
		"SET txt.a = :s":                                  path,
		"SET many.a = :s":                                 path,
		"SET dict[0] = :s":                                path,
		"REMOVE nothere.a":                                path,
		"ADD nothere.a :1":                                path,
		"DELETE nothere.a :ss":                            path,
		"SET a = nothere":                                 absent,
		"SET a = nothere + :1":                            absent,
		"SET a = list_append(nothere, :l)":                absent,
		"SET a = txt + :1":                                operand,
		"SET a = list_append(txt, :l)":                    operand,
		"ADD txt :1":                                      operand,
		"ADD num :ss":                                     operand,
		"ADD strs :ns":                                    operand,
		"DELETE strs :ns":                                 operand,
		"DELETE txt :ss":                                  operand,
		"ADD most :max":                                   "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"SET num = most + :small":                         "Attempting to store more than 38 significant digits in a Number",
		"SET pk = :s":                                     "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
		"REMOVE pk":                                       "Cannot update attribute pk. This attribute is part of the key",
		"SET a = pk.x":                                    "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
		"SET due_at.x = :s":                               "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: due_at",
		"SET due_at = :s":                                 "One or more parameter values were invalid: Type mismatch for Index Key due_at Expected: N Actual: S IndexName: due",
		"SET due_at = txt":                                "The update expression attempted to update the secondary index key to unsupported type",
		"SET due_shard = :empty":                          "The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty string value.",
	} {
		t.Run(expression, func(t *testing.T) {
			_, err := r.update("1", expression, used(expression, aliases), used(expression, params))
			wantInvalid(t, err, message)
			wantItem(t, r.get("1"), item)
		})
	}
}

// What the claim does: nonces in a map, set and dropped in one update.
func TestAMapTakesSetsAndRemovalsInOneUpdate(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "nonces": m(values{"old1": n("1"), "old2": n("2")})})
	got := r.mustUpdate("1", "SET nonces.#n = :e REMOVE nonces.#a, nonces.#b, nonces.#c", names{"#n": "new", "#a": "old1", "#b": "old2", "#c": "never"}, values{":e": n("3")})
	wantItem(t, got, values{"pk": s("1"), "nonces": m(values{"new": n("3")})})
}

func TestAnUpdateOfNothingStartsFromTheKey(t *testing.T) {
	r := start(t).orders()
	wantItem(t, r.mustUpdate("1", "SET a = :1 ADD b :1", nil, values{":1": n("1")}), values{"pk": s("1"), "a": n("1"), "b": n("1")})
}

func TestTheLimitsOfAnUpdateExpression(t *testing.T) {
	r := start(t).orders()
	_, err := r.update("1", "SET a = :s"+strings.Repeat(" ", 4087), nil, values{":s": s("x")})
	wantInvalid(t, err, "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size; expression size: 4097")
	if _, err := r.update("1", "SET a = :s"+strings.Repeat(" ", 4086), nil, values{":s": s("x")}); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")},
		UpdateExpression: aws.String("SET a" + strings.Repeat(".a", 32) + " = :s"), ExpressionAttributeValues: values{":s": s("x")}})
	wantInvalid(t, err, "The document path has too many nesting elements; nesting depth: 33")
}
