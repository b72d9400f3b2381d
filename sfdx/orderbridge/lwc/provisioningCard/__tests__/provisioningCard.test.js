import { createElement } from "@lwc/engine-dom";
import ProvisioningCard from "c/provisioningCard";
import { getRecord, notifyRecordUpdateAvailable } from "lightning/uiRecordApi";
import prepare from "@salesforce/apex/ProvisionController.prepare";
import send from "@salesforce/apex/ProvisionController.send";
import state from "@salesforce/apex/ProvisionController.state";
import states from "./data/states.json";

jest.mock("@salesforce/apex/ProvisionController.prepare", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/ProvisionController.send", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/ProvisionController.state", () => ({ default: jest.fn() }), { virtual: true });

// The name of ShowToastEvent.
const TOAST = "lightning__showtoast";
const ORDER = "801000000000001AAA";

/** Lets every promise that is ready run, without the clock. */
async function settle() {
  for (let i = 0; i < 20; i++) {
    // eslint-disable-next-line no-await-in-loop -- one turn of the queue after the other
    await Promise.resolve();
  }
}

describe("c-provisioning-card", () => {
  let element;

  async function show(...answers) {
    answers.forEach((name) => state.mockResolvedValueOnce(states[name]));
    state.mockResolvedValue(states[answers.at(-1)]);
    element = createElement("c-provisioning-card", { is: ProvisioningCard });
    element.recordId = ORDER;
    element.whmcsAdminUrl = "https://billing.example.com/admin/";
    document.body.appendChild(element);
    await settle();
  }

  const part = (id) => element.shadowRoot.querySelector(`[data-id="${id}"]`);
  const button = () => element.shadowRoot.querySelector("lightning-button");

  async function pass(ms) {
    jest.advanceTimersByTime(ms);
    await settle();
  }

  function hide(isHidden) {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
    document.dispatchEvent(new CustomEvent("visibilitychange"));
  }

  beforeEach(() => jest.useFakeTimers());

  afterEach(() => {
    document.body.replaceChildren();
    delete document.hidden;
    jest.useRealTimers();
    [prepare, send, state].forEach((mock) => mock.mockReset());
    jest.clearAllMocks();
  });

  it("shows before the click what will be ordered", async () => {
    await show("pending");

    expect(part("status").label).toBe("Pending Review");
    expect(element.shadowRoot.querySelector("lightning-datatable").data).toEqual(states.pending.preview.lines);
    expect(part("reasons")).toBeNull();
    expect(button().disabled).toBe(false);
  });

  it("lists every reason why a click would fail, and takes no click", async () => {
    await show("notMapped");

    expect([...part("reasons").querySelectorAll("li")].map((li) => li.textContent)).toEqual(
      states.notMapped.preview.reasons
    );
    expect(button().disabled).toBe(true);
    expect(button().title).toBe("c.OrderBridge_Reasons");
  });

  it("says since when and by whom an order is on its way, and takes no click", async () => {
    await show("activating");

    expect(part("since").textContent).toContain("Ann");
    expect(part("since").querySelector("lightning-formatted-date-time").value).toBe(states.activating.since);
    expect(button().disabled).toBe(true);
  });

  it("says why an order waits and when it is tried again", async () => {
    await show("late");

    expect(part("late")).not.toBeNull();
    expect(part("message").textContent).toBe(states.late.message);
    expect(part("next-try").querySelector("lightning-formatted-date-time").value).toBe(states.late.nextTryAt);
  });

  it("offers to send an undelivered order again", async () => {
    await show("undelivered");

    expect(button().disabled).toBe(false);
    expect(button().label).toBe("c.OrderBridge_Send_Again");
  });

  it("links the WHMCS order, and takes no click on a provisioned one", async () => {
    await show("provisioned");

    expect(part("whmcs-order").querySelector("a").href).toBe(
      "https://billing.example.com/admin/orders.php?action=view&id=1004"
    );
    expect(button().disabled).toBe(true);
    expect(part("reasons")).toBeNull();
  });

  it("makes no link of an address that is not https", async () => {
    await show("provisioned");
    element.whmcsAdminUrl = "http://billing.example.com/admin";
    await settle();

    expect(part("whmcs-order").querySelector("a")).toBeNull();
    expect(part("whmcs-order").textContent).toContain("1004");
  });

  it("says of a failed order what to do, and takes a click", async () => {
    await show("failed");

    expect(part("message").textContent).toBe(states.failed.message);
    expect(button().disabled).toBe(false);
  });

  it("tells who may not click what to ask for", async () => {
    await show("withoutPermission");

    expect(button().disabled).toBe(true);
    expect(button().title).toBe("c.OrderBridge_No_Permission");
  });

  it("asks after 3 s, ever more rarely down to once in 30 s, until the order ends", async () => {
    await show("activating");
    const waits = [3000, 4500, 6750, 10125, 15187.5, 22781.25, 30000, 30000];
    let calls = 1;
    for (const wait of waits) {
      // eslint-disable-next-line no-await-in-loop -- one poll after the other
      await pass(wait - 1);
      expect(state).toHaveBeenCalledTimes(calls);
      // eslint-disable-next-line no-await-in-loop -- one poll after the other
      await pass(1);
      calls++;
      expect(state).toHaveBeenCalledTimes(calls);
    }
    state.mockResolvedValue(states.provisioned);
    await pass(30000);
    expect(part("status").label).toBe("Provisioned");
    expect(notifyRecordUpdateAvailable).toHaveBeenCalledWith([{ recordId: ORDER }]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it("asks nothing while the page is hidden, and at once when it is back", async () => {
    await show("activating");
    hide(true);
    await pass(60000);
    expect(state).toHaveBeenCalledTimes(1);
    hide(false);
    await settle();
    expect(state).toHaveBeenCalledTimes(2);
  });

  it("asks nothing after it was removed", async () => {
    await show("activating");
    document.body.removeChild(element);
    await pass(60000);

    expect(state).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it("sends a click once and shows what became of it", async () => {
    await show("pending", "activating");
    const toasts = [];
    element.addEventListener(TOAST, (event) => toasts.push(event.detail));
    prepare.mockResolvedValue({ orderId: ORDER, attempt: "attempt-1", firstTry: true });
    send.mockResolvedValue({ outcome: "sent", variant: "success", title: "On its way", message: "" });
    button().click();
    button().click();
    await settle();

    expect(prepare).toHaveBeenCalledTimes(1);
    expect(toasts).toHaveLength(1);
    expect(part("status").label).toBe("Activating");
  });

  it("reads the order again when the quick action has changed it", async () => {
    await show("pending", "activating");
    getRecord.emit({ fields: { Provisioning_Status__c: { value: "Activating" } } });
    await settle();

    expect(part("status").label).toBe("Activating");
  });

  it("says what to do where the order cannot be read", async () => {
    state.mockRejectedValueOnce({ body: { message: "Ask its owner." } });
    await show();

    expect(part("failure").textContent).toBe("Ask its owner.");
    expect(button().disabled).toBe(true);
  });

  it.each(Object.keys(states))("is accessible: %s", async (name) => {
    await show(name);
    jest.useRealTimers();
    await expect(element).toBeAccessible();
  });
});
