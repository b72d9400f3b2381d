"""Checks of the template that no linter makes, on what the SAM transform makes of it."""

import json
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
INNER_NAMES = {"AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Alias", "AWS::ApiGatewayV2::DomainName", "AWS::AppConfig::ConfigurationProfile"}
# The longest name that a stack may have here, and what AWS allows of the names that hold it
# (API references: CreateApi, CreateTopic, PutQueryDefinition).
LONGEST_STACK = 100
LONGEST = {("AWS::ApiGatewayV2::Api", "Name"): 128, ("AWS::SNS::Topic", "DisplayName"): 100, ("AWS::Logs::QueryDefinition", "Name"): 255}
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


# What the stack works on: its own table, or one that was restored.
RESTORED = {"Ref": "RestoredTableStreamArn"}
TABLE = {
    "": ({"Fn::Select": [1, {"Fn::Split": ["/", RESTORED]}]}, {"Ref": "OrdersTable"}),
    "Arn": ({"Fn::Select": [0, {"Fn::Split": ["/stream/", RESTORED]}]}, {"Fn::GetAtt": ["OrdersTable", "Arn"]}),
    "StreamArn": (RESTORED, {"Fn::GetAtt": ["OrdersTable", "StreamArn"]}),
}


def of_the_table(attribute):
    restored, own = TABLE[attribute]
    return {"Fn::If": ["HasRestoredTable", restored, own]}


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(name):
    """The statements of a role's or a managed policy's policies."""
    p = RESOURCES[name]["Properties"]
    documents = [p["PolicyDocument"]] if "PolicyDocument" in p else [q["PolicyDocument"] for q in p.get("Policies", [])]
    return [s for d in documents for s in d["Statement"]]


def item_grants(all_statements):
    """By action on items of the table, under which conditions they are allowed."""
    grants = {}
    for s in all_statements:
        for action in listed(s["Action"]):
            if re.fullmatch(r"dynamodb:(\*|[A-Za-z]*Item|PartiQL\w+|Scan|Transact\w+)", action):
                grants.setdefault(action, []).append(s.get("Condition", "any item"))
    return grants


def keys(*allowed, **more):
    return [{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(allowed)}, **more}]


# The least that each needs: shared/store's docs say which calls it makes.
ITEM_GRANTS = {
    "FulfillRole": {
        "dynamodb:PutItem": keys("order#*"),
        "dynamodb:UpdateItem": keys("order#*"),
        "dynamodb:GetItem": keys("order#*", "control#whmcs"),
    },
    "ProvisionRole": {"dynamodb:GetItem": keys("order#*", "control#*"), "dynamodb:PutItem": keys("order#*", "control#*")},
    "StatusPushRole": {"dynamodb:GetItem": keys("order#*", "control#salesforce"), "dynamodb:PutItem": keys("order#*", "control#salesforce")},
    "StatusRole": {
        "dynamodb:GetItem": keys(
            "order#*",
            **{
                "ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "state", "account_id", "whmcs_order_id", "opened_at", "updated_at"]},
                "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
            },
        )
    },
    "WorkPipeRole": {},
    "ReaderPolicy": {"dynamodb:GetItem": keys("order#*", "control#*")},
    "OperatorPolicy": {"dynamodb:PutItem": keys("order#*", "control#*")},
}


class Template(unittest.TestCase):
    def test_each_role_reaches_the_items_that_it_needs_and_no_other(self):
        reaching = {n for n in RESOURCES if item_grants(statements(n))}
        self.assertLessEqual(reaching, set(ITEM_GRANTS))
        for name, least in ITEM_GRANTS.items():
            with self.subTest(name):
                self.assertEqual(item_grants(statements(name)), least)

    def test_a_widened_role_is_noticed(self):
        for name, least in ITEM_GRANTS.items():
            for i, statement in enumerate(statements(name)):
                if not item_grants([statement]):
                    continue
                others = statements(name)[:i] + statements(name)[i + 1:]
                wider = [
                    {k: v for k, v in statement.items() if k != "Condition"},
                    {**statement, "Action": listed(statement["Action"]) + ["dynamodb:DeleteItem"]},
                    {**statement, "Condition": keys("*")[0]},
                ]
                for w in wider:
                    with self.subTest(name, statement=w):
                        self.assertNotEqual(item_grants(others + [w]), least)

    def test_the_portal_reads_the_attributes_that_status_asks_for(self):
        code = (ROOT / "shared/store/store.go").read_text()
        struct = code[code.index("type progress struct"):]
        asked = re.findall(r'`json:"(\w+)', struct[: struct.index("\n}\n")])
        (condition,) = ITEM_GRANTS["StatusRole"]["dynamodb:GetItem"]
        self.assertEqual(condition["ForAllValues:StringEquals"]["dynamodb:Attributes"], ["pk"] + asked)

    def test_the_keys_of_the_policies_are_those_of_the_store(self):
        code = (ROOT / "shared/store/keys.go").read_text()
        prefixes = set(re.findall(r'Prefix += "(\w+#)"', code))
        named = {k.split("#")[0] + "#" for g in ITEM_GRANTS.values() for c in g.values() for one in c for k in one["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]}
        self.assertEqual(named, prefixes)

    def test_a_restored_table_is_used_everywhere(self):
        def walk(value, path):
            for attribute in TABLE:
                if value == of_the_table(attribute):
                    return
                self.assertNotEqual(value, TABLE[attribute][1], f"{path} uses the table of the stack even where another was restored")
            if isinstance(value, dict):
                for k, v in value.items():
                    walk(v, f"{path}.{k}")
            elif isinstance(value, list):
                for i, v in enumerate(value):
                    walk(v, f"{path}.{i}")
            elif isinstance(value, str):
                self.assertNotIn("${OrdersTable", value, path)

        for name, resource in {**RESOURCES, **RESULT["Outputs"]}.items():
            if name != "OrdersTable":
                walk(resource, name)

    def test_access_logs_say_who_asked_for_what_and_what_came_of_it(self):
        formats = {n: p["AccessLogSettings"]["Format"] for n, r in RESOURCES.items() if "AccessLogSettings" in (p := r["Properties"])}
        self.assertEqual(len(formats), 2, formats)
        for name, text in formats.items():
            with self.subTest(name):
                line = json.loads(text)
                for variable in ["requestId", "path", "status", "identity.sourceIp", "error.message", "integrationErrorMessage"]:
                    self.assertIn("$context." + variable, line.values())
                if "Portal" in name:
                    for variable in ["authorizer.claims.sub", "identity.userArn", "authorizer.error"]:
                        self.assertIn("$context." + variable, line.values())

    def test_each_function_is_given_exactly_what_it_reads(self):
        for name, struct in FUNCTIONS.items():
            with self.subTest(name):
                given = set(RESOURCES[name]["Properties"]["Environment"]["Variables"])
                # shared/lambdaenv reads the stack's name, for the metrics.
                self.assertEqual(given, read_by_config(struct) | ENDPOINTS | {"STACK_NAME"})

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
                            if str(r.get("Fn::Sub")) not in WIDE_RESOURCES:
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
                        self.assertRegex(str(value), "AWS::Stack(Name|Id)", "a fixed name is taken by one stack alone")

    def test_a_long_name_of_the_stack_fits_where_it_stands(self):
        """Else the first deployment fails after minutes, in the middle."""
        for name, r in RESOURCES.items():
            for key, value in r["Properties"].items():
                if key.endswith("Name") and "AWS::StackName" in str(value):
                    with self.subTest(f"{name} {key}"):
                        text = value.get("Fn::Sub", "${AWS::StackName}")
                        self.assertLessEqual(len(text.replace("${AWS::StackName}", "s" * LONGEST_STACK)), LONGEST[r["Type"], key])

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
        # One that moves at once would not go back, but be refused while it fires.
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
                for parameter, value in given.items():
                    # A value that is still to be replaced is refused.
                    taken = re.fullmatch(SOURCE["Parameters"][parameter].get("AllowedPattern", ".*"), value) is not None
                    self.assertEqual(taken, "<" not in value, f"{parameter}={value}")
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
        stream = of_the_table("StreamArn")
        readers = [n for n, r in of_type("AWS::Lambda::EventSourceMapping").items() if r["Properties"]["EventSourceArn"] == stream]
        readers += [n for n, r in of_type("AWS::Pipes::Pipe").items() if r["Properties"]["Source"] == stream]
        self.assertEqual(len(readers), 2, readers)

    def test_the_clock_knows_its_rate(self):
        every = int(RESOURCES["ProvisionFunction"]["Properties"]["Environment"]["Variables"]["CLOCK_EVERY"])
        rates = [r["Properties"]["ScheduleExpression"] for n, r in of_type("AWS::Scheduler::Schedule").items() if "ClockSchedule" in n]
        self.assertEqual(rates, [f"rate({every // 60000} minute)"])

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
                if name in parts:
                    self.assertNotIn("AlarmActions", p)
                    continue
                self.assertEqual(p["AlarmActions"], told)
                self.assertIn(p.get("OKActions"), [None, told])
                self.assertIn(" First: ", p["AlarmDescription"])
                self.assertIn(f"(runbook: {name})", p["AlarmDescription"])
                self.assertLessEqual(len(p["AlarmDescription"]), 1024)

    def test_an_alarm_says_that_it_ended_only_where_it_watches_a_state(self):
        # Counters and rates go back when nothing happens any more, and so does
        # a system that stands still.
        # NeedsMending is written by every tick while the cause lasts; of ticks,
        # none at all is the state.
        counters = {"NeedsMending", "ClockSilent", "SweepSilent"}
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
            p = alarm["Properties"]
            if "MetricName" in p and name not in counters:
                with self.subTest(name):
                    gauge = p["Statistic"] in ("Maximum", "Minimum") and p["MetricName"] != "Duration"
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

    def test_a_time_says_its_unit_where_sam_deploy_asks_for_it(self):
        groups = SOURCE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        (times,) = [g["Parameters"] for g in groups if g["Label"]["default"] == "Times in seconds"]
        for name in times:
            with self.subTest(name):
                self.assertRegex(SOURCE["Parameters"][name]["Description"], r"^Seconds ")


if __name__ == "__main__":
    sys.exit(unittest.main())
