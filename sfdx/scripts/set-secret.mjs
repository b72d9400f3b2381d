#!/usr/bin/env node
/**
 * Stores the signing secret in the External Credential OrderBridge. It is read
 * from standard input, and is never on a command line, in a file or in a log.
 *
 * REST resource: Connect REST API Developer Guide, "Named Credentials":
 * POST makes a credential, PATCH changes the named values of a Custom one.
 */
import { UserError, login, main, options, rest } from "./org.mjs";

const USAGE = `usage: sfdx/scripts/set-secret.mjs --org ALIAS [--dry-run] < secret
Standard input is the secret alone, for instance:
  aws secretsmanager get-secret-value --secret-id ID --query SecretString --output text | sfdx/scripts/set-secret.mjs --org ALIAS`;
const RESOURCE = "/named-credentials/credential";
const SHORTEST = 32;

async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

// The same rule as the bridge's: shared/secret.
function check(secret) {
  const bytes = Buffer.from(secret, "utf8");
  if (bytes.length < SHORTEST || bytes.every((byte) => byte === bytes[0])) {
    throw new UserError(
      `The secret must have ${SHORTEST} bytes or more, not one repeated. Standard input had ${bytes.length}.`
    );
  }
  if (/[\r\n]/.test(secret)) {
    throw new UserError("The secret must be one line: is it JSON, or more than one value?");
  }
}

main(async (args) => {
  const given = options(args, ["org"], ["dry-run", "help"], USAGE);
  if (given.help || !given.org) {
    throw new UserError(USAGE);
  }
  const secret = await standardInput();
  check(secret);
  const org = login(given.org);
  const principal = { externalCredential: "OrderBridge", principalName: "Bridge", principalType: "NamedPrincipal" };
  const found = await rest(org, "GET", `${RESOURCE}?${new URLSearchParams(principal)}`);
  if (found.status !== 200 && found.status !== 404) {
    throw new UserError(
      `The org answers ${found.status} ${JSON.stringify(found.body)}. Is Order Bridge deployed, and may ${org.username} manage named credentials?`
    );
  }
  const isStored = Object.keys(found.body?.credentials ?? {}).includes("HmacSecret");
  const method = isStored ? "PATCH" : "POST";
  if (given["dry-run"]) {
    console.log(
      `would ${method} ${org.instanceUrl}${RESOURCE}: HmacSecret of ${Buffer.byteLength(secret)} bytes. Nothing was changed.`
    );
    return;
  }
  const stored = await rest(org, method, RESOURCE, {
    ...principal,
    authenticationProtocol: "Custom",
    credentials: { HmacSecret: { value: secret, encrypted: true } }
  });
  if (stored.status >= 300) {
    throw new UserError(`The org refused the secret: ${stored.status} ${JSON.stringify(stored.body)}`);
  }
  console.log(
    `${isStored ? "replaced" : "stored"} the signing secret in ${org.instanceUrl}. Now open the page Order Bridge and check.`
  );
});
