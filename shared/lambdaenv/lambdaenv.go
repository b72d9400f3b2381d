// Package lambdaenv is what surrounds every function: the AWS configuration,
// the clock, the log, the metrics, and the one line that says why it cannot
// start.
//
// The rule it keeps: a function sees the machine only through an Env, and every
// call of an AWS service ends within callTimeout whatever the service answers.
// It must not read files or call the network, and decides nothing about an
// order.
package lambdaenv

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"orderbridge/shared/telemetry"
)

// Env is the surroundings of one function.
type Env struct {
	AWS     aws.Config
	Clock   Clock
	Log     *slog.Logger
	Metrics *telemetry.Meter
}

// New returns the Env of the function that getenv describes. Log lines of level
// and above, and metrics, go to out; STACK_NAME says of which installation they
// are ("local" where it is empty). It fails, naming the variable, when the
// region or the credentials are missing.
func New(function string, level slog.Leveler, getenv func(string) string, out io.Writer) (*Env, error) {
	cfg, err := awsConfig(getenv)
	if err != nil {
		return nil, err
	}
	// It stands in the user agent of each call, so that CloudTrail names the
	// function beside the role.
	cfg.AppID = "orderbridge-" + function
	clock := Clock{}
	return &Env{
		AWS:     cfg,
		Clock:   clock,
		Log:     telemetry.NewLogger(out, level, function),
		Metrics: telemetry.NewMeter(out, cmp.Or(getenv("STACK_NAME"), "local"), function, clock.Now),
	}, nil
}

// Wire builds what a function needs from its environment and the writer of its
// log and metrics.
type Wire[H any] func(ctx context.Context, getenv func(string) string, out io.Writer) (H, error)

// CannotStart stands between a function's name and why in the line by which a
// process that cannot start ends.
const CannotStart = " cannot start: "

// Must returns what wire builds from the process's own environment, made ready.
// When wire fails, the process ends with exit code 1 and one line on standard
// error.
func Must[H interface{ Ready(context.Context) }](function string, wire Wire[H]) H {
	h, err := wire(context.Background(), os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s%s%v\n", function, CannotStart, err)
		os.Exit(1)
	}
	h.Ready(context.Background())
	return h
}
