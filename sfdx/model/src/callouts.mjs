// Callouts through a Named Credential (Apex Developer Guide, "Callout Limits
// and Limitations", "Named Credentials as Callout Endpoints").
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { LimitError } from "./errors.mjs";
import { headerText } from "./formula.mjs";
import { Instance, lower, Native } from "./values.mjs";

const DEFAULT_TIMEOUT = 10_000; // ms
const TOTAL = 120_000; // ms of all callouts of a transaction
const UNREACHABLE =
  'We couldn\'t access the credential(s). You might not have the required permissions, or the external credential "%s" might not exist.';

export class Callouts {
  /**
   * @param settings addresses by Named Credential, secrets by External
   *   Credential and parameter, transport
   */
  constructor(org, { addresses = {}, secrets = {}, transport = null }) {
    this.org = org;
    this.addresses = addresses;
    this.secrets = secrets;
    this.transport = transport;
  }

  address(name) {
    const nc = this.org.project.named.get(name);
    if (!nc) return null;
    return this.addresses[name] ?? nc.namedCredentialParameters.find((p) => p.parameterType === "Url").parameterValue;
  }

  hasSecret(external) {
    return Object.keys(this.secrets[external] ?? {}).length > 0;
  }

  send(request) {
    const { org } = this;
    if (org.transaction.pending)
      org.raise("CalloutException", "You have uncommitted work pending. Please commit or rollback before calling out");
    org.limits.use("callouts");
    const m = request.endpoint?.match(/^callout:(\w+)(\/.*)?$/);
    if (!m) org.raise("CalloutException", `Unauthorized endpoint: ${request.endpoint}`);
    if (!request.method) org.raise("CalloutException", "Method cannot be null");
    const nc = org.project.named.get(m[1]);
    if (!nc)
      org.raise(
        "CalloutException",
        `The callout couldn't access the endpoint. The named credential "${m[1]}" might not exist.`
      );
    if (org.test) return this.mocked(request);
    return this.real(request, nc, m[1], m[2] ?? "");
  }

  mocked(request) {
    const { mock } = this.org.test;
    if (!(mock instanceof Instance))
      return this.org.raise("CalloutException", "Methods defined as TestMethod do not support Web service callouts");
    return this.org.notNull(this.org.call(mock.cls.vtable.get("respond(httprequest)"), mock, [request]));
  }

  /** Headers of a request, with those that the External Credential adds. */
  headers(request, external, body) {
    const secrets = this.secrets[external] ?? {};
    const value = (name) => {
      const [, credential, parameter] = name.split(".");
      if (credential !== external) this.org.raise("CalloutException", `unknown credential in formula: ${name}`);
      if (parameter === "Body") return Buffer.from(body, "utf8");
      return secrets[parameter] ?? this.org.raise("CalloutException", `unknown parameter in formula: ${name}`);
    };
    const added = this.org.project.external.get(external).filter((p) => p.parameterType === "AuthHeader");
    return [...request.headers.values(), ...added.map((p) => [p.parameterName, headerText(p.parameterValue, value)])];
  }

  real(request, nc, name, path) {
    const { org } = this;
    const external = nc.namedCredentialParameters.find((p) => p.parameterType === "Authentication").externalCredential;
    const principal = org.project.external.get(external)?.find((p) => p.parameterType === "NamedPrincipal");
    if (
      !principal ||
      !org.access.some("principals", `${external}-${principal.parameterName}`) ||
      !org.access.objectMay({ name: "UserExternalCredential" }, "read")
    )
      org.raise("CalloutException", UNREACHABLE.replace("%s", external));
    const body = request.body ?? "";
    const started = org.now();
    const left = TOTAL - org.transaction.calloutMs;
    if (left <= 0) throw new LimitError("System.LimitException: Exceeded max time limit for callouts: 120000 ms");
    let answer;
    try {
      answer = this.transport({
        url: this.address(name) + path,
        method: request.method,
        headers: this.headers(request, external, body),
        body,
        timeout: Math.min(request.timeout ?? DEFAULT_TIMEOUT, left)
      });
    } finally {
      org.transaction.calloutMs += org.now() - started;
    }
    if (answer.error) return org.raise("CalloutException", answer.error);
    return new Native("HttpResponse", {
      status: answer.status,
      body: answer.body,
      headers: new Map(answer.headers.map(([n, v]) => [lower(n), [n, v]]))
    });
  }
}

/**
 * Real HTTP, waited for: Apex waits for the answer too. The calls are made by a
 * thread of their own, so that the waiting one can be woken.
 */
export class HttpTransport {
  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.signal = new Int32Array(new SharedArrayBuffer(4));
    this.worker = new Worker(new URL("./callout-worker.mjs", import.meta.url), {
      workerData: { port: port2, signal: this.signal },
      transferList: [port2]
    });
    this.worker.unref();
    this.port.unref();
    this.send = (request) => {
      Atomics.store(this.signal, 0, 0);
      this.port.postMessage(request);
      Atomics.wait(this.signal, 0, 0);
      return receiveMessageOnPort(this.port).message;
    };
  }

  async close() {
    await this.worker.terminate();
  }
}
