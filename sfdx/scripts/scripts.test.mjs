/**
 * The scripts, with a command `sf` and an org that stand in for the real ones: what
 * is called, what is sent, and what is said when it fails. They never ran against
 * an org.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const SECRET = "0123456789abcdef0123456789abcdef-secret";

// Answers by the first words of the command, and keeps what was asked, with the
// files of the directory that it was asked in.
const FAKE_SF = `#!${process.execPath}
const fs = require("node:fs");
const args = process.argv.slice(2);
const files = fs.existsSync("app") ? fs.readdirSync("app", { recursive: true }).filter((f) => f.endsWith(".xml")).map((f) => fs.readFileSync("app/" + f, "utf8")) : [];
fs.appendFileSync(process.env.CALLS, JSON.stringify({ args, files }) + "\\n");
const answers = JSON.parse(process.env.ANSWERS);
const key = Object.keys(answers).find((name) => args.join(" ").startsWith(name));
process.stdout.write(JSON.stringify(key ? answers[key] : { status: 0, result: {} }));
`;

let dir;
let org;
let requests;
let credential;

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "orderbridge-scripts-"));
  fs.writeFileSync(path.join(dir, "sf"), FAKE_SF, { mode: 0o755 });
  org = http.createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      requests.push({
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: body && JSON.parse(body)
      });
      response.setHeader("Content-Type", "application/json");
      response.statusCode = credential ? 200 : 404;
      if (request.method !== "GET") {
        response.statusCode = 201;
      }
      response.end(JSON.stringify(credential ?? [{ errorCode: "NOT_FOUND", message: "none" }]));
    });
  });
  await new Promise((resolve) => org.listen(0, "127.0.0.1", resolve));
});

after(() => {
  org.close();
  fs.rmSync(dir, { recursive: true });
});

beforeEach(() => {
  requests = [];
  credential = undefined;
  fs.writeFileSync(path.join(dir, "calls"), "");
});

const calls = () =>
  fs
    .readFileSync(path.join(dir, "calls"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

function run(script, args, { input = "", answers = {}, isInstalled = true } = {}) {
  const login = {
    status: 0,
    result: {
      accessToken: "TOKEN",
      instanceUrl: `http://127.0.0.1:${org.address().port}`,
      username: "admin@example.com"
    }
  };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [path.join(here, script), ...args], {
      env: {
        ...process.env,
        PATH: isInstalled ? dir : path.join(dir, "nothing"),
        CALLS: path.join(dir, "calls"),
        ANSWERS: JSON.stringify({ "org display": login, ...answers })
      }
    });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("close", (code) => resolve({ code, output }));
    child.stdin.end(input);
  });
}

test("set-secret stores the secret of standard input, and shows it nowhere", async () => {
  const { code, output } = await run("set-secret.mjs", ["--org", "prod"], { input: `${SECRET}\n` });

  assert.equal(code, 0, output);
  assert.deepEqual(
    requests.map(({ method, url }) => [method, url.split("?")[0]]),
    [
      ["GET", "/services/data/v67.0/named-credentials/credential"],
      ["POST", "/services/data/v67.0/named-credentials/credential"]
    ]
  );
  assert.deepEqual(requests[1].body, {
    externalCredential: "OrderBridge",
    principalName: "Bridge",
    principalType: "NamedPrincipal",
    authenticationProtocol: "Custom",
    credentials: { HmacSecret: { value: SECRET, encrypted: true } }
  });
  assert.equal(requests[1].headers.authorization, "Bearer TOKEN");
  assert.ok(!output.includes(SECRET), "the secret is printed");
  assert.ok(!JSON.stringify(calls()).includes(SECRET), "the secret is on a command line");
});

test("set-secret replaces a stored secret by PATCH: PUT would delete other values", async () => {
  credential = { credentials: { HmacSecret: { encrypted: true } } };
  const { code, output } = await run("set-secret.mjs", ["--org", "prod"], { input: SECRET });

  assert.equal(code, 0, output);
  assert.equal(requests[1].method, "PATCH");
});

test("set-secret with --dry-run changes nothing", async () => {
  const { code, output } = await run("set-secret.mjs", ["--org", "prod", "--dry-run"], { input: SECRET });

  assert.equal(code, 0);
  assert.match(output, /would POST .* 39 bytes\. Nothing was changed/);
  assert.deepEqual(
    requests.map(({ method }) => method),
    ["GET"]
  );
});

for (const [what, input] of Object.entries({
  "a short secret": "0123456789",
  "one repeated byte": "a".repeat(40),
  nothing: "",
  "two lines": `${SECRET}\n${SECRET}`
})) {
  test(`set-secret refuses ${what} before it calls the org`, async () => {
    const { code, output } = await run("set-secret.mjs", ["--org", "prod"], { input });

    assert.equal(code, 1);
    assert.match(output, /The secret must/);
    assert.deepEqual(requests, []);
  });
}

test("a missing Salesforce CLI is named with the command that installs it", async () => {
  const { code, output } = await run("set-secret.mjs", ["--org", "prod"], { input: SECRET, isInstalled: false });

  assert.equal(code, 1);
  assert.match(output, /npm install --global @salesforce\/cli/);
});

test("an org that is not logged in is told in the words of the CLI", async () => {
  const { code, output } = await run(
    "eca.mjs",
    ["--org", "prod", "--user", "u@example.com", "--email", "e@example.com"],
    {
      answers: { "project deploy": { status: 1, message: "No authorization information found for prod." } }
    }
  );

  assert.equal(code, 1);
  assert.match(output, /No authorization information found for prod/);
});

test("eca deploys the rendered files, escaped, and leaves none behind", async () => {
  const { code, output } = await run(
    "eca.mjs",
    ["--org", "prod", "--user", "bridge&co@example.com", "--email", "e@example.com", "--dry-run"],
    { answers: { "project deploy": { status: 0, result: { numberComponentsTotal: 4 } } } }
  );
  const [deploy] = calls();

  assert.equal(code, 0, output);
  assert.ok(deploy.args.includes("--dry-run"));
  assert.equal(deploy.files.length, 4);
  assert.ok(deploy.files.some((file) => file.includes("<clientCredentialsFlowUser>bridge&amp;co@example.com<")));
  assert.ok(!deploy.files.some((file) => /@[A-Z_]+@/.test(file)), "a placeholder was not filled");
});

test("probe prints what is expected beside what was seen", async () => {
  const logs = "12:00 USER_DEBUG|[3]|ERROR|PROBE|clone|null|1004\n";
  const { code, output } = await run("probe.mjs", ["--org", "sandbox"], {
    answers: { "apex run": { status: 0, result: { success: true, logs } } }
  });

  assert.equal(code, 0, output);
  assert.match(output, /clone.*null.*1004/);
});

test("probe that printed nothing is no success", async () => {
  const { code, output } = await run("probe.mjs", ["--org", "sandbox"], {
    answers: { "apex run": { status: 0, result: { success: true, logs: "" } } }
  });

  assert.equal(code, 1);
  assert.match(output, /holds no probe/);
});

test("org-test deletes its org also when tests fail, and fails", async () => {
  const summary = { passing: 1, failing: 1, testRunCoverage: "90%", outcome: "Failed" };
  const { code, output } = await run("org-test.mjs", ["--dev-hub", "hub", "--url", "https://orders.example.com"], {
    answers: {
      "apex run test": { status: 0, result: { summary, tests: [{ Outcome: "Fail", FullName: "A.b", Message: "no" }] } }
    }
  });

  assert.equal(code, 1);
  assert.match(output, /A\.b: no/);
  assert.deepEqual(
    calls().map(({ args }) => args.slice(0, 3).join(" ")),
    ["org create scratch", "project deploy start", "org assign permset", "apex run test", "org delete scratch"]
  );
});

test("an option that is not known is named with the usage", async () => {
  const { code, output } = await run("probe.mjs", ["--orgg", "x"]);

  assert.equal(code, 1);
  assert.match(output, /--orgg is not understood/);
  assert.match(output, /usage:/);
});
