/**
 * Apex semantics by apex-ls: unknown types, methods, arguments and assignments.
 * It comes inside the package of the PMD engine.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** @returns {string[]} findings */
export function checkApexSemantics(root) {
  const engine = path.dirname(require.resolve("@salesforce/code-analyzer-pmd-engine/package.json"));
  const libraries = path.join(engine, "dist", "java-lib", "*");
  const args = [
    "-cp",
    libraries,
    "io.github.apexdevtools.apexls.CheckForIssues",
    "-w",
    fs.realpathSync(root),
    "-d",
    "warnings",
    "-n"
  ];
  const run = spawnSync("java", args, { encoding: "utf8" });
  if (run.error) {
    return [`java cannot be run: ${run.error.message}`];
  }
  let file = "";
  const findings = [];
  for (const line of `${run.stdout}${run.stderr}`.split("\n")) {
    if (line.startsWith("/")) {
      file = path.relative(fs.realpathSync(root), line.trim());
    } else if (line.trim()) {
      findings.push(`${file}: ${line.trim()}`);
    }
  }
  return findings;
}
