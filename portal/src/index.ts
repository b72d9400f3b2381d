import type { components } from "./contract.js";

/** An order as `GET /orders/{sfOrderId}` shows it. */
export type Order = components["schemas"]["Order"];
/** What a customer is shown of an order. */
export type OrderStatus = Order["status"];

/**
 * How the watch fares:
 * - `connecting`: no answer yet.
 * - `live`: the order shown is what the last answer said.
 * - `retrying`: the last request failed; the order shown is the last one known
 *   and the watch asks again by itself.
 * - `refused`: the server does not serve this request; the watch has ended.
 */
export type Connection = "connecting" | "live" | "retrying" | "refused";

/** Where the server is and how a request is made. */
export interface Access {
  /** Address of the PortalApi, without `/orders`. Relative to the page by default. */
  readonly baseUrl?: string | undefined;
  /**
   * Returns the customer's access token. `renew` is true when the server did
   * not accept the last one: then a new one is needed, not the cached one.
   * Leave it out where cookies, or `fetch`, say who the customer is.
   */
  readonly getToken?: ((renew: boolean) => string | Promise<string>) | undefined;
  /** Replaces the global fetch, for example with one that signs (SigV4). */
  readonly fetch?: typeof fetch | undefined;
}

/** One answer of the server. */
export interface Reading extends Order {
  /** Seconds after which it is worth asking again. */
  readonly retryAfter: number;
  readonly etag?: string;
}

/** A request that brought no order. `status` is 0 when there was no answer. */
export class OrderError extends Error {
  override readonly name = "OrderError";
  constructor(
    readonly status: number,
    /** Seconds after which it is worth asking again. */
    readonly retryAfter: number,
    options?: ErrorOptions,
  ) {
    super(status ? `the server answered ${status}` : "no answer", options);
  }
  /** Whether the same request may be served later. */
  get temporary(): boolean {
    return !this.status || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

const second = 1000;
/** A request without an answer is given up: the gateway answers within 30 s. */
const requestLimit = 35 * second;
/** Where the server names no time: what is not final is asked for every 5 s. */
const usualPause = 5;
/** Nothing makes the watch wait longer, neither the server nor a quiet order. */
const longestPause = 3600;
/** An order that has not moved for this long is next asked for after as long again. */
const quietAfter = 60 * second;
/** Failures in a row: 1, 2, 4 … 60 s, each less up to a half by chance. */
const longestBackoff = 60;

/** Reads Retry-After in seconds. A date is not read: the clock here may be wrong. */
function pauseOf(headers: Headers): number {
  const text = headers.get("Retry-After") ?? "";
  return /^\d+$/.test(text) ? Math.min(Math.max(+text, 1), longestPause) : usualPause;
}

/**
 * Asks once. `last` is the reading that the caller holds: the server then sends
 * the order only if it has changed, and the result is never older than `last`.
 * Fails with an OrderError, or with the reason of `signal`.
 */
export async function readOrder(id: string, access: Access, signal?: AbortSignal, last?: Reading): Promise<Reading> {
  const limit = new AbortController();
  const stop = () => limit.abort(signal?.reason);
  const timer = setTimeout(stop, requestLimit);
  signal?.addEventListener("abort", stop);
  // Also ends a getToken that never answers.
  const stopped = new Promise<never>((_, reject) => limit.signal.addEventListener("abort", () => reject(limit.signal.reason)));
  try {
    signal?.throwIfAborted();
    let answer: Response;
    for (let renew = false; ; renew = true) {
      answer = await Promise.race([stopped, request(id, access, renew, limit.signal, last)]);
      if (answer.status !== 401 || renew || !access.getToken) break;
    }
    const retryAfter = pauseOf(answer.headers);
    if (answer.status === 304 && last) return { ...last, retryAfter };
    if (answer.status !== 200) throw new OrderError(answer.status, retryAfter);
    const order = (await Promise.race([stopped, answer.json()])) as Order;
    if (typeof order?.status !== "string" || typeof order.final !== "boolean") throw new OrderError(0, retryAfter);
    const etag = answer.headers.get("ETag");
    // Both times are the server's; without one the order was not there yet.
    if (last && written(order) < written(last)) return { ...last, retryAfter };
    return { ...order, retryAfter, ...(etag ? { etag } : {}) };
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw cause instanceof OrderError ? cause : new OrderError(0, 0, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function request(id: string, access: Access, renew: boolean, signal: AbortSignal, last?: Reading): Promise<Response> {
  const headers: Record<string, string> = {};
  if (access.getToken) headers.Authorization = "Bearer " + (await access.getToken(renew));
  if (last?.etag) headers["If-None-Match"] = last.etag;
  const url = (access.baseUrl ?? "").replace(/\/+$/, "") + "/orders/" + encodeURIComponent(id);
  return (access.fetch ?? fetch)(url, { headers, signal, cache: "no-store" });
}

const written = (order: Order): number => Date.parse(order.updatedAt ?? "") || 0;

/** What `watchOrder` needs. */
export interface WatchOptions extends Access {
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called with each change. Until the first answer the order is the one that
   * the server shows of an order not yet released: Pending Review.
   */
  readonly onChange: (order: Order, connection: Connection, error?: OrderError) => void;
}

/** Returns the order as it is shown before the server has answered. */
export const unread = (id: string): Order => ({ sfOrderId: id, status: "Pending Review", final: false });

/**
 * Follows an order until it is final: asks when the server says that it is
 * worth it, never twice at a time, not while the tab is hidden, and less often
 * for an order that does not move. Resolves with the last order known when the
 * watch has ended: final, aborted or refused. Never rejects.
 */
export async function watchOrder(id: string, options: WatchOptions): Promise<Order> {
  const { signal } = options;
  let last: Reading | undefined;
  let shown = "";
  // Elapsed time by a clock that does not jump when somebody sets the date.
  let moved = performance.now();
  let failures = 0;
  const show = (connection: Connection, error?: OrderError) => {
    const order = known(id, last);
    const is = JSON.stringify([order, connection, error?.status]);
    if (is === shown || signal?.aborted) return;
    shown = is;
    options.onChange(order, connection, error);
  };
  show("connecting");
  if (hidden()) await rest(0, 0, signal);
  while (!signal?.aborted) {
    let least: number; // seconds before which it is not worth asking
    let pause: number; // seconds after which to ask by ourselves
    try {
      const before = last;
      last = await readOrder(id, options, signal, last);
      if (last.status !== before?.status || last.updatedAt !== before.updatedAt) moved = performance.now();
      failures = 0;
      show("live");
      if (last.final) break;
      least = last.retryAfter;
      const quiet = performance.now() - moved;
      pause = Math.max(least, quiet < quietAfter ? 0 : Math.min(quiet / second, longestPause));
      // Customers that came at the same time do not come back at the same time.
      pause *= 1 + Math.random() / 10;
    } catch (error) {
      if (!(error instanceof OrderError)) break; // the watch was ended
      show(error.temporary ? "retrying" : "refused", error);
      if (!error.temporary) break;
      least = error.retryAfter;
      pause = least + Math.min(2 ** failures++, longestBackoff) * (1 - Math.random() / 2);
    }
    // Somebody is looking: the order is worth asking for as if it had moved.
    if (await rest(least * second, pause * second, signal)) moved = performance.now();
  }
  return known(id, last);
}

function known(id: string, last?: Reading): Order {
  if (!last) return unread(id);
  const { retryAfter: _, etag: __, ...order } = last;
  return order;
}

const hidden = (): boolean => !!(globalThis.document as Document | undefined)?.hidden;

/** What says that the customer looks at the page, or that there is a network again. */
const wakers = ["visibilitychange", "focus", "pageshow", "online"];

/**
 * Returns false after `pause` ms; or true earlier, though not before `least`
 * ms, when the customer looks at the page or the network is back. While the tab
 * is hidden it does not return at all.
 */
function rest(least: number, pause: number, signal: AbortSignal | undefined): Promise<boolean> {
  const started = performance.now();
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout>;
    const endAfter = (ms: number, woken: boolean) => {
      clearTimeout(timer);
      timer = setTimeout(() => hidden() || end(woken), Math.max(started + ms - performance.now(), 0));
    };
    const wake = () => hidden() || endAfter(least, true);
    const end = (woken: boolean) => {
      clearTimeout(timer);
      for (const event of wakers) globalThis.removeEventListener?.(event, wake, true);
      signal?.removeEventListener("abort", stop);
      resolve(woken);
    };
    const stop = () => end(false);
    if (signal?.aborted) return stop();
    // Capturing, because visibilitychange is the document's.
    for (const event of wakers) globalThis.addEventListener?.(event, wake, true);
    signal?.addEventListener("abort", stop);
    endAfter(pause, false);
  });
}
