package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orderbridge/local/launch"
	"orderbridge/shared/fault"
)

// Bounds of the waiting. They end a run that would hang.
const (
	lookEvery = 50 * time.Millisecond
	// stepLimit bounds what the system does by itself: an order, a retry, a
	// breaker that asks again.
	stepLimit = 3 * time.Minute
	// slack is what an alarm may take beyond its own periods: the system's times
	// are not those of the alarms.
	slack = 45 * time.Second
	// promptMinutes are for the evaluation and what was under way.
	promptMinutes = 4
	// tail is how many of its periods an alarm may take to end: the newest data
	// point counts as long as it is in the evaluation range.
	tail = 4
)

// system is a running system with the hands of who is on call.
type system struct {
	*stage
	*launch.System
	scene  scene
	hook   *hook
	serial *atomic.Int64 // of the orders
	order  *planted      // of the cause that is tried
}

func (s *system) say(format string, args ...any) {
	s.stage.say("%-11s %s", s.scene.name, fmt.Sprintf(format, args...))
}

func (s *system) end() error {
	if s.hook != nil {
		s.hook.close()
	}
	err := s.Stop()
	return errors.Join(err, writeFile(filepath.Join(s.o.logs, s.scene.name+".log"), s.Logs()))
}

// ask asks a control route.
func (s *system) ask(ctx context.Context, method, url string, body, out any) error {
	return launch.Ask(ctx, http.DefaultClient, method, url, body, out)
}

// until looks again and again until something holds.
func (s *system) until(ctx context.Context, limit time.Duration, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %v: %s", limit, what))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-s.Exited():
			return errors.New("the system ended by itself")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// alarmState is an alarm as the system lists it.
type alarmState struct {
	Name, State, Reason string
	Tells               bool
}

const firing = "ALARM"

func (s *system) states(ctx context.Context) (map[string]alarmState, error) {
	var list []alarmState
	if err := s.ask(ctx, http.MethodGet, s.API+"/_local/alarms", nil, &list); err != nil {
		return nil, err
	}
	all := map[string]alarmState{}
	for _, a := range list {
		all[a.Name] = a
	}
	return all, nil
}

// orderctl runs a command of the runbook; placeholders have their values
// already. It returns the exit code and what was said.
func (s *system) orderctl(ctx context.Context, args ...string) (code int, said string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.o.bin, "orderctl"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range s.Exports {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, "", fmt.Errorf("run orderctl: %w", err)
	}
	return cmd.ProcessState.ExitCode(), string(b), nil
}

// Exit codes of orderctl (docs/orderctl.md).
const (
	exitDone       = 0
	exitUsage      = 2
	exitUnfinished = 3
)

// words puts values in the place of a command's placeholders and splits it.
func words(command string, values map[string]string) (args []string) {
	for _, w := range strings.Fields(command)[1:] {
		if v, ok := values[w]; ok {
			w = v
		}
		args = append(args, w)
	}
	return args
}

// follow runs a command as the runbook has it. A look may end with any code but
// that of a command that was not understood; a correction must be done.
func (s *system) follow(ctx context.Context, command string, values map[string]string, look bool) error {
	args := words(command, values)
	code, said, err := s.orderctl(ctx, args...)
	if err != nil {
		return err
	}
	if code == exitUsage || !look && code != exitDone && code != exitUnfinished {
		return fmt.Errorf("%s: exit code %d: %s", strings.Join(args, " "), code, said)
	}
	return nil
}

// cause makes alarms fire.
type cause struct {
	what   string     // in words
	alarms []string   // that it makes fire, each
	code   fault.Code // that it is planted for; "" = none
	// begin plants the cause; keep, if not nil, goes on with it until its end.
	begin, keep func(context.Context, *system) error
	// end takes the cause away, as far as it is not done by commands.
	end func(context.Context, *system) error
	// commands are the beginnings of the commands of the runbook that correct
	// it: of the alarms' sections, or of the code's at a recovery point.
	commands []string
	point    string
	// prompt: the cause needs nothing of the system, and the alarm no time but its
	// own.
	prompt bool
	// moment: the cause is over at once, and the alarm need not stay.
	moment bool
	// after, if not nil, goes on while the alarms are to end.
	after func(context.Context, *system) error
}

// planted is the order of a cause.
type planted struct {
	id, whmcs string
	code      fault.Code // that it failed with, if that is not the cause's own
}

func (c cause) name() string {
	if c.code != "" {
		return string(c.code)
	}
	return strings.Join(c.alarms, ", ")
}

// try plants a cause and follows it to its end.
func (s *system) try(ctx context.Context, c cause) error {
	s.order = &planted{}
	if err := s.quiet(ctx, c.alarms, stepLimit); err != nil {
		return err
	}
	if err := do(ctx, s, c.begin); err != nil {
		return fmt.Errorf("plant the cause: %w", err)
	}
	cease := s.goOn(ctx, c.keep)
	defer cease() //nolint:errcheck // an error before it is the one that is told
	began := time.Now()
	own := slack
	if c.prompt {
		own = promptMinutes * s.scene.minute
	}
	if err := s.until(ctx, s.bound(c.alarms, 1)+own, strings.Join(c.alarms, " and ")+" fire", func() (bool, error) { return s.fire(ctx, c) }); err != nil {
		return errors.Join(s.explain(ctx, c, err), cease())
	}
	fired := time.Since(began)
	if err := s.looks(ctx, c); err != nil {
		return err
	}
	if err := s.stays(ctx, c); err != nil {
		return s.explain(ctx, c, err)
	}
	if err := cease(); err != nil {
		return fmt.Errorf("go on with the cause: %w", err)
	}
	if err := do(ctx, s, c.end); err != nil {
		return fmt.Errorf("take the cause away: %w", err)
	}
	if err := s.corrects(ctx, c); err != nil {
		return err
	}
	gone := time.Now()
	err := s.until(ctx, s.bound(c.alarms, tail)+slack, strings.Join(c.alarms, " and ")+" end", func() (bool, error) {
		if err := do(ctx, s, c.after); err != nil {
			return false, err
		}
		return s.silent(ctx, c.alarms)
	})
	if err != nil {
		return err
	}
	minutes := func(d time.Duration) float64 { return float64(d) / float64(s.scene.minute) }
	s.say("%s: %s; fired after %.1f min, ended after %.1f min", c.name(), c.what, minutes(fired), minutes(time.Since(gone)))
	return nil
}

// explain adds to an error how the alarms of a cause stand.
func (s *system) explain(ctx context.Context, c cause, err error) error {
	all, e := s.states(context.WithoutCancel(ctx))
	if e != nil {
		return errors.Join(err, e)
	}
	for _, name := range c.alarms {
		err = fmt.Errorf("%w\n%s is %s: %s", err, name, all[name].State, all[name].Reason)
	}
	return err
}

func do(ctx context.Context, s *system, what func(context.Context, *system) error) error {
	if what == nil {
		return nil
	}
	return what(ctx, s)
}

// bound is how long some periods of the slowest of some alarms take here.
func (s *system) bound(names []string, periods int) time.Duration {
	most := time.Duration(0)
	for _, name := range names {
		most = max(most, s.stage.alarms[name])
	}
	return time.Duration(float64(most) * float64(periods) * s.scene.minute.Minutes())
}

func (s *system) quiet(ctx context.Context, names []string, limit time.Duration) error {
	return s.until(ctx, s.bound(names, tail)+limit, strings.Join(names, " and ")+" are silent before", func() (bool, error) { return s.silent(ctx, names) })
}

// silent reports whether none of the alarms fires.
func (s *system) silent(ctx context.Context, names []string) (bool, error) {
	all, err := s.states(ctx)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return all[name].State == firing }), err
}

// goOn does something again and again until cease, which returns its error. What
// it does has an order of its own.
func (s *system) goOn(ctx context.Context, what action) (cease func() error) {
	if what == nil {
		return func() error { return nil }
	}
	inner, stop := context.WithCancel(ctx)
	own, order := *s, *s.order
	own.order = &order
	done := make(chan error, 1)
	go func() {
		pause := time.NewTicker(s.scene.minute / 2)
		defer pause.Stop()
		for inner.Err() == nil {
			// It is finished once begun: half a cause would be another one.
			if err := what(context.WithoutCancel(inner), &own); err != nil {
				done <- err
				return
			}
			select {
			case <-pause.C:
			case <-inner.Done():
			}
		}
		done <- nil
	}()
	return sync.OnceValue(func() error {
		stop()
		return <-done
	})
}

// fire reports whether all alarms of a cause fire.
func (s *system) fire(ctx context.Context, c cause) (bool, error) {
	all, err := s.states(ctx)
	return err == nil && !slices.ContainsFunc(c.alarms, func(name string) bool { return all[name].State != firing }), err
}

// stayMinutes is for how long an alarm is seen to stay with its cause.
const stayMinutes = 6

func (s *system) stays(ctx context.Context, c cause) error {
	if c.moment {
		return nil
	}
	until := time.Now().Add(stayMinutes * s.scene.minute)
	return s.until(ctx, stepLimit, "looked for long enough", func() (bool, error) {
		ok, err := s.fire(ctx, c)
		if err == nil && !ok {
			err = fmt.Errorf("%s did not stay with the cause", c.name())
		}
		return time.Now().After(until), err
	})
}

// looks does what the runbook says first, and sees that status speaks of the
// alarms.
func (s *system) looks(ctx context.Context, c cause) error {
	code, said, err := s.orderctl(ctx, "status")
	if err != nil {
		return err
	}
	all, err := s.states(ctx)
	if err != nil {
		return err
	}
	if c.code.Kind() == fault.Config && !strings.Contains(said, string(c.code)) {
		return fmt.Errorf("orderctl status does not name %s:\n%s", c.code, said)
	}
	for _, name := range c.alarms {
		if all[name].State == firing && all[name].Tells && (code != exitUnfinished || !strings.Contains(said, "alarm "+name+": ")) {
			return fmt.Errorf("orderctl status does not name the alarm %s: exit code %d\n%s", name, code, said)
		}
		for _, command := range s.book[name].first {
			if err := s.follow(ctx, command, s.values(c), true); err != nil {
				return fmt.Errorf("%s, first: %w", name, err)
			}
		}
	}
	return nil
}

func (s *system) values(c cause) map[string]string {
	return map[string]string{"ID": s.order.id, "YOU": "drill", "TEXT": "drill", "CODE": string(cmp.Or(c.code, s.order.code)), "N": s.order.whmcs}
}

// corrects runs the commands of the runbook by which the cause is corrected.
func (s *system) corrects(ctx context.Context, c cause) error {
	for _, beginning := range c.commands {
		command, err := commandFor(s.book, c, beginning)
		if err != nil {
			return err
		}
		if err := s.follow(ctx, command, s.values(c), false); err != nil {
			return err
		}
	}
	return nil
}

// commandFor finds a command in the runbook by its beginning: in what ends the
// alarms of a cause, or in the guide of its code at a recovery point.
func commandFor(book runbook, c cause, beginning string) (string, error) {
	var from []string
	if c.point != "" {
		from = book[string(c.code)].at[c.point]
	} else {
		for _, name := range c.alarms {
			from = append(from, book[name].ends...)
		}
	}
	i := slices.IndexFunc(from, func(command string) bool { return strings.HasPrefix(command, beginning) })
	if i < 0 {
		return "", fmt.Errorf("the runbook has no command %s… for it, but: %s", beginning, strings.Join(from, "; "))
	}
	return from[i], nil
}
