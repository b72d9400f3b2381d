package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/order"
)

// durablePath is where the SDK of durable executions saves its checkpoints
// (AWS Lambda API Reference, "CheckpointDurableExecution").
const durablePath = "/2025-12-01/durable-executions/"

// durable stands for Lambda's service of durable executions: it keeps the
// operations of each execution, and takes a checkpoint only with the newest
// token. Time in it is virtual: what waits for a retry is ready at once.
type durable struct {
	mu          sync.Mutex
	executions  map[string]*execution // by ARN
	checkpoints int
}

type execution struct {
	token      int
	operations []operation // in the order in which they came
}

// operation is one step, as the service tells of it.
type operation struct {
	ID               string            `json:"Id"`
	ParentID         string            `json:"ParentId,omitempty"`
	Name             string            `json:"Name,omitempty"`
	Type             string            `json:"Type"`
	SubType          string            `json:"SubType,omitempty"`
	Status           string            `json:"Status"`
	StartTimestamp   float64           `json:"StartTimestamp"`
	ExecutionDetails *executionDetails `json:"ExecutionDetails,omitempty"`
	StepDetails      *stepDetails      `json:"StepDetails,omitempty"`
}

type executionDetails struct{ InputPayload string }

type stepDetails struct {
	Attempt              int             `json:"Attempt"`
	Result               *string         `json:"Result,omitempty"`
	Error                json.RawMessage `json:"Error,omitempty"`
	NextAttemptTimestamp float64         `json:"NextAttemptTimestamp,omitempty"`
}

func newDurable() *durable { return &durable{executions: map[string]*execution{}} }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// begin makes an execution of an order with an input and returns its ARN. One
// that is there already stays as it is: a second start under its name is none.
func (d *durable) begin(function string, id order.ID, input []byte) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	arn := fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s:$LATEST/durable-execution/%s/1", region, account, function, id)
	if d.executions[arn] == nil {
		d.executions[arn] = &execution{operations: []operation{{
			ID: "execution", Name: id.String(), Type: "EXECUTION", Status: "STARTED", StartTimestamp: seconds(time.Now()), ExecutionDetails: &executionDetails{string(input)},
		}}}
	}
	return arn
}

// event is what the service invokes the function with: all operations so far, and
// a new token, so that an older invocation cannot save anything any more.
func (d *durable) event(arn string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.executions[arn]
	e.token++
	for i := range e.operations {
		if e.operations[i].Status == "PENDING" {
			e.operations[i].Status = "READY"
		}
	}
	b, err := json.Marshal(map[string]any{
		"DurableExecutionArn": arn, "CheckpointToken": fmt.Sprint(e.token),
		"InitialExecutionState": map[string]any{"Operations": e.operations, "NextMarker": ""},
	})
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return b, nil
}

// take returns how many checkpoints were saved since the last take.
func (d *durable) take() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.checkpoints
	d.checkpoints = 0
	return n
}

type update struct {
	ID          string `json:"Id"`
	ParentID    string `json:"ParentId"`
	Name        string
	Type        string
	SubType     string
	Action      string
	Payload     *string
	Error       json.RawMessage
	StepOptions struct{ NextAttemptDelaySeconds int }
}

// ServeHTTP takes checkpoints.
func (d *durable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.EscapedPath(), durablePath), "/checkpoint")
	arn, err := url.PathUnescape(raw)
	var in struct {
		CheckpointToken string
		Updates         []update
	}
	body, readErr := io.ReadAll(r.Body)
	if !ok || err != nil || readErr != nil || json.Unmarshal(body, &in) != nil {
		refuseCheckpoint(w, "the request is not a checkpoint")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.executions[arn]
	if e == nil || in.CheckpointToken != fmt.Sprint(e.token) {
		refuseCheckpoint(w, "Invalid checkpoint token")
		return
	}
	d.checkpoints++
	changed := []operation{}
	for _, u := range in.Updates {
		changed = append(changed, e.apply(u))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that went away is no error
		"CheckpointToken": in.CheckpointToken, "NewExecutionState": map[string]any{"Operations": changed},
	})
}

func refuseCheckpoint(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", "InvalidParameterValueException")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "message": why}) // as above
}

// apply makes one change of an operation and returns it as it is then.
func (e *execution) apply(u update) operation {
	i := 0
	for i < len(e.operations) && e.operations[i].ID != u.ID {
		i++
	}
	if i == len(e.operations) {
		e.operations = append(e.operations, operation{
			ID: u.ID, ParentID: u.ParentID, Name: u.Name, Type: u.Type, SubType: u.SubType, StartTimestamp: seconds(time.Now()), StepDetails: &stepDetails{},
		})
	}
	o := &e.operations[i]
	if o.StepDetails == nil {
		o.StepDetails = &stepDetails{}
	}
	details := *o.StepDetails // what was told before stays as it was
	switch u.Action {
	case "START":
		o.Status = "STARTED"
	case "SUCCEED":
		o.Status, details.Result = "SUCCEEDED", u.Payload
	case "FAIL":
		o.Status, details.Error = "FAILED", u.Error
	case "RETRY":
		o.Status, details.Error = "PENDING", u.Error
		details.Attempt++
		details.NextAttemptTimestamp = seconds(time.Now().Add(time.Duration(u.StepOptions.NextAttemptDelaySeconds) * time.Second))
	}
	o.StepDetails = &details
	return *o
}

// How an invocation of a durable function ends, besides one that goes on later.
const durableSucceeded, durableFailed = "SUCCEEDED", "FAILED"

// durableStatus reads how an invocation ended.
func durableStatus(answer []byte) string {
	var a struct{ Status string }
	if json.Unmarshal(answer, &a) != nil {
		return ""
	}
	return a.Status
}

// finished wants an execution that succeeded.
func finished(answer []byte) error {
	if durableStatus(answer) != durableSucceeded {
		return fmt.Errorf("answered %.300s", answer)
	}
	return nil
}
