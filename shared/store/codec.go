package store

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
)

// attributes is what DynamoDB calls an item.
type attributes = map[string]types.AttributeValue

func text(s string) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: strings.ToValidUTF8(s, "\uFFFD")}
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// marshal returns the attributes of a struct, named by its JSON tags. A member
// with omitempty is left out where it is zero: an empty list or map that is not
// nil stays.
func marshal(v any) attributes { return marshalStruct(reflect.ValueOf(v)) }

func marshalStruct(v reflect.Value) attributes {
	item := attributes{}
	for i := range v.NumField() {
		if name, optional := tag(v.Type().Field(i)); !optional || !v.Field(i).IsZero() {
			item[name] = marshalValue(v.Field(i))
		}
	}
	return item
}

func marshalValue(v reflect.Value) types.AttributeValue {
	switch v.Kind() {
	case reflect.Bool:
		return &types.AttributeValueMemberBOOL{Value: v.Bool()}
	case reflect.Int, reflect.Int64:
		return number(v.Int())
	case reflect.Pointer:
		return marshalValue(v.Elem())
	case reflect.Struct:
		return &types.AttributeValueMemberM{Value: marshalStruct(v)}
	case reflect.Slice:
		l := make([]types.AttributeValue, v.Len())
		for i := range l {
			l[i] = marshalValue(v.Index(i))
		}
		return &types.AttributeValueMemberL{Value: l}
	case reflect.Map:
		m := make(attributes, v.Len())
		for _, k := range v.MapKeys() {
			m[k.String()] = marshalValue(v.MapIndex(k))
		}
		return &types.AttributeValueMemberM{Value: m}
	}
	return text(v.String())
}

// unmarshal reads an item into the struct to which v points. It is strict where
// a lost value would be read as zero: an attribute of another type, NULL too,
// is internal_error, and so is a member that is missing inside a list or map.
// Attributes that the struct does not have are ignored.
func unmarshal(item attributes, v any) error {
	if err := unmarshalStruct(item, reflect.ValueOf(v).Elem(), false); err != nil {
		pk, _ := item[attrPK].(*types.AttributeValueMemberS)
		if pk == nil {
			pk = &types.AttributeValueMemberS{}
		}
		return fault.Wrap(fault.Internal, fmt.Errorf("read item %q: %w", pk.Value, err))
	}
	return nil
}

func unmarshalStruct(item attributes, v reflect.Value, whole bool) error {
	for i := range v.NumField() {
		name, optional := tag(v.Type().Field(i))
		a, there := item[name]
		if !there && (optional || !whole) {
			continue
		}
		if err := unmarshalValue(a, v.Field(i)); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

func unmarshalValue(a types.AttributeValue, v reflect.Value) error {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		if v.Kind() == reflect.String {
			v.SetString(a.Value)
			return nil
		}
	case *types.AttributeValueMemberBOOL:
		if v.Kind() == reflect.Bool {
			v.SetBool(a.Value)
			return nil
		}
	case *types.AttributeValueMemberN:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		if v.CanInt() {
			n, err := strconv.ParseInt(a.Value, 10, 64)
			v.SetInt(n)
			return err
		}
	case *types.AttributeValueMemberL:
		if v.Kind() == reflect.Slice {
			v.Set(reflect.MakeSlice(v.Type(), len(a.Value), len(a.Value)))
			for i, c := range a.Value {
				if err := unmarshalValue(c, v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
	case *types.AttributeValueMemberM:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		switch v.Kind() {
		case reflect.Struct:
			return unmarshalStruct(a.Value, v, true)
		case reflect.Map:
			v.Set(reflect.MakeMapWithSize(v.Type(), len(a.Value)))
			for k, c := range a.Value {
				e := reflect.New(v.Type().Elem()).Elem()
				if err := unmarshalValue(c, e); err != nil {
					return err
				}
				v.SetMapIndex(reflect.ValueOf(k), e)
			}
			return nil
		}
	}
	return errors.New("not of its type, or missing")
}

// tag is the name of a member, and whether it may be absent.
func tag(f reflect.StructField) (name string, optional bool) {
	name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, option == "omitempty"
}
