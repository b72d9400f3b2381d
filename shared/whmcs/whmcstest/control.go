package whmcstest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// canonical brings a Salesforce id in a match to its 18 characters; any other
// text stays.
func canonical(match string) string {
	if full, ok := order.To18(match); ok && strings.HasPrefix(match, "801") {
		return full
	}
	return match
}

// control serves the /_sim/ routes. Bodies are JSON; unknown members are
// ignored; what cannot be done is a 400 with {"error"}.
//
//	GET    /_sim/journal           every vendor call
//	GET    /_sim/faults            those that are left
//	POST   /_sim/faults            {"action","fault","times","delayMs"?,"match"?,"bytes"?,"message"?,"status"?}
//	DELETE /_sim/faults
//	POST   /_sim/reset
//	GET    /_sim/switches
//	POST   /_sim/switches          those named are changed; see Switches
//	PUT    /_sim/clients/{id}      {"status","payMethods"?}
//	PUT    /_sim/products/{id}     {"name","allowqty","module"?,"status"?: "missing"}
//	GET    /_sim/orders
//	GET    /_sim/orders/{id}
//	PATCH  /_sim/orders/{id}       {"status"?,"notes"?,"userid"?,"services"?: [{"id","status"}]}
//	DELETE /_sim/orders/{id}
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		problem(w, 413, errors.New("the body is too large"))
		return
	}
	route, id, hasID := strings.Cut(strings.TrimPrefix(r.URL.Path, "/_sim/"), "/")
	n, err := strconv.ParseInt(id, 10, 64)
	if hasID && (err != nil || n <= 0) {
		problem(w, 400, errors.New("the id must be a positive number"))
		return
	}
	switch r.Method + " " + route + map[bool]string{true: "/{id}"}[hasID] {
	case "GET journal":
		reply(w, s.Journal())
	case "GET faults":
		all := []faultBody{}
		for _, f := range s.Faults() {
			all = append(all, faultBody{f.Action, f.Fault, f.Times, int(f.Delay / time.Millisecond), jsonID(f.Match), f.Bytes, f.Message, f.Status})
		}
		reply(w, all)
	case "POST faults":
		err = s.controlFault(body)
		done(w, err)
	case "DELETE faults":
		s.ClearFaults()
		done(w, nil)
	case "POST reset":
		s.Reset()
		done(w, nil)
	case "GET switches":
		reply(w, s.books.Switches())
	case "POST switches":
		done(w, s.controlSwitches(body))
	case "PUT clients/{id}":
		done(w, s.controlClient(n, body))
	case "PUT products/{id}":
		done(w, s.controlProduct(n, body))
	case "GET orders":
		reply(w, s.Orders())
	case "GET orders/{id}", "DELETE orders/{id}", "PATCH orders/{id}":
		s.controlOrder(w, r.Method, n, body)
	default:
		status := 404
		if slices.Contains([]string{"journal", "faults", "reset", "switches", "clients", "products", "orders"}, route) {
			status = 405
		}
		problem(w, status, errors.New("no route "+r.Method+" "+r.URL.Path))
	}
}

type faultBody struct {
	Action  string `json:"action"`
	Fault   string `json:"fault"`
	Times   int    `json:"times"`
	DelayMs int    `json:"delayMs,omitempty"`
	Match   jsonID `json:"match,omitempty"`
	Bytes   int    `json:"bytes,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"`
}

// jsonID is an id as a JSON string or number.
type jsonID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *jsonID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*id = jsonID(strconv.FormatInt(n, 10))
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("match must be an id")
	}
	*id = jsonID(s)
	return nil
}

func (s *Server) controlFault(body []byte) error {
	var f faultBody
	if err := parse(body, &f); err != nil {
		return err
	}
	return s.Fault(Fault{Action: f.Action, Fault: f.Fault, Times: f.Times, Delay: time.Duration(f.DelayMs) * time.Millisecond,
		Match: string(f.Match), Bytes: f.Bytes, Message: f.Message, Status: f.Status})
}

func (s *Server) controlSwitches(body []byte) error {
	next := s.books.Switches()
	if err := parse(body, &next); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "array", "object", "string"}, next.EmptyList) ||
		!slices.Contains([]string{"", "indexed", "single", "bare"}, next.ListForm) ||
		!slices.Contains([]string{"", "desc", "asc", "mixed"}, next.ListOrder) {
		return errors.New("unknown form of a list")
	}
	s.books.Switch(func(sw *Switches) { *sw = next })
	return nil
}

func (s *Server) controlClient(id int64, body []byte) error {
	c := struct {
		Status     string `json:"status"`
		PayMethods *int   `json:"payMethods"`
	}{}
	if err := parse(body, &c); err != nil {
		return err
	}
	for _, status := range []string{"Active", "Inactive", "Closed", "missing"} {
		if strings.EqualFold(status, cmp.Or(c.Status, "Active")) {
			put := Client{Status: status, PayMethods: 1}
			if c.PayMethods != nil {
				put.PayMethods = max(0, *c.PayMethods)
			}
			s.SetClient(id, put)
			return nil
		}
	}
	return errors.New("the status of a client is Active, Inactive, Closed or missing")
}

func (s *Server) controlProduct(id int64, body []byte) error {
	p := struct {
		Name     string   `json:"name"`
		AllowQty int      `json:"allowqty"`
		Module   *string  `json:"module"`
		Status   string   `json:"status"`
		PayType  string   `json:"paytype"`
		Cycles   []string `json:"cycles"`
		Options  []Option `json:"options"`
	}{}
	if err := parse(body, &p); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "free", "onetime", "recurring"}, p.PayType) {
		return errors.New("paytype is free, onetime or recurring")
	}
	if p.AllowQty < 0 || p.AllowQty > 2 {
		return errors.New("allowqty is 0, 1 or 2")
	}
	put := Product{Name: p.Name, AllowQty: p.AllowQty, Missing: strings.EqualFold(p.Status, "missing"),
		PayType: p.PayType, Cycles: p.Cycles, Options: p.Options}
	if p.Module != nil {
		put.Module = *p.Module
	}
	s.SetProduct(id, put)
	return nil
}

func (s *Server) controlOrder(w http.ResponseWriter, method string, id int64, body []byte) {
	missing := errors.New("no such order")
	switch method {
	case http.MethodGet:
		if o, ok := s.books.Order(id); ok {
			reply(w, o)
			return
		}
		problem(w, 404, missing)
	case http.MethodDelete:
		if s.books.Delete(id) {
			done(w, nil)
			return
		}
		problem(w, 404, missing)
	default:
		var p struct {
			Status   *string `json:"status"`
			Notes    *string `json:"notes"`
			UserID   *jsonID `json:"userid"`
			Services []struct {
				ID     int64  `json:"id"`
				Status string `json:"status"`
			} `json:"services"`
		}
		if err := parse(body, &p); err != nil {
			problem(w, 400, err)
			return
		}
		e := Edit{Status: p.Status, Notes: p.Notes, Services: map[int64]string{}}
		if p.Status != nil && *p.Status == "" {
			problem(w, 400, errors.New("an order has a status"))
			return
		}
		if p.UserID != nil {
			n, err := strconv.ParseInt(string(*p.UserID), 10, 64)
			if err != nil || n <= 0 {
				problem(w, 400, errors.New("userid must be a positive number"))
				return
			}
			e.UserID = &n
		}
		for _, v := range p.Services {
			e.Services[v.ID] = v.Status
		}
		o, ok := s.books.Patch(id, e)
		if !ok {
			problem(w, 404, missing)
			return
		}
		reply(w, o)
	}
}

func parse(body []byte, into any) error {
	if t := bytes.TrimSpace(body); len(t) == 0 || t[0] != '{' {
		return errors.New("the body must be a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("the body must be a JSON object with members of the right types: " + err.Error())
	}
	return nil
}

func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		problem(w, 500, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		problem(w, 400, err)
		return
	}
	reply(w, map[string]bool{"ok": true})
}

func problem(w http.ResponseWriter, status int, err error) {
	b, _ := json.Marshal(map[string]string{"error": err.Error()})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
