package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"orderbridge/shared/order"
)

// save sends one checkpoint and returns the status of the answer.
func save(t *testing.T, d *durable, arn, token, action string) int {
	t.Helper()
	body := `{"CheckpointToken":"` + token + `","Updates":[{"Id":"step","Type":"STEP","Action":"` + action + `","Payload":"1"}]}`
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, durablePath+url.PathEscape(arn)+"/checkpoint", strings.NewReader(body)))
	return w.Code
}

// invoked is what a function sees of an event.
func invoked(t *testing.T, d *durable, arn string) (token string, operations []operation) {
	t.Helper()
	b, err := d.event(arn)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		CheckpointToken       string
		InitialExecutionState struct{ Operations []operation }
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e.CheckpointToken, e.InitialExecutionState.Operations
}

func TestACheckpointOfAnOlderInvocationIsRefused(t *testing.T) {
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	d := newDurable()
	arn := d.begin("f", id, []byte(`{}`))
	if d.begin("f", id, []byte(`{"other":1}`)) != arn {
		t.Fatal("a second start under the same name is another execution")
	}
	old, operations := invoked(t, d, arn)
	if len(operations) != 1 || operations[0].ExecutionDetails.InputPayload != `{}` {
		t.Fatalf("the first invocation sees %+v", operations)
	}
	if got := save(t, d, arn, old, "START"); got != http.StatusOK {
		t.Fatalf("a checkpoint with the newest token: %d", got)
	}
	fresh, operations := invoked(t, d, arn)
	if len(operations) != 2 || operations[1].Status != "STARTED" {
		t.Fatalf("the second invocation sees %+v", operations)
	}
	if got := save(t, d, arn, old, "SUCCEED"); got != http.StatusBadRequest {
		t.Errorf("a checkpoint with an older token: %d", got)
	}
	if got := save(t, d, arn, fresh, "RETRY"); got != http.StatusOK {
		t.Fatalf("a checkpoint with the newest token: %d", got)
	}
	if _, operations = invoked(t, d, arn); operations[1].Status != "READY" || operations[1].StepDetails.Attempt != 1 {
		t.Errorf("a step that waits for its retry is %+v at the next invocation", operations[1])
	}
	if d.take() != 2 {
		t.Error("two checkpoints were saved")
	}
}
