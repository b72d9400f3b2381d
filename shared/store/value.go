package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// isoLayout is how times that people read are kept: UTC, to the ms.
const isoLayout = "2006-01-02T15:04:05.000Z"

func str(s string) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: strings.ToValidUTF8(s, "\uFFFD")}
}

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func list(l []types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: l}
}

// members is a map under construction; put leaves out what is nil.
type members map[string]types.AttributeValue

func (m members) put(name string, v types.AttributeValue) {
	if v != nil {
		m[name] = v
	}
}

func (m members) value() types.AttributeValue { return &types.AttributeValueMemberM{Value: m} }

// The following are nil for a zero value, which is kept as an absent attribute.

func text(s string) types.AttributeValue {
	if s == "" {
		return nil
	}
	return str(s)
}

func count(n int) types.AttributeValue {
	if n == 0 {
		return nil
	}
	return num(int64(n))
}

func flag(b bool) types.AttributeValue {
	if !b {
		return nil
	}
	return &types.AttributeValueMemberBOOL{Value: true}
}

func millis(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return nil
	}
	return num(t.UnixMilli())
}

func iso(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return nil
	}
	return str(t.UTC().Format(isoLayout))
}

// decoder reads attributes strictly by type; an absent one is the zero value.
// The first fault stays in err, shared with the decoders of the children.
type decoder struct {
	item map[string]types.AttributeValue
	err  error
	up   *decoder
}

func (d *decoder) fail(name, why string) {
	for d.up != nil {
		d = d.up
	}
	if d.err == nil {
		d.err = fmt.Errorf("attribute %s: %s", name, why)
	}
}

func (d *decoder) str(name string) string {
	switch v := d.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		d.fail(name, "not a string")
	}
	return ""
}

func (d *decoder) number(name string, v types.AttributeValue) int64 {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		d.fail(name, "not a number")
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		d.fail(name, "not a whole number")
	}
	return i
}

func (d *decoder) int(name string) int64 {
	v, ok := d.item[name]
	if !ok {
		return 0
	}
	return d.number(name, v)
}

func (d *decoder) flag(name string) bool {
	switch v := d.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberBOOL:
		return v.Value
	default:
		d.fail(name, "not a boolean")
	}
	return false
}

func (d *decoder) millis(name string) time.Time {
	if n := d.int(name); n != 0 {
		return time.UnixMilli(n).UTC()
	}
	return time.Time{}
}

func (d *decoder) iso(name string) time.Time {
	s := d.str(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		d.fail(name, "not a time")
	}
	return t.UTC()
}

func (d *decoder) children(name string) map[string]types.AttributeValue {
	switch v := d.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberM:
		return v.Value
	default:
		d.fail(name, "not a map")
	}
	return nil
}

func (d *decoder) child(name string, v types.AttributeValue) *decoder {
	m, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		d.fail(name, "not a map")
		return &decoder{up: d}
	}
	return &decoder{item: m.Value, up: d}
}

func (d *decoder) list(name string) []types.AttributeValue {
	switch v := d.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberL:
		return v.Value
	default:
		d.fail(name, "not a list")
	}
	return nil
}

func (d *decoder) strings(name string, v types.AttributeValue) []string {
	l, ok := v.(*types.AttributeValueMemberL)
	if !ok {
		d.fail(name, "not a list")
		return nil
	}
	var out []string
	for _, v := range l.Value {
		s, ok := v.(*types.AttributeValueMemberS)
		if !ok {
			d.fail(name, "not a list of strings")
			return nil
		}
		out = append(out, s.Value)
	}
	return out
}

func (d *decoder) stringMap(name string) map[string]string {
	var out map[string]string
	for k, v := range d.children(name) {
		s, ok := v.(*types.AttributeValueMemberS)
		if !ok {
			d.fail(name, "not a map of strings")
			return nil
		}
		if out == nil {
			out = map[string]string{}
		}
		out[k] = s.Value
	}
	return out
}
