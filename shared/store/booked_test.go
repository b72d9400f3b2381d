package store_test

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// This file says what an order is, in its own words: it shares nothing with the
// methods of package order but the names of states and codes.

// call is what a client asked of one order. Times are in ms.
type call struct {
	Kind       string // click, resolve, get, status, lease, write
	Nonce      int    // of a click: which one; below 64
	Key        byte   // of a click: which one
	Signed     int64  // of a click
	Way        string // of a resolve
	Token      string // of a lease, and of the lease that a write is under
	To         order.State
	Until, Due int64
	Now        int64
	Alone      bool // no other call came between its beginning and its end
}

// reply is what it was answered.
type reply struct {
	Met     string // "ok", the outcome of a click, a code, or unknown
	Exists  bool
	State   order.State
	Version int64
	Fence   int64
	Seq     int64
	Keys    string
	Later   bool // the image may be later than the call
}

// booked is one order, as simply as it can be said.
type booked struct {
	state   order.State // "" = there is none
	version int64
	fence   int64
	seq     int64
	due     int64
	lease   string
	until   int64  // of the lease; 0 = none stands
	failed  int64  // when it failed last
	keys    string // one byte for each
	nonces  uint64 // one bit for each
}

var model = porcupine.Model{
	Init: func() any { return booked{} },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(booked), input.(call), output.(reply)) //nolint:errcheck // a history holds nothing else
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

// step says whether an order may answer so, and what it is then.
func step(b booked, in call, out reply) (bool, booked) {
	next, met := b.takes(in)
	switch {
	case out.Met == unknown: // it took effect
		return !refused(met), next
	case in.Kind == "resolve" && out.Met == string(fault.StateChanged) && !in.Alone:
		return true, b // it was not any more what the person saw
	case out.Met != met:
		return false, b
	case in.Kind == "get":
		return out.Exists == (b.state != "") && out.State == b.state && out.Version == b.version && out.Fence == b.fence && out.Seq == b.seq && out.Keys == b.keys, b
	case in.Kind == "status":
		return out.State == b.state, b
	case refused(met): // no image comes with it
		return true, next
	case out.Later:
		return out.Version >= next.version, next
	}
	return out.State == next.state && out.Version == next.version && out.Fence == next.fence, next
}

// refused reports whether an answer is a code, and no outcome.
func refused(met string) bool { return strings.Contains(met, "_") }

// takes returns the order after a call, and what the call is told.
func (b booked) takes(in call) (next booked, met string) {
	switch in.Kind {
	case "click":
		return b.click(in)
	case "lease":
		return b.leased(in)
	case "write":
		return b.written(in)
	case "resolve":
		return b.resolved(in)
	}
	return b, "ok"
}

// hintFirst is how long the clock leaves a queued order to its hint, in ms.
const hintFirst = 30_000

func (b booked) click(in call) (booked, string) {
	if b.nonces&(1<<in.Nonce) != 0 {
		return b, string(fault.NonceReplayed)
	}
	n := b
	n.version++
	n.nonces |= 1 << in.Nonce
	met := "open"
	switch b.state {
	case "":
		n.state, n.due, n.seq, met = order.Queued, in.Now+hintFirst, in.Now, "created"
	case order.Provisioned:
		met = "provisioned"
	case order.Failed:
		if strings.IndexByte(b.keys, in.Key) >= 0 || in.Signed/1000 < b.failed/1000 {
			n.seq = max(b.seq+1, in.Now)
			return n, "failed"
		}
		n, met = n.queued(in.Now), "reopened"
	}
	keys := strings.ReplaceAll(b.keys, string(in.Key), "") + string(in.Key)
	n.keys = keys[max(0, len(keys)-20):]
	return n, met
}

// queued is a failed order that is tried again.
func (b booked) queued(now int64) booked {
	b.state, b.due, b.until, b.seq = order.Queued, now+hintFirst, 0, max(b.seq+1, now)
	return b
}

func (b booked) open() bool {
	return b.state == order.Queued || b.state == order.Working || b.state == order.Waiting
}

func (b booked) leased(in call) (booked, string) {
	stands := b.until != 0 && b.until+margin.Milliseconds() >= in.Now
	ahead := b.due > in.Now+2000
	if !b.open() || ahead && b.state != order.Queued || stands {
		return b, string(fault.NotDue)
	}
	if end := in.Until + margin.Milliseconds(); !ahead || b.due > end {
		b.due = end
	}
	b.state, b.lease, b.until = order.Working, in.Token, in.Until
	b.fence++
	b.version++
	return b, "ok"
}

func (b booked) written(in call) (booked, string) {
	if b.state != order.Working || b.lease != in.Token {
		return b, string(fault.LeaseLost)
	}
	b.state, b.until, b.due = in.To, in.Until, in.Due
	b.version++
	if in.To != order.Working {
		b.until, b.seq = 0, max(b.seq+1, in.Now)
	}
	if in.To == order.Failed {
		b.failed = in.Now
	}
	if !b.open() {
		b.due = 0
	}
	return b, "ok"
}

func (b booked) resolved(in call) (booked, string) {
	switch {
	case b.state == "":
		return b, string(fault.OrderNotFound)
	case b.state != order.Failed:
		return b, string(fault.StateChanged)
	}
	b.version++
	if in.Way == "stop" {
		b.seq, b.failed = max(b.seq+1, in.Now), in.Now
		return b, "ok"
	}
	return b.queued(in.Now), "ok"
}
