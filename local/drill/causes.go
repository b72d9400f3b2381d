package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"orderbridge/local/launch"
	"orderbridge/shared/fault"
)

// How long a minute of the alarms takes: short enough that an hour of them is
// bearable, long enough that a tick, which comes once a minute, keeps up.
const (
	short    = 500 * time.Millisecond
	shortest = 300 * time.Millisecond
)

// scenes are all causes, on as many systems as they need in order not to disturb
// each other.
func scenes() []scene {
	return []scene{
		{name: "clock", minute: short, causes: clockCauses()},
		{name: "pause", minute: short, causes: pauseCauses()},
		{name: "whmcs", minute: short, causes: whmcsCauses()},
		{name: "salesforce", minute: short, causes: salesforceCauses()},
		{name: "rows", minute: short, causes: rowCauses()},
		{name: "review", minute: short, env: map[string]string{"WHMCS_RESEND": "ask"}, causes: reviewCauses()},
		{name: "door", minute: short, hook: true, env: map[string]string{"PORTAL_RATE_LIMIT": "2", "PORTAL_BURST_LIMIT": "2"}, causes: doorCauses()},
		{name: "functions", minute: short, causes: functionCauses()},
		{name: "queues", minute: short, env: map[string]string{"WHMCS_READ_TIMEOUT": "30", "PROVISION_LEASE": "40"}, causes: queueCauses()},
		{name: "durations", minute: short, template: tenth, causes: durationCauses()},
		{name: "objectives", minute: shortest, causes: objectiveCauses()},
	}
}

func clockCauses() []cause {
	return []cause{
		{prompt: true, what: "the clock's schedule is off", alarms: []string{"ClockSilent"}, begin: schedule("ClockSchedule", false), end: schedule("ClockSchedule", true)},
		{prompt: true, what: "the sweep's schedule is off", alarms: []string{"SweepSilent"}, begin: schedule("SweepSchedule", false), end: schedule("SweepSchedule", true)},
	}
}

func pauseCauses() []cause {
	return []cause{{
		what: "the bridge is paused while an order waits", alarms: []string{"OrdersStandStill", "Paused"},
		begin:    all(pause, clickNew),
		commands: []string{"orderctl resume"},
		after:    isProvisioned(),
	}}
}

func pause(ctx context.Context, s *system) error {
	return s.follow(ctx, "orderctl pause --by YOU --why TEXT", map[string]string{"YOU": "drill", "TEXT": "drill"}, false)
}

func whmcsCauses() []cause {
	causes := []cause{{
		what: "WHMCS answers every call with 500", alarms: []string{"WhmcsDown"},
		begin: all(everyWhmcs("http-500"), clickNew), end: noFaults, commands: []string{"orderctl probe whmcs"}, after: isProvisioned(),
	}}
	for _, of := range []struct {
		code fault.Code
		name string
	}{{fault.WHMCSIPDenied, "forbidden-ip"}, {fault.WHMCSCredentials, "bad-credentials"}, {fault.WHMCSRoleDenied, "role-denied"}, {fault.WHMCSMisconfigured, "redirect-308"}} {
		causes = append(causes, mending(of.code, "WHMCS answers every call with "+of.name, everyWhmcs(of.name), noFaults, "orderctl probe whmcs"))
	}
	return append(causes, mending(fault.WHMCSSecretUnavailable, "WHMCS's secret is no credential",
		putSecret("WHMCS_SECRET_ID", "not one", "provision"), putSecret("WHMCS_SECRET_ID", `{"identifier":"local-identifier","secret":"local-secret"}`, "provision"), "orderctl probe whmcs"))
}

// mending is a cause that concerns every order until the installation is
// corrected.
func mending(code fault.Code, what string, begin, end action, command string) cause {
	return cause{
		what: what + ", " + string(code), alarms: []string{"NeedsMending"}, code: code,
		begin: all(begin, clickNew),
		end:   end, commands: []string{command}, after: isProvisioned(),
	}
}

func salesforceCauses() []cause {
	every := func(name string) action {
		return all(salesforceFault("token", name, always), salesforceFault("query", name, always), salesforceFault("update", name, always))
	}
	const probe = "orderctl probe salesforce"
	good := `{"clientId":"local-client","clientSecret":"local-client-secret"}`
	return []cause{
		{
			what: "Salesforce answers every call with 500", alarms: []string{"SalesforceDown"},
			begin: all(every("http-500"), clickNew), end: noFaults, commands: []string{probe}, after: isProvisioned(),
		},
		mending(fault.SalesforceCredentials, "Salesforce refuses the login", all(salesforceFault("token", "bad-credentials", always), kill("provision", "statuspush")), all(noFaults, putSecret("SALESFORCE_SECRET_ID", good, "provision", "statuspush")), probe),
		mending(fault.SalesforcePermission, "the integration user has lost a permission", salesforceFault("query", "role-denied", always), noFaults, probe),
		mending(fault.SalesforceMisconfigured, "the org does not know the API version", salesforceFault("query", "version-unknown", always), noFaults, probe),
		mending(fault.SalesforceSecretUnavailable, "Salesforce's secret is no login", putSecret("SALESFORCE_SECRET_ID", "not one", "provision", "statuspush"), putSecret("SALESFORCE_SECRET_ID", good, "provision", "statuspush"), probe),
		{
			what: "90 % of the org's API calls are used", alarms: []string{"SalesforceLimit"},
			begin: usage(13500), keep: clickNew, end: usage(100), after: clickNew,
		},
	}
}

// usage sets the API calls that the org has used, of 15,000.
func usage(used int) action {
	return func(ctx context.Context, s *system) error {
		return s.ask(ctx, http.MethodPost, s.Salesforce+"/_sim/usage", map[string]int{"used": used, "limit": 15000}, nil)
	}
}

func rowCauses() []cause {
	return []cause{
		{
			what: "the row of an order stays locked", alarms: []string{"SalesforceBehind"},
			begin: all(newOrder(map[string]any{"poison": "lock-row"}), click, isProvisioned()), end: putOrder(nil), commands: []string{"orderctl reconcile"},
		},
		{
			what: "Salesforce answers every update with 500", alarms: []string{"StatusPushAge"},
			begin: all(salesforceFault("update", "http-500", always), clickNew), keep: nil, end: noFaults,
		},
		{
			what: "a validation rule refuses an order's status", alarms: []string{"StatusPushDeadLettersDepth"},
			begin: all(newOrder(map[string]any{"poison": "row-refused"}), click), end: putOrder(nil), commands: []string{"orderctl redrive --queue statuspush --by"},
		},
	}
}

// review is a cause after which only a person can know what exists in WHMCS.
func review(code fault.Code, point, what string, begin, end action, commands ...string) cause {
	return cause{
		what: what, alarms: []string{"OrdersForAPerson", "NeedsAPerson"}, code: code, point: point,
		begin: all(begin, failsWith(code)), end: end, commands: commands, after: isProvisioned(),
		keep: nil,
	}
}

func reviewCauses() []cause {
	lost := func(call, name string) action {
		return all(newOrder(nil), whmcsFault(call, name, 1, nil), click)
	}
	return []cause{
		review(fault.AddOutcomeUnknown, "adding", "AddOrder's connection breaks, and nothing was made", lost("AddOrder", "drop-before"), nil, "orderctl resolve ID --none"),
		review(fault.AcceptOutcomeUnknown, "accepting", "AcceptOrder's connection breaks, and nothing was done", lost("AcceptOrder", "drop-before"), activate(), "orderctl retry"),
		review(fault.MarkerNotKept, "added", "WHMCS keeps no notes", all(notes(false), newOrder(nil), click), all(notes(true), known(), mark), "orderctl resume", "orderctl retry"),
		review(fault.ModuleFailed, "accepting", "a module says no", lost("AcceptOrder", "module-fail-pending"), nil, "orderctl retry"),
		review(fault.NotVerified, "accepted", "a service stays Pending; the table says, for 20 minutes", all(lost("AcceptOrder", "module-made-pending"), isAt("accepted"), setBack("opened_at", long), setBack("accepted_at", long)), activate(), "orderctl retry"),
		review(fault.WHMCSIDForeign, "adding", "the order names a WHMCS order that is not its", all(newOrder(map[string]any{"fields": map[string]any{"WHMCS_Order_ID__c": "999999"}}), click),
			putOrder(map[string]any{"fields": map[string]any{"WHMCS_Order_ID__c": nil}}), "orderctl retry"),
		review(fault.WHMCSOrderAmbiguous, "adding", "PHP dies before the marker is kept", lost("AddOrder", "marker-lost"), all(known(), mark), "orderctl resolve ID --adopt"),
		review(fault.WHMCSOrderCancelled, "adding", "the order is cancelled in WHMCS while its answer is lost",
			all(lost("AddOrder", "commit-then-drop"), isAt("adding"), edit(map[string]any{"status": "Cancelled"})), nil, "orderctl resolve ID --none"),
		review(fault.WHMCSOrderMismatch, "adding", "PHP dies after the first service", lost("AddOrder", "half-added"), edit(map[string]any{"status": "Cancelled"}), "orderctl resolve ID --none"),
		{
			what: "the WHMCS order of a provisioned order is cancelled", alarms: []string{"BooksDiffer"},
			begin: all(clickNew, isProvisioned(), edit(map[string]any{"status": "Cancelled"}), local("tick", map[string]string{"schedule": "AuditSchedule"})),
			end:   all(activate(), audit),
		},
	}
}

// notes has WHMCS keep the notes of new orders, or not.
func notes(kept bool) action {
	return func(ctx context.Context, s *system) error {
		return s.ask(ctx, http.MethodPost, s.WHMCS+"/_sim/switches", map[string]bool{"notesOff": !kept}, nil)
	}
}

// audit runs the audit again, as the runbook says after a correction.
func audit(ctx context.Context, s *system) error {
	for _, command := range s.book["BooksDiffer"].first {
		if err := s.follow(ctx, command, nil, true); err != nil {
			return err
		}
	}
	return nil
}

func doorCauses() []cause {
	const secret = "drill-signing-secret-0123456789abcdef-"
	return []cause{
		{
			what: "callouts come with a forged signature", alarms: []string{"SecurityEvents"},
			begin: newOrder(nil), keep: forge, end: wasPosted("SecurityEvents"),
		},
		{
			what: "the webhook refuses an alarm", alarms: []string{"SecurityAlertDeadLettersDepth"},
			begin: all(func(_ context.Context, s *system) error { s.hook.refuse(true); return nil }, newOrder(nil), flood), end: all(emptyAlerts, func(_ context.Context, s *system) error { s.hook.refuse(false); return nil }),
		},
		{
			what: "a loop sends callouts for one order", alarms: []string{"CalloutsThrottled"}, begin: newOrder(nil), keep: flood,
		},
		{
			what: "a client asks for an order without a pause", alarms: []string{"PortalThrottled"}, begin: newOrder(nil), keep: poll,
		},
		{
			what: "the signing secret before the rotation is spoilt", alarms: []string{"PreviousSecretDropped"},
			begin: all(newOrder(nil), putSecret("WEBHOOK_SECRET_ID", `"spoilt"`), putSecret("WEBHOOK_SECRET_ID", secret+"1", "fulfill")),
			keep:  all(kill("fulfill"), click), end: all(putSecret("WEBHOOK_SECRET_ID", secret+"2"), putSecret("WEBHOOK_SECRET_ID", secret+"3", "fulfill")),
		},
		{
			what: "twelve orders fail, all for their account", alarms: []string{"FailureRate"},
			begin: unmapped, end: mapped, commands: []string{"orderctl retry --code CODE --max 50 --dry-run", "orderctl retry --code CODE --max 50 --by"}, after: isProvisioned(),
		},
	}
}

// flood sends more callouts of one order than are remembered at a time.
func flood(ctx context.Context, s *system) error {
	const most = 110
	for range most {
		if err := click(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// poll asks for an order more often than the portal's limit lets through.
func poll(ctx context.Context, s *system) error {
	const most = 10
	for range most {
		if err := look(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// emptyAlerts takes the alarms out that could not be posted, as a person does.
func emptyAlerts(ctx context.Context, s *system) error {
	return s.receive(ctx, "SecurityAlertDeadLetters")
}

const failing = 12

func unmapped(ctx context.Context, s *system) error {
	for range failing {
		if err := all(newOrder(map[string]any{"whmcsClientId": nil}), click, failsWith(fault.AccountNotMapped))(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// mapped maps the account of every order that failed.
func mapped(ctx context.Context, s *system) error {
	last := *s.order
	for n := range failing {
		s.order.id = fmt.Sprintf("801%012dAAA", s.serial.Load()-int64(n))
		if err := putOrder(nil)(ctx, s); err != nil {
			return err
		}
	}
	*s.order = last
	return nil
}

func functionCauses() []cause {
	slow := local("dynamo", map[string]any{"latencyMs": 1000})
	return []cause{
		{
			what: "the account has no execution left for fulfill", alarms: []string{"FulfillThrottles", "CalloutErrors"},
			begin: all(newOrder(nil), limit("fulfill", 0)), keep: click, end: limit("fulfill", nil),
		},
		{
			what: "the account has no execution left for status", alarms: []string{"StatusThrottles", "PortalErrors"},
			begin: all(newOrder(nil), limit("status", 0)), keep: look, end: limit("status", nil),
		},
		{
			what: "the account has no execution left for statuspush", alarms: []string{"StatusPushThrottles"},
			begin: limit("statuspush", 0), keep: clickNew, end: limit("statuspush", nil),
		},
		{
			what: "the functions die at their work", alarms: []string{"FulfillErrors", "ProvisionErrors", "StatusPushErrors", "StatusErrors"},
			begin: slow, keep: dieAtWork, end: local("dynamo", map[string]any{"latencyMs": 0}),
		},
	}
}

// dieAtWork has every function at work and kills its processes.
func dieAtWork(ctx context.Context, s *system) error {
	if err := newOrder(nil)(ctx, s); err != nil {
		return err
	}
	var wait sync.WaitGroup
	for _, work := range []action{click, look} {
		wait.Go(func() { _ = work(ctx, s) }) // it is to fail
	}
	running := map[string]struct{ Running int }{}
	err := s.until(ctx, stepLimit, "the functions are at work", func() (bool, error) {
		err := s.ask(ctx, http.MethodGet, s.API+"/_local/functions", nil, &running)
		return running["fulfill"].Running > 0 && running["status"].Running > 0, err
	})
	if err == nil {
		err = kill("fulfill", "status", "provision", "statuspush")(ctx, s)
	}
	wait.Wait()
	return err
}

func queueCauses() []cause {
	return []cause{
		{
			what: "the queue refuses the pipe", alarms: []string{"WorkPipeFailures"},
			begin: local("hints", map[string]any{"refused": 1}), keep: clickNew, end: local("hints", map[string]any{}),
		},
		{
			what: "WHMCS is slow and more orders come than two workers carry", alarms: []string{"WorkQueueAge"},
			begin: whmcsFault("GetClientsDetails", "slow", always, map[string]any{"delayMs": 5000}), keep: clickNew, end: noFaults,
		},
		{
			what: "a hint failed five times", alarms: []string{"WorkDeadLettersDepth"},
			begin: all(clickNew, deadHint), commands: []string{"orderctl redrive --queue work --by"},
		},
	}
}

func deadHint(ctx context.Context, s *system) error {
	return letter("WORK_DEAD_LETTER_URL", `{"pk": "order#`+s.order.id+`"}`)(ctx, s)
}

// tenth has the two longest durations judged by a tenth of their thresholds:
// 54 s and 10.8 s.
func tenth(template string) string {
	return strings.NewReplacer("Threshold: 540000", "Threshold: 54000", "Threshold: 108000", "Threshold: 10800").Replace(template)
}

func durationCauses() []cause {
	return []cause{
		{moment: true, what: "fulfill stands still for 27 s of its 29 s", alarms: []string{"FulfillDuration"}, begin: all(newOrder(nil), freeze("fulfill", click, 27*time.Second))},
		{moment: true, what: "status stands still for 9.5 s of its 10 s", alarms: []string{"StatusDuration"}, begin: all(clickNew, freeze("status", look, 9500*time.Millisecond))},
		{moment: true, what: "statuspush stands still for 12 s; a tenth of the threshold", alarms: []string{"StatusPushDuration"}, begin: freeze("statuspush", clickNew, 12*time.Second)},
		{moment: true, what: "provision stands still for 56 s; a tenth of the threshold", alarms: []string{"ProvisionDuration"}, begin: freeze("provision", clickNew, 56*time.Second)},
	}
}

// freeze stops the processes of a function while it works, for a time.
func freeze(function string, work action, d time.Duration) action {
	return func(ctx context.Context, s *system) error {
		// With a slow table the function is found at its work.
		if err := local("dynamo", map[string]any{"latencyMs": 1000})(ctx, s); err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- work(ctx, s) }()
		running := map[string]struct{ Running int }{}
		if err := s.until(ctx, stepLimit, function+" is at work", func() (bool, error) {
			err := s.ask(ctx, http.MethodGet, s.API+"/_local/functions", nil, &running)
			return running[function].Running > 0, err
		}); err != nil {
			return err
		}
		var frozen []launch.Process
		for _, p := range s.Processes() {
			if p.Function == function && !launch.Stopped(p) && s.Signal(p, syscall.SIGSTOP) {
				frozen = append(frozen, p)
			}
		}
		err := local("dynamo", map[string]any{"latencyMs": 0})(ctx, s)
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		for _, p := range frozen {
			s.Signal(p, syscall.SIGCONT)
		}
		if e := <-done; err == nil {
			err = e
		}
		if err == nil && len(frozen) == 0 {
			err = fmt.Errorf("no process of %s was at work", function)
		}
		return err
	}
}

func objectiveCauses() []cause {
	return []cause{
		{
			what:   "the table answers slowly, and so do callouts",
			alarms: []string{"CalloutsInTime", "CalloutsInTime1h", "CalloutsInTime5m", "CalloutsInTime6h", "CalloutsInTime30m"},
			begin:  local("dynamo", map[string]any{"latencyMs": 1200}), keep: clickNew,
			end: local("dynamo", map[string]any{"latencyMs": 0}), after: clickNew,
		},
		{
			what:   "orders end more than 15 minutes after their callouts",
			alarms: []string{"OrdersInTime", "OrdersInTime1h", "OrdersInTime5m", "OrdersInTime6h", "OrdersInTime30m"},
			keep:   lateOrder, after: clickNew,
		},
	}
}

// long is longer than an order may take, or WHMCS to activate a service.
const long = 20 * time.Minute

// lateOrder has an order end that was opened 20 minutes ago, by the table.
func lateOrder(ctx context.Context, s *system) error {
	return all(pause, clickNew, setBack("opened_at", long), setBack("due_at", long), resume, isProvisioned())(ctx, s)
}

func resume(ctx context.Context, s *system) error {
	return s.follow(ctx, "orderctl resume --by YOU --all", map[string]string{"YOU": "drill"}, false)
}
