import { vi } from "vitest";
import type { Order } from "../src/index.js";

export const id = "801000000000001AAA";

/** The answers of a server, in turn; the last one for ever. */
export function server(...answers: (() => Response | Promise<Response>)[]) {
  const requests: Request[] = [];
  const fetched = vi.fn<typeof fetch>(async (url, init) => {
    requests.push(new Request(new URL(String(url), "http://portal.test"), { headers: init?.headers ?? {} }));
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    if (!answer) throw new Error("no answer is left");
    return answer();
  });
  return { fetch: fetched, requests };
}

export function order(members: Partial<Order> = {}, headers: Record<string, string> = {}) {
  return () => Response.json({ sfOrderId: id, status: "Activating", final: false, ...members }, { headers: { "Retry-After": "1", ...headers } });
}

export const refusal = (status: number, headers: Record<string, string> = {}) => () => Response.json({ message: "no" }, { status, headers });
