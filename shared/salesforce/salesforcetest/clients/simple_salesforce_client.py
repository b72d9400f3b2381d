"""Drives simple-salesforce, as anyone would use it, against the org that
standard input names, and prints what it saw as JSON. The Go test judges.

The library speaks https to *.salesforce.com and to the instance alone; an
adapter carries both to the org under test, without touching the requests.
"""

import json
import os
import sys
import urllib.request
from urllib.parse import urlsplit, urlunsplit

sys.path.insert(0, os.path.join(os.environ["SF_CLIENTS"], "python"))

import requests  # noqa: E402
from requests.adapters import HTTPAdapter  # noqa: E402
from simple_salesforce import Salesforce  # noqa: E402
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceError  # noqa: E402

given = json.load(sys.stdin)
target = urlsplit(given["url"])
orders, version = given["orders"], given["version"]


class ToTheOrg(HTTPAdapter):
    def send(self, request, **kwargs):
        to = urlsplit(request.url)
        request.url = urlunsplit((target.scheme, target.netloc, to.path, to.query, ""))
        return super().send(request, **kwargs)


def session():
    s = requests.Session()
    s.trust_env = False
    s.mount("https://", ToTheOrg())
    return s


def code(call):
    try:
        call()
        return ""
    except SalesforceAuthenticationFailed as e:
        return e.code
    except SalesforceError as e:
        return e.content[0]["errorCode"]


out = {}
app = {"consumer_key": given["clientId"], "version": version}
sf = Salesforce(domain="acme.my", consumer_secret=given["clientSecret"], session=session(), **app)
out["wrongSecret"] = code(lambda: Salesforce(domain="acme.my", consumer_secret="wrong", session=session(), **app))
bearer = Salesforce(username=given["username"], privatekey=given["privateKey"], session=session(), **app)
out["wrongUser"] = code(lambda: Salesforce(username="nobody", privatekey=given["privateKey"], session=session(), **app))

one = sf.query(
    "SELECT Id, Account.Name, Account.WHMCS_Client_ID__c, (SELECT Id, Quantity, Product2.WH_Product_ID__c FROM OrderItems)"
    f" FROM Order WHERE Id = '{orders[0]}'"
)
record = one["records"][0]
out["total"] = one["totalSize"]
out["client"] = record["Account"]["WHMCS_Client_ID__c"]
out["products"] = [[r["Quantity"], r["Product2"]["WH_Product_ID__c"]] for r in record["OrderItems"]["records"]]
every = bearer.query_all("SELECT Id FROM Order ORDER BY Id")
out["paged"] = [every["totalSize"], len(every["records"]), every["records"][0]["Id"]]
out["unknownField"] = code(lambda: sf.query("SELECT Nope__c FROM Order"))
out["malformed"] = code(lambda: sf.query("SELECT Id FROM Order WHERE"))

fields = {
    "Provisioning_Status__c": "Activating",
    "Provisioning_Seq__c": 10,
    "Last_Provisioning_At__c": "2026-11-24T10:00:00.000Z",
}
out["single"] = sf.Order.update(orders[0], fields) == 204
out["stale"] = code(lambda: sf.Order.update(orders[0], {**fields, "Provisioning_Seq__c": 9}))
rows = [
    {"attributes": {"type": "Order"}, "id": orders[1], **fields},
    {"attributes": {"type": "Order"}, "id": orders[0], **fields, "Provisioning_Seq__c": 9},
    {"attributes": {"type": "Order"}, "id": orders[2], **fields, "Provisioning_Error_Message__c": "x" * 256},
]
saved = sf.restful("composite/sobjects", method="PATCH", data=json.dumps({"allOrNone": False, "records": rows}))
out["collection"] = [[r["success"], r["errors"][0]["statusCode"] if r["errors"] else ""] for r in saved]
seen = sf.Order.get(orders[1])
out["retrieved"] = [seen["Provisioning_Status__c"], seen["Provisioning_Seq__c"], seen["Last_Provisioning_At__c"]]
out["described"] = [
    [f["type"], f["length"], f["updateable"]]
    for f in sf.Order.describe()["fields"]
    if f["name"] == "Provisioning_Error_Message__c"
][0]
out["gone"] = code(lambda: sf.Order.update("801999999999999AAA", fields))
out["usage"] = sf.api_usage["api-usage"].total
fault = json.dumps({"action": "query", "fault": "session-expired"}).encode()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(urllib.request.Request(f"{given['url']}/_sim/faults", data=fault, method="POST")).close()
out["expired"] = code(lambda: sf.query("SELECT Id FROM Order LIMIT 1"))

print(json.dumps(out))
