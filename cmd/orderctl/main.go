// Command orderctl is the operator's command line: it finds orders, says how far
// each one is and what to do about it, records what a person decided, and sends
// callouts as Salesforce does.
//
// The rule it keeps: it changes an order only by the same conditional writes
// that the functions use, says before each write where it goes, and never
// speaks to WHMCS or Salesforce itself: what needs them runs inside
// ProvisionFunction. It prints no secret.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, console{
		getenv: os.Getenv,
		now:    time.Now,
		sleep:  sleep,
		in:     os.Stdin,
		out:    os.Stdout,
		err:    os.Stderr,
		// Also true of /dev/null, whose first read is the end: that is no yes.
		terminal: isDevice(os.Stdin),
		connect:  connect,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

func isDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
