package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/local/localtest"
)

// stateOf is how an alarm stands, "" where there is none of that name.
func stateOf(s *localtest.System, name string) string {
	var all []struct{ Name, State, Since, Reason string }
	s.JSON("GET", s.API+"/_local/alarms", nil, &all)
	for _, a := range all {
		if a.Name == name && a.Since != "" && a.Reason != "" {
			return a.State
		}
	}
	return ""
}

// quick makes a minute of the alarms a tenth of a second.
func quick(more map[string]string) localtest.Options {
	env := map[string]string{"ALARM_MINUTE": "0.1"}
	for k, v := range more {
		env[k] = v
	}
	return with(env)
}

func invoke(t *testing.T, s *localtest.System, function string, event any) {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lambda.NewFromConfig(config(s.AWS)).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(function), Payload: payload}); err != nil {
		t.Fatal(err)
	}
}

// printed is a metric of a function, as its log has it.
func printed(metric string) map[string]string {
	return map[string]string{"text": `{"stack":"orderbridge","` + metric + `":99,"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"orderbridge","Dimensions":[["stack"]],"Metrics":[{"Name":"` + metric + `","Unit":"Count"}]}]}}`}
}

// A cause of each kind makes its alarm fire; the alarm stays while the cause
// stays and ends after it.
func TestAlarmsFireAndEnd(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, quick(nil))
	post := func(path, body string) func() { return func() { s.JSON("POST", s.API+path, body, nil) } }
	click := func() { s.Do("POST", s.API+"/orders/801/fulfill", `{}`) }
	for _, c := range []struct {
		alarm            string
		begin, keep, end func()
	}{
		{"FulfillThrottles", post("/_local/limit", `{"function":"fulfill","most":0}`), click, post("/_local/limit", `{"function":"fulfill"}`)},
		{"CalloutErrors", post("/_local/limit", `{"function":"fulfill","most":0}`), click, post("/_local/limit", `{"function":"fulfill"}`)},
		{alarm: "FulfillErrors", keep: func() { invoke(t, s, "FulfillFunction", map[string]string{"do": "fail"}) }},
		{alarm: "NeedsAPerson", keep: func() { invoke(t, s, "FulfillFunction", printed("NeedsAPerson")) }},
		{"WorkPipeFailures", post("/_local/hints", `{"refused":1}`), func() {
			if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], "queued"); err != nil {
				t.Fatal(err)
			}
		}, post("/_local/hints", `{}`)},
		{"WorkQueueAge", post("/_local/limit", `{"function":"provision","most":0}`), func() {
			if _, err := sqs.NewFromConfig(config(s.AWS)).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(s.Exports["WORK_QUEUE_URL"]), MessageBody: aws.String("{}")}); err != nil {
				t.Fatal(err)
			}
		}, nil}, // the message stays hidden for longer than this test lasts
	} {
		s.Eventually(c.alarm+" is evaluated", func() bool { return stateOf(s, c.alarm) == "OK" })
		if c.begin != nil {
			c.begin()
		}
		s.Eventually(c.alarm+" fires", func() bool { c.keep(); return stateOf(s, c.alarm) == "ALARM" })
		if c.end != nil {
			c.end()
			s.Eventually(c.alarm+" ends", func() bool { return stateOf(s, c.alarm) == "OK" })
		}
	}
}

func TestAClockThatIsSwitchedOffIsSilent(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, quick(nil))
	s.JSON("POST", s.API+"/_local/schedule", `{"on":false}`, nil)
	s.Eventually("ClockSilent fires", func() bool { return stateOf(s, "ClockSilent") == "ALARM" })
	if status, _, _ := s.Do("POST", s.API+"/_local/schedule", `{"schedule":"Nobody"}`); status != 404 {
		t.Errorf("an unknown schedule: %d", status)
	}
	if status, _, _ := s.Do("POST", s.API+"/_local/limit", `{"function":"nobody"}`); status != 404 {
		t.Errorf("an unknown function: %d", status)
	}
}

// The webhook gets what EventBridge's API destination would send, and only the
// alarms that the template's rule names.
func TestSecurityAlarmsArePosted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []map[string]any
	tries := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusServiceUnavailable) // it is asked again
			return
		}
		var event map[string]any
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil || r.Method != "POST" || r.Header.Get("X-Alert") != "s3cret" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			t.Errorf("posted %s %v %s: %v", r.Method, r.Header, body, err)
		}
		got = append(got, event)
	}))
	defer hook.Close()
	s := localtest.Start(t, quick(map[string]string{"SECURITY_ALERT_WEBHOOK": hook.URL + "/alerts", "SECURITY_ALERT_HEADER": "X-Alert", "SECURITY_ALERT_HEADER_VALUE": "s3cret"}))
	for _, metric := range []string{"NeedsAPerson", "SecurityEvents"} {
		invoke(t, s, "FulfillFunction", printed(metric))
	}
	s.Eventually("SecurityEvents is posted", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) > 0 })
	s.Eventually("NeedsAPerson fired too", func() bool { return stateOf(s, "NeedsAPerson") != "INSUFFICIENT_DATA" })
	mu.Lock()
	defer mu.Unlock()
	for _, event := range got {
		detail, _ := event["detail"].(map[string]any)
		state, _ := detail["state"].(map[string]any)
		if event["source"] != "aws.cloudwatch" || event["detail-type"] != "CloudWatch Alarm State Change" || state["value"] != "ALARM" ||
			detail["alarmName"] != "orderbridge-SecurityEvents" || !slices.Contains(event["resources"].([]any), any("arn:aws:cloudwatch:us-east-1:000000000000:alarm:orderbridge-SecurityEvents")) {
			t.Errorf("event %v", event)
		}
	}
}

func TestAnAlertThatIsRefusedIsADeadLetter(t *testing.T) {
	t.Parallel()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer hook.Close()
	s := localtest.Start(t, quick(map[string]string{"SECURITY_ALERT_WEBHOOK": hook.URL}))
	invoke(t, s, "FulfillFunction", printed("SecurityEvents"))
	s.Eventually("the alarm on the dead letters fires", func() bool { return stateOf(s, "SecurityAlertDeadLettersDepth") == "ALARM" })
}
