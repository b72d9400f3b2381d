package eventsource_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"orderbridge/local/eventsource"
)

func TestNothingHappensUnlessSwitchedOn(t *testing.T) {
	var h eventsource.Hints
	for range 1000 {
		if h.Lost() || h.Doubled() || h.Refused() || h.Late() != 0 {
			t.Fatal("a hint was harmed")
		}
	}
}

func TestSwitchesDoWhatTheySay(t *testing.T) {
	var h eventsource.Hints
	if err := h.Set(eventsource.HintSettings{Lost: 1, Doubled: 1, Refused: 1, LateMs: 50}); err != nil {
		t.Fatal(err)
	}
	later := false
	for range 1000 {
		d := h.Late()
		if !h.Lost() || !h.Doubled() || !h.Refused() || d < 0 || d > 50*time.Millisecond {
			t.Fatalf("a hint was spared, or %v late", d)
		}
		later = later || d > 0
	}
	if !later {
		t.Error("no hint was late")
	}
	for _, bad := range []eventsource.HintSettings{{Lost: -0.1}, {Lost: 1.1}, {Doubled: 2}, {Doubled: -1}, {Refused: 1.1}, {LateMs: -1}, {LateMs: 900_001}} {
		if err := h.Set(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if h.Get().LateMs != 50 {
		t.Error("a refused setting changed something")
	}
}

func TestRoute(t *testing.T) {
	var h eventsource.Hints
	for _, c := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 200, `{"doubled":0,"lateMs":0,"lost":0}`},
		{"POST", `{"doubled":0.5,"lost":0.25}`, 200, `{"doubled":0.5,"lateMs":0,"lost":0.25}`},
		{"POST", `{"lateMs":7}`, 200, `{"doubled":0,"lateMs":7,"lost":0}`},
		{"POST", `{"lost":7}`, 400, `"error"`},
		{"POST", `{`, 400, `"error"`},
		{"POST", ``, 200, `{"doubled":0,"lateMs":0,"lost":0}`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "/", strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.body, w.Code, w.Body)
		}
	}
}
