package store

import (
	"hash/fnv"
	"strings"

	"orderbridge/shared/order"
)

// Key prefixes of the one table. Nothing else in the system builds a key.
const (
	orderPrefix   = "order#"
	controlPrefix = "control#"
)

// Attributes that keys, conditions and the index speak of; Item and control
// hold all.
const (
	attrPK        = "pk"
	attrState     = "state"
	attrSignal    = "signal"
	attrVersion   = "version"
	attrLease     = "lease"
	attrDueAt     = "due_at"
	attrDueShard  = "due_shard"
	attrFailed    = "failed"
	attrKeys      = "keys"
	attrNonces    = "nonces"
	attrHistory   = "history"
	attrAccountID = "account_id"

	attrConfirmShard = "confirm_shard"
	attrConfirmAt    = "confirm_at"
)

// indexDue is the sparse index of open orders: partition due_shard, sort due_at.
// indexFailed is that of failed orders: partition due_shard, sort failed.
const (
	indexDue    = "due"
	indexFailed = "failed"
)

// indexConfirm holds every order: partition confirm_shard, sort confirm_at. The
// first DueShards partitions are sorted by the order's last change that
// Salesforce must see; partition refusedShard has the orders that Salesforce
// refuses instead, by when each is tried again.
const (
	indexConfirm = "confirm"
	refusedShard = order.DueShards
)

// OrderKey is the key of an order's item, as the pipe and the clock send it too.
func OrderKey(id order.ID) string { return orderPrefix + id.String() }

func controlKey(side order.Side) string { return controlPrefix + string(side) }

// OrderID is the inverse of OrderKey; false for every other item.
func OrderID(pk string) (order.ID, bool) {
	s, ok := strings.CutPrefix(pk, orderPrefix)
	if !ok {
		return order.ID{}, false
	}
	id, err := order.ParseID(s)
	return id, err == nil && id.String() == s
}

// dueShard spreads orders over the partitions of an index. It is a
// function of the id alone and must stay what it is: an item keeps the shard
// that it was given.
func dueShard(id order.ID) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id.String())) // a hash never fails to write
	return int64(h.Sum32() % order.DueShards)
}
