// Makes the pictures of the README: the console page after some orders, one of
// them with a lost answer.
import { fileURLToPath } from "node:url";
import { it } from "vitest";
import { launch } from "./browser.js";
import { start } from "./system.js";

const picture = (name: string) => fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url));

it("makes the pictures", async () => {
  const system = await start();
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 960 }, colorScheme: "light" });
    await page.goto(system.base);
    for (const [name, status] of [["an ordinary order", "Provisioned"], ["WHMCS’s module says no", "Failed"], ["WHMCS’s answer to AddOrder is lost", "Provisioned"]] as const) {
      const n = await page.locator("#orders > li").count();
      await page.getByLabel("Try", { exact: true }).selectOption({ label: name });
      await page.getByRole("button", { name: "New order, and go" }).click();
      await page.locator("#orders > li").nth(n).waitFor();
      await page.locator("#orders > li").first().locator(".status", { hasText: status }).waitFor();
    }
    await page.locator("#events", { hasText: "rows updated" }).last().waitFor();
    await page.screenshot({ path: picture("console-light") });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: picture("console-dark") });
  } finally {
    await browser.close();
    await system.stop();
  }
});
