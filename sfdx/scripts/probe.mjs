#!/usr/bin/env node
/**
 * Runs probe.apex in an org and prints, for each open question about the platform,
 * what is expected beside what was seen.
 */
import path from "node:path";
import { PROJECT, UserError, main, options, sf } from "./org.mjs";

const USAGE = "usage: sfdx/scripts/probe.mjs --org ALIAS     (a sandbox or scratch org, address and secret set)";

/** The lines of a debug log that probe.apex wrote, as {name, expected, seen}. */
const readProbes = (log) =>
  [...log.matchAll(/PROBE\|([^|\n]*)\|([^|\n]*)\|([^|\n]*)/g)].map(([, name, expected, seen]) => ({
    name,
    expected,
    seen
  }));

main(async (args) => {
  const given = options(args, ["org"], ["help"], USAGE);
  if (given.help || !given.org) {
    throw new UserError(USAGE);
  }
  const result = sf(["apex", "run", "--target-org", given.org, "--file", path.join(PROJECT, "scripts", "probe.apex")]);
  const probes = readProbes(result.logs ?? "");
  console.table(probes);
  if (!result.success) {
    throw new UserError(`The probes ended early: ${result.exceptionMessage ?? result.compileProblem}`);
  }
  if (probes.length === 0) {
    throw new UserError("The log holds no probe: is the debug level of this user set below ERROR?");
  }
});
