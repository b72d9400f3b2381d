// The client in a real browser, against a real HTTP server, with the browser's
// timers advanced by the test.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Connection, Order } from "../src/index.js";
import { launch } from "./browser.js";

const id = "801000000000001AAA";
const core = readFileSync(new URL("../dist/index.js", import.meta.url));
const minute = 60_000;
const hour = 60 * minute;

/** What the page under test keeps for the test to read. */
interface Watched {
  asked: { at: number; token: string; etag: string }[];
  seen: { order: Order; connection: Connection }[];
  flying: number;
  most: number;
  ended: boolean;
  renewed: boolean[];
  stop(): void;
}
declare global {
  interface Window {
    watched: Watched;
    watch(id: string, options: object): void;
  }
}

const page = `<!doctype html><title>client</title><script type="module">
import { watchOrder } from "/core.js";
const w = window.watched = { asked: [], seen: [], flying: 0, most: 0, ended: false, renewed: [] };
window.watch = (id, { tokens = false } = {}) => {
  const end = new AbortController();
  w.stop = () => end.abort();
  watchOrder(id, {
    signal: end.signal,
    ...(tokens ? { getToken: (renew) => { w.renewed.push(renew); return "token-" + w.renewed.filter(Boolean).length; } } : {}),
    fetch: async (url, init) => {
      w.asked.push({ at: performance.now(), token: init.headers.Authorization ?? "", etag: init.headers["If-None-Match"] ?? "" });
      w.most = Math.max(w.most, ++w.flying);
      try { return await fetch(url, init); } finally { w.flying--; }
    },
    onChange: (order, connection) => w.seen.push({ order, connection }),
  }).then(() => { w.ended = true; });
};
</script>`;

let browser: Browser;
let context: BrowserContext;
let http: Server;
let answers: ((response: ServerResponse, request: IncomingMessage) => void)[];
let base: string;

beforeAll(async () => {
  browser = await launch();
  http = createServer((request, response) => {
    if (request.url === "/core.js") return response.setHeader("Content-Type", "text/javascript").end(core);
    if (!request.url?.startsWith("/orders/")) return response.setHeader("Content-Type", "text/html").end(page);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    answer?.(response, request);
  });
  await new Promise<void>((ready) => http.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await browser.close();
  http.closeAllConnections();
  http.close();
});
beforeEach(async () => void (context = await browser.newContext()));
afterEach(() => context.close());

const send = (status: number, body: unknown, headers: Record<string, string> = {}) => (response: ServerResponse) => {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "private, no-cache", ...headers });
  response.end(JSON.stringify(body));
};
const order = (members: Partial<Order> = {}, headers: Record<string, string> = {}) =>
  send(200, { sfOrderId: id, status: "Activating", final: false, ...members }, { "Retry-After": "1", ...headers });
const provisioned = order({ status: "Provisioned", final: true, updatedAt: "2026-11-28T12:00:05Z" });
const refused = (status: number, headers: Record<string, string> = {}) => send(status, { message: "no" }, headers);

async function open(...script: typeof answers): Promise<Page> {
  answers = script;
  const page = await context.newPage();
  await page.clock.install({ time: "2026-11-28T12:00:00Z" });
  await page.goto(base);
  await page.waitForFunction(() => window.watched);
  await page.clock.pauseAt("2026-11-28T12:00:30Z");
  return page;
}
async function start(page: Page, options: object = {}): Promise<void> {
  await page.evaluate(([id, options]) => window.watch(id as string, options as object), [id, options]);
  await settle(page);
}
/** Lets the browser's time pass and waits until every request is answered. */
async function pass(page: Page, ms: number, step = ms): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    await page.clock.runFor(Math.min(step, ms - passed));
    await settle(page);
  }
}
const settle = (page: Page) =>
  page.evaluate(async () => {
    // A message passes the page's loop without a timer: those stand still.
    const turn = () => new Promise((go) => { const c = new MessageChannel(); c.port1.onmessage = go; c.port2.postMessage(0); });
    do for (let i = 0; i < 5; i++) await turn(); while (window.watched.flying);
    for (let i = 0; i < 5; i++) await turn();
  });
const state = (page: Page) => page.evaluate(() => ({ ...window.watched, stop: undefined }));
const shown = async (page: Page) => (await state(page)).seen.map((s) => `${s.order.status} ${s.connection}`);
const pauses = async (page: Page) => (await state(page)).asked.map((a, i, all) => (i ? a.at - (all[i - 1]?.at ?? 0) : 0)).slice(1);
const asked = async (page: Page) => (await state(page)).asked.length;
const hide = (page: Page, hidden: boolean) =>
  page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    Object.defineProperty(document, "visibilityState", { configurable: true, value: hidden ? "hidden" : "visible" });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden).then(() => pass(page, 1));

describe("20 behaviours of the client in a browser", () => {
  it("1 shows Pending Review at once, then what the server says", async () => {
    const page = await open(order());
    await start(page);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Activating live"]);
  });

  it("2 asks again after Retry-After, not before, and not all at the same moment", async () => {
    const page = await open(order({}, { "Retry-After": "4" }));
    await start(page);
    await pass(page, 50_000, 100);
    const all = await pauses(page);
    expect(all.length).toBeGreaterThan(8);
    expect(Math.min(...all)).toBeGreaterThanOrEqual(4000);
    expect(Math.max(...all)).toBeLessThanOrEqual(4600);
    expect(new Set(all).size).toBeGreaterThan(1);
  });

  it("3 sends the ETag and takes 304 for unchanged", async () => {
    const page = await open(order({}, { ETag: '"a"' }), (r) => r.writeHead(304, { "Retry-After": "1", ETag: '"a"' }).end(), provisioned);
    await start(page);
    await pass(page, 3000, 100);
    expect((await state(page)).asked.map((a) => a.etag)).toEqual(["", '"a"', '"a"']);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Activating live", "Provisioned live"]);
  });

  it("4 stops when the order is final", async () => {
    const page = await open(provisioned);
    await start(page);
    await pass(page, hour, minute);
    expect(await asked(page)).toBe(1);
    expect((await state(page)).ended).toBe(true);
  });

  it("5 waits as long as 429 says", async () => {
    const page = await open(refused(429, { "Retry-After": "20" }), provisioned);
    await start(page);
    await pass(page, 19_900, 100);
    expect(await asked(page)).toBe(1);
    await pass(page, 2000, 100);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Pending Review retrying", "Provisioned live"]);
  });

  it("6 keeps the last status on the screen through 503 and says that it is trying", async () => {
    const page = await open(order(), refused(503, { "Retry-After": "2" }), refused(503, { "Retry-After": "2" }), provisioned);
    await start(page);
    await pass(page, 12_000, 100);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Activating live", "Activating retrying", "Provisioned live"]);
  });

  it("7 backs off while failures go on, with chance in it, to a minute at most", async () => {
    const page = await open(refused(500, { "Retry-After": "1" }));
    await start(page);
    await pass(page, 10 * minute, 500);
    const all = await pauses(page);
    expect(all.length).toBeLessThanOrEqual(26);
    expect(all.at(-1)).toBeGreaterThan(30_000);
    expect(all.at(-1)).toBeLessThanOrEqual(62_000);
  });

  it("8 survives being offline and asks as soon as the network is back", async () => {
    const page = await open(order(), provisioned);
    await start(page);
    await context.setOffline(true);
    await pass(page, 5 * minute, 1000);
    expect((await shown(page)).at(-1)).toBe("Activating retrying");
    await context.setOffline(false);
    await pass(page, 10);
    expect((await shown(page)).at(-1)).toBe("Provisioned live");
  });

  it("9 asks nothing while the tab is hidden", async () => {
    const page = await open(order());
    await start(page);
    await hide(page, true);
    await pass(page, 8 * hour, 10 * minute);
    expect(await asked(page)).toBe(1);
  });

  it("10 asks at once when the tab is shown again, though not before Retry-After, and then as usual", async () => {
    const page = await open(order({}, { "Retry-After": "4" }));
    await start(page);
    await hide(page, true);
    await pass(page, 8 * hour, 10 * minute);
    await hide(page, false);
    expect(await asked(page)).toBe(2);
    await hide(page, true);
    await hide(page, false);
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await pass(page, 3900, 100);
    expect(await asked(page)).toBe(2);
    await pass(page, 600, 100);
    expect(await asked(page)).toBe(3);
  });

  it("11 asks nothing in a tab that was opened in the background until it is looked at", async () => {
    const page = await open(order());
    await hide(page, true);
    await start(page);
    await pass(page, hour, minute);
    expect(await asked(page)).toBe(0);
    await hide(page, false);
    await settle(page);
    expect((await shown(page)).at(-1)).toBe("Activating live");
  });

  it("12 renews an expired token once and asks again with the new one", async () => {
    const page = await open(order(), refused(401), order(), provisioned);
    await start(page, { tokens: true });
    await pass(page, 3000, 100);
    const now = await state(page);
    expect(now.asked.map((a) => a.token)).toEqual(["Bearer token-0", "Bearer token-0", "Bearer token-1", "Bearer token-1"]);
    expect(now.renewed).toEqual([false, false, true, false]);
    expect(await shown(page)).not.toContain("Activating retrying");
  });

  it("13 gives up when the new token is not accepted either", async () => {
    const page = await open(refused(401));
    await start(page, { tokens: true });
    await pass(page, hour, minute);
    expect(await asked(page)).toBe(2);
    expect((await shown(page)).at(-1)).toBe("Pending Review refused");
    expect((await state(page)).ended).toBe(true);
  });

  it("14 never has two requests under way, however slow the server and however busy the customer", async () => {
    const held: ServerResponse[] = [];
    const page = await open((r) => void held.push(r));
    await page.evaluate((id) => window.watch(id, {}), id);
    await expect.poll(() => held.length).toBe(1);
    for (let i = 0; i < 20; i++) {
      await page.evaluate(() => { window.dispatchEvent(new Event("focus")); window.dispatchEvent(new Event("online")); });
      await page.clock.runFor(1000);
    }
    expect((await state(page)).most).toBe(1);
    expect(await asked(page)).toBe(1);
    held.forEach((r) => provisioned(r));
    await settle(page);
    expect((await shown(page)).at(-1)).toBe("Provisioned live");
  });

  it("15 never shows an older status after a newer one", async () => {
    const page = await open(order({ updatedAt: "2026-11-28T12:00:02.5Z" }), order({ status: "Pending Review", updatedAt: "2026-11-28T12:00:02Z" }), send(200, { sfOrderId: id, status: "Pending Review", final: false }, { "Retry-After": "1" }), provisioned);
    await start(page);
    await pass(page, 5000, 100);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Activating live", "Provisioned live"]);
  });

  it("16 does not care what time the clock says, nor that it is set", async () => {
    const page = await open(order({ updatedAt: "2031-01-01T00:00:00Z" }, { Date: "Fri, 01 Jan 2016 00:00:00 GMT", "Retry-After": "4" }));
    await start(page);
    await page.clock.setSystemTime("2038-01-19T00:00:00Z");
    await pass(page, 4500, 100);
    await page.clock.setSystemTime("1999-01-01T00:00:00Z");
    await pass(page, 4500, 100);
    expect(await asked(page)).toBe(3);
  });

  it("17 asks once, not for each time it has missed, when the machine wakes up", async () => {
    const page = await open(order());
    await start(page);
    await page.clock.fastForward(3 * hour);
    await settle(page);
    expect(await asked(page)).toBe(2);
  });

  it("18 serves two tabs that know nothing of each other", async () => {
    const one = await open(order());
    const two = await open(order());
    await start(one);
    await start(two);
    await hide(two, true);
    await pass(one, 5000, 100);
    await pass(two, 5000, 100);
    expect(await asked(two)).toBe(1);
    answers = [provisioned];
    await pass(one, 1200, 100);
    expect((await shown(one)).at(-1)).toBe("Provisioned live");
    await one.close();
    await hide(two, false);
    expect((await shown(two)).at(-1)).toBe("Provisioned live");
  });

  it("19 ends at once when the page no longer wants it", async () => {
    let gone = false;
    const page = await open((r) => void r.on("close", () => (gone = true)));
    await page.evaluate((id) => window.watch(id, {}), id);
    await expect.poll(() => asked(page)).toBe(1);
    await page.evaluate(() => window.watched.stop());
    await expect.poll(() => gone).toBe(true);
    await pass(page, hour, minute);
    expect(await asked(page)).toBe(1);
    expect(await shown(page)).toEqual(["Pending Review connecting"]);
    expect((await state(page)).ended).toBe(true);
  });

  it("20 gives up an answer that never comes, and a page that is no answer", async () => {
    const page = await open(() => {}, (r) => r.writeHead(200, { "Content-Type": "text/html" }).end("<p>Sign in to the Wi-Fi</p>"), provisioned);
    await page.evaluate((id) => window.watch(id, {}), id);
    await page.clock.runFor(35_000);
    await settle(page);
    await pass(page, 15_000, 100);
    expect(await shown(page)).toEqual(["Pending Review connecting", "Pending Review retrying", "Provisioned live"]);
  });
});

describe("a tab that is left open for 8 hours", () => {
  it.each([
    ["waits for a person to release it", order({ status: "Pending Review" }, { "Retry-After": "10" })],
    ["has been open for long", order({}, { "Retry-After": "60" })],
  ])("makes at most 20 requests for an order that %s", async (_, answer) => {
    const page = await open(answer);
    await start(page);
    await pass(page, 8 * hour, 20_000);
    const n = await asked(page);
    console.log(`8 hours: ${n} requests`);
    expect(n).toBeLessThanOrEqual(20);
    expect(n).toBeGreaterThan(8);
  });
});
