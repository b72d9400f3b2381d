// Command demo starts the whole system with short times and shows, in under a
// minute, what it is for: an order, a double click, a lost answer, a killed
// worker, Salesforce locked, a module that says no. After each it counts the
// WHMCS orders and says what WHMCS, Salesforce and the customer's portal show.
//
// The rule it keeps: what it says it has read from the running system, and it
// fails when that is not what was promised. It must not wait for a time, only
// for something to hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"orderbridge/local/launch"
)

func main() {
	template := flag.String("template", "template.yaml", "the SAM template to run")
	bin := flag.String("bin", "build/bin", "folder of the binaries")
	keep := flag.Bool("keep", false, "keep the system running afterwards, until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *template, *bin, *keep, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run shows the cases on a system of its own, and ends it.
func run(ctx context.Context, template, bin string, keep bool, out io.Writer) (err error) {
	began := time.Now()
	env := map[string]string{"DEMO": "1"}
	for _, name := range []string{"API_PORT", "WHMCS_PORT", "SF_PORT", "AWS_PORT"} {
		if v := os.Getenv(name); v != "" {
			env[name] = v
		}
	}
	s, err := launch.Start(launch.Options{Local: filepath.Join(bin, "local"), Bin: bin, Template: template, Env: env})
	if s != nil {
		defer func() { err = errors.Join(err, s.Stop()) }()
	}
	if err != nil {
		return fmt.Errorf("start the system: %w", err)
	}
	d := &demo{base: s.API, out: out}
	d.say("The whole system runs on this machine, with simulators of WHMCS and Salesforce.\nOpen %s beside this: it shows the same, live. Waits are seconds here and minutes in production.", s.API)
	for i, c := range cases() {
		d.say("\n%d. %s", i+1, c.title)
		if err := d.show(ctx, c); err != nil {
			return fmt.Errorf("case %d, %s: %w", i+1, c.title, err)
		}
	}
	var books struct{ WHMCS []any }
	if err := d.call(ctx, "GET", "/_local/orders", nil, &books); err != nil {
		return err
	}
	if len(books.WHMCS) != len(cases()) {
		return fmt.Errorf("%d orders were asked for, and WHMCS has %d", len(cases()), len(books.WHMCS))
	}
	d.say("\n%d orders were asked for, and WHMCS has %d: none twice, none lost (%.0f s).", len(cases()), len(books.WHMCS), time.Since(began).Seconds())
	if !keep {
		return nil
	}
	d.say("The page at %s stays until Ctrl-C.", s.API)
	select {
	case <-ctx.Done():
	case <-s.Exited():
	}
	return nil
}
