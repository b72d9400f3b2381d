import { LightningElement, api } from "lwc";
import labelOrder from "@salesforce/label/c.OrderBridge_Column_Order";
import labelOutcome from "@salesforce/label/c.OrderBridge_Column_Outcome";
import labelMessage from "@salesforce/label/c.OrderBridge_Column_Message";

/** The last screen of the flow over a selection: one sentence, and a row for each order. */
export default class ProvisionSummary extends LightningElement {
  /** One sentence. */
  @api summary;
  /** A list of {orderId, orderNumber, outcome, message}, as JSON. */
  @api rowsJson;

  columns = [
    { label: labelOrder, fieldName: "url", type: "url", typeAttributes: { label: { fieldName: "name" } } },
    { label: labelOutcome, fieldName: "outcome" },
    { label: labelMessage, fieldName: "message", wrapText: true }
  ];

  // What needs a person comes first.
  get rows() {
    const rows = JSON.parse(this.rowsJson || "[]").map((row) => ({
      ...row,
      url: `/${row.orderId}`,
      name: row.orderNumber ?? row.orderId
    }));
    return [...rows.filter((row) => row.outcome === "refused"), ...rows.filter((row) => row.outcome !== "refused")];
  }
}
