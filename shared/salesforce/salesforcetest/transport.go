package salesforcetest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
)

// errDropped is what a client of Transport sees where a real one sees its
// connection closed.
var errDropped = errors.New("connection closed by the simulator")

// Transport returns a round tripper that calls the simulator without a
// network, so that virtual time can pass in a testing/synctest bubble. As over
// a network, a client that gives up does not stop what the simulator does.
func (s *Sim) Transport() http.RoundTripper { return memory{s} }

type memory struct{ sim *Sim }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself is what net/http looks for
					panic(p)
				}
				done <- result{nil, errDropped}
			}
		}()
		rec := httptest.NewRecorder()
		m.sim.ServeHTTP(rec, in)
		resp := rec.Result()
		resp.Request = r
		done <- result{resp, nil}
	}()
	select {
	case out := <-done:
		return out.resp, out.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
