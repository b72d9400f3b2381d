// The whole chain, Salesforce being a model: a click in Chromium on the package's
// own components → the package's Apex, interpreted → signature by the formula of
// its External Credential → the bridge's real functions → one WHMCS order →
// write-back through the package's permission set and validation rules → card.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { badge, button, toast, World } from "./world.mjs";

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
