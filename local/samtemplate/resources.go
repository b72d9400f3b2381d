package samtemplate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func (r *reader) function(res resource, p *props) {
	globals, _ := r.globals.get("Function")
	p.n = merge(globals, res.props)
	f := Function{ID: res.id, Short: shortName(res.id), Name: r.physical(res), Environment: map[string]string{}}
	f.ARN = r.arn("lambda", "function:"+f.Name)
	f.Alias = p.text("AutoPublishAlias")
	f.Handler = p.text("Handler")
	f.MemoryMB = p.int("MemorySize", 128)
	f.Timeout = p.seconds("Timeout", 3)
	f.Reserved = p.int("ReservedConcurrentExecutions", 0)
	f.MaxEventAge = 6 * time.Hour // Lambda's default
	if kind := p.text("Runtime"); !strings.HasPrefix(kind, "provided.") {
		p.fail("Runtime", "only provided.* runs a bootstrap, not %q", kind)
	}
	p.object("Environment", func(p *props) {
		p.object("Variables", func(p *props) {
			for _, v := range p.n.fields {
				f.Environment[v.name] = p.text(v.name)
			}
		})
	})
	p.object("EventInvokeConfig", func(p *props) {
		f.MaxEventAge = p.seconds("MaximumEventAgeInSeconds", 6*3600)
		p.noRetry()
	})
	p.ignore("CodeUri", "Architectures", "Role", "Description", "LoggingConfig", "Tracing", "VpcConfig",
		"AutoPublishAliasAllProperties", "VersionDescription", "DeploymentPreference")
	if p.err == nil {
		r.model.Functions = append(r.model.Functions, f)
	}
	events, ok := p.n.get("Events")
	p.used["Events"] = true
	if !ok {
		return
	}
	for _, e := range events.fields {
		kind, _ := e.value.get("Type")
		body, _ := e.value.get("Properties")
		in := &props{r: r, owner: res.id + " event " + e.name, n: body, line: e.line, used: map[string]bool{}}
		switch kind.text {
		case "HttpApi":
			r.apiEvent(f.Short, in)
		case "DynamoDB":
			r.streamMapping(res.id+e.name, f.Short, in)
		case "SQS":
			r.queueMapping(res.id+e.name, f.Short, in)
		case "ScheduleV2":
			r.schedule(e.name, f.Short, in)
		default:
			in.err = fmt.Errorf("read template: %s, line %d: events of type %q are not supported", in.owner, e.line, kind.text)
		}
		if err := in.done(); err != nil && p.err == nil {
			p.err = err
		}
	}
}

// merge lays a resource's properties over SAM's Globals: maps are merged, of
// anything else the resource's own is taken.
// (SAM Developer Guide, "Globals section".)
func merge(global, own node) node {
	if own.kind == none {
		return global
	}
	if global.kind != object || own.kind != object {
		return own
	}
	out := node{kind: object, line: own.line}
	for _, f := range global.fields {
		if _, there := own.get(f.name); !there {
			out.fields = append(out.fields, f)
		}
	}
	for _, f := range own.fields {
		if g, there := global.get(f.name); there {
			f.value = merge(g, f.value)
		}
		out.fields = append(out.fields, f)
	}
	return out
}

func (r *reader) table(res resource, p *props) {
	t := Table{ID: res.id, Name: r.physical(res)}
	key := func(p *props) (parts []KeyPart) {
		p.objects("KeySchema", func(p *props) {
			parts = append(parts, KeyPart{p.required("AttributeName"), p.required("KeyType")})
		})
		return parts
	}
	t.Key = key(p)
	p.objects("AttributeDefinitions", func(p *props) {
		t.Attributes = append(t.Attributes, Attribute{p.required("AttributeName"), p.required("AttributeType")})
	})
	p.objects("GlobalSecondaryIndexes", func(p *props) {
		i := Index{Name: p.required("IndexName"), Key: key(p)}
		p.object("Projection", func(p *props) {
			i.Projection = p.required("ProjectionType")
		})
		t.Indexes = append(t.Indexes, i)
	})
	p.object("StreamSpecification", func(p *props) {
		t.StreamView = p.required("StreamViewType")
	})
	p.object("TimeToLiveSpecification", func(p *props) {
		if p.bool("Enabled") {
			t.TTLAttribute = p.required("AttributeName")
		}
		p.ignore("AttributeName")
	})
	if mode := p.text("BillingMode"); mode != "PAY_PER_REQUEST" {
		p.fail("BillingMode", "only PAY_PER_REQUEST is supported")
	}
	p.ignore("PointInTimeRecoverySpecification", "DeletionProtectionEnabled", "SSESpecification")
	r.model.Tables = append(r.model.Tables, t)
}

func (r *reader) queue(res resource, p *props) {
	q := Queue{ID: res.id, Name: r.physical(res)}
	q.URL, q.ARN = r.opts.QueueURL(q.Name), r.arn("sqs", q.Name)
	q.Visibility = p.seconds("VisibilityTimeout", 30)
	q.Retention = p.seconds("MessageRetentionPeriod", 345600)
	p.object("RedrivePolicy", func(p *props) {
		q.DeadLetterARN = p.queueOf("deadLetterTargetArn")
		q.MaxReceives = p.int("maxReceiveCount", 0)
		if q.MaxReceives < 1 {
			p.fail("maxReceiveCount", "must be at least 1")
		}
	})
	p.ignore("SqsManagedSseEnabled")
	r.model.Queues = append(r.model.Queues, q)
}

func (r *reader) secret(res resource, p *props) {
	s := Secret{ID: res.id, Name: r.physical(res)}
	s.ARN = r.secretARN(s.Name)
	p.object("GenerateSecretString", func(p *props) {
		s.GenerateLength = p.int("PasswordLength", 32)
		p.ignore("ExcludePunctuation")
	})
	p.ignore("Description")
	r.model.Secrets = append(r.model.Secrets, s)
}

func (p *props) filters() (patterns []string) {
	p.object("FilterCriteria", func(p *props) {
		p.objects("Filters", func(p *props) { patterns = append(patterns, p.required("Pattern")) })
	})
	return patterns
}

func (p *props) fromTheStart() {
	if v := p.required("StartingPosition"); v != "TRIM_HORIZON" {
		p.fail("StartingPosition", "only TRIM_HORIZON is supported, not %q", v)
	}
}

func (p *props) noRetry() {
	if p.int("MaximumRetryAttempts", -1) != 0 {
		p.fail("MaximumRetryAttempts", "only 0 is supported")
	}
}

// age reads a maximum record age; -1 means none.
func (p *props) age(name string) time.Duration {
	if s := p.int(name, -1); s >= 0 {
		return time.Duration(s) * time.Second
	}
	return -1
}

func (p *props) partial() (report bool) {
	for _, v := range p.texts("FunctionResponseTypes") {
		if v != "ReportBatchItemFailures" {
			p.fail("FunctionResponseTypes", "%q is not known", v)
		}
		report = true
	}
	return report
}

func (r *reader) queueMapping(id, function string, p *props) {
	m := QueueMapping{ID: id, Function: function, QueueARN: p.queueOf("Queue"), BatchSize: p.int("BatchSize", 10)}
	p.object("ScalingConfig", func(p *props) {
		m.MaxConcurrency = p.int("MaximumConcurrency", 0)
		if m.MaxConcurrency < 2 || m.MaxConcurrency > 1000 {
			p.fail("MaximumConcurrency", "must be 2 to 1000")
		}
	})
	r.model.Works = append(r.model.Works, m)
}

func (r *reader) streamMapping(id, function string, p *props) {
	m := StreamMapping{ID: id, Function: function, Table: p.tableOf("Stream"), BatchSize: p.int("BatchSize", 100),
		Window: p.seconds("MaximumBatchingWindowInSeconds", 0), Bisect: p.bool("BisectBatchOnFunctionError"),
		MaxRetries: p.int("MaximumRetryAttempts", -1), MaxAge: p.age("MaximumRecordAgeInSeconds"), ReportPartial: p.partial(), Filters: p.filters()}
	p.object("DestinationConfig", func(p *props) {
		p.object("OnFailure", func(p *props) {
			if kind := p.text("Type"); kind != "SQS" {
				p.fail("Type", "%q is not supported, only SQS", kind)
			}
			m.OnFailureARN = p.queueOf("Destination")
		})
	})
	r.model.Streams = append(r.model.Streams, m)
	p.fromTheStart()
	if p.int("ParallelizationFactor", 1) != 1 {
		p.fail("ParallelizationFactor", "only 1 is supported")
	}
}

func (r *reader) pipe(res resource, p *props) {
	m := Pipe{ID: res.id, Name: r.physical(res), Table: p.tableOf("Source"), QueueARN: p.queueOf("Target")}
	p.object("SourceParameters", func(p *props) {
		m.Filters = p.filters()
		p.object("DynamoDBStreamParameters", func(p *props) {
			p.fromTheStart()
			m.BatchSize = p.int("BatchSize", 100)
			m.MaxRetries = p.int("MaximumRetryAttempts", -1)
			m.MaxAge = p.age("MaximumRecordAgeInSeconds")
			v := p.text("OnPartialBatchItemFailure")
			if m.Bisect = v == "AUTOMATIC_BISECT"; !m.Bisect && v != "" {
				p.fail("OnPartialBatchItemFailure", "%q is not known", v)
			}
		})
	})
	p.object("TargetParameters", func(p *props) { m.InputTemplate = p.text("InputTemplate") })
	if m.BatchSize > 10 {
		p.fail("SourceParameters", "a batch for a queue holds at most 10 records")
	}
	p.ignore("Description", "RoleArn")
	r.model.Pipes = append(r.model.Pipes, m)
}

// rate reads rate(1 minute) and the like.
func (p *props) rate(name string) time.Duration {
	v := p.required(name)
	inner, ok := strings.CutPrefix(v, "rate(")
	inner, closed := strings.CutSuffix(inner, ")")
	number, unit, spaced := strings.Cut(inner, " ")
	n, err := strconv.Atoi(number)
	units := map[string]time.Duration{"minute": time.Minute, "minutes": time.Minute, "hour": time.Hour, "hours": time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour}
	if !ok || !closed || !spaced || err != nil || n < 1 || units[unit] == 0 {
		p.fail(name, "only rate(N minutes|hours|days) is supported, not %q", v)
	}
	return time.Duration(n) * units[unit]
}

func (r *reader) schedule(id, function string, p *props) {
	s := Schedule{ID: id, Function: function, Every: p.rate("ScheduleExpression"), MaxAge: 24 * time.Hour} // EventBridge's default
	p.object("RetryPolicy", func(p *props) {
		s.MaxAge = p.seconds("MaximumEventAgeInSeconds", 86400)
		p.noRetry()
	})
	s.Input = p.text("Input")
	p.ignore("Description", "FlexibleTimeWindow", "OmitName")
	r.model.Schedules = append(r.model.Schedules, s)
}

func (p *props) cors(name string) (c *CORS) {
	p.object(name, func(p *props) {
		c = &CORS{Origins: p.texts("AllowOrigins"), Methods: p.texts("AllowMethods"), Headers: p.texts("AllowHeaders"),
			Expose: p.texts("ExposeHeaders"), MaxAge: p.int("MaxAge", 0)}
	})
	return c
}

func (r *reader) httpAPI(res resource, p *props) {
	// Auth is not read: the transform drops a broken authorizer with a warning.
	p.ignore("Description", "FailOnWarnings", "DisableExecuteApiEndpoint")
	r.model.APIs = append(r.model.APIs, API{ID: res.id, Throttle: p.throttle("DefaultRouteSettings")})
	p.accessLog(res.id)
}

func (p *props) throttle(name string) (t Throttle) {
	p.object(name, func(p *props) {
		t = Throttle{Rate: float64(p.int("ThrottlingRateLimit", 0)), Burst: p.int("ThrottlingBurstLimit", 0)}
		if t.Rate < 1 || t.Burst < 1 {
			p.fail("ThrottlingRateLimit", "both limits must be at least 1")
		}
	})
	return t
}

// stage gives its settings to its API, which stands before it in the template.
func (r *reader) stage(p *props) {
	if name := p.text("StageName"); name != "$default" {
		p.fail("StageName", "only the stage $default is supported, not %q", name)
	}
	id := p.apiOf("ApiId")
	for i := range r.model.APIs {
		if r.model.APIs[i].ID == id {
			r.model.APIs[i].Throttle = p.throttle("DefaultRouteSettings")
		}
	}
	p.accessLog(id)
	p.ignore("AutoDeploy")
}

func (r *reader) plainAPI(res resource, p *props) {
	if kind := p.required("ProtocolType"); kind != "HTTP" {
		p.fail("ProtocolType", "only HTTP is supported")
	}
	a := API{ID: res.id, CORS: p.cors("CorsConfiguration")}
	p.ignore("Name", "Description")
	r.model.APIs = append(r.model.APIs, a)
}

// accessLog reads where an API, which stands before it in the template, writes
// its access log.
func (p *props) accessLog(api string) {
	p.object("AccessLogSettings", func(p *props) {
		res, _ := p.named("DestinationArn", "log group", "AWS::Logs::LogGroup", "Arn")
		format := p.required("Format")
		for i := range p.r.model.APIs {
			if a := &p.r.model.APIs[i]; a.ID == api {
				a.LogGroup, a.LogFormat = p.r.physical(res), format
			}
		}
	})
}

func (p *props) apiOf(name string) string {
	v := p.required(name)
	if res, ok := p.r.eval.resources[v]; p.err == nil && (!ok || res.kind != "AWS::Serverless::HttpApi" && res.kind != "AWS::ApiGatewayV2::Api") {
		p.fail(name, "names no HTTP API of this template: %s", v)
	}
	return v
}

func (p *props) payload2() {
	if v := p.text("PayloadFormatVersion"); v != "2.0" {
		p.fail("PayloadFormatVersion", "must be 2.0")
	}
}

// maxIntegration is the longest an HTTP API waits for an integration.
const maxIntegration = 30 * time.Second

func (p *props) integrationTimeout() time.Duration {
	d := time.Duration(p.int("TimeoutInMillis", int(maxIntegration.Milliseconds()))) * time.Millisecond
	if d < 50*time.Millisecond || d > maxIntegration {
		p.fail("TimeoutInMillis", "must be 50 to 30000")
	}
	return d
}

func (r *reader) apiEvent(function string, p *props) {
	rt := Route{API: p.apiOf("ApiId"), Key: p.required("Method") + " " + p.required("Path"), Function: function, Timeout: p.integrationTimeout()}
	p.payload2()
	rt.Throttle = p.throttle("RouteSettings")
	r.model.Routes = append(r.model.Routes, rt)
}

func (r *reader) integration(res resource, p *props) {
	if kind := p.required("IntegrationType"); kind != "AWS_PROXY" {
		p.fail("IntegrationType", "only AWS_PROXY is supported")
	}
	p.payload2()
	r.integrations[res.id] = integration{function: p.functionOf("IntegrationUri"), timeout: p.integrationTimeout()}
	p.apiOf("ApiId")
}

func (r *reader) authorizer(res resource, p *props) {
	if kind := p.required("AuthorizerType"); kind != "JWT" {
		p.fail("AuthorizerType", "only JWT is supported")
	}
	var j JWT
	p.object("JwtConfiguration", func(p *props) {
		j.Issuer, j.Audience = p.required("Issuer"), p.texts("Audience")
	})
	if len(j.Audience) == 0 {
		p.fail("JwtConfiguration", "Audience is missing")
	}
	sources := p.texts("IdentitySource")
	if len(sources) != 1 || !strings.HasPrefix(sources[0], "$request.header.") {
		p.fail("IdentitySource", "want one $request.header.NAME")
	} else {
		j.IdentitySource = sources[0]
	}
	p.apiOf("ApiId")
	p.ignore("Name")
	r.authorizers[res.id] = j
}

// route joins a route with its integration and authorizer, which stand before
// it in the template.
func (r *reader) route(p *props) {
	target := strings.TrimPrefix(p.required("Target"), "integrations/")
	in, ok := r.integrations[target]
	if !ok {
		p.fail("Target", "names no integration before it in this template: %s", target)
	}
	rt := Route{API: p.apiOf("ApiId"), Key: p.required("RouteKey"), Function: in.function, Timeout: in.timeout}
	authorizer, scopes := p.text("AuthorizerId"), p.texts("AuthorizationScopes")
	switch kind := p.text("AuthorizationType"); kind {
	case "", "NONE":
	case "AWS_IAM":
		rt.IAM = true
	case "JWT":
		j, ok := r.authorizers[authorizer]
		if !ok {
			p.fail("AuthorizerId", "names no authorizer before it in this template: %q", authorizer)
		}
		j.Scopes = scopes
		rt.JWT = &j
	default:
		p.fail("AuthorizationType", "%q is not supported", kind)
	}
	r.model.Routes = append(r.model.Routes, rt)
}
