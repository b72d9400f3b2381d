package salesforcetest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// The part of SOQL that is understood is what the client of this module,
// jsforce and simple-salesforce ask: SELECT of fields, of fields of the parent
// and of one subquery of the order products; FROM Order; WHERE with =, <, >, IN,
// AND, OR and parentheses; ORDER BY one field, ascending; LIMIT. Everything else
// is MALFORMED_QUERY.

type query struct {
	object   *object
	selected []path
	child    *query // of the order products; nil = none
	where    func(*record) bool
	sort     *path
	limit    int // -1 = none
}

// path is one field, of the object that is read or of its parent.
type path struct {
	f      *field
	parent bool
	at     int // offset in the text, for the vendor's messages
}

func (p path) value(r *record) any {
	if p.parent {
		return r.parent[p.f.name] // nil where there is no parent
	}
	return r.fields[p.f.name]
}

type soqlError struct {
	code, message string
	at            int
}

func (e *soqlError) Error() string { return e.code + ": " + e.message }

func noColumn(entity, column string, at int) *soqlError {
	return &soqlError{"INVALID_FIELD", fmt.Sprintf("No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", column, entity), at}
}

func noType(name string, at int) *soqlError {
	return &soqlError{"INVALID_TYPE", fmt.Sprintf("sObject type '%s' is not supported.", name), at}
}

// token is one word, text literal, number or date, or sign of the query.
type token struct {
	text string // a text literal without its quotes
	kind int    // index of the group in tokens; 0 = the end
	at   int
}

const (
	tokenEnd = iota
	tokenWord
	tokenText
	tokenNumber // or a date and time
)

var (
	tokens   = regexp.MustCompile(`^\s*(?:([A-Za-z_][A-Za-z0-9_.]*)|'((?:[^'\\]|\\['\\])*)'|([0-9][0-9A-Za-z:.+-]*)|([(),=<>]))`)
	unescape = strings.NewReplacer(`\\`, `\`, `\'`, `'`)
	reserved = []string{"select", "from", "where", "order", "limit", "and", "or", "not"}
)

// parser reads a query against the schema. The first error ends it: from then
// on it sees the end of the text.
type parser struct {
	schema map[string]*object
	all    []token
	pos    int
	err    *soqlError
}

// parse returns the query that text is; s.mu is held.
func (s *Sim) parse(text string) (*query, *soqlError) {
	p := &parser{schema: s.schema}
	at := 0
	for {
		m := tokens.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		for kind := 1; 2*kind < len(m); kind++ {
			if from, to := m[2*kind], m[2*kind+1]; from >= 0 {
				p.all = append(p.all, token{text[at+from : at+to], kind, at + from})
			}
		}
		at += m[1]
	}
	p.all = append(p.all, token{"<EOF>", tokenEnd, len(text)})
	q := p.query("Order")
	switch rest := strings.TrimSpace(text[at:]); {
	case rest != "":
		return nil, &soqlError{"MALFORMED_QUERY", fmt.Sprintf("unexpected token: '%.20s'", rest), at}
	case p.peek().kind != tokenEnd:
		p.unexpected(p.peek())
	}
	return q, p.err
}

func (p *parser) fail(e *soqlError) {
	if p.err == nil {
		p.err = e
		p.pos = len(p.all) - 1
	}
}

func (p *parser) unexpected(t token) {
	p.fail(&soqlError{"MALFORMED_QUERY", fmt.Sprintf("unexpected token: '%s'", t.text), t.at})
}

func (p *parser) peek() token { return p.all[p.pos] }

func (p *parser) next() token {
	t := p.all[p.pos]
	p.pos = min(p.pos+1, len(p.all)-1)
	return t
}

// take reads a keyword or sign if it comes next.
func (p *parser) take(word string) bool {
	t := p.peek()
	if t.kind == tokenEnd || t.kind == tokenText || !strings.EqualFold(t.text, word) {
		return false
	}
	p.next()
	return true
}

func (p *parser) need(words ...string) {
	for _, w := range words {
		if !p.take(w) {
			p.unexpected(p.peek())
		}
	}
}

func (p *parser) name() token {
	t := p.next()
	if t.kind != tokenWord || slices.Contains(reserved, strings.ToLower(t.text)) {
		p.unexpected(t)
	}
	return t
}

// query reads a query of from: Order, or OrderItems in a subquery.
func (p *parser) query(from string) *query {
	q := &query{limit: -1, where: func(*record) bool { return true }}
	p.need("select")
	var names []token
	for {
		if from == "Order" && q.child == nil && p.take("(") {
			q.child = p.query("OrderItems")
			p.need(")")
		} else {
			names = append(names, p.name())
		}
		if !p.take(",") {
			break
		}
	}
	p.need("from")
	if t := p.next(); t.kind != tokenWord {
		p.unexpected(t)
	} else if !strings.EqualFold(t.text, from) {
		p.fail(noType(t.text, t.at))
	}
	if t := p.peek(); t.kind == tokenWord && !slices.Contains(reserved, strings.ToLower(t.text)) {
		p.unexpected(t)
	}
	q.object = p.schema[strings.ToLower(strings.TrimSuffix(from, "s"))]
	for _, t := range names {
		q.selected = append(q.selected, p.path(q.object, t))
	}
	if p.take("where") {
		q.where = p.conditions(q.object)
	}
	if p.take("order") {
		p.need("by")
		by := p.path(q.object, p.name())
		q.sort = &by
		if p.take("asc"); p.take("nulls") {
			p.need("first")
		}
	}
	if p.take("limit") {
		t := p.next()
		n, err := strconv.Atoi(t.text)
		if err != nil {
			p.unexpected(t)
		}
		q.limit = n
	}
	return q
}

// path finds the field that t names in o or in its parent.
func (p *parser) path(o *object, t token) path {
	out := path{at: t.at}
	column := t.text
	if up, name, dotted := strings.Cut(t.text, "."); dotted {
		if o.parent == "" || !strings.EqualFold(up, o.parent) {
			p.fail(&soqlError{"INVALID_FIELD", fmt.Sprintf("Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", up), t.at})
		}
		out.parent, column, o = true, name, p.schema[strings.ToLower(o.parent)]
	}
	if o != nil {
		if f, ok := o.visible(column); ok {
			out.f = f
			return out
		}
		p.fail(noColumn(o.name, column, t.at))
	}
	out.f = &field{}
	return out
}

// conditions reads conditions joined by AND or by OR; the two may not be mixed
// without parentheses, as on the platform.
func (p *parser) conditions(o *object) func(*record) bool {
	all := []func(*record) bool{p.condition(o)}
	and, or := false, false
	for {
		t := p.peek()
		switch {
		case p.take("and"):
			and = true
		case p.take("or"):
			or = true
		default:
			return func(r *record) bool {
				// The first false decides an AND, the first true an OR.
				return slices.ContainsFunc(all, func(c func(*record) bool) bool { return c(r) != and }) != and
			}
		}
		if and && or {
			p.unexpected(t)
		}
		all = append(all, p.condition(o))
	}
}

func (p *parser) condition(o *object) func(*record) bool {
	if p.take("(") {
		c := p.conditions(o)
		p.need(")")
		return c
	}
	t := p.name()
	of := p.path(o, t)
	if of.f.kind == kindTextArea {
		p.fail(&soqlError{"INVALID_FIELD", fmt.Sprintf("field '%s' can not be filtered in a query call", of.f.name), t.at})
	}
	switch {
	case p.take("="):
		v := p.literal(of.f)
		return func(r *record) bool { return same(of.value(r), v) }
	case p.take("<"):
		v := p.literal(of.f)
		return func(r *record) bool { c, ok := compare(of.value(r), v); return ok && c < 0 }
	case p.take(">"):
		v := p.literal(of.f)
		return func(r *record) bool { c, ok := compare(of.value(r), v); return ok && c > 0 }
	case p.take("in"):
		p.need("(")
		in := []any{p.literal(of.f)}
		for p.take(",") {
			in = append(in, p.literal(of.f))
		}
		p.need(")")
		return func(r *record) bool {
			return slices.ContainsFunc(in, func(v any) bool { return same(of.value(r), v) })
		}
	}
	p.unexpected(p.peek())
	return nil
}

// literal reads a value to compare f with: nil, string, float64 or time.Time.
func (p *parser) literal(f *field) any {
	t := p.next()
	var v any
	fits := true
	switch {
	case t.kind == tokenText:
		v = unescape.Replace(t.text)
		fits = f.kind != kindDouble && f.kind != kindBoolean && f.kind != kindDateTime
	case t.kind == tokenNumber:
		if n, err := strconv.ParseFloat(t.text, 64); err == nil {
			v, fits = n, f.kind == kindDouble || f.kind == kindAny
		} else if at, err := parseDateTime(t.text); err == nil {
			v, fits = at, f.kind == kindDateTime
		} else {
			p.unexpected(t)
		}
	case !strings.EqualFold(t.text, "null"):
		p.unexpected(t)
	}
	switch {
	case !fits && t.kind == tokenText:
		p.fail(&soqlError{"INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type %s and should not be enclosed in quotes", f.name, f.kind), t.at})
	case !fits:
		p.fail(&soqlError{"INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type string and should be enclosed in quotes", f.name), t.at})
	case f.kind == kindID && v != nil:
		full, ok := order.To18(t.text)
		if !ok {
			p.fail(&soqlError{"INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: " + t.text, t.at})
		}
		return full
	}
	return v
}

func same(v, w any) bool {
	c, ok := compare(v, w)
	return ok && c == 0 || v == nil && w == nil
}

// compare orders two values of one type; false for others and for null.
func compare(v, w any) (int, bool) {
	switch a := v.(type) {
	case string:
		b, ok := w.(string)
		return strings.Compare(strings.ToLower(a), strings.ToLower(b)), ok
	case float64:
		b, ok := w.(float64)
		return cmp.Compare(a, b), ok
	case time.Time:
		b, ok := w.(time.Time)
		return a.Truncate(time.Millisecond).Compare(b.Truncate(time.Millisecond)), ok
	}
	return 0, false
}
