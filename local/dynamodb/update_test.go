package dynamodb_test

import "testing"

func TestUpdatesWorkAsInTheService(t *testing.T) {
	r := start(t).orders()
	params := values{":1": n("1"), ":neg": n("-7"), ":s": s("x"), ":l": l(s("new")), ":m": m(values{"k": n("1")})}
	for expression, change := range map[string]values{
		"SET txt = :s":                                        {"txt": s("x")},
		"set txt = :s":                                        {"txt": s("x")},
		"SET fresh = :m":                                      {"fresh": m(values{"k": n("1")})},
		"SET num = num + :1":                                  {"num": n("11")},
		"SET num = num + :neg":                                {"num": n("3")},
		"SET num = dict.core.deep + :1":                       {"num": n("0")},
		"SET num = if_not_exists(num, :1) + :1":               {"num": n("11")},
		"SET cnt = if_not_exists(cnt, :1) + :1":               {"cnt": n("2")},
		"SET cnt = if_not_exists(cnt, if_not_exists(num,:1))": {"cnt": n("10")},
		"SET num = txt, txt = num":                            {"num": s("text"), "txt": n("10")},
		"SET dict.fresh = :s":                                 {"dict": m(values{"core": m(values{"deep": n("-1")}), "fresh": s("x")})},
		"SET dict.core.deep = :1 REMOVE dict.gone":            {"dict": m(values{"core": m(values{"deep": n("1")})})},
		"SET dict.a = :1, dict.b = :s REMOVE dict.core":       {"dict": m(values{"a": n("1"), "b": s("x")})},
		"SET many = list_append(many, :l)":                    {"many": l(s("a"), s("b"), s("c"), s("new"))},
		"SET many = list_append(:l, many)":                    {"many": l(s("new"), s("a"), s("b"), s("c"))},
		"SET logs = list_append(if_not_exists(logs, :l), :l)": {"logs": l(s("new"), s("new"))},
		"REMOVE txt, nothere, dict":                           {"txt": nil, "dict": nil},
		"REMOVE dict.core.deep":                               {"dict": m(values{"core": m(values{})})},
		"SET state = :s REMOVE txt":                           {"state": s("x"), "txt": nil},
	} {
		t.Run(expression, func(t *testing.T) {
			before := values{"pk": s("1"), "num": n("10"), "txt": s("text"), "many": l(s("a"), s("b"), s("c")), "dict": m(values{"core": m(values{"deep": n("-1")})})}
			r.put(before)
			out := must(r.update("1", expression, params))
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
	item := values{"pk": s("1"), "num": n("10"), "txt": s("text"), "many": l(s("a")), "dict": m(values{"k": s("v")}), "most": n("9223372036854775807"), "part": n("0.5")}
	r.put(item)
	params := values{":1": n("1"), ":s": s("x"), ":l": l(), ":empty": s("")}
	for message, expressions := range map[string][]string{
		"Invalid UpdateExpression: Syntax error;": {
			"", "whatever", "SET", "SET a", "SET a = ", "SET a = :s,", "SET a = b + c + d", "SET a = b * c", "SET a = b - c", "SET a = 1", `SET a = "x"`, "SET (a = :s)", "SET :s = a",
			"REMOVE a = b", "REMOVE a b", "SET a = :s SET b = :s", "remove a set b = :s remove c", "SET many[0] = :s", "REMOVE many[0]", "SET a = (b + c)",
			"SET a = if_not_exists(b)", "SET a = if_not_exists(:s, b)",
		},
		`token: "ADD"`:                        {"ADD num :1"},
		`token: "DELETE"`:                     {"DELETE txt :s"},
		`does not support "nosuch"`:           {"SET a = nosuch(b)"},
		`does not support "size"`:             {"SET a = size(b)"},
		"is not defined; attribute value: :x": {"SET a = :x"},
		"Invalid UpdateExpression: Two document paths overlap with each other":           {"SET a = :s, a = :1", "SET a = :s REMOVE a.b", "SET dict.k = :s REMOVE dict"},
		"The document path provided in the update expression is invalid for update":      {"SET nothere.a = :s", "SET dict.a.b = :s", "SET txt.a = :s", "SET many.a = :s", "REMOVE nothere.a"},
		"The provided expression refers to an attribute that does not exist in the item": {"SET a = nothere", "SET a = nothere + :1", "SET a = list_append(nothere, :l)"},
		"An operand in the update expression has an incorrect data type":                 {"SET a = txt + :1", "SET a = list_append(txt, :l)"},
		"adds whole numbers of 64 bits alone":                                            {"SET a = most + :1", "SET a = part + :1"},
		"Cannot update attribute pk. This attribute is part of the key":                  {"SET pk = :s", "REMOVE pk"},
		"Type mismatch for key due_at expected: N actual: S":                             {"SET due_at = :s", "SET due_at = txt"},
		"cannot contain an empty string value. Key: due_shard":                           {"SET due_shard = :empty"},
	} {
		for _, expression := range expressions {
			_, err := r.update("1", expression, params)
			wantInvalid(t, err, message)
		}
	}
	wantItem(t, r.get("1"), item)
}

// What the claim does: nonces in a map, set and dropped in one update.
func TestAMapTakesSetsAndRemovalsInOneUpdate(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "nonces": m(values{"old1": n("1"), "old2": n("2")})})
	got := r.mustUpdate("1", "SET nonces.new = :e REMOVE nonces.old1, nonces.old2, nonces.never", values{":e": n("3")})
	wantItem(t, got, values{"pk": s("1"), "nonces": m(values{"new": n("3")})})
}

func TestAPlaceholderNamesAnyText(t *testing.T) {
	start(t).orders().calls([3]string{"UpdateItem", `{"Key":{"pk":{"S":"1"}},"UpdateExpression":"SET #odd = :v","ExpressionAttributeNames":{"#odd":"key.with dots"},"ExpressionAttributeValues":{":v":{"N":"1"}},
		"ReturnValues":"ALL_NEW"}`, `{"Attributes":{"key.with dots":{"N":"1"},"pk":{"S":"1"}}}`})
}

func TestAnUpdateOfNothingStartsFromTheKey(t *testing.T) {
	r := start(t).orders()
	wantItem(t, r.mustUpdate("1", "SET a = :1", values{":1": n("1")}), values{"pk": s("1"), "a": n("1")})
	r.calls([3]string{"UpdateItem", `{"Key":{"pk":{"S":"2"}},"ReturnValues":"ALL_NEW"}`, `{"Attributes":{"pk":{"S":"2"}}}`})
}
