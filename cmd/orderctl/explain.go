package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/question"
)

// ask runs a question inside ProvisionFunction, where addresses, roles and
// secrets are the real ones, and reads its answer.
func (a *app) ask(ctx context.Context, q question.Question, answer any) error {
	name, err := a.setting(ctx, "PROVISION_FUNCTION")
	if err != nil {
		return err
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return err
	}
	event, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("write question: %w", err)
	}
	out, err := c.invoke(ctx, name, event)
	if err != nil {
		return err
	}
	var refused question.Refusal
	if err := json.Unmarshal(out, &refused); err == nil && refused.Text != "" {
		return fault.New(fault.Code(refused.Code), refused.Text)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("read answer of %s: %w", name, err)
	}
	return nil
}

func (a *app) checkCommand() *cobra.Command {
	return a.verb(spec{
		group: groupExplain, use: "check ID…", short: "say what would be ordered for an order, or every reason why it would fail",
		long:     "It reads Salesforce and WHMCS inside ProvisionFunction and changes nothing.",
		needs:    "PROVISION_FUNCTION",
		examples: []string{"check 801000000000001AAA"},
		check:    someOrders,
		do: func(ctx context.Context, args []string) error {
			ids, err := a.orderIDs(args)
			if err != nil {
				return err
			}
			return a.each(ids, func(id order.ID) error { return a.check(ctx, id) })
		},
	})
}

func (a *app) check(ctx context.Context, id order.ID) error {
	var c question.Checked
	if err := a.ask(ctx, question.Question{Check: id.String()}, &c); err != nil {
		return err
	}
	if err := a.print(c, func(p *printer) { checkPage(p, c) }); err != nil {
		return err
	}
	if len(c.Problems) > 0 {
		return fmt.Errorf("%s would fail: %d problems", id, len(c.Problems))
	}
	return nil
}

func checkPage(p *printer, c question.Checked) {
	fmt.Fprintf(p, "%s  %s\n", c.ID, strings.TrimSpace("in the table: "+dash(c.State)))
	for _, pr := range c.Problems {
		fmt.Fprintf(p, "  %s: %s\n", pr.Code, oneLine(pr.Text))
	}
	if c.Note != "" {
		fmt.Fprintf(p, "  %s\n", oneLine(c.Note))
	}
	if c.Plan == nil {
		return
	}
	fmt.Fprintf(p, "  would be ordered for WHMCS client %d, payment method %s, promotion code %s\n", c.Plan.ClientID, c.Plan.PaymentMethod, dash(c.Plan.PromoCode))
	var rows [][]string
	for _, l := range c.Plan.Lines {
		rows = append(rows, []string{"  " + l.ItemID, fmt.Sprint(l.ProductID), dash(l.Name), l.Cycle, fmt.Sprint(l.Quantity), fmt.Sprint(l.Services), dash(l.Domain), dash(l.Hostname)})
	}
	p.rows([]string{"  ITEM", "PRODUCT", "NAME", "CYCLE", "QTY", "SERVICES", "DOMAIN", "HOSTNAME"}, rows)
}

func (a *app) doctorCommand() *cobra.Command {
	return a.verb(spec{
		group: groupExplain, use: "doctor", short: "examine the installation: WHMCS, Salesforce, table, secrets, clocks and stream readers",
		long:     "It runs inside ProvisionFunction, whose address, roles and secrets are the real ones, and\nonly reads; ticks and stream readers are judged by their alarms. Each red line ends with\nwhat to correct.",
		needs:    "PROVISION_FUNCTION, TABLE_NAME, WEBHOOK_SECRET_ID, STACK_NAME",
		examples: []string{"doctor", "doctor --json | jq '.findings[] | select(.ok | not)'"},
		do: func(ctx context.Context, _ []string) error {
			var answer struct {
				Findings []lambdaenv.Finding `json:"findings"`
			}
			err := a.ask(ctx, question.Question{Doctor: true}, &answer)
			if err != nil && (errors.As(err, new(usageError)) || unreachable(err)) {
				return err
			}
			if err != nil {
				answer.Findings = append(answer.Findings, lambdaenv.Finding{Of: "function", What: "ProvisionFunction answers", Seen: err.Error(), Do: "Its log says why it does not start."})
			}
			secret, err := a.secretFinding(ctx)
			if err != nil {
				return err
			}
			answer.Findings = append(answer.Findings, secret)
			table, err := a.setting(ctx, "TABLE_NAME")
			if err != nil {
				return err
			}
			t, err := a.aws.describe(ctx, table)
			if err != nil {
				return err
			}
			alarms, err := a.alarmFindings(ctx)
			if err != nil {
				return err
			}
			return a.findings(slices.Concat(answer.Findings, tableFindings(t), alarms))
		},
	})
}

// secretFinding looks at the signing secret, and prints nothing of it.
func (a *app) secretFinding(ctx context.Context) (lambdaenv.Finding, error) {
	f := lambdaenv.Finding{Of: "secret", What: "the signing secret can be read and is sound", Do: "Put a valid value into it (orderctl rotate-secret --by YOU), and the same into Salesforce."}
	switch _, err := a.storedSecret(ctx); {
	case fault.CodeOf(awsFault(err)) == fault.AWSDenied:
		f.OK, f.Seen = true, "not looked at: your credentials may not read it"
	case errors.As(err, new(usageError)) || unreachable(err):
		return f, err
	case err != nil:
		f.Seen = fault.TextOf(err)
	default:
		f.OK = true
	}
	return f, nil
}
