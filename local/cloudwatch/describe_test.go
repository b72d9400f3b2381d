package cloudwatch_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"orderbridge/local/samtemplate"
)

func TestTheSDKReadsTheAlarms(t *testing.T) {
	s := service(t,
		plain(func(a *samtemplate.Alarm) {
			a.Name, a.Description, a.Actions = "stack-One", "one & more", []string{"arn:topic"}
		}),
		plain(func(a *samtemplate.Alarm) { a.Name, a.Threshold = "stack-Two", 5 }),
		plain(func(a *samtemplate.Alarm) { a.Name = "other-One" }),
		samtemplate.Alarm{Name: "stack-Both", Rule: `ALARM("stack-One")`})
	s.Put(errs, at(0), 3)
	s.Evaluate(at(1))
	server := httptest.NewServer(s)
	defer server.Close()
	client := cw.NewFromConfig(aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")})
	out, err := client.DescribeAlarms(t.Context(), &cw.DescribeAlarmsInput{AlarmNamePrefix: aws.String("stack-"), StateValue: types.StateValueAlarm, MaxRecords: aws.Int32(100)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.MetricAlarms) != 1 {
		t.Fatalf("%d alarms", len(out.MetricAlarms))
	}
	if a := out.MetricAlarms[0]; *a.AlarmName != "stack-One" || *a.AlarmDescription != "one & more" || len(a.AlarmActions) != 1 || a.StateValue != types.StateValueAlarm || !a.StateTransitionedTimestamp.Equal(at(1)) {
		t.Errorf("alarm %+v", a)
	}
	if len(out.CompositeAlarms) != 0 {
		t.Errorf("composite alarms that were not asked for: %+v", out.CompositeAlarms)
	}
	out, err = client.DescribeAlarms(t.Context(), &cw.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}})
	if err != nil || len(out.CompositeAlarms) != 1 || len(out.MetricAlarms) != 0 || out.CompositeAlarms[0].StateValue != types.StateValueAlarm {
		t.Errorf("composite alarms %+v, %v", out, err)
	}
	var api smithy.APIError
	if _, err := client.DescribeAlarms(t.Context(), &cw.DescribeAlarmsInput{ActionPrefix: aws.String("x")}); !errors.As(err, &api) || api.ErrorCode() != "InvalidParameterValue" {
		t.Errorf("a member that is not supported: %v", err)
	}
	if _, err := client.ListMetrics(t.Context(), &cw.ListMetricsInput{}); !errors.As(err, &api) || api.ErrorCode() != "UnknownOperationException" {
		t.Errorf("an operation that is not supported: %v", err)
	}
}
