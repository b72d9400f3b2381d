// Command local runs the whole system on one machine, on loopback: both HTTP
// APIs, the four functions as processes, DynamoDB, queues, secrets, mappings,
// the pipe and the clock as the template describes them, and simulators of
// WHMCS and Salesforce.
//
// The rule it keeps: it ends with everything that it started, however it ends.
// It must never reach real AWS, and nothing in a deployed function may know of
// it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	templateFile := flag.String("template", "template.yaml", "the SAM template to run")
	bin := flag.String("bin", "build/bin", "folder of the bootstraps, <bin>/<function>/bootstrap")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: local [flags]\n\nRuns the whole system on this machine. Environment: API_PORT, WHMCS_PORT,\nSF_PORT, AWS_PORT, LISTEN_HOST, TICK_EVERY, ALARM_MINUTE, DYNAMODB_ENDPOINT, SCREEN, DEMO, and\nevery variable that the template declares for a function (local/README.md).\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *templateFile, *bin, os.LookupEnv, os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

// run starts the system and returns when ctx has ended and everything is gone.
func run(ctx context.Context, templateFile, bin string, lookup func(string) (string, bool), environ []string, out io.Writer) error {
	began := time.Now()
	set, err := readSettings(lookup)
	if err != nil {
		return err
	}
	source, err := os.ReadFile(templateFile)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	s, err := start(ctx, set, source, bin, out)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it was ready
		}
		return err
	}
	defer s.close()
	s.screen(time.Since(began))
	for _, line := range s.misspelt(environ) {
		s.logf("warning: %s", line)
	}
	select {
	case <-ctx.Done():
		s.logf("stopping: %v", context.Cause(ctx))
		return nil
	case err := <-s.broken:
		return err
	}
}
