package store

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// Key prefixes of the one table. Nothing else in the system builds a key.
const (
	orderPrefix   = "order#"
	controlPrefix = "control#"
)

// indexDue is the sparse index of open orders: partition due_shard, sort due_at.
const indexDue = "due"

func orderKey(id order.ID) string { return orderPrefix + id.String() }

func controlKey(side order.Side) string { return controlPrefix + string(side) }

// orderID is the inverse of orderKey; false for every other item.
func orderID(pk string) (order.ID, bool) {
	s, ok := strings.CutPrefix(pk, orderPrefix)
	if !ok {
		return order.ID{}, false
	}
	id, err := order.ParseID(s)
	return id, err == nil && id.String() == s
}

// dueShard spreads open orders over the partitions of the index. It is a
// function of the id alone and must stay what it is: an item keeps the shard
// that it was given.
func dueShard(id order.ID) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id.String())) // a hash never fails to write
	return int64(h.Sum32() % order.DueShards)
}

// historyName names one line of a history map: the time in ms, 13 digits; the
// version that its writer had seen, so that lines of one ms keep the order in
// which they were caused; random digits, so that two writers never meet.
// Names sort as the lines happened.
func historyName(at time.Time, version int64, random order.Token) string {
	return fmt.Sprintf("%013d-%06d-%s", at.UnixMilli(), version, random[:8])
}
