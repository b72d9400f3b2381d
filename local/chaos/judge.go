package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"orderbridge/local/watch"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// whmcsOrder is an order as the WHMCS simulator's books hold it.
type whmcsOrder struct {
	ID       int64  `json:"id"`
	UserID   int64  `json:"userid"`
	Status   string `json:"status"`
	Notes    string `json:"notes"`
	Services []struct {
		ID     int64  `json:"id"`
		PID    int64  `json:"pid"`
		Cycle  string `json:"billingcycle"`
		Qty    int    `json:"qty"`
		Status string `json:"status"`
	} `json:"services"`
	ModuleRuns int `json:"moduleRuns"`

	salesforce string // whose it is, by the notes that AddOrder was sent
}

// salesforceOrder is an order as the Salesforce simulator shows it.
type salesforceOrder struct {
	Fields  map[string]any   `json:"fields"`
	Items   []map[string]any `json:"items"`
	History []struct {
		Field string `json:"field"`
		Value any    `json:"value"`
	} `json:"history"`
}

// orders are the orders of WHMCS, oldest first, each with the Salesforce order
// that it was made for, whatever its notes say by now.
func (r *run) orders(ctx context.Context) ([]whmcsOrder, error) {
	var all []whmcsOrder
	if err := r.ask(ctx, "GET", r.sys.WHMCS+"/_sim/orders", nil, &all); err != nil {
		return nil, err
	}
	calls, err := r.journal(ctx)
	if err != nil {
		return nil, err
	}
	for i, o := range all {
		all[i].salesforce = calls.madeFor[o.ID]
	}
	slices.SortFunc(all, func(a, b whmcsOrder) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// books are the orders of WHMCS by the Salesforce order that they were made for.
func (r *run) books(ctx context.Context) (map[string][]whmcsOrder, error) {
	all, err := r.orders(ctx)
	by := map[string][]whmcsOrder{}
	for _, o := range all {
		by[o.salesforce] = append(by[o.salesforce], o)
	}
	return by, err
}

// journal is what the WHMCS simulator's journal tells of the effects.
type journal struct {
	adds       map[string]int   // AddOrder calls by Salesforce order
	madeFor    map[int64]string // WHMCS order to Salesforce order
	added      int              // of them those that made an order
	modules    map[int64]int    // AcceptOrder calls whose module reported a failure, by WHMCS order
	struck     int              // calls that met a fault
	longestAdd int              // most AddOrder calls of one order
}

func (r *run) journal(ctx context.Context) (journal, error) {
	j := journal{adds: map[string]int{}, madeFor: map[int64]string{}, modules: map[int64]int{}}
	var all []struct {
		Action string            `json:"action"`
		Params map[string]string `json:"params"`
		Fault  string            `json:"fault"`
		Effect string            `json:"effect"`
	}
	if err := r.ask(ctx, "GET", r.sys.WHMCS+"/_sim/journal", nil, &all); err != nil {
		return j, err
	}
	for _, c := range all {
		switch {
		case c.Action == "AddOrder":
			m := string(order.ReadMarker(c.Params["notes"]))
			j.adds[m]++
			j.longestAdd = max(j.longestAdd, j.adds[m])
			if c.Effect != "" {
				j.added++
			}
			var made int64
			if n, _ := fmt.Sscanf(c.Effect, "order %d added", &made); n == 1 {
				j.madeFor[made] = m
			}
		case c.Action == "AcceptOrder" && c.Effect != "" && strings.HasPrefix(c.Fault, "module-fail"):
			if n, err := strconv.ParseInt(c.Params["orderid"], 10, 64); err == nil {
				j.modules[n]++
			}
		}
		if c.Fault != "" {
			j.struck++
		}
	}
	return j, nil
}

// parked are the codes with which a sale that can be provisioned may end in a
// storm: each is for a person to review.
func parked() []fault.Code {
	return []fault.Code{
		fault.AcceptOutcomeUnknown, fault.ModuleFailed, fault.AddOutcomeUnknown,
		fault.WHMCSOrderAmbiguous, fault.MarkerNotKept, // of a damaged marker
	}
}

// judge compares the books of both vendors with the table and the portal, and
// prints what it found.
func (r *run) judge(ctx context.Context) error {
	books, err := r.books(ctx)
	if err != nil {
		return err
	}
	calls, err := r.journal(ctx)
	if err != nil {
		return err
	}
	token, err := r.token(ctx)
	if err != nil {
		return err
	}
	var t verdicts
	for m, all := range books {
		if !slices.ContainsFunc(r.sales, func(s *sale) bool { return s.id.String() == m }) {
			r.found(order.ID{}, "WHMCS orders made for %q belong to no order of this run: %v", m, all)
		}
	}
	for _, s := range r.sales {
		if err := r.judgeOne(ctx, s, books[s.id.String()], calls, token, &t); err != nil {
			return err
		}
	}
	if n, err := r.deadLetters(ctx); err != nil {
		return err
	} else if letters, err := strconv.Atoi(n); err != nil || letters > r.seen.of("records refused for good") {
		r.found(order.ID{}, "%s status messages were given up as dead letters, and %d records were refused for good", n, r.seen.of("records refused for good"))
	}
	if err := r.judgeSteps(ctx, &t); err != nil {
		return err
	}
	r.readLog()
	r.report(t, calls)
	if len(r.wrong) == 0 {
		return nil
	}
	r.showBad(ctx)
	return errFound
}

// judgeSteps reads every write of the table. Of a table that was set back the
// stream has no whole story: the images before some writes are not in it.
func (r *run) judgeSteps(ctx context.Context, t *verdicts) error {
	if r.o.scenario == backup {
		return nil
	}
	writes, wrong, err := watch.Stream{Client: r.client, System: r.sys}.Wrong(ctx)
	if err != nil {
		return err
	}
	t.writes, t.wrong = writes, len(wrong)
	for _, w := range wrong {
		r.found(order.ID{}, "wrong step: %v", w)
	}
	return nil
}

// verdicts count what became of the orders.
type verdicts struct {
	provisioned, doubled, lost, stuck int
	unconfirmed                       int // Salesforce shows something else at the end
	adopted                           int // WHMCS orders found by their marker
	held                              int // effects that were stamped and, too late, not sent
	writes, wrong                     int // of the table, and those that are no steps of the protocol
	failed                            map[fault.Code]int
}

// judgeOne judges one sale.
func (r *run) judgeOne(ctx context.Context, s *sale, made []whmcsOrder, calls journal, token string, t *verdicts) error {
	rec, ok, err := r.table.Get(ctx, s.id)
	if err != nil {
		return fmt.Errorf("read order %s: %w", s.id, err)
	}
	live := slices.DeleteFunc(slices.Clone(made), func(o whmcsOrder) bool { return o.Status == "Cancelled" || o.Status == "Fraud" })
	if len(live) > 1 {
		t.doubled++
		r.found(s.id, "%d live orders in WHMCS", len(live))
	}
	for _, o := range made {
		// A module runs again only after it said no and a person clicked again.
		if most := 1 + min(s.consents.Load(), int64(calls.modules[o.ID])); int64(o.ModuleRuns) > most {
			r.found(s.id, "the module of WHMCS order %d ran %d times, %d at most were consented to", o.ID, o.ModuleRuns, most)
		}
	}
	if !ok {
		t.lost++
		r.found(s.id, "a callout was recorded, and the table has no such order")
		return nil
	}
	for _, e := range rec.History {
		switch {
		case e.Event == "adopted":
			t.adopted++
		case strings.Contains(e.Detail, "held before the send"):
			t.held++
		}
	}
	switch rec.State {
	case order.Provisioned:
		t.provisioned++
		r.judgeProvisioned(s, rec, made, t)
	case order.Failed:
		if t.failed == nil {
			t.failed = map[fault.Code]int{}
		}
		t.failed[rec.ErrorCode]++
		r.judgeFailed(s, rec, made)
	default:
		t.stuck++
		r.found(s.id, "is not final: %s at %s, due %v", rec.State, rec.RecoveryPoint, rec.DueAt)
	}
	var v salesforceOrder
	if err := r.ask(ctx, "GET", r.sys.Salesforce+"/_sim/orders/"+s.id.String(), nil, &v); err != nil {
		return err
	}
	if len(differ(rec, v)) > 0 {
		t.unconfirmed++
	}
	for _, d := range differ(rec, v) {
		r.found(s.id, "Salesforce differs: %s", d)
	}
	r.judgeHistory(s, v)
	return r.judgePortal(ctx, s, rec, token)
}

func (r *run) judgeProvisioned(s *sale, rec order.Record, made []whmcsOrder, t *verdicts) {
	if s.want != "" {
		r.found(s.id, "is provisioned, want failed with %s", s.want)
		return
	}
	if len(made) == 0 {
		t.lost++
		r.found(s.id, "is provisioned, and WHMCS has no order of it")
		return
	}
	o := made[0]
	if strconv.FormatInt(o.ID, 10) != rec.WHMCSOrderID || o.Status != "Active" || o.UserID != s.client {
		r.found(s.id, "is provisioned as WHMCS order %q, and WHMCS has order %d, %s, of client %d", rec.WHMCSOrderID, o.ID, o.Status, o.UserID)
	}
	var got, want []service
	var ids, known []string
	for _, v := range o.Services {
		if v.Status != "Active" && v.Status != "Completed" {
			r.found(s.id, "is provisioned, and service %d is %s", v.ID, v.Status)
		}
		got = append(got, service{v.PID, v.Cycle, v.Qty})
		ids = append(ids, strconv.FormatInt(v.ID, 10))
	}
	for _, l := range s.lines {
		want = append(want, l.services()...)
	}
	sorted := func(all []service) {
		slices.SortFunc(all, func(a, b service) int {
			return cmp.Or(cmp.Compare(a.pid, b.pid), strings.Compare(a.cycle, b.cycle), cmp.Compare(a.qty, b.qty))
		})
	}
	sorted(got)
	sorted(want)
	if !slices.Equal(got, want) {
		r.found(s.id, "WHMCS order %d has services %v, ordered were %v", o.ID, got, want)
	}
	for _, some := range rec.ServiceIDs {
		known = append(known, some...)
	}
	slices.Sort(ids)
	slices.Sort(known)
	if !slices.Equal(ids, known) {
		r.found(s.id, "the table knows services %v, WHMCS has %v", known, ids)
	}
}

func (r *run) judgeFailed(s *sale, rec order.Record, made []whmcsOrder) {
	code := rec.ErrorCode
	switch {
	case !code.Info().Review && len(made) > 0:
		r.found(s.id, "failed with %s, which says that nothing was made, and WHMCS has order %d", code, made[0].ID)
	case s.want != "" && r.o.scenario == backup && code == fault.AddOutcomeUnknown:
		// Without the client nothing can be searched, and the backup may not know all.
	case s.want != "" && code != s.want:
		r.found(s.id, "failed with %s, want %s", code, s.want)
	case s.want == "" && !slices.Contains(parked(), code):
		r.found(s.id, "failed with %s (%s), which nothing that was done to it explains", code, rec.ErrorMessage)
	}
}

// judgeHistory reads what Salesforce showed over time.
func (r *run) judgeHistory(s *sale, v salesforceOrder) {
	var seq float64
	status := ""
	for _, c := range v.History {
		switch c.Field {
		case "Provisioning_Seq__c":
			n, ok := c.Value.(float64)
			if !ok || n < seq {
				r.found(s.id, "Provisioning_Seq__c went from %.0f back to %v", seq, c.Value)
			}
			seq = n
		case "Provisioning_Status__c":
			now, _ := c.Value.(string)
			// A table that was set back knows less than Salesforce shows, and says so.
			if status == string(order.StatusProvisioned) && r.o.scenario != backup {
				r.found(s.id, "Salesforce showed %s after Provisioned", now)
			}
			status = now
		}
	}
}

func (r *run) token(ctx context.Context) (string, error) {
	var got struct {
		Token string `json:"token"`
	}
	return got.Token, r.ask(ctx, "GET", r.sys.API+"/_local/token?scope=orders.read.any", nil, &got)
}

// judgePortal compares what the portal is told.
func (r *run) judgePortal(ctx context.Context, s *sale, rec order.Record, token string) error {
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.sys.API+"/orders/"+s.id.String(), nil)
		if err != nil {
			return fmt.Errorf("ask the portal: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := r.client.Do(req)
		if err != nil {
			return fmt.Errorf("ask the portal: %w", err)
		}
		var got struct {
			Status  string `json:"status"`
			WHMCSID string `json:"whmcsOrderId"`
			Final   bool   `json:"final"`
		}
		err = json.NewDecoder(res.Body).Decode(&got)
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests && try < 100 && wait(ctx, 100*time.Millisecond) {
			continue
		}
		want := rec.Status()
		if err != nil || res.StatusCode != 200 || got.Status != string(want) || got.Final != want.Final() || want == order.StatusProvisioned && got.WHMCSID != rec.WHMCSOrderID {
			r.found(s.id, "the portal is told %d %+v (%v), the table says %s", res.StatusCode, got, err, want)
		}
		return nil
	}
}

// deadLetters is how many status messages were given up.
func (r *run) deadLetters(ctx context.Context) (string, error) {
	queues := sqs.NewFromConfig(r.sys.AWSConfig())
	const waiting = types.QueueAttributeNameApproximateNumberOfMessages
	out, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(r.sys.Exports["STATUSPUSH_DEAD_LETTER_URL"]), AttributeNames: []types.QueueAttributeName{waiting}})
	if err != nil {
		return "", fmt.Errorf("count dead letters: %w", err)
	}
	return out.Attributes[string(waiting)], nil
}

// readLog counts in the system's log what tells that the run reached the
// moments it is made for, and finds what the simulator's own books complain of.
func (r *run) readLog() {
	lines := bufio.NewScanner(strings.NewReader(r.sys.Logs()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l := lines.Text()
		switch {
		case strings.Contains(l, "BOOKS WRONG"):
			r.found(order.ID{}, "%s", l)
		case strings.Contains(l, `panic`):
			r.found(order.ID{}, "%s", l)
		case strings.Contains(l, `"run ended"`) && strings.Contains(l, `"end":"lost"`):
			r.seen.add("leases lost", 1)
		case strings.Contains(l, `"whmcs effect not sent"`):
			r.seen.add("sends refused at the gate", 1)
		case strings.Contains(l, `"breaker opened"`):
			r.seen.add("breakers opened", 1)
		}
	}
}

// report prints the table.
func (r *run) report(t verdicts, calls journal) {
	r.printing.Lock()
	defer r.printing.Unlock()
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(r.out, "  %-32s %s\n", name, fmt.Sprintf(format, args...))
	}
	n := func(what string) int { return r.seen.of(what) }
	again := 0
	for _, k := range calls.adds {
		if k > 1 {
			again++
		}
	}
	fmt.Fprintln(r.out)
	row("orders", "%d", len(r.sales))
	row("callouts", "%d (%d sent again, %d replays refused)", n("callouts"), n("callouts sent again"), n("replays refused"))
	row("provisioned", "%d (%d of them corrected by a person)", t.provisioned, n("corrected"))
	for _, code := range slices.Sorted(maps.Keys(t.failed)) {
		row("failed, "+string(code), "%d", t.failed[code])
	}
	row("killed (SIGKILL)", "%d: provision %d, statuspush %d, fulfill %d", n("kills"), n("killed provision"), n("killed statuspush"), n("killed fulfill"))
	row("frozen (SIGSTOP, SIGCONT)", "%d: provision %d, statuspush %d, fulfill %d", n("freezes"), n("froze provision"), n("froze statuspush"), n("froze fulfill"))
	row("workers woken after their lease", "%d; %d found it gone, %d held their send back, %d sends stopped at the gate", n("woke after the lease"), n("leases lost"), t.held, n("sends refused at the gate"))
	row("faults", "%d ordered, %d struck WHMCS calls; breakers opened %d times", n("faults"), calls.struck, n("breakers opened"))
	row("people", "%d notes edited, %d markers damaged, %d wrong words said and taken back, %d pauses ended", n("notes edited"), n("markers damaged"), n("wrong words"), n("pauses"))
	row("Salesforce records", "%d refused for a while, %d of them until a person would correct them; %d orders unconfirmed", n("records poisoned"), n("records refused for good"), t.unconfirmed)
	row("AddOrder", "%d made; %d orders needed more than one call, %d at most; %d found by a look", calls.added, again, calls.longestAdd, t.adopted)
	row("doubled", "%d", t.doubled)
	row("lost", "%d", t.lost)
	row("stuck", "%d", t.stuck)
	row("wrong steps", "%d in %d writes of orders", t.wrong, t.writes)
	row("elapsed", "%.0f s", time.Since(r.began).Seconds())
	row("seed", "%d", r.o.seed)
	verdict := "everything holds"
	if len(r.wrong) > 0 {
		verdict = fmt.Sprintf("%d FINDINGS", len(r.wrong))
	}
	fmt.Fprintf(r.out, "\n%s\n", verdict)
}

// showBad prints the findings and the history of the first orders that have one.
func (r *run) showBad(ctx context.Context) {
	const most = 10
	shown := map[string]bool{}
	for _, f := range r.wrong {
		fmt.Fprintf(r.out, "\n%s %s\n", f.id, f.what)
		if f.id == "" || shown[f.id] || len(shown) == most {
			continue
		}
		shown[f.id] = true
		text, err := r.orderctl(ctx, "show", f.id)
		if err != nil {
			text = err.Error()
		}
		fmt.Fprintln(r.out, text)
	}
}
