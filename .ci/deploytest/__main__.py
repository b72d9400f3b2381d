"""Deploys the built template twice onto ministack, with IAM enforced, and uses it.

Called by make deploy-test.

1. Two stacks are deployed by the SAM CLI, each with simulators of WHMCS and
   Salesforce of its own, and each carries an order to Provisioned.
2. In the first one every action on every resource of every role, and of the
   managed policies for people, is taken away in turn, in the running stack.
   Without it an order's journey, or what people do with orderctl, must fail.
3. The first stack is deleted; the second carries another order.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT_FOLDER = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT_FOLDER / "contract"))

import boto3  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from samcli.yamlhelper import yaml_parse  # noqa: E402

from emulator import LIMIT, REGION, ROOT, Emulator  # noqa: E402
from patches import UNSEEN, patched  # noqa: E402
from stack import PEOPLE, Stack, Wrong  # noqa: E402
from walk import System, new_order  # noqa: E402

NOT_FINISHED = 3  # of orderctl


class Vendors:
    """Simulators of WHMCS and Salesforce, those of a local system whose own clock stands still."""

    def __init__(self, bin_folder):
        self.system = System(f"{bin_folder}/local -template {ROOT_FOLDER}/template.yaml -bin {bin_folder}", TICK_EVERY="86400", SCREEN="json")

    def __enter__(self):
        self.walk = self.system.__enter__()
        return self

    def __exit__(self, *args):
        self.system.__exit__(*args)

    def client(self, service):
        return boto3.client(service, region_name=REGION, endpoint_url=self.walk.aws, aws_access_key_id="local", aws_secret_access_key="local")

    def secrets(self):
        """The credentials that the simulators take, by output of the stack."""
        outputs = {o["OutputKey"]: o["OutputValue"] for o in self.client("cloudformation").describe_stacks(StackName="orderbridge")["Stacks"][0]["Outputs"]}
        for name in ("WhmcsSecretId", "SalesforceSecretId"):
            yield name, self.client("secretsmanager").get_secret_value(SecretId=outputs[name])["SecretString"]

    def start(self):
        self.walk.call(self.walk.whmcs, "PUT", "/_sim/clients/1", {"status": "Active"})
        self.walk.call(self.walk.whmcs, "PUT", "/_sim/products/1", {"name": "Hosting", "allowqty": 0})

    def order(self):
        return self.walk.seed(new_order())

    def shown(self, order):
        return self.walk.call(self.walk.sf, "GET", "/_sim/orders/" + order)["fields"]["Provisioning_Status__c"]

    def made(self, order):
        return [o for o in self.walk.call(self.walk.whmcs, "GET", "/_sim/orders") if order in json.dumps(o)]


class Journey:
    """One order from the click to the portal, and what happens beside it."""

    def __init__(self, stack, orderctl, portal_key):
        self.stack, self.vendors, self.orderctl, self.portal_key = stack, stack.local, orderctl, portal_key

    def command(self, *args, codes=(0,), key=ROOT, denied=False):
        env = {
            "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": self.stack.emulator.url, "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"], "API_URL": self.stack.callout_url,
        }
        done = subprocess.run([self.orderctl, *args, "--stack", self.stack.name], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
        said = done.stdout + done.stderr
        # The last: a letter could not be given back, which alone is no failure.
        if done.returncode not in codes or ("aws_denied" in said) != denied or "comes back after" in said:
            raise Wrong(f"orderctl {args[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout

    def must(self, what, got, want):
        if got != want:
            raise Wrong(f"{what} is {got!r}, not {want!r}")

    def provisioned(self, order):
        self.must("the order in Salesforce", self.vendors.shown(order), "Provisioned")
        self.must("the number of its WHMCS orders", len(self.vendors.made(order)), 1)
        self.must("the portal's answer without a signature", self.stack.portal(order).status, 403)
        answer = self.stack.portal(order, self.portal_key)
        self.must("the portal's answer", (answer.status, answer.member("status")), (200, "Provisioned"))

    def by_the_emulator(self):
        """ministack's own mappings and clock carry the order; only the pipe is played."""
        order = self.vendors.order()
        self.command("callout", order)
        end = time.monotonic() + LIMIT
        while self.vendors.shown(order) != "Provisioned":
            self.stack.pipe()
            if time.monotonic() > end:
                raise Wrong(f"order {order} is not provisioned after {LIMIT} s: {self.vendors.shown(order)}")
            time.sleep(0.1)
        self.provisioned(order)

    def whole(self):
        """The journey, step by step, everything in a role's name played here."""
        stack, vendors = self.stack, self.vendors
        order, refused = vendors.order(), vendors.order()
        self.command("callout", order)
        stack.pipe()
        stack.work()
        stack.push()
        self.provisioned(order)
        # A second click meets what is recorded.
        self.must("a second click", "Provisioned" in self.command("callout", order), True)
        # A row that Salesforce refuses for good becomes a dead letter.
        vendors.walk.call(vendors.walk.sf, "POST", "/_sim/faults", {"action": "update", "fault": "row-refused", "match": refused, "times": 9})
        self.command("callout", refused, "--wait", "1", codes=(NOT_FINISHED,))  # no worker takes it
        stack.push()
        letters = stack.aws("sqs").receive_message(QueueUrl=stack.outputs["StatusPushDeadLetterUrl"], MaxNumberOfMessages=10).get("Messages", [])
        self.must("the number of dead letters", len(letters), 1)
        self.order, self.letter = order, letters[0]["Body"]
        vendors.walk.call(vendors.walk.sf, "DELETE", "/_sim/faults")
        # The clock fills the queue up to twice the workers, two seconds a round: it
        # finds room for one hint.
        for _ in range(3):
            stack.aws("sqs").send_message(QueueUrl=stack.outputs["WorkQueueUrl"], MessageBody="no hint")
        stack.ticks()
        # The schedule leaves a side that does not serve to the next minute; a
        # sweep that is asked for says so.
        stack.invoke(stack.physical["StatusPushFunction"], {"source": "orderbridge.sweep"})
        self.must("what DeployCheckFunction says of the versions", stack.deploy_check()["ok"], True)
        stack.logs()

    def forget(self):
        """As before the first order: an earlier step that failed must not decide a later one."""
        stack, vendors = self.stack, self.vendors
        vendors.walk.call(vendors.walk.sf, "DELETE", "/_sim/faults")
        table = stack.aws("dynamodb")
        for page in table.get_paginator("scan").paginate(TableName=stack.table, ProjectionExpression="pk"):
            for item in page["Items"]:
                table.delete_item(TableName=stack.table, Key=item)
        for name in ("WorkQueueUrl", "StatusPushDeadLetterUrl"):
            stack.aws("sqs").purge_queue(QueueUrl=stack.outputs[name])
        for reader in ("pipe", "push"):
            role = stack.physical["WorkPipeRole"]
            stack.records(reader, stack.aws("iam").get_role(RoleName=role)["Role"]["Arn"])
        stack.emulator.cold()


class People:
    """What people do with orderctl, each with the managed policies that are for them."""

    def __init__(self, journey):
        self.journey, self.stack = journey, journey.stack
        self.reader = self.stack.user("reader", PEOPLE[:1])
        self.operator = self.stack.user("operator", PEOPLE)

    def whole(self):
        stack, order = self.stack, self.journey.order
        for command in (["list"], ["status"], ["show", order], ["timeline", order], ["restore-check"]):
            # An order is open, and the table was not restored: both are told by the code.
            self.journey.command(*command, key=self.reader, codes=(0, 1, NOT_FINISHED))
        self.journey.command("pause", "--by", "reader", "--why", "may not", key=self.reader, codes=(1,), denied=True)
        for command in (["pause", "--by", "ann", "--why", "try"], ["resume", "--by", "ann"], ["check", order], ["push", order, "--by", "ann"]):
            self.journey.command(*command, key=self.operator)
        self.redrive("--dry-run")
        self.redrive("--by", "ann")

    def redrive(self, *args):
        """One letter in each queue: a hint, and a row that Salesforce refused.

        A receive that ministack still answers when its caller is gone hides a
        letter for a minute: then both are sent again.
        """
        sqs, end = self.stack.aws("sqs"), time.monotonic() + LIMIT
        letters = {"WorkDeadLetterUrl": json.dumps({"pk": f"order#{self.journey.order}"}), "StatusPushDeadLetterUrl": self.journey.letter}
        seen = set()
        while seen != {"work", "statuspush"}:
            if time.monotonic() > end:
                raise SystemExit(f"orderctl redrive never saw both letters, but {sorted(seen)}")
            for output, body in letters.items():
                sqs.purge_queue(QueueUrl=self.stack.outputs[output])
                sqs.send_message(QueueUrl=self.stack.outputs[output], MessageBody=body)
            said = self.journey.command("redrive", *args, "--json", key=self.operator)
            seen = {letter["queue"] for letter in json.JSONDecoder().raw_decode(said)[0]}


def portal_policy(stack):
    """What the portal's back end may do: ask this stack alone."""
    return {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"arn:aws:execute-api:{REGION}:*:{stack.physical['PortalApi']}/*"}]}


def without(grant, stack, use):
    """Whether the use of a stack fails without a permission, which has it again afterwards."""
    what = f"{grant.holder}: {grant.action} on {stack.logical(grant.resource)}"
    grant.put(grant.rest)
    try:
        use()
    except (Wrong, ClientError) as e:
        print(f"  missed      {what}\n              {' '.join(str(e).split())[:140]}", flush=True)
        return None
    finally:
        grant.put(grant.document)
    print(f"  NOT MISSED  {what}", flush=True)
    return what


def without_each(stack, journey, only):
    """Takes each permission away in turn; how many, and those that nothing missed."""
    grants, grants_of_people = list(stack.grants()), list(stack.grants_of_people())
    if gone := UNSEEN.keys() - {(g.holder, g.action) for g in grants + grants_of_people}:
        raise SystemExit(f"UNSEEN in patches.py names permissions that nobody has: {sorted(gone)}")
    for (holder, action), why in UNSEEN.items():
        print(f"  not seen    {holder}: {action}\n              {why}", flush=True)
    not_missed = []
    grants, grants_of_people = ([g for g in some if (g.holder, g.action) not in UNSEEN and only in (None, g.holder)] for some in (grants, grants_of_people))
    for grant in grants:
        journey.forget()
        not_missed.append(without(grant, stack, journey.whole))
    journey.forget()
    journey.whole()
    people = People(journey)
    people.whole()
    for grant in grants_of_people:
        not_missed.append(without(grant, stack, people.whole))
    people.whole()
    return len(grants) + len(grants_of_people), [what for what in not_missed if what]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sam", required=True, help="the SAM CLI")
    p.add_argument("--ministack", required=True, help="ministack's command")
    p.add_argument("--bin", required=True, help="folder of the local system, its bootstraps and orderctl")
    p.add_argument("--built", required=True, help="folder that sam build wrote, for this machine's processor")
    p.add_argument("--architecture", required=True, help="processor that it is built for, as CloudFormation says it")
    p.add_argument("--only", metavar="NAME", help="take permissions of this role or policy alone away")
    p.add_argument("--log", required=True, help="file that ministack's log is kept in when the run fails")
    args = p.parse_args()
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda number, _: sys.exit(128 + number))  # what was started is ended
    began = time.monotonic()

    def said(text):
        print(f"{time.monotonic() - began:4.0f} s  {text}", flush=True)

    built = Path(args.built).resolve()
    template = yaml_parse((built / "template.yaml").read_text())
    for r in template["Resources"].values():
        if r["Type"] == "AWS::Serverless::Function":
            r["Properties"]["CodeUri"] = str(built / r["Properties"]["CodeUri"])
    template, done = patched(template)
    for patch, changed in done.items():
        print(f"patched: {', '.join(changed)}\n         {patch.__doc__}", flush=True)

    work = Path(tempfile.mkdtemp(prefix="deploytest-"))
    file = work / "template.json"
    file.write_text(json.dumps(template))
    try:
        with contextlib.ExitStack() as running:
            emulator = running.enter_context(Emulator(args.ministack, free_port(), work))
            stacks, journeys = [], []
            for environment in ("staging", "production"):
                vendors = running.enter_context(Vendors(args.bin))
                vendors.start()
                stack = Stack(emulator, environment, vendors)
                stack.deploy(args.sam, file, work, {
                    "Architecture": args.architecture, "WhmcsApiUrl": vendors.walk.whmcs, "SfLoginUrl": vendors.walk.sf, "AwsEndpointUrl": emulator.url})
                said(f"{stack.name} is deployed: {len(stack.physical)} resources")
                stacks.append(stack)
                journeys.append(Journey(stack, f"{args.bin}/orderctl", stack.user("portal", document=portal_policy(stack))))
            first, second = stacks
            if shared := first.named() & second.named():
                raise SystemExit(f"both stacks have resources of these names, so that the second took them from the first: {sorted(shared)}")
            for stack, journey in zip(stacks, journeys):
                journey.by_the_emulator()
                said(f"{stack.name} carried an order by ministack's mappings; only the pipe was played")
            first.own_ways(False)
            journeys[0].forget()
            journeys[0].whole()
            said(f"{first.name} carried an order with everything played that acts in a role's name")
            taken, not_missed = without_each(first, journeys[0], args.only)
            said(f"{taken} permissions were taken away in turn; {taken - len(not_missed)} were missed; with all of them again everything works")
            first.delete(args.sam, work)
            journeys[1].by_the_emulator()
            said(f"{first.name} is deleted; {second.name} carried another order")
        if not_missed:
            raise SystemExit("Without these everything worked all the same. Take them out of template.yaml, or let something use them:\n  " + "\n  ".join(not_missed))
    except BaseException:
        if (work / "ministack.log").exists():
            shutil.copy(work / "ministack.log", args.log)
            print(f"ministack's log: {args.log}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
