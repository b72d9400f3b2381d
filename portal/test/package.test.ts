import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { describe, expect, it } from "vitest";
import { connectionText, orderText } from "../src/texts.js";
import type { OrderStatus } from "../src/index.js";

const folder = new URL("..", import.meta.url).pathname;
const npm = (args: string[], env = {}) => execFileSync("npm", args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });

describe("the package", () => {
  it("has the types of the contract", () => {
    const made = join(mkdtempSync(join(tmpdir(), "portal-")), "contract.ts");
    npm(["run", "types"], { TYPES: made });
    expect(readFileSync(join(folder, "src/contract.ts"), "utf8"), "contract/openapi.yaml has changed: npm run types").toBe(readFileSync(made, "utf8"));
  });

  it("needs nothing at run time", () => {
    const { dependencies, peerDependenciesMeta } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    expect(dependencies).toBeUndefined();
    expect(peerDependenciesMeta).toEqual({ react: { optional: true } });
  });

  it("holds what its entries name, and nothing else", () => {
    // As in a fresh clone: npm pack itself builds what it packs.
    for (const built of ["dist", "LICENSE"]) rmSync(join(folder, built), { recursive: true, force: true });
    const [{ files }] = JSON.parse(npm(["pack", "--dry-run", "--json", "--foreground-scripts=false"]));
    const held = (files as { path: string }[]).map((f) => f.path).sort();
    const entries = ["index", "react", "swr", "tanstack", "texts"].flatMap((e) => [`dist/${e}.d.ts`, `dist/${e}.js`]);
    expect(held).toEqual(["LICENSE", "README.md", "dist/contract.d.ts", "package.json", ...entries].sort());
    const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    for (const entry of Object.values(exports as Record<string, Record<string, string>>))
      for (const file of Object.values(entry)) expect(held).toContain(file.slice(2));
    expect(readFileSync(join(folder, "dist/react.js"), "utf8")).toMatch(/^"use client";/);
    for (const file of readdirSync(join(folder, "dist"))) expect(readFileSync(join(folder, "dist", file), "utf8")).not.toMatch(/https?:\/\/(?!json-schema)[a-z]/);
  });

  it("is what the console page of the local system loads", () => {
    const made = mkdtempSync(join(tmpdir(), "portal-"));
    npm(["run", "console"], { CONSOLE_OUT: made });
    expect(readFileSync(join(folder, "../local/console/portal.js"), "utf8"), "src has changed: npm run console").toBe(readFileSync(join(made, "portal.js"), "utf8"));
  });

  it("has a core of at most 2 kB, as a page loads it", async () => {
    const outDir = mkdtempSync(join(tmpdir(), "portal-"));
    const entry = join(folder, "src/index.ts");
    await build({ configFile: false, logLevel: "silent", build: { outDir, emptyOutDir: true, minify: true, rolldownOptions: { input: entry, preserveEntrySignatures: "strict", output: { entryFileNames: "core.js" } } } });
    const size = gzipSync(readFileSync(join(outDir, "core.js")), { level: 9 }).length;
    console.log(`core: ${size} bytes gzipped`);
    expect(size).toBeLessThanOrEqual(2048);
  });
});

describe("the texts", () => {
  const statuses: OrderStatus[] = ["Pending Review", "Activating", "Provisioned", "Failed"];
  it.each(["en", "de", "ja"])("say every status in %s, in words of their own", (language) => {
    const all = [...statuses.map((s) => orderText(s, language)), connectionText("retrying", language), connectionText("refused", language)];
    expect(new Set(all.map((t) => t?.title)).size).toBe(6);
    for (const t of all) {
      expect(t?.detail).toBeTruthy();
      // Nothing from inside: no vendor, no code.
      expect(`${t?.title} ${t?.detail}`).not.toMatch(/whmcs|salesforce|provision|error|_/i);
    }
  });
  it("are found by a browser's language, in English where there are none", () => {
    expect(orderText("Provisioned", "de-AT").title).toBe("Bereit");
    expect(orderText("Provisioned", "JA").title).toBe("ご利用可能");
    for (const tag of ["fr", "", "constructor", "__proto__"]) expect(orderText("Provisioned", tag).title).toBe("Ready");
    expect(connectionText("live")).toBeUndefined();
  });
});
