package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"orderbridge/shared/order"
)

// maxDepth bounds the nesting of members that are allowed and ignored. Nothing
// that Salesforce sends is deeper than 2.
const maxDepth = 32

// Key prefixes of Salesforce record ids (Salesforce, "Standard Field Record ID
// Prefix Decoder").
const (
	prefixAccount = "001"
	prefixUser    = "005"
)

// body is what the signed body says. The ids of order and organization are as
// written; the others are in their 18-character form.
type body struct {
	orderID, timestamp, nonce              string
	requestedBy, organizationID, accountID string
}

// parseBody reads one strict JSON object (RFC 8259 and I-JSON, RFC 7493): valid
// UTF-8, no byte order mark, no lone surrogate, no duplicate name at any depth,
// nothing after the object. Two readers of one signed text must not be able to
// read two things, so whatever some reader might take for one of our members is
// refused too: names that differ from ours in case alone.
//
// A callout needs an order, a ping does not. The errors name places and rules,
// never content.
func (v *Verifier) parseBody(raw []byte, needsOrder bool) (body, error) {
	const orderID, timestamp, nonce, requestedBy, organizationID, accountID = 0, 1, 2, 3, 4, 5
	members := [...]member{
		orderID: {name: "orderId", required: true}, timestamp: {name: "timestamp", required: true}, nonce: {name: "nonce", required: true},
		requestedBy: {name: "requestedBy"}, organizationID: {name: "organizationId"}, accountID: {name: "accountId"},
	}
	text := string(raw) // that the members are parts of

	dec, ok := v.decoders.Get().(*jsontext.Decoder)
	if !ok {
		dec = new(jsontext.Decoder)
	}
	defer v.decoders.Put(dec)
	// The decoder's own defaults, spelled out because they are what we are here for.
	dec.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if dec.PeekKind() != '{' {
		return body{}, errors.New("the body is not a JSON object")
	}
	for {
		if !atName(dec) {
			if _, err := dec.ReadToken(); err != nil {
				return body{}, syntaxError(dec, err)
			}
			depth := dec.StackDepth()
			if depth == 0 {
				break // the closing brace of the object
			}
			if depth > maxDepth {
				return body{}, fmt.Errorf("the body is nested deeper than %d", maxDepth)
			}
			continue
		}
		name, err := readString(dec, text)
		if err != nil {
			return body{}, syntaxError(dec, err)
		}
		i := slices.IndexFunc(members[:], func(m member) bool { return m.name == name })
		if i < 0 {
			if i := slices.IndexFunc(members[:], func(m member) bool { return strings.EqualFold(name, m.name) }); i >= 0 {
				return body{}, fmt.Errorf("a member is spelled other than %s", members[i].name)
			}
			continue
		}
		switch kind := dec.PeekKind(); {
		case kind == 'n' && !members[i].required:
			// Apex writes the members that are not set as null.
			if _, err := dec.ReadToken(); err != nil {
				return body{}, syntaxError(dec, err)
			}
		case kind == '"':
			if members[i].value, err = readString(dec, text); err != nil {
				return body{}, syntaxError(dec, err)
			}
			members[i].seen = true
		default:
			if _, err := dec.ReadToken(); err != nil {
				return body{}, syntaxError(dec, err)
			}
			return body{}, fmt.Errorf("member %s is not a string", name)
		}
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return body{}, errors.New("something follows the object")
	}
	members[orderID].required = needsOrder
	for _, m := range members {
		if m.required && !m.seen {
			return body{}, fmt.Errorf("member %s is absent", m.name)
		}
	}

	// The account decides who may see the order, so what is no account id is
	// refused. Empty is absent: a sender's order without an account.
	b := body{
		orderID: members[orderID].value, timestamp: members[timestamp].value, nonce: members[nonce].value,
		organizationID: members[organizationID].value, accountID: members[accountID].value,
	}
	if b.accountID != "" {
		id, ok := recordID(b.accountID, prefixAccount)
		if !ok {
			return body{}, errors.New("member accountId is not an Account id")
		}
		b.accountID = id
	}
	// Who clicked is a note for people. What is no user id is not kept, because
	// the history holds no text of a sender's making; it is no reason to turn
	// an order away.
	b.requestedBy, _ = recordID(members[requestedBy].value, prefixUser)
	return b, nil
}

// member is one of the members that are read.
type member struct {
	name     string
	required bool // otherwise it may be absent; null is the same
	seen     bool
	value    string
}

// atName reports whether a name of the outer object comes next: the count of
// tokens in it is even then.
func atName(dec *jsontext.Decoder) bool {
	if dec.StackDepth() != 1 || dec.PeekKind() != '"' {
		return false
	}
	_, length := dec.StackIndex(1)
	return length%2 == 0
}

// readString reads the string that comes next. Where it has no escape it is a
// part of text, which the decoder reads.
func readString(dec *jsontext.Decoder, text string) (string, error) {
	v, err := dec.ReadValue()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(v, '\\') >= 0 {
		unquoted, err := jsontext.AppendUnquote(nil, v)
		return string(unquoted), err
	}
	end := int(dec.InputOffset()) - 1
	return text[end-len(v)+2 : end], nil
}

// recordID returns the 18-character form of a record id of one object.
func recordID(s, prefix string) (string, bool) {
	if !strings.HasPrefix(s, prefix) {
		return "", false
	}
	return order.To18(s)
}

// syntaxError keeps the place and drops the library's text, which may quote
// the body.
func syntaxError(dec *jsontext.Decoder, err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errors.New("a name occurs twice in one object")
	}
	return fmt.Errorf("the body is not strict JSON (byte %d)", dec.InputOffset())
}
