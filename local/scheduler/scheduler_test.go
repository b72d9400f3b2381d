package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/local/lambda"
	"orderbridge/local/scheduler"
)

// function writes down when it was called, and takes as long as it is told.
type function struct {
	mu     sync.Mutex
	at     []time.Duration
	events []string
	began  time.Time
	takes  time.Duration
	err    error
}

func (f *function) Invoke(ctx context.Context, _ string, event []byte) ([]byte, error) {
	f.mu.Lock()
	f.at = append(f.at, time.Since(f.began))
	f.events = append(f.events, string(event))
	f.mu.Unlock()
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return nil, f.err
}

func start(t *testing.T, f *function, s ...scheduler.Schedule) *scheduler.Scheduler {
	f.began = time.Now()
	return scheduler.New(scheduler.Options{Schedules: s, Invoker: f, Region: "us-east-1", Account: "000000000000", Logf: t.Logf})
}

func TestTicksComeAtTheirRateAndNotAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{takes: 90 * time.Second} // a slow tick holds up no other
		c := start(t, f, scheduler.Schedule{Name: "Clock", Function: "provision", Every: time.Minute, MaxAge: time.Minute})
		time.Sleep(3*time.Minute + time.Second)
		c.Close()
		if len(f.at) != 3 || f.at[0] != time.Minute || f.at[2] != 3*time.Minute {
			t.Errorf("ticks at %v", f.at)
		}
	})
}

func TestAnInputIsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{}
		c := start(t, f, scheduler.Schedule{Name: "Audit", Function: "provision", Every: time.Hour, MaxAge: time.Hour, Input: `{"audit":{"days":2}}`})
		c.Fire("Audit")
		synctest.Wait()
		c.Close()
		if len(f.events) != 1 || f.events[0] != `{"audit":{"days":2}}` {
			t.Errorf("events %q", f.events)
		}
	})
}

func TestAFailedTickIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{err: errors.New("no")}
		k := start(t, f, scheduler.Schedule{Name: "Clock", Function: "provision", Every: 24 * time.Hour, MaxAge: time.Hour})
		k.Fire("Clock")
		time.Sleep(2 * time.Hour)
		k.Close()
		if len(f.at) != 1 {
			t.Errorf("%d tries at %v", len(f.at), f.at)
		}
	})
}

func TestAThrottledTickWaitsForRoomUntilItIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{err: lambda.ErrThrottled, began: time.Now()}
		c := scheduler.New(scheduler.Options{Schedules: []scheduler.Schedule{{Name: "Clock", Every: time.Hour, MaxAge: 10 * time.Second}}, Invoker: f, Logf: t.Logf})
		c.Fire("Clock")
		time.Sleep(time.Minute)
		c.Close()
		if n := len(f.at); n != 12 || f.at[n-1] != 11*time.Second {
			t.Errorf("tried at %v, want each second until it is 10 s old", f.at)
		}
	})
}

func TestAClosedSchedulerDoesNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{err: lambda.ErrThrottled, began: time.Now()}
		c := scheduler.New(scheduler.Options{Schedules: []scheduler.Schedule{{Name: "Clock", Every: time.Hour, MaxAge: time.Hour}}, Invoker: f, Logf: t.Logf})
		c.Fire("Clock")
		synctest.Wait()
		c.Close()
		if len(f.at) != 1 || time.Since(f.began) > 0 {
			t.Errorf("tried at %v and ended after %v", f.at, time.Since(f.began))
		}
	})
}

func TestASwitchedOffScheduleIsNotFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{}
		c := start(t, f, scheduler.Schedule{Name: "Clock", Function: "provision", Every: time.Minute, MaxAge: time.Minute})
		if c.Switch("Nobody", false) || !c.Switch("Clock", false) {
			t.Error("the wrong schedule was switched")
		}
		time.Sleep(10*time.Minute + time.Second)
		silent := len(f.at)
		c.Switch("Clock", true)
		time.Sleep(time.Minute)
		c.Close()
		if silent != 0 || len(f.at) != 1 {
			t.Errorf("fired %d times while it was off, %d times then", silent, len(f.at))
		}
	})
}

func TestFiringByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &function{}
		c := start(t, f, scheduler.Schedule{Name: "Clock", Every: time.Hour, MaxAge: time.Minute}, scheduler.Schedule{Name: "Sweep", Every: time.Hour, MaxAge: time.Minute})
		for _, name := range []string{"Clock", "Sweep"} {
			if !c.Fire(name) {
				t.Errorf("%s was not fired", name)
			}
			synctest.Wait()
		}
		if c.Fire("Nobody") {
			t.Error("an unknown schedule was fired")
		}
		c.Close()
		if !c.Fire("Clock") || len(f.events) != 2 {
			t.Errorf("a closed scheduler fired: %d events", len(f.events))
		}
		var scheduled struct {
			Source string          `json:"source"`
			Kind   string          `json:"detail-type"`
			Detail json.RawMessage `json:"detail"`
		}
		if err := json.Unmarshal([]byte(f.events[0]), &scheduled); err != nil || scheduled.Source != "aws.scheduler" || scheduled.Kind != "Scheduled Event" || string(scheduled.Detail) != `"{}"` {
			t.Errorf("event %s, %v", f.events[0], err)
		}
	})
}
