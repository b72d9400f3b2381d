import { createElement } from "@lwc/engine-dom";
import ProvisionSummary from "c/provisionSummary";

const ROWS = [
  { orderId: "801000000000001AAA", orderNumber: "00000101", outcome: "sent", message: "On its way." },
  { orderId: "801000000000002AAA", orderNumber: null, outcome: "refused", message: "Ask its owner." }
];

describe("c-provision-summary", () => {
  function show(rowsJson) {
    const element = createElement("c-provision-summary", { is: ProvisionSummary });
    element.summary = "1 sent, 0 waiting or done before, 1 refused.";
    element.rowsJson = rowsJson;
    document.body.appendChild(element);
    return element;
  }

  afterEach(() => document.body.replaceChildren());

  it("shows the sentence, and what needs a person first", () => {
    const element = show(JSON.stringify(ROWS));
    const table = element.shadowRoot.querySelector("lightning-datatable");

    expect(element.shadowRoot.querySelector('[data-id="summary"]').textContent).toBe(element.summary);
    expect(table.data.map((row) => row.outcome)).toEqual(["refused", "sent"]);
    expect(table.data[0]).toMatchObject({ name: "801000000000002AAA", url: "/801000000000002AAA" });
    expect(table.data[1].name).toBe("00000101");
  });

  it("shows an empty table before the flow has run", () => {
    expect(show(undefined).shadowRoot.querySelector("lightning-datatable").data).toEqual([]);
  });

  it("is accessible", async () => {
    await expect(show(JSON.stringify(ROWS))).toBeAccessible();
  });
});
