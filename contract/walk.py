#!/usr/bin/env python3
"""Walks each row of the contract's tables with plain HTTP requests.

  contract/walk.py                   against a running local system
  contract/walk.py --start COMMAND   starts the system itself, on free ports,
                                     also with the settings that some rows need

Prints a table of row, request, expected and got; exit status 1 on any
deviation. It needs Python's standard library alone and shares no code with the
system.

Addresses of a running system: API_URL (http://127.0.0.1:8080), WHMCS_URL
(:8081), SF_URL (:8082), AWS_URL (:8000).
"""
import argparse
import hashlib
import hmac
import http.client
import json
import os
import secrets
import shlex
import signal
import socket
import string
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

PROBLEM = {"type", "title", "status", "code", "detail", "requestId"}
ACCOUNT, OTHER = "001000000000001AAA", "001000000000002AAA"
LETTERS = string.ascii_letters + string.digits


def to18(id15):
    """Adds the check characters: five bits a group, set for capitals."""
    table = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    return id15 + "".join(
        table[sum(1 << k for k, c in enumerate(id15[g : g + 5]) if c.isupper())] for g in (0, 5, 10))


def new_order():
    return to18("801" + "".join(secrets.choice(LETTERS) for _ in range(12)))


def stamp(offset=0.0, millis=True):
    t = datetime.now(timezone.utc) + timedelta(seconds=offset)
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (t.microsecond // 1000) if millis else t.strftime("%Y-%m-%dT%H:%M:%SZ")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {}
        for k, v in headers:
            self.headers[k.lower()] = v
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    def member(self, name):
        return self.json.get(name) if isinstance(self.json, dict) else None

    def code(self):
        return self.member("code")

    def __str__(self):
        what = self.code() or self.member("status") or self.member("message") or ""
        return ("%d %s" % (self.status, what)).strip()


def request(url, method, path, headers=(), body=b""):
    """One request on a connection of its own; headers may come twice."""
    u = urlsplit(url)
    c = http.client.HTTPConnection(u.hostname, u.port or 80, timeout=40)
    try:
        c.putrequest(method, path, skip_accept_encoding=True)
        for k, v in headers:
            c.putheader(k, v.encode("utf-8") if isinstance(v, str) else v)
        if body or method in ("POST", "PUT"):
            c.putheader("Content-Length", str(len(body)))
        c.endheaders(body or None)
        r = c.getresponse()
        return Answer(r.status, r.getheaders(), r.read())
    finally:
        c.close()


class Walk:
    def __init__(self, api, whmcs, sf, aws):
        self.api, self.whmcs, self.sf, self.aws = api, whmcs, sf, aws
        self.rows, self.bad = [], 0

    # helpers

    def call(self, url, method, path, body=None):
        a = request(url, method, path, [("Content-Type", "application/json")], b"" if body is None else json.dumps(body).encode())
        if a.status >= 400:
            sys.exit("%s %s%s: %d %s" % (method, url, path, a.status, a.body.decode(errors="replace")))
        return a.json

    def start(self):
        self.secret = self.call(self.api, "GET", "/_local/secret")["secret"]
        for client in (1, 2):
            self.call(self.whmcs, "PUT", "/_sim/clients/%d" % client, {"status": "Active"})
        self.call(self.whmcs, "PUT", "/_sim/products/1", {"name": "Hosting", "allowqty": 0})

    def seed(self, order, client=1):
        self.call(self.sf, "PUT", "/_sim/orders/" + order, {
            "accountId": ACCOUNT, "whmcsClientId": client,
            "items": [{"whmcsProductId": 1, "billingCycle": "monthly", "quantity": 1}]})
        return order

    def token(self, account, scope=""):
        return self.call(self.api, "GET", "/_local/token?account=" + account + ("&scope=" + scope if scope else ""))["token"]

    def callout(self, order=None, path=None, key=None, timestamp=None, nonce=None, idempotency=None, prefer="respond-async",
                change=None, drop=(), extra=(), body=None, more=None, sign=None):
        """Sends a right callout, changed as a row wants it."""
        order = order or new_order()
        timestamp = stamp() if timestamp is None else timestamp
        nonce = secrets.token_hex(16) if nonce is None else nonce
        if body is None:
            body = json.dumps({"orderId": order, "timestamp": timestamp, "nonce": nonce, **(more or {})}, ensure_ascii=False).encode()
        signed = hmac.new((key or self.secret).encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json", "X-SF-Signature": sign(signed) if sign else signed, "X-SF-Timestamp": timestamp,
            "X-SF-Nonce": nonce, "Idempotency-Key": idempotency or secrets.token_hex(8), **(change or {})}
        if prefer:
            headers["Prefer"] = prefer
        for h in drop:
            del headers[h]
        return request(self.api, "POST", "/orders/%s/fulfill" % (order if path is None else path), list(headers.items()) + list(extra), body)

    def get(self, order, token=None, headers=()):
        auth = [("Authorization", "Bearer " + token)] if token else []
        return request(self.api, "GET", "/orders/" + order, auth + list(headers))

    def row(self, row, what, a, status, code=None, *more):
        """Notes one row; more are (text, condition) that must hold too."""
        expected = ("%d %s" % (status, code or "")).strip()
        wrong = []
        if a.status != status or code and code not in (a.code(), a.member("status"), a.member("message")):
            wrong.append(str(a))
        if a.status == status and a.headers.get("content-type", "").startswith("application/problem+json"):
            if not isinstance(a.json, dict) or set(a.json) != PROBLEM:
                wrong.append("problem members")
            elif a.json["status"] != status or not a.json["requestId"] or not a.json["detail"] or not a.json["type"].endswith(a.json["code"]):
                wrong.append("problem content")
        wrong += [text for text, holds in more if not holds]
        self.bad += bool(wrong)
        got = str(a) if not wrong else "DEVIATES: " + ", ".join(wrong)
        self.rows.append((row, what, expected, got))
        print("%-6s %-62s %-32s %s" % (row, what[:62], expected[:32], got), flush=True)

    # the rows

    def refusals(self):
        row, callout = self.row, self.callout
        body = lambda n: (lambda ts, no, o: (o, ts, no, ('{"orderId":"%s","timestamp":"%s","nonce":"%s","x":"' % (o, ts, no)).encode()))(stamp(), secrets.token_hex(16), new_order())
        for size, status, code in ((16384, 202, "Activating"), (16385, 413, "body_too_large")):
            o, ts, no, head = body(size)
            row("2", "a body of %d bytes" % size, callout(o, timestamp=ts, nonce=no, body=head + b"x" * (size - len(head) - 2) + b'"}'), status, code)
        row("2", "a large body without a signature", callout(body=b"x" * 16385, drop=["X-SF-Signature"]), 413, "body_too_large")
        row("2", "bytes that the gateway hands on as base64, signed", callout(change={"Content-Type": "application/octet-stream"}), 415, "content_type_unsupported")

        row("3", "no signature", callout(drop=["X-SF-Signature"]), 401, "signature_missing")
        row("3", "an empty signature", callout(sign=lambda s: ""), 401, "signature_missing")
        for what, sign in (("a flipped digit", lambda s: s[:-1] + ("0" if s[-1] != "0" else "1")), ("half a signature", lambda s: s[:32]),
                           ("no hex", lambda s: "invalid"), ("a prefix", lambda s: "sha256=" + s), ("two in one header", lambda s: s + "," + s)):
            row("3", "signature: " + what, callout(sign=sign), 401, "signature_invalid")
        o = new_order()
        a = callout(o, extra=[("X-SF-Signature", "0" * 64)])
        row("3", "signature: two headers", a, 401, "signature_invalid")
        row("3", "signed with another secret", callout(key="another-secret-of-sufficient-length-000"), 401, "signature_invalid")
        row("3", "signature in upper case", callout(sign=str.upper), 202, "Activating")

        row("4", "no timestamp", callout(drop=["X-SF-Timestamp"]), 401, "timestamp_invalid")
        for ts in (stamp()[:-1], stamp()[:-5] + ",000Z", stamp()[:-5] + "+00:00", "2026-02-30T12:00:00Z", "1764000000"):
            row("4", "timestamp " + ts, callout(timestamp=ts), 401, "timestamp_invalid")
        row("4", "two timestamps", callout(extra=[("X-SF-Timestamp", stamp())]), 401, "timestamp_invalid")
        row("4", "ten minutes old", callout(timestamp=stamp(-600)), 401, "timestamp_out_of_window")
        row("4", "ten minutes early", callout(timestamp=stamp(600)), 401, "timestamp_out_of_window")
        row("4", "the year 9999", callout(timestamp="9999-12-31T23:59:59Z"), 401, "timestamp_out_of_window")
        row("4", "four minutes old", callout(timestamp=stamp(-240)), 202, "Activating")
        row("4", "without milliseconds", callout(timestamp=stamp(millis=False)), 202, "Activating")

        row("5", "no nonce", callout(drop=["X-SF-Nonce"]), 401, "nonce_invalid")
        for n in ("short", "x" * 129, "0123456789abcde+"):
            row("5", "nonce " + n[:20], callout(nonce=n), 401, "nonce_invalid")
        row("5", "two nonces", callout(extra=[("X-SF-Nonce", "0123456789abcdef")]), 401, "nonce_invalid")

        row("6", "no content type", callout(drop=["Content-Type"]), 415, "content_type_unsupported")
        row("6", "text/plain", callout(change={"Content-Type": "text/plain"}), 415, "content_type_unsupported")
        row("6", "application/json with a parameter", callout(change={"Content-Type": "application/json; charset=utf-8"}), 202, "Activating")
        for what, edit in {
            "empty": lambda b: b"", "an array": lambda b: b"[" + b + b"]", "a second value": lambda b: b + b"{}",
            "a name twice": lambda b: b[:-1] + b',"orderId":"801000000000002AAA"}', "a name twice, deep": lambda b: b[:-1] + b',"x":{"y":1,"y":2}}',
            "a name in capitals": lambda b: b.replace(b'"orderId"', b'"ORDERID"'), "a byte order mark": lambda b: b"\xef\xbb\xbf" + b,
            "invalid UTF-8": lambda b: b[:-1] + b',"x":"\xff"}', "a lone surrogate": lambda b: b[:-1] + b',"x":"\\ud800"}',
            "null": lambda b: b.replace(b'"nonce": "', b'"nonce": null, "y": "'), "a number": lambda b: b[:-1] + b',"requestedBy":5}',
            "no account id": lambda b: b[:-1] + b',"accountId":"acme"}', "nested 5,000 deep": lambda b: b[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
            "ten thousand brackets": lambda b: b"[" * 10000,
        }.items():
            ts, no, o = stamp(), secrets.token_hex(16), new_order()
            good = json.dumps({"orderId": o, "timestamp": ts, "nonce": no}).encode()
            row("6", "body: " + what, callout(o, timestamp=ts, nonce=no, body=edit(good)), 400, "body_malformed")

        row("7", "another timestamp in the header", callout(change={"X-SF-Timestamp": stamp(-1)}), 401, "headers_not_signed")
        row("7", "another nonce in the header", callout(change={"X-SF-Nonce": secrets.token_hex(16)}), 401, "headers_not_signed")

        o = new_order()
        row("9", "15 characters in the path, 18 in the body", callout(o, path=o[:15]), 202, "Activating")
        row("9", "a percent-encoded path", callout(o, path="%38" + o[1:]), 202, "Activating")
        row("9", "a path that is encoded twice", callout(o, path="%2538" + o[1:]), 400, "order_id_invalid")
        row("9", "a NUL in the path", callout(o, path=o + "%00"), 400, "order_id_invalid")
        row("9", "an Account id", callout(ACCOUNT), 400, "order_id_invalid")
        row("9", "wrong check characters", callout("801000000000001AAB"), 400, "order_id_invalid")
        row("9", "a bad id in the body alone", callout("nonsense", path=o), 400, "order_id_invalid")
        row("9", "a bad id in the path alone", callout(o, path="nonsense"), 400, "order_id_invalid")
        row("9", "another order in the path", callout(o, path=new_order()), 400, "order_id_mismatch")

        row("10", "no idempotency key", callout(drop=["Idempotency-Key"]), 400, "idempotency_key_missing")
        row("10", "a key of 256 characters", callout(change={"Idempotency-Key": "k" * 256}), 400, "idempotency_key_missing")
        row("10", "a key that is not ASCII", callout(change={"Idempotency-Key": "clé"}), 400, "idempotency_key_missing")
        row("10", "two keys", callout(extra=[("Idempotency-Key", "second")]), 400, "idempotency_key_missing")
        row("10", "a key of 255 characters", callout(change={"Idempotency-Key": "k" * 255}), 202, "Activating")

        o, n, ts = new_order(), secrets.token_hex(16), stamp()
        callout(o, nonce=n, timestamp=ts, drop=["Idempotency-Key"])
        row("11", "the nonce of a callout that was refused", callout(o, nonce=n, timestamp=ts), 202, "Activating")
        row("11", "the same callout again", callout(o, nonce=n, timestamp=ts), 401, "nonce_replayed")
        row("11", "its nonce with another timestamp", callout(o, nonce=n, timestamp=stamp(-30)), 401, "nonce_replayed")
        o = new_order()
        last = [callout(o) for _ in range(100)][-1]
        row("11", "the 100th callout of one order", last, 202, "Activating")
        n, ts = secrets.token_hex(16), stamp()
        row("11", "the 101st", callout(o, nonce=n, timestamp=ts), 429, "too_many_requests")
        row("11", "the 101st again: it was not remembered", callout(o, nonce=n, timestamp=ts), 429, "too_many_requests")

    def ping(self, org=""):
        """The test call: checks 1 to 7 of a callout, without an order."""
        def ping(path="/ping", key=None, timestamp=None, drop=(), more=None, method="POST"):
            timestamp, nonce = timestamp or stamp(), secrets.token_hex(16)
            body = json.dumps({"timestamp": timestamp, "nonce": nonce, **(more or {})}).encode()
            headers = {"Content-Type": "application/json", "X-SF-Timestamp": timestamp, "X-SF-Nonce": nonce,
                       "X-SF-Signature": hmac.new((key or self.secret).encode(), body, hashlib.sha256).hexdigest()}
            for h in drop:
                del headers[h]
            return request(self.api, method, path, list(headers.items()), body)
        a = ping()
        self.row("ping", "a ping", a, 200, None, ("exactly these members", set(a.json or {}) == {"ok", "organizationId"}),
                 ("the organization", a.member("ok") is True and (a.member("organizationId") or "")[:15] == org[:15]))
        self.row("ping", "other members are ignored", ping(more={"organizationId": "00D000000000009"}), 200)
        self.row("ping", "no signature", ping(drop=["X-SF-Signature"]), 401, "signature_missing")
        self.row("ping", "another secret", ping(key="another-secret-of-thirty-two-bytes"), 401, "signature_invalid")
        self.row("ping", "six minutes old", ping(timestamp=stamp(-360)), 401, "timestamp_out_of_window")
        self.row("ping", "no nonce header", ping(drop=["X-SF-Nonce"]), 401, "nonce_invalid")
        self.row("ping", "no content type", ping(drop=["Content-Type"]), 415, "content_type_unsupported")
        self.row("ping", "a ping at the route of a callout", ping("/orders/%s/fulfill" % new_order()), 400, "body_malformed")
        self.row("ping", "GET /ping", ping(method="GET"), 404, "Not Found")

    def table_away(self):
        o = new_order()
        a = request(self.api, "POST", "/_local/dynamo", [("Content-Type", "application/json")],
                    json.dumps({"throttle": {"op": "PutItem", "times": 50, "match": o}}).encode())
        if a.status == 404:
            return  # another DynamoDB stands in its place: it has no switch
        try:
            a = self.callout(o)
            self.row("-", "the table is throttled", a, 503, "try_again", ("Retry-After", int(a.headers.get("retry-after", "0")) >= 1))
        finally:
            request(self.api, "DELETE", "/_local/dynamo")
        self.row("-", "the same order when it is back", self.callout(o), 202, "Activating")

    def secret_away(self):
        """Rotates the secret, then makes it weak, then puts it back."""
        def manager(target, body):
            return request(self.aws, "POST", "/", [
                ("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "secretsmanager." + target),
                ("X-Amz-Date", datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")),
                ("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/local/secretsmanager/aws4_request, SignedHeaders=host, Signature=" + "0" * 64)],
                json.dumps(body).encode())
        old = self.secret
        name = next((s["Name"] for s in manager("ListSecrets", {}).json["SecretList"]
                     if manager("GetSecretValue", {"SecretId": s["Name"]}).member("SecretString") == old), None)
        if name is None:
            sys.exit("the signing secret is not in Secrets Manager at " + self.aws)
        put = lambda value: manager("PutSecretValue", {"SecretId": name, "SecretString": value, "ClientRequestToken": secrets.token_hex(16)})
        fresh = secrets.token_urlsafe(48)
        try:
            # The rows before may have used up this minute's forced read: a
            # process that was started afresh has not.
            self.call(self.api, "POST", "/_local/kill", {"function": "fulfill"})
            self.row("3", "a fresh process, signed with the secret", self.callout(), 202, "Activating")
            put(fresh)
            self.row("3", "right after a rotation, signed with the new secret", self.callout(key=fresh), 202, "Activating")
            self.row("3", "right after a rotation, signed with the previous one", self.callout(key=old), 202, "Activating")
            put("too short")
            self.call(self.api, "POST", "/_local/kill", {"function": "fulfill"})
            self.row("-", "the secret is weak", self.callout(key="too short"), 503, "secret_unavailable")
            self.row("-", "the secret is weak, the one before it is not", self.callout(key=fresh), 503, "secret_unavailable")
        finally:
            put(old)
            self.call(self.api, "POST", "/_local/kill", {"function": "fulfill"})
        self.row("-", "the secret is back", self.callout(), 202, "Activating")

    def answers(self):
        row = self.row
        members = lambda *names: (lambda a: ("members", isinstance(a.json, dict) and set(a.json) == set(names)))
        activating, provisioned = members("success", "status", "sfOrderId"), members("success", "status", "sfOrderId", "whmcsOrderId")

        o = self.seed(new_order())
        a = self.callout(o, more={"accountId": ACCOUNT})
        row("open", "first callout, respond-async", a, 202, "Activating", activating(a), ("success", a.member("success") is False),
            ("sfOrderId", a.member("sfOrderId") == o), ("Location", a.headers.get("location") == "/orders/" + o),
            ("Retry-After", int(a.headers.get("retry-after", "0")) >= 1), ("Preference-Applied", a.headers.get("preference-applied") == "respond-async"))
        a = self.callout(o, prefer="wait=25")
        row("done", "second click, wait=25", a, 200, "Provisioned", provisioned(a), ("success", a.member("success") is True),
            ("whmcsOrderId", isinstance(a.member("whmcsOrderId"), str) and a.member("whmcsOrderId") != ""), ("Preference-Applied", a.headers.get("preference-applied") == "wait=25"))
        first = a.member("whmcsOrderId")
        a = self.callout(o, prefer=None)
        row("done", "third click, no preference", a, 200, "Provisioned", provisioned(a), ("the same WHMCS order", a.member("whmcsOrderId") == first),
            ("Preference-Applied", "preference-applied" not in a.headers))
        books = [x for x in self.call(self.whmcs, "GET", "/_sim/orders") if o in json.dumps(x)]
        row("done", "one WHMCS order for all clicks", Answer(len(books), [], b"{}"), 1)

        bad = self.seed(new_order(), client=None)
        a = self.callout(bad, idempotency="first", prefer="wait=25")
        row("failed", "an account that is not mapped, wait=25", a, 422, "account_not_mapped")
        a = self.callout(bad, idempotency="first", prefer=None)
        row("failed", "the same idempotency key again", a, 422, "account_not_mapped")
        self.seed(bad, client=1)
        a = self.callout(bad, idempotency="second")
        row("failed", "a new key reopens it", a, 202, "Activating", activating(a), ("Location", a.headers.get("location") == "/orders/" + bad))
        a = self.callout(bad, idempotency="second", prefer="wait=25")
        row("done", "corrected, wait=25", a, 200, "Provisioned", provisioned(a))
        a = self.callout(self.seed(new_order()), prefer="return=minimal, wait=oops")
        row("open", "unknown preferences are ignored", a, 202, "Activating", ("Preference-Applied", "preference-applied" not in a.headers))
        return o, first

    def portal(self, done, whmcs_order):
        row = self.row
        mine, other = self.token(ACCOUNT), self.token(OTHER)
        a = self.get(done, mine)
        row("GET", "the owner", a, 200, "Provisioned", ("members", set(a.json or {}) == {"sfOrderId", "status", "whmcsOrderId", "updatedAt", "final"}),
            ("final", a.member("final") is True), ("whmcsOrderId", a.member("whmcsOrderId") == whmcs_order), ("ETag", a.headers.get("etag", "").startswith('"')),
            ("Cache-Control", a.headers.get("cache-control") == "private, no-cache"), ("no Retry-After", "retry-after" not in a.headers))
        tag = a.headers.get("etag", "")
        for what, field in (("the tag", tag), ("a list with a weak tag", '"x", W/' + tag), ("a star", "*")):
            a = self.get(done, mine, [("If-None-Match", field)])
            row("GET", "If-None-Match: " + what, a, 304, None, ("no body", a.body == b""), ("ETag", a.headers.get("etag") == tag))
        row("GET", "If-None-Match: another tag", self.get(done, mine, [("If-None-Match", '"x"')]), 200, "Provisioned")
        row("GET", "the scope orders.read.any", self.get(done, self.token(OTHER, "openid%20orders.read.any")), 200, "Provisioned")

        foreign, unknown = self.get(done, other), self.get(new_order(), other)
        for what, a in (("someone else's order", foreign), ("an unknown order", unknown)):
            row("GET", what, a, 200, "Pending Review", ("members", set(a.json or {}) == {"sfOrderId", "status", "final"}), ("final", a.member("final") is False),
                ("Retry-After", int(a.headers.get("retry-after", "0")) >= 1), ("ETag", "etag" in a.headers))
        alike = lambda a: {k: v for k, v in a.headers.items() if k not in ("date", "etag", "apigw-requestid")}
        row("GET", "both have the same headers", foreign, 200, None, ("headers", alike(foreign) == alike(unknown)))

        slow = self.seed(new_order())
        self.call(self.whmcs, "POST", "/_sim/faults", {"action": "AddOrder", "fault": "slow", "times": 1, "delayMs": 4000, "match": slow})
        self.callout(slow, more={"accountId": ACCOUNT})
        a = self.get(slow, mine)
        row("GET", "the owner, before it was read from Salesforce", a, 200, "Activating", ("final", a.member("final") is False), ("Retry-After", int(a.headers.get("retry-after", "0")) >= 1))
        failed = self.seed(new_order(), client=None)
        self.callout(failed, prefer="wait=25", more={"accountId": ACCOUNT})
        a = self.get(failed, mine)
        row("GET", "a failed order", a, 200, "Failed", ("final", a.member("final") is True), ("no error text", set(a.json or {}) <= {"sfOrderId", "status", "updatedAt", "final"}))

        row("GET", "no Order id", self.get("001000000000001AAA", mine), 400, "order_id_invalid")
        row("GET", "wrong check characters", self.get("801000000000001AAB", mine), 400, "order_id_invalid")
        for what, t in (("no token", None), ("a broken token", "nonsense"), ("a token with another signature", mine[:-8] + "AAAAAAAA")):
            a = self.get(done, t)
            row("GET", what, a, 401, "Unauthorized", ("members", set(a.json or {}) == {"message"}))
        origin = self.api.rstrip("/")
        a = request(self.api, "OPTIONS", "/orders/" + done, [("Origin", origin), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "authorization,if-none-match")])
        allowed = a.headers.get("access-control-allow-headers", "").lower()
        row("CORS", "a preflight of the portal", a, 204, None, ("origin", a.headers.get("access-control-allow-origin") == origin),
            ("headers", "authorization" in allowed and "if-none-match" in allowed))
        a = self.get(done, mine, [("Origin", origin)])
        exposed = a.headers.get("access-control-expose-headers", "").lower()
        row("CORS", "a request of the portal", a, 200, None, ("exposed", "etag" in exposed and "retry-after" in exposed))
        a = self.get(done, mine, [("Origin", "https://evil.example")])
        row("CORS", "a request of another origin", a, 200, None, ("origin", "access-control-allow-origin" not in a.headers))

    def gateway(self):
        for method, path in (("GET", "/nothing"), ("GET", "/orders/801000000000001AAA/fulfill"), ("POST", "/orders/801000000000001AAA"), ("DELETE", "/orders/801000000000001AAA/fulfill")):
            a = request(self.api, method, path)
            self.row("gate", method + " " + path, a, 404, "Not Found", ("members", set(a.json or {}) == {"message"}))

    def all(self):
        self.start()
        # No worker is to take the orders of these rows: what an order came to
        # is for the rows after them.
        self.call(self.api, "POST", "/_local/hints", {"lost": 1})
        try:
            self.refusals()
            self.ping()
            self.table_away()
        finally:
            self.call(self.api, "POST", "/_local/hints", {})
        done, whmcs_order = self.answers()
        self.portal(done, whmcs_order)
        self.gateway()
        self.secret_away()

    def organization(self, org):
        self.start()
        self.row("8", "no organization", self.callout(), 403, "org_not_allowed")
        self.row("8", "another organization", self.callout(more={"organizationId": "00D000000000009"}), 403, "org_not_allowed")
        self.row("8", "the organization before the order id", self.callout("nonsense"), 403, "org_not_allowed")
        self.row("8", "the organization", self.callout(more={"organizationId": org}), 202, "Activating")
        self.row("8", "the organization in its long form", self.callout(more={"organizationId": to18(org[:15])}), 202, "Activating")
        self.ping(org)
        # The same system has FULFILL_WAIT set.
        a = self.callout(self.seed(new_order()), prefer=None, more={"organizationId": org})
        self.row("done", "a first callout without Prefer, FULFILL_WAIT 20", a, 200, "Provisioned", ("Preference-Applied", "preference-applied" not in a.headers))
        a = self.callout(self.seed(new_order()), more={"organizationId": org})
        self.row("open", "a first callout with respond-async, FULFILL_WAIT 20", a, 202, "Activating")

    def allowlist(self):
        self.start()
        self.row("1", "a source outside the allowlist", self.callout(), 403, "source_not_allowed")
        self.row("1", "a forwarding header does not count", self.callout(extra=[("X-Forwarded-For", "13.108.0.9")]), 403, "source_not_allowed")
        self.row("1", "the source before the signature", self.callout(drop=["X-SF-Signature"]), 403, "source_not_allowed")


class System:
    """The system on free ports, with settings; stopped with its whole group."""

    NAMES = ("API_PORT", "WHMCS_PORT", "SF_PORT", "AWS_PORT")
    # The functions' answers are asked for, and not the gateway's 429.
    LIMITS = {"CALLOUT_RATE_LIMIT": "10000", "CALLOUT_BURST_LIMIT": "5000", "PORTAL_RATE_LIMIT": "10000", "PORTAL_BURST_LIMIT": "5000"}

    def __init__(self, command, **settings):
        self.command, self.settings = command, settings

    def __enter__(self):
        held = [socket.socket() for _ in self.NAMES]
        for s in held:
            s.bind(("127.0.0.1", 0))
        ports = [s.getsockname()[1] for s in held]
        for s in held:
            s.close()
        env = {**os.environ, **self.LIMITS, **self.settings, **{n: str(p) for n, p in zip(self.NAMES, ports)}}
        self.log = open(os.environ.get("WALK_LOG", os.devnull), "ab")
        self.process = subprocess.Popen(shlex.split(self.command), env=env, stdout=self.log, stderr=self.log, start_new_session=True)
        walk = Walk(*("http://127.0.0.1:%d" % p for p in ports))
        end = time.monotonic() + 120
        while True:
            try:
                if request(walk.api, "GET", "/_local/secret").status == 200:
                    return walk
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                sys.exit("the system did not start: " + self.command)
            time.sleep(0.1)

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--start", metavar="COMMAND", help="start the system with this command")
    args = p.parse_args()
    walks = []
    if args.start:
        for settings, run in (
            ({}, lambda w: w.all()),
            ({"SF_ORG_ID": "00D000000000001EAA", "FULFILL_WAIT": "20"}, lambda w: w.organization("00D000000000001")),
            ({"SF_WEBHOOK_IP_ALLOWLIST": "13.108.0.0/14,2001:db8::/32"}, lambda w: w.allowlist()),
        ):
            with System(args.start, **settings) as w:
                run(w)
            walks.append(w)
    else:
        w = Walk(*(os.environ.get(n, "http://127.0.0.1:%d" % port) for n, port in (("API_URL", 8080), ("WHMCS_URL", 8081), ("SF_URL", 8082), ("AWS_URL", 8000))))
        w.all()
        print("rows 1 (allowlist) and 8 (organization) need settings of their own: use --start")
        walks.append(w)
    rows, bad = sum(len(w.rows) for w in walks), sum(w.bad for w in walks)
    print("%d rows, %d deviate" % (rows, bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
