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
	"orderbridge/shared/lambdaenv"
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

// firing returns the alarms that fire, or in unread why they are not known; denied
// is the error of AWS, if it was that.
func (a *app) firing(ctx context.Context) (alarms []alarmView, unread string, denied, err error) {
	stack, err := a.optional(ctx, "STACK_NAME")
	if err != nil {
		return nil, "", nil, err
	}
	if stack == "" {
		return nil, "STACK_NAME is missing from the environment; or give --stack NAME", nil, nil
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	if alarms, err = c.alarms(ctx, stack); err != nil {
		denied = awsFault(err)
		return nil, string(fault.CodeOf(denied)) + ": " + fault.TextOf(denied), denied, nil
	}
	return alarms, "", nil, nil
}

// countAlarms adds the alarms that fire. Alarms that cannot be read are no reason
// to show nothing: the page says so, and the command fails after it.
func (a *app) countAlarms(ctx context.Context, o *overview) (err error) {
	if o.Alarms, o.AlarmsUnread, o.alarmsError, err = a.firing(ctx); err != nil {
		return err
	}
	for _, alarm := range o.Alarms {
		o.Needed = append(o.Needed, fmt.Sprintf("alarm %s: %s", alarm.Name, alarm.What))
	}
	return nil
}

// watched are the alarms that say that a part of the installation stands still,
// which no call of doctor can see: ticks, and what reads the table's stream.
func watched() []struct{ alarm, of, what, do string } {
	return []struct{ alarm, of, what, do string }{
		{"ClockSilent", "clock", "ProvisionFunction is called each minute", "Look at the schedule (EventBridge Scheduler) and at the log of ProvisionFunction: runbook, ClockSilent."},
		{"SweepSilent", "clock", "StatusPushFunction is called each minute", "Look at the schedule (EventBridge Scheduler) and at the log of StatusPushFunction: runbook, SweepSilent."},
		{"WorkPipeFailures", "stream", "the pipe brings new orders to the work queue", "Look at the state and the last error of WorkPipe (EventBridge Pipes): runbook, WorkPipeFailures."},
		{"StatusPushAge", "stream", "StatusPushFunction keeps up with the stream", "Look at the log of StatusPushFunction and at its event source mapping: runbook, StatusPushAge."},
	}
}

// alarmFindings judges what only the alarms see. The other alarms speak of orders
// and load, not of the installation: they are named, and none is red.
func (a *app) alarmFindings(ctx context.Context) ([]lambdaenv.Finding, error) {
	alarms, unread, _, err := a.firing(ctx)
	if err != nil {
		return nil, err
	}
	if unread != "" {
		return []lambdaenv.Finding{{Of: "alarm", What: "ticks and stream readers, by their alarms", OK: true, Seen: "not looked at: " + unread}}, nil
	}
	var all []lambdaenv.Finding
	for _, w := range watched() {
		f := lambdaenv.Finding{Of: w.of, What: w.what, OK: true, Seen: "alarm " + w.alarm + " is quiet", Do: w.do}
		if i := slices.IndexFunc(alarms, func(v alarmView) bool { return v.Name == w.alarm }); i >= 0 {
			f.OK, f.Seen = false, fmt.Sprintf("alarm %s fires since %s: %s", w.alarm, alarms[i].Since, alarms[i].Reason)
			alarms = slices.Delete(alarms, i, i+1)
		}
		all = append(all, f)
	}
	others := lambdaenv.Finding{Of: "alarm", What: "other alarms", OK: true, Seen: "none fires"}
	for i, v := range alarms {
		if i == 0 {
			others.Seen = "orderctl status says what to do about"
		}
		others.Seen += " " + v.Name
	}
	return append(all, others), nil
}
