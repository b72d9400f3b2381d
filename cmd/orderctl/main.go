// Command orderctl is the operator's command line: it sends callouts as
// Salesforce does, shows how far an order is and what to do about it, and
// records what a person decided.
//
// The rule it keeps: it changes an order only by the same conditional writes
// that the functions use, and never speaks to WHMCS or Salesforce itself. It
// prints no secret.
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
		getenv:  os.Getenv,
		now:     time.Now,
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		secret:  readSecret,
		table:   openTable,
		letters: openQueue,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
