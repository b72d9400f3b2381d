import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

/** Starts the Chromium of this machine. */
export function launch(): Promise<Browser> {
  const found = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));
  if (!found) throw new Error("no Chromium is found: install it, or name it in CHROMIUM");
  // The tests run as root in CI, where Chromium's sandbox cannot be set up.
  return chromium.launch({ executablePath: found, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}
