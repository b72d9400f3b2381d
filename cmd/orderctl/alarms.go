package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"orderbridge/shared/fault"
)

// alarmView is an alarm that fires.
type alarmView struct {
	Name   string `json:"name"`
	Since  string `json:"since"`
	Reason string `json:"reason"`
	What   string `json:"what"` // its description
}

// ownAlarm is what follows a stack's name in the name of an alarm of its own:
// the logical id and what CloudFormation adds. A stack whose name begins as this
// one's has one part more.
var ownAlarm = regexp.MustCompile(`^-[A-Za-z0-9]+(-[A-Za-z0-9]+)?$`)

func alarmReader(client *cloudwatch.Client) func(context.Context, string) ([]alarmView, error) {
	return func(ctx context.Context, stack string) ([]alarmView, error) {
		all := []alarmView{}
		pages := cloudwatch.NewDescribeAlarmsPaginator(client, &cloudwatch.DescribeAlarmsInput{
			AlarmNamePrefix: aws.String(stack + "-"), StateValue: types.StateValueAlarm, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("describe alarms of %s: %w", stack, err)
			}
			add := func(name, reason, what *string, since *time.Time, actions []string) {
				rest := strings.TrimPrefix(aws.ToString(name), stack)
				// An alarm without an action is a part of another.
				if ownAlarm.MatchString(rest) && len(actions) > 0 {
					id, _, _ := strings.Cut(rest[1:], "-")
					all = append(all, alarmView{id, jsonTime(aws.ToTime(since)), aws.ToString(reason), aws.ToString(what)})
				}
			}
			for _, a := range page.MetricAlarms {
				add(a.AlarmName, a.StateReason, a.AlarmDescription, a.StateTransitionedTimestamp, a.AlarmActions)
			}
			for _, a := range page.CompositeAlarms {
				add(a.AlarmName, a.StateReason, a.AlarmDescription, a.StateTransitionedTimestamp, a.AlarmActions)
			}
		}
		slices.SortFunc(all, func(x, y alarmView) int { return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.Name, y.Name)) })
		return all, nil
	}
}

// countAlarms adds the alarms that fire. Alarms that cannot be read are no reason
// to show nothing: the page says so, and the command fails after it.
func (a *app) countAlarms(ctx context.Context, o *overview) error {
	stack, err := a.optional(ctx, "STACK_NAME")
	if err != nil {
		return err
	}
	if stack == "" {
		o.AlarmsUnread = "STACK_NAME is missing from the environment; or give --stack NAME"
		return nil
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return err
	}
	if o.Alarms, err = c.alarms(ctx, stack); err != nil {
		o.alarmsError = awsFault(err)
		o.AlarmsUnread = string(fault.CodeOf(o.alarmsError)) + ": " + fault.TextOf(o.alarmsError)
		return nil
	}
	for _, alarm := range o.Alarms {
		o.Needed = append(o.Needed, fmt.Sprintf("alarm %s: %s", alarm.Name, alarm.What))
	}
	return nil
}
