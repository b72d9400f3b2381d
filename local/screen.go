package main

import (
	"fmt"
	"strings"
	"time"
)

// screen says what is where, once everything answers.
func (s *system) screen(took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "\norderbridge is ready (%d ms). Open %s in a browser: it shows all of it.\n", took.Milliseconds(), s.at.api)
	if s.settings.demo {
		b.WriteString("Waits are short (DEMO=1): production's are minutes, see README.\n")
	}
	b.WriteString("\n")
	for i, url := range []string{s.at.api, s.at.whmcs, s.at.salesforce, s.at.aws} {
		what := ports[i].what
		if i == 3 && s.settings.dynamoEndpoint != "" {
			what += ", DynamoDB at " + s.settings.dynamoEndpoint
		}
		fmt.Fprintf(&b, "  %-24s %s\n", url, what)
	}
	b.WriteString("\nFor orderctl, in another shell:\n\n")
	for _, kv := range s.exports() {
		fmt.Fprintf(&b, "  export %s=%s\n", kv[0], kv[1])
	}
	b.WriteString("\nCtrl-C ends it.\n\n")
	fmt.Fprint(s.out, b.String())
}

// outputNames are the outputs of the template by the variable that holds them.
func outputNames() map[string]string {
	return map[string]string{
		"API_URL": "CalloutUrl", "TABLE_NAME": "TableName", "PROVISION_FUNCTION": "ProvisionFunctionName",
		"WEBHOOK_SECRET_ID": "WebhookSecretId", "WHMCS_SECRET_ID": "WhmcsSecretId", "SALESFORCE_SECRET_ID": "SalesforceSecretId",
		"WORK_QUEUE_URL": "WorkQueueUrl", "WORK_DEAD_LETTER_URL": "WorkDeadLetterUrl", "STATUSPUSH_DEAD_LETTER_URL": "StatusPushDeadLetterUrl",
	}
}

// exports are the variables that a command needs to work on this system.
func (s *system) exports() [][2]string {
	all := [][2]string{
		{"AWS_ENDPOINT_URL", s.at.aws}, {"AWS_REGION", s.settings.region},
		{"AWS_ACCESS_KEY_ID", accessKey}, {"AWS_SECRET_ACCESS_KEY", secretKey},
		{"STACK_NAME", stack}, {"API_URL", s.at.api}, {"WHMCS_URL", s.at.whmcs}, {"SF_URL", s.at.salesforce},
	}
	if s.settings.dynamoEndpoint != "" {
		all = append(all, [2]string{"AWS_ENDPOINT_URL_DYNAMODB", s.settings.dynamoEndpoint})
	}
	for _, t := range s.model.Tables {
		if t.ID == "OrdersTable" {
			all = append(all, [2]string{"TABLE_NAME", t.Name})
		}
	}
	names := map[string]string{"WebhookSecret": "WEBHOOK_SECRET_ID", "WhmcsSecret": "WHMCS_SECRET_ID", "SalesforceSecret": "SALESFORCE_SECRET_ID",
		"WorkQueue": "WORK_QUEUE_URL", "WorkDeadLetters": "WORK_DEAD_LETTER_URL", "StatusPushDeadLetters": "STATUSPUSH_DEAD_LETTER_URL"}
	for _, sec := range s.model.Secrets {
		if n := names[sec.ID]; n != "" {
			all = append(all, [2]string{n, sec.ARN})
		}
	}
	for _, q := range s.model.Queues {
		if n := names[q.ID]; n != "" {
			all = append(all, [2]string{n, q.URL})
		}
	}
	for _, f := range s.model.Functions {
		if f.ID == "ProvisionFunction" {
			all = append(all, [2]string{"PROVISION_FUNCTION", f.ARN + ":" + f.Alias})
		}
	}
	return all
}
