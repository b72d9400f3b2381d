import { OrderError, readOrder, type Access, type Reading } from "./index.js";

/** The key of an order for `useSWR`. */
export const orderStatusKey = (sfOrderId: string) => ["order-status", sfOrderId] as const;

/**
 * Returns a fetcher for `useSWR(orderStatusKey(id), fetcher, orderStatusConfig)`.
 * Make one, and keep it: it holds what it has read. However often SWR calls it,
 * it asks the server only when the server has said that it is worth it.
 */
export function orderStatusFetcher(access: Access = {}) {
  const held = new Map<string, { readonly reading: Reading; readonly at: number }>();
  return async ([, sfOrderId]: ReturnType<typeof orderStatusKey>): Promise<Reading> => {
    const last = held.get(sfOrderId);
    if (last && performance.now() - last.at < last.reading.retryAfter * 1000) return last.reading;
    const reading = await readOrder(sfOrderId, access, undefined, last?.reading);
    held.set(sfOrderId, { reading, at: performance.now() });
    return reading;
  };
}

/** Asks when the server says that it is worth it, and not at all once the order is final. */
export const orderStatusConfig = {
  // SWR takes the first interval before there is an answer.
  refreshInterval: (latest: Reading | undefined): number => (latest?.final ? 0 : (latest?.retryAfter ?? 1) * 1000),
  dedupingInterval: 500,
  refreshWhenHidden: false,
  refreshWhenOffline: false,
  shouldRetryOnError: (error: Error): boolean => !(error instanceof OrderError) || error.temporary,
};
