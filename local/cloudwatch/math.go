package cloudwatch

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expression is a metric math expression. value returns its data point at one
// moment, NaN where it has none; at returns that of a query, by its id.
type expression struct {
	value func(at lookup) float64
	// list is set where the expression is a list of series, as METRICS() is.
	list func(at lookup) []float64
	// constant: it is a number, not a series.
	constant bool
}

type lookup func(id string) float64

// parseExpression reads metric math as far as it is known here (CloudWatch User
// Guide, "Metric math syntax and functions"): numbers, ids, + - * /, comparisons,
// AND, OR, parentheses, IF, FILL, METRICS, and SUM, MAX, MIN, AVG of a list of
// series. metrics are the ids of the alarm's metrics, which METRICS() returns;
// known are the ids that the expression may name.
func parseExpression(text string, metrics, known []string) (expression, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return expression{}, err
	}
	p := &mathParser{tokens: tokens, metrics: metrics, known: known}
	e, err := p.binary(0)
	switch {
	case err != nil:
		return expression{}, fmt.Errorf("parse %q: %w", text, err)
	case len(p.tokens) > 0:
		return expression{}, fmt.Errorf("parse %q: %q is not understood", text, p.tokens[0])
	case e.list != nil:
		return expression{}, fmt.Errorf("parse %q: an alarm wants one series, not a list of them", text)
	}
	return e, nil
}

var token = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]+)?|[A-Za-z][A-Za-z0-9_]*|==|!=|<=|>=|&&|\|\||[-+*/<>(),\[\]])`)

func tokenize(text string) (all []string, err error) {
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t := token.FindString(rest)
		if t == "" {
			return nil, fmt.Errorf("parse %q: %.10q is not understood", text, rest)
		}
		all, rest = append(all, t), rest[len(t):]
	}
	return all, nil
}

type mathParser struct {
	tokens         []string
	metrics, known []string
}

func (p *mathParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *mathParser) take() string {
	t := p.next()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *mathParser) want(t string) error {
	if got := p.take(); got != t {
		return fmt.Errorf("%q is missing before %q", t, got)
	}
	return nil
}

// operators, those that bind least first.
var operators = [][]string{{"OR", "||"}, {"AND", "&&"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}, {"*", "/"}}

func (p *mathParser) binary(level int) (expression, error) {
	if level == len(operators) {
		return p.operand()
	}
	left, err := p.binary(level + 1)
	for err == nil && slices.Contains(operators[level], p.next()) {
		name := p.take()
		var right expression
		if right, err = p.binary(level + 1); err != nil {
			break
		}
		if left.list != nil || right.list != nil {
			return left, fmt.Errorf("%s of a list of series is not supported", name)
		}
		a, b, do := left.value, right.value, operation(name, left.constant || right.constant)
		left = expression{value: func(at lookup) float64 { return do(a(at), b(at)) }, constant: left.constant && right.constant}
	}
	return left, err
}

// operation computes a binary operator. Arithmetic with a data point that is
// missing has none, and so has a division by zero. A comparison of two series
// takes one that is missing for 0, unless both are; of a series with a number it
// has none where the series has none.
func operation(name string, number bool) func(a, b float64) float64 {
	logical := map[string]func(a, b float64) bool{
		"==": func(a, b float64) bool { return a == b }, "!=": func(a, b float64) bool { return a != b },
		"<": func(a, b float64) bool { return a < b }, "<=": func(a, b float64) bool { return a <= b },
		">": func(a, b float64) bool { return a > b }, ">=": func(a, b float64) bool { return a >= b },
		"AND": func(a, b float64) bool { return a != 0 && b != 0 }, "&&": func(a, b float64) bool { return a != 0 && b != 0 },
		"OR": func(a, b float64) bool { return a != 0 || b != 0 }, "||": func(a, b float64) bool { return a != 0 || b != 0 },
	}
	if holds := logical[name]; holds != nil {
		return func(a, b float64) float64 {
			switch {
			case math.IsNaN(a) && (number || math.IsNaN(b)), number && math.IsNaN(b):
				return math.NaN()
			case holds(orZero(a), orZero(b)):
				return 1
			}
			return 0
		}
	}
	return map[string]func(a, b float64) float64{
		"+": func(a, b float64) float64 { return a + b },
		"-": func(a, b float64) float64 { return a - b },
		"*": func(a, b float64) float64 { return a * b },
		"/": func(a, b float64) float64 {
			if b == 0 {
				return math.NaN()
			}
			return a / b
		},
	}[name]
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

func (p *mathParser) operand() (expression, error) {
	t := p.take()
	switch {
	case t == "(":
		e, err := p.binary(0)
		if err != nil {
			return e, err
		}
		return e, p.want(")")
	case t == "[":
		return p.series()
	case t == "-":
		e, err := p.operand()
		if err == nil && e.list != nil {
			err = fmt.Errorf("- of a list of series is not supported")
		}
		of := e.value
		return expression{value: func(at lookup) float64 { return -of(at) }, constant: e.constant}, err
	case t != "" && t[0] >= '0' && t[0] <= '9':
		v, err := strconv.ParseFloat(t, 64)
		return expression{value: func(lookup) float64 { return v }, constant: true}, err
	case p.next() == "(":
		return p.call(t)
	case slices.Contains(p.known, t):
		return expression{value: func(at lookup) float64 { return at(t) }}, nil
	}
	return expression{}, fmt.Errorf("%q is no id of the alarm's metrics", t)
}

// series reads a list of series, behind its "[".
func (p *mathParser) series() (expression, error) {
	all, err := p.arguments("]")
	if err == nil && slices.ContainsFunc(all, func(e expression) bool { return e.list != nil }) {
		err = fmt.Errorf("a list in a list is not supported")
	}
	return expression{list: func(at lookup) []float64 {
		values := make([]float64, len(all))
		for i, e := range all {
			values[i] = e.value(at)
		}
		return values
	}}, err
}

func (p *mathParser) arguments(end string) (all []expression, err error) {
	if p.next() == end {
		p.take()
		return nil, nil
	}
	for {
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		switch t := p.take(); t {
		case end:
			return all, nil
		case ",":
		default:
			return nil, fmt.Errorf("%q is missing before %q", end, t)
		}
	}
}

func (p *mathParser) call(name string) (expression, error) {
	p.take()
	if name == "METRICS" {
		ids := p.metrics
		return expression{list: func(at lookup) []float64 {
			values := make([]float64, len(ids))
			for i, id := range ids {
				values[i] = at(id)
			}
			return values
		}}, p.want(")")
	}
	args, err := p.arguments(")")
	if err != nil {
		return expression{}, err
	}
	single := func(n int) bool {
		return len(args) == n && !slices.ContainsFunc(args, func(e expression) bool { return e.list != nil })
	}
	switch {
	case name == "IF" && single(3):
		return expression{value: func(at lookup) float64 {
			switch condition := args[0].value(at); {
			case math.IsNaN(condition):
				return condition
			case condition != 0:
				return args[1].value(at)
			}
			return args[2].value(at)
		}}, nil
	case name == "FILL" && len(args) == 2 && args[1].list == nil:
		return fill(args[0], args[1]), nil
	case aggregates[name] != nil && len(args) == 1 && args[0].list != nil:
		list, of := args[0].list, aggregates[name]
		return expression{value: func(at lookup) float64 {
			there := slices.DeleteFunc(list(at), math.IsNaN)
			if len(there) == 0 {
				return math.NaN()
			}
			return of(there)
		}}, nil
	}
	return expression{}, fmt.Errorf("%s with %d arguments of these kinds is not supported", name, len(args))
}

// fill puts a value in the place of data points that are missing.
func fill(of, with expression) expression {
	one := func(v float64, at lookup) float64 {
		if math.IsNaN(v) {
			return with.value(at)
		}
		return v
	}
	if list := of.list; list != nil {
		return expression{list: func(at lookup) []float64 {
			values := list(at)
			for i := range values {
				values[i] = one(values[i], at)
			}
			return values
		}}
	}
	return expression{value: func(at lookup) float64 { return one(of.value(at), at) }}
}

// aggregates make one series of a list, at each moment of those that have a
// data point.
var aggregates = map[string]func([]float64) float64{
	"SUM": total,
	"AVG": func(values []float64) float64 { return total(values) / float64(len(values)) },
	"MAX": slices.Max[[]float64],
	"MIN": slices.Min[[]float64],
}

func total(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum
}
