import { execFileSync } from "node:child_process";
import { chromium, type Browser } from "playwright-core";

/** Starts the Chromium of this machine: CHROMIUM names its command or path. */
export function launch(): Promise<Browser> {
  const executablePath = execFileSync("which", [process.env.CHROMIUM || "chromium"], { encoding: "utf8" }).trim();
  // The tests run as root in CI, where Chromium's sandbox cannot be set up.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}
