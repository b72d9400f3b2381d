package samtemplate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

type kind int

const (
	none kind = iota // null, and AWS::NoValue
	text
	list
	object
)

// node is one value of the template. Scalars keep the text they were written
// with: CloudFormation treats them all as strings.
type node struct {
	kind   kind
	text   string
	list   []node
	fields []field
	line   int
}

type field struct {
	name  string
	value node
	line  int
}

func (n node) get(name string) (node, bool) {
	for _, f := range n.fields {
		if f.name == name {
			return f.value, true
		}
	}
	return node{line: n.line}, false
}

func textNode(s string, line int) node { return node{kind: text, text: s, line: line} }

// parse reads YAML; a short tag such as !Sub becomes its long form.
func parse(b []byte) (node, error) {
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return node{}, fmt.Errorf("parse template: %w", err)
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return node{}, fmt.Errorf("parse template: want one YAML document, have %d", len(f.Docs))
	}
	c := converter{}
	n := c.convert(f.Docs[0].Body)
	if c.err != nil {
		return node{}, c.err
	}
	if n.kind != object {
		return node{}, fmt.Errorf("parse template: line %d: want a mapping", n.line)
	}
	return n, nil
}

type converter struct {
	err error
}

func (c *converter) fail(line int, format string, args ...any) node {
	if c.err == nil {
		c.err = fmt.Errorf("parse template: line %d: %s", line, fmt.Sprintf(format, args...))
	}
	return node{line: line}
}

func (c *converter) convert(n ast.Node) node {
	line := 0
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return node{line: line}
	case *ast.StringNode:
		return textNode(n.Value, line)
	case *ast.LiteralNode:
		return textNode(n.Value.Value, line)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return textNode(n.GetToken().Value, line)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{n}, line)
	case *ast.MappingNode:
		return c.mapping(n.Values, line)
	case *ast.SequenceNode:
		out := node{kind: list, line: line}
		for _, v := range n.Values {
			out.list = append(out.list, c.convert(v))
		}
		return out
	case *ast.TagNode:
		return c.tag(n, line)
	}
	return c.fail(line, "YAML %s is not supported", n.Type())
}

func (c *converter) mapping(values []*ast.MappingValueNode, line int) node {
	out := node{kind: object, line: line}
	for _, v := range values {
		key := c.convert(v.Key)
		if key.kind != text {
			return c.fail(key.line, "a key must be a scalar")
		}
		if _, double := out.get(key.text); double {
			return c.fail(key.line, "%s is there twice", key.text)
		}
		out.fields = append(out.fields, field{key.text, c.convert(v.Value), key.line})
	}
	if len(out.fields) > 0 {
		out.line = out.fields[0].line
	}
	return out
}

func (c *converter) tag(n *ast.TagNode, line int) node {
	name := strings.TrimPrefix(n.Start.Value, "!")
	v := node{line: line}
	if n.Value != nil {
		v = c.convert(n.Value)
	}
	switch name {
	case "Ref":
	case "GetAtt":
		name = "Fn::GetAtt"
		if v.kind == text {
			// The attribute is all that follows the first dot.
			res, attr, ok := strings.Cut(v.text, ".")
			if !ok {
				return c.fail(line, "!GetAtt %s names no attribute", v.text)
			}
			v = node{kind: list, line: line, list: []node{textNode(res, line), textNode(attr, line)}}
		}
	default:
		name = "Fn::" + name
	}
	return node{kind: object, line: line, fields: []field{{name, v, line}}}
}

func (n node) bool() (bool, error) {
	if n.text == "true" || n.text == "false" {
		return n.text == "true", nil
	}
	return false, fmt.Errorf("want true or false, have %q", n.text)
}

func (n node) int() (int, error) {
	v, err := strconv.Atoi(n.text)
	if n.kind != text || err != nil {
		return 0, fmt.Errorf("want a whole number, have %q", n.text)
	}
	return v, nil
}

// plain is the value as JSON has it.
func (n node) plain() any {
	switch n.kind {
	case text:
		return n.text
	case list:
		all := make([]any, len(n.list))
		for i, v := range n.list {
			all[i] = v.plain()
		}
		return all
	case object:
		all := map[string]any{}
		for _, f := range n.fields {
			all[f.name] = f.value.plain()
		}
		return all
	}
	return nil
}
