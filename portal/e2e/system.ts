import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The whole system on this machine. */
export interface System {
  readonly base: string;
  /** What it has printed. */
  said(): string;
  stop(): Promise<void>;
}

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** Starts the built system on free ports, with short times, and waits until it is ready. */
export async function start(env: Record<string, string> = {}): Promise<System> {
  const bin = process.env.BIN ?? repository + "build/bin";
  const child = spawn(bin + "/local", ["-template", repository + "template.yaml", "-bin", bin], {
    env: { PATH: process.env.PATH ?? "", API_PORT: "0", WHMCS_PORT: "0", SF_PORT: "0", AWS_PORT: "0", DEMO: "1", PORTAL_RATE_LIMIT: "10000", PORTAL_BURST_LIMIT: "5000", ...env },
  });
  let said = "";
  const ended = new Promise<void>((go) => child.once("close", () => go()));
  await new Promise<void>((ready, fail) => {
    const hear = (text: Buffer) => {
      said += String(text);
      if (said.includes("Ctrl-C ends it.")) ready();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", fail);
    child.once("close", () => fail(new Error("the system ended before it was ready:\n" + said)));
  });
  return {
    base: /(http:\S+)\s+both APIs/.exec(said)?.[1] ?? "",
    said: () => said,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
