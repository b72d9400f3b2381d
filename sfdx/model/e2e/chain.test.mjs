// The whole chain, Salesforce being a model: a click in Chromium on the package's
// own components → the package's Apex, interpreted → signature by the formula of
// its External Credential → the bridge's real functions → one WHMCS order →
// write-back through the package's permission set and validation rules → card.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { badge, button, World } from "./world.mjs";

const MINUTE = 60_000;

let world;
const pages = [];

before(async () => {
  world = await World.start();
});
after(() => world?.stop());
afterEach(async () => {
  const errors = [];
  for (const p of pages.splice(0)) {
    errors.push(...p.errors);
    await p.close();
  }
  errors.push(...world.site.failures.splice(0).map((e) => e.stack));
  assert.deepEqual(errors, [], "no page and no call of the model failed");
});

async function open(...args) {
  const p = await world.page(...args);
  pages.push(p);
  return p;
}

async function card(order, user) {
  const p = await world.card(order, user);
  pages.push(p);
  return p;
}

/** Lets the card's next poll come. */
const poll = (page) => page.clock.fastForward(30_000);

async function shows(page, status) {
  await poll(page);
  await badge(page).filter({ hasText: status }).waitFor();
}

async function says(page, text) {
  await page.locator("#toasts > div").filter({ hasText: text }).last().waitFor();
}

async function oneOrder(order) {
  assert.equal((await world.bridge.whmcsOrders(order.client)).length, 1, "WHMCS holds one order");
}

test("a click is one WHMCS order, and the card says Provisioned", async () => {
  const order = await world.order();
  const page = await card(order);
  assert.equal(await badge(page).textContent(), "Pending Review");
  await button(page).click();
  await says(page, "On its way");
  await shows(page, /Activating|Provisioned/);
  await world.provisioned(order);
  await shows(page, "Provisioned");
  assert.ok(await button(page).isDisabled(), "there is nothing more to click");
  const number = world.field(order, "WHMCS_Order_ID__c");
  assert.match(await page.locator("[data-id=whmcs-order]").textContent(), new RegExp(number));
  await oneOrder(order);
});

test("the quick action tells the same, twice at once sends once", async () => {
  const order = await world.order();
  const page = await open("provisionInWhmcs", { recordId: order.id });
  await page.locator("#action").evaluate((b) => (b.click(), b.click()));
  await says(page, "On its way");
  await world.provisioned(order);
  assert.equal(await page.locator("#toasts > div").count(), 1, "the second invoke met a busy action");
  await oneOrder(order);
});

test("a second click, of another page too, is told that the order is on its way", async () => {
  const order = await world.order();
  await world.withoutWriteBack(async () => {
    const [first, second] = [await card(order), await open("provisionInWhmcs", { recordId: order.id })];
    await button(first).dblclick();
    await says(first, "On its way");
    await second.locator("#action").click();
    await says(second, /Already on its way: Since \d\d:\d\d, by Olga\./);
  });
  assert.equal(
    world.site.calls.filter((c) => c.method === "send" && c.parameters.orderId === order.id).length,
    1,
    "one request was sent"
  );
  await world.provisioned(order);
  await oneOrder(order);
});

test("a worker that is killed while WHMCS works leaves one order", async () => {
  const order = await world.order();
  await world.bridge.books("POST", "faults", {
    action: "AcceptOrder",
    fault: "slow",
    times: 1,
    delayMs: 1500,
    match: order.id
  });
  const page = await card(order);
  await button(page).click();
  await says(page, "On its way");
  await world.until(async () => (await world.bridge.whmcsOrders(order.client)).length === 1, "WHMCS has the order");
  await world.bridge.kill("provision");
  await world.provisioned(order);
  await shows(page, "Provisioned");
  await oneOrder(order);
});

// ---- each answer of the contract

/** Clicks, loses the write-back until the bridge has ended the order, and clicks again minutes later. */
async function clickAfterTheEnd(order, end) {
  await world.withoutWriteBack(async () => {
    const page = await open("provisionInWhmcs", { recordId: order.id });
    await page.locator("#action").click();
    await says(page, "On its way");
    await world.until(async () => (await world.portal(order)) === end, `the bridge says ${end}`);
    assert.equal(world.status(order), "Activating");
    world.age(order, 3);
    await page.locator("#action").click();
    await page.locator("#toasts > div").nth(1).waitFor();
    pages.last = await page.locator("#toasts > div").nth(1).textContent();
  });
  return pages.last;
}

test("200: an order that is provisioned already is told with its number", async () => {
  const order = await world.order();
  const told = await clickAfterTheEnd(order, "Provisioned");
  await world.provisioned(order);
  assert.equal(told, `Provisioned: WHMCS order ${world.field(order, "WHMCS_Order_ID__c")}.`);
  await oneOrder(order);
});

test("422: an order that has failed is told with what to do", async () => {
  const order = await world.order();
  await world.bridge.books("PUT", `clients/${order.client}`, { status: "Closed" });
  const told = await clickAfterTheEnd(order, "Failed");
  await world.until(() => world.status(order) === "Failed", "Salesforce says Failed");
  assert.ok(told.startsWith("Not provisioned: "), told);
  assert.ok(world.field(order, "Provisioning_Error_Code__c"), "the bridge has written the code");
});

const header = (name, value) => (r) => ({
  ...r,
  headers: [
    ...r.headers.filter(([n]) => n.toLowerCase() !== name.toLowerCase()),
    ...(value === null ? [] : [[name, value]])
  ]
});

// Refused before it was recorded: final for this attempt, and Salesforce itself says so.
const REFUSED = {
  "400 order_id_mismatch": {
    code: "order_id_mismatch",
    change: (r) => ({ ...r, url: r.url.replace(/801\w{15}/, "801000000000779AAA") })
  },
  "400 idempotency_key_missing": { code: "idempotency_key_missing", change: header("Idempotency-Key", null) },
  "413 body_too_large": { code: "body_too_large", change: (r) => ({ ...r, body: r.body.padEnd(16_385) }) },
  "415 content_type_unsupported": { code: "content_type_unsupported", change: header("Content-Type", "text/plain") }
};
for (const [name, { code, change }] of Object.entries(REFUSED))
  test(`${name}: refused, with the request id; a click after the correction provisions it`, async () => {
    const order = await world.order();
    const page = await card(order);
    await world.through(
      (r) => world.direct(change(r)),
      async () => {
        await button(page).click();
        await says(page, /^Not provisioned: .* \(request \S+\)$/);
      }
    );
    await shows(page, "Failed");
    assert.equal(world.field(order, "Provisioning_Error_Code__c"), code);
    await button(page).click();
    await says(page, "On its way");
    await world.provisioned(order);
    assert.equal(world.field(order, "Provisioning_Error_Code__c"), null, "the error is gone");
    await oneOrder(order);
  });

test("403 org_not_allowed: a refreshed sandbox provisions nothing", async () => {
  const order = await world.order();
  const page = await card(order);
  const { organizationId } = world.org;
  world.org.organizationId = "00D000000000002EAA";
  try {
    await button(page).click();
    await says(page, "Not provisioned");
  } finally {
    world.org.organizationId = organizationId;
  }
  await shows(page, "Failed");
  assert.equal(world.field(order, "Provisioning_Error_Code__c"), "org_not_allowed");
  assert.equal((await world.bridge.whmcsOrders(order.client)).length, 0);
});

/** Sends what came, and answers with what the second sending met. */
const twice = (r) => (world.direct(r), world.direct(r));
/** Another 100 callouts for the same order: its live nonces are used up. */
function crowd(r) {
  for (let i = 0; i < 100; i++) {
    const nonce = `crowd-${String(i).padStart(20, "0")}`;
    const body = JSON.stringify({ ...JSON.parse(r.body), nonce });
    const signature = crypto.createHmac("sha256", world.bridge.secret).update(body).digest("hex");
    world.direct(header("X-SF-Nonce", nonce)(header("X-SF-Signature", signature)({ ...r, body })));
  }
  return world.direct(r);
}

// Not recorded, or not known to be: the job sends it again by itself.
const REPEATED = {
  "401 signature_invalid": (r) => world.direct({ ...r, body: r.body.replace("organizationId", "organisationId") }),
  "401 headers_not_signed": (r) => world.direct(header("X-SF-Nonce", "n".repeat(32))(r)),
  "401 signature_missing": (r) => world.direct(header("X-SF-Signature", null)(r)),
  "401 nonce_replayed": twice,
  "404 from the gateway": (r) => world.direct({ ...r, url: r.url.replace("/orders/", "/nowhere/") }),
  "429 too_many_requests": crowd,
  "502 of a proxy, in HTML": () => ({
    status: 502,
    headers: [["content-type", "text/html"]],
    body: "<html><body>Bad Gateway</body></html>"
  }),
  "no answer": () => ({ error: "Read timed out" }),
  "200 of a captive portal": () => ({
    status: 200,
    headers: [["content-type", "text/html"]],
    body: "<html>Welcome</html>"
  })
};
for (const [name, hop] of Object.entries(REPEATED))
  test(`${name}: told that it is tried again, and it is`, async () => {
    const order = await world.order();
    const page = await open("provisionInWhmcs", { recordId: order.id });
    await world.through(hop, async () => {
      await page.locator("#action").click();
      await says(page, /^No answer yet: /);
    });
    assert.equal(world.org.queue.jobs.length, 1, "a job waits");
    world.delivered();
    await world.provisioned(order);
    world.delivered();
    assert.equal(world.org.queue.jobs.length, 0, "nothing is sent of an order that the bridge has reported");
    await oneOrder(order);
  });

test("401 timestamp_out_of_window: a wrong clock of the org is told, and sent again", async () => {
  const order = await world.order();
  const page = await open("provisionInWhmcs", { recordId: order.id });
  world.behind = 10 * MINUTE;
  await page.locator("#action").click();
  await says(page, /^No answer yet: /);
  world.behind = 0;
  world.delivered();
  await world.provisioned(order);
  await oneOrder(order);
});

test("503 try_again: a throttled table is told, and sent again", async () => {
  const order = await world.order();
  const page = await open("provisionInWhmcs", { recordId: order.id });
  await world.bridge.local("POST", "dynamo", { throttle: { op: "PutItem", times: 50, match: order.id } });
  await page.locator("#action").click();
  await says(page, /^No answer yet: /);
  await world.bridge.local("DELETE", "dynamo");
  world.delivered();
  await world.provisioned(order);
  await oneOrder(order);
});

// ---- undelivered

test("undelivered: tried for 25 minutes, then said, then sent again by the schedule", async () => {
  const order = await world.order();
  const page = await card(order);
  const { org } = world;
  if (!org.queue.scheduled.size) org.aura("BridgeSetup", "scheduleResend", {}, world.administrator);
  world.behind = 45 * MINUTE;
  await world.through(
    () => ({ error: "Connection refused" }),
    async () => {
      await button(page).click();
      await says(page, /^No answer yet: /);
      const rounds = [];
      while (org.queue.jobs.length) {
        const before = org.now();
        world.nextJob();
        rounds.push(Math.round((org.now() - before) / MINUTE));
      }
      assert.deepEqual(rounds, [1, 2, 4, 8, 10]);
    }
  );
  assert.equal(world.status(order), "Activating");
  assert.equal(world.field(order, "Provisioning_Error_Code__c"), "request_not_delivered");
  const notice = org.notifications.at(-1);
  assert.equal(notice.targetId, order.id);
  assert.ok(notice.recipientIds.includes(world.operator), "the clicker is told");
  await poll(page);
  await page
    .locator("[data-id=message]")
    .filter({ hasText: "Not delivered to the bridge. Click again, it is safe." })
    .waitFor();
  assert.equal(await button(page).textContent(), "Send again");
  world.behind = 0;
  org.queue.fire(org.queue.named("re-send")[0]);
  org.queue.runDue();
  await world.provisioned(order);
  await shows(page, "Provisioned");
  await oneOrder(order);
});

test("two refusals of the signature end the tries, and a click after the correction sends", async () => {
  const order = await world.order();
  const page = await card(order);
  world.secrets.OrderBridge.HmacSecret = "wrong";
  await button(page).click();
  await says(page, /^No answer yet: /);
  world.delivered();
  assert.equal(world.field(order, "Provisioning_Error_Code__c"), "request_not_delivered");
  assert.equal(world.org.queue.jobs.length, 0);
  world.secrets.OrderBridge.HmacSecret = world.bridge.secret;
  await poll(page);
  await button(page).filter({ hasText: "Send again" }).click();
  await says(page, "On its way");
  await world.provisioned(order);
  await oneOrder(order);
});

// ---- the rest of an operator's day

test("200 orders of a list: eight jobs, 200 WHMCS orders, one summary", async () => {
  const orders = [];
  const first = await world.order();
  for (let i = 0; i < 199; i++) orders.push(await world.order({ client: first.client, account: first.account }));
  orders.push(first);
  const { org } = world;
  const flow = org.as(world.operator, () => org.flows.start("Provision_Selected", { ids: orders.map((o) => o.id) }));
  const [{ component, properties }] = flow.screen.components;
  assert.equal(component, "c:provisionSummary");
  const page = await open("provisionSummary", properties);
  await page.locator("[data-id=summary]").filter({ hasText: "200" }).waitFor();
  const before = org.queue.ended.length;
  org.queue.runDue();
  const ended = org.queue.ended.slice(before);
  assert.deepEqual(ended, new Array(8).fill({ job: "ProvisionJob", failed: null }));
  for (const o of orders) await world.provisioned(o);
  assert.equal((await world.bridge.whmcsOrders(first.client)).length, 200);
});

test("an order that is not mapped says so before the click", async () => {
  const order = await world.order({ mapped: false });
  const page = await card(order);
  await page.locator("[data-id=reasons] li").first().waitFor();
  assert.match(await page.locator("[data-id=reasons]").textContent(), new RegExp(`Account ${order.client}`));
  assert.ok(await button(page).isDisabled());
});

test("a row that somebody else is saving: a sentence, and the next click sends", async () => {
  const order = await world.order();
  const page = await card(order);
  world.org.database.locked.add(order.id);
  await button(page).click();
  await says(page, "Not provisioned: Somebody else is saving this order or its account.");
  world.org.database.locked.delete(order.id);
  await button(page).click();
  await says(page, "On its way");
  await world.provisioned(order);
  await oneOrder(order);
});

test("a write-back that meets a locked row is written later", async () => {
  const order = await world.order();
  const page = await card(order);
  await button(page).click();
  await says(page, "On its way");
  world.org.database.locked.add(order.id);
  await world.until(async () => (await world.portal(order)) === "Provisioned", "the bridge has provisioned");
  assert.equal(world.status(order), "Activating");
  world.org.database.locked.delete(order.id);
  await world.provisioned(order);
});

test("an older report is refused by the package's rule, and the bridge overtakes it", async () => {
  const order = await world.order();
  const seq = Date.now() + 60 * MINUTE;
  world.set("Order", order.id, { Provisioning_Seq__c: seq });
  const page = await card(order);
  await button(page).click();
  await says(page, "On its way");
  await world.provisioned(order);
  assert.ok(world.field(order, "Provisioning_Seq__c") > seq);
});

test("a user without the permission set reads what to do", async () => {
  const order = await world.order();
  const page = await card(order, world.stranger);
  assert.match(await page.locator("[data-id=failure]").textContent(), /administrator/);
  assert.ok(await button(page).isDisabled());
});

test("the set-up page is green where all is set, and says what to do where not", async () => {
  const page = await open("bridgeSetup", {}, world.administrator);
  const red = () => page.locator("li:has([data-id=todo])").evaluateAll((all) => all.map((l) => l.dataset.id));
  await page.locator("[data-id=push]").waitFor();
  // The address is that of this machine, over http.
  assert.deepEqual(
    (await red()).filter((n) => n !== "resend"),
    ["address"]
  );
  world.secrets.OrderBridge.HmacSecret = "wrong";
  await page.locator("[data-id=check] button").click();
  await page.locator("[data-id=call] [data-id=todo]").waitFor();
  world.secrets.OrderBridge.HmacSecret = world.bridge.secret;
  await page.locator("[data-id=check] button").click();
  await page.locator("[data-id=call]:not(:has([data-id=todo]))").waitFor();
});
