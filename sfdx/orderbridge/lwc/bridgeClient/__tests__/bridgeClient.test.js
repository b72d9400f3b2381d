import { loadLights, loadState, provision } from "c/bridgeClient";
import prepare from "@salesforce/apex/ProvisionController.prepare";
import state from "@salesforce/apex/ProvisionController.state";
import lights from "@salesforce/apex/BridgeSetup.lights";

jest.mock("@salesforce/apex/ProvisionController.prepare", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/ProvisionController.state", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/BridgeSetup.lights", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/customPermission/Provision_In_WHMCS", () => ({ default: false }), { virtual: true });

const NO_ACCESS = { body: { message: "You do not have access to the Apex class." } };

describe("bridgeClient of a user without the permission set", () => {
  it("says what to ask for, not what the platform says", async () => {
    prepare.mockRejectedValue(NO_ACCESS);
    state.mockRejectedValue(NO_ACCESS);

    expect(await provision("801000000000001AAA")).toMatchObject({
      variant: "error",
      message: "c.OrderBridge_No_Permission"
    });
    expect(await loadState("801000000000001AAA")).toEqual({ message: "c.OrderBridge_No_Permission" });
  });

  it("leaves the set-up page its own words: it needs another permission", async () => {
    lights.mockRejectedValue(NO_ACCESS);

    expect(await loadLights()).toEqual({ message: NO_ACCESS.body.message });
  });
});
