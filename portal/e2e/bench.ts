// How long after WHMCS has activated an order its customer reads so, and how
// often is asked for that, over 200 orders on the running system.
import { it } from "vitest";
import { watchOrder } from "../src/index.js";
import { start } from "./system.js";

const orders = 200;
const together = 4;
const account = "001000000000001AAA";

interface Call { at: string; action: string; effect: string; params: Record<string, string> }

it(`tells ${orders} customers`, async () => {
  const system = await start({ PROVISION_CONCURRENCY: "4" });
  const call = async (path: string, method = "GET", body?: object) =>
    (await fetch(system.base + path, { method, headers: { "Content-Type": "application/json" }, ...(body ? { body: JSON.stringify(body) } : {}) })).json();
  try {
    const { token } = await call("/_local/token?account=" + account);
    const read = new Map<string, number>();
    const asked: number[] = [];
    const one = async (n: number) => {
      const id = "801" + String(n).padStart(12, "0") + "AAA";
      await call("/_local/orders/" + id, "PUT", { accountId: account, whmcsClientId: 42, items: [{ whmcsProductId: 1, billingCycle: "Monthly", quantity: 1 }] });
      let requests = 0;
      await call("/_local/callout", "POST", { orderId: id });
      await watchOrder(id, {
        baseUrl: system.base,
        getToken: () => token,
        fetch: (...args) => (requests++, fetch(...args)),
        onChange: (order) => { if (order.final) read.set(id, Date.now()); },
      });
      asked.push(requests);
    };
    for (let n = 0; n < orders; n += together) await Promise.all(Array.from({ length: together }, (_, i) => one(n + i)));
    const journal = (await call("/_local/sim/whmcs/journal")) as Call[];
    const marker = new Map(journal.filter((c) => c.action === "AddOrder").map((c) => [/order (\d+) added/.exec(c.effect)?.[1], c.params.notes?.replace("sfOrderId=", "") ?? ""]));
    const late = journal.filter((c) => c.action === "AcceptOrder").map((c) => (read.get(marker.get(c.params.orderid) ?? "") ?? NaN) - Date.parse(c.at)).sort((a, b) => a - b);
    asked.sort((a, b) => a - b);
    const p = (all: number[], q: number) => all[Math.min(Math.ceil(all.length * q), all.length) - 1] ?? NaN;
    console.log(`${late.length} orders: WHMCS active to the customer's screen p50 ${p(late, 0.5)} ms, p95 ${p(late, 0.95)} ms, most ${p(late, 1)} ms; requests an order p50 ${p(asked, 0.5)}, most ${p(asked, 1)}`);
    if (late.length !== orders || !(p(late, 0.95) <= 1500) || p(asked, 1) > 6) throw new Error("promised: p95 of 1500 ms at most, with 6 requests an order at most");
  } finally {
    await system.stop();
  }
});
