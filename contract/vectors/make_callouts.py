#!/usr/bin/env python3
"""Writes callouts.json. Run it in this folder after changing a vector.

It signs with Python's own hmac: the vectors must not come from the code that
they test.
"""
import base64
import hashlib
import hmac
import json

SECRET = "correct-horse-battery-staple-0123456789"
PREVIOUS = "the-secret-before-it-was-rotated-987654321"
NOW = "2026-11-24T12:00:00.000Z"
ORDER = "801000000000001AAA"
NONCE = "0123456789abcdef0123456789abcdef"

vectors = []


def sign(body, key=SECRET):
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def text(order=ORDER, timestamp=NOW, nonce=NONCE, **more):
    return json.dumps({"orderId": order, "timestamp": timestamp, "nonce": nonce, **more}, separators=(",", ":"))


def add(name, code, body=None, path=ORDER, key=SECRET, drop=(), headers=None, **settings):
    raw = text() if body is None else body
    raw = raw.encode() if isinstance(raw, str) else raw
    sent = {
        "Content-Type": "application/json",
        "X-SF-Signature": sign(raw, key),
        "X-SF-Timestamp": NOW,
        "X-SF-Nonce": NONCE,
        "Idempotency-Key": "provision-" + ORDER + "-1",
        **(headers or {}),
    }
    for h in drop:
        del sent[h]
    v = {"name": name, "code": code, "pathId": path, "headers": sent}
    try:
        v["body"] = raw.decode("utf-8")
        assert "\x00" not in v["body"]
    except (UnicodeDecodeError, AssertionError):
        v.pop("body", None)
        v["bodyBase64"] = base64.b64encode(raw).decode()
    v.update(settings)
    vectors.append(v)


def at(timestamp, code, name):
    add(name, code, text(timestamp=timestamp), headers={"X-SF-Timestamp": timestamp})


def nonce(value, code, name):
    add(name, code, text(nonce=value), headers={"X-SF-Nonce": value})


good = sign(text().encode())

# accepted
add("a plain callout", "")
add("an upper-case signature", "", headers={"X-SF-Signature": good.upper()})
add("a mixed-case signature", "", headers={"X-SF-Signature": good[:32].upper() + good[32:]})
add("signed with the previous secret", "", key=PREVIOUS)
add("all optional members", "", text(requestedBy="005000000000001AAA", organizationId="00D000000000001EAA", accountId="001000000000001AAA"))
add("15-character ids", "", text(order=ORDER[:15], accountId="001000000000001"), path=ORDER[:15])
add("15 characters in the body, 18 in the path", "", text(order=ORDER[:15]))
add("18 characters in the body, 15 in the path", "", path=ORDER[:15])
add("members that are not known", "", text(more={"deep": [1, 2.5, None, True, "x"]}, orderID2="x"))
add("white space between the tokens", "", ' \n{\t"orderId" : "%s" ,\r\n"timestamp":"%s","nonce":"%s"} \n' % (ORDER, NOW, NONCE))
add("escaped characters", "", '{"order\\u0049d":"\\u0038%s","timestamp":"%s","nonce":"%s"}' % (ORDER[1:], NOW, NONCE))
add("a paired surrogate in another member", "", text()[:-1] + ',"x":"\\ud83d\\ude00"}')
add("text outside ASCII in another member", "", text()[:-1] + ',"note":"Zoë ordered 2 × ☕"}')
add("a huge number in another member", "", text()[:-1] + ',"x":1e999999999999}')
add("a body of 16,384 bytes", "", text()[:-1] + ',"x":"' + "x" * (16384 - len(text()) - 7) + '"}')
add("who clicked is no user id", "", text(requestedBy="<script>alert(1)</script>" * 20))
add("content type with parameters", "", headers={"Content-Type": "Application/JSON; charset=UTF-8"})
at("2026-11-24T12:00:00Z", "", "a timestamp without milliseconds")
at("2026-11-24T11:55:00.000Z", "", "exactly as old as the tolerance")
at("2026-11-24T12:05:00.000Z", "", "exactly as early as the tolerance")
nonce("0123456789abcdef", "", "a nonce of 16 characters")
nonce("A_b-" * 32, "", "a nonce of 128 characters")
add("a key of 255 characters", "", headers={"Idempotency-Key": "~" * 255})
add("a key of 1 character", "", headers={"Idempotency-Key": "1"})
add("the organization that is served", "", text(organizationId="00D000000000001EAA"), orgId="00D000000000001")
add("the organization that is served, in its short form", "", text(organizationId="00D000000000001"), orgId="00D000000000001EAA")
add("a source that is allowed", "", sourceIp="13.108.0.9", allowlist=["13.108.0.0/14"])
add("an IPv6 source that is allowed", "", sourceIp="2001:db8::9", allowlist=["2001:db8::/32"])
add("an IPv4 source in its IPv6 spelling", "", sourceIp="::ffff:13.108.0.9", allowlist=["13.108.0.0/14"])

# 1 source
add("a source outside the allowlist", "source_not_allowed", sourceIp="198.51.100.7", allowlist=["13.108.0.0/14", "2001:db8::/32"])
add("an IPv6 source outside the allowlist", "source_not_allowed", sourceIp="2001:db9::1", allowlist=["13.108.0.0/14", "2001:db8::/32"])
add("no source", "source_not_allowed", sourceIp="", allowlist=["13.108.0.0/14"])
add("a forwarding header does not count", "source_not_allowed", sourceIp="198.51.100.7", allowlist=["13.108.0.0/14"], headers={"X-Forwarded-For": "13.108.0.9"})
add("the source before the signature", "source_not_allowed", sourceIp="198.51.100.7", allowlist=["13.108.0.0/14"], drop=["X-SF-Signature"])

# 2 body size, before the signature
add("a body of 16,385 bytes", "body_too_large", text()[:-1] + ',"x":"' + "x" * (16385 - len(text()) - 7) + '"}')
add("a large body without a signature", "body_too_large", "x" * 16385, drop=["X-SF-Signature"])

# 3 signature
add("no signature", "signature_missing", drop=["X-SF-Signature"])
add("an empty signature", "signature_missing", headers={"X-SF-Signature": ""})
for what, sig in {
    "a flipped bit": good[:-1] + ("0" if good[-1] != "0" else "1"),
    "a shortened signature": good[:32],
    "63 digits": good[:63],
    "65 digits": good + "0",
    "a prefix": "sha256=" + good,
    "a version prefix": "v1=" + good,
    "a doubled prefix": "sha256=sha256=" + good,
    "digits that are no hex": good[:-1] + "g",
    "white space": good + " ",
    "base64": base64.b64encode(bytes.fromhex(good)).decode(),
    "two signatures": good + "," + good,
    "two signatures with a blank": good + ", " + good,
    "zeros": "0" * 64,
    "SHA-1": hmac.new(SECRET.encode(), text().encode(), hashlib.sha1).hexdigest(),
    "SHA-512": hmac.new(SECRET.encode(), text().encode(), hashlib.sha512).hexdigest(),
    "SHA-256 without a key": hashlib.sha256(text().encode()).hexdigest(),
    "SHA3-256": hmac.new(SECRET.encode(), text().encode(), hashlib.sha3_256).hexdigest(),
    "of another body": sign(text(order="801000000000002AAA").encode()),
    "of the body without its white space": sign(text().encode()),
}.items():
    body = text() + "\n" if "white space" in what and "without" in what else None
    add("signature: " + what, "signature_invalid", body, headers={"X-SF-Signature": sig})
add("another secret", "signature_invalid", key="another-secret-of-sufficient-length-0000")
add("an empty secret", "signature_invalid", key="")
add("an empty body with the signature of another", "signature_invalid", "", headers={"X-SF-Signature": good})

# 4 timestamp
add("no timestamp header", "timestamp_invalid", drop=["X-SF-Timestamp"])
for value, what in [
    ("", "empty"), ("2026-11-24", "a date alone"), ("2026-11-24T12:00:00", "no zone"),
    ("2026-11-24T12:00:00+00:00", "an offset"), ("2026-11-24T12:00:00+24:00", "an offset of 24 hours"),
    ("2026-11-24T12:00:00,123Z", "a comma"), ("2026-11-24T3:00:00.000Z", "one digit"),
    ("2026-11-24T12:00:00.0Z", "one decimal"), ("2026-11-24T12:00:00.000000Z", "six decimals"),
    ("2026-11-24t12:00:00Z", "a small t"), ("2026-11-24T12:00:00z", "a small z"),
    ("2026-11-24 12:00:00Z", "a blank"), ("2026-02-30T12:00:00Z", "30 February"),
    ("2027-02-29T12:00:00Z", "29 February without a leap year"), ("2026-13-01T12:00:00Z", "month 13"),
    ("2026-00-01T12:00:00Z", "month 0"), ("2026-11-00T12:00:00Z", "day 0"), ("2026-11-31T12:00:00Z", "31 November"),
    ("2026-11-24T24:00:00Z", "hour 24"), ("2026-11-24T12:60:00Z", "minute 60"), ("2026-11-24T12:00:60Z", "a leap second"),
    ("+026-11-24T12:00:00Z", "a sign"), ("1764000000", "Unix seconds"), ("２026-11-24T12:00:0Z", "a wide digit"),
    (NOW + "," + NOW, "two of them"), (" " + NOW, "a blank before it"),
]:
    at(value, "timestamp_invalid", "timestamp: " + what)
at("2026-11-24T11:54:59.999Z", "timestamp_out_of_window", "a millisecond too old")
at("2026-11-24T12:05:00.001Z", "timestamp_out_of_window", "a millisecond too early")
at("2026-11-24T11:50:00Z", "timestamp_out_of_window", "ten minutes old")
add("ten minutes old, no nonce in the body", "timestamp_out_of_window",
    '{"orderId":"%s","timestamp":"2026-11-24T11:50:00Z"}' % ORDER, headers={"X-SF-Timestamp": "2026-11-24T11:50:00Z"})
at("9999-12-31T23:59:59.999Z", "timestamp_out_of_window", "the last year")
at("0000-01-01T00:00:00Z", "timestamp_out_of_window", "the first year")

# 5 nonce
add("no nonce header", "nonce_invalid", drop=["X-SF-Nonce"])
for value, what in [
    ("", "empty"), ("0123456789abcde", "15 characters"), ("a" * 129, "129 characters"), ("0123456789abcde+", "a plus"),
    ("0123456789abcde=", "an equals sign"), ("0123456789abcdé", "not ASCII"), (NONCE + "," + NONCE, "two of them"),
    ("0123456789 abcdef", "a blank"),
]:
    nonce(value, "nonce_invalid", "nonce: " + what)

# 6 content type and body
add("no content type", "content_type_unsupported", drop=["Content-Type"])
for value in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/problem+json",
              "application/json,application/json", "application/json, text/plain", "json", "application/json; charset", "applİcation/json"]:
    add("content type: " + (value or "empty"), "content_type_unsupported", headers={"Content-Type": value})
add("the content type before the body", "content_type_unsupported", "nonsense", headers={"Content-Type": "text/plain"})
T = text()
for what, body in {
    "empty": "",
    "white space": "  \n",
    "null": "null",
    "an array": "[" + T + "]",
    "a string": json.dumps(T),
    "a number": "1",
    "an empty object": "{}",
    "cut off": T[:-1],
    "not JSON": "orderId=801000000000001AAA",
    "a byte order mark": b"\xef\xbb\xbf" + T.encode(),
    "UTF-16": T.encode("utf-16"),
    "a second value": T + "{}",
    "the same value twice": T + T,
    "a NUL after it": T.encode() + b"\x00",
    "a NUL before it": b"\x00" + T.encode(),
    "a NUL in a string": T.encode()[:-2] + b'\x00"}',
    "a comma at the end": T[:-1] + ",}",
    "a comment": T[:-1] + "/* x */}",
    "single quotes": T.replace('"', "'"),
    "NaN": T[:-1] + ',"x":NaN}',
    "a number with a leading zero": T[:-1] + ',"x":01}',
    "a line break in a string": T[:-2] + '\n"}',
    "an unknown escape": T[:-1] + ',"x":"\\q"}',
    "invalid UTF-8": T.encode()[:-1] + b',"x":"\xff"}',
    "overlong UTF-8": T.encode()[:-1] + b',"x":"\xc0\xaf"}',
    "an encoded surrogate": T.encode()[:-1] + b',"x":"\xed\xa0\x80"}',
    "a lone high surrogate": T[:-1] + ',"x":"\\ud800"}',
    "a lone low surrogate": T[:-1] + ',"x":"\\udc00"}',
    "swapped surrogates": T[:-1] + ',"x":"\\ude00\\ud83d"}',
    "a lone surrogate in a name": T[:-1] + ',"\\ud800":1}',
    "a name twice": T[:-1] + ',"orderId":"801000000000002AAA"}',
    "a name twice, escaped": T[:-1] + ',"order\\u0049d":"801000000000002AAA"}',
    "a name twice, deep": T[:-1] + ',"x":[{"y":{"z":1,"z":2}}]}',
    "an unknown name twice": T[:-1] + ',"x":1,"x":1}',
    "another case": T.replace("orderId", "ORDERID"),
    "another case beside the right one": T[:-1] + ',"ORDERID":"801000000000002AAA"}',
    "a long s in a name": T.replace("timestamp", "timeſtamp"),
    "a long s beside the right name": T[:-1] + ',"timeſtamp":"x"}',
    "no orderId": '{"timestamp":"%s","nonce":"%s"}' % (NOW, NONCE),
    "no timestamp": '{"orderId":"%s","nonce":"%s"}' % (ORDER, NONCE),
    "no nonce": '{"orderId":"%s","timestamp":"%s"}' % (ORDER, NOW),
    "our members one level down": '{"x":' + T + "}",
    "nested 5,000 deep": T[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}",
    "nested 40 deep": T[:-1] + ',"x":' + '{"x":' * 40 + "1" + "}" * 40 + "}",
    "a bracket that is not closed": T[:-1] + ',"x":' + "[" * 5000 + "}",
}.items():
    add("body: " + what, "body_malformed", body)
for member in ["orderId", "timestamp", "nonce", "requestedBy", "organizationId", "accountId"]:
    for what, value in {"null": None, "a number": 801000000000001, "true": True, "an array": [ORDER], "an object": {"x": 1}}.items():
        d = json.loads(T)
        d[member] = value
        # Apex's JSON.serialize writes the members that are not set as null.
        absent = value is None and member in ["requestedBy", "organizationId", "accountId"]
        add("body: %s is %s" % (member, what), "" if absent else "body_malformed", json.dumps(d, separators=(",", ":")))
for value in ["801000000000001AAA", "001000000000001AAB", "acme", "001' OR 1=1"]:
    add("body: accountId is " + value, "body_malformed", text(accountId=value))

# 7 what is signed
add("another timestamp in the header", "headers_not_signed", headers={"X-SF-Timestamp": "2026-11-24T12:00:01.000Z"})
add("the same instant in another spelling", "headers_not_signed", headers={"X-SF-Timestamp": "2026-11-24T12:00:00Z"})
add("another nonce in the header", "headers_not_signed", headers={"X-SF-Nonce": NONCE[::-1]})
add("a fresh header over an old body", "headers_not_signed", text(timestamp="2026-11-24T10:00:00.000Z"))

# 8 organization
add("another organization", "org_not_allowed", text(organizationId="00D000000000002EAA"), orgId="00D000000000001EAA")
add("no organization", "org_not_allowed", orgId="00D000000000001EAA")
add("an organization that is null", "org_not_allowed", text(organizationId=None), orgId="00D000000000001EAA")
add("an empty organization", "org_not_allowed", text(organizationId=""), orgId="00D000000000001EAA")
add("the organization in another case", "org_not_allowed", text(organizationId="00d000000000001"), orgId="00D000000000001")
add("an organization with wrong check characters", "org_not_allowed", text(organizationId="00D000000000001AAB"), orgId="00D000000000001")
add("the organization before the order id", "org_not_allowed", text(order="nonsense"), orgId="00D000000000001")

# 9 order id
for value in ["", "801", "8010000000000", "801000000000001A", "801000000000001AAB", "801000000000001aaa", "001000000000001AAA",
              "801000000000001AAA\u0000", "801000000000001AA%41", "8010000000000о1", "..%2f801000000000001", " 801000000000001", "801000000000001AAA801000000000001AAA"]:
    add("order id in the body: " + json.dumps(value), "order_id_invalid", text(order=value))
    add("order id in the path: " + json.dumps(value), "order_id_invalid", path=value)
add("another order in the path", "order_id_mismatch", path="801000000000002AAA")
add("an order that differs in case", "order_id_mismatch", text(order="80100000000000a"), path="80100000000000A")

# 10 idempotency key
add("no idempotency key", "idempotency_key_missing", drop=["Idempotency-Key"])
for value, what in [("", "empty"), ("k" * 256, "256 characters"), ("clé", "not ASCII"), ("a\tb", "a tab"), ("a,b", "two of them"), ("a\x7f", "DEL")]:
    add("idempotency key: " + what, "idempotency_key_missing", headers={"Idempotency-Key": value})

names = [v["name"] for v in vectors]
assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
with open("callouts.json", "w", encoding="utf-8") as f:
    json.dump({
        "about": "callouts and the code that each gets; see README.md. Written by make_callouts.py.",
        "secret": SECRET, "previousSecret": PREVIOUS, "now": NOW, "toleranceMs": 300000,
        "vectors": vectors,
    }, f, ensure_ascii=True, indent=1)
    f.write("\n")
print(len(vectors), "vectors")
