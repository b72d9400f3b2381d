// Mounts components of the package as the page of a record does.
import "@lwc/synthetic-shadow";
import { createElement } from "lwc";
import BridgeSetup from "c/bridgeSetup";
import ProvisionInWhmcs from "c/provisionInWhmcs";
import ProvisioningCard from "c/provisioningCard";
import ProvisionSummary from "c/provisionSummary";

const components = {
  bridgeSetup: BridgeSetup,
  provisionInWhmcs: ProvisionInWhmcs,
  provisioningCard: ProvisioningCard,
  provisionSummary: ProvisionSummary
};

// A toast as the platform shows it: title, then message, coloured by its variant.
document.addEventListener("lightning__showtoast", ({ detail }) => {
  const toast = document.createElement("div");
  toast.className = `slds-notify slds-notify_toast slds-theme_${detail.variant}`;
  toast.setAttribute("role", "status");
  toast.dataset.variant = detail.variant;
  toast.textContent = `${detail.title}: ${detail.message}`;
  document.getElementById("toasts").append(toast);
});

/** Mounts a component with its public properties; a headless action gets a button that calls invoke(). */
window.mount = (name, properties) => {
  const element = Object.assign(
    createElement(`c-${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, { is: components[name] }),
    properties
  );
  document.getElementById("app").append(element);
  if (typeof element.invoke !== "function") return;
  const action = document.createElement("button");
  action.id = "action";
  action.textContent = "Quick action";
  action.addEventListener("click", () => element.invoke());
  document.getElementById("app").append(action);
};
window.ready = true;
