"""What ministack cannot make of the template, each as a patch of a copy of it.

The rule: a patch that finds nothing to change fails the run, so that none stays
behind when the template or the emulator no longer needs it. What is patched is
not shown by make deploy-test; docs/deployment.md says so.
"""

import copy

# Of an action of IAM, the name under which ministack asks for it besides.
ASKED_AS = {"sqs:SendMessage": ["sqs:SendMessageBatch"]}

NO_CODE_DEPLOY = "CodeDeploy, which ministack has not, does this"

# Permissions that no run here can miss, by role and action, and why.
UNSEEN = {
    ("DeploymentRole", "lambda:GetAlias"): NO_CODE_DEPLOY,
    ("DeploymentRole", "lambda:UpdateAlias"): NO_CODE_DEPLOY,
    ("DeploymentRole", "lambda:GetProvisionedConcurrencyConfig"): NO_CODE_DEPLOY,
    ("DeploymentRole", "cloudwatch:DescribeAlarms"): NO_CODE_DEPLOY,
    ("ReaderPolicy", "cloudwatch:DescribeAlarms"): "ministack answers the Go SDK's question with 500; orderctl status says then that it could not read them",
    ("DeployCheckRole", "codedeploy:GetDeployment"): NO_CODE_DEPLOY,
    ("DeployCheckRole", "codedeploy:PutLifecycleEventHookExecutionStatus"): NO_CODE_DEPLOY,
}


def listed(value):
    return value if isinstance(value, list) else [value]


def without_metric_math(template):
    """CloudFormation of ministack refuses an alarm on an expression ("Properties.Metrics (metric math) is not supported")."""
    resources = template["Resources"]
    gone = [name for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in r["Properties"]]
    for name in gone:
        del resources[name]
    return gone


def without_unknown_types(template):
    """ministack refuses a template with these types; nothing else in the template needs them."""
    resources = template["Resources"]
    gone = [name for name, r in resources.items() if r["Type"] in ("AWS::CloudWatch::CompositeAlarm", "AWS::Logs::QueryDefinition")]
    for name in gone:
        del resources[name]
    return gone


def without_code_deploy(template):
    """ministack has no CodeDeploy: a new version gets all traffic at once and unchecked."""
    changed = []
    for name, r in template["Resources"].items():
        if r["Type"] == "AWS::Serverless::Function" and r["Properties"].pop("DeploymentPreference", None):
            changed.append(name)
    return changed


def whole_concurrency(template):
    """A parameter of type Number reaches the mapping as a text, which ministack compares with a number and fails."""
    changed = []
    for name, r in template["Resources"].items():
        for event, e in r["Properties"].get("Events", {}).items():
            scaling = e["Properties"].get("ScalingConfig", {})
            if "Ref" in (scaling.get("MaximumConcurrency") or {}):
                scaling["MaximumConcurrency"] = int(template["Parameters"][scaling["MaximumConcurrency"]["Ref"]]["Default"])
                changed.append(f"{name}.{event}")
    return changed


def statements(template):
    """Each statement of each role and managed policy, by its name."""
    for name, r in template["Resources"].items():
        if r["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
            for policy in r["Properties"].get("Policies", [r["Properties"]]):
                for statement in policy.get("PolicyDocument", {"Statement": []})["Statement"]:
                    yield name, statement


def batches_by_name(template):
    """ministack asks for sqs:SendMessageBatch, an action that IAM does not have: on AWS sqs:SendMessage allows it (Service Authorization Reference)."""
    changed = []
    for name, statement in statements(template):
        actions = listed(statement["Action"])
        if more := [m for a in actions for m in ASKED_AS.get(a, [])]:
            statement["Action"] = actions + more
            changed.append(name)
    return changed


def streams_anywhere(template):
    """ministack allows the actions of a stream on every resource or on none: that they are allowed is shown, not that they are on this stream alone."""
    changed = []
    for name, statement in statements(template):
        if "dynamodb:GetRecords" in listed(statement["Action"]):
            statement["Resource"] = "*"
            changed.append(name)
    return changed


def groups_without_streams(template):
    """ministack asks for logs:CreateLogStream on the group's ARN; on AWS the request is about a stream of it, which the ":*" of GetAtt Arn holds."""
    changed = []
    for name, statement in statements(template):
        if "logs:CreateLogStream" in listed(statement["Action"]):
            group = statement["Resource"]["Fn::GetAtt"][0]
            statement["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${%s}*" % group}
            changed.append(name)
    return changed


def stack_by_name(template):
    """ministack asks for cloudformation:DescribeStacks on stack/NAME/*, where AWS asks for the ARN of the stack that is meant."""
    changed = []
    for name, statement in statements(template):
        if statement["Action"] == "cloudformation:DescribeStacks":
            statement["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*"}
            changed.append(name)
    return changed


PATCHES = [without_metric_math, without_unknown_types, without_code_deploy, whole_concurrency, batches_by_name, streams_anywhere, groups_without_streams, stack_by_name]


def patched(template):
    """A copy of the built template with every patch, and what each patch changed."""
    template = copy.deepcopy(template)
    done = {}
    for patch in PATCHES:
        changed = patch(template)
        if not changed:
            raise SystemExit(f"patch {patch.__name__} is no longer needed: it finds nothing to change; remove it")
        done[patch] = changed
    return template, done
