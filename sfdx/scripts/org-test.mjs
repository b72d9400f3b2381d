#!/usr/bin/env node
/**
 * The proof that only the platform can give: a scratch org, the package, its
 * permission sets, its Apex tests, the probes; then the org is deleted.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { PROJECT, UserError, main, options, sf } from "./org.mjs";

const USAGE = "usage: sfdx/scripts/org-test.mjs --dev-hub ALIAS [--url https://…] [--keep]";
const ALIAS = "orderbridge-test";

main(async (args) => {
  const given = options(args, ["dev-hub", "url"], ["keep", "help"], USAGE);
  if (given.help || !given["dev-hub"]) {
    throw new UserError(USAGE);
  }
  const step = (text, ...command) => {
    console.log(text);
    return sf(command, { env: given.url ? { ORDERBRIDGE_URL: given.url } : {} });
  };
  const org = ["--target-org", ALIAS];
  step(
    "creating a scratch org",
    "org",
    "create",
    "scratch",
    "--definition-file",
    "config/scratch.json",
    "--alias",
    ALIAS,
    "--target-dev-hub",
    given["dev-hub"],
    "--duration-days",
    "1",
    "--wait",
    "20"
  );
  try {
    step("deploying", "project", "deploy", "start", ...org, "--wait", "30");
    step(
      "assigning permission sets",
      "org",
      "assign",
      "permset",
      ...org,
      "--name",
      "OrderBridge_Operator",
      "--name",
      "OrderBridge_Admin"
    );
    const tests = step(
      "running the Apex tests",
      "apex",
      "run",
      "test",
      ...org,
      "--test-level",
      "RunLocalTests",
      "--code-coverage",
      "--result-format",
      "json",
      "--wait",
      "30"
    );
    console.log(
      `${tests.summary.passing} passed, ${tests.summary.failing} failed, ${tests.summary.testRunCoverage} of the lines`
    );
    if (tests.summary.outcome !== "Passed") {
      tests.tests
        .filter((one) => one.Outcome === "Fail")
        .forEach((one) => console.log(`${one.FullName}: ${one.Message}`));
      throw new UserError("Apex tests failed.");
    }
    const probes = spawnSync(process.execPath, [path.join(PROJECT, "scripts", "probe.mjs"), "--org", ALIAS], {
      stdio: "inherit"
    });
    if (probes.status !== 0) {
      throw new UserError("The probes failed.");
    }
  } finally {
    if (!given.keep) {
      step("deleting the scratch org", "org", "delete", "scratch", ...org, "--no-prompt");
    }
  }
});
