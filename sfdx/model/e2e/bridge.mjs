// Starts the built local system of the bridge (make run's own binary) with the
// modelled org as its Salesforce, and ends it.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";

const READY = "Ctrl-C ends it.";
const PAUSE = 50; // ms between two looks at what it has printed
// As in local/e2e: faults pass in seconds.
const QUICK = {
  WHMCS_SETTLE: "2",
  WHMCS_ACCEPT_SETTLE: "2",
  CLOCK_MARGIN: "2",
  SEND_WINDOW: "1",
  WHMCS_READ_TIMEOUT: "2",
  WHMCS_ADD_TIMEOUT: "2",
  WHMCS_ACCEPT_TIMEOUT: "2",
  PROVISION_LEASE: "4",
  RETRY_BASE: "1",
  TICK_EVERY: "0.5",
  // The model sends a list of 200 within a second, which takes an org a minute.
  CALLOUT_RATE_LIMIT: "10000",
  CALLOUT_BURST_LIMIT: "5000"
};

export class Bridge {
  /** @param options bin, template: as `make run` gives them; salesforce: the org's address; organizationId */
  static async start({ bin, template, salesforce, organizationId, env = {} }) {
    const ports = { API_PORT: "0", WHMCS_PORT: "0", SF_PORT: "0", AWS_PORT: "0" };
    // What it prints goes into a file: a callout stops this thread, and a pipe
    // that nobody reads would stop the system that the callout waits for.
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bridge-"));
    const bridge = new Bridge();
    bridge.folder = folder;
    const output = fs.openSync(path.join(folder, "log"), "a");
    const child = spawn(`${bin}/local`, ["-template", template, "-bin", bin], {
      env: { PATH: process.env.PATH, ...ports, ...QUICK, SF_LOGIN_URL: salesforce, SF_ORG_ID: organizationId, ...env },
      stdio: ["ignore", output, output]
    });
    fs.closeSync(output);
    process.once("exit", () => child.kill("SIGTERM")); // a run that dies leaves nothing behind
    let ended = false;
    bridge.ended = new Promise((done) => child.once("exit", done)).then(() => (ended = true));
    bridge.child = child;
    await new Promise((started, failed) => {
      child.once("spawn", started);
      child.once("error", failed);
    });
    while (!bridge.log.includes(READY)) {
      if (ended) throw new Error(`the local system ended:\n${bridge.log}`);
      await setTimeout(PAUSE);
    }
    const address = (what) => bridge.log.match(new RegExp(`(http://\\S+)\\s+${what}`))[1];
    bridge.api = address("both APIs");
    bridge.whmcs = address("WHMCS");
    bridge.secret = (await bridge.local("GET", "secret")).secret;
    return bridge;
  }

  /** What the system has printed. */
  get log() {
    return fs.readFileSync(path.join(this.folder, "log"), "utf8");
  }

  async json(method, url, body) {
    const answer = await fetch(url, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  local(method, path, body) {
    return this.json(method, `${this.api}/_local/${path}`, body);
  }

  books(method, path, body) {
    return this.json(method, `${this.whmcs}/_sim/${path}`, body);
  }

  /** Throws where a function has refused its settings: nothing will come of waiting. */
  mustRun() {
    const refused = this.log.match(/.*cannot start.*/);
    if (refused) throw new Error(refused[0]);
  }

  /** The orders that WHMCS holds for one client. */
  async whmcsOrders(client) {
    return (await this.books("GET", "orders")).filter((o) => Number(o.userid) === client);
  }

  kill(name) {
    return this.local("POST", "kill", { function: name });
  }

  async stop() {
    this.child.kill("SIGTERM");
    await this.ended;
    fs.rmSync(this.folder, { recursive: true });
  }
}
