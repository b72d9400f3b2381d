// Package scheduler fires the schedules of a template: it invokes functions
// asynchronously at a rate, and on request.
//
// The rule it keeps: a tick that failed, or found no room in time, is dropped: no
// schedule of the template has retries. It must not wait for a tick to end
// before the next one is due.
package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"orderbridge/local/lambda"
	"orderbridge/local/uuid"
)

// Invoker runs a function, by its short name, with the errors of lambda.Host.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) ([]byte, error)
}

// Schedule is one schedule.
type Schedule struct {
	Name     string
	Function string // short name
	Every    time.Duration
	MaxAge   time.Duration // of an event that found no room to run
	Input    string        // the event; "" = the service's own
}

// Options are what a Scheduler needs.
type Options struct {
	Schedules       []Schedule
	Invoker         Invoker
	Region, Account string
	Logf            func(format string, args ...any)
}

// Scheduler fires schedules. Its methods are safe for concurrent use.
type Scheduler struct {
	opts Options
	wait sync.WaitGroup
	ctx  context.Context
	stop context.CancelFunc
	mu   sync.Mutex
	done bool
	held map[string]bool // schedules that are switched off
}

// New starts the schedules; the first tick comes after one period.
func New(opts Options) *Scheduler {
	c := &Scheduler{opts: opts, held: map[string]bool{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	for _, s := range opts.Schedules {
		c.wait.Go(func() {
			t := time.NewTicker(s.Every)
			defer t.Stop()
			for {
				select {
				case at := <-t.C:
					if !c.off(s.Name) {
						c.fire(s, at)
					}
				case <-c.ctx.Done():
					return
				}
			}
		})
	}
	return c
}

// Switch switches a schedule on or off, by name; false when there is none.
func (c *Scheduler) Switch(name string, on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.opts.Schedules {
		if s.Name == name {
			c.held[name] = !on
			return true
		}
	}
	return false
}

func (c *Scheduler) off(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[name]
}

// Fire fires a schedule now, by name; false when there is none.
func (c *Scheduler) Fire(name string) bool {
	for _, s := range c.opts.Schedules {
		if s.Name == name {
			c.fire(s, time.Now())
			return true
		}
	}
	return false
}

func (c *Scheduler) fire(s Schedule, at time.Time) {
	event := s.Input
	if event == "" {
		event = c.event(s, at)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return
	}
	c.wait.Go(func() {
		if err := c.invoke(s, event, at.Add(s.MaxAge)); err != nil && c.ctx.Err() == nil {
			c.opts.Logf("%s: %v", s.Name, err)
		}
	})
}

// invoke runs the function once, as soon as there is room for it; finding none
// until the event is too old is an error too.
func (c *Scheduler) invoke(s Schedule, event string, deadline time.Time) error {
	for {
		_, err := c.opts.Invoker.Invoke(c.ctx, s.Function, []byte(event))
		if !errors.Is(err, lambda.ErrThrottled) || time.Now().After(deadline) {
			return err
		}
		t := time.NewTimer(time.Second)
		select {
		case <-t.C:
		case <-c.ctx.Done():
			t.Stop()
			return c.ctx.Err()
		}
	}
}

// event is what EventBridge Scheduler sends for a schedule without an input.
func (c *Scheduler) event(s Schedule, at time.Time) string {
	e := map[string]any{
		"version": "0", "id": uuid.New(), "detail-type": "Scheduled Event", "source": "aws.scheduler",
		"account": c.opts.Account, "time": at.UTC().Format(time.RFC3339), "region": c.opts.Region,
		"resources": []string{fmt.Sprintf("arn:aws:scheduler:%s:%s:schedule/default/%s", c.opts.Region, c.opts.Account, s.Name)},
		"detail":    "{}",
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // texts alone
	}
	return string(b)
}

// Close stops all schedules and returns when no tick is under way.
func (c *Scheduler) Close() {
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
	c.stop()
	c.wait.Wait()
}
