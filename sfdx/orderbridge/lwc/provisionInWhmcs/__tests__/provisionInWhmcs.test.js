import { createElement } from "@lwc/engine-dom";
import ProvisionInWhmcs from "c/provisionInWhmcs";
import { notifyRecordUpdateAvailable } from "lightning/uiRecordApi";
import prepare from "@salesforce/apex/ProvisionController.prepare";
import send from "@salesforce/apex/ProvisionController.send";

jest.mock("@salesforce/apex/ProvisionController.prepare", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/ProvisionController.send", () => ({ default: jest.fn() }), { virtual: true });

// The name of ShowToastEvent.
const TOAST = "lightning__showtoast";
const ORDER = "801000000000001AAA";
const CLICK = { orderId: ORDER, attempt: "attempt-1", firstTry: true };

describe("c-provision-in-whmcs", () => {
  let element;
  let toasts;

  beforeEach(() => {
    element = createElement("c-provision-in-whmcs", { is: ProvisionInWhmcs });
    element.recordId = ORDER;
    toasts = [];
    element.addEventListener(TOAST, (event) => toasts.push(event.detail));
    document.body.appendChild(element);
  });

  afterEach(() => {
    document.body.removeChild(element);
    [prepare, send].forEach((mock) => mock.mockReset());
    jest.clearAllMocks();
  });

  it("sends what was prepared, and tells the answer", async () => {
    prepare.mockResolvedValue(CLICK);
    send.mockResolvedValue({ outcome: "sent", variant: "success", title: "On its way", message: "Nothing to do." });
    await element.invoke();

    expect(prepare).toHaveBeenCalledWith({ orderId: ORDER });
    expect(send).toHaveBeenCalledWith({ orderId: ORDER, attempt: "attempt-1", firstTry: true });
    expect(toasts).toHaveLength(1);
    expect(toasts[0]).toMatchObject({ title: "On its way", variant: "success" });
    expect(notifyRecordUpdateAvailable).toHaveBeenCalledWith([{ recordId: ORDER }]);
  });

  it("sends nothing where the order is on its way already", async () => {
    prepare.mockResolvedValue({
      ...CLICK,
      attempt: null,
      told: { outcome: "waiting", variant: "info", title: "Already on its way", message: "Since 10:41, by Ann." }
    });
    await element.invoke();

    expect(send).not.toHaveBeenCalled();
    expect(toasts[0].message).toBe("Since 10:41, by Ann.");
  });

  it("ignores a second click while the first is being sent", async () => {
    let answer;
    prepare.mockReturnValue(
      new Promise((resolve) => {
        answer = resolve;
      })
    );
    send.mockResolvedValue({ outcome: "sent", variant: "success", title: "On its way", message: "" });
    const first = element.invoke();
    await element.invoke();
    answer(CLICK);
    await first;

    expect(prepare).toHaveBeenCalledTimes(1);
    expect(send).toHaveBeenCalledTimes(1);
  });

  it("can be clicked again after a click that was refused", async () => {
    prepare.mockRejectedValue({ body: { message: "Ask your administrator." } });
    await element.invoke();
    await element.invoke();

    expect(toasts).toHaveLength(2);
    expect(toasts[0]).toMatchObject({ variant: "error", message: "Ask your administrator.", mode: "sticky" });
  });

  it("tells a sentence where the platform gives none", async () => {
    prepare.mockRejectedValue(new Error("socket hang up"));
    await element.invoke();

    expect(toasts[0].message).toBe("c.OrderBridge_Unexpected");
  });
});
