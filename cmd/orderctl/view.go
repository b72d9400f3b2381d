package main

import (
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// orderView is an order as show --json prints it: the item of the table, with
// its own names, and what follows from it.
type orderView struct {
	ID     string `json:"sfOrderId"`
	Status string `json:"status"`
	Review bool   `json:"review"`
	store.Item
}

func view(r order.Record) orderView {
	return orderView{
		ID:     r.ID.String(),
		Status: string(r.Status()),
		Review: r.State == order.Failed && r.ErrorCode.Info().Review,
		Item:   store.ItemOf(r),
	}
}
