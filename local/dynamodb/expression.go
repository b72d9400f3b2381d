package dynamodb

import (
	"slices"
	"strings"

	"orderbridge/local/awsjson"
)

// Limits of one expression (Developer Guide, "Service, account, and table
// quotas").
const (
	maxExpressionBytes = 4096
	maxOperators       = 300
	maxInOperands      = 100
)

// path is a document path: an attribute, and members of the maps in it.
type path []string

// operand is one side of a comparison: a path, its size, or a value.
type operand struct {
	path  path
	size  bool
	value *value
}

// condition is a parsed condition: AND, OR and NOT have conditions, a
// comparison has a left operand and one right one, IN has several, and
// attribute_exists and attribute_not_exists have only a left one.
type condition struct {
	op    string
	parts []*condition
	left  operand
	right []operand
	// enclosed says that parentheses stand right around it.
	enclosed bool
}

// assignment is one action of an update expression. A nil value stands for
// REMOVE; else it says what SET writes, from the item as it was before.
type assignment struct {
	path  path
	value func(before item) (*value, error)
}

// placeholders are the names and values of one request, shared by its
// expressions.
type placeholders struct {
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues item
	used                      map[string]bool
}

// unused refuses what no expression of the request used, as the service does.
func (ph *placeholders) unused() error {
	if ph.ExpressionAttributeNames != nil && len(ph.ExpressionAttributeNames) == 0 || ph.ExpressionAttributeValues != nil && len(ph.ExpressionAttributeValues) == 0 {
		return invalid("ExpressionAttributeNames and ExpressionAttributeValues must not be empty")
	}
	for name := range ph.ExpressionAttributeNames {
		if !ph.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range ph.ExpressionAttributeValues {
		if !ph.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// parser reads one expression. Its methods panic with a *awsjson.Error, which parse
// returns.
type parser struct {
	*placeholders
	// bare are the names that need no placeholder.
	bare      map[string]kind
	tokens    []string
	at        int
	operators int
}

// parse reads the expression of the parameter `what`, which may be nil. A bare
// name is taken for a key attribute alone: the service reserves hundreds of
// words, and refuses them without a placeholder.
func parse[T any](what string, source *string, ph *placeholders, bare map[string]kind, read func(*parser) T) (out T, err error) {
	if source == nil {
		return out, nil
	}
	src := *source
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *awsjson.Error:
			err = invalid("Invalid %s: %s", what, e.Message)
		default:
			panic(e)
		}
	}()
	if len(src) > maxExpressionBytes {
		return out, invalid("Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d", what, len(src))
	}
	if ph.used == nil {
		ph.used = map[string]bool{}
	}
	p := &parser{placeholders: ph, bare: bare, tokens: lex(src)}
	out = read(p)
	if p.peek() != "" {
		p.fail()
	}
	if p.operators > maxOperators {
		return out, invalid("Invalid %s: The expression contains too many operators; operator count: %d", what, p.operators)
	}
	return out, nil
}

// lex cuts an expression into names, placeholders, and symbols.
func lex(src string) (tokens []string) {
	word := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for i := 0; i < len(src); {
		end := i + 1
		switch c := src[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case c == '#' || c == ':' || word(c):
			for end < len(src) && word(src[end]) {
				end++
			}
		case slices.Contains([]string{"<>", "<=", ">="}, src[i:min(i+2, len(src))]):
			end = i + 2
		}
		tokens = append(tokens, src[i:end])
		i = end
	}
	return tokens
}

func (p *parser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *parser) next() string {
	t := p.peek()
	p.at++
	return t
}

// accept takes a symbol, or a keyword in any case, if it comes next.
func (p *parser) accept(token string) bool {
	if strings.EqualFold(p.peek(), token) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(token string) {
	if !p.accept(token) {
		p.fail()
	}
}

func (p *parser) fail() {
	panic(invalid("Syntax error; token: %q, after: %q; or this emulator does not support it", p.peek(), strings.Join(p.tokens[max(0, p.at-3):min(p.at, len(p.tokens))], " ")))
}

func (p *parser) condition() *condition {
	left := p.conjunction()
	for p.accept("OR") {
		p.operators++
		left = &condition{op: "OR", parts: []*condition{left, p.conjunction()}}
	}
	return left
}

func (p *parser) conjunction() *condition {
	left := p.negation()
	for p.accept("AND") {
		p.operators++
		left = &condition{op: "AND", parts: []*condition{left, p.negation()}}
	}
	return left
}

func (p *parser) negation() *condition {
	switch {
	case p.accept("NOT"):
		p.operators++
		return &condition{op: "NOT", parts: []*condition{p.negation()}}
	case p.accept("("):
		c := p.condition()
		p.expect(")")
		if c.enclosed {
			panic(invalid("The expression has redundant parentheses;"))
		}
		c.enclosed = true
		return c
	}
	return p.comparison()
}

func (p *parser) comparison() *condition {
	p.operators++
	if word := p.peek(); word == "attribute_exists" || word == "attribute_not_exists" {
		p.next()
		p.expect("(")
		c := &condition{op: word, left: operand{path: p.path()}}
		p.expect(")")
		return c
	}
	c := &condition{left: p.operand()}
	switch op := p.peek(); {
	case slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, op):
		p.next()
		c.op, c.right = op, []operand{p.operand()}
		if right := c.right[0]; c.left.path != nil && !c.left.size && !right.size && slices.Equal(c.left.path, right.path) {
			panic(invalid("The first operand must be distinct from the remaining operands for this operator; operator: %s, first operand: %v", op, right.path))
		}
	case p.accept("IN"):
		c.op = "IN"
		p.expect("(")
		for c.right = []operand{p.operand()}; p.accept(","); {
			c.right = append(c.right, p.operand())
		}
		p.expect(")")
		if len(c.right) > maxInOperands {
			panic(invalid("The IN operator is provided with too many operands; number of operands: %d", len(c.right)))
		}
	default:
		p.fail()
	}
	return c
}

func (p *parser) operand() operand {
	switch t := p.peek(); {
	case t == "size":
		p.next()
		p.operators++
		p.expect("(")
		o := operand{path: p.path(), size: true}
		p.expect(")")
		return o
	case strings.HasPrefix(t, ":"):
		return operand{value: p.value()}
	}
	return operand{path: p.path()}
}

func (p *parser) value() *value {
	t := p.next()
	v := p.ExpressionAttributeValues[t]
	if v == nil {
		panic(invalid("An expression attribute value used in expression is not defined; attribute value: %s", t))
	}
	p.used[t] = true
	return v
}

func (p *parser) path() path {
	steps := path{p.name()}
	for p.accept(".") {
		steps = append(steps, p.name())
	}
	if len(steps) > maxNesting {
		panic(invalid("The document path has too many nesting elements; nesting depth: %d", len(steps)))
	}
	return steps
}

func (p *parser) name() string {
	t := p.peek()
	if !strings.HasPrefix(t, "#") {
		if p.bare[t] == "" {
			if t == "" || strings.Trim(t[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
				p.fail()
			}
			panic(unsupported("%q here: the name of an attribute that is not of a key needs a placeholder", t))
		}
		p.next()
		return t
	}
	name, ok := p.ExpressionAttributeNames[t]
	if !ok {
		panic(invalid("An expression attribute name used in the document path is not defined; attribute name: %s", t))
	}
	p.next()
	p.used[t] = true
	return name
}

// projection reads the top-level attributes of a ProjectionExpression.
func (p *parser) projection() (names []string) {
	for {
		steps := p.path()
		if len(steps) > 1 {
			panic(unsupported("a projection of members of a map"))
		}
		names = append(names, steps[0])
		if !p.accept(",") {
			return names
		}
	}
}

// update reads the sections SET and REMOVE, each at most once.
func (p *parser) update() (all []assignment) {
	seen := map[string]bool{}
	for {
		section := strings.ToUpper(p.peek())
		if section != "SET" && section != "REMOVE" || seen[section] {
			p.fail()
		}
		p.next()
		seen[section] = true
		for {
			a := assignment{path: p.path()}
			if section == "SET" {
				p.expect("=")
				a.value = p.sum()
			}
			for _, b := range all {
				if n := min(len(a.path), len(b.path)); slices.Equal(a.path[:n], b.path[:n]) {
					panic(invalid("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %v, path two: %v", b.path, a.path))
				}
			}
			all = append(all, a)
			if !p.accept(",") {
				break
			}
		}
		if p.peek() == "" {
			return all
		}
	}
}

// sum reads what follows "=": one term, or two with a plus between them.
func (p *parser) sum() func(item) (*value, error) {
	left := p.term()
	if !p.accept("+") {
		return left
	}
	p.operators++
	return both(left, p.term(), func(a, b *value) (*value, error) {
		if a.kind != kindN || b.kind != kindN {
			return nil, invalid("An operand in the update expression has an incorrect data type")
		}
		n, err := a.num.add(b.num)
		return &value{kind: kindN, num: n}, err
	})
}

func (p *parser) term() func(item) (*value, error) {
	switch t := p.peek(); {
	case strings.HasPrefix(t, ":"):
		v := p.value()
		return func(item) (*value, error) { return v, nil }
	case t == "if_not_exists":
		p.function()
		first := p.path()
		p.expect(",")
		otherwise := p.term()
		p.expect(")")
		return func(it item) (*value, error) {
			if v := it.at(first); v != nil {
				return v, nil
			}
			return otherwise(it)
		}
	case t == "list_append":
		p.function()
		first := p.term()
		p.expect(",")
		second := p.term()
		p.expect(")")
		return both(first, second, func(a, b *value) (*value, error) {
			if a.kind != kindL || b.kind != kindL {
				return nil, invalid("An operand in the update expression has an incorrect data type")
			}
			return &value{kind: kindL, list: slices.Concat(a.list, b.list)}, nil
		})
	}
	steps := p.path()
	return func(it item) (*value, error) {
		if v := it.at(steps); v != nil {
			return v, nil
		}
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	}
}

func (p *parser) function() {
	p.next()
	p.operators++
	p.expect("(")
}

func both(first, second func(item) (*value, error), join func(a, b *value) (*value, error)) func(item) (*value, error) {
	return func(it item) (*value, error) {
		a, err := first(it)
		if err != nil {
			return nil, err
		}
		b, err := second(it)
		if err != nil {
			return nil, err
		}
		return join(a, b)
	}
}
