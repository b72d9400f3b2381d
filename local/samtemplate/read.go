package samtemplate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options say what stands around the template.
type Options struct {
	Region, Account, Stack string
	// Parameters override the template's defaults. Their constraints are not
	// checked: they guard a deployment (https only, say), and the simulators
	// are plain http on loopback.
	Parameters map[string]string
	// QueueURL gives the URL of a queue by its name.
	QueueURL func(name string) string
	// Names override physical names, by logical id.
	Names map[string]string
}

// Read reads a template.
func Read(source []byte, opts Options) (*Model, error) {
	root, err := parse(source)
	if err != nil {
		return nil, err
	}
	r := reader{model: &Model{}, opts: opts, integrations: map[string]integration{}, authorizers: map[string]JWT{}}
	for _, f := range root.fields {
		switch f.name {
		case "AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Rules", "Outputs",
			"Parameters", "Conditions", "Globals", "Resources":
		default:
			return nil, fmt.Errorf("read template: line %d: section %s is not supported", f.line, f.name)
		}
	}
	conditions, _ := root.get("Conditions")
	r.globals, _ = root.get("Globals")
	r.eval = &evaluator{
		templates:  "Conditions",
		conditions: conditions,
		resources:  map[string]resource{},
		parameters: map[string]node{},
		attribute:  r.attribute,
		pseudo: map[string]string{
			"AWS::Region": opts.Region, "AWS::AccountId": opts.Account, "AWS::Partition": "aws",
			"AWS::StackName": opts.Stack, "AWS::URLSuffix": "amazonaws.com",
		},
	}
	if err := r.parameters(root); err != nil {
		return nil, err
	}
	if err := r.collect(root); err != nil {
		return nil, err
	}
	for _, res := range r.order {
		if err := r.resource(res); err != nil {
			return nil, err
		}
	}
	return r.model, nil
}

type reader struct {
	model   *Model
	opts    Options
	globals node
	eval    *evaluator
	order   []resource

	integrations map[string]integration
	authorizers  map[string]JWT
}

type integration struct {
	function string
	timeout  time.Duration
}

func (r *reader) parameters(root node) error {
	declared, _ := root.get("Parameters")
	for _, f := range declared.fields {
		kind, _ := f.value.get("Type")
		value, given := f.value.get("Default")
		if v, ok := r.opts.Parameters[f.name]; ok {
			value, given = textNode(v, f.line), true
		}
		if !given {
			return fmt.Errorf("read template: parameter %s, line %d: has no default and no value for one machine", f.name, f.line)
		}
		v, err := parameterValue(kind.text, value.text, f.line)
		if err != nil {
			return fmt.Errorf("read template: parameter %s, line %d: %w", f.name, f.line, err)
		}
		r.eval.parameters[f.name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.Parameters)) {
		if _, ok := r.eval.parameters[name]; !ok {
			return fmt.Errorf("read template: it has no parameter %s", name)
		}
	}
	return nil
}

func (r *reader) collect(root node) error {
	all, ok := root.get("Resources")
	if !ok || all.kind != object {
		return errors.New("read template: it has no Resources")
	}
	for _, f := range all.fields {
		res := resource{id: f.name, line: f.line}
		for _, m := range f.value.fields {
			switch m.name {
			case "Type":
				res.kind = m.value.text
			case "Properties":
				res.props = m.value
			case "Condition":
				res.condition = m.value.text
			case "Metadata", "DeletionPolicy", "UpdateReplacePolicy":
			default:
				return fmt.Errorf("read template: %s, line %d: member %s is not supported", f.name, m.line, m.name)
			}
		}
		if res.kind == "" {
			return fmt.Errorf("read template: %s, line %d: has no Type", f.name, f.line)
		}
		r.order = append(r.order, res)
		r.eval.resources[res.id] = res
	}
	return nil
}

func (r *reader) resource(res resource) error {
	r.eval.templates = "read template: " + res.id
	if res.condition != "" {
		there, err := r.eval.condition(res.condition, res.line)
		if err != nil || !there {
			return err
		}
	}
	p := &props{r: r, owner: res.id, n: res.props, line: res.line, used: map[string]bool{}}
	switch res.kind {
	case "AWS::CloudWatch::Alarm":
		r.alarm(res, p)
	case "AWS::CloudWatch::CompositeAlarm":
		r.composite(res, p)
	case "AWS::Logs::MetricFilter":
		r.metricFilter(p)
	case "AWS::Events::Rule":
		r.eventRule(res, p)
	case "AWS::Events::ApiDestination":
		r.destination(res, p)
	case "AWS::Events::Connection":
		r.connection(res, p)
	case "AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::DomainName",
		"AWS::AppConfig::Application", "AWS::AppConfig::ConfigurationProfile", "AWS::AppConfig::HostedConfigurationVersion",
		"AWS::CloudWatch::Dashboard", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::KMS::Key", "AWS::Lambda::Permission",
		"AWS::Logs::LogGroup", "AWS::Logs::QueryDefinition", "AWS::SNS::Subscription", "AWS::SNS::Topic", "AWS::SQS::QueuePolicy":
		return nil // without effect on one machine
	case "AWS::Serverless::Function":
		r.function(res, p)
	case "AWS::Serverless::HttpApi":
		r.httpAPI(res, p)
	case "AWS::DynamoDB::Table":
		r.table(res, p)
	case "AWS::SQS::Queue":
		r.queue(res, p)
	case "AWS::SecretsManager::Secret":
		r.secret(res, p)
	case "AWS::Pipes::Pipe":
		r.pipe(res, p)
	case "AWS::ApiGatewayV2::Api":
		r.plainAPI(res, p)
	case "AWS::ApiGatewayV2::Stage":
		r.stage(p)
	case "AWS::ApiGatewayV2::Integration":
		r.integration(res, p)
	case "AWS::ApiGatewayV2::Authorizer":
		r.authorizer(res, p)
	case "AWS::ApiGatewayV2::Route":
		r.route(p)
	default:
		return fmt.Errorf("read template: %s, line %d: resources of type %s are not supported", res.id, res.line, res.kind)
	}
	return p.done()
}

// props reads the members of one object and knows which it has read.
type props struct {
	r     *reader
	owner string
	n     node
	line  int
	used  map[string]bool
	err   error
}

func (p *props) fail(name, format string, args ...any) {
	if p.err != nil {
		return
	}
	line := p.line
	for _, f := range p.n.fields {
		if f.name == name {
			line = f.line
		}
	}
	p.err = fmt.Errorf("read template: %s, line %d: %s: %s", p.owner, line, name, fmt.Sprintf(format, args...))
}

func (p *props) ignore(names ...string) {
	for _, n := range names {
		p.used[n] = true
	}
}

// take returns a member, evaluated; ok tells whether it is there.
func (p *props) take(name string) (node, bool) {
	p.used[name] = true
	v, ok := p.n.get(name)
	if !ok || p.err != nil {
		return node{}, false
	}
	v, err := p.r.eval.eval(v)
	if err != nil {
		p.err = err
		return node{}, false
	}
	return v, v.kind != none
}

func (p *props) text(name string) string {
	v, ok := p.take(name)
	if !ok {
		return ""
	}
	if v.kind != text {
		p.fail(name, "want a text")
	}
	return v.text
}

func (p *props) required(name string) string {
	v := p.text(name)
	if v == "" {
		p.fail(name, "is missing")
	}
	return v
}

func (p *props) int(name string, otherwise int) int {
	v, ok := p.take(name)
	if !ok {
		return otherwise
	}
	i, err := v.int()
	if err != nil {
		p.fail(name, "%v", err)
	}
	return i
}

func (p *props) seconds(name string, otherwise int) time.Duration {
	return time.Duration(p.int(name, otherwise)) * time.Second
}

func (p *props) bool(name string) bool {
	v, ok := p.take(name)
	if !ok {
		return false
	}
	b, err := v.bool()
	if err != nil {
		p.fail(name, "%v", err)
	}
	return b
}

// texts reads a list of texts; one text stands for a list of one.
func (p *props) texts(name string) []string {
	v, ok := p.take(name)
	if !ok {
		return nil
	}
	if v.kind == text {
		return []string{v.text}
	}
	var all []string
	for _, e := range v.list {
		if e.kind != text {
			p.fail(name, "want texts")
		}
		if e.text != "" { // an empty CommaDelimitedList is one empty text
			all = append(all, e.text)
		}
	}
	return all
}

// object reads a member that is an object; do sees its members. Members that
// do leaves unread are an error.
func (p *props) object(name string, do func(*props)) {
	v, ok := p.take(name)
	switch {
	case !ok:
	case v.kind != object:
		p.fail(name, "want an object")
	default:
		p.inside(v, do)
	}
}

func (p *props) objects(name string, do func(*props)) {
	v, ok := p.take(name)
	if !ok {
		return
	}
	if v.kind != list {
		p.fail(name, "want a list")
		return
	}
	for _, e := range v.list {
		p.inside(e, do)
	}
}

func (p *props) inside(v node, do func(*props)) {
	if p.err != nil {
		return
	}
	in := &props{r: p.r, owner: p.owner, n: v, line: v.line, used: map[string]bool{}}
	do(in)
	p.err = in.done()
}

// done reports the first problem, or the first member that was not read.
func (p *props) done() error {
	if p.err != nil {
		return p.err
	}
	if p.n.kind != object && p.n.kind != none {
		return fmt.Errorf("read template: %s, line %d: want an object", p.owner, p.line)
	}
	for _, f := range p.n.fields {
		if !p.used[f.name] {
			return fmt.Errorf("read template: %s, line %d: property %s is not supported", p.owner, f.line, f.name)
		}
	}
	return nil
}

// shortName is the name under which one knows a function on one machine.
func shortName(id string) string {
	return strings.ToLower(strings.TrimSuffix(id, "Function"))
}

// physical is the name that a resource gets.
func (r *reader) physical(res resource) string {
	if n := r.opts.Names[res.id]; n != "" {
		return n
	}
	return r.opts.Stack + "-" + res.id
}

func (r *reader) arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, r.opts.Region, r.opts.Account, resource)
}

// attribute answers Ref (attr "") and GetAtt.
func (r *reader) attribute(res resource, attr string) (string, bool) {
	name := r.physical(res)
	switch res.kind + " " + attr {
	case "AWS::Serverless::Function ", "AWS::DynamoDB::Table ", "AWS::SQS::Queue QueueName", "AWS::Pipes::Pipe ",
		"AWS::CloudWatch::Alarm ", "AWS::CloudWatch::CompositeAlarm ", "AWS::Logs::LogGroup ":
		return name, true
	case "AWS::CloudWatch::Alarm Arn", "AWS::CloudWatch::CompositeAlarm Arn":
		return r.arn("cloudwatch", "alarm:"+name), true
	case "AWS::Logs::LogGroup Arn":
		return r.arn("logs", "log-group:"+name+":*"), true
	case "AWS::SNS::Topic ":
		return r.arn("sns", name), true
	case "AWS::IAM::Role Arn":
		return fmt.Sprintf("arn:aws:iam::%s:role/%s", r.opts.Account, name), true
	case "AWS::Events::ApiDestination Arn":
		return r.arn("events", "api-destination/"+name), true
	case "AWS::Events::Connection Arn":
		return r.arn("events", "connection/"+name), true
	case "AWS::Serverless::Function Arn":
		return r.arn("lambda", "function:"+name), true
	case "AWS::Serverless::Function Alias":
		alias, _ := res.props.get("AutoPublishAlias")
		return r.arn("lambda", "function:"+name+":"+alias.text), alias.text != ""
	case "AWS::Serverless::Function Version": // the first one: none is replaced here
		return r.arn("lambda", "function:"+name+":1"), true
	case "AWS::DynamoDB::Table Arn":
		return r.arn("dynamodb", "table/"+name), true
	case "AWS::DynamoDB::Table StreamArn": // the label is known once the table is there
		return r.arn("dynamodb", "table/"+name+"/stream/LATEST"), true
	case "AWS::SQS::Queue ":
		return r.opts.QueueURL(name), true
	case "AWS::SQS::Queue Arn":
		return r.arn("sqs", name), true
	case "AWS::SecretsManager::Secret ", "AWS::SecretsManager::Secret Id":
		return r.secretARN(name), true
	case "AWS::Serverless::HttpApi ", "AWS::ApiGatewayV2::Api ", "AWS::ApiGatewayV2::Authorizer ", "AWS::ApiGatewayV2::Integration ":
		return res.id, true
	}
	return "", false
}

// secretARN ends, as the service's does, in a hyphen and six characters; fixed
// here, so that what was exported yesterday holds today.
func (r *reader) secretARN(name string) string {
	return r.arn("secretsmanager", "secret:"+name+"-local1")
}

// named returns the resource that a member names by an ARN, and the ARN.
func (p *props) named(name, what, kind, attr string) (resource, string) {
	arn := p.required(name)
	for _, res := range p.r.order {
		if v, ok := p.r.attribute(res, attr); ok && v == arn && res.kind == kind {
			return res, arn
		}
	}
	p.fail(name, "names no %s of this template: %s", what, arn)
	return resource{}, arn
}

// functionOf returns the function that a member names by its alias.
func (p *props) functionOf(name string) string {
	res, _ := p.named(name, "alias of a function", "AWS::Serverless::Function", "Alias")
	return shortName(res.id)
}

func (p *props) tableOf(name string) string {
	res, _ := p.named(name, "stream of a table", "AWS::DynamoDB::Table", "StreamArn")
	return p.r.physical(res)
}

func (p *props) queueOf(name string) string {
	_, arn := p.named(name, "queue", "AWS::SQS::Queue", "Arn")
	return arn
}
