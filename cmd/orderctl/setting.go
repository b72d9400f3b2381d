package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// variable is something that an installation is found by.
type variable struct {
	name, what string
	output     string // of the stack, or its parameter
}

// variables are what the commands read, in the order in which env prints them.
func variables() []variable {
	return []variable{
		{"API_URL", "the address of the callout API", "CalloutUrl"},
		{"TABLE_NAME", "the orders table", "TableName"},
		{"PROVISION_FUNCTION", "ProvisionFunction by its alias: name or ARN", "ProvisionFunctionName"},
		{"WEBHOOK_SECRET_ID", "the signing secret in Secrets Manager", "WebhookSecretId"},
		{"WORK_QUEUE_URL", "the work queue", "WorkQueueUrl"},
		{"WORK_DEAD_LETTER_URL", "the dead letters of the work queue", "WorkDeadLetterUrl"},
		{"STATUSPUSH_DEAD_LETTER_URL", "the dead letters of statuspush", "StatusPushDeadLetterUrl"},
		{"SF_ORG_ID", "the org that may call", "SfOrgId"},
		{"STACK_NAME", "the stack, whose alarms status and doctor show", stackName},
	}
}

// stackName stands for the stack's own name among its outputs.
const stackName = "AWS::StackName"

// optional reads a variable of the environment, or else of the stack; "" where
// neither has it. An environment that is another stack's is refused: its table
// would be written for the stack that was named.
func (a *app) optional(ctx context.Context, name string) (string, error) {
	if other := a.getenv("STACK_NAME"); a.stack != "" && other != "" && other != a.stack {
		return "", usagef("the environment is that of stack %s (STACK_NAME), and --stack names %s: unset its variables, or leave --stack out", other, a.stack)
	}
	if v := a.getenv(name); v != "" || a.stack == "" {
		return v, nil
	}
	if a.outputs == nil {
		c, err := a.cloud(ctx)
		if err != nil {
			return "", err
		}
		all, err := c.stack(ctx, a.stack)
		if err != nil {
			return "", err
		}
		a.outputs = map[string]string{}
		for _, v := range variables() {
			a.outputs[v.name] = all[v.output]
		}
	}
	return a.outputs[name], nil
}

// setting reads a variable that the command cannot do without.
func (a *app) setting(ctx context.Context, name string) (string, error) {
	v, err := a.optional(ctx, name)
	if err != nil || v != "" {
		return v, err
	}
	i := slices.IndexFunc(variables(), func(v variable) bool { return v.name == name })
	where := "is missing from the environment"
	if a.stack != "" {
		where += " and from the outputs of stack " + a.stack
	}
	return "", usagef("%s %s: %s; or give --stack NAME", name, where, variables()[i].what)
}

// write says where a write goes, asks where a person must answer, and reports
// whether to make it.
func (a *app) write(ctx context.Context, what string) (bool, error) {
	c, err := a.cloud(ctx)
	if err != nil {
		return false, err
	}
	table, err := a.optional(ctx, "TABLE_NAME")
	if err != nil {
		return false, err
	}
	account := "unknown"
	if table != "" {
		// Not allowed to describe the table is no reason to do nothing at night.
		if t, err := c.describe(ctx, table); err == nil {
			account = accountOf(t.TableArn)
		} else if unreachable(err) {
			return false, err
		}
	}
	fmt.Fprintf(a.err, "account %s, region %s, stack %s, table %s: %s\n", account, c.region, dash(cmp.Or(a.stack, a.getenv("STACK_NAME"))), dash(table), what)
	switch {
	case a.dryRun:
		fmt.Fprint(a.err, "dry run: nothing is changed\n")
		return false, nil
	case a.yes || c.local:
		return true, nil
	case !a.terminal:
		return false, usagef("nobody can be asked here: a script says --yes")
	}
	fmt.Fprint(a.err, "Go on? yes or no: ")
	line, _ := bufio.NewReader(a.in).ReadString('\n') // the end of the input is no yes
	if answer := strings.TrimSpace(line); answer != "yes" && answer != "y" {
		return false, fmt.Errorf("stopped: the answer was not yes; nothing is changed")
	}
	return true, nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) envCommand() *cobra.Command {
	return a.verb(spec{
		group: groupTool, use: "env", short: "print the variables of an installation, to export in a shell",
		needs:    "what it prints",
		examples: []string{"env --stack orderbridge", `env --stack orderbridge > prod.env`},
		do: func(ctx context.Context, _ []string) error {
			values := map[string]string{}
			for _, v := range variables() {
				s, err := a.optional(ctx, v.name)
				if err != nil {
					return err
				}
				if s != "" {
					values[v.name] = s
				}
			}
			if len(values) == 0 {
				return usagef("the environment holds no variable of an installation; give --stack NAME")
			}
			return a.print(values, func(p *printer) {
				for _, v := range variables() {
					if s := values[v.name]; s != "" {
						fmt.Fprintf(p, "export %s='%s'\n", v.name, strings.ReplaceAll(s, "'", `'\''`))
					}
				}
			})
		},
	})
}
