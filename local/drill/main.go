// Command drill tries every alarm of the template: on running systems it plants
// one cause for each alarm and for each code that a person must resolve, waits
// until the alarm fires, sees that it stays while the cause stays, corrects the
// cause, runs the commands of docs/runbook.md as they are written there, and
// waits until the alarm has ended. Then it carries many orders through a system
// on which nothing is wrong: no alarm may fire.
//
// The rule it keeps: alarms and commands are read from template.yaml and
// docs/runbook.md, never repeated here; an alarm without a cause is an error,
// unless docs/deployment.md says that it was never run. It must not leave a
// process behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"orderbridge/local/launch"
	"orderbridge/local/samtemplate"
)

// options of a run.
type options struct {
	bin, template, docs, logs string
	orders                    int
	only                      *regexp.Regexp
	parallel                  int
	timeout                   time.Duration
}

func main() {
	var o options
	only := flag.String("only", "", "only the causes whose `scene/name` fits, such as objectives/OrdersInTime")
	flag.StringVar(&o.bin, "bin", "build/bin", "folder of the built system")
	flag.StringVar(&o.template, "template", "template.yaml", "the SAM template to run")
	flag.StringVar(&o.docs, "docs", "docs", "folder of runbook.md and deployment.md")
	flag.StringVar(&o.logs, "logs", "build/drill", "where the systems' logs go")
	flag.IntVar(&o.orders, "orders", 10000, "calm orders; 0 = none")
	flag.IntVar(&o.parallel, "parallel", 3, "systems at a time")
	flag.DurationVar(&o.timeout, "timeout", 40*time.Minute, "give up after this long")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || o.orders < 0 || o.parallel < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "drill:", err)
		os.Exit(1)
	}
}

// run plays all scenes, then the calm.
func run(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done after %v", o.timeout))
	defer cancel()
	s := &stage{o: o, out: out, began: time.Now()}
	var err error
	if s.book, err = readRunbook(filepath.Join(o.docs, "runbook.md")); err != nil {
		return err
	}
	if s.alarms, err = alarmsOf(o.template); err != nil {
		return err
	}
	all := scenes()
	never, err := neverRun(filepath.Join(o.docs, "deployment.md"))
	if err != nil {
		return err
	}
	if err := complete(s.alarms, all, never); err != nil {
		return err
	}
	for _, n := range never {
		s.say("%s", "never run: "+n)
	}
	var failed []error
	var mu sync.Mutex
	var wait sync.WaitGroup
	room := make(chan struct{}, o.parallel)
	for _, sc := range all {
		sc.causes = slices.DeleteFunc(sc.causes, func(c cause) bool { return !o.only.MatchString(sc.name + "/" + c.name()) })
		if len(sc.causes) == 0 {
			continue
		}
		wait.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if err := s.play(ctx, sc); err != nil {
				s.say("FAILED: %s: %v", sc.name, err)
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Errorf("scene %s: %w", sc.name, err))
			}
		})
	}
	wait.Wait()
	if o.orders > 0 && o.only.MatchString(calmScene) && len(failed) == 0 {
		if err := s.calm(ctx); err != nil {
			failed = append(failed, fmt.Errorf("calm: %w", err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	s.say("done: each of %d causes made its alarms fire, they stayed with it and ended after it", s.tried.Load())
	return nil
}

// stage is one run.
type stage struct {
	o     options
	out   io.Writer
	began time.Time
	book  runbook
	// alarms are those of the template, by logical id, and how long each looks
	// back.
	alarms map[string]time.Duration
	tried  atomic.Int64 // causes that were followed to their end
	mu     sync.Mutex
}

func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// scene is a system on which causes are planted one after the other.
type scene struct {
	name   string
	minute time.Duration     // of the alarms
	env    map[string]string // beside short times
	// template changes the template for this scene; nil = as it is.
	template func(string) string
	hook     bool // it has a webhook for security alarms
	causes   []cause
}

// play starts the system of a scene, plants its causes and ends it.
func (s *stage) play(ctx context.Context, sc scene) (err error) {
	sys, err := s.start(ctx, sc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.end()) }()
	for _, c := range sc.causes {
		if err := sys.try(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		s.tried.Add(1)
	}
	return nil
}

func (s *stage) start(ctx context.Context, sc scene) (*system, error) {
	env := map[string]string{"DEMO": "1"}
	for k, v := range sc.env {
		env[k] = v
	}
	seconds := fmt.Sprint(sc.minute.Seconds())
	env["ALARM_MINUTE"], env["TICK_EVERY"] = seconds, seconds
	sys := &system{stage: s, scene: sc, serial: new(atomic.Int64)}
	template := s.o.template
	if sc.template != nil {
		source, err := os.ReadFile(template)
		if err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
		template = filepath.Join(s.o.logs, sc.name+".yaml")
		if err := writeFile(template, sc.template(string(source))); err != nil {
			return nil, err
		}
	}
	if sc.hook {
		var err error
		if sys.hook, err = listen(ctx); err != nil {
			return nil, err
		}
		env["SECURITY_ALERT_WEBHOOK"] = sys.hook.url
	}
	var err error
	sys.System, err = launch.Start(launch.Options{Local: filepath.Join(s.o.bin, "local"), Bin: s.o.bin, Template: template, Env: env})
	if err != nil {
		if sys.System != nil {
			err = errors.Join(err, sys.end())
		}
		return nil, err
	}
	return sys, nil
}

func writeFile(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// alarmsOf reads the alarms of the template, each with the time in which it must
// fire: its periods, and what it measures as an age.
func alarmsOf(template string) (map[string]time.Duration, error) {
	source, err := os.ReadFile(template)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	m, err := samtemplate.Read(source, samtemplate.Options{
		Region: "us-east-1", Account: "000000000000", Stack: "drill",
		Parameters: map[string]string{"SecurityAlertWebhook": "https://alerts.example"},
		QueueURL:   func(name string) string { return "https://queues.example/" + name },
	})
	if err != nil {
		return nil, err
	}
	all := map[string]time.Duration{}
	for _, a := range m.Alarms {
		period, age := time.Duration(0), time.Duration(0)
		for _, q := range a.Queries {
			period = max(period, q.Period)
			if strings.HasSuffix(q.Metric.Name, "Seconds") || q.Metric.Name == "ApproximateAgeOfOldestMessage" {
				age = time.Duration(a.Threshold) * time.Second
			}
		}
		all[a.ID] = time.Duration(a.EvaluationPeriods)*period + age
		for _, part := range m.Alarms { // of a composite alarm
			if strings.Contains(a.Rule, `"`+part.Name+`"`) {
				all[a.ID] = max(all[a.ID], all[part.ID])
			}
		}
	}
	return all, nil
}

// complete fails for an alarm of the template that has neither a cause nor a
// line that says why it was never run, and for a cause without an alarm.
func complete(alarms map[string]time.Duration, all []scene, never []string) error {
	tried := map[string]bool{}
	var wrong []error
	for _, sc := range all {
		for _, c := range sc.causes {
			for _, a := range c.alarms {
				tried[a] = true
				if _, there := alarms[a]; !there {
					wrong = append(wrong, fmt.Errorf("the template has no alarm %s", a))
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		listed := slices.ContainsFunc(never, func(n string) bool { return strings.HasPrefix(n, "`"+name+"`") })
		switch {
		case tried[name] && listed:
			wrong = append(wrong, fmt.Errorf("alarm %s is tried, and deployment.md says that it never was", name))
		case !tried[name] && !listed:
			wrong = append(wrong, fmt.Errorf("alarm %s has no cause here, and deployment.md does not say that it was never run", name))
		}
	}
	return errors.Join(wrong...)
}
