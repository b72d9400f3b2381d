/**
 * The test of the checks: typical errors, planted one at a time into a copy of the
 * package, and the check that must find each. A check that finds nothing in the
 * package itself proves nothing before it has found these.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { analyze } from "./analyzer.mjs";
import { checkApexTests } from "./apex.mjs";
import { checkApexSemantics } from "./apexls.mjs";
import { checkFields } from "./fields.mjs";
import { checkFormulas } from "./formulas.mjs";
import { Project } from "./project.mjs";
import { checkReferences } from "./refs.mjs";
import { checkXml } from "./xml.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const repository = path.resolve(root, "..");
const planted = JSON.parse(fs.readFileSync(path.join(root, "check", "planted.json"), "utf8"));
/** All that a check reads. */
const COPIED = [
  "orderbridge",
  "orderbridge-mapping",
  "unpackaged",
  ".prettierrc",
  "eslint.config.js",
  "jest.config.cjs",
  "jest.setup.cjs",
  "package.json",
  "sfdx-project.json"
];

function command(cwd, name, ...args) {
  const run = spawnSync(path.join(root, "node_modules", ".bin", name), args, { cwd, encoding: "utf8" });
  return run.status === 0 ? [] : [`${run.stdout}${run.stderr}`];
}

const checks = {
  format: (dir, one) => command(dir, "prettier", "--check", one.path),
  types: (dir) => checkXml(new Project(dir)),
  references: (dir) => checkReferences(new Project(dir)),
  fields: (dir) => checkFields(new Project(dir), repository),
  formulas: (dir) => checkFormulas(new Project(dir), repository),
  semantics: checkApexSemantics,
  eslint: (dir, one) => command(dir, "eslint", "--max-warnings=0", one.path),
  components: (dir, one) => command(dir, "sfdx-lwc-jest", "--", "--silent", `${one.only}/`),
  apex: (dir, one) => checkApexTests(dir, one.only),
  pmd: (dir, one) => analyze(dir, ["pmd"], [path.join(dir, one.path)])
};

/** A copy of the package in a directory of its own. */
function copy(parent, name) {
  const dir = path.join(parent, name);
  fs.mkdirSync(dir);
  COPIED.filter((file) => fs.existsSync(path.join(root, file))).forEach((file) =>
    fs.cpSync(path.join(root, file), path.join(dir, file), { recursive: true })
  );
  fs.symlinkSync(path.join(root, "node_modules"), path.join(dir, "node_modules"));
  return dir;
}

function plant(dir, one) {
  const file = path.join(dir, one.path);
  const text = fs.readFileSync(file, "utf8");
  if (!text.includes(one.from)) {
    throw new Error(`${one.path} does not hold ${JSON.stringify(one.from)}: correct check/planted.json`);
  }
  fs.writeFileSync(file, one.all ? text.replaceAll(one.from, one.to) : text.replace(one.from, () => one.to));
}

const parent = fs.mkdtempSync(path.join(os.tmpdir(), "planted-"));
let missed = 0;
try {
  for (const [index, entry] of planted.entries()) {
    const one = { ...entry, path: path.join("orderbridge", entry.file) };
    const dir = copy(parent, String(index));
    plant(dir, one);
    const findings = await checks[one.by](dir, one);
    fs.rmSync(dir, { recursive: true });
    if (findings.length === 0) {
      missed++;
      console.log(`not found by ${one.by}: ${one.error}`);
    } else if (process.argv.includes("--verbose")) {
      console.log(`${one.by}: ${one.error}\n    ${findings[0].trim().split("\n")[0].slice(0, 160)}`);
    }
  }
} finally {
  fs.rmSync(parent, { recursive: true, force: true });
}
console.log(`${planted.length - missed} of ${planted.length} planted errors were found`);
process.exitCode = missed === 0 ? 0 : 1;
