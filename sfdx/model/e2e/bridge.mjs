// Starts the built local system of the bridge (make run's own binary) with the
// modelled org as its Salesforce, and ends it.
import { spawn } from "node:child_process";

const READY = "Ctrl-C ends it.";
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
  TICK_EVERY: "0.5"
};

export class Bridge {
  /** @param options bin, template: as `make run` gives them; salesforce: the org's address; organizationId */
  static async start({ bin, template, salesforce, organizationId, env = {} }) {
    const ports = { API_PORT: "0", WHMCS_PORT: "0", SF_PORT: "0", AWS_PORT: "0" };
    const child = spawn(`${bin}/local`, ["-template", template, "-bin", bin], {
      env: { PATH: process.env.PATH, ...ports, ...QUICK, SF_LOGIN_URL: salesforce, SF_ORG_ID: organizationId, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    });
    process.once("exit", () => child.kill("SIGTERM")); // a run that dies leaves nothing behind
    const bridge = new Bridge();
    bridge.log = "";
    bridge.ended = new Promise((done) => child.once("exit", done));
    bridge.child = child;
    await new Promise((ready, failed) => {
      const read = (text) => {
        bridge.log += text;
        if (bridge.log.includes(READY)) ready();
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("error", failed);
      child.once("exit", () => failed(new Error(`the local system ended:\n${bridge.log}`)));
    });
    const address = (what) => bridge.log.match(new RegExp(`(http://\\S+)\\s+${what}`))[1];
    bridge.api = address("both APIs");
    bridge.whmcs = address("WHMCS");
    bridge.secret = (await bridge.local("GET", "secret")).secret;
    return bridge;
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
  }
}
