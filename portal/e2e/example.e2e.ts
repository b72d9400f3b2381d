// The example app, as a portal's developer starts it, on the whole system.
import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { expect, it } from "vitest";
import { launch } from "./browser.js";
import { start } from "./system.js";

it("the example app follows an order, in the customer's language and for a screen reader", async () => {
  const system = await start();
  process.env.API_URL = system.base;
  const vite = await createServer({ root: fileURLToPath(new URL("../example", import.meta.url)), logLevel: "error", server: { port: 0 } });
  const browser = await launch();
  try {
    await vite.listen();
    const id = "801000000000007AAA";
    const call = (path: string, method: string, body: object) => fetch(system.base + path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    await call("/_local/orders/" + id, "PUT", { accountId: "001000000000001AAA", whmcsClientId: 42, items: [{ whmcsProductId: 1, billingCycle: "Monthly", quantity: 1 }] });
    const page = await browser.newPage({ locale: "de-DE" });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(vite.resolvedUrls?.local[0] ?? "");
    await page.getByLabel("Order").fill(id);
    await page.getByRole("status").getByText("In Prüfung").waitFor();
    await call("/_local/callout", "POST", { orderId: id });
    await page.getByRole("status").getByText("Bereit").waitFor({ timeout: 60_000 });
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
    await vite.close();
    await system.stop();
  }
});
