/**
 * @description A new order product begins without services of its own.
 */
trigger ProvisioningStartOfOrderItem on OrderItem(before insert) {
  ProvisioningStart.clearItems(Trigger.new);
}
