"""One deployed stack, and what acts in its roles' names on AWS.

ministack runs the functions under their roles. Pipes, Lambda's readers of
queues and streams, Scheduler and Lambda's log writer it has not, or it runs them
without a role. They are played here, by the real API and with the credentials of
the role that the template gives them, so that a permission they need is missed.
"""

import base64
import datetime
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from emulator import LIMIT, REGION, ROOT
from walk import request  # contract/walk.py

PROJECT = Path(__file__).resolve().parents[2]
SAMCONFIG = PROJECT / "samconfig.toml"
# What Scheduler sends where a schedule has no input.
SCHEDULED = json.loads((PROJECT / "events/provision-clock.json").read_text())

# Managed policies for people, outputs of the stack.
PEOPLE = ("ReaderPolicy", "OperatorPolicy")


class Wrong(Exception):
    """A step did not come to what it must come to."""


class Grant(NamedTuple):
    """One action on one resource."""

    holder: str  # a role or a managed policy
    action: str
    resource: str
    document: dict  # as it is
    rest: dict  # without this
    put: Callable  # makes a document the policy


def matches(pattern, value):
    """Whether an EventBridge pattern of names and lists of exact texts matches."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(matches(p, value.get(name)) for name, p in pattern.items())
    if not all(isinstance(p, str) for p in pattern):
        raise NotImplementedError(f"pattern {pattern} is not a list of texts")
    return value in pattern


def filled(template, record):
    """A pipe's input template with the record's values in it."""
    def value(m):
        v = record
        for name in m.group(1).split("."):
            v = v[name]
        return json.dumps(v)[1:-1]
    return re.sub(r"<\$\.([^>]*)>", value, template)


def plain(v):
    """A record of a stream as Lambda hands it on."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, datetime.datetime):
        return v.timestamp()
    if isinstance(v, bytes):
        return base64.b64encode(v).decode()
    return v


class Stack:
    def __init__(self, emulator, environment, local):
        self.emulator, self.environment, self.local = emulator, environment, local
        self.name = f"orderbridge-{environment}"  # as samconfig.toml says
        self.root = {}
        self.positions = {}  # of each reader of the stream

    # ---- deploy -----------------------------------------------------------------

    def sam(self, sam, work, *args):
        env = {
            "PATH": os.environ["PATH"], "HOME": str(work), "SAM_CLI_TELEMETRY": "0", "AWS_ENDPOINT_URL": self.emulator.url,
            "AWS_ACCESS_KEY_ID": ROOT["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": ROOT["SecretAccessKey"], "AWS_DEFAULT_REGION": REGION,
        }
        done = subprocess.run([sam, *args], env=env, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * LIMIT, check=False)
        if done.returncode:
            raise SystemExit(f"sam {' '.join(args)} failed:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")

    def deploy(self, sam, template, work, parameters):
        self.sam(sam, work, "deploy", "--config-file", str(SAMCONFIG), "--config-env", self.environment, "--template-file", str(template),
                 "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *(f"{k}={v}" for k, v in parameters.items()))
        self.read()
        self.route()
        self.fill()
        self.trust()

    def delete(self, sam, work):
        self.sam(sam, work, "delete", "--stack-name", self.name, "--no-prompts")

    def aws(self, service):
        if service not in self.root:
            self.root[service] = self.emulator.client(service)
        return self.root[service]

    def read(self):
        """Reads from the running stack what was made of the template."""
        formation = self.aws("cloudformation")
        self.physical, self.types = {}, {}
        for page in formation.get_paginator("list_stack_resources").paginate(StackName=self.name):
            for r in page["StackResourceSummaries"]:
                self.physical[r["LogicalResourceId"]], self.types[r["LogicalResourceId"]] = r["PhysicalResourceId"], r["ResourceType"]
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in formation.describe_stacks(StackName=self.name)["Stacks"][0]["Outputs"]}
        processed = formation.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]
        self.processed = json.loads(processed) if isinstance(processed, str) else processed
        self.table = self.outputs["TableName"]
        self.stream = self.aws("dynamodb").describe_table(TableName=self.table)["Table"]["LatestStreamArn"]
        self.callout_url = f"{self.emulator.url}/_aws/execute-api/{self.physical['CalloutApi']}/$default"
        self.portal_url = f"{self.emulator.url}/_aws/execute-api/{self.physical['PortalApi']}/$default"
        self.mappings = {}
        for name in self.of_type("AWS::Lambda::EventSourceMapping"):
            m = self.aws("lambda").get_event_source_mapping(UUID=self.physical[name])
            self.mappings["stream" if ":dynamodb:" in m["EventSourceArn"] else "queue"] = m

    def of_type(self, kind):
        return [name for name, t in self.types.items() if t == kind]

    def named(self):
        """The names of the stack's resources, but for those that count within another resource."""
        within = {"AWS::ApiGatewayV2::Stage", "AWS::AppConfig::HostedConfigurationVersion"}
        return {p for name, p in self.physical.items() if self.types[name] not in within}

    def route(self):
        """ministack makes no routes of an API's OpenAPI body: they are made as the body says."""
        gateway, api = self.aws("apigatewayv2"), self.physical["CalloutApi"]
        if gateway.get_routes(ApiId=api)["Items"]:
            raise SystemExit("CalloutApi has routes: what makes them here is no longer needed")
        for path, methods in self.processed["Resources"]["CalloutApi"]["Properties"]["Body"]["paths"].items():
            for method, route in methods.items():
                uri = json.dumps(route["x-amazon-apigateway-integration"]["uri"])
                function = next(n for n in self.of_type("AWS::Lambda::Function") if n in uri)
                made = gateway.create_integration(ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0", IntegrationUri=self.arn(function))
                gateway.create_route(ApiId=api, RouteKey=f"{method.upper()} {path}", Target=f"integrations/{made['IntegrationId']}")

    def arn(self, function):
        return self.aws("lambda").get_function(FunctionName=self.physical[function])["Configuration"]["FunctionArn"]

    def fill(self):
        """Fills the two secrets as the administrator does, with what the simulators take."""
        for name, value in self.local.secrets():
            self.aws("secretsmanager").put_secret_value(SecretId=self.outputs[name], SecretString=value)

    # ---- roles -------------------------------------------------------------------

    def as_role(self, arn, service):
        """A client with a role's credentials."""
        given = self.aws("sts").assume_role(RoleArn=arn, RoleSessionName="deploytest")["Credentials"]
        return self.emulator.client(service, given)

    def trust(self):
        """Lets what is played here take the roles. Whom the template's roles trust is not shown by this run."""
        iam = self.aws("iam")
        for role in self.of_type("AWS::IAM::Role"):
            document = iam.get_role(RoleName=self.physical[role])["Role"]["AssumeRolePolicyDocument"]
            document["Statement"] = [*document["Statement"], {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
            iam.update_assume_role_policy(RoleName=self.physical[role], PolicyDocument=json.dumps(document))

    def role_of(self, function):
        return self.aws("lambda").get_function(FunctionName=function)["Configuration"]["Role"]

    def grants(self):
        """Each action on each resource that each role allows, with the policy that remains without it."""
        for role in self.of_type("AWS::IAM::Role"):
            iam, name = self.aws("iam"), self.physical[role]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for action, resource, rest in smaller(document):
                    yield Grant(role, action, resource, document, rest, lambda d, role=role, policy=policy: self.set_policy(role, policy, d))

    def grants_of_people(self):
        """The same of the managed policies for people."""
        for name in PEOPLE:
            policy = self.aws("iam").get_policy(PolicyArn=self.outputs[name])["Policy"]
            document = self.aws("iam").get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]["Document"]
            for action, resource, rest in smaller(document):
                yield Grant(name, action, resource, document, rest, lambda d, arn=policy["Arn"]: self.set_managed(arn, d))

    def set_managed(self, arn, document):
        iam = self.aws("iam")
        before = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
        iam.delete_policy_version(PolicyArn=arn, VersionId=before)  # IAM keeps five

    def user(self, name, policies=(), document=None):
        """The access key of a new user who has managed policies of the stack, or one of its own."""
        iam, name = self.aws("iam"), f"{self.name}-{name}"
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=self.outputs[policy])
        if document:
            iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(document))
        return {**iam.create_access_key(UserName=name)["AccessKey"], "SessionToken": None}

    def logical(self, arn):
        """An ARN by the template's name of what it is about, and what follows."""
        found = []
        for name, physical in self.physical.items():
            own = physical.rpartition("/")[2] if physical.startswith("http") else physical
            if len(own) > len("$default") and own in arn and self.types[name] != "AWS::IAM::Role":
                found.append((len(own), name, arn.partition(own)[2]))
        if not found:
            return arn
        _, name, rest = max(found)
        return name + rest if rest[:1] in ("/", ":") else name

    def set_policy(self, role, policy, document):
        where = {"RoleName": self.physical[role], "PolicyName": policy}
        if document["Statement"]:
            self.aws("iam").put_role_policy(**where, PolicyDocument=json.dumps(document))
        else:
            self.aws("iam").delete_role_policy(**where)

    # ---- what acts in a role's name ----------------------------------------------

    def own_ways(self, on):
        """Lets ministack's own readers and clock work, or only those played here."""
        for m in self.mappings.values():
            self.aws("lambda").update_event_source_mapping(UUID=m["UUID"], Enabled=on)
        for name in self.of_type("AWS::Scheduler::Schedule"):
            s = self.schedule(name)
            self.aws("scheduler").update_schedule(
                Name=s["Name"], GroupName=s["GroupName"], ScheduleExpression=s["ScheduleExpression"],
                FlexibleTimeWindow=s["FlexibleTimeWindow"], Target=s["Target"], State="ENABLED" if on else "DISABLED")

    def schedule(self, name):
        group, _, plain_name = self.physical[name].rpartition("|")
        return self.aws("scheduler").get_schedule(Name=plain_name, **({"GroupName": group} if group else {}))

    def records(self, reader, role):
        """What is new in the stream for one of its readers, read under its role."""
        streams = self.as_role(role, "dynamodbstreams")
        streams.list_streams(TableName=self.table)  # both readers are to be allowed it (Lambda and EventBridge guides)
        found = []
        for shard in streams.describe_stream(StreamArn=self.stream)["StreamDescription"]["Shards"]:
            at = self.positions.get((reader, shard["ShardId"]))
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": at} if at else {"ShardIteratorType": "TRIM_HORIZON"}
            iterator = streams.get_shard_iterator(StreamArn=self.stream, ShardId=shard["ShardId"], **where)["ShardIterator"]
            while iterator:
                got = streams.get_records(ShardIterator=iterator)
                if not got["Records"]:
                    break
                found += got["Records"]
                self.positions[reader, shard["ShardId"]] = got["Records"][-1]["dynamodb"]["SequenceNumber"]
                iterator = got.get("NextShardIterator")
        return [plain(r) for r in found]

    @staticmethod
    def let_through(criteria, records):
        patterns = [json.loads(f["Pattern"]) for f in criteria["Filters"]]
        return [r for r in records if any(matches(p, r) for p in patterns)]

    def pipe(self):
        """WorkPipe: from the stream to the queue. DescribePipe of ministack leaves the filter and the template out."""
        p = self.processed["Resources"]["WorkPipe"]["Properties"]
        role = self.aws("iam").get_role(RoleName=self.physical["WorkPipeRole"])["Role"]["Arn"]
        found = self.let_through(p["SourceParameters"]["FilterCriteria"], self.records("pipe", role))
        if found:
            queue = self.as_role(role, "sqs")
            for r in found:
                queue.send_message(QueueUrl=self.outputs["WorkQueueUrl"], MessageBody=filled(p["TargetParameters"]["InputTemplate"], r))

    def invoke(self, function, event, client=None):
        got = (client or self.aws("lambda")).invoke(FunctionName=function, Payload=json.dumps(event).encode())
        answer = got["Payload"].read()
        if got.get("FunctionError"):
            raise Wrong(f"{function} failed: {answer.decode(errors='replace')[:300]}")
        return json.loads(answer or b"null")

    def work(self):
        """Lambda's reader of the work queue, under ProvisionFunction's role, until the queue is empty."""
        m = self.mappings["queue"]
        queue = self.as_role(self.role_of(m["FunctionArn"]), "sqs")
        url = self.outputs["WorkQueueUrl"]
        queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        while got := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=1, AttributeNames=["All"]).get("Messages"):
            message = got[0]
            self.invoke(m["FunctionArn"], {"Records": [{
                "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                "attributes": message.get("Attributes", {}), "messageAttributes": {}, "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs", "eventSourceARN": m["EventSourceArn"], "awsRegion": REGION}]})
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def push(self):
        """Lambda's reader of the stream, under StatusPushFunction's role."""
        m = self.mappings["stream"]
        found = self.let_through(m["FilterCriteria"], self.records("push", self.role_of(m["FunctionArn"])))
        if found:
            answer = self.invoke(m["FunctionArn"], {"Records": found})
            if (answer or {}).get("batchItemFailures"):
                raise Wrong(f"StatusPushFunction gave records back: {answer}")

    def ticks(self):
        """Scheduler: every schedule of the stack once, under the role that it has."""
        for name in self.of_type("AWS::Scheduler::Schedule"):
            target = self.schedule(name)["Target"]
            event = json.loads(target["Input"]) if target.get("Input") else SCHEDULED
            answer = self.invoke(target["Arn"], event, self.as_role(target["RoleArn"], "lambda"))
            if isinstance(answer, dict) and "error_code" in answer:
                raise Wrong(f"{name}: {answer}")

    def deploy_check(self):
        """CodeDeploy's hook, under its role: every version is asked whether it can work."""
        role = self.aws("iam").get_role(RoleName=self.physical["DeploymentRole"])["Role"]["Arn"]
        return self.invoke(self.physical["DeployCheckFunction"], {}, self.as_role(role, "lambda"))

    def logs(self):
        """Lambda's log writer, under each function's role."""
        for name in self.of_type("AWS::Lambda::Function"):
            c = self.aws("lambda").get_function(FunctionName=self.physical[name])["Configuration"]
            logs, where = self.as_role(c["Role"], "logs"), {"logGroupName": c["LoggingConfig"]["LogGroup"], "logStreamName": f"deploytest-{time.time_ns()}"}
            logs.create_log_stream(**where)
            logs.put_log_events(**where, logEvents=[{"timestamp": time.time_ns() // 1_000_000, "message": "START"}])

    def portal(self, order, key=None):
        """What the portal's back end gets, signed with SigV4 by an access key, or not signed."""
        url = f"{self.portal_url}/orders/{order}"
        r = AWSRequest(method="GET", url=url)
        if key:
            SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "execute-api", REGION).add_auth(r)
        return request(self.emulator.url, "GET", url.removeprefix(self.emulator.url), list(r.headers.items()))


def smaller(document):
    """A policy without one action on one resource, for each of them."""
    from patches import ASKED_AS, listed

    for i, statement in enumerate(document["Statement"]):
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        names_of_the_emulator = {m for more in ASKED_AS.values() for m in more}
        for action in actions:
            if action in names_of_the_emulator:
                continue
            gone = {action, *ASKED_AS.get(action, [])}
            for resource in resources:
                parts = [{**statement, "Action": [a for a in actions if a not in gone]},
                         {**statement, "Action": sorted(gone), "Resource": [r for r in resources if r != resource]}]
                kept = [p for p in parts if p["Action"] and p["Resource"]]
                yield action, resource, {**document, "Statement": [*document["Statement"][:i], *kept, *document["Statement"][i + 1:]]}
