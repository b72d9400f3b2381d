package order

import "time"

// SendWindow is the send window of one effect on another system: the first byte
// leaves before Until by the wall clock, or never. The adapter dials a
// connection of its own inside the window and its Write refuses for ever after.
type SendWindow struct {
	Until   time.Time
	Timeout time.Duration // for the answer; 0 = the adapter's own for that effect
}
