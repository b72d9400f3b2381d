package dynamodb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of one expression (Developer Guide, "Service quotas").
const (
	maxExpressionBytes = 4096
	maxOperators       = 300
	maxInOperands      = 100
	maxPathDepth       = 32
)

// step is one piece of a document path: a name, or an index into a list.
type step struct {
	name   string
	index  int
	isList bool
}

func (s step) String() string {
	if s.isList {
		return "[" + strconv.Itoa(s.index) + "]"
	}
	return s.name
}

// path is a document path; its first step is always a name.
type path []step

// String spells a path as the service's messages do.
func (p path) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		parts[i] = s.String()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// op is what a node does.
type op string

const (
	opPath    op = "path"
	opValue   op = "value"
	opCall    op = "call"
	opAnd     op = "AND"
	opOr      op = "OR"
	opNot     op = "NOT"
	opEq      op = "="
	opNe      op = "<>"
	opLt      op = "<"
	opLe      op = "<="
	opGt      op = ">"
	opGe      op = ">="
	opBetween op = "BETWEEN"
	opIn      op = "IN"
	opPlus    op = "+"
	opMinus   op = "-"
)

// node is one node of a parsed expression.
type node struct {
	op     op
	fn     string // of opCall
	path   path   // of opPath
	value  *value // of opValue
	args   []*node
	parens int // how many pairs of parentheses stand right around it
}

// literal is the value of a node that is one, else nil.
func (n *node) literal() *value {
	if n.op == opValue {
		return n.value
	}
	return nil
}

// result is the kind of value that a node has whatever the item holds; empty
// if that depends on the item.
func (n *node) result() kind {
	switch {
	case n.op == opValue && n.value != nil:
		return n.value.kind
	case n.op == opPlus, n.op == opMinus, n.op == opCall && n.fn == "size":
		return kindN
	case n.op == opCall && n.fn == "list_append":
		return kindL
	case n.op == opCall && n.fn == "if_not_exists" && len(n.args) == 2:
		return n.args[1].result()
	}
	return ""
}

func (n *node) isOperand() bool {
	return n.op == opPath || n.op == opValue || n.op == opCall
}

// placeholders are the ExpressionAttributeNames and -Values of one request,
// shared by its expressions, with a note of those that were used.
type placeholders struct {
	names      map[string]string
	values     map[string]*value
	usedNames  map[string]struct{}
	usedValues map[string]struct{}
}

func newPlaceholders(names map[string]string, values map[string]*value) *placeholders {
	return &placeholders{names: names, values: values, usedNames: map[string]struct{}{}, usedValues: map[string]struct{}{}}
}

// clause is one action of an update expression.
type clause struct {
	section string // SET, REMOVE, ADD, DELETE
	path    path
	value   *node // not for REMOVE
}

// Classes of faults that are no syntax errors. The service reports a syntax
// error first, then the first fault of the first class in a fixed order.
type faultClass string

const (
	faultParens    faultClass = "parens"
	faultFunction  faultClass = "function"
	faultMisused   faultClass = "misused"
	faultReserved  faultClass = "reserved"
	faultCondition faultClass = "condition"
	faultSection   faultClass = "section"
	faultName      faultClass = "name"
	faultValue     faultClass = "value"
	faultOverlap   faultClass = "overlap"
	faultConflict  faultClass = "conflict"
	faultOperator  faultClass = "operator"
	faultOperand   faultClass = "operand"
	faultDistinct  faultClass = "distinct"
	faultType      faultClass = "type"
	faultLimit     faultClass = "limit"
)

type parser struct {
	src    string
	tokens []token
	at     int
	ph     *placeholders
	// keywords of the grammar at hand: no bare name may be one.
	keywords []string
	// inCondition: parentheses may group paths, and faults belong to the
	// condition they stand in.
	inCondition bool
	faults      map[faultClass]string
	operators   int
}

var (
	conditionKeywords = []string{"BETWEEN", "IN", "AND", "OR", "NOT"}
	updateKeywords    = []string{"SET", "REMOVE", "ADD", "DELETE"}
)

// syntaxError unwinds the recursive descent; parse functions recover it.
type syntaxError struct{ message string }

func newParser(src string, ph *placeholders) *parser {
	return &parser{src: src, ph: ph, faults: map[faultClass]string{}}
}

// run applies a grammar to the whole source and returns the first fault in the
// given order of classes, or "".
func (p *parser) run(grammar func(), order ...faultClass) (message string) {
	if p.src == "" {
		return "The expression can not be empty;"
	}
	if n := len(p.src); n > maxExpressionBytes {
		return fmt.Sprintf("Expression size has exceeded the maximum allowed size; expression size: %d", n)
	}
	defer func() {
		if r := recover(); r != nil {
			s, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			message = s.message
		}
	}()
	p.tokens = lex(p.src)
	grammar()
	if p.peek().kind != tokenEnd {
		p.fail()
	}
	if p.operators > maxOperators {
		p.note(faultLimit, fmt.Sprintf("The expression contains too many operators; operator count: %d", p.operators))
	}
	for _, class := range append(order, faultLimit) {
		if m, ok := p.faults[class]; ok {
			return m
		}
	}
	return ""
}

func parseCondition(src string, ph *placeholders) (*node, string) {
	p := newParser(src, ph)
	p.inCondition, p.keywords = true, conditionKeywords
	var n *node
	message := p.run(func() { n = p.condition(p.or()) },
		faultParens, faultFunction, faultMisused, faultReserved, faultCondition)
	return n, message
}

func parseUpdate(src string, ph *placeholders) ([]clause, string) {
	p := newParser(src, ph)
	p.keywords = updateKeywords
	var clauses []clause
	message := p.run(func() { clauses = p.update() },
		faultReserved, faultFunction, faultSection, faultName, faultValue, faultOverlap, faultConflict, faultOperator, faultOperand, faultType)
	return clauses, message
}

func parseProjection(src string, ph *placeholders) ([]path, string) {
	p := newParser(src, ph)
	var paths []path
	message := p.run(func() {
		for {
			paths = append(paths, p.path())
			if !p.accept(",") {
				break
			}
		}
		p.checkOverlaps(paths)
	}, faultReserved, faultName, faultOverlap, faultConflict)
	return paths, message
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) accept(symbol string) bool {
	if p.peek().is(symbol) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(symbol string) {
	if !p.accept(symbol) {
		p.fail()
	}
}

func (p *parser) acceptKeyword(word string) bool {
	if p.peek().keyword(word) {
		p.at++
		return true
	}
	return false
}

// fail reports the token at hand; "near" is the source from the token before
// it to the one after.
func (p *parser) fail() {
	t := p.peek()
	from, to := t.start, t.end
	if p.at > 0 {
		from = p.tokens[p.at-1].start
	}
	if p.at+1 < len(p.tokens) {
		to = p.tokens[p.at+1].end
	}
	panic(syntaxError{fmt.Sprintf("Syntax error; token: \"%s\", near: \"%s\"", t.text, strings.TrimSpace(p.src[from:to]))})
}

// note keeps the first fault of each class.
func (p *parser) note(class faultClass, message string) {
	if _, ok := p.faults[class]; !ok {
		p.faults[class] = message
	}
}

// flush closes a condition: its worst fault becomes the condition's.
func (p *parser) flush() {
	for _, class := range []faultClass{faultName, faultOperand, faultDistinct, faultType} {
		if m, ok := p.faults[class]; ok {
			p.note(faultCondition, m)
			return
		}
	}
}

// or parses conditions and, where the grammar cannot yet tell, operands.
func (p *parser) or() *node {
	left := p.and()
	for p.peek().keyword("OR") {
		p.condition(left)
		p.next()
		p.operators++
		left = &node{op: opOr, args: []*node{left, p.condition(p.and())}}
	}
	return left
}

func (p *parser) and() *node {
	left := p.not()
	for p.peek().keyword("AND") {
		p.condition(left)
		p.next()
		p.operators++
		left = &node{op: opAnd, args: []*node{left, p.condition(p.not())}}
	}
	return left
}

func (p *parser) not() *node {
	if p.acceptKeyword("NOT") {
		p.operators++
		return &node{op: opNot, args: []*node{p.condition(p.not())}}
	}
	return p.comparison()
}

// condition insists that a node is one: a bare path or value is not, and of
// the functions size is not.
func (p *parser) condition(n *node) *node {
	if n.op == opPath || n.op == opValue {
		p.fail()
	}
	if n.op == opCall && n.fn == "size" {
		p.misused(n)
	}
	return n
}

func (p *parser) misused(n *node) {
	p.note(faultMisused, "The function is not allowed to be used this way in an expression; function: "+n.fn)
}

func (p *parser) comparison() *node {
	left := p.primary()
	t := p.peek()
	switch {
	case t.kind == tokenSymbol && strings.Contains(" = <> < <= > >= ", " "+t.text+" "):
		p.operands(left)
		p.next()
		n := &node{op: op(t.text), args: []*node{left, p.operand()}}
		p.checkOperands(n)
		return n
	case t.keyword("BETWEEN"):
		p.operands(left)
		p.next()
		low := p.operand()
		if !p.acceptKeyword("AND") {
			p.fail()
		}
		n := &node{op: opBetween, args: []*node{left, low, p.operand()}}
		p.checkOperands(n)
		return n
	case t.keyword("IN"):
		p.operands(left)
		p.next()
		p.expect("(")
		n := &node{op: opIn, args: append([]*node{left}, p.arguments()...)}
		p.checkOperands(n)
		return n
	}
	if left.op == opCall {
		p.flush()
	}
	return left
}

// operands refuses conditions where operands are needed.
func (p *parser) operands(nodes ...*node) {
	for _, n := range nodes {
		if !n.isOperand() {
			p.fail()
		}
	}
}

// operand parses one operand, which may stand in parentheses.
func (p *parser) operand() *node {
	n := p.primary()
	p.operands(n)
	return n
}

// primary parses an operand, or anything in parentheses.
func (p *parser) primary() *node {
	if !p.accept("(") {
		return p.bareOperand()
	}
	n := p.or()
	p.expect(")")
	if n.parens++; n.parens > 1 {
		p.note(faultParens, "The expression has redundant parentheses;")
	}
	if n.op == opPath && (p.peek().is(".") || p.peek().is("[")) {
		n.path = p.steps(n.path)
		n.parens = 0
	}
	return n
}

func (p *parser) bareOperand() *node {
	t := p.peek()
	switch {
	case t.kind == tokenValue:
		p.next()
		return &node{op: opValue, value: p.resolveValue(t.text)}
	case t.kind == tokenWord && !p.isKeyword(t) && p.tokens[p.at+1].is("("):
		p.next()
		p.next()
		n := &node{op: opCall, fn: t.text}
		n.args = p.arguments()
		p.operators++
		p.checkCall(n)
		return n
	case t.kind == tokenWord, t.kind == tokenName:
		return &node{op: opPath, path: p.path()}
	}
	p.fail()
	return nil
}

// arguments parses a comma separated list of operands and the closing
// parenthesis.
func (p *parser) arguments() []*node {
	var args []*node
	for {
		if p.inCondition {
			args = append(args, p.operand())
		} else {
			args = append(args, p.updateOperand())
		}
		if !p.accept(",") {
			p.expect(")")
			return args
		}
	}
}

func (p *parser) isKeyword(t token) bool {
	return slices.ContainsFunc(p.keywords, t.keyword)
}

func (p *parser) path() path { return p.steps(path{p.name()}) }

func (p *parser) name() step {
	t := p.peek()
	switch {
	case t.kind == tokenName:
		p.next()
		return step{name: p.resolveName(t.text)}
	case t.kind == tokenWord && !p.isKeyword(t):
		p.next()
		if isReserved(t.text) {
			p.note(faultReserved, "Attribute name is a reserved keyword; reserved keyword: "+t.text)
		}
		return step{name: t.text}
	}
	p.fail()
	return step{}
}

func (p *parser) steps(pt path) path {
	for {
		switch {
		case p.accept("."):
			pt = append(pt, p.name())
		case p.accept("["):
			t := p.peek()
			if t.kind != tokenDigits {
				p.fail()
			}
			p.next()
			i, err := strconv.ParseInt(t.text, 10, 32)
			if err != nil {
				p.note(faultLimit, "List index is not within the allowable range; index: ["+t.text+"]")
			}
			p.expect("]")
			pt = append(pt, step{index: int(i), isList: true})
		default:
			if len(pt) > maxPathDepth {
				p.note(faultLimit, fmt.Sprintf("The document path has too many nesting elements; nesting depth: %d", len(pt)))
			}
			return pt
		}
	}
}

func (p *parser) resolveName(placeholder string) string {
	name, ok := p.ph.names[placeholder]
	if !ok {
		p.note(faultName, "An expression attribute name used in the document path is not defined; attribute name: "+placeholder)
		return placeholder
	}
	p.ph.usedNames[placeholder] = struct{}{}
	return name
}

func (p *parser) resolveValue(placeholder string) *value {
	v, ok := p.ph.values[placeholder]
	if !ok {
		class := faultValue
		if p.inCondition {
			class = faultName // there, names and values are one class
		}
		p.note(class, "An expression attribute value used in expression is not defined; attribute value: "+placeholder)
		return nil
	}
	p.ph.usedValues[placeholder] = struct{}{}
	return v
}

// conditionArity and updateArity list the functions and how many operands they
// take.
var (
	conditionArity = map[string]int{
		"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2,
		"begins_with": 2, "contains": 2, "size": 1,
	}
	updateArity = map[string]int{"if_not_exists": 2, "list_append": 2}
)

func (p *parser) checkCall(n *node) {
	arity := updateArity
	if p.inCondition {
		arity = conditionArity
		for _, a := range n.args {
			if a.op == opCall && a.fn != "size" {
				p.misused(a)
			}
		}
	}
	want, ok := arity[n.fn]
	if !ok {
		p.note(faultFunction, "Invalid function name; function: "+n.fn)
		return
	}
	if len(n.args) != want {
		p.note(faultOperand, fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", n.fn, len(n.args)))
		return
	}
	p.checkDistinct(n.fn, n.args)
	switch n.fn {
	case "attribute_exists", "attribute_not_exists", "if_not_exists":
		if n.args[0].op != opPath {
			p.note(faultType, "Operator or function requires a document path; operator or function: "+n.fn)
		}
	case "begins_with":
		for _, a := range n.args {
			if k := a.result(); k != "" && k != kindS && k != kindB {
				p.wrongType(n.fn, k)
			}
		}
	case "attribute_type":
		p.checkAttributeType(n.args[1])
	case "size":
		if k := n.args[0].result(); k == kindN || k == kindBool || k == kindNull {
			p.wrongType(n.fn, k)
		}
	case "list_append":
		for _, a := range n.args {
			if k := a.result(); k != "" && k != kindL && a.op == opValue {
				p.wrongType(n.fn, k)
			}
		}
	}
}

func (p *parser) checkAttributeType(arg *node) {
	lit := arg.literal()
	switch k := arg.result(); {
	case k == "":
		p.note(faultType, "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
	case k != kindS:
		p.wrongType("attribute_type", k)
	default:
		for _, k := range kinds {
			if string(k) == lit.str {
				return
			}
		}
		p.note(faultType, "Invalid attribute type name found; type: "+lit.str+", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}")
	}
}

func (p *parser) wrongType(operator string, k kind) {
	p.note(faultType, fmt.Sprintf("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, k))
}

func (p *parser) checkDistinct(operator string, args []*node) {
	if len(args) != 2 || args[0].op != opPath || args[1].op != opPath || args[0].path.String() != args[1].path.String() || !p.inCondition {
		return
	}
	p.note(faultDistinct, fmt.Sprintf("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", operator, args[0].path))
}

// checkOperands looks at the operands of a comparison.
func (p *parser) checkOperands(n *node) {
	p.operators++
	for _, a := range n.args {
		if a.op == opCall && a.fn != "size" {
			p.misused(a)
		}
	}
	switch n.op {
	case opEq, opNe:
		p.checkDistinct(string(n.op), n.args)
	case opLt, opLe, opGt, opGe, opBetween:
		p.checkDistinct(string(n.op), n.args)
		for _, a := range n.args {
			if k := a.result(); k != "" && k != kindS && k != kindN && k != kindB {
				p.wrongType(string(n.op), k)
			}
		}
		if n.op == opBetween {
			p.checkBounds(n.args[1].literal(), n.args[2].literal())
		}
	case opIn:
		if c := len(n.args) - 1; c > maxInOperands {
			p.note(faultOperand, fmt.Sprintf("The IN operator is provided with too many operands; number of operands: %d", c))
		}
	}
	p.flush()
}

func (p *parser) checkBounds(low, high *value) {
	if low == nil || high == nil {
		return
	}
	problem := ""
	if low.kind != high.kind {
		problem = "same data type for lower and upper bounds"
	} else if c, ok := low.order(high); ok && c > 0 {
		problem = "upper bound to be greater than or equal to lower bound"
	}
	if problem != "" {
		p.note(faultType, fmt.Sprintf("The BETWEEN operator requires %s; lower bound operand: AttributeValue: {%s:%s}, upper bound operand: AttributeValue: {%s:%s}",
			problem, low.kind, low.text(), high.kind, high.text()))
	}
}

// update parses sections in any order, each at most once.
func (p *parser) update() []clause {
	var clauses []clause
	var paths []path
	seen := map[string]bool{}
	for {
		t := p.peek()
		section := strings.ToUpper(t.text)
		if t.kind != tokenWord || !p.isKeyword(t) {
			p.fail()
		}
		p.next()
		if seen[section] {
			p.note(faultSection, fmt.Sprintf("The %q section can only be used once in an update expression;", section))
		}
		seen[section] = true
		for {
			c := clause{section: section, path: p.path()}
			paths = append(paths, c.path)
			switch section {
			case "SET":
				p.expect("=")
				c.value = p.setValue()
			case "ADD", "DELETE":
				v := p.peek()
				if v.kind != tokenValue {
					p.fail()
				}
				p.next()
				c.value = &node{op: opValue, value: p.resolveValue(v.text)}
				p.checkSetOperator(section, c.value.value)
			}
			clauses = append(clauses, c)
			if !p.accept(",") {
				break
			}
		}
		if p.peek().kind == tokenEnd {
			p.checkOverlaps(paths)
			return clauses
		}
	}
}

// setValue parses what follows "=": one operand, or the sum or difference of
// two; parentheses may stand around the whole and around each operand.
func (p *parser) setValue() *node {
	mark, operators := p.at, p.operators
	if p.accept("(") {
		n := p.setValue()
		p.expect(")")
		if t := p.peek(); !t.is("+") && !t.is("-") {
			return n
		}
		p.at, p.operators = mark, operators // the parentheses were around the first operand alone
	}
	left := p.updateOperand()
	t := p.peek()
	if !t.is("+") && !t.is("-") {
		return left
	}
	p.next()
	p.operators++
	n := &node{op: op(t.text), args: []*node{left, p.updateOperand()}}
	for _, a := range n.args {
		if lit := a.literal(); lit != nil && lit.kind != kindN {
			p.wrongType(t.text, lit.kind)
		}
	}
	return n
}

func (p *parser) updateOperand() *node {
	if p.accept("(") {
		n := p.updateOperand()
		p.expect(")")
		return n
	}
	return p.bareOperand()
}

var fullTypeNames = map[kind]string{
	kindS: "STRING", kindN: "NUMBER", kindB: "BINARY", kindNull: "NULL",
	kindBool: "BOOLEAN", kindL: "LIST", kindM: "MAP",
}

// checkSetOperator: ADD takes numbers and sets, DELETE sets alone.
func (p *parser) checkSetOperator(section string, v *value) {
	if v == nil {
		return
	}
	if name, bad := fullTypeNames[v.kind]; bad && (section != "ADD" || v.kind != kindN) {
		p.note(faultOperator, fmt.Sprintf("Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND", section, name, section))
	}
}

// checkOverlaps refuses paths of which one is the beginning of the other, and
// paths that take the same place for a map and for a list.
func (p *parser) checkOverlaps(paths []path) {
	for i, b := range paths {
		for _, a := range paths[:i] {
			class, what := clash(a, b)
			if class == "" {
				continue
			}
			if _, noted := p.faults[class]; !noted {
				p.note(class, fmt.Sprintf("Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", what, a, b))
			}
			if class == faultOverlap {
				return // the gravest; what follows would not be reported
			}
		}
	}
}

// clash says how two paths stand in each other's way, "" if they do not.
func clash(a, b path) (faultClass, string) {
	for k := range min(len(a), len(b)) {
		switch {
		case a[k].isList != b[k].isList:
			return faultConflict, "conflict"
		case a[k] != b[k]:
			return "", ""
		}
	}
	return faultOverlap, "overlap"
}
