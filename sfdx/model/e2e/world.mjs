// What the tests of the whole chain share: one modelled org, its site, the
// bridge, and a browser; and what a person does with them.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { chromium } from "playwright-core";
import { HttpTransport } from "../src/callouts.mjs";
import { Project } from "../src/metadata.mjs";
import { Org } from "../src/org.mjs";
import { ApexDate, Datetime, id18 } from "../src/values.mjs";
import { Bridge } from "./bridge.mjs";
import { bundle } from "./bundle.mjs";
import { serve } from "./site.mjs";

const sfdx = path.resolve(import.meta.dirname, "../..");
const root = path.dirname(sfdx);
const ORGANIZATION = "00D000000000001EAA";
const DAY = 86_400_000;
const LIMIT = 180_000; // ms; ends a test that would hang, measures nothing
const PAUSE = 25; // ms between two looks at what other processes do

export class World {
  static async start() {
    const world = new World();
    world.ends = [];
    try {
      await world.open();
      return world;
    } catch (e) {
      await world.stop();
      throw e;
    }
  }

  async open() {
    const http = new HttpTransport();
    this.ends.push(() => http.close());
    this.behind = 0; // ms that the org's clock is behind that of the bridge
    this.hop = (request) => http.send(request); // what a request passes on its way; tests put theirs here
    this.direct = this.hop;
    const project = new Project([path.join(sfdx, "orderbridge"), path.join(sfdx, "orderbridge-mapping")]);
    const secrets = { OrderBridge: {} };
    const addresses = {};
    this.org = new Org(project, {
      now: () => Date.now() - this.behind,
      organizationId: ORGANIZATION,
      secrets,
      addresses,
      transport: (r) => this.hop(r)
    });
    this.operator = this.org.addUser({ name: "Olga", profile: "Standard User", sets: ["OrderBridge_Operator"] });
    this.stranger = this.org.addUser({ name: "Stan", profile: "Standard User" });
    this.administrator = this.org.addUser({
      name: "Ada",
      profile: "System Administrator",
      sets: ["OrderBridge_Operator", "OrderBridge_Admin"]
    });
    const integration = this.org.addUser({
      name: "Bridge",
      profile: "Minimum Access - API Only Integrations",
      sets: ["OrderBridge_Integration"]
    });
    this.site = await serve(this.org, {
      code: await bundle(project, path.join(sfdx, "orderbridge/lwc")),
      operator: this.operator,
      integration
    });
    this.ends.push(() => this.site.stop());
    this.bridge = await Bridge.start({
      bin: process.env.BIN ?? path.join(root, "build/bin"),
      template: path.join(root, "template.yaml"),
      salesforce: this.site.url,
      organizationId: ORGANIZATION
    });
    this.ends.push(() => this.bridge.stop());
    secrets.OrderBridge.HmacSecret = this.bridge.secret;
    addresses.OrderBridge_API = this.bridge.api;
    Object.assign(this, { secrets, addresses });
    this.browser = await chromium.launch({
      executablePath: execFileSync("which", [process.env.CHROMIUM || "chromium"], { encoding: "utf8" }).trim(),
      args: ["--no-sandbox"]
    });
    this.ends.push(() => this.browser.close());
    // One context, so that pages share what the browser has compiled.
    this.context = await this.browser.newContext({ viewport: { width: 900, height: 700 } });
    this.context.setDefaultTimeout(LIMIT);
    await this.context.clock.install();
    this.clients = 100;
    this.seedCatalogue();
  }

  async stop() {
    for (const end of this.ends.reverse()) await end();
  }

  seedCatalogue() {
    const { database, standardPricebook } = this.org;
    this.product = database.seed("Product2", {
      Name: "Hosting",
      IsActive: true,
      WH_Product_ID__c: "1",
      Billing_Cycle__c: "Monthly"
    });
    this.entry = database.seed("PricebookEntry", {
      Pricebook2Id: standardPricebook,
      Product2Id: this.product,
      UnitPrice: 10,
      IsActive: true
    });
  }

  /** An order with one line, of an account with its own WHMCS client. */
  async order({ client = null, account = null, mapped = true } = {}) {
    const { database } = this.org;
    if (!client) {
      client = ++this.clients;
      await this.bridge.books("PUT", `clients/${client}`, { status: "Active" });
      account = database.seed("Account", {
        Name: `Account ${client}`,
        WHMCS_Client_ID__c: mapped ? String(client) : null
      });
    }
    const id = database.seed("Order", {
      AccountId: account,
      Status: "Draft",
      EffectiveDate: new ApexDate(Math.floor(Date.now() / DAY) * DAY),
      OwnerId: this.operator,
      Provisioning_Status__c: "Pending Review",
      OrderNumber: String(client)
    });
    database.seed("OrderItem", {
      OrderId: id,
      PricebookEntryId: this.entry,
      Product2Id: this.product,
      Quantity: 1,
      UnitPrice: 10
    });
    return { id, client, account };
  }

  field(order, name) {
    return this.org.database.table("Order").get(id18(order.id)).get(name);
  }

  status(order) {
    return this.field(order, "Provisioning_Status__c");
  }

  /** Changes a record as an administrator would. */
  set(name, id, fields) {
    const row = this.org.database.table(name).get(id).copy();
    for (const [k, v] of Object.entries(fields)) row.set(k, v);
    this.org.database.write(name, id, row);
  }

  /** Waits until a condition holds, in the org or in the processes of the bridge. */
  async until(holds, what) {
    const end = Date.now() + LIMIT;
    while (!(await holds())) {
      this.bridge.mustRun();
      if (Date.now() > end) throw new Error(`never: ${what}\n${this.bridge.log.slice(-4000)}`);
      await setTimeout(PAUSE);
    }
  }

  provisioned(order) {
    return this.until(
      () => this.status(order) === "Provisioned",
      `order ${order.id} is Provisioned, is ${this.status(order)}`
    );
  }

  /** What the bridge tells the customer's portal about an order. */
  async portal(order) {
    const { token } = await this.bridge.local("GET", `token?account=${order.account}`);
    const answer = await fetch(`${this.bridge.api}/orders/${order.id}`, {
      headers: { authorization: `Bearer ${token}` }
    });
    return (await answer.json()).status;
  }

  /** Keeps the write-back from arriving while an action runs. */
  async withoutWriteBack(action) {
    this.site.rest.isAway = (method) => method === "POST";
    try {
      return await action();
    } finally {
      this.site.rest.isAway = () => false;
    }
  }

  /** Puts a wrong hop before the bridge while an action runs. */
  async through(hop, action) {
    this.hop = hop;
    try {
      return await action();
    } finally {
      this.hop = this.direct;
    }
  }

  /** As if the click on an order had been minutes ago. */
  age(order, minutes) {
    const at = this.field(order, "Provisioning_Requested_At__c");
    this.set("Order", order.id, { Provisioning_Requested_At__c: new Datetime(at.ms - minutes * 60_000) });
  }

  /** Runs the job that waits, at the clock of the bridge: minutes are not waited for. */
  delivered() {
    for (const j of this.org.queue.jobs) j.due = this.org.now();
    this.org.queue.runDue();
  }

  /** Moves the org's clock to the next job and runs it. */
  nextJob() {
    this.behind -= Math.max(0, this.org.queue.next - this.org.now());
    this.org.queue.runDue();
  }

  // ---- the browser

  /** Opens a component on a page of its own; errors of the page fail the test that closes it. */
  async page(component, properties, user = this.operator) {
    this.site.operator = user;
    const page = await this.context.newPage();
    page.errors = [];
    page.on("pageerror", (e) => page.errors.push(e.message));
    page.on("console", (m) => m.type() === "error" && !/status of 500/.test(m.text()) && page.errors.push(m.text()));
    await page.goto(this.site.url);
    await page.waitForFunction(() => window.ready);
    await page.evaluate(([name, p]) => window.mount(name, p), [component, properties]);
    return page;
  }

  async card(order, user) {
    const page = await this.page(
      "provisioningCard",
      { recordId: order.id, whmcsAdminUrl: "https://billing.example.com/admin" },
      user
    );
    await page.waitForSelector("lightning-badge, [data-id=failure]");
    return page;
  }
}

export const button = (page) => page.locator("lightning-button button");
export const badge = (page) => page.locator("lightning-badge[data-id=status]");
