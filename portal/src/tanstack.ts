import { OrderError, readOrder, type Access, type Reading } from "./index.js";

/** The part of TanStack Query's context that the query function uses. */
interface QueryContext {
  readonly signal: AbortSignal;
  readonly queryKey: readonly unknown[];
  readonly client: { getQueryData(key: readonly unknown[]): unknown };
}

interface QueryState {
  readonly state: { readonly data: Reading | undefined };
}

/** Options for `useQuery` of TanStack Query 5: follows the order until it is final. */
export function orderStatusOptions(sfOrderId: string, access: Access = {}) {
  return {
    queryKey: ["order-status", sfOrderId] as const,
    queryFn: ({ client, queryKey, signal }: QueryContext): Promise<Reading> =>
      readOrder(sfOrderId, access, signal, client.getQueryData(queryKey) as Reading | undefined),
    refetchInterval: (query: QueryState): number | false =>
      query.state.data?.final ? false : (query.state.data?.retryAfter ?? 5) * 1000,
    // What is fresh is not asked for again when the window gets the focus.
    staleTime: (query: QueryState): number => (query.state.data?.final ? Infinity : (query.state.data?.retryAfter ?? 0) * 1000),
    refetchIntervalInBackground: false,
    // A renewed token was tried already; only what may pass is tried again.
    retry: (failures: number, error: Error): boolean => !(error instanceof OrderError) || (error.temporary && failures < 5),
    retryDelay: (failures: number, error: Error): number =>
      ((error instanceof OrderError ? error.retryAfter : 0) + Math.min(2 ** failures, 60) * (1 - Math.random() / 2)) * 1000,
  };
}
