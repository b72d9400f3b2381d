package cloudwatch

import (
	"fmt"
	"regexp"
	"strings"

	"orderbridge/local/samtemplate"
)

// rule decides a composite alarm by the states of others, by their names.
type rule func(state func(name string) string) bool

// composite is an alarm on alarms.
type composite struct {
	samtemplate.Alarm
	holds rule
}

var ruleToken = regexp.MustCompile(`^(?:"[^"]*"|[A-Za-z_]+|[()])`)

// parseRule reads the rule of a composite alarm (Amazon CloudWatch API Reference,
// "PutCompositeAlarm"): ALARM, OK and INSUFFICIENT_DATA of an alarm's name in
// quotes, AND, OR, NOT, TRUE, FALSE and parentheses. known are the names that it
// may have.
func parseRule(text string, known map[string]bool) (rule, error) {
	p := ruleParser{known: known}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t := ruleToken.FindString(rest)
		if t == "" {
			return nil, fmt.Errorf("parse rule: %.20q is not understood", rest)
		}
		p.tokens, rest = append(p.tokens, t), rest[len(t):]
	}
	r, err := p.or()
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse rule: %w", err)
	case len(p.tokens) > 0:
		return nil, fmt.Errorf("parse rule: %q is not understood", p.tokens[0])
	}
	return r, nil
}

type ruleParser struct {
	tokens []string
	known  map[string]bool
}

func (p *ruleParser) is(t string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != t {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *ruleParser) or() (rule, error) {
	left, err := p.and()
	for err == nil && p.is("OR") {
		var right rule
		a := left
		right, err = p.and()
		left = func(state func(string) string) bool { return a(state) || right(state) }
	}
	return left, err
}

func (p *ruleParser) and() (rule, error) {
	left, err := p.single()
	for err == nil && p.is("AND") {
		var right rule
		a := left
		right, err = p.single()
		left = func(state func(string) string) bool { return a(state) && right(state) }
	}
	return left, err
}

func (p *ruleParser) single() (rule, error) {
	switch {
	case len(p.tokens) == 0:
		return nil, fmt.Errorf("it ends too early")
	case p.is("NOT"):
		of, err := p.single()
		return func(state func(string) string) bool { return !of(state) }, err
	case p.is("TRUE"):
		return func(func(string) string) bool { return true }, nil
	case p.is("FALSE"):
		return func(func(string) string) bool { return false }, nil
	case p.is("("):
		of, err := p.or()
		if err == nil && !p.is(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return of, err
	}
	want := p.tokens[0]
	if want != Alarm && want != OK && want != InsufficientData || len(p.tokens) < 4 || p.tokens[1] != "(" || p.tokens[3] != ")" {
		return nil, fmt.Errorf("%q is not understood", want)
	}
	name := strings.Trim(p.tokens[2], `"`)
	if !p.known[name] {
		return nil, fmt.Errorf("there is no alarm %q before it", name)
	}
	p.tokens = p.tokens[4:]
	return func(state func(string) string) bool { return state(name) == want }, nil
}
