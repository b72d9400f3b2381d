import { LightningElement } from "lwc";
import { loadLights, startResend } from "c/bridgeClient";
import labelTitle from "@salesforce/label/c.OrderBridge_Setup_Title";
import labelCheck from "@salesforce/label/c.OrderBridge_Setup_Check";
import labelSchedule from "@salesforce/label/c.OrderBridge_Setup_Schedule";
import labelAllOk from "@salesforce/label/c.OrderBridge_Setup_Ok";
import labelNotAllOk from "@salesforce/label/c.OrderBridge_Setup_Not_Ok";
import labelOk from "@salesforce/label/c.OrderBridge_Ok";
import labelNotOk from "@salesforce/label/c.OrderBridge_Not_Ok";
import labelBusy from "@salesforce/label/c.OrderBridge_Busy";

/** The set-up page: what must hold before the first order, and what to do about the rest. */
export default class BridgeSetup extends LightningElement {
  labels = { title: labelTitle, check: labelCheck, schedule: labelSchedule, busy: labelBusy };
  lights = [];
  failure;
  isBusy = false;

  connectedCallback() {
    this.handleCheck();
  }

  async handleCheck() {
    this.isBusy = true;
    const { value, message } = await loadLights();
    this.failure = message;
    this.lights = (value ?? []).map((light) => ({
      ...light,
      icon: light.isOk ? "utility:success" : "utility:error",
      variant: light.isOk ? "success" : "error",
      text: light.isOk ? labelOk : labelNotOk
    }));
    this.isBusy = false;
  }

  async handleSchedule() {
    this.isBusy = true;
    const { message } = await startResend();
    await this.handleCheck();
    this.failure = message ?? this.failure;
  }

  get summary() {
    if (this.lights.length === 0) {
      return "";
    }
    const bad = this.lights.filter((light) => !light.isOk).length;
    return bad === 0 ? labelAllOk : labelNotAllOk.replace("{0}", bad).replace("{1}", this.lights.length);
  }

  get isScheduleShown() {
    return this.lights.some((light) => light.name === "resend" && !light.isOk);
  }
}
