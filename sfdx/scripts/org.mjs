/**
 * An org, through the Salesforce CLI that the user has logged in with.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The directory of sfdx-project.json. */
export const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
export const API_VERSION = "67.0";

/** A message for the user, without a stack. */
export class UserError extends Error {}

/**
 * Runs the Salesforce CLI and returns the result of its JSON output.
 * @param {string[]} args its arguments, without --json
 * @throws {UserError} what the CLI says
 */
export function sf(args, { cwd = PROJECT, env = {} } = {}) {
  const run = spawnSync("sf", [...args, "--json"], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, SF_AUTOUPDATE_DISABLE: "true", ...env },
    maxBuffer: 64 * 1024 * 1024
  });
  if (run.error) {
    throw new UserError(
      `The Salesforce CLI cannot be run (${run.error.code}). Install it: npm install --global @salesforce/cli`
    );
  }
  let answer;
  try {
    answer = JSON.parse(run.stdout);
  } catch {
    throw new UserError(
      `sf ${args.slice(0, 3).join(" ")} gave no JSON: ${run.stderr.trim() || run.stdout.slice(0, 300)}`
    );
  }
  if (answer.status !== 0) {
    throw new UserError(`sf ${args.slice(0, 3).join(" ")}: ${answer.message ?? JSON.stringify(answer.result)}`);
  }
  return answer.result;
}

/** One REST call to the org. The token stays in this process. */
export async function rest(org, method, resource, body) {
  const response = await fetch(`${org.instanceUrl}/services/data/v${API_VERSION}${resource}`, {
    method,
    headers: { Authorization: `Bearer ${org.accessToken}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body)
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : undefined };
}

export function login(alias) {
  const { accessToken, instanceUrl, username } = sf(["org", "display", "--target-org", alias]);
  return { accessToken, instanceUrl, username };
}

/**
 * Reads --name value and --flag.
 * @param {string[]} names options with a value
 * @param {string[]} flags options without
 */
export function options(args, names, flags, usage) {
  const found = {};
  for (let i = 0; i < args.length; i++) {
    const name = args[i].replace(/^--/, "");
    if (args[i].startsWith("--") && flags.includes(name)) {
      found[name] = true;
    } else if (args[i].startsWith("--") && names.includes(name) && args[i + 1] !== undefined) {
      found[name] = args[++i];
    } else {
      throw new UserError(`${args[i]} is not understood.\n${usage}`);
    }
  }
  return found;
}

/** Runs a script: what it throws for the user is printed alone, exit code 1. */
export async function main(script) {
  try {
    await script(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof UserError ? error.message : error);
    process.exitCode = 1;
  }
}
