/**
 * @description A new order begins without a provisioning of its own.
 */
trigger ProvisioningStartOfOrder on Order(before insert) {
  ProvisioningStart.clearOrders(Trigger.new);
}
