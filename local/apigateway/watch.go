package apigateway

import (
	"net/http"
	"time"
)

// Answer is one answer of an API, by itself or by an integration.
type Answer struct {
	API    string // logical id; "" = no API has the path
	Route  string // "" = none has method and path
	Status int
	Took   time.Duration
}

// Watch returns the gateway as a handler that has saw told of every answer.
func (g *Gateway) Watch(saw func(Answer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := g.opts.Now()
		rt, _, api := g.find(r.Method, r.URL.EscapedPath())
		a := Answer{API: api}
		if rt != nil {
			a.Route = rt.Key
		}
		status := &statusOf{ResponseWriter: w, status: http.StatusOK}
		g.ServeHTTP(status, r)
		a.Status, a.Took = status.status, g.opts.Now().Sub(began)
		saw(a)
	})
}

// statusOf keeps the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
