package dynamodb

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// kind is the type of an attribute value, named as on the wire.
type kind string

const (
	kindS    kind = "S"
	kindN    kind = "N"
	kindB    kind = "B"
	kindBool kind = "BOOL"
	kindNull kind = "NULL"
	kindSS   kind = "SS"
	kindNS   kind = "NS"
	kindBS   kind = "BS"
	kindL    kind = "L"
	kindM    kind = "M"
)

// kinds in the order in which a value with several of them is examined.
var kinds = []kind{kindS, kindN, kindB, kindNull, kindBool, kindSS, kindNS, kindBS, kindL, kindM}

// maxNesting is how deep lists and maps may lie in each other.
const maxNesting = 32

// value is one attribute value. Values that were stored are never changed:
// an update works on a clone, so that images in the stream and in the index
// stay what they were.
type value struct {
	kind kind
	str  string   // S, and the bytes of B
	num  number   // N
	yes  bool     // BOOL
	strs []string // members of SS, and the bytes of those of BS
	nums []number // members of NS
	list []*value
	dict item // M
}

// item is a set of named attributes: a table's row, or a map in it.
type item map[string]*value

// clone copies all that an update could change.
func (v *value) clone() *value {
	c := *v
	c.strs = slices.Clone(v.strs)
	c.nums = slices.Clone(v.nums)
	if v.list != nil {
		c.list = make([]*value, len(v.list))
		for i, e := range v.list {
			c.list[i] = e.clone()
		}
	}
	if v.dict != nil {
		c.dict = v.dict.clone()
	}
	return &c
}

func (it item) clone() item {
	c := make(item, len(it))
	for name, v := range it {
		c[name] = v.clone()
	}
	return c
}

// pick is the item with only those of the attributes that it has.
func (it item) pick(names []string) item {
	c := make(item, len(names))
	for _, name := range names {
		if v, ok := it[name]; ok {
			c[name] = v
		}
	}
	return c
}

// equal compares as the service does: numbers by value, sets without order.
func (v *value) equal(w *value) bool {
	if v == nil || w == nil || v.kind != w.kind {
		return v == w
	}
	switch v.kind {
	case kindS, kindB:
		return v.str == w.str
	case kindN:
		return v.num == w.num
	case kindBool:
		return v.yes == w.yes
	case kindNull:
		return true
	case kindSS, kindBS:
		return len(v.strs) == len(w.strs) && containsAll(v.strs, w.strs)
	case kindNS:
		return len(v.nums) == len(w.nums) && containsAll(v.nums, w.nums)
	case kindL:
		return slices.EqualFunc(v.list, w.list, (*value).equal)
	}
	return v.dict.equal(w.dict)
}

func (it item) equal(other item) bool {
	return maps.EqualFunc(it, other, (*value).equal)
}

// containsAll reports whether every member of few is in all; members are
// distinct.
func containsAll[T comparable](all, few []T) bool {
	in := make(map[T]struct{}, len(all))
	for _, e := range all {
		in[e] = struct{}{}
	}
	for _, e := range few {
		if _, ok := in[e]; !ok {
			return false
		}
	}
	return true
}

// order compares two scalars of one kind; ok is false for anything else.
func (v *value) order(w *value) (c int, ok bool) {
	if v == nil || w == nil || v.kind != w.kind {
		return 0, false
	}
	switch v.kind {
	case kindS, kindB:
		// Strings sort by their UTF-8 bytes.
		return strings.Compare(v.str, w.str), true
	case kindN:
		return v.num.cmp(w.num), true
	}
	return 0, false
}

// size is what the value counts towards an item: bytes of text, about half a
// byte a digit, three bytes for a list or map and one for each of its members
// (Developer Guide, "Item sizes and formats").
func (v *value) size() int {
	n := 0
	switch v.kind {
	case kindS, kindB:
		n = len(v.str)
	case kindN:
		n = v.num.storedSize()
	case kindBool, kindNull:
		n = 1
	case kindSS, kindBS:
		for _, s := range v.strs {
			n += len(s)
		}
	case kindNS:
		for _, m := range v.nums {
			n += m.storedSize()
		}
	case kindL:
		n = 3
		for _, e := range v.list {
			n += 1 + e.size()
		}
	case kindM:
		n = 3 + len(v.dict) + v.dict.size()
	}
	return n
}

// size is the item's size in bytes: names and values.
func (it item) size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.size()
	}
	return n
}

// text is a value as error messages of the service spell it.
func (v *value) text() string {
	switch v.kind {
	case kindS:
		return v.str
	case kindN:
		return v.num.String()
	case kindB:
		return base64.StdEncoding.EncodeToString([]byte(v.str))
	}
	b, err := json.Marshal(v.wire())
	if err != nil {
		return string(v.kind)
	}
	return string(b)
}

// wire is the value in the shape that encoding/json writes as the protocol
// wants it.
func (v *value) wire() map[string]any {
	var inner any
	switch v.kind {
	case kindS:
		inner = v.str
	case kindN:
		inner = v.num.String()
	case kindB:
		inner = []byte(v.str)
	case kindBool:
		inner = v.yes
	case kindNull:
		inner = true
	case kindSS:
		inner = v.strs
	case kindNS:
		texts := make([]string, len(v.nums))
		for i, n := range v.nums {
			texts[i] = n.String()
		}
		inner = texts
	case kindBS:
		blobs := make([][]byte, len(v.strs))
		for i, s := range v.strs {
			blobs[i] = []byte(s)
		}
		inner = blobs
	case kindL:
		list := make([]any, len(v.list))
		for i, e := range v.list {
			list[i] = e.wire()
		}
		inner = list
	case kindM:
		inner = v.dict.wire()
	}
	return map[string]any{string(v.kind): inner}
}

func (it item) wire() map[string]any {
	m := make(map[string]any, len(it))
	for name, v := range it {
		m[name] = v.wire()
	}
	return m
}

// readItem reads a map of attribute values. A wrong JSON type is a
// SerializationException, a wrong value a ValidationException with the
// service's text.
func readItem(raw any) (item, error) { return readItemAt(raw, 0) }

func readItemAt(raw any, depth int) (item, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, wrongShape(raw, shapeValues)
	}
	it := make(item, len(m))
	// Sorted, so that of several faults the same one is reported each time.
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, err := readValue(m[name], depth)
		if err != nil {
			return nil, err
		}
		it[name] = v
	}
	return it, nil
}

func readValue(raw any, depth int) (*value, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, wrongShape(raw, shapeValue)
	}
	if depth > maxNesting {
		return nil, invalid("Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")
	}
	var v *value
	found := 0
	for _, k := range kinds {
		inner, ok := m[string(k)]
		if !ok || inner == nil {
			continue
		}
		found++
		read, err := readKind(k, inner, depth)
		if err != nil {
			return nil, err
		}
		if v == nil {
			v = read
		}
	}
	switch found {
	case 0:
		return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case 1:
		return v, nil
	}
	return nil, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
}

func readKind(k kind, raw any, depth int) (*value, error) {
	v := &value{kind: k}
	switch k {
	case kindS:
		s, err := readString(raw)
		v.str = s
		return v, err
	case kindN:
		s, err := readString(raw)
		if err != nil {
			return nil, err
		}
		n, err := parseNumber(s)
		if err != nil {
			return nil, invalid(err.Error())
		}
		v.num = n
		return v, nil
	case kindB:
		s, err := readBlob(raw)
		v.str = s
		return v, err
	case kindBool, kindNull:
		yes, err := readBool(raw)
		if err != nil {
			return nil, err
		}
		if k == kindNull && !yes {
			return nil, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		v.yes = yes
		return v, nil
	case kindM:
		dict, err := readItemAt(raw, depth+1)
		v.dict = dict
		return v, err
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, wrongShape(raw, shapeList)
	}
	switch k {
	case kindL:
		v.list = make([]*value, 0, len(list))
		for _, e := range list {
			member, err := readValue(e, depth+1)
			if err != nil {
				return nil, err
			}
			v.list = append(v.list, member)
		}
		return v, nil
	case kindNS:
		return v, v.readNumbers(list)
	}
	return v, v.readStrings(list)
}

func (v *value) readNumbers(list []any) error {
	if len(list) == 0 {
		return invalid("One or more parameter values were invalid: An number set  may not be empty")
	}
	seen := map[number]struct{}{}
	for _, e := range list {
		s, err := readString(e)
		if err != nil {
			return err
		}
		n, err := parseNumber(s)
		if err != nil {
			return invalid(err.Error())
		}
		if _, dup := seen[n]; dup {
			return invalid("Input collection contains duplicates")
		}
		seen[n] = struct{}{}
		v.nums = append(v.nums, n)
	}
	return nil
}

func (v *value) readStrings(list []any) error {
	read, empty, tail := readString, "An string set  may not be empty", " contains duplicates."
	if v.kind == kindBS {
		read, empty, tail = readBlob, "Binary sets should not be empty", "of type BS contains duplicates."
	}
	if len(list) == 0 {
		return invalid("One or more parameter values were invalid: " + empty)
	}
	seen := map[string]struct{}{}
	dup := false
	for _, e := range list {
		s, err := read(e)
		if err != nil {
			return err
		}
		_, again := seen[s]
		dup = dup || again
		seen[s] = struct{}{}
		v.strs = append(v.strs, s)
	}
	if dup {
		return invalid(fmt.Sprintf("One or more parameter values were invalid: Input collection [%s]%s", joinAny(list), tail))
	}
	return nil
}

func joinAny(list []any) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = fmt.Sprint(e)
	}
	return strings.Join(texts, ", ")
}

func readString(raw any) (string, error) {
	if s, ok := raw.(string); ok {
		return s, nil
	}
	return "", wrongShape(raw, shapeString)
}

func readBool(raw any) (bool, error) {
	switch t := raw.(type) {
	case bool:
		return t, nil
	case string:
		// The service takes these words for a Boolean.
		switch strings.ToUpper(t) {
		case "TRUE", "1", "YES":
			return true, nil
		case "FALSE", "0", "NO":
			return false, nil
		}
		return false, serialization("Unexpected token received from parser")
	}
	return false, wrongShape(raw, shapeBoolean)
}

func readBlob(raw any) (string, error) {
	s, ok := raw.(string)
	switch raw.(type) {
	case map[string]any:
		return "", wrongShape(raw, shapeString)
	case []any:
		return "", serialization("Unrecognized collection type class java.nio.ByteBuffer")
	}
	if !ok {
		return "", serialization("only base-64-encoded strings are convertible to bytes")
	}
	if len(s)%4 != 0 {
		return "", serialization(fmt.Sprintf("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(s)))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return "", serialization("Invalid last non-pad Base64 character dectected")
	}
	return string(b), nil
}

// shape is what a JSON value should have been, as messages spell it.
type shape string

const (
	shapeString  shape = "String"
	shapeBoolean shape = "Boolean"
	shapeInteger shape = "Integer"
	shapeList    shape = "List"
	shapeNames   shape = "java.lang.String" // a map of texts
	shapeValues  shape = model + "AttributeValue"
	shapeTables  shape = model + "KeysAndAttributes"
	shapeValue   shape = "class " + model + "AttributeValue"

	model = "com.amazonaws.dynamodb.v20120810."
)

// wrongShape is the answer to a JSON value of the wrong type.
func wrongShape(raw any, want shape) error {
	_, isMap := raw.(map[string]any)
	_, isList := raw.([]any)
	switch want {
	case shapeString, shapeBoolean, shapeInteger:
		switch t := raw.(type) {
		case bool:
			return serialization(strings.ToUpper(fmt.Sprint(t)) + "_VALUE cannot be converted to " + string(want))
		case json.Number:
			if strings.ContainsAny(string(t), ".eE") {
				return serialization("DECIMAL_VALUE cannot be converted to " + string(want))
			}
			return serialization("NUMBER_VALUE cannot be converted to " + string(want))
		case string:
			return serialization("STRING_VALUE cannot be converted to " + string(want))
		}
		if isList {
			return serialization("Unrecognized collection type class java.lang." + string(want))
		}
	case shapeNames, shapeValues, shapeTables:
		if isList {
			return serialization("Unrecognized collection type java.util.Map<java.lang.String, " + string(want) + ">")
		}
	case shapeList:
		// What is no map is a scalar.
	default:
		if isList {
			return serialization("Unrecognized collection type " + string(want))
		}
		if !isMap {
			return serialization("Unexpected value type in payload")
		}
	}
	if isMap {
		return serialization("Start of structure or map found where not expected")
	}
	return serialization("Unexpected field type")
}

// checkValueShape looks at the JSON types in an attribute value alone: they are
// checked before anything else in a request is.
func checkValueShape(raw any) error {
	m, ok := raw.(map[string]any)
	if !ok {
		return wrongShape(raw, shapeValue)
	}
	for _, k := range kinds {
		inner, ok := m[string(k)]
		if !ok || inner == nil {
			continue
		}
		if err := checkKindShape(k, inner); err != nil {
			return err
		}
	}
	return nil
}

func checkKindShape(k kind, raw any) error {
	each := checkValueShape
	switch k {
	case kindS, kindN:
		_, err := readString(raw)
		return err
	case kindB:
		_, err := readBlob(raw)
		return err
	case kindBool, kindNull:
		_, err := readBool(raw)
		return err
	case kindM:
		return checkValuesShape(raw)
	case kindSS, kindNS:
		each = func(e any) error { _, err := readString(e); return err }
	case kindBS:
		each = func(e any) error { _, err := readBlob(e); return err }
	}
	list, ok := raw.([]any)
	if !ok {
		return wrongShape(raw, shapeList)
	}
	for _, e := range list {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

func checkValuesShape(raw any) error {
	m, ok := raw.(map[string]any)
	if !ok {
		return wrongShape(raw, shapeValues)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := checkValueShape(m[name]); err != nil {
			return err
		}
	}
	return nil
}
