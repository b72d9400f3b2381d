import { LightningElement, api, wire } from "lwc";
import { ShowToastEvent } from "lightning/platformShowToastEvent";
import { getFieldValue, getRecord, notifyRecordUpdateAvailable } from "lightning/uiRecordApi";
import { loadState, provision } from "c/bridgeClient";
import STATUS from "@salesforce/schema/Order.Provisioning_Status__c";
import labelTitle from "@salesforce/label/c.OrderBridge_Card_Title";
import labelAction from "@salesforce/label/c.OrderBridge_Action_Label";
import labelSendAgain from "@salesforce/label/c.OrderBridge_Send_Again";
import labelLines from "@salesforce/label/c.OrderBridge_Lines";
import labelReasons from "@salesforce/label/c.OrderBridge_Reasons";
import labelLate from "@salesforce/label/c.OrderBridge_Late";
import labelNextTry from "@salesforce/label/c.OrderBridge_Next_Try";
import labelRequested from "@salesforce/label/c.OrderBridge_Requested";
import labelBy from "@salesforce/label/c.OrderBridge_By";
import labelWhmcsOrder from "@salesforce/label/c.OrderBridge_Whmcs_Order";
import labelBusy from "@salesforce/label/c.OrderBridge_Busy";
import labelClient from "@salesforce/label/c.OrderBridge_Client";
import labelProduct from "@salesforce/label/c.OrderBridge_Column_Product";
import labelWhmcsProduct from "@salesforce/label/c.OrderBridge_Column_Whmcs_Product";
import labelCycle from "@salesforce/label/c.OrderBridge_Column_Cycle";
import labelQuantity from "@salesforce/label/c.OrderBridge_Column_Quantity";
import labelNoPermission from "@salesforce/label/c.OrderBridge_No_Permission";

const FIRST_POLL_MS = 3000;
const LAST_POLL_MS = 30000;
const POLL_GROWTH = 1.5;

/**
 * One order on its page: what a click would order and why it would fail, how it
 * goes on, and what to do. While the order is on its way and the page is visible
 * it asks after 3 s, then ever more rarely, down to once in 30 s.
 */
export default class ProvisioningCard extends LightningElement {
  @api recordId;
  /** Address of the admin area of WHMCS, e.g. https://billing.example.com/admin. Blank: no link. */
  @api whmcsAdminUrl;

  labels = {
    title: labelTitle,
    lines: labelLines,
    reasons: labelReasons,
    late: labelLate,
    nextTry: labelNextTry,
    requested: labelRequested,
    by: labelBy,
    whmcsOrder: labelWhmcsOrder,
    busy: labelBusy,
    client: labelClient
  };
  columns = [
    { label: labelProduct, fieldName: "product" },
    { label: labelWhmcsProduct, fieldName: "whmcsProductId" },
    { label: labelCycle, fieldName: "cycle" },
    { label: labelQuantity, fieldName: "quantity", type: "number" }
  ];

  order;
  failure;
  isBusy = false;
  pollMs = FIRST_POLL_MS;
  timer;

  // Another component, the quick action for instance, has changed the order.
  @wire(getRecord, { recordId: "$recordId", optionalFields: [STATUS] })
  recordChanged({ data }) {
    const status = data && getFieldValue(data, STATUS);
    if (status && this.order && status !== this.order.status) {
      this.restart();
    }
  }

  connectedCallback() {
    document.addEventListener("visibilitychange", this.visibilityChanged);
    this.restart();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.visibilityChanged);
    clearTimeout(this.timer);
  }

  visibilityChanged = () => {
    clearTimeout(this.timer);
    if (!document.hidden) {
      this.restart();
    }
  };

  restart() {
    this.pollMs = FIRST_POLL_MS;
    return this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    const before = this.order?.status;
    const { value, message } = await loadState(this.recordId);
    this.failure = message;
    this.order = value ?? this.order;
    if (before && this.order.status !== before) {
      notifyRecordUpdateAvailable([{ recordId: this.recordId }]);
    }
    this.planPoll();
  }

  planPoll() {
    clearTimeout(this.timer);
    if (!this.isConnected || document.hidden || !this.order || this.order.isFinal) {
      return;
    }
    // eslint-disable-next-line @lwc/lwc/no-async-operation -- polling ends with the order, the page or its visibility
    this.timer = setTimeout(() => this.refresh(), this.pollMs);
    this.pollMs = Math.min(this.pollMs * POLL_GROWTH, LAST_POLL_MS);
  }

  async handleProvision() {
    if (this.isBusy) {
      return;
    }
    this.isBusy = true;
    try {
      const { title, message, variant } = await provision(this.recordId);
      this.dispatchEvent(
        new ShowToastEvent({ title, message, variant, mode: variant === "error" ? "sticky" : "dismissible" })
      );
      await this.restart();
    } finally {
      this.isBusy = false;
    }
  }

  get isUndelivered() {
    return this.order.code === "request_not_delivered";
  }

  get buttonLabel() {
    return this.order?.isFinal === false ? labelSendAgain : labelAction;
  }

  get isButtonDisabled() {
    if (this.isBusy || !this.order?.mayProvision || this.order.status === "Provisioned") {
      return true;
    }
    return this.order.isFinal ? this.hasReasons : !this.isUndelivered;
  }

  get buttonTitle() {
    if (this.order && !this.order.mayProvision) {
      return labelNoPermission;
    }
    return this.hasReasons && this.order.isFinal ? labelReasons : this.buttonLabel;
  }

  get badgeClass() {
    const theme = { Provisioned: "slds-theme_success", Failed: "slds-theme_error" }[this.order.status];
    return this.order.isLate ? "slds-theme_warning" : (theme ?? "");
  }

  get messageClass() {
    return `slds-m-top_small slds-text-body_regular ${this.order.isFinal ? "slds-text-color_error" : ""}`;
  }

  get isAhead() {
    return this.order.isFinal && this.order.status !== "Provisioned";
  }

  get hasReasons() {
    return this.isOrdered ? false : this.order?.preview?.reasons.length > 0;
  }

  get isOrdered() {
    return this.order?.status === "Provisioned";
  }

  get reasons() {
    return this.order.preview.reasons;
  }

  get lines() {
    return this.order.preview.lines;
  }

  get isWaiting() {
    return !this.order.isFinal;
  }

  get whmcsOrderUrl() {
    const base = this.whmcsAdminUrl?.replace(/\/+$/, "");
    return base?.startsWith("https://")
      ? `${base}/orders.php?action=view&id=${encodeURIComponent(this.order.whmcsOrderId)}`
      : undefined;
  }
}
