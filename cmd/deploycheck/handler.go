package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	deploytypes "github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	lambdaapi "github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"orderbridge/shared/lambdaenv"
)

// functions invokes versions of functions.
type functions interface {
	Invoke(ctx context.Context, in *lambdaapi.InvokeInput, opts ...func(*lambdaapi.Options)) (*lambdaapi.InvokeOutput, error)
}

// deployments asks CodeDeploy what is deployed, and tells it how a hook ended.
type deployments interface {
	GetDeployment(ctx context.Context, in *codedeploy.GetDeploymentInput, opts ...func(*codedeploy.Options)) (*codedeploy.GetDeploymentOutput, error)
	PutLifecycleEventHookExecutionStatus(ctx context.Context, in *codedeploy.PutLifecycleEventHookExecutionStatusInput, opts ...func(*codedeploy.Options)) (*codedeploy.PutLifecycleEventHookExecutionStatusOutput, error)
}

// Handler checks the version of a deployment.
type Handler struct {
	lambdaenv.Init // empty: it runs once a deployment

	Versions    []string // ARNs of what is checked where no deployment says it
	Functions   functions
	Deployments deployments
	Log         *slog.Logger
	Sleep       func(ctx context.Context, d time.Duration) error
}

const (
	// invokeTime bounds one self-check: a start, and reads of two other systems
	// that each take up to 50 s.
	invokeTime = 120 * time.Second
	// A version that refuses is asked again after a pause: one lost answer of
	// WHMCS must not stop a deployment. One that cannot start is not.
	attempts, pause = 3, 10 * time.Second
	// reportTime is kept free of the invocation's deadline.
	reportTime = 15 * time.Second
)

// event is what CodeDeploy sends to a hook (AWS CodeDeploy User Guide, "AppSpec
// 'hooks' section"). A person may send an event without a deployment: then all
// versions are checked, and only the answer tells.
type event struct {
	DeploymentID string `json:"DeploymentId"`
	HookID       string `json:"LifecycleEventHookExecutionId"`
}

// report is the answer.
type report struct {
	OK       bool      `json:"ok"`
	Versions []checked `json:"versions"`
}

// checked is what became of one version. Refused is why it may have no traffic;
// "" = it may.
type checked struct {
	Version  string              `json:"version"`
	Refused  string              `json:"refused,omitempty"`
	Findings []lambdaenv.Finding `json:"findings,omitempty"`
}

// Handle checks what is deployed and tells CodeDeploy. An error is that
// CodeDeploy could not be told: then the deployment ends by its own time-out, an
// hour.
func (h *Handler) Handle(ctx context.Context, e event) (report, error) {
	out := h.check(ctx, h.targets(ctx, e))
	for _, v := range out.Versions {
		if v.Refused == "" {
			h.Log.InfoContext(ctx, "version may have traffic", "version", v.Version)
		} else {
			h.Log.ErrorContext(ctx, "version refused", "version", v.Version, "why", v.Refused)
		}
	}
	if e.DeploymentID == "" {
		return out, nil
	}
	status := deploytypes.LifecycleEventStatusFailed
	if out.OK {
		status = deploytypes.LifecycleEventStatusSucceeded
	}
	_, err := h.Deployments.PutLifecycleEventHookExecutionStatus(ctx, &codedeploy.PutLifecycleEventHookExecutionStatusInput{
		DeploymentId: aws.String(e.DeploymentID), LifecycleEventHookExecutionId: aws.String(e.HookID), Status: status,
	})
	if err != nil {
		return out, fmt.Errorf("tell deployment %s that the check has %s: %w", e.DeploymentID, strings.ToLower(string(status)), err)
	}
	return out, nil
}

// targets returns the versions to check: the one that the deployment names, or
// none where it goes back to an older one, which had traffic and must not be
// kept from it. Where that is not known it is all.
func (h *Handler) targets(ctx context.Context, e event) []string {
	if e.DeploymentID == "" {
		return h.Versions
	}
	out, err := h.Deployments.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: aws.String(e.DeploymentID)})
	if err != nil {
		h.Log.WarnContext(ctx, "deployment not read: all versions are checked", "error", err)
		return h.Versions
	}
	to, ok := shiftOf(out.DeploymentInfo)
	switch {
	case !ok:
		h.Log.WarnContext(ctx, "deployment names no version: all are checked", "deployment", e.DeploymentID)
		return h.Versions
	case to.target < to.current:
		h.Log.InfoContext(ctx, "the way back is not checked", "function", to.function, "version", to.target)
		return nil
	}
	return []string{to.function + ":" + strconv.Itoa(to.target)}
}

// check asks all versions at once, and ends in time to report.
func (h *Handler) check(ctx context.Context, versions []string) report {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reportTime))
		defer cancel()
	}
	out := report{OK: true, Versions: make([]checked, len(versions))}
	var all sync.WaitGroup
	for i, version := range versions {
		all.Go(func() { out.Versions[i] = h.ask(ctx, version) })
	}
	all.Wait()
	for _, v := range out.Versions {
		out.OK = out.OK && v.Refused == ""
	}
	return out
}

// ask asks one version until it agrees, attempts times.
func (h *Handler) ask(ctx context.Context, version string) (v checked) {
	for attempt := range attempts {
		if attempt > 0 && h.Sleep(ctx, pause) != nil {
			return v
		}
		if v = h.once(ctx, version); v.Refused == "" || strings.HasPrefix(v.Refused, cannotStart) {
			return v
		}
	}
	return v
}

func (h *Handler) once(ctx context.Context, version string) checked {
	v := checked{Version: version}
	res, err := h.Functions.Invoke(ctx, &lambdaapi.InvokeInput{
		FunctionName: aws.String(version), Payload: []byte(lambdaenv.SelfCheckEvent), LogType: lambdatypes.LogTypeTail,
	})
	if err != nil {
		v.Refused = "it cannot be invoked: " + err.Error()
		return v
	}
	if res.FunctionError != nil {
		v.Refused = whyFailed(res.Payload, aws.ToString(res.LogResult))
		return v
	}
	var answer lambdaenv.SelfCheck
	if err := json.Unmarshal(res.Payload, &answer); err != nil || len(answer.Findings) == 0 {
		v.Refused = fmt.Sprintf("its answer is no self-check: %.200s", res.Payload)
		return v
	}
	v.Findings = answer.Findings
	var why []string
	for _, f := range answer.Findings {
		if !f.OK {
			why = append(why, fmt.Sprintf("%s: expected: %s; seen: %s; to do: %s", f.Of, f.What, f.Seen, f.Do))
		}
	}
	if !answer.OK {
		v.Refused = strings.Join(why, " | ")
	}
	return v
}

const cannotStart = "it cannot start: "

// whyFailed says why a version failed: the line by which it says that it cannot
// start, from the end of its log, or what Lambda says of it.
func whyFailed(payload []byte, tail string) string {
	lines, err := base64.StdEncoding.DecodeString(tail)
	if _, line, found := strings.Cut(string(lines), lambdaenv.CannotStart); err == nil && found {
		line, _, _ = strings.Cut(line, "\n")
		return cannotStart + strings.TrimSpace(line)
	}
	var failed struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &failed) != nil {
		failed.Message = fmt.Sprintf("%.200s", payload)
	}
	return "it fails: " + strings.TrimSpace(failed.Type+" "+failed.Message)
}
