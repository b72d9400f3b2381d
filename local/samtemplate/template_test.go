package samtemplate_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orderbridge/local/samtemplate"
)

func options(parameters map[string]string) samtemplate.Options {
	return samtemplate.Options{Region: "us-east-1", Account: "000000000000", Stack: "trial", Parameters: parameters,
		QueueURL: func(name string) string { return "http://127.0.0.1:8000/000000000000/" + name }}
}

func read(t *testing.T, text string, parameters map[string]string) *samtemplate.Model {
	t.Helper()
	m, err := samtemplate.Read([]byte(text), options(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// env evaluates one value as an environment variable of a function.
const head = `
Parameters:
  Name: { Type: String, Default: alice }
  Empty: { Type: String, Default: "" }
  Count: { Type: Number, Default: 007 }
  List: { Type: CommaDelimitedList, Default: "a, b,c" }
Conditions:
  IsAlice: !Equals [!Ref Name, alice]
  NoName: !Not [!Equals [!Ref Name, alice]]
  Long:
    Fn::Not:
      - Fn::Equals:
          - Ref: Empty
          - ""
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties: { BillingMode: PAY_PER_REQUEST, KeySchema: [{ AttributeName: pk, KeyType: HASH }], AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }] }
  Queue:
    Type: AWS::SQS::Queue
  Secret:
    Type: AWS::SecretsManager::Secret
  Gone:
    Type: AWS::SQS::Queue
    Condition: NoName
  TryFunction:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      AutoPublishAlias: live
      Environment:
        Variables:
          V: `

func TestIntrinsicFunctions(t *testing.T) {
	for value, want := range map[string]string{
		`plain`:                               "plain",
		`12`:                                  "12",
		`0.50`:                                "0.50",
		`true`:                                "true",
		`"true"`:                              "true",
		`!Ref Name`:                           "alice",
		`{ Ref: Name }`:                       "alice",
		`!Ref Count`:                          "007",
		`!Ref AWS::Region`:                    "us-east-1",
		`!Ref Table`:                          "trial-Table",
		`!GetAtt Table.Arn`:                   "arn:aws:dynamodb:us-east-1:000000000000:table/trial-Table",
		`{ "Fn::GetAtt": [Table, Arn] }`:      "arn:aws:dynamodb:us-east-1:000000000000:table/trial-Table",
		`!Ref Queue`:                          "http://127.0.0.1:8000/000000000000/trial-Queue",
		`!GetAtt Queue.Arn`:                   "arn:aws:sqs:us-east-1:000000000000:trial-Queue",
		`!GetAtt Queue.QueueName`:             "trial-Queue",
		`!Ref Secret`:                         "arn:aws:secretsmanager:us-east-1:000000000000:secret:trial-Secret-local1",
		`!GetAtt Secret.Id`:                   "arn:aws:secretsmanager:us-east-1:000000000000:secret:trial-Secret-local1",
		`!GetAtt TryFunction.Arn`:             "arn:aws:lambda:us-east-1:000000000000:function:trial-TryFunction",
		`!Ref TryFunction.Alias`:              "arn:aws:lambda:us-east-1:000000000000:function:trial-TryFunction:live",
		`!Ref TryFunction.Version`:            "arn:aws:lambda:us-east-1:000000000000:function:trial-TryFunction:1",
		`!Sub "${Name}-${AWS::AccountId}"`:    "alice-000000000000",
		`!Sub "${Queue.QueueName}/${Name}"`:   "trial-Queue/alice",
		`!Join ["-", [a, !Ref Name]]`:         "a-alice",
		`!Join ["", !Ref List]`:               "abc",
		`!Join [",", [a, !Ref AWS::NoValue]]`: "a",
		`!If [IsAlice, yes, no]`:              "yes",
		`!If [NoName, yes, no]`:               "no",
		`!If [Long, yes, no]`:                 "no",
		`!If [NoName, !Ref Gone, no]`:         "no",
		`{ "Fn::If": [IsAlice, { Ref: Name }, "no"] }`: "alice",
	} {
		m := read(t, head+value, nil)
		if got := m.Functions[0].Environment["V"]; got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

func TestNoValueRemovesTheMember(t *testing.T) {
	m := read(t, head+`!If [NoName, x, !Ref AWS::NoValue]`, nil)
	if v, there := m.Functions[0].Environment["V"]; there && v != "" {
		t.Errorf("V is %q", v)
	}
}

func TestParametersOverrideDefaults(t *testing.T) {
	m := read(t, head+`!Ref Name`, map[string]string{"Name": "bob"})
	if got := m.Functions[0].Environment["V"]; got != "bob" {
		t.Errorf("V is %q", got)
	}
	if !slices.ContainsFunc(m.Queues, func(q samtemplate.Queue) bool { return q.ID == "Gone" }) {
		t.Error("the conditional queue is missing")
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	const function = "Resources:\n  AFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: provided.al2023\n"
	last := strconv.Itoa(strings.Count(head, "\n") + 1)
	for rule, c := range map[string]struct{ text, want string }{
		"an unknown intrinsic":         {head + `!Cidr ["10.0.0.0/8", 1]`, "TryFunction, line " + last + ": Fn::Cidr is not supported"},
		"an import":                    {head + `!ImportValue x`, "Fn::ImportValue is not supported"},
		"a selection":                  {head + `!Select [0, !Ref List]`, "Fn::Select is not supported"},
		"a condition on conditions":    {"Conditions:\n  A: !And [!Equals [a, a], !Equals [b, b]]\nResources:\n  Q: { Type: AWS::SQS::Queue, Condition: A }\n", "Fn::And is not a supported condition function"},
		"an anchor":                    {head + `&a x`, "YAML Anchor is not supported"},
		"a name that is not there":     {head + `!Ref Nobody`, "TryFunction, line " + last + ": Ref Nobody: there is no such parameter or resource"},
		"an attribute not known":       {head + `!GetAtt Queue.Color`, "GetAtt Queue.Color: not known for a AWS::SQS::Queue"},
		"a resource that is not there": {head + `!Ref Gone`, "its condition NoName is false"},
		"an unknown condition":         {head + `!If [Nothing, a, b]`, "there is no condition Nothing"},
		"a value of the wrong kind":    {head + `[a]`, "want a text"},
		"an open Sub":                  {head + `!Sub "${Name"`, "is not closed"},
		"an unknown type":              {"Resources:\n  Thing:\n    Type: AWS::S3::Bucket\n", "Thing, line 2: resources of type AWS::S3::Bucket are not supported"},
		"an unknown property":          {function + "      Magic: 1\n", "AFunction, line 6: property Magic is not supported"},
		"an unknown event":             {function + "      Events:\n        E:\n          Type: S3\n", "AFunction event E, line 7: events of type \"S3\" are not supported"},
		"an unknown member":            {"Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Extra: 1\n", "Q, line 4: member Extra is not supported"},
		"an unknown section":           {"Resourcen: {}\n", "section Resourcen is not supported"},
		"a managed runtime":            {strings.Replace(function, "provided.al2023", "go1.x", 1), "only provided.* runs a bootstrap"},
		"a FIFO queue":                 {"Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties: { FifoQueue: true }\n", "property FifoQueue is not supported"},
		"a cron schedule":              {function + "      Events:\n        E: { Type: ScheduleV2, Properties: { ScheduleExpression: cron(0 1 * * ? *) } }\n", "only rate("},
		"a key twice":                  {"Resources:\n  Q: { Type: AWS::SQS::Queue, Type: AWS::SQS::Queue }\n", "parse template"},
		"a parameter without value":    {"Parameters:\n  P: { Type: String }\nResources: {}\n", "parameter P, line 2: has no default"},
		"a parameter type":             {"Parameters:\n  P: { Type: AWS::EC2::VPC::Id, Default: x }\nResources: {}\n", "parameters of type AWS::EC2::VPC::Id are not supported"},
		"no resources":                 {"Description: x\n", "it has no Resources"},
		"not a mapping":                {"- a\n", "want a mapping"},
		"not YAML":                     {"a: [", "parse template"},
		"dead letters elsewhere":       {"Resources:\n  Q: { Type: AWS::SQS::Queue, Properties: { RedrivePolicy: { deadLetterTargetArn: x, maxReceiveCount: 1 } } }\n", "names no queue of this template"},
		"a schedule with retries":      {function + "      Events:\n        E: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute), RetryPolicy: { MaximumRetryAttempts: 1 } } }\n", "only 0 is supported"},
		"an authorizer that SAM drops": {"Resources:\n  A: { Type: AWS::Serverless::HttpApi, Properties: { Auth: { DefaultAuthorizer: x } } }\n", "Auth"},
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := samtemplate.Read([]byte(c.text), options(nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := samtemplate.Read([]byte(head+"x"), options(map[string]string{"Nobody": "x"})); err == nil || !strings.Contains(err.Error(), "no parameter Nobody") {
		t.Errorf("an unknown parameter: %v", err)
	}
}

func TestGlobalsAreMerged(t *testing.T) {
	m := read(t, `
Globals:
  Function:
    Runtime: provided.al2023
    Timeout: 7
    MemorySize: 512
    Environment: { Variables: { A: "1", B: "1" } }
Resources:
  OneFunction:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 9
      Environment: { Variables: { B: "2", C: "2" } }
`, nil)
	f := m.Functions[0]
	if f.Timeout != 9*time.Second || f.MemoryMB != 512 || f.Short != "one" || cmp.Diff(f.Environment, map[string]string{"A": "1", "B": "2", "C": "2"}) != "" {
		t.Errorf("function %+v", f)
	}
}

// The repository's own template is read whole, in both of its forms.
func TestTheSystemsTemplate(t *testing.T) {
	source, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{"", "https://issuer.example"} {
		m := read(t, string(source), map[string]string{"PortalIssuer": issuer, "PortalAudience": "portal", "PortalAllowedOrigins": "http://127.0.0.1:8080"})
		var names []string
		for _, f := range m.Invoked() {
			names = append(names, f.Short)
			if f.Alias != "live" {
				t.Errorf("%s has the alias %q", f.Short, f.Alias)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"fulfill", "provision", "status", "statuspush"}) {
			t.Errorf("functions %v", names)
		}
		routes := map[string]samtemplate.Route{}
		for _, r := range m.Routes {
			routes[r.Key] = r
		}
		if r := routes["POST /orders/{sfOrderId}/fulfill"]; r.Function != "fulfill" || r.IAM || r.JWT != nil {
			t.Errorf("callout route %+v", r)
		}
		if r := routes["POST /ping"]; r.Function != "fulfill" || r.IAM || r.JWT != nil {
			t.Errorf("ping route %+v", r)
		}
		for _, key := range []string{"POST /orders/{sfOrderId}/fulfill", "POST /ping"} {
			if got := routes[key].Throttle; got != (samtemplate.Throttle{Rate: 50, Burst: 100}) {
				t.Errorf("%s lets through %+v", key, got)
			}
		}
		for _, a := range m.APIs {
			if a.ID == "PortalApi" && a.Throttle != (samtemplate.Throttle{Rate: 200, Burst: 400}) {
				t.Errorf("%s lets through %+v", a.ID, a.Throttle)
			}
		}
		r := routes["GET /orders/{sfOrderId}"]
		if r.Function != "status" || r.IAM != (issuer == "") || (r.JWT != nil) != (issuer != "") {
			t.Errorf("portal route %+v", r)
		}
		if len(m.Tables) != 1 || m.Tables[0].StreamView != "NEW_IMAGE" || m.Tables[0].TTLAttribute != "expires_at" || len(m.Tables[0].Indexes) != 3 {
			t.Errorf("tables %+v", m.Tables)
		}
		if len(m.Pipes) != 1 || m.Pipes[0].InputTemplate == "" || len(m.Streams) != 1 || !m.Streams[0].ReportPartial || m.Streams[0].OnFailureARN == "" || len(m.Works) != 1 || m.Works[0].MaxConcurrency != 2 {
			t.Errorf("pipes %+v streams %+v works %+v", m.Pipes, m.Streams, m.Works)
		}
		if !slices.ContainsFunc(m.Schedules, func(s samtemplate.Schedule) bool {
			return s.Function == "provision" && s.Every == time.Minute
		}) {
			t.Errorf("schedules %+v", m.Schedules)
		}
	}
}

const alarms = `
Resources:
  High:
    Type: AWS::CloudWatch::Alarm
    Properties: { AlarmDescription: d, Namespace: n, MetricName: m, Dimensions: [{ Name: a, Value: b }], Statistic: Sum, Period: 300, EvaluationPeriods: 3, DatapointsToAlarm: 2, ComparisonOperator: GreaterThanThreshold, Threshold: 0.5, AlarmActions: [arn] }
  Rate:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Metrics:
        - { Id: rate, Expression: a / 2, ReturnData: true }
        - { Id: a, ReturnData: false, MetricStat: { Stat: p99, Period: 60, Metric: { Namespace: n, MetricName: m } } }
      EvaluationPeriods: 1
      ComparisonOperator: LessThanThreshold
      Threshold: 1
      TreatMissingData: breaching
  Both:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties: { AlarmRule: !Sub 'ALARM("${High}")' }
  Access: { Type: AWS::Logs::LogGroup }
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: { AccessLogSettings: { DestinationArn: !GetAtt Access.Arn, Format: f } }
  Filter:
    Type: AWS::Logs::MetricFilter
    Properties: { LogGroupName: !Ref Access, FilterPattern: p, MetricTransformations: [{ MetricNamespace: n, MetricName: m, MetricValue: "1" }] }
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: { resources: [!GetAtt High.Arn] }
      Targets: [{ Id: t, Arn: !GetAtt There.Arn, RetryPolicy: { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 2 } }]
  There:
    Type: AWS::Events::ApiDestination
    Properties: { HttpMethod: POST, InvocationEndpoint: "https://x", ConnectionArn: !GetAtt Key.Arn }
  Key:
    Type: AWS::Events::Connection
    Properties: { AuthorizationType: API_KEY, AuthParameters: { ApiKeyAuthParameters: { ApiKeyName: k, ApiKeyValue: v } } }
`

func TestAlarmsAndWhereTheyGo(t *testing.T) {
	m := read(t, alarms, nil)
	arn := "arn:aws:cloudwatch:us-east-1:000000000000:alarm:trial-"
	metric := samtemplate.Metric{Namespace: "n", Name: "m", Dimensions: map[string]string{}}
	want := []samtemplate.Alarm{
		{ID: "High", Name: "trial-High", ARN: arn + "High", Description: "d", Actions: []string{"arn"}, EvaluationPeriods: 3, DatapointsToAlarm: 2, Comparison: "GreaterThanThreshold", Threshold: 0.5, Missing: "missing",
			Queries: []samtemplate.Query{{ID: "metric", Stat: "Sum", Period: 5 * time.Minute, Returns: true, Metric: samtemplate.Metric{Namespace: "n", Name: "m", Dimensions: map[string]string{"a": "b"}}}}},
		{ID: "Rate", Name: "trial-Rate", ARN: arn + "Rate", EvaluationPeriods: 1, DatapointsToAlarm: 1, Comparison: "LessThanThreshold", Threshold: 1, Missing: "breaching",
			Queries: []samtemplate.Query{{ID: "rate", Expression: "a / 2", Returns: true}, {ID: "a", Stat: "p99", Period: time.Minute, Metric: metric}}},
		{ID: "Both", Name: "trial-Both", ARN: arn + "Both", Rule: `ALARM("trial-High")`},
	}
	if diff := cmp.Diff(want, m.Alarms); diff != "" {
		t.Error(diff)
	}
	if m.APIs[0].LogGroup != "trial-Access" || m.APIs[0].LogFormat != "f" {
		t.Errorf("access log of %+v", m.APIs[0])
	}
	if diff := cmp.Diff([]samtemplate.LogFilter{{LogGroup: "trial-Access", Pattern: "p", Metric: metric, Value: 1}}, m.LogFilters); diff != "" {
		t.Error(diff)
	}
	if r := m.EventRules[0]; r.Pattern != `{"resources":["`+arn+`High"]}` || r.TargetARN != m.Destinations[0].ARN || r.MaxAge != time.Minute || r.MaxRetries != 2 || m.Destinations[0].ConnectionARN != m.Connections[0].ARN || m.Connections[0].Header != "k" {
		t.Errorf("rule %+v, destination %+v, connection %+v", r, m.Destinations[0], m.Connections[0])
	}
}
