import { createElement } from "@lwc/engine-dom";
import BridgeSetup from "c/bridgeSetup";
import lights from "@salesforce/apex/BridgeSetup.lights";
import scheduleResend from "@salesforce/apex/BridgeSetup.scheduleResend";

jest.mock("@salesforce/apex/BridgeSetup.lights", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/BridgeSetup.scheduleResend", () => ({ default: jest.fn() }), { virtual: true });

const ADDRESS = { name: "address", label: "The address is set", isOk: true, seen: "https://orders.example.com" };
const RESEND = {
  name: "resend",
  label: "The re-send is scheduled",
  isOk: false,
  seen: "nothing",
  todo: "Press Schedule."
};

/** Lets every promise that is ready run. */
async function settle() {
  for (let i = 0; i < 20; i++) {
    // eslint-disable-next-line no-await-in-loop -- one turn of the queue after the other
    await Promise.resolve();
  }
}

describe("c-bridge-setup", () => {
  let element;
  const part = (id) => element.shadowRoot.querySelector(`[data-id="${id}"]`);

  async function show() {
    element = createElement("c-bridge-setup", { is: BridgeSetup });
    document.body.appendChild(element);
    await settle();
  }

  afterEach(() => {
    document.body.replaceChildren();
    [lights, scheduleResend].forEach((mock) => mock.mockReset());
    jest.clearAllMocks();
  });

  it("shows what to do under each red light alone", async () => {
    lights.mockResolvedValue([ADDRESS, RESEND]);
    await show();

    expect(part("address").querySelector("lightning-icon").variant).toBe("success");
    expect(part("address").querySelector('[data-id="todo"]')).toBeNull();
    expect(part("resend").querySelector("lightning-icon").variant).toBe("error");
    expect(part("resend").querySelector('[data-id="todo"]').textContent).toBe("Press Schedule.");
    expect(part("summary").textContent).toBe("c.OrderBridge_Setup_Not_Ok");
  });

  it("says so when all is well", async () => {
    lights.mockResolvedValue([ADDRESS]);
    await show();

    expect(part("summary").textContent).toBe("c.OrderBridge_Setup_Ok");
    expect(part("schedule")).toBeNull();
  });

  it("schedules the re-send and looks again", async () => {
    lights.mockResolvedValueOnce([RESEND]).mockResolvedValueOnce([{ ...RESEND, isOk: true, todo: null }]);
    scheduleResend.mockResolvedValue(undefined);
    await show();
    part("schedule").click();
    await settle();

    expect(scheduleResend).toHaveBeenCalledTimes(1);
    expect(lights).toHaveBeenCalledTimes(2);
    expect(part("schedule")).toBeNull();
  });

  it("says why the page cannot be opened", async () => {
    lights.mockRejectedValue({ body: { message: "Ask for the permission set." } });
    await show();

    expect(part("failure").textContent).toBe("Ask for the permission set.");
  });

  it("says why the re-send cannot be scheduled", async () => {
    lights.mockResolvedValue([RESEND]);
    scheduleResend.mockRejectedValue({ body: { message: "Ask for the permission set." } });
    await show();
    part("schedule").click();
    await settle();

    expect(part("failure").textContent).toBe("Ask for the permission set.");
  });

  it("is accessible", async () => {
    lights.mockResolvedValue([ADDRESS, RESEND]);
    await show();
    await expect(element).toBeAccessible();
  });
});
