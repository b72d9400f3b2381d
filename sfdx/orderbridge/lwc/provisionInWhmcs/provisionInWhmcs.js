import { LightningElement, api } from "lwc";
import { ShowToastEvent } from "lightning/platformShowToastEvent";
import { notifyRecordUpdateAvailable } from "lightning/uiRecordApi";
import { provision } from "c/bridgeClient";

/** The quick action "Provision in WHMCS" of an order's page. It has no screen. */
export default class ProvisionInWhmcs extends LightningElement {
  @api recordId;
  // The platform does not wait for invoke(), and may call it again meanwhile.
  isBusy = false;

  @api async invoke() {
    if (this.isBusy) {
      return;
    }
    this.isBusy = true;
    try {
      const { title, message, variant } = await provision(this.recordId);
      this.dispatchEvent(
        new ShowToastEvent({ title, message, variant, mode: variant === "error" ? "sticky" : "dismissible" })
      );
      await notifyRecordUpdateAvailable([{ recordId: this.recordId }]);
    } finally {
      this.isBusy = false;
    }
  }
}
