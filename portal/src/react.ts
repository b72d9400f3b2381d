"use client";
import { createContext, createElement, useContext, useEffect, useRef, useState, type ReactNode } from "react";
import { unread, watchOrder, type Access, type Connection, type Order, type OrderError, type OrderStatus } from "./index.js";

const AccessContext = createContext<Access>({});

/** Says once, for everything below it, where the server is and who the customer is. */
export function OrderStatusProvider({ children, ...access }: Access & { readonly children?: ReactNode }) {
  return createElement(AccessContext.Provider, { value: access }, children);
}

/** An order, and how the watch fares. */
export interface WatchedOrder {
  readonly order: Order;
  readonly connection: Connection;
  readonly error?: OrderError;
}

/** Follows an order as long as the component is mounted. */
export function useOrder(sfOrderId: string): WatchedOrder {
  const access = useContext(AccessContext);
  // The newest access serves the next request: a new function for getToken
  // with each render does not begin the watch again.
  const latest = useRef(access);
  useEffect(() => {
    latest.current = access;
  });
  const [seen, setSeen] = useState<WatchedOrder & { readonly id: string }>();
  useEffect(() => {
    const watch = new AbortController();
    void watchOrder(sfOrderId, {
      get baseUrl() {
        return latest.current.baseUrl;
      },
      get getToken() {
        return latest.current.getToken;
      },
      get fetch() {
        return latest.current.fetch;
      },
      signal: watch.signal,
      onChange: (order, connection, error) => setSeen({ id: sfOrderId, order, connection, ...(error ? { error } : {}) }),
    });
    return () => watch.abort();
  }, [sfOrderId]);
  // Never the order of an earlier id.
  return seen?.id === sfOrderId ? seen : { order: unread(sfOrderId), connection: "connecting" };
}

/** Returns the status of an order, Pending Review until the first answer. */
export function useOrderStatus(sfOrderId: string): OrderStatus {
  return useOrder(sfOrderId).order.status;
}
