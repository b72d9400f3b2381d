#!/usr/bin/env node
// Runs the package's Apex tests in the model: apex-tests.mjs DIR… [--only TEXT] [--coverage]
import { ApexError, LimitError, NotModelled } from "../src/errors.mjs";
import { Org } from "../src/org.mjs";
import { Project } from "../src/metadata.mjs";
import { runTests } from "../src/tests.mjs";

const args = process.argv.slice(2);
const only = args.includes("--only") ? args.splice(args.indexOf("--only"), 2)[1] : "";
const wantsCoverage = args.includes("--coverage");
const org = new Org(new Project(args.filter((a) => !a.startsWith("--"))));
const results = runTests(org, (name) => name.includes(only));
// Anything but these is a fault of the model, and its stack says where.
const told = (e) => ([ApexError, LimitError, NotModelled].some((c) => e instanceof c) ? e.message : e.stack);
for (const r of results) if (r.error) console.log(`FAIL ${r.name}\n     ${told(r.error)}`);
if (wantsCoverage)
  for (const c of org.program.classes.values()) {
    if (c.builtin || c.isTest) continue;
    const { all, hit, missed } = org.coverage.of(c.full);
    console.log(
      `${String(all ? Math.round((100 * hit) / all) : 100).padStart(4)} %  ${c.full}${missed.length ? `  lines ${missed.join(", ")}` : ""}`
    );
  }
const failed = results.filter((r) => r.error).length;
console.log(`Apex in the model: ${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed || !results.length ? 1 : 0;
