import { describe, expect, it } from "vitest";
import { OrderError, readOrder } from "../src/index.js";
import { id, order, refusal, server } from "./helpers.js";

describe("readOrder", () => {
  it("asks for the order with the token and what it holds, and not the browser's cache", async () => {
    const { fetch, requests } = server(order({}, { ETag: '"a"' }), () => new Response(null, { status: 304, headers: { "Retry-After": "7" } }));
    const access = { baseUrl: "https://api.test/v1/", getToken: () => "t", fetch };
    const first = await readOrder(id, access);
    const again = await readOrder(id, access, undefined, first);
    expect(first).toEqual({ sfOrderId: id, status: "Activating", final: false, etag: '"a"', retryAfter: 1 });
    expect(again).toEqual({ ...first, retryAfter: 7 });
    expect(requests.map((r) => [r.url, r.headers.get("Authorization"), r.headers.get("If-None-Match")])).toEqual([
      ["https://api.test/v1/orders/" + id, "Bearer t", null],
      ["https://api.test/v1/orders/" + id, "Bearer t", '"a"'],
    ]);
    expect(fetch.mock.calls[0]?.[1]?.cache).toBe("no-store");
  });

  it("cannot be led to another route by an id", async () => {
    const { fetch, requests } = server(refusal(400));
    await expect(readOrder("../admin?x=1", { baseUrl: "https://api.test", fetch })).rejects.toMatchObject({ status: 400, temporary: false });
    expect(requests[0]?.url).toBe("https://api.test/orders/..%2Fadmin%3Fx%3D1");
  });

  it.each([
    ["absent", undefined, 5],
    ["zero", "0", 1],
    ["a date, which a wrong clock would misread", "Fri, 27 Nov 2026 12:00:00 GMT", 5],
    ["huge", "99999999999", 3600],
    ["negative", "-3", 5],
  ])("reads a Retry-After that is %s within bounds", async (_, text, want) => {
    const { fetch } = server(() => Response.json({ sfOrderId: id, status: "Activating", final: false }, text ? { headers: { "Retry-After": text } } : {}));
    expect((await readOrder(id, { fetch })).retryAfter).toBe(want);
  });

  it.each([
    ["a page instead of an order", () => new Response("<html>Please sign in to the Wi-Fi</html>")],
    ["JSON that is no order", () => Response.json({ hello: "world" })],
    ["null", () => Response.json(null)],
  ])("takes %s as no answer", async (_, answer) => {
    await expect(readOrder(id, { fetch: server(answer).fetch })).rejects.toMatchObject({ name: "OrderError", status: 0, temporary: true });
  });

  it("tells what may pass from what will not", () => {
    expect([0, 408, 429, 500, 502, 503, 504].map((s) => new OrderError(s, 1).temporary)).not.toContain(false);
    expect([400, 401, 403, 404, 422].map((s) => new OrderError(s, 1).temporary)).not.toContain(true);
  });

  it("fails with the caller's own reason when it was ended", async () => {
    const reason = new Error("left the page");
    const ended = AbortSignal.abort(reason);
    await expect(readOrder(id, { fetch: server(order()).fetch }, ended)).rejects.toBe(reason);
    const watch = new AbortController();
    const waiting = readOrder(id, { getToken: () => new Promise<string>(() => {}), fetch: server(order()).fetch }, watch.signal);
    watch.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});
