package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/local/launch"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// The times of the system, scaled down: what takes minutes there takes seconds
// here. The proportions are those of the defaults as far as whole seconds go.
const (
	settle        = 3 * time.Second
	acceptSettle  = 4 * time.Second
	effectTimeout = time.Second
	lease         = 6 * time.Second // longer than a slow table uses up: then the window stops a send
	window        = time.Second
	margin        = order.MaxSkew // the least that is taken
	workers       = 16
)

func scaled() map[string]string {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
	return map[string]string{
		"WHMCS_SETTLE": seconds(settle), "WHMCS_ACCEPT_SETTLE": seconds(acceptSettle),
		"WHMCS_READ_TIMEOUT": "2", "WHMCS_ADD_TIMEOUT": seconds(effectTimeout), "WHMCS_ACCEPT_TIMEOUT": seconds(effectTimeout),
		"PROVISION_LEASE": seconds(lease), "SEND_WINDOW": seconds(window), "CLOCK_MARGIN": seconds(margin),
		"RETRY_BASE": "1", "TICK_EVERY": "1", "PROVISION_CONCURRENCY": strconv.Itoa(workers),
	}
}

// run is one run.
type run struct {
	o     options
	out   io.Writer
	began time.Time

	sys    *launch.System
	client *http.Client
	table  *store.Store
	secret []byte
	sales  []*sale
	seen   tally

	printing sync.Mutex
	mu       sync.Mutex
	wrong    []finding
}

// finding is one thing that must not be. id may be empty.
type finding struct{ id, what string }

// begin starts the system.
func begin(o options, out io.Writer) (*run, error) {
	sys, err := launch.Start(launch.Options{Local: filepath.Join(o.bin, "local"), Bin: o.bin, Template: o.template, Env: scaled()})
	if err != nil {
		if sys != nil {
			err = errors.Join(err, sys.Stop())
		}
		return nil, err
	}
	r := &run{o: o, out: out, began: time.Now(), sys: sys, client: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second}}}
	r.table, err = store.New(dynamodb.NewFromConfig(r.sys.AWSConfig()), sys.Exports["TABLE_NAME"])
	if err != nil {
		return nil, errors.Join(err, sys.Stop())
	}
	return r, nil
}

// end ends the system and keeps its log. Its functions may be stopped still;
// SIGKILL, by which their host ends them, reaches them all the same.
func (r *run) end() error {
	r.client.CloseIdleConnections()
	return errors.Join(r.sys.Stop(), r.writeLog())
}

// random is a source of its own for each part of the run, so that the parts do
// not depend on who asks first.
func (r *run) random(part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, part) // a hash never fails
	return rand.New(rand.NewPCG(r.o.seed, h.Sum64()))
}

func (r *run) say(format string, args ...any) {
	r.printing.Lock()
	defer r.printing.Unlock()
	fmt.Fprintf(r.out, "%6.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// found notes a thing that must not be.
func (r *run) found(id order.ID, format string, args ...any) {
	f := finding{id.String(), fmt.Sprintf(format, args...)}
	r.mu.Lock()
	r.wrong = append(r.wrong, f)
	r.mu.Unlock()
	r.say("WRONG: %s %s", f.id, f.what)
}

// ask asks a control route. The simulators and the switches are no part of what is
// tested: what they refuse is an error of this program.
func (r *run) ask(ctx context.Context, method, url string, body, out any) error {
	return launch.Ask(ctx, r.client, method, url, body, out)
}

// carry is the whole run: orders are made and clicked under faults, come to
// their end without faults, are corrected where they failed, and are judged.
func (r *run) carry(ctx context.Context) error {
	if err := r.seed(ctx); err != nil {
		return err
	}
	r.say("fed at %.1f orders a second; log: %s", r.o.rate, r.o.log)
	fire, cease := context.WithCancel(ctx)
	var burning sync.WaitGroup
	scenario := map[string]func(context.Context) error{storm: r.storm, outage: r.outage, backup: r.backup}[r.o.scenario]
	failed := make(chan error, 1)
	burning.Go(func() { failed <- scenario(fire) })
	err := r.feed(ctx)
	cease()
	burning.Wait()
	if e := <-failed; e != nil && ctx.Err() == nil {
		err = errors.Join(err, e)
	}
	if e := r.quiet(ctx); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if r.o.scenario == backup {
		if err := r.comeBack(ctx); err != nil {
			return err
		}
	}
	r.say("quiet; waiting for every order to come to its end")
	if err := r.rest(ctx); err != nil {
		return err
	}
	if err := r.correct(ctx); err != nil {
		return err
	}
	if err := r.agree(ctx); err != nil {
		return err
	}
	return r.judge(ctx)
}

// alive reports an end of the system that the run did not ask for.
func (r *run) alive() error {
	select {
	case <-r.sys.Exited():
		return errors.New("the system ended by itself; its log is in " + r.o.log)
	default:
		return nil
	}
}

// wait returns after d, or the end of ctx; false: ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between is a random time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// one picks an element.
func one[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }

// orderctl runs the operator's command on this system.
func (r *run) orderctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.o.bin, "orderctl"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, env := range []map[string]string{r.sys.Exports, scaled()} {
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	b, err := cmd.CombinedOutput()
	if err != nil {
		return string(b), fmt.Errorf("orderctl %v: %w: %s", args, err, bytes.TrimSpace(b))
	}
	return string(b), nil
}
