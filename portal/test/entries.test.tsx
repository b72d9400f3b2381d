// @vitest-environment jsdom
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, StrictMode, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import useSWR from "swr";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OrderStatusProvider, useOrder, useOrderStatus } from "../src/react.js";
import { orderStatusConfig, orderStatusFetcher, orderStatusKey } from "../src/swr.js";
import { orderStatusOptions } from "../src/tanstack.js";
import { id, order, refusal, server } from "./helpers.js";

vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);

let root: Root;
let box: HTMLElement;
beforeEach(() => {
  vi.useFakeTimers();
  box = document.createElement("div");
  root = createRoot(box);
});
afterEach(async () => {
  await act(() => root.unmount());
  vi.useRealTimers();
});

const render = (node: ReactNode) => act(async () => root.render(node));
const later = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

const provisioned = order({ status: "Provisioned", final: true, whmcsOrderId: "7", updatedAt: "2026-11-28T12:00:00Z" });

function Status({ of }: { of: string }) {
  return useOrderStatus(of);
}

describe("useOrderStatus", () => {
  it("starts with Pending Review, follows the order and stops when it is final", async () => {
    const { fetch, requests } = server(order(), provisioned);
    const show = <OrderStatusProvider fetch={fetch}><Status of={id} /></OrderStatusProvider>;
    act(() => root.render(show));
    expect(box.textContent).toBe("Pending Review");
    await later(0);
    expect(box.textContent).toBe("Activating");
    await later(1500);
    expect(box.textContent).toBe("Provisioned");
    await later(3_600_000);
    expect(requests).toHaveLength(2);
  });

  it("never shows an order under the id of another, and asks no more for the first", async () => {
    const { fetch, requests } = server(order());
    const show = (of: string) => <OrderStatusProvider fetch={fetch}><Status of={of} /></OrderStatusProvider>;
    await render(show(id));
    expect(box.textContent).toBe("Activating");
    act(() => root.render(show("801000000000002AAA")));
    expect(box.textContent).toBe("Pending Review");
    await later(10_000);
    expect(requests.slice(1).filter((r) => r.url.includes(id))).toHaveLength(0);
  });

  it("does not begin again when the page renders with a new getToken, and uses the newest", async () => {
    const { fetch, requests } = server(order());
    const show = (token: string) => <OrderStatusProvider fetch={fetch} getToken={() => token}><Status of={id} /></OrderStatusProvider>;
    await render(show("one"));
    for (const token of ["two", "three"]) await render(show(token));
    expect(requests).toHaveLength(1);
    await later(1200);
    expect(requests.map((r) => r.headers.get("Authorization"))).toEqual(["Bearer one", "Bearer three"]);
  });

  it("asks no more once it is unmounted, also in strict mode", async () => {
    const { fetch, requests } = server(order());
    await render(<StrictMode><OrderStatusProvider fetch={fetch}><Status of={id} /></OrderStatusProvider></StrictMode>);
    await render(null);
    const asked = requests.length;
    await later(60_000);
    expect(requests).toHaveLength(asked);
  });
});

describe("useOrder", () => {
  it("keeps the order on the screen and says that it tries while the server is away", async () => {
    function Whole() {
      const { order, connection, error } = useOrder(id);
      return `${order.status} ${connection} ${error?.status ?? ""}`;
    }
    const { fetch } = server(order(), refusal(503, { "Retry-After": "2" }), provisioned);
    await render(<OrderStatusProvider fetch={fetch}><Whole /></OrderStatusProvider>);
    expect(box.textContent).toBe("Activating live ");
    await later(1200);
    expect(box.textContent).toBe("Activating retrying 503");
    await later(5000);
    expect(box.textContent).toBe("Provisioned live ");
  });
});

describe("orderStatusOptions for TanStack Query", () => {
  it("polls as the server says, with the ETag, and stops when final", async () => {
    function Query({ access }: { access: Parameters<typeof orderStatusOptions>[1] }) {
      return useQuery(orderStatusOptions(id, access)).data?.status ?? "nothing";
    }
    const { fetch, requests } = server(order({}, { ETag: '"a"', "Retry-After": "3" }), () => new Response(null, { status: 304, headers: { "Retry-After": "4" } }), provisioned);
    const client = new QueryClient();
    await render(<QueryClientProvider client={client}><Query access={{ fetch }} /></QueryClientProvider>);
    await later(10);
    expect(box.textContent).toBe("Activating");
    await later(2500);
    expect(requests).toHaveLength(1);
    await later(1000);
    expect(requests.map((r) => r.headers.get("If-None-Match"))).toEqual([null, '"a"']);
    await later(5000);
    expect(box.textContent).toBe("Provisioned");
    await later(3_600_000);
    expect(requests).toHaveLength(3);
    client.clear();
  });

  it("tries again what may pass, and nothing else", async () => {
    const { fetch, requests } = server(refusal(400));
    const client = new QueryClient();
    const failed = client.fetchQuery({ ...orderStatusOptions(id, { fetch }), staleTime: 0 }).catch((e: Error) => e);
    await later(60_000);
    expect(await failed).toMatchObject({ status: 400 });
    expect(requests).toHaveLength(1);
    client.clear();
  });
});

describe("orderStatusFetcher for SWR", () => {
  it("polls as the server says, with the ETag, and stops when final", async () => {
    const { fetch, requests } = server(order({}, { ETag: '"a"', "Retry-After": "3" }), () => new Response(null, { status: 304, headers: { "Retry-After": "4" } }), provisioned);
    const fetcher = orderStatusFetcher({ fetch });
    function Swr() {
      return useSWR(orderStatusKey(id), fetcher, orderStatusConfig).data?.status ?? "nothing";
    }
    await render(<Swr />);
    await later(10);
    expect(box.textContent).toBe("Activating");
    await later(4100);
    expect(requests.map((r) => r.headers.get("If-None-Match"))).toEqual([null, '"a"']);
    await later(5000);
    expect(box.textContent).toBe("Provisioned");
    await later(3_600_000);
    expect(requests).toHaveLength(3);
  });
});
