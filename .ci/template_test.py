"""Checks of the template that no linter makes, on what the SAM transform makes of it."""

import os
import re
import sys
import tomllib
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parent.parent
SOURCE = yaml_parse((ROOT / "template.yaml").read_text())


def transformed(**parameters):
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    # transform changes what it is given, and wants the code to be uploaded.
    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return transform(template, parameters, {})


RESULT = transformed()
RESOURCES = RESULT["Resources"]
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())

FUNCTIONS = {
    "FulfillFunction": "Fulfill",
    "ProvisionFunction": "Provision",
    "StatusPushFunction": "StatusPush",
    "StatusFunction": "Status",
}
# Policies that a parameter switches on: their actions know no resources.
OPTIONAL_POLICIES = {"NetworkPolicy", "TracingPolicy"}
# Resources with a wildcard, and why there is no narrower one.
WIDE_RESOURCES = {
    **{f"${{{name}.Arn}}:*": "the version that is checked gets its number when it is published" for name in FUNCTIONS},
    "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:${AWS::StackName}-ServerlessDeploymentApplication-*":
        "the transform makes the application, and only with DeploymentCheck",
    "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*": "CodeDeploy asks for its alarms; it only reads",
}
# What a resource is called inside another one: no second stack can take it.
INNER_NAMES = {"AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Alias", "AWS::ApiGatewayV2::DomainName"}
ENDPOINTS = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SQS"}


def of_type(kind):
    return {name: r for name, r in RESOURCES.items() if r["Type"] == kind}


def parts(value):
    """Every object inside a value, and the value itself."""
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from parts(child)


def named(value):
    """The names that Ref, Sub and GetAtt in a value refer to, those of the conditions that it uses too."""
    found = set()
    for v in parts(value):
        if not isinstance(v, dict):
            continue
        if "Ref" in v:
            found.add(v["Ref"])
        if isinstance(v.get("Fn::Sub"), str):
            found |= set(re.findall(r"\$\{(\w+)[.}]", v["Fn::Sub"]))
        if "Fn::GetAtt" in v:
            found.add(v["Fn::GetAtt"][0])
        if "Fn::If" in v:
            found |= named(SOURCE["Conditions"][v["Fn::If"][0]])
    return found


def holds(rule, given):
    """Whether a condition of a rule holds for parameters. (CloudFormation User Guide, "Rule-specific intrinsic functions".)"""
    (function, value), = rule.items()
    def known(v):
        return given[v["Ref"]] if isinstance(v, dict) else v
    if function == "Fn::Not":
        return not holds(value[0], given)
    if function == "Fn::Equals":
        return known(value[0]) == known(value[1])
    if function == "Fn::EachMemberEquals":
        return all(v == value[1] for v in known(value[0]).split(","))
    raise ValueError(f"{function} is not known here")


def refused(**parameters):
    """What the rules of the template say against parameters."""
    given = {name: str(p["Default"]) for name, p in SOURCE["Parameters"].items()} | parameters
    return [
        a["AssertDescription"]
        for rule in SOURCE["Rules"].values()
        if "RuleCondition" not in rule or holds(rule["RuleCondition"], given)
        for a in rule["Assertions"]
        if not holds(a["Assert"], given)
    ]


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

    def test_the_check_of_a_deployment_is_given_what_it_reads(self):
        given = set(RESOURCES["DeployCheckFunction"]["Properties"]["Environment"]["Variables"])
        self.assertLessEqual(read_by_config("DeployCheck"), given)

    def test_parameters_that_contradict_each_other_are_refused(self):
        systems = {"WhmcsApiUrl": "https://w", "SfLoginUrl": "https://s"}
        callout = {"CalloutDomain": "c.example.com", "CertificateArn": "arn"}
        portal = {"PortalDomain": "p.example.com", "PortalCertificateArn": "arn"}
        network = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"}
        token = {"PortalIssuer": "https://i", "PortalAudience": "a"}
        for good in ({}, callout, {**callout, "TruststoreUri": "s3://b/t"}, portal, network, {**network, "VpcFunctions": "all"}, token, {**callout, **portal}):
            with self.subTest(good):
                self.assertEqual(refused(**systems, **good), [])
        for whole, keep in ((callout, "CalloutDomain"), (callout, "CertificateArn"), (portal, "PortalDomain"), (portal, "PortalCertificateArn"),
                            (network, "VpcSubnetIds"), (network, "VpcSecurityGroupIds"), (token, "PortalIssuer"), (systems, "WhmcsApiUrl"), (systems, "SfLoginUrl")):
            with self.subTest(f"{keep} alone"):
                base = {} if whole is systems else systems
                self.assertEqual(len(refused(**base, **{keep: whole[keep]})), 1)
        for bad in ({"TruststoreUri": "s3://b/t"}, {"VpcFunctions": "all"}, {**callout, **portal, "PortalDomain": "c.example.com"}):
            with self.subTest(bad):
                self.assertEqual(len(refused(**systems, **bad)), 1)

    def test_what_a_person_looks_for_is_an_output(self):
        values = [o["Value"] for o in RESULT["Outputs"].values()]
        for name in [*of_type("AWS::Logs::LogGroup"), "CalloutApi", "PortalApi", "DeployCheckFunction"]:
            with self.subTest(name):
                self.assertIn({"Ref": name}, values)

    def test_policies_that_know_no_resources_are_switched_on_by_a_parameter(self):
        for name, condition in (("NetworkPolicy", "HasVpc"), ("TracingPolicy", "HasTracing")):
            self.assertEqual(RESOURCES[name]["Condition"], condition)
        allowed, denied = RESOURCES["NetworkPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        self.assertEqual((allowed["Effect"], denied["Effect"], denied["Action"]), ("Allow", "Deny", allowed["Action"]))
        self.assertIn("lambda:SourceFunctionArn", str(denied["Condition"]), "else Lambda could not make the interfaces")

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
                for arn in role["Properties"].get("ManagedPolicyArns", []):
                    self.assertIn(arn["Fn::If"][1]["Ref"], OPTIONAL_POLICIES, "managed policies of AWS hold wildcards")
                for policy in role["Properties"].get("Policies", []):
                    for statement in policy["PolicyDocument"]["Statement"]:
                        resources = statement["Resource"]
                        actions = statement["Action"]
                        for r in resources if isinstance(resources, list) else [resources]:
                            self.assertIsInstance(r, dict, f"{r} is not a reference")
                            if r.get("Fn::Sub") not in WIDE_RESOURCES:
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
                # A rollback cannot delete a protected table, and would fail.
                policy = "Retain" if name == "OrdersTable" else "RetainExceptOnCreate"
                self.assertEqual(RESOURCES[name]["DeletionPolicy"], policy)
                self.assertEqual(RESOURCES[name]["UpdateReplacePolicy"], "Retain")
        for name, log in of_type("AWS::Logs::LogGroup").items():
            with self.subTest(name):
                self.assertEqual(log["DeletionPolicy"], "RetainExceptOnCreate")

    def test_a_second_stack_finds_no_name_taken(self):
        for name, r in RESOURCES.items():
            own = r["Type"].split("::")[-1] + "Name"
            for key, value in r["Properties"].items():
                if key in ("Name", own, "GroupName", "RoleName", "PolicyName", "ManagedPolicyName") and r["Type"] not in INNER_NAMES:
                    with self.subTest(f"{name} {key}"):
                        self.assertIn("AWS::StackName", str(value), "a fixed name is taken by one stack alone")

    def test_a_changed_parameter_reaches_the_alias(self):
        """Settings has every parameter that a function is made of: else its version would not be replaced."""
        kept = named(RESOURCES["Settings"]["Properties"]["Content"])
        for name in FUNCTIONS:
            function, versions = RESOURCES[name]["Properties"], [r for n, r in RESOURCES.items() if n.startswith(name + "Version")]
            with self.subTest(name):
                self.assertEqual(named(function) & set(SOURCE["Parameters"]) - kept, set(), "to be added to Settings")
                self.assertIn("${Settings}", function["Description"]["Fn::Sub"])
                self.assertEqual([v["Properties"]["Description"]["Fn::Sub"] for v in versions], ["settings ${Settings}"])

    def test_nothing_invokes_a_function_but_by_its_alias(self):
        for name in FUNCTIONS:
            for other, r in RESOURCES.items():
                properties = r["Properties"]
                with self.subTest(f"{other} {name}"):
                    if r["Type"] in ("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"):
                        self.assertNotEqual(properties["FunctionName"], {"Ref": name})
                    elif r["Type"] == "AWS::Lambda::EventInvokeConfig":
                        self.assertEqual(properties["Qualifier"], "live")
                    elif r["Type"] == "AWS::Scheduler::Schedule":
                        self.assertNotEqual(named(properties["Target"]["Arn"]), {name})
                    elif r["Type"] in ("AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Api"):
                        self.assertNotIn(name, named(properties))
            self.assertNotIn({"Ref": name}, [o["Value"] for o in RESULT["Outputs"].values()])

    def test_each_version_is_checked_before_it_gets_traffic(self):
        versions = RESOURCES["DeployCheckFunction"]["Properties"]["Environment"]["Variables"]["CHECKED_VERSIONS"]["Fn::Join"][1]
        self.assertEqual({re.sub("Version[0-9a-f]+$", "", v["Ref"]) for v in versions}, set(FUNCTIONS))
        for name in FUNCTIONS:
            with self.subTest(name):
                policy = RESOURCES[name + "Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
                self.assertEqual(policy["BeforeAllowTrafficHook"], {"Ref": "DeployCheckFunction"})

    def test_without_the_check_an_alias_moves_at_once(self):
        resources = transformed(DeploymentCheck="false")["Resources"]
        self.assertFalse([n for n, r in resources.items() if r["Type"].startswith("AWS::CodeDeploy::")])
        for name in FUNCTIONS:
            self.assertNotIn("UpdatePolicy", resources[name + "Aliaslive"])

    def test_only_a_deployment_in_steps_watches_an_alarm(self):
        # One that moves at once would not go back, but be refused while it rings.
        for name in FUNCTIONS:
            with self.subTest(name):
                watched = RESOURCES[name + "DeploymentGroup"]["Properties"]["AlarmConfiguration"]["Fn::If"]
                self.assertEqual(watched, ["MovesInSteps", {"Enabled": True, "Alarms": [{"Name": {"Ref": "LiveErrors"}}]}, {}])

    def test_with_a_truststore_there_is_no_second_door(self):
        servers = RESOURCES["CalloutApi"]["Properties"]["Body"]["servers"]
        self.assertEqual(
            [s["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] for s in servers],
            [{"Fn::If": ["HasTruststore", True, False]}],
        )
        self.assertEqual(RESOURCES["CalloutDomainName"]["Properties"]["MutualTlsAuthentication"]["Fn::If"][0], "HasTruststore")

    def test_each_environment_can_be_deployed(self):
        for name in ("local", "staging", "production"):
            with self.subTest(name):
                deploy = CONFIG[name]["deploy"]["parameters"]
                given = dict(o.split("=", 1) for o in deploy["parameter_overrides"])
                self.assertLessEqual(set(given), set(SOURCE["Parameters"]))
                self.assertLessEqual({"WhmcsApiUrl", "SfLoginUrl"}, set(given))
                self.assertEqual(deploy["capabilities"], "CAPABILITY_IAM")
                self.assertIn(f"environment={name}", deploy["tags"])
        stacks = [CONFIG[name]["deploy"]["parameters"]["stack_name"] for name in ("local", "staging", "production")]
        self.assertEqual(len(set(stacks)), 3)
        self.assertTrue(CONFIG["production"]["deploy"]["parameters"]["confirm_changeset"])

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
        watched = {
            d["Value"]["Ref"]
            for a in of_type("AWS::CloudWatch::Alarm").values()
            if a["Properties"].get("MetricName") == "Errors"
            for d in a["Properties"]["Dimensions"]
        }
        self.assertEqual(watched, set(FUNCTIONS))
        for name in FUNCTIONS:
            log = RESOURCES[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            self.assertGreater(RESOURCES[log]["Properties"]["RetentionInDays"], 0)

    def test_every_code_for_a_person_to_review_raises_an_alarm(self):
        # go test ./shared/fault holds these headings equal to the table of codes.
        review = set(re.findall(r"^### (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.M))
        self.assertGreaterEqual(len(review), 9)
        alarmed = {
            d["Value"]
            for m in RESOURCES["NeedsAPerson"]["Properties"]["Metrics"]
            if "MetricStat" in m
            for d in m["MetricStat"]["Metric"]["Dimensions"]
            if d["Name"] == "code"
        }
        # What a person decided needs no alarm.
        self.assertEqual(alarmed, review - {"stopped_in_whmcs"})

    def test_no_alarm_watches_more_metrics_than_cloudwatch_takes(self):
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            with self.subTest(name):
                self.assertLessEqual(sum("MetricStat" in m for m in alarm["Properties"].get("Metrics", [])), 10)

    def test_alarms_watch_metrics_that_are_written(self):
        sources = [p.read_text() for d in ("functions", "shared") for p in (ROOT / d).rglob("*.go") if not p.name.endswith("_test.go")]
        written = set(re.findall(r'"([A-Z][A-Za-z]+)"', "\n".join(sources)))
        # functions/provision writes Run + the name of the end.
        ends = "\n".join(p.read_text() for p in (ROOT / "shared/provision").glob("*.go"))
        written |= {"Run" + e.title().replace("_", "") for e in re.findall(r'End = "(\w+)"', ends)}
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            for m in alarm["Properties"].get("Metrics", []):
                metric = m.get("MetricStat", {}).get("Metric", {})
                if metric.get("Namespace") == "orderbridge":
                    with self.subTest(f"{name} {metric['MetricName']}"):
                        self.assertIn(metric["MetricName"], written)

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
