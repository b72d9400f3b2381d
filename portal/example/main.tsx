// A portal's page for one order. `make run`, then `npm run example` here.
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { OrderStatusProvider, useOrder } from "../src/react.js";
import { connectionText, orderText } from "../src/texts.js";

/** The local system's identity provider; a portal asks its own (see README.md). */
let token: Promise<string> | undefined;
const getToken = (renew: boolean): Promise<string> => {
  if (renew || !token) {
    token = fetch("/_local/token?account=001000000000001AAA").then(async (answer) => ((await answer.json()) as { token: string }).token);
    token.catch(() => (token = undefined));
  }
  return token;
};

function OrderCard({ id }: { id: string }) {
  const { order, connection } = useOrder(id);
  const text = orderText(order.status, navigator.language);
  const note = connectionText(connection, navigator.language);
  return (
    // A live region: a screen reader reads what changes, when it has time.
    <section className="order" role="status" aria-live="polite" aria-atomic="true">
      <h2>{text.title}</h2>
      <p>{text.detail}</p>
      {order.whmcsOrderId && <p>Reference {order.whmcsOrderId}</p>}
      {note && <p className="note">{note.title}. {note.detail}</p>}
    </section>
  );
}

function Page() {
  const [id, setId] = useState("801000000000001AAA");
  return (
    <OrderStatusProvider getToken={getToken}>
      <h1>Your order</h1>
      <label htmlFor="id">Order</label>
      <input id="id" value={id} spellCheck={false} onChange={(event) => setId(event.target.value.trim())} />
      <OrderCard id={id} />
    </OrderStatusProvider>
  );
}

const root = document.createElement("main");
document.body.append(root);
createRoot(root).render(<StrictMode><Page /></StrictMode>);
