/**
 * Every check of the package, each by its name and time; ends with a line that
 * counts them. What each can and cannot prove: ../README.md.
 *
 *   node check/all.mjs           all
 *   node check/all.mjs fields    those named
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { checkApexSemantics } from "./apexls.mjs";
import { checkFields } from "./fields.mjs";
import { checkFormulas } from "./formulas.mjs";
import { Project } from "./project.mjs";
import { checkReferences } from "./refs.mjs";
import { checkXml } from "./xml.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const repository = path.resolve(root, "..");
const project = new Project(root);

/** Runs a command; its output is the finding where it fails. */
function command(name, ...args) {
  return new Promise((resolve) => {
    const child = spawn(name, args, {
      cwd: root,
      env: { ...process.env, PATH: `${root}/node_modules/.bin:${process.env.PATH}` }
    });
    const output = [];
    child.stdout.on("data", (data) => output.push(data));
    child.stderr.on("data", (data) => output.push(data));
    child.on("error", (error) => resolve([error.message]));
    child.on("close", (code) => resolve(code === 0 ? [] : [Buffer.concat(output).toString().trim()]));
  });
}

const checks = {
  format: () => command("prettier", "--check", "--log-level=warn", "."),
  types: () => checkXml(project),
  references: () => checkReferences(project),
  fields: () => checkFields(project, repository),
  formulas: () => checkFormulas(project, repository),
  semantics: () => checkApexSemantics(root),
  eslint: () => command("eslint", "--max-warnings=0", "orderbridge"),
  components: () => command("sfdx-lwc-jest", "--", "--coverage", "--silent"),
  scripts: () => command("node", "--test", "scripts/scripts.test.mjs"),
  apex: () => import("./apex.mjs").then(({ checkApexTests }) => checkApexTests(root)),
  model: () =>
    command(
      "node",
      "--test",
      ...fs
        .readdirSync(path.join(root, "model", "test"))
        .filter((file) => file.endsWith(".test.mjs"))
        .map((file) => `model/test/${file}`)
    ),
  pmd: () => import("./analyzer.mjs").then(({ analyze }) => analyze(root, ["pmd", "regex"])),
  planted: () => command("node", "check/planted.mjs"),
  dataflow: () => import("./analyzer.mjs").then(({ analyze }) => analyze(root, ["sfge"]))
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !checks[name]);
if (unknown.length > 0) {
  console.error(`no such check: ${unknown}; there are ${Object.keys(checks)}`);
  process.exit(2);
}
/** Runs one check and prints what came of it. */
async function run([name, check]) {
  const started = Date.now();
  const findings = await check();
  console.log(`${findings.length === 0 ? "ok  " : "FAIL"} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  findings.forEach((finding) => console.log(`     ${finding}`));
  return findings.length === 0;
}

const chosen = Object.entries(checks).filter(([name]) => wanted.length === 0 || wanted.includes(name));
const isLong = ([name]) => ["planted", "dataflow"].includes(name);
const results = [];
for (const check of chosen.filter((one) => !isLong(one))) {
  results.push(await run(check));
}
results.push(...(await Promise.all(chosen.filter(isLong).map(run))));
const passed = results.filter(Boolean).length;
const failed = results.length - passed;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
