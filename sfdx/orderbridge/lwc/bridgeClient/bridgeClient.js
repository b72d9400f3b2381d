/**
 * The one module that calls Apex. What it returns can be shown: a failure is a
 * sentence that says what to do.
 */
import prepare from "@salesforce/apex/ProvisionController.prepare";
import send from "@salesforce/apex/ProvisionController.send";
import state from "@salesforce/apex/ProvisionController.state";
import lights from "@salesforce/apex/BridgeSetup.lights";
import scheduleResend from "@salesforce/apex/BridgeSetup.scheduleResend";
import mayProvision from "@salesforce/customPermission/Provision_In_WHMCS";
import labelNoPermission from "@salesforce/label/c.OrderBridge_No_Permission";
import labelNotSent from "@salesforce/label/c.OrderBridge_Not_Sent";
import labelUnexpected from "@salesforce/label/c.OrderBridge_Unexpected";

/** The text of what an Apex call has thrown. */
const messageOf = (error) => error?.body?.message ?? labelUnexpected;

/**
 * The same of a call that needs the permission to provision. Who lacks the permission set may not
 * call the class at all, and the platform's own sentence does not say what to do.
 */
const refusalOf = (error) => (mayProvision ? messageOf(error) : labelNoPermission);

/** The value of an Apex call as {value}, or its failure as {message}. */
async function attempted(call, toMessage) {
  try {
    return { value: await call };
  } catch (error) {
    return { message: toMessage(error) };
  }
}

/**
 * A click: recorded and committed first, then sent, in two calls, because no
 * callout may leave while a change is not committed.
 * @param {string} orderId
 * @returns {Promise<{outcome: string, variant: string, title: string, message: string}>}
 */
export async function provision(orderId) {
  try {
    const click = await prepare({ orderId });
    if (click.told) {
      return click.told;
    }
    return await send({ orderId, attempt: click.attempt, firstTry: click.firstTry });
  } catch (error) {
    return { outcome: "refused", variant: "error", title: labelNotSent, message: refusalOf(error) };
  }
}

/**
 * The card of an order.
 * @param {string} orderId
 * @returns {Promise<{value?: object, message?: string}>}
 */
export const loadState = (orderId) => attempted(state({ orderId }), refusalOf);

/**
 * The lights of the set-up page; makes one test call.
 * @returns {Promise<{value?: object[], message?: string}>}
 */
export const loadLights = () => attempted(lights(), messageOf);

/**
 * Schedules the re-send.
 * @returns {Promise<{message?: string}>}
 */
export const startResend = () => attempted(scheduleResend(), messageOf);
