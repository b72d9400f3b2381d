/**
 * The package's Apex tests, run in the model of the platform (../model), which is
 * not the platform: docs in ../README.md say what that leaves unproved.
 */
import path from "node:path";
import { DIRECTORIES } from "./project.mjs";
import { Org } from "../model/src/org.mjs";
import { Project as ModelProject } from "../model/src/metadata.mjs";
import { runTests } from "../model/src/tests.mjs";

/** Statements of a production class that the tests must run, in percent. */
const COVERAGE = 85;
/** Runs on the platform alone: ConnectApi has no stand-in. */
const NOT_COVERED = ["BridgeCredential"];

/**
 * @param {string} [only] run the tests whose name holds it; coverage counts where it is absent
 * @returns {string[]} findings
 */
export function checkApexTests(root, only) {
  try {
    const org = new Org(new ModelProject(DIRECTORIES.map((dir) => path.join(root, dir))));
    const results = runTests(org, (name) => name.includes(only ?? ""));
    const findings = results
      .filter((result) => result.error)
      .map((result) => `${result.name}: ${result.error.message}`);
    if (results.length === 0) {
      findings.push("no Apex test was run");
    }
    return only === undefined ? [...findings, ...uncovered(org)] : findings;
  } catch (error) {
    return [`the model cannot read the package: ${error.message}`];
  }
}

function uncovered(org) {
  return [...org.program.classes.values()]
    .filter((one) => !one.builtin && !one.isTest && !NOT_COVERED.includes(one.full))
    .map((one) => ({ name: one.full, ...org.coverage.of(one.full) }))
    .filter(({ all, hit }) => all > 0 && (100 * hit) / all < COVERAGE)
    .map(
      ({ name, all, hit, missed }) => `${name}: ${hit} of ${all} statements are tested; not lines ${missed.join(", ")}`
    );
}
