package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// spanFlag is a flag that holds how long ago: a duration as Go writes it (15m,
// 24h), or whole days (7d), which Go does not know. It is longer than nothing.
type spanFlag time.Duration

func (f *spanFlag) String() string {
	if *f == 0 {
		return "" // none, for the help
	}
	return time.Duration(*f).String()
}

func (f *spanFlag) Type() string { return "TIME" }

func (f *spanFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		const bits = 16 // so many days are no overflow of a Duration
		var n uint64
		n, err = strconv.ParseUint(days, 10, bits)
		d = time.Duration(n) * day
	}
	if err != nil || d <= 0 {
		return errors.New("not a time such as 15m, 24h or 7d")
	}
	*f = spanFlag(d)
	return nil
}
