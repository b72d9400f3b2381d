//go:build race

package main

// batches of a thousand changes in TestTenThousandChangesCostFewCalls.
const batches = 1
