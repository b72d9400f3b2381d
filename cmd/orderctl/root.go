package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
)

// Exit codes.
const (
	exitDone       = 0
	exitFailed     = 1 // the command was understood and did not succeed
	exitUsage      = 2 // the command was not understood
	exitUnfinished = 3 // it succeeded, and what it shows is not finished
)

const exitCodes = "0 done, 1 failed, 2 not understood, 3 not finished"

// console is what a command may know of the world around it.
type console struct {
	getenv   func(string) string
	now      func() time.Time
	sleep    func(ctx context.Context, d time.Duration) error
	in       io.Reader
	out, err io.Writer
	terminal bool // in is a person
	// connect reaches AWS; an empty profile or region is that of the environment.
	connect func(ctx context.Context, profile, region, verb string) (*cloud, error)
}

// app is one command line on its way.
type app struct {
	console
	output, stack, profile, region string
	json, yes, dryRun, showVersion bool

	understood bool              // the command line; a later error is not about it
	name       string            // of the verb that is carried out
	aws        *cloud            // nil until it is needed
	outputs    map[string]string // of the stack, by variable; nil until they are needed
}

// usageError is a command line that was not understood.
type usageError struct{ problem string }

func (e usageError) Error() string { return e.problem }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// unfinished is the end of a command that did what it was told, about something
// that is not at its end.
type unfinished struct{ what string }

func (e unfinished) Error() string { return e.what }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, c console, args []string) int {
	c.out, c.err = plain{c.out}, plain{c.err}
	a := &app{console: c}
	root := a.root() //nolint:contextcheck // a command has its context when it runs
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.understood && !errors.As(err, new(usageError)) {
		err = usageError{strings.TrimPrefix(err.Error(), "orderctl: ")}
	}
	return a.report(err)
}

// The groups of the help, in its order.
const (
	groupFind    = "find"
	groupMend    = "mend"
	groupExplain = "explain"
	groupTool    = "tool"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "orderctl",
		Short: "find, understand and correct the orders of one installation",
		Long: "orderctl finds orders, says what to do about each, and records what a person decided.\n\n" +
			"What it needs comes from the environment (the lines that make run prints), or from\nthe outputs of a stack with --stack NAME; the environment wins.",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.showVersion {
				fmt.Fprintf(a.out, "orderctl %s\n", version())
				return nil
			}
			help(a.err, cmd)
			return usageError{}
		},
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(cmd.OutOrStdout(), cmd) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { help(cmd.OutOrStderr(), cmd); return nil })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %v; orderctl %s --help", cmd.Name(), err, cmd.Name())
	})
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	flags := root.PersistentFlags()
	flags.StringVarP(&a.output, "output", "o", "table", "`FORM` of what is printed: table or json")
	flags.BoolVar(&a.json, "json", false, "short for --output json")
	flags.StringVar(&a.stack, "stack", "", "`NAME` of the CloudFormation stack whose outputs are read")
	flags.StringVar(&a.profile, "profile", "", "`NAME` of the AWS profile")
	flags.StringVar(&a.region, "region", "", "AWS `REGION`")
	root.Flags().BoolVar(&a.showVersion, "version", false, "print the version, its commit and its date")
	root.AddGroup(
		&cobra.Group{ID: groupFind, Title: "Find"}, &cobra.Group{ID: groupMend, Title: "Correct"},
		&cobra.Group{ID: groupExplain, Title: "Explain"}, &cobra.Group{ID: groupTool, Title: "This tool"},
	)
	root.SetHelpCommandGroupID(groupTool)
	root.SetCompletionCommandGroupID(groupTool)
	root.AddCommand(a.commands()...)
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.listCommand(), a.statusCommand(), a.showCommand(), a.timelineCommand(),
		a.calloutCommand(), a.retryCommand(), a.resolveCommand(), a.pauseCommand(), a.resumeCommand(), a.pushCommand(), a.redriveCommand(), a.reconcileCommand(),
		a.probeCommand(), a.lookBeforeCommand(), a.restoreCheckCommand(), a.rotateSecretCommand(),
		a.checkCommand(), a.doctorCommand(), a.auditCommand(),
		a.envCommand(), a.versionCommand(), a.manCommand(),
	}
}

// help writes the help of a command. Cobra's own comes from a text/template,
// whose calls by name keep every method of the AWS SDK in the binary.
func help(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "%s\n\nusage: %s\n", cmp.Or(cmd.Long, cmd.Short), cmp.Or(cmd.Annotations[usageLine], cmd.UseLine()))
	for _, g := range cmd.Groups() {
		fmt.Fprintf(w, "\n%s\n", g.Title)
		for _, c := range cmd.Commands() {
			if c.GroupID == g.ID {
				fmt.Fprintf(w, "  orderctl %-13s %s\n", c.Name(), c.Short)
			}
		}
	}
	if own := cmd.LocalNonPersistentFlags(); own.HasAvailableFlags() {
		fmt.Fprintf(w, "\nflags:\n%s", own.FlagUsages())
	}
	shared := cmd.Root().PersistentFlags()
	fmt.Fprintf(w, "\nflags of every command:\n%s", shared.FlagUsages())
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nexamples:\n%s\n", cmd.Example)
	}
}

// usageLine is the annotation that holds the usage of a command in full.
const usageLine = "usage"

// spec is one verb.
type spec struct {
	group, use, short, long string
	needs                   string // variables it reads beside those of AWS
	examples                []string
	writes                  bool // it changes something: --dry-run and --yes
	flags                   func(*pflag.FlagSet)
	// check looks at the arguments and flags before anything is reached; nil: none are taken.
	check func(args []string) error
	do    func(ctx context.Context, args []string) error
}

// verb makes the command of a spec.
func (a *app) verb(s spec) *cobra.Command {
	name, _, _ := strings.Cut(s.use, " ")
	long := strings.ToUpper(s.short[:1]) + s.short[1:] + ".\n"
	if s.long != "" {
		long += "\n" + s.long + "\n"
	}
	if s.needs != "" {
		long += "\nenvironment: " + s.needs + ", AWS_REGION and credentials, or --stack NAME"
	}
	long += "\nexit code: " + exitCodes
	cmd := &cobra.Command{
		Use: s.use, Short: s.short, Long: long, GroupID: s.group, Annotations: map[string]string{usageLine: "orderctl " + s.use},
		Example:               "  orderctl " + strings.Join(s.examples, "\n  orderctl "),
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case s.check != nil:
				return s.check(args)
			case len(args) > 0:
				return usagef("%s takes no argument", name)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.json {
				a.output = "json"
			}
			if a.output != "table" && a.output != "json" {
				return usagef("--output is table or json, not %q", a.output)
			}
			a.understood, a.name = true, name
			return s.do(cmd.Context(), args)
		},
	}
	cmd.Flags().SortFlags = false
	if s.flags != nil {
		s.flags(cmd.Flags())
	}
	if s.writes {
		cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "say what would be changed and change nothing")
		cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask; for scripts")
	}
	return cmd
}

// report prints an error in one line with its stable code.
func (a *app) report(err error) int {
	var usage usageError
	var open unfinished
	var known *fault.Error
	switch err = awsFault(err); {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		if usage.problem != "" {
			fmt.Fprintf(a.err, "orderctl: %s\n", oneLine(usage.problem))
		}
		return exitUsage
	case errors.As(err, &open):
		fmt.Fprintf(a.err, "orderctl: %s\n", oneLine(open.what))
		return exitUnfinished
	case errors.As(err, &known):
		text := fault.TextOf(err)
		if known.Err != nil {
			// The operator is the one reader who needs the cause.
			text += " (" + known.Err.Error() + ")"
		}
		fmt.Fprintf(a.err, "orderctl: %s: %s\n", known.Code, oneLine(text))
		return exitFailed
	}
	fmt.Fprintf(a.err, "orderctl: %s\n", oneLine(err.Error()))
	return exitFailed
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

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
