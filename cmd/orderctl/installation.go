package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/question"
)

func (a *app) probeCommand() *cobra.Command {
	return a.verb(spec{
		group: groupMend, use: "probe whmcs|salesforce", short: "ask a side now whether it serves, and close its breaker if it does",
		long:  "The probe is a read, made inside ProvisionFunction: it says nothing of AddOrder and AcceptOrder.\nWhich of them is not answered it tells; the next order that sends that tries it at once.",
		needs: "PROVISION_FUNCTION, TABLE_NAME", writes: true,
		examples: []string{"probe whmcs", "probe salesforce"},
		check: func(args []string) error {
			if len(args) != 1 || args[0] != string(order.SideWHMCS) && args[0] != string(order.SideSalesforce) {
				return usagef("probe needs a side: whmcs or salesforce")
			}
			return nil
		},
		do: func(ctx context.Context, args []string) error {
			yes, err := a.write(ctx, "probe "+args[0])
			if err != nil || !yes {
				return err
			}
			var p question.Probed
			if err := a.ask(ctx, question.Question{Probe: args[0]}, &p); err != nil {
				return err
			}
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			c, err := table.Control(ctx, order.Side(p.Side))
			if err != nil {
				return err
			}
			if err := a.print(p, func(w *printer) {
				if p.Serves {
					fmt.Fprintf(w, "%s serves; its breaker is closed\n", p.Side)
				}
				for _, effect := range c.Unanswered(a.now()) {
					fmt.Fprintln(w, unansweredText(c, effect, a.now()))
				}
			}); err != nil {
				return err
			}
			if !p.Serves {
				return fault.New(fault.Code(p.Code), "")
			}
			return nil
		},
	})
}

func (a *app) lookBeforeCommand() *cobra.Command {
	var by string
	var end bool
	var before time.Time
	return a.verb(spec{
		group: groupMend, use: "look-before (TIME | --end) --by WHO", short: "after a restore: search WHMCS first for every order created before a time",
		long:  "TIME is RFC 3339, like 2026-11-20T03:00:00Z: the time of the restore.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{"look-before 2026-11-20T03:00:00Z --by ann", "look-before --end --by ann"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&by, "by", "", usageBy)
			flags.BoolVar(&end, "end", false, "search no more than usual again")
		},
		check: func(args []string) (err error) {
			switch {
			case end != (len(args) == 0) || len(args) > 1:
				return usagef("look-before needs one time, or --end")
			case by == "":
				return usagef("--by WHO is needed")
			case end:
				return nil
			}
			if before, err = time.Parse(time.RFC3339, args[0]); err != nil {
				return usagef("%q is not a time like 2026-11-20T03:00:00Z", args[0])
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error {
			if before.After(a.now()) {
				return usagef("%s is still to come: a restore lies in the past", clock(before))
			}
			done := "orders created before " + clock(before) + " are searched in WHMCS before anything is sent"
			if end {
				done = "orders are searched as usual again"
			}
			return a.throw(ctx, "look-before "+cmp.Or(jsonTime(before), "--end"), func(table ledger) error { return table.LookBefore(ctx, before, by, a.now()) }, done)
		},
	})
}

// findings prints what was examined; the red ones say what to correct.
func (a *app) findings(all []lambdaenv.Finding) error {
	err := a.print(map[string]any{"findings": all}, func(p *printer) {
		for _, f := range all {
			mark := "ok "
			if !f.OK {
				mark = "RED"
			}
			fmt.Fprintf(p, "%s  %-11s %s", mark, f.Of, f.What)
			if f.Seen != "" {
				fmt.Fprintf(p, ": %s", oneLine(f.Seen))
			}
			fmt.Fprintln(p)
			if !f.OK && f.Do != "" {
				fmt.Fprintf(p, "     %-11s %s\n", "", oneLine(f.Do))
			}
		}
	})
	if err != nil {
		return err
	}
	if red := len(slices.DeleteFunc(slices.Clone(all), func(f lambdaenv.Finding) bool { return f.OK })); red > 0 {
		return fmt.Errorf("%d of %d findings are red", red, len(all))
	}
	return nil
}

func (a *app) restoreCheckCommand() *cobra.Command {
	var set bool
	var by string
	return a.verb(spec{
		group: groupMend, use: "restore-check [--set --by WHO]", short: "after a restore of the table: check what must hold before work is resumed",
		long:  "The functions notice a restored table by themselves, and pause. --set makes the switches so\nwhere they did not, before a function works on the table: paused, every order searched first.",
		needs: "TABLE_NAME", writes: true,
		examples: []string{"restore-check", "restore-check --set --by ann    # TABLE_NAME names the restored table"},
		flags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&set, "set", false, "pause, and have every order searched for in WHMCS before anything is sent")
			flags.StringVar(&by, "by", "", usageBy)
		},
		check: func(args []string) error {
			switch {
			case len(args) > 0:
				return usagef("restore-check takes no argument")
			case set != (by != ""):
				return usagef("--set and --by WHO belong together")
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error {
			table, err := a.ledger(ctx)
			if err != nil {
				return err
			}
			if set {
				if err := a.setRestored(ctx, table, by); err != nil {
					return err
				}
			}
			return a.checkRestored(ctx, table)
		},
	})
}

// setRestored throws both switches as a restored table needs them.
func (a *app) setRestored(ctx context.Context, table ledger, by string) error {
	yes, err := a.write(ctx, "pause all work on WHMCS, and have every order searched for first")
	if err != nil || !yes {
		return err
	}
	if err := table.Pause(ctx, "table restored", by, a.now()); err != nil {
		return err
	}
	return table.LookBefore(ctx, order.LookAlways(), by, a.now())
}

func (a *app) checkRestored(ctx context.Context, table ledger) error {
	name, err := a.setting(ctx, "TABLE_NAME")
	if err != nil {
		return err
	}
	t, err := a.aws.describe(ctx, name)
	if err != nil {
		return err
	}
	c, err := table.Control(ctx, order.SideWHMCS)
	if err != nil {
		return err
	}
	return a.findings(append(tableFindings(t), lambdaenv.Finding{
		Of: "switch", What: "work is paused", OK: c.Paused,
		Do: "if this table was restored: orderctl restore-check --set --by YOU, before the stack is pointed at the table",
	}, lambdaenv.Finding{
		Of: "switch", What: "orders of before the restore are searched first", OK: !c.LookBefore.IsZero(), Seen: jsonTime(c.LookBefore),
		Do: "if this table was restored: orderctl restore-check --set --by YOU; without it an order that WHMCS got after the backup is ordered twice",
	}, lambdaenv.Finding{
		Of: "switch", What: "the time of the restore is not older than the table", OK: c.LookBefore.IsZero() || t.CreationDateTime == nil || !c.LookBefore.Before(t.CreationDateTime.Truncate(time.Minute)),
		Seen: fmt.Sprintf("table made %s", jsonTime(aws.ToTime(t.CreationDateTime))), Do: "set the time at which the old table was left: orderctl look-before TIME --by YOU",
	}))
}

// tableFindings checks that the table is the one that template.yaml describes.
func tableFindings(t *types.TableDescription) []lambdaenv.Finding {
	stream := t.StreamSpecification != nil && aws.ToBool(t.StreamSpecification.StreamEnabled) && t.StreamSpecification.StreamViewType == types.StreamViewTypeNewImage
	all := []lambdaenv.Finding{
		{Of: "table", What: "it is active", OK: t.TableStatus == types.TableStatusActive, Seen: string(t.TableStatus), Do: "wait until the table is active"},
		{Of: "table", What: "its stream is on, with new images", OK: stream, Do: "a restored table has no stream: switch it on (NEW_IMAGE), then deploy with RestoredTableStreamArn, which makes pipe and mapping again"},
	}
	for _, name := range []string{"due", "failed", "confirm"} {
		i := slices.IndexFunc(t.GlobalSecondaryIndexes, func(x types.GlobalSecondaryIndexDescription) bool { return aws.ToString(x.IndexName) == name })
		all = append(all, lambdaenv.Finding{
			Of: "table", What: "the index " + name + " is active", OK: i >= 0 && t.GlobalSecondaryIndexes[i].IndexStatus == types.IndexStatusActive,
			Do: "restore the table with all of its indexes",
		})
	}
	return all
}

// newSecretLength is that of the secret that the template makes.
const newSecretLength = 64

func (a *app) rotateSecretCommand() *cobra.Command {
	var by string
	var emergency bool
	return a.verb(spec{
		group: groupMend, use: "rotate-secret [--emergency] --by WHO", short: "make a new signing secret",
		long:  "Planned: the one before stays valid for WEBHOOK_ROTATION_OVERLAP hours (24), in which\nthe new one is put into Salesforce. --emergency: the one before is valid no more, within\nfive minutes; every callout is refused until Salesforce holds the new one.",
		needs: "WEBHOOK_SECRET_ID, TABLE_NAME", writes: true,
		examples: []string{"rotate-secret --by ann", "rotate-secret --emergency --by ann    # it is known to others"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&by, "by", "", usageBy)
			flags.BoolVar(&emergency, "emergency", false, "the one before must not be valid any more")
		},
		check: func(args []string) error {
			if len(args) > 0 {
				return usagef("rotate-secret takes no argument")
			}
			if by == "" {
				return usagef("--by WHO is needed")
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error { return a.rotate(ctx, by, emergency) },
	})
}

func (a *app) rotate(ctx context.Context, by string, emergency bool) error {
	name, err := a.setting(ctx, "WEBHOOK_SECRET_ID")
	if err != nil {
		return err
	}
	what, times := "make a new signing secret", 1
	if emergency {
		// Two new values: what was current is then neither current nor previous.
		what, times = "make the signing secret invalid and a new one", 2
	}
	yes, err := a.write(ctx, what+", for "+by)
	if err != nil || !yes {
		return err
	}
	for range times {
		value, err := newSecret()
		if err != nil {
			return err
		}
		if _, err := a.aws.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(name), SecretString: aws.String(value)}); err != nil {
			return fmt.Errorf("write secret: %w", err)
		}
	}
	return a.print(map[string]any{"secret_id": name, "by": by, "emergency": emergency}, func(p *printer) {
		fmt.Fprintf(p, "A new signing secret is in %s.\n1. Put it into Salesforce, by a pipe that shows it to no one: aws secretsmanager get-secret-value --secret-id %s --query SecretString --output text | sfdx/scripts/set-secret.mjs --org ORG\n2. Check in Salesforce, tab Order Bridge: The test call is accepted.\n", name, name)
		if emergency {
			fmt.Fprintln(p, "Until then every callout is refused. Functions keep the old one for up to five minutes; to end that at once, deploy with another LogLevel, which starts new processes.")
			return
		}
		fmt.Fprintln(p, "The one before stays valid for WEBHOOK_ROTATION_OVERLAP hours (24 unless it was set). Rotating again within them would end it at once.")
	})
}

// newSecret is 64 letters and digits, as the template makes it: 380 bits.
func newSecret() (string, error) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for range newSecretLength {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return "", fmt.Errorf("draw secret: %w", err)
		}
		b.WriteByte(letters[n.Int64()])
	}
	return b.String(), nil
}
