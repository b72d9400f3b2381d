package salesforcetest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The subset of SOQL: SELECT of fields, relationship paths, COUNT() and child
// subqueries; FROM with an alias; WHERE with =, !=, <>, <, <=, >, >=, IN,
// NOT IN, LIKE, AND, OR, NOT and parentheses; ORDER BY; LIMIT; OFFSET.

type query struct {
	selected []selection
	count    bool
	from     string
	alias    string
	where    condition
	sort     []sortKey
	limit    int // -1 = none
	offset   int
}

type selection struct {
	path  []string
	child *query
	at    int // offset in the text, for the vendor's messages
}

type sortKey struct {
	path      []string
	desc      bool
	nullsLast bool
	at        int
}

// condition is a comparison, or a connective over conditions.
type condition interface{}

type both struct{ left, right condition }
type either struct{ left, right condition }
type not struct{ of condition }
type compare struct {
	path []string
	op   string
	with []any // string, float64, bool, time.Time or nil
	at   int
}

type soqlError struct {
	code, message string
	at            int
}

func (e *soqlError) Error() string { return e.code + ": " + e.message }

type token struct {
	kind byte // 'w' word, 's' string, 'n' number or date, 'p' punctuation, 0 end
	text string
	at   int
}

type parser struct {
	text string
	all  []token
	pos  int
}

func parseSOQL(text string) (*query, error) {
	p := &parser{text: text}
	if err := p.scan(); err != nil {
		return nil, err
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != 0 {
		return nil, p.unexpected(t)
	}
	return q, nil
}

func (p *parser) scan() error {
	s := p.text
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case wordByte(c) && !(c >= '0' && c <= '9'):
			j := i
			for j < len(s) && (wordByte(s[j]) || s[j] == '.' || s[j] == ':') {
				j++
			}
			p.all = append(p.all, token{'w', s[i:j], i})
			i = j
		case c >= '0' && c <= '9' || (c == '-' || c == '+') && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			j := i + 1
			for j < len(s) && (wordByte(s[j]) || strings.IndexByte(".:+-", s[j]) >= 0) {
				j++
			}
			p.all = append(p.all, token{'n', s[i:j], i})
			i = j
		case c == '\'':
			var b strings.Builder
			j := i + 1
			for ; ; j++ {
				if j >= len(s) {
					return &soqlError{"MALFORMED_QUERY", "unexpected end of a text literal", i}
				}
				if s[j] == '\'' {
					break
				}
				if s[j] == '\\' {
					j++
					if j >= len(s) {
						return &soqlError{"MALFORMED_QUERY", "unexpected end of a text literal", i}
					}
					switch s[j] {
					case 'n', 'N':
						b.WriteByte('\n')
					case 'r', 'R':
						b.WriteByte('\r')
					case 't', 'T':
						b.WriteByte('\t')
					case '\'', '"', '\\', '_', '%':
						b.WriteByte(s[j])
					default:
						return &soqlError{"MALFORMED_QUERY", "invalid string literal: illegal character sequence '\\" + string(s[j]) + "'", i}
					}
					continue
				}
				b.WriteByte(s[j])
			}
			p.all = append(p.all, token{'s', b.String(), i})
			i = j + 1
		case strings.IndexByte("(),", c) >= 0:
			p.all = append(p.all, token{'p', string(c), i})
			i++
		case strings.IndexByte("=<>!", c) >= 0:
			j := i + 1
			if j < len(s) && (s[j] == '=' || c == '<' && s[j] == '>') {
				j++
			}
			p.all = append(p.all, token{'p', s[i:j], i})
			i = j
		default:
			return &soqlError{"MALFORMED_QUERY", fmt.Sprintf("unexpected token: '%c'", c), i}
		}
	}
	p.all = append(p.all, token{0, "<EOF>", len(s)})
	return nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func (p *parser) peek() token { return p.all[p.pos] }

func (p *parser) next() token {
	t := p.all[p.pos]
	if t.kind != 0 {
		p.pos++
	}
	return t
}

func (p *parser) isWord(w string) bool {
	t := p.peek()
	return t.kind == 'w' && strings.EqualFold(t.text, w)
}

func (p *parser) word(w string) bool {
	if p.isWord(w) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) punct(s string) bool {
	if t := p.peek(); t.kind == 'p' && t.text == s {
		p.pos++
		return true
	}
	return false
}

func (p *parser) unexpected(t token) error {
	return &soqlError{"MALFORMED_QUERY", fmt.Sprintf("unexpected token: '%s'", t.text), t.at}
}

var reserved = map[string]bool{"select": true, "from": true, "where": true, "order": true, "limit": true, "offset": true, "group": true, "having": true, "with": true, "for": true, "and": true, "or": true}

func (p *parser) name() (token, error) {
	t := p.peek()
	if t.kind != 'w' || reserved[strings.ToLower(t.text)] {
		return t, p.unexpected(t)
	}
	return p.next(), nil
}

func (p *parser) query() (*query, error) {
	q := &query{limit: -1}
	if !p.word("select") {
		return nil, p.unexpected(p.peek())
	}
	for {
		sel := selection{at: p.peek().at}
		if p.punct("(") {
			c, err := p.query()
			if err != nil {
				return nil, err
			}
			if !p.punct(")") {
				return nil, p.unexpected(p.peek())
			}
			sel.child = c
			q.selected = append(q.selected, sel)
		} else {
			t, err := p.name()
			if err != nil {
				return nil, err
			}
			if strings.EqualFold(t.text, "count") && p.punct("(") {
				if !p.punct(")") {
					return nil, p.unexpected(p.peek())
				}
				q.count = true
			} else {
				sel.path = strings.Split(t.text, ".")
				q.selected = append(q.selected, sel)
			}
		}
		if !p.punct(",") {
			break
		}
	}
	if q.count && len(q.selected) > 0 {
		return nil, &soqlError{"MALFORMED_QUERY", "count() must be the only element in the select list", q.selected[0].at}
	}
	if !p.word("from") {
		return nil, p.unexpected(p.peek())
	}
	t, err := p.orderName()
	if err != nil {
		return nil, err
	}
	q.from = t.text
	if t := p.peek(); t.kind == 'w' && !reserved[strings.ToLower(t.text)] {
		q.alias = p.next().text
	}
	if p.word("where") {
		if q.where, err = p.or(); err != nil {
			return nil, err
		}
	}
	if p.isWord("order") {
		p.next()
		if !p.word("by") {
			return nil, p.unexpected(p.peek())
		}
		for {
			t, err := p.name()
			if err != nil {
				return nil, err
			}
			k := sortKey{path: strings.Split(t.text, "."), at: t.at}
			if p.word("desc") {
				k.desc = true
			} else {
				p.word("asc")
			}
			if p.word("nulls") {
				switch {
				case p.word("last"):
					k.nullsLast = true
				case p.word("first"):
				default:
					return nil, p.unexpected(p.peek())
				}
			}
			q.sort = append(q.sort, k)
			if !p.punct(",") {
				break
			}
		}
	}
	if p.word("limit") {
		if q.limit, err = p.whole(); err != nil {
			return nil, err
		}
	}
	if p.word("offset") {
		if q.offset, err = p.whole(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// orderName takes the name after FROM, where Order is an object, not a clause.
func (p *parser) orderName() (token, error) {
	if p.isWord("order") {
		return p.next(), nil
	}
	return p.name()
}

func (p *parser) whole() (int, error) {
	t := p.next()
	n, err := strconv.Atoi(t.text)
	if t.kind != 'n' || err != nil || n < 0 {
		return 0, p.unexpected(t)
	}
	return n, nil
}

// or and and may not be mixed without parentheses, as on the platform.
func (p *parser) or() (condition, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	used := ""
	for {
		t := p.peek()
		var op string
		switch {
		case p.word("and"):
			op = "and"
		case p.word("or"):
			op = "or"
		default:
			return left, nil
		}
		if used != "" && used != op {
			return nil, p.unexpected(t)
		}
		used = op
		right, err := p.unary()
		if err != nil {
			return nil, err
		}
		if op == "and" {
			left = both{left, right}
		} else {
			left = either{left, right}
		}
	}
}

func (p *parser) unary() (condition, error) {
	if p.word("not") {
		c, err := p.unary()
		return not{c}, err
	}
	if p.punct("(") {
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.punct(")") {
			return nil, p.unexpected(p.peek())
		}
		return c, nil
	}
	t, err := p.name()
	if err != nil {
		return nil, err
	}
	c := compare{path: strings.Split(t.text, "."), at: t.at}
	op := p.next()
	switch {
	case op.kind == 'p' && strings.Contains(" = != <> < <= > >= ", " "+op.text+" "):
		c.op = op.text
		if c.op == "<>" {
			c.op = "!="
		}
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		c.with = []any{v}
		return c, nil
	case op.kind == 'w' && strings.EqualFold(op.text, "like"):
		c.op = "like"
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		if _, ok := v.(string); !ok {
			return nil, p.unexpected(op)
		}
		c.with = []any{v}
		return c, nil
	case op.kind == 'w' && strings.EqualFold(op.text, "in"):
		c.op = "in"
	case op.kind == 'w' && strings.EqualFold(op.text, "not") && p.word("in"):
		c.op = "not in"
	default:
		return nil, p.unexpected(op)
	}
	if !p.punct("(") {
		return nil, p.unexpected(p.peek())
	}
	for {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		c.with = append(c.with, v)
		if !p.punct(",") {
			break
		}
	}
	if !p.punct(")") {
		return nil, p.unexpected(p.peek())
	}
	return c, nil
}

func (p *parser) literal() (any, error) {
	t := p.next()
	switch t.kind {
	case 's':
		return t.text, nil
	case 'w':
		switch strings.ToLower(t.text) {
		case "null":
			return nil, nil
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	case 'n':
		if f, err := strconv.ParseFloat(t.text, 64); err == nil {
			return f, nil
		}
		if at, err := parseDateTime(t.text); err == nil {
			return at, nil
		}
		if at, err := time.Parse(time.DateOnly, t.text); err == nil {
			return at, nil
		}
	}
	return nil, p.unexpected(t)
}
