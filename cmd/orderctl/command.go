package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the command was understood and did not succeed
	exitUsage  = 2 // the command was not understood
)

// console is what a command may know of the world around it.
type console struct {
	getenv   func(string) string
	now      func() time.Time
	in       io.Reader
	out, err io.Writer

	// What the commands reach in AWS.
	secret  func(ctx context.Context, id string) (string, error)
	table   func(ctx context.Context, name string) (ledger, error)
	letters func(ctx context.Context) (queue, error)
}

// command is one verb.
type command struct {
	name     string
	synopsis string // what follows the name
	summary  string
	examples []string
	needs    string // environment variables it reads beside those of AWS, for the help
	// setup declares the flags and returns what runs after they were parsed.
	setup func(*flag.FlagSet) action
}

// action runs a command on its positional arguments.
type action func(ctx context.Context, c console, args []string) error

func commands() []command {
	return []command{calloutCommand(), showCommand(), resolveCommand(), pauseCommand(), resumeCommand(), pushCommand(), redriveCommand(), reconcileCommand()}
}

// usageError is a command line that was not understood.
type usageError struct{ problem string }

func (e usageError) Error() string { return e.problem }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, c console, args []string) int {
	all := commands()
	if len(args) == 0 {
		overview(c.err, all)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "-h", "--help", "help":
		if len(rest) == 0 || name != "help" {
			overview(c.out, all)
			return exitDone
		}
		name, rest = rest[0], []string{"--help"}
	}
	i := slices.IndexFunc(all, func(cmd command) bool { return cmd.name == name })
	if i < 0 {
		return report(c, usagef("there is no command %q; orderctl --help lists them", name))
	}
	return execute(ctx, c, all[i], rest)
}

func execute(ctx context.Context, c console, cmd command, args []string) int {
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	do := cmd.setup(flags)
	positional, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		help(c.out, cmd, flags)
		return exitDone
	case err != nil:
		return report(c, usagef("%s: %v; orderctl %s --help", cmd.name, err, cmd.name))
	}
	return report(c, do(ctx, c, positional))
}

// parse takes flags before and after positional arguments, which package flag
// alone does not. After "--" everything is positional.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if consumed := len(args) - len(rest); consumed > 0 && args[consumed-1] == "--" {
			return append(positional, rest...), nil
		}
		if len(rest) == 0 {
			return positional, nil
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
}

// report prints an error in one line with its stable code.
func report(c console, err error) int {
	if err == nil {
		return exitDone
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(c.err, "orderctl: %s\n", oneLine(usage.problem))
		return exitUsage
	}
	var known *fault.Error
	if errors.As(err, &known) {
		text := fault.TextOf(err)
		if known.Err != nil {
			// The operator is the one reader who needs the cause.
			text += " (" + known.Err.Error() + ")"
		}
		fmt.Fprintf(c.err, "orderctl: %s: %s\n", known.Code, oneLine(text))
		return exitFailed
	}
	fmt.Fprintf(c.err, "orderctl: %s\n", oneLine(err.Error()))
	return exitFailed
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func overview(w io.Writer, all []command) {
	fmt.Fprint(w, "orderctl shows the orders of one installation and corrects them.\n\n")
	for _, cmd := range all {
		fmt.Fprintf(w, "  orderctl %-9s %s\n", cmd.name, cmd.summary)
	}
	fmt.Fprint(w, "\norderctl COMMAND --help says more. What it needs comes from the environment:\nthe outputs of the stack, or the lines that make run prints.\n")
}

func help(w io.Writer, cmd command, flags *flag.FlagSet) {
	fmt.Fprintf(w, "usage: orderctl %s %s\n\n%s.\n", cmd.name, cmd.synopsis, cmd.summary)
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\n")
			first = false
		}
		name, text := flag.UnquoteUsage(f)
		if name == "value" {
			name = ""
		}
		fmt.Fprintf(w, "  %-24s %s\n", strings.TrimSpace("--"+f.Name+" "+name), text)
	})
	fmt.Fprintf(w, "\nenvironment: %s, AWS_REGION and credentials\n\nexamples:\n", cmd.needs)
	for _, e := range cmd.examples {
		fmt.Fprintf(w, "  orderctl %s\n", e)
	}
	fmt.Fprint(w, "\nexit code: 0 done, 1 failed, 2 not understood\n")
}

// oneOrder takes the one positional argument that is an order id.
func oneOrder(args []string) (order.ID, error) {
	if len(args) != 1 {
		return order.ID{}, usagef("exactly one order id is needed, not %d", len(args))
	}
	id, err := order.ParseID(args[0])
	if err != nil {
		return order.ID{}, usagef("order_id_invalid: %q is not a Salesforce Order id (801…, 15 or 18 characters)", args[0])
	}
	return id, nil
}

// setting reads a variable that the command cannot do without.
func (c console) setting(name, what string) (string, error) {
	v := c.getenv(name)
	if v == "" {
		return "", usagef("%s is missing from the environment: %s", name, what)
	}
	return v, nil
}

// Usage texts of flags that several commands share.
const (
	usageBy  = "`WHO` decides; kept in the history"
	usageWhy = "`TEXT` that says why; kept in the history"
)

// accountable refuses a decision without a name and a reason.
func accountable(by, why string) error {
	if strings.TrimSpace(by) == "" || strings.TrimSpace(why) == "" {
		return usagef("--by WHO and --why TEXT are needed: the history keeps who decided what")
	}
	return nil
}

// onTable returns an action that works on the table: check looks at the
// positional arguments and the flags before the table is opened.
func onTable(check func(args []string) error, do func(ctx context.Context, c console, table ledger) error) action {
	return func(ctx context.Context, c console, args []string) error {
		if err := check(args); err != nil {
			return err
		}
		table, err := c.ledger(ctx)
		if err != nil {
			return err
		}
		return do(ctx, c, table)
	}
}

// onOrder is onTable for the one order that the argument names; check looks at
// the flags, nil = any will do.
func onOrder(check func() error, do func(ctx context.Context, c console, table ledger, id order.ID) error) action {
	var id order.ID
	return onTable(func(args []string) (err error) {
		if id, err = oneOrder(args); err != nil || check == nil {
			return err
		}
		return check()
	}, func(ctx context.Context, c console, table ledger) error { return do(ctx, c, table, id) })
}

// ledger opens the table that the environment names.
func (c console) ledger(ctx context.Context) (ledger, error) {
	name, err := c.setting("TABLE_NAME", "the orders table")
	if err != nil {
		return nil, err
	}
	return c.table(ctx, name)
}
