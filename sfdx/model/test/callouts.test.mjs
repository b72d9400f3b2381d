// Callouts: the order of things, limits, credentials, and the signature.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { headerText } from "../src/formula.mjs";
import { Project } from "../src/metadata.mjs";
import { failure, org, testClass } from "./fixture.mjs";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const SEND =
  "static HttpResponse send() { HttpRequest r = new HttpRequest(); r.setEndpoint('callout:Bridge_API/x'); r.setMethod('POST'); r.setHeader('A', 'b'); r.setBody('text'); return new Http().send(r); }";

/** An org whose method f has this body; `sent` are the requests that left it. */
function caller(body, settings = {}) {
  const sent = [];
  const transport = (r) => (sent.push(r), { status: 202, headers: [["Retry-After", "5"]], body: "ok" });
  const o = org(
    {
      "classes/T.cls": `public class T { ${SEND} @AuraEnabled public static String f() { ${body} } public class J implements Queueable { public void execute(QueueableContext c) { } } }`
    },
    { transport, ...settings }
  );
  // Only who has the principal may call out; class access is of another test.
  const f = (user = o.reader) =>
    o.as(user, () => o.run("sync", () => o.call(o.program.classes.get("t").methods.get("f")[0], null, [])));
  return { org: o, sent, f };
}

test("a request leaves with its headers and the credential's", () => {
  const { f, sent } = caller(
    "HttpResponse r = send(); return r.getStatusCode() + r.getBody() + r.getHeader('retry-after');"
  );
  assert.equal(f(), "202ok5");
  assert.equal(sent[0].url, "https://bridge.example/x");
  assert.deepEqual(
    sent[0].headers.map(([n]) => n),
    ["A", "X-Signature"]
  );
  assert.match(sent[0].headers[1][1], /^[0-9a-f]{64}$/);
  assert.equal(sent[0].timeout, 10_000);
});

const PENDING = "You have uncommitted work pending. Please commit or rollback before calling out";
test("no callout follows a change that is not committed", () => {
  const { f, sent } = caller("insert as system new Account(Name = 'A'); return send().getBody();");
  assert.throws(() => f(), new RegExp(`CalloutException: ${PENDING}`));
  assert.equal(sent.length, 0);
});

test("nor a job that was added", () => {
  const { f } = caller("System.enqueueJob(new J()); return send().getBody();");
  assert.throws(() => f(), new RegExp(PENDING));
});

test("a change after the callout is allowed", () => {
  const { f } = caller("String s = send().getBody(); insert as system new Account(Name = 'A'); return s;");
  assert.equal(f(), "ok");
});

test("100 callouts a transaction", () => {
  const { f, sent } = caller("for (Integer i = 0; i < 101; i++) { send(); } return null;");
  assert.throws(() => f(), /LimitException: Too many callouts: 101/);
  assert.equal(sent.length, 100);
});

test("120 s of callouts a transaction, and the last one gets what is left", () => {
  let now = 0;
  const timeouts = [];
  const transport = (r) => (timeouts.push(r.timeout), (now += 50_000), { status: 200, headers: [], body: "" });
  const { f } = caller(
    "for (Integer i = 0; i < 4; i++) { HttpRequest r = new HttpRequest(); r.setEndpoint('callout:Bridge_API'); r.setMethod('GET'); r.setTimeout(60000); new Http().send(r); } return null;",
    { transport, now: () => now }
  );
  assert.throws(() => f(), /LimitException: Exceeded max time limit for callouts: 120000/);
  assert.deepEqual(timeouts, [60_000, 60_000, 20_000]);
});

test("a time-out is 1 to 120,000 ms", () => {
  for (const ms of [0, 120_001])
    assert.match(failure(`new HttpRequest().setTimeout(${ms}); return 1;`), /CalloutException/);
  assert.equal(failure("new HttpRequest().setTimeout(120000); return 1;"), null);
});

test("no answer is a CalloutException that Apex can catch", () => {
  const { f } = caller("try { send(); } catch (CalloutException e) { return e.getMessage(); } return null;", {
    transport: () => ({ error: "Read timed out" })
  });
  assert.equal(f(), "Read timed out");
});

test("a user without the principal calls nowhere", () => {
  const { f, org: o, sent } = caller("return send().getBody();");
  assert.throws(() => f(o.plain), /might not have the required permissions/);
  assert.equal(sent.length, 0);
});

test("an address that is no credential's is not allowed", () => {
  const { f } = caller(
    "HttpRequest r = new HttpRequest(); r.setEndpoint('https://elsewhere.example'); r.setMethod('GET'); return new Http().send(r).getBody();"
  );
  assert.throws(() => f(), /Unauthorized endpoint/);
});

test("a test calls its mock, and nothing without one", () => {
  const mock =
    "class M implements HttpCalloutMock { public HttpResponse respond(HttpRequest r) { HttpResponse a = new HttpResponse(); a.setStatusCode(418); a.setBody(r.getMethod()); return a; } }";
  const results = testClass(`${SEND} ${mock}
    @IsTest static void with_mock() { Test.setMock(HttpCalloutMock.class, new M()); Assert.areEqual('POST', send().getBody()); }
    @IsTest static void without() { send(); }
    @IsTest static void after_change() { Test.setMock(HttpCalloutMock.class, new M()); insert as system new Account(Name = 'A'); send(); }
    @IsTest static void after_change_and_start() { Test.setMock(HttpCalloutMock.class, new M()); insert as system new Account(Name = 'A'); Test.startTest(); send(); Test.stopTest(); }`);
  assert.deepEqual([results[0], results[3]], ["passed", "passed"]);
  assert.match(results[1], /do not support Web service callouts/);
  assert.match(results[2], /uncommitted work pending/);
});

test("the formula of the package's credential signs as every accepted vector of the contract", () => {
  const vectors = JSON.parse(fs.readFileSync(path.join(ROOT, "contract/vectors/callouts.json"), "utf8"));
  const [header] = new Project([
    path.join(ROOT, "sfdx/orderbridge"),
    path.join(ROOT, "sfdx/orderbridge-mapping")
  ]).external
    .get("OrderBridge")
    .filter((p) => p.parameterType === "AuthHeader");
  const sign = (body, secret) =>
    headerText(header.parameterValue, (n) => (n.endsWith(".Body") ? Buffer.from(body, "utf8") : secret));
  let compared = 0;
  for (const v of vectors.vectors) {
    const given = Array.isArray(v.headers) ? null : v.headers["X-SF-Signature"];
    if (v.code !== "" || typeof v.body !== "string" || typeof given !== "string") continue;
    compared++;
    assert.ok(
      [vectors.secret, vectors.previousSecret].some((s) => sign(v.body, s) === given.toLowerCase()),
      v.name
    );
  }
  assert.ok(compared >= 20, `${compared} vectors`);
});

test("a formula with a mistake is refused", () => {
  const value = (n) => (n === "$Credential.B.Body" ? Buffer.from("x") : "s");
  assert.match(headerText("v1 {!HEX(HASH('SHA-256', $Credential.B.Body))}", value), /^v1 [0-9a-f]{64}$/);
  for (const [formula, why] of [
    ["{!HEX(HMACC('SHA-256', $Credential.B.Body, BLOB($Credential.B.S)))}", /Unknown function HMACC/],
    ["{!HEX(HMAC('SHA-512', $Credential.B.Body, BLOB($Credential.B.S)))}", /Unknown algorithm/],
    ["{!HEX(HMAC('SHA-256', $Credential.B.Body, $Credential.B.S))}", /a Blob is needed/],
    ["{!HMAC('SHA-256', $Credential.B.Body, BLOB($Credential.B.S))}", /a header needs a text/],
    ["{!HEX(HMAC('SHA-256', $Credential.B.Body)}", /Syntax error/],
    ["{!HEX($User.Id)}", /does not exist/]
  ])
    assert.throws(() => headerText(formula, value), why);
});
