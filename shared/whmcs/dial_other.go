//go:build !linux

package whmcs

import (
	"syscall"
	"time"
)

// limitUnacknowledged does nothing where the kernel has no such option; the
// deployed functions run on Linux.
func limitUnacknowledged(syscall.RawConn, time.Duration) error { return nil }
