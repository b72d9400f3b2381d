package samtemplate

import (
	"fmt"
	"strconv"
	"strings"
)

// evaluator resolves intrinsic functions.
// (CloudFormation User Guide, "Intrinsic function reference".)
type evaluator struct {
	parameters map[string]node // values
	conditions node
	resources  map[string]resource
	pseudo     map[string]string
	// attribute answers Ref (attr "") and GetAtt of a resource that exists.
	attribute func(r resource, attr string) (string, bool)

	templates string // where an error happened: "Resource" or "Conditions"
}

type resource struct {
	id, kind  string
	condition string
	props     node
	line      int
}

func (e *evaluator) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s, line %d: %s", e.templates, line, fmt.Sprintf(format, args...))
}

// eval returns n with every intrinsic function resolved. AWS::NoValue removes
// the member or element that it stands for.
func (e *evaluator) eval(n node) (node, error) {
	switch n.kind {
	case list:
		out := node{kind: list, line: n.line}
		for _, v := range n.list {
			r, err := e.eval(v)
			if err != nil {
				return node{}, err
			}
			if r.kind != none {
				out.list = append(out.list, r)
			}
		}
		return out, nil
	case object:
		if len(n.fields) == 1 {
			f := n.fields[0]
			if f.name == "Ref" || strings.HasPrefix(f.name, "Fn::") {
				return e.intrinsic(f.name, f.value, f.line)
			}
		}
		out := node{kind: object, line: n.line}
		for _, f := range n.fields {
			r, err := e.eval(f.value)
			if err != nil {
				return node{}, err
			}
			if r.kind != none {
				out.fields = append(out.fields, field{f.name, r, f.line})
			}
		}
		return out, nil
	}
	return n, nil
}

func (e *evaluator) intrinsic(name string, arg node, line int) (node, error) {
	switch name {
	case "Ref":
		if arg.kind != text {
			return node{}, e.errorf(line, "Ref wants a name")
		}
		return e.ref(arg.text, line)
	case "Fn::If":
		if arg.kind != list || len(arg.list) != 3 || arg.list[0].kind != text {
			return node{}, e.errorf(line, "Fn::If wants a condition and two values")
		}
		yes, err := e.condition(arg.list[0].text, line)
		if err != nil {
			return node{}, err
		}
		if yes {
			return e.eval(arg.list[1])
		}
		return e.eval(arg.list[2])
	case "Fn::Sub":
		return e.sub(arg, line)
	}
	arg, err := e.eval(arg)
	if err != nil {
		return node{}, err
	}
	switch name {
	case "Fn::GetAtt":
		if arg.kind != list || len(arg.list) != 2 {
			return node{}, e.errorf(line, "Fn::GetAtt wants a resource and an attribute")
		}
		return e.getAtt(arg.list[0].text, arg.list[1].text, line)
	case "Fn::Join":
		if arg.kind != list || len(arg.list) != 2 || arg.list[0].kind != text || arg.list[1].kind != list {
			return node{}, e.errorf(line, "Fn::Join wants a delimiter and a list")
		}
		var parts []string
		for _, v := range arg.list[1].list {
			if v.kind != text {
				return node{}, e.errorf(line, "Fn::Join joins texts only")
			}
			parts = append(parts, v.text)
		}
		return textNode(strings.Join(parts, arg.list[0].text), line), nil
	}
	return node{}, e.errorf(line, "%s is not supported", name)
}

func (e *evaluator) ref(name string, line int) (node, error) {
	if name == "AWS::NoValue" {
		return node{line: line}, nil
	}
	if v, ok := e.pseudo[name]; ok {
		return textNode(v, line), nil
	}
	if v, ok := e.parameters[name]; ok {
		v.line = line
		return v, nil
	}
	// The transform's own: !Ref Function.Alias and !Ref Function.Version.
	// (SAM Developer Guide, "Referencing generated resources".)
	if id, generated, dotted := strings.Cut(name, "."); dotted {
		return e.getAtt(id, generated, line)
	}
	return e.getAtt(name, "", line)
}

func (e *evaluator) getAtt(name, attr string, line int) (node, error) {
	what := "Ref " + name
	if attr != "" {
		what = "GetAtt " + name + "." + attr
	}
	r, ok := e.resources[name]
	if !ok {
		return node{}, e.errorf(line, "%s: there is no such parameter or resource", what)
	}
	if r.condition != "" {
		there, err := e.condition(r.condition, line)
		if err != nil {
			return node{}, err
		}
		if !there {
			return node{}, e.errorf(line, "%s: its condition %s is false", what, r.condition)
		}
	}
	v, ok := e.attribute(r, attr)
	if !ok {
		return node{}, e.errorf(line, "%s: not known for a %s", what, r.kind)
	}
	return textNode(v, line), nil
}

func (e *evaluator) sub(arg node, line int) (node, error) {
	if arg.kind != text {
		return node{}, e.errorf(line, "Fn::Sub wants a text")
	}
	var out strings.Builder
	rest := arg.text
	for {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			return textNode(out.String(), line), nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return node{}, e.errorf(line, "Fn::Sub: ${ is not closed")
		}
		rest = tail
		var v node
		var err error
		if res, attr, dotted := strings.Cut(name, "."); dotted {
			v, err = e.getAtt(res, attr, line)
		} else {
			v, err = e.ref(name, line)
		}
		if err != nil {
			return node{}, err
		}
		if v.kind != text {
			return node{}, e.errorf(line, "Fn::Sub: %s is not a text", name)
		}
		out.WriteString(v.text)
	}
}

// condition decides a condition by its name.
func (e *evaluator) condition(name string, line int) (bool, error) {
	n, ok := e.conditions.get(name)
	if !ok {
		return false, e.errorf(line, "there is no condition %s", name)
	}
	v, err := e.decide(n)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	return v, nil
}

func (e *evaluator) decide(n node) (bool, error) {
	if n.kind != object || len(n.fields) != 1 {
		return false, e.errorf(n.line, "want one condition function")
	}
	f := n.fields[0]
	args := f.value.list
	switch {
	case f.name == "Fn::Not" && len(args) == 1:
		v, err := e.decide(args[0])
		return !v, err
	case f.name == "Fn::Equals" && len(args) == 2:
		both, err := e.eval(f.value)
		if err != nil {
			return false, err
		}
		if len(both.list) != 2 || both.list[0].kind != text || both.list[1].kind != text {
			return false, e.errorf(f.line, "Fn::Equals compares texts only")
		}
		return both.list[0].text == both.list[1].text, nil
	}
	return false, e.errorf(f.line, "%s is not a supported condition function", f.name)
}

// parameterValue is what Ref gives for a parameter.
func parameterValue(kind, value string, line int) (node, error) {
	switch kind {
	case "String":
		return textNode(value, line), nil
	case "Number":
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return node{}, fmt.Errorf("want a number, have %q", value)
		}
		return textNode(value, line), nil
	case "CommaDelimitedList":
		out := node{kind: list, line: line}
		for part := range strings.SplitSeq(value, ",") {
			out.list = append(out.list, textNode(strings.TrimSpace(part), line))
		}
		return out, nil
	}
	return node{}, fmt.Errorf("parameters of type %s are not supported", kind)
}
