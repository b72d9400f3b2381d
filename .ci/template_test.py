"""Checks of the template that no linter makes, on what the SAM transform makes of it."""

import json
import os
import re
import sys
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parent.parent
SOURCE = yaml_parse((ROOT / "template.yaml").read_text())


def transformed():
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    # transform changes what it is given, and wants the code to be uploaded.
    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {}, {})


RESULT = transformed()
RESOURCES = RESULT["Resources"]

FUNCTIONS = {
    "FulfillFunction": "Fulfill",
    "ProvisionFunction": "Provision",
    "StatusPushFunction": "StatusPush",
    "StatusFunction": "Status",
}
ENDPOINTS = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SQS"}


def of_type(kind):
    return {name: r for name, r in RESOURCES.items() if r["Type"] == kind}


def read_by_config(struct):
    """The variables that Load<struct> in shared/config reads."""
    code = (ROOT / "shared/config/config.go").read_text()

    def body(start):
        rest = code[code.index(start):]
        return rest[: rest.index("\n}\n")]

    load = body(f"func Load{struct}(")
    for shared in set(re.findall(r"\br\.(\w+)\(\)", load)):  # read in one place for several functions
        load += body(f"func (r *reader) {shared}()")
    return set(re.findall(r'r\.[a-zA-Z]+\("([A-Z][A-Z0-9_]+)"', load))


class Template(unittest.TestCase):
    def test_each_function_is_given_exactly_what_it_reads(self):
        for name, struct in FUNCTIONS.items():
            with self.subTest(name):
                given = set(RESOURCES[name]["Properties"]["Environment"]["Variables"])
                self.assertEqual(given, read_by_config(struct) | ENDPOINTS)

    def test_no_value_of_the_environment_is_a_secret(self):
        for name in FUNCTIONS:
            for variable, value in RESOURCES[name]["Properties"]["Environment"]["Variables"].items():
                with self.subTest(f"{name} {variable}"):
                    self.assertNotIn("resolve:secretsmanager", str(value))
                    if "SECRET" in variable and "ENDPOINT" not in variable:
                        self.assertEqual(list(value), ["Fn::GetAtt"])

    def test_roles_name_their_resources(self):
        roles = of_type("AWS::IAM::Role")
        self.assertGreaterEqual(len(roles), 5)
        for name, role in roles.items():
            with self.subTest(name):
                self.assertFalse(role["Properties"].get("ManagedPolicyArns"), "managed policies hold wildcards")
                for policy in role["Properties"].get("Policies", []):
                    for statement in policy["PolicyDocument"]["Statement"]:
                        resources = statement["Resource"]
                        actions = statement["Action"]
                        for r in resources if isinstance(resources, list) else [resources]:
                            self.assertIsInstance(r, dict, f"{r} is not a reference")
                            self.assertNotIn("*", str(r))
                        for a in actions if isinstance(actions, list) else [actions]:
                            self.assertNotIn("*", a)

    def test_the_function_that_faces_the_internet_reads_one_secret(self):
        statements = RESOURCES["FulfillRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        secrets = [s["Resource"] for s in statements if "secretsmanager:GetSecretValue" in s["Action"]]
        self.assertEqual(secrets, [{"Fn::GetAtt": ["WebhookSecret", "Id"]}])

    def test_what_must_survive_the_stack_is_retained(self):
        for name in ["OrdersTable", "OrdersKey", "WebhookSecret", "WhmcsSecret", "SalesforceSecret", "StatusPushDeadLetters"]:
            with self.subTest(name):
                self.assertEqual(RESOURCES[name]["DeletionPolicy"], "Retain")
                self.assertEqual(RESOURCES[name]["UpdateReplacePolicy"], "Retain")

    def test_the_signing_secret_is_not_made_anew(self):
        # CloudFormation makes a new secret when any of this changes, and
        # Salesforce is cut off.
        self.assertEqual(
            RESOURCES["WebhookSecret"]["Properties"]["GenerateSecretString"],
            {"PasswordLength": 64, "ExcludePunctuation": True},
        )

    def test_the_stream_has_two_readers(self):
        stream = {"Fn::GetAtt": ["OrdersTable", "StreamArn"]}
        readers = [n for n, r in of_type("AWS::Lambda::EventSourceMapping").items() if r["Properties"]["EventSourceArn"] == stream]
        readers += [n for n, r in of_type("AWS::Pipes::Pipe").items() if r["Properties"]["Source"] == stream]
        self.assertEqual(len(readers), 2, readers)

    def test_a_message_stays_hidden_longer_than_a_worker_can_live(self):
        hidden = RESOURCES["WorkQueue"]["Properties"]["VisibilityTimeout"]
        self.assertEqual(hidden, RESOURCES["ProvisionFunction"]["Properties"]["Timeout"] + 30)

    def test_an_api_that_would_lose_its_routes_does_not_deploy(self):
        apis = of_type("AWS::ApiGatewayV2::Api")
        self.assertEqual(len(apis), 2)
        for name, api in apis.items():
            with self.subTest(name):
                if "Body" in api["Properties"]:
                    self.assertIs(api["Properties"]["FailOnWarnings"], True)

    def test_every_portal_route_is_authorized(self):
        routes = of_type("AWS::ApiGatewayV2::Route")
        self.assertTrue(routes)
        for name, route in routes.items():
            with self.subTest(name):
                self.assertEqual(route["Properties"]["AuthorizationType"], {"Fn::If": ["HasPortalIssuer", "JWT", "AWS_IAM"]})

    def test_every_function_has_an_alarm_and_a_log_that_ends(self):
        for metric in ["Errors", "Duration"]:
            watched = {
                d["Value"]["Ref"]: a["Properties"]["Threshold"]
                for a in of_type("AWS::CloudWatch::Alarm").values()
                if a["Properties"].get("MetricName") == metric
                for d in a["Properties"]["Dimensions"]
            }
            self.assertEqual(set(watched), set(FUNCTIONS))
        for name, threshold in watched.items():
            with self.subTest(name):
                self.assertEqual(threshold, 0.9 * 1000 * RESOURCES[name]["Properties"]["Timeout"])
        for name in FUNCTIONS:
            log = RESOURCES[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            self.assertGreater(RESOURCES[log]["Properties"]["RetentionInDays"], 0)

    def test_no_alarm_watches_more_metrics_than_cloudwatch_takes(self):
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            with self.subTest(name):
                self.assertLessEqual(sum("MetricStat" in m for m in alarm["Properties"].get("Metrics", [])), 10)

    def test_alarms_are_told_and_say_what_to_do(self):
        told = [{"Fn::If": ["OwnsAlarmTopic", {"Ref": "OwnAlarmTopic"}, {"Ref": "AlarmTopic"}]}]
        alarms = of_type("AWS::CloudWatch::Alarm") | of_type("AWS::CloudWatch::CompositeAlarm")
        parts = {part for a in alarms.values() for part in re.findall(r"\$\{(\w+)\}", str(a["Properties"].get("AlarmRule", "")))}
        self.assertEqual(len(parts), 8)
        for name, alarm in alarms.items():
            with self.subTest(name):
                p = alarm["Properties"]
                # A part of an objective tells nobody by itself.
                self.assertEqual(p.get("AlarmActions"), None if name in parts else told)
                self.assertIn(p.get("OKActions"), [None, told])
                self.assertIn("(runbook: ", p["AlarmDescription"])
                self.assertLessEqual(len(p["AlarmDescription"]), 1024)
                if name not in parts:
                    self.assertIn(" First: ", p["AlarmDescription"])
                    self.assertIn(f"(runbook: {name})", p["AlarmDescription"])

    def test_an_alarm_says_that_it_ended_only_where_it_watches_a_state(self):
        # Counters and rates go back when nothing happens any more, and so does
        # a system that stands still.
        counters = {"NeedsMending"}  # written by every tick while the cause lasts
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            p = alarm["Properties"]
            if "MetricName" in p and name not in counters:
                with self.subTest(name):
                    gauge = p["Statistic"] in ("Maximum", "Minimum") and p["MetricName"] != "Duration" or p["MetricName"] == "Tick"
                    self.assertEqual("OKActions" in p, gauge)
            elif "OKActions" in p:
                self.assertIn(name, counters)

    def test_an_alarm_does_not_hear_another_stack(self):
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            p = alarm["Properties"]
            for m in [p, *(q["MetricStat"]["Metric"] for q in p.get("Metrics", []) if "MetricStat" in q)]:
                if "MetricName" not in m:
                    continue
                with self.subTest(f"{name} {m['MetricName']}"):
                    values = [d["Value"] for d in m.get("Dimensions", [])]
                    self.assertTrue(
                        {"Ref": "AWS::StackName"} in values
                        or "AWS::StackName" in str(m["Namespace"])
                        or any(isinstance(v, dict) for v in values)
                    )

    def test_429_is_counted_as_the_access_logs_write_it(self):
        filters = of_type("AWS::Logs::MetricFilter")
        self.assertEqual(len(filters), 2)
        stages = [r["Properties"]["AccessLogSettings"]["Format"] for r in of_type("AWS::ApiGatewayV2::Stage").values()]
        self.assertEqual(len(stages), 2)
        for format in stages:
            self.assertIn('"status":"$context.status"', format)
        for name, f in filters.items():
            with self.subTest(name):
                self.assertEqual(f["Properties"]["FilterPattern"], '{ $.status = "429" }')

    def test_the_topic_can_be_written_by_cloudwatch(self):
        # With alias/aws/sns CloudWatch drops its messages without a word.
        self.assertEqual(RESOURCES["OwnAlarmTopic"]["Properties"]["KmsMasterKeyId"], {"Ref": "AlarmKey"})
        allowed = [
            s["Action"]
            for s in RESOURCES["AlarmKey"]["Properties"]["KeyPolicy"]["Statement"]
            if s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        ]
        self.assertEqual(allowed, [["kms:Decrypt", "kms:GenerateDataKey*"]])

    def test_the_dashboard_is_json_and_shows_every_alarm_first(self):
        body = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
        first = body["widgets"][0]
        self.assertEqual(first["type"], "alarm")
        shown = re.findall(r"\$\{(\w+)\.Arn\}", str(first["properties"]["alarms"]))
        alarms = of_type("AWS::CloudWatch::Alarm") | of_type("AWS::CloudWatch::CompositeAlarm")
        # An alarm under a condition may not be there.
        self.assertCountEqual(shown, [n for n, a in alarms.items() if "AlarmActions" in a["Properties"] and "Condition" not in a])

    def test_a_security_alarm_that_cannot_be_posted_is_kept_and_told(self):
        rule = RESOURCES["SecurityAlertRule"]["Properties"]
        watched = {arn["Fn::GetAtt"][0] for arn in rule["EventPattern"]["resources"]}
        self.assertIn("SecurityEvents", watched)
        self.assertLessEqual(watched, set(of_type("AWS::CloudWatch::Alarm")))
        [target] = rule["Targets"]
        queue = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        [statement] = RESOURCES["SecurityAlertDeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        self.assertEqual(statement["Resource"], {"Fn::GetAtt": [queue, "Arn"]})
        depth = {"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}
        self.assertIn([depth], [a["Properties"].get("Dimensions") for a in of_type("AWS::CloudWatch::Alarm").values()])
        for name in ["SecurityAlertWebhook", "SecurityAlertHeaderValue"]:
            self.assertIs(SOURCE["Parameters"][name]["NoEcho"], True)

    def test_every_parameter_is_used_and_described(self):
        text = (ROOT / "template.yaml").read_text()
        text = text[text.index("\nRules:"):]
        for name, parameter in SOURCE["Parameters"].items():
            with self.subTest(name):
                self.assertRegex(text, rf"!Ref {name}\b")
                self.assertTrue(parameter.get("Description"))
                self.assertIn("Default", parameter)


if __name__ == "__main__":
    sys.exit(unittest.main())
