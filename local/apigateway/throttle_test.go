package apigateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orderbridge/local/apigateway"
	"orderbridge/local/samtemplate"
)

// passing answers each event at once, and counts them.
type passing struct{ events atomic.Int32 }

func (p *passing) Invoke(context.Context, string, []byte) ([]byte, error) {
	p.events.Add(1)
	return []byte(`{"statusCode":204}`), nil
}

func throttled(t *testing.T, now func() time.Time, routes ...samtemplate.Route) (ask func(method, path string) int, events *atomic.Int32) {
	t.Helper()
	function := &passing{}
	g, err := apigateway.New(apigateway.Options{
		APIs:    []samtemplate.API{{ID: "Api", Throttle: samtemplate.Throttle{Rate: 2, Burst: 3}}},
		Routes:  routes,
		Invoker: function, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path string) int {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code == http.StatusTooManyRequests && strings.TrimSpace(w.Body.String()) != `{"message":"Too Many Requests"}` {
			t.Errorf("429 with %s", w.Body)
		}
		return w.Code
	}, &function.events
}

func route(key string, limit samtemplate.Throttle) samtemplate.Route {
	return samtemplate.Route{API: "Api", Key: key, Function: "f", Timeout: time.Second, Throttle: limit}
}

func TestARouteLetsThroughItsBurstThenItsRate(t *testing.T) {
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	ask, events := throttled(t, func() time.Time { return now }, route("GET /a", samtemplate.Throttle{Rate: 10, Burst: 4}))
	passed := func(n int) (ok int) {
		for range n {
			if ask("GET", "/a") == http.StatusNoContent {
				ok++
			}
		}
		return ok
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 4}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}, {250 * time.Millisecond, 2}, {time.Hour, 4}} {
		now = now.Add(step.after)
		if got := passed(10); got != step.want {
			t.Errorf("%v later: %d of 10 passed, want %d", step.after, got, step.want)
		}
	}
	if events.Load() != 11 {
		t.Errorf("%d events reached the function, want 11", events.Load())
	}
}

func TestEachRouteHasABucketOfItsOwn(t *testing.T) {
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	ask, _ := throttled(t, func() time.Time { return now }, route("POST /junk", samtemplate.Throttle{Rate: 1, Burst: 1}), route("POST /default", samtemplate.Throttle{}))
	var junk []int
	for range 3 {
		junk = append(junk, ask("POST", "/junk"))
	}
	if junk[0] != 204 || junk[1] != 429 || junk[2] != 429 {
		t.Errorf("junk got %v", junk)
	}
	var other []int
	for range 4 {
		other = append(other, ask("POST", "/default"))
	}
	if other[0] != 204 || other[2] != 204 || other[3] != 429 {
		t.Errorf("a route without a limit of its own got %v, want the API's burst of 3", other)
	}
	if got := ask("GET", "/default"); got != http.StatusNotFound {
		t.Errorf("a path without a route got %d", got)
	}
}

func TestNoMoreThanTheBurstPassAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	ask, _ := throttled(t, func() time.Time { return now }, route("POST /a", samtemplate.Throttle{Rate: 50, Burst: 100}))
	var ok atomic.Int32
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			if ask("POST", "/a") == http.StatusNoContent {
				ok.Add(1)
			}
		})
	}
	all.Wait()
	if ok.Load() != 100 {
		t.Errorf("%d of 500 passed, want 100", ok.Load())
	}
}
