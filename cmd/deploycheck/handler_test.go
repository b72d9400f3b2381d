package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	lambdaapi "github.com/aws/aws-sdk-go-v2/service/lambda"
)

// versions answers for each version in turn; the last answer stays.
type versions struct {
	mu      sync.Mutex
	answers map[string][]answer
	asked   map[string]int
}

type answer struct {
	payload, log string
	failed       bool
	err          error
}

func (v *versions) Invoke(_ context.Context, in *lambdaapi.InvokeInput, _ ...func(*lambdaapi.Options)) (*lambdaapi.InvokeOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := aws.ToString(in.FunctionName)
	all := v.answers[name]
	a := all[min(v.asked[name], len(all)-1)]
	v.asked[name]++
	out := &lambdaapi.InvokeOutput{Payload: []byte(a.payload), LogResult: aws.String(base64.StdEncoding.EncodeToString([]byte(a.log)))}
	if a.failed {
		out.FunctionError = aws.String("Unhandled")
	}
	return out, a.err
}

// told is what CodeDeploy was told; spec is the AppSpec of its deployment.
type told struct {
	spec string
	said []string
	err  error
}

func (c *told) GetDeployment(context.Context, *codedeploy.GetDeploymentInput, ...func(*codedeploy.Options)) (*codedeploy.GetDeploymentOutput, error) {
	if c.spec == "" {
		return nil, errors.New("AccessDeniedException")
	}
	return &codedeploy.GetDeploymentOutput{DeploymentInfo: &types.DeploymentInfo{Revision: &types.RevisionLocation{
		RevisionType: types.RevisionLocationTypeAppSpecContent, AppSpecContent: &types.AppSpecContent{Content: aws.String(c.spec)},
	}}}, nil
}

func (c *told) PutLifecycleEventHookExecutionStatus(_ context.Context, in *codedeploy.PutLifecycleEventHookExecutionStatusInput, _ ...func(*codedeploy.Options)) (*codedeploy.PutLifecycleEventHookExecutionStatusOutput, error) {
	c.said = append(c.said, aws.ToString(in.DeploymentId)+" "+aws.ToString(in.LifecycleEventHookExecutionId)+" "+string(in.Status))
	return nil, c.err
}

const (
	good = `{"ok":true,"findings":[{"of":"AWS","what":"the table can be read","ok":true}]}`
	bad  = `{"ok":false,"findings":[{"of":"AWS","what":"the table can be read","ok":true},{"of":"WHMCS","what":"it answers, and takes the credential","ok":false,"seen":"whmcs_ip_denied: WHMCS refuses the address","do":"Allow the address."}]}`
)

func check(t *testing.T, e event, spec string, answers map[string][]answer) (report, *told, *versions, error) {
	t.Helper()
	v, c := &versions{answers: answers, asked: map[string]int{}}, &told{spec: spec}
	h := &Handler{Functions: v, Deployments: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Sleep: func(context.Context, time.Duration) error { return nil }}
	for _, name := range []string{"fulfill:7", "provision:3"} {
		if answers[name] != nil {
			h.Versions = append(h.Versions, name)
		}
	}
	r, err := h.Handle(t.Context(), e)
	return r, c, v, err
}

var hook = event{DeploymentID: "d-1", HookID: "hook-1"}

func TestCodeDeployIsToldWhatTheVersionsFound(t *testing.T) {
	for name, c := range map[string]struct {
		second  []answer
		status  string
		refused string
		asked   int
	}{
		"all work":                       {[]answer{{payload: good}}, "Succeeded", "", 1},
		"one finds that it cannot":       {[]answer{{payload: bad}}, "Failed", "WHMCS: expected: it answers, and takes the credential; seen: whmcs_ip_denied: WHMCS refuses the address; to do: Allow the address.", 3},
		"the third answer is good":       {[]answer{{payload: bad}, {err: errors.New("connection reset")}, {payload: good}}, "Succeeded", "", 3},
		"it says why it cannot start":    {[]answer{{failed: true, payload: `{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}`, log: "START\nprovision cannot start: WHMCS_MARKER must be notes\nEND\n"}}, "Failed", "it cannot start: WHMCS_MARKER must be notes", 1},
		"it dies without a word":         {[]answer{{failed: true, payload: `{"errorType":"Runtime.ExitError","errorMessage":"exit status 2"}`}}, "Failed", "it fails: Runtime.ExitError exit status 2", 3},
		"it may not be invoked":          {[]answer{{err: errors.New("AccessDeniedException")}}, "Failed", "it cannot be invoked: AccessDeniedException", 3},
		"it is a version without checks": {[]answer{{payload: `{"statusCode":404}`}}, "Failed", `its answer is no self-check: {"statusCode":404}`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r, codedeploy, asked, err := check(t, hook, "", map[string][]answer{"fulfill:7": {{payload: good}}, "provision:3": c.second})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(codedeploy.said, ";"); got != "d-1 hook-1 "+c.status {
				t.Errorf("CodeDeploy was told %q, want %s", got, c.status)
			}
			if r.OK != (c.status == "Succeeded") || r.Versions[0].Refused != "" || r.Versions[1].Refused != c.refused {
				t.Errorf("report %+v, want refused %q", r, c.refused)
			}
			if asked.asked["provision:3"] != c.asked {
				t.Errorf("asked %d times, want %d", asked.asked["provision:3"], c.asked)
			}
		})
	}
}

func TestAPersonWhoAsksIsAnsweredAndCodeDeployIsNot(t *testing.T) {
	r, codedeploy, _, err := check(t, event{}, "", map[string][]answer{"fulfill:7": {{payload: good}}})
	if err != nil || !r.OK || len(codedeploy.said) != 0 {
		t.Errorf("%+v, told %v, %v", r, codedeploy.said, err)
	}
}

func TestADeploymentThatCouldNotBeToldIsAnError(t *testing.T) {
	h := &Handler{Deployments: &told{err: errors.New("throttled")}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if _, err := h.Handle(t.Context(), hook); err == nil || !strings.Contains(err.Error(), "d-1") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyTheVersionOfTheDeploymentIsChecked(t *testing.T) {
	const yaml = `version: 0.0
Resources:
  - ProvisionFunction:
      Type: AWS::Lambda::Function
      Properties:
        Name: "provision"
        Alias: "live"
        CurrentVersion: "2"
        TargetVersion: "3"
Hooks:
  - BeforeAllowTraffic: "check"
`
	const json = `{"version":0.0,"Resources":[{"provision":{"Type":"AWS::Lambda::Function","Properties":{"Name":"provision","Alias":"live","CurrentVersion":"%s","TargetVersion":"%s"}}}],"Hooks":[{"BeforeAllowTraffic":"check"}]}`
	of := func(current, target string) string { return fmt.Sprintf(json, current, target) }
	for name, c := range map[string]struct {
		spec   string
		status string
		asked  map[string]bool
	}{
		"YAML":                          {yaml, "Failed", map[string]bool{"provision:3": true}},
		"JSON":                          {of("2", "3"), "Failed", map[string]bool{"provision:3": true}},
		"by number, not by text":        {of("9", "10"), "Succeeded", map[string]bool{"provision:10": true}},
		"the way back is not checked":   {of("4", "3"), "Succeeded", map[string]bool{}},
		"no version: all are checked":   {`{"version":0.0}`, "Failed", map[string]bool{"fulfill:7": true, "provision:3": true}},
		"not readable: all are checked": {"", "Failed", map[string]bool{"fulfill:7": true, "provision:3": true}},
	} {
		t.Run(name, func(t *testing.T) {
			_, codedeploy, v, err := check(t, hook, c.spec, map[string][]answer{"fulfill:7": {{payload: good}}, "provision:3": {{payload: bad}}, "provision:10": {{payload: good}}})
			if err != nil {
				t.Fatal(err)
			}
			asked := map[string]bool{}
			for name := range v.asked {
				asked[name] = true
			}
			if !maps.Equal(asked, c.asked) || strings.Join(codedeploy.said, ";") != "d-1 hook-1 "+c.status {
				t.Errorf("asked %v, told %v; want %v, %s", asked, codedeploy.said, c.asked, c.status)
			}
		})
	}
}
