// The REST API as the bridge uses it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RestApi } from "../src/rest.mjs";
import { org } from "./fixture.mjs";

const DATA = "/services/data/v67.0";

function api(user = "reader") {
  const o = org();
  const rest = new RestApi(o, { clientId: "c", clientSecret: "s", user: o[user] });
  const login = (secret) =>
    rest.answer({
      method: "POST",
      url: "/services/oauth2/token",
      headers: { host: "model" },
      body: `grant_type=client_credentials&client_id=c&client_secret=${secret}`
    });
  const { access_token: token } = login("s").body;
  const call = (method, path, body) =>
    rest.answer({
      method,
      url: DATA + path,
      headers: { authorization: `Bearer ${token}`, host: "model" },
      body: body && JSON.stringify(body)
    });
  const update = (...records) =>
    call("POST", "/composite", {
      allOrNone: false,
      compositeRequest: [
        { method: "PATCH", url: `${DATA}/composite/sobjects`, referenceId: "r", body: { allOrNone: false, records } }
      ]
    }).body.compositeResponse[0];
  const row = (fields, id = o.order) => ({ attributes: { type: "Order" }, id, ...fields });
  return { org: o, rest, login, call, update, row };
}

test("only the right secret logs in, and only its token reads", () => {
  const { rest, login } = api();
  assert.equal(login("wrong").status, 400);
  assert.equal(login("wrong").body.error, "invalid_client");
  const answer = rest.answer({ method: "GET", url: `${DATA}/query?q=x`, headers: {}, body: "" });
  assert.deepEqual([answer.status, answer.body[0].errorCode], [401, "INVALID_SESSION_ID"]);
});

test("a query answers in the field's spelling, with related records", () => {
  const { call, org: o } = api();
  const { body } = call("GET", `/query?q=${encodeURIComponent("SELECT id, stage__c FROM Order LIMIT 1")}`);
  assert.deepEqual(body, {
    totalSize: 1,
    done: true,
    records: [{ attributes: { type: "Order" }, Id: o.order, Stage__c: "New" }]
  });
});

test("what the permission set hides is INVALID_FIELD, in a query and in an update", () => {
  const { call, update, row } = api();
  const { status, body } = call("GET", `/query?q=${encodeURIComponent("SELECT Note__c FROM Order")}`);
  assert.deepEqual([status, body[0].errorCode], [400, "INVALID_FIELD"]);
  const sub = update(row({ Note__c: "x" }));
  assert.deepEqual([sub.httpStatusCode, sub.body[0].errorCode], [400, "INVALID_FIELD"]);
});

test("each row is saved or refused by itself, in user mode", () => {
  const { update, row, org: o } = api();
  const second = o.database.seed("Order", {
    AccountId: o.account,
    Status: "Draft",
    EffectiveDate: o.database.table("Order").get(o.order).get("EffectiveDate"),
    Seq__c: 9
  });
  const { body } = update(
    row({ Seq__c: 5 }),
    row({ Seq__c: 8 }, second),
    row({ Stage__c: "Done" }, "801000000000777AAA")
  );
  assert.deepEqual(
    body.map((r) => r.success),
    [true, false, false]
  );
  assert.deepEqual(body[1].errors, [
    { statusCode: "FIELD_CUSTOM_VALIDATION_EXCEPTION", message: "Older [STALE]", fields: ["Seq__c"] }
  ]);
  assert.equal(body[2].errors[0].statusCode, "ENTITY_IS_DELETED");
  assert.equal(o.database.table("Order").get(o.order).get("Seq__c"), 5);
});

test("describe says what may be written", () => {
  const { call } = api();
  const fields = new Map(call("GET", "/sobjects/Order/describe").body.fields.map((f) => [f.name, f.updateable]));
  assert.deepEqual([fields.get("Seq__c"), fields.get("Stage__c"), fields.has("Note__c")], [true, false, false]);
});

test("a collection has at most 200 rows, and 10 changes of object", () => {
  const { update, row } = api();
  assert.equal(update(...new Array(201).fill(row({}))).httpStatusCode, 400);
  const mixed = Array.from({ length: 11 }, (_, i) => ({
    attributes: { type: i % 2 ? "Order" : "OrderItem" },
    id: "801000000000001AAA"
  }));
  assert.equal(update(...mixed).body[0].errorCode, "LIMIT_EXCEEDED");
});

test("what the bridge does not use is refused by name", () => {
  const { call } = api();
  assert.throws(() => call("DELETE", "/sobjects/Order/x"), /not modelled: DELETE/);
});
