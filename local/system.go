package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orderbridge/local/apigateway"
	"orderbridge/local/cloudformation"
	"orderbridge/local/cloudwatch"
	"orderbridge/local/dynamodb"
	"orderbridge/local/eventsource"
	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
	"orderbridge/local/scheduler"
	"orderbridge/local/secretsmanager"
	"orderbridge/local/sqs"
	"orderbridge/local/tables"
	"orderbridge/local/uuid"
)

// system is everything that runs.
type system struct {
	settings settings
	at       addresses
	model    *samtemplate.Model
	out      io.Writer
	logf     func(format string, args ...any)
	bin      string
	broken   chan error // a server that ended by itself
	ready    atomic.Bool

	db      *dynamodb.DB // nil when DYNAMODB_ENDPOINT puts another in its place
	queues  *sqs.Service
	secrets *secretsmanager.Service
	sims    *simulators
	issuer  *issuer
	host    *lambda.Host
	clock   *scheduler.Scheduler
	hints   *eventsource.Hints
	events  *events
	metrics *cloudwatch.Service
	alerts  []alert
	stuck   sync.Map        // by function: when the last record was made of the batch that it has not taken
	ending  context.Context // ends with the system

	stop    context.CancelFunc
	wait    sync.WaitGroup // mappings and servers
	servers []*http.Server
	conns   connections
}

// connections are those that the servers have open.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]bool{}
		}
		c.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	case http.StateActive, http.StateIdle:
	}
}

// reset makes the close that follows a hard one. Otherwise the kernel would
// hold the port for a minute (TIME_WAIT), and a process that binds it without
// SO_REUSEADDR would find it taken.
func (c *connections) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
	}
}

// start brings the system up; on an error nothing of it is left.
func start(ctx context.Context, set settings, source []byte, bin string, out io.Writer) (_ *system, err error) {
	locked := &lockedWriter{w: out}
	s := &system{settings: set, out: locked, bin: bin, broken: make(chan error, 8), hints: &eventsource.Hints{}}
	var lines io.Writer = locked
	say := func(event) {}
	if !set.raw {
		lines = functionLines{locked, &s.ready}
		say = func(ev event) {
			if !ev.minor {
				fmt.Fprintln(locked, readableEvent(ev))
			}
		}
	}
	s.events = newEvents(say)
	s.logf = func(format string, args ...any) { fmt.Fprintf(locked, "local | "+format+"\n", args...) }
	var inner context.Context
	// It outlives ctx, which only bounds the start.
	inner, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.ending = inner
	defer func() {
		if err != nil {
			s.close()
		}
	}()

	// Ports first: a taken one is the commonest fault, and cheap to tell.
	listeners := map[string][]net.Listener{}
	defer func() {
		if err != nil {
			for _, all := range listeners {
				for _, l := range all {
					_ = l.Close()
				}
			}
		}
	}()
	for _, p := range ports {
		all, err := set.listen(ctx, p.variable)
		if err != nil {
			return nil, err
		}
		listeners[p.variable] = all
	}
	if set.host == bridge || set.host == "0.0.0.0" {
		s.logf("warning: listening on %s, not on loopback alone; nothing here is protected", set.host)
	}
	s.at = addresses{api: baseURL(listeners["API_PORT"]), whmcs: baseURL(listeners["WHMCS_PORT"]), salesforce: baseURL(listeners["SF_PORT"]), aws: baseURL(listeners["AWS_PORT"])}

	names := map[string]string{}
	if v, ok := set.lookup("TABLE_NAME"); ok && v != "" {
		names["OrdersTable"] = v
	}
	s.model, err = samtemplate.Read(source, samtemplate.Options{
		Region: set.region, Account: account, Stack: stack,
		Parameters: parameters(s.at, set.lookup),
		QueueURL:   func(name string) string { return s.at.aws + "/" + account + "/" + name },
		Names:      names,
	})
	if err != nil {
		return nil, err
	}

	// The check of a deployment is invoked by CodeDeploy, which is not here.
	s.model.Functions = s.model.Invoked()

	if s.alerts, err = alerts(s.model); err != nil {
		return nil, err
	}
	s.metrics, err = cloudwatch.New(cloudwatch.Options{Alarms: s.model.Alarms, Filters: s.model.LogFilters, Changed: s.alarmChanged, Minute: set.alarmMinute, Began: time.Now()})
	if err != nil {
		return nil, err
	}
	s.host = lambda.New(set.region, measuredLines{lines, s.metrics})
	s.measureInvocations()
	for _, f := range s.model.Functions {
		if err := s.host.Add(lambda.Function{
			Name: f.Short, LogicalID: f.ID, FullName: f.Name, ARN: f.ARN, Alias: f.Alias, Handler: f.Handler, MemoryMB: f.MemoryMB, Timeout: f.Timeout, Reserved: f.Reserved,
			Bootstrap:   filepath.Join(bin, f.Short, "bootstrap"),
			Environment: environment(f, s.at, set),
		}); err != nil {
			return nil, err
		}
	}

	if err := s.startAWS(ctx, listeners["AWS_PORT"]); err != nil {
		return nil, err
	}
	orgID, _ := set.lookup("SF_ORG_ID")
	if s.sims, err = newSimulators(orgID, s.events, s.logf); err != nil {
		return nil, fmt.Errorf("start simulators: %w", err)
	}
	s.serve(listeners["WHMCS_PORT"], forThisMachine(s.sims.whmcs))
	s.serve(listeners["SF_PORT"], forThisMachine(s.sims.salesforce))

	if s.issuer, err = newIssuer(s.issuerURL()); err != nil {
		return nil, err
	}
	gate, err := apigateway.New(apigateway.Options{
		APIs: s.model.APIs, Routes: s.model.Routes, Invoker: s.host,
		Region: set.region, Account: account, Key: s.issuer.key, AccessKey: accessKey, SecretKey: secretKey, Logf: s.plainf,
	})
	if err != nil {
		return nil, err
	}

	if err := s.startMappings(inner); err != nil {
		return nil, err
	}
	var schedules []scheduler.Schedule
	for _, sc := range s.model.Schedules {
		every := sc.Every
		if every == time.Minute {
			every = set.tick
		}
		if set.demo {
			every = min(every, time.Minute)
		}
		// A schedule invokes asynchronously: once the event is taken, the
		// function's own settings decide on its age.
		f := s.model.Functions[slices.IndexFunc(s.model.Functions, func(f samtemplate.Function) bool { return f.Short == sc.Function })]
		schedules = append(schedules, scheduler.Schedule{Name: sc.ID, Function: sc.Function, Every: every, MaxAge: min(f.MaxEventAge, sc.MaxAge), Input: sc.Input})
	}
	s.clock = scheduler.New(scheduler.Options{Schedules: schedules, Invoker: s.host, Region: set.region, Account: account, Logf: s.logf})

	console, err := newConsole(s)
	if err != nil {
		return nil, err
	}
	s.serve(listeners["API_PORT"], front(s.watchCallouts(gate.Watch(s.measureAnswers)), console))

	if err := s.warm(inner); err != nil {
		return nil, err
	}
	s.wait.Go(func() { s.watchAlarms(inner) })
	s.ready.Store(true)
	return s, nil
}

// warm starts one process of each function and returns when all are ready for
// their first call, or with what the first one that cannot start says.
func (s *system) warm(ctx context.Context) error {
	failed := make(chan error, len(s.host.Names()))
	for _, name := range s.host.Names() {
		s.wait.Go(func() {
			err := s.host.Warm(ctx, name)
			var why *lambda.Error
			switch {
			case errors.As(err, &why) && why.Said != "":
				err = fmt.Errorf("%s does not start: %s", name, why.Said)
			case err != nil:
				err = fmt.Errorf("%s does not start: %w", name, err)
			}
			failed <- err
		})
	}
	var first error
	for range s.host.Names() {
		if err := <-failed; first == nil {
			first = err
		}
	}
	return first
}

func (s *system) plainf(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// issuerURL is the issuer that the template's authorizer names, or the local
// one when it has none.
func (s *system) issuerURL() string {
	for _, r := range s.model.Routes {
		if r.JWT != nil {
			return r.JWT.Issuer
		}
	}
	return s.at.api + issuerPath
}

// serve answers on listeners until close.
func (s *system) serve(all []net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnState: s.conns.note}
	s.servers = append(s.servers, srv)
	for _, l := range all {
		s.wait.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.broken <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		})
	}
}

// startAWS serves DynamoDB, Secrets Manager, SQS and Lambda on one port and
// makes what the template describes.
func (s *system) startAWS(ctx context.Context, listeners []net.Listener) error {
	region := s.settings.region
	s.queues = sqs.New()
	for _, q := range s.model.Queues {
		s.queues.Add(sqs.Settings{Name: q.Name, URL: q.URL, ARN: q.ARN, Visibility: q.Visibility, Retention: q.Retention, DeadLetterARN: q.DeadLetterARN, MaxReceives: q.MaxReceives})
	}
	s.secrets = secretsmanager.New(nil)
	for _, sec := range s.model.Secrets {
		value := map[string]string{
			"WhmcsSecret":      fmt.Sprintf(`{"identifier":%q,"secret":%q}`, whmcsIdentifier, whmcsSecret),
			"SalesforceSecret": fmt.Sprintf(`{"clientId":%q,"clientSecret":%q}`, sfClientID, sfClientSecret),
		}[sec.ID]
		if sec.GenerateLength > 0 {
			value = randomText(sec.GenerateLength)
		}
		if err := s.secrets.Create(sec.Name, sec.ARN, value); err != nil {
			return fmt.Errorf("create secret %s: %w", sec.ID, err)
		}
	}
	var database http.Handler
	if s.settings.dynamoEndpoint == "" {
		s.db = dynamodb.New(dynamodb.Options{Region: region, Account: account})
		database = s.db
	} else {
		u, err := url.Parse(s.settings.dynamoEndpoint)
		if err != nil {
			return fmt.Errorf("read DYNAMODB_ENDPOINT: %w", err)
		}
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			s.logf("DYNAMODB_ENDPOINT: %v", err)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		database = proxy
	}
	s.serve(listeners, forThisMachine(awsPort(database, s.secrets, s.queues, s.host.InvokeAPI(), s.stack(), s.metrics)))
	for _, t := range s.model.Tables {
		if err := tables.Create(ctx, s.dynamoConfig(), t); err != nil {
			return err
		}
	}
	return nil
}

// stack is the deployed stack as CloudFormation would describe it.
func (s *system) stack() cloudformation.Stack {
	outputs := map[string]string{}
	for _, kv := range s.exports() {
		if name := outputNames()[kv[0]]; name != "" {
			outputs[name] = kv[1]
		}
	}
	return cloudformation.Stack{
		Name: stack, ARN: fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", s.settings.region, account, stack, uuid.New()), Created: time.Now(), Outputs: outputs,
	}
}

// awsPort finds the service of a request: Lambda and CloudWatch by the path,
// CloudFormation by the form that it alone takes, the others by their target.
func awsPort(tables, secrets, queues, functions, stacks, metrics http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, lambda.InvokePath):
			functions.ServeHTTP(w, r)
			return
		case strings.HasPrefix(r.URL.Path, cloudwatch.Path):
			metrics.ServeHTTP(w, r)
			return
		}
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind == "application/x-www-form-urlencoded" {
			stacks.ServeHTTP(w, r)
			return
		}
		target := r.Header.Get("X-Amz-Target")
		service, _, _ := strings.Cut(target, ".")
		switch service {
		case "DynamoDB_20120810", "DynamoDBStreams_20120810":
			tables.ServeHTTP(w, r)
		case "secretsmanager":
			secrets.ServeHTTP(w, r)
		case "AmazonSQS":
			queues.ServeHTTP(w, r)
		default:
			respond(w, http.StatusBadRequest, map[string]string{"__type": "com.amazon.coral.service#UnknownOperationException", "message": fmt.Sprintf("no service here for target %q", target)})
		}
	})
}

func (s *system) startMappings(ctx context.Context) error {
	streams := s.streamClient()
	// What the template asks for is checked before anything runs.
	for _, filters := range s.filters() {
		if _, err := eventsource.ParseFilter(filters); err != nil {
			return err
		}
	}
	run := func(id, table string, policy eventsource.Policy, deliver eventsource.Deliver, givenUp func(string)) {
		stream := &eventsource.Stream{Client: streams, Table: table, GivenUp: givenUp,
			Logf: func(format string, args ...any) { s.plainf(id+" | "+format, args...) }}
		if s.db != nil {
			stream.Wake = s.db.Changed
		}
		s.wait.Go(func() {
			if err := stream.Run(ctx, policy, deliver); err != nil {
				s.broken <- fmt.Errorf("run %s: %w", id, err)
			}
		})
	}
	for _, t := range s.model.Tables {
		if t.StreamView == "" {
			continue
		}
		stream := &eventsource.Stream{Client: streams, Table: t.Name, Logf: s.logf}
		if s.db != nil {
			stream.Wake = s.db.Changed
		}
		s.wait.Go(func() {
			if err := s.events.follow(ctx, stream); err != nil {
				s.broken <- fmt.Errorf("follow %s: %w", t.Name, err)
			}
		})
	}
	for _, m := range s.model.Streams {
		policy := eventsource.Policy{Filters: m.Filters, BatchSize: m.BatchSize, Window: s.inAlarmTime(m.Window), Bisect: m.Bisect, MaxRetries: m.MaxRetries, MaxAge: m.MaxAge, ReportPartial: m.ReportPartial}
		var givenUp func(string)
		if m.OnFailureARN != "" {
			letters := s.queues.ByARN(m.OnFailureARN)
			givenUp = func(message string) { letters.Send(message, 0) }
		}
		run(m.ID, m.Table, policy, s.measureAge(m.Function, eventsource.ToFunction(s.host, m.Function, s.hints)), givenUp)
	}
	for _, p := range s.model.Pipes {
		input, err := eventsource.ParseTemplate(p.InputTemplate)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.ID, err)
		}
		policy := eventsource.Policy{Filters: p.Filters, BatchSize: p.BatchSize, Bisect: p.Bisect, MaxRetries: p.MaxRetries, MaxAge: p.MaxAge}
		run(p.ID, p.Table, policy, s.measurePipe(p.Name, eventsource.ToQueue(s.queues.ByARN(p.QueueARN), input, s.hints)), nil)
	}
	for _, m := range s.model.Works {
		w := &eventsource.Work{Queue: s.queues.ByARN(m.QueueARN), Invoker: s.host, Function: m.Function, Region: s.settings.region, BatchSize: m.BatchSize, MaxConcurrency: m.MaxConcurrency}
		s.wait.Go(func() { w.Run(ctx) })
	}
	return nil
}

func (s *system) filters() (all [][]string) {
	for _, m := range s.model.Streams {
		all = append(all, m.Filters)
	}
	for _, p := range s.model.Pipes {
		all = append(all, p.Filters)
	}
	return all
}

// close ends everything and returns when it is gone.
func (s *system) close() {
	s.stop()
	s.conns.reset()
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	if s.sims != nil {
		s.sims.close()
	}
	if s.host != nil {
		s.host.Close()
	}
	if s.clock != nil {
		s.clock.Close()
	}
	if s.db != nil {
		s.db.Close()
	}
	s.wait.Wait()
}

func randomText(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		v, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(err) // the system gives no random bytes
		}
		b[i] = letters[v.Int64()]
	}
	return string(b)
}
