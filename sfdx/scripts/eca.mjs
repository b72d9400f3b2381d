#!/usr/bin/env node
/**
 * Makes the External Client App that the bridge logs in by. Its files name a user
 * of one org, so they are rendered from unpackaged/eca into a directory of its own,
 * deployed, and removed.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { API_VERSION, PROJECT, UserError, main, options, sf } from "./org.mjs";

const USAGE = `usage: sfdx/scripts/eca.mjs --org ALIAS --user INTEGRATION_USERNAME --email CONTACT [--dry-run]`;
const TEMPLATES = path.join(PROJECT, "unpackaged", "eca");

const escaped = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);

/** Renders the templates into dir and returns the files. */
function render(dir, values) {
  const files = fs.readdirSync(TEMPLATES, { recursive: true }).filter((file) => file.endsWith(".xml"));
  for (const file of files) {
    const text = fs.readFileSync(path.join(TEMPLATES, file), "utf8").replace(/@(\w+)@/g, (_, name) => {
      if (!(name in values)) {
        throw new UserError(`${file} wants ${name}, which is not given`);
      }
      return escaped(values[name]);
    });
    fs.mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    fs.writeFileSync(path.join(dir, file), text);
  }
  return files;
}

main(async (args) => {
  const given = options(args, ["org", "user", "email"], ["dry-run", "help"], USAGE);
  if (given.help || !given.org || !given.user || !given.email) {
    throw new UserError(USAGE);
  }
  const project = fs.mkdtempSync(path.join(os.tmpdir(), "orderbridge-eca-"));
  try {
    render(path.join(project, "app"), { INTEGRATION_USER: given.user, CONTACT_EMAIL: given.email });
    fs.writeFileSync(
      path.join(project, "sfdx-project.json"),
      JSON.stringify({ packageDirectories: [{ path: "app", default: true }], sourceApiVersion: API_VERSION })
    );
    const command = ["project", "deploy", "start", "--source-dir", "app", "--target-org", given.org];
    const result = sf([...command, ...(given["dry-run"] ? ["--dry-run"] : [])], { cwd: project });
    console.log(`${given["dry-run"] ? "checked" : "deployed"} ${result.numberComponentsTotal} components`);
  } finally {
    fs.rmSync(project, { recursive: true, force: true });
  }
  if (!given["dry-run"]) {
    console.log(`Now, in Setup, External Client App Manager, Order Bridge, Settings, OAuth Settings: copy consumer key and secret
into the stack's Salesforce secret as {"clientId":…,"clientSecret":…}. Do not redeploy this application afterwards
with a certificate: a deployment clears it.`);
  }
});
