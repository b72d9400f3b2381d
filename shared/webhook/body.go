package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
func parseBody(raw []byte, needsOrder bool) (body, error) {
	var b body
	members := map[string]*string{
		"orderId": &b.orderID, "timestamp": &b.timestamp, "nonce": &b.nonce,
		"requestedBy": &b.requestedBy, "organizationId": &b.organizationID, "accountId": &b.accountID,
	}
	seen := make(map[string]bool, len(members))

	// The decoder's own defaults, spelled out because they are what we are here for.
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if dec.PeekKind() != '{' {
		return body{}, errors.New("the body is not a JSON object")
	}
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return body{}, syntaxError(dec, err)
		}
		depth := dec.StackDepth()
		if depth == 0 {
			break // the closing brace of the object
		}
		if depth > maxDepth {
			return body{}, fmt.Errorf("the body is nested deeper than %d", maxDepth)
		}
		// Inside the outer object a string is a name when the count of
		// tokens so far is odd.
		if _, length := dec.StackIndex(1); depth != 1 || tok.Kind() != '"' || length%2 != 1 {
			continue
		}
		name := tok.String()
		dst, known := members[name]
		if !known {
			for member := range members {
				if strings.EqualFold(name, member) {
					return body{}, fmt.Errorf("a member is spelled other than %s", member)
				}
			}
			continue
		}
		value, err := dec.ReadToken()
		if err != nil {
			return body{}, syntaxError(dec, err)
		}
		if value.Kind() == 'n' && optional(name) {
			continue // Apex writes the members that are not set as null
		}
		if value.Kind() != '"' {
			return body{}, fmt.Errorf("member %s is not a string", name)
		}
		*dst, seen[name] = value.String(), true
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return body{}, errors.New("something follows the object")
	}
	for _, name := range []string{"orderId", "timestamp", "nonce"} {
		if !seen[name] && (needsOrder || name != "orderId") {
			return body{}, fmt.Errorf("member %s is absent", name)
		}
	}

	// The account decides who may see the order, so what is no account id is
	// refused. Empty is absent: a sender's order without an account.
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
	b.requestedBy, _ = recordID(b.requestedBy, prefixUser)
	return b, nil
}

// optional reports whether a member may be absent; null is the same.
func optional(name string) bool {
	return name == "requestedBy" || name == "organizationId" || name == "accountId"
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
