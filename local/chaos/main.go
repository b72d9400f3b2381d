// Command chaos starts the built system, carries orders through it while it
// kills and freezes the functions' processes and breaks what is around them,
// waits until every order has ended, and judges what became of the orders.
//
// The rule it keeps: it judges by the books of the two simulators and by the
// table, never by what a function says of itself; a run that finds a fault
// names its seed and exits 1. It must not leave a process behind, and touches
// none that it did not start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// options of a run.
type options struct {
	scenario string
	orders   int
	seed     uint64
	rate     float64 // callouts a second
	outage   time.Duration
	late     bool
	blind    bool
	timeout  time.Duration
	bin      string
	template string
	log      string
}

// The scenarios.
const (
	storm  = "storm"      // everything breaks, at random
	outage = "salesforce" // Salesforce is away for a while
	backup = "restore"    // the table is set back to a backup
)

func main() {
	var o options
	flag.StringVar(&o.scenario, "scenario", storm, "`storm`: everything breaks; salesforce: Salesforce is away in the middle; restore: the table is set back to a backup")
	flag.IntVar(&o.orders, "orders", 0, "how many orders (1000; 500 for salesforce, 200 for restore)")
	flag.Uint64Var(&o.seed, "seed", 0, "what the orders and the schedule of faults are derived from (random)")
	flag.Float64Var(&o.rate, "rate", 0, "orders a second (8; for salesforce so that the outage lies in the middle)")
	flag.DurationVar(&o.outage, "outage", time.Minute, "how long Salesforce is away, in the scenario salesforce")
	flag.BoolVar(&o.late, "late", false, "have WHMCS make orders later than the settle time: assumption A3 is broken, so the run must find doubled orders")
	flag.BoolVar(&o.blind, "blind", false, "in the scenario restore, do not search WHMCS first: the run must find doubled orders")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "give up after this long")
	flag.StringVar(&o.bin, "bin", "build/bin", "folder of the built system")
	flag.StringVar(&o.template, "template", "template.yaml", "the SAM template to run")
	flag.StringVar(&o.log, "log", "build/chaos.log", "where the system's log goes")
	flag.Parse()
	if flag.NArg() > 0 || o.orders < 0 || o.rate < 0 || o.outage <= 0 || o.timeout <= 0 || !slices.Contains([]string{storm, outage, backup}, o.scenario) {
		flag.Usage()
		os.Exit(2)
	}
	o.complete()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := carry(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// complete sets what was left open.
func (o *options) complete() {
	if o.orders == 0 {
		o.orders = map[string]int{storm: 1000, outage: 500, backup: 200}[o.scenario]
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()>>32 + 1 // short enough to be typed again
	}
	if o.rate == 0 {
		o.rate = 8
		if o.scenario == outage {
			// The outage and, before and after it, a fifth of it.
			o.rate = float64(o.orders) / (1.4 * o.outage.Seconds())
		}
	}
}

// errFound: the run came to its end, and what it found is printed.
var errFound = errors.New("the run found faults")

// carry makes one run from start to end.
func carry(ctx context.Context, o options, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done after %v", o.timeout))
	defer cancel()
	fmt.Fprintf(out, "chaos: scenario %s, %d orders, seed %d\n", o.scenario, o.orders, o.seed)
	r, err := begin(o, out)
	if err != nil {
		return err
	}
	defer func() {
		if e := r.end(); e != nil {
			err = errors.Join(err, e)
		}
	}()
	stopped := context.AfterFunc(ctx, func() { r.say("stopping: %v", context.Cause(ctx)) })
	defer stopped()
	if err := r.carry(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("%w (seed %d)", err, o.seed)
	}
	return nil
}

// writeLog keeps the log of the system, for a person who investigates a run.
func (r *run) writeLog() error {
	if r.o.log == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.o.log), 0o755); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	if err := os.WriteFile(r.o.log, []byte(r.sys.Logs()), 0o644); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}
