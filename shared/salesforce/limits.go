package salesforce

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
)

// Usage is how much of the org's daily API requests is used.
type Usage struct {
	Used, Limit int
}

// Share is the used part of the limit; 0 where no limit is known.
func (u Usage) Share() float64 {
	if u.Limit <= 0 {
		return 0
	}
	return float64(u.Used) / float64(u.Limit)
}

// ParseUsage reads a Sforce-Limit-Info header, e.g. "api-usage=18/15000" or
// "api-usage=25/5000; per-app-api-usage=17/250(appName=sample)" (REST API
// Developer Guide, "Limit Info Header").
func ParseUsage(header string) (Usage, bool) {
	for part := range strings.SplitSeq(header, ";") {
		v, ok := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !ok {
			continue
		}
		used, limit, ok := strings.Cut(v, "/")
		u, err1 := strconv.Atoi(used)
		l, err2 := strconv.Atoi(strings.TrimSpace(limit))
		if ok && err1 == nil && err2 == nil && u >= 0 && l > 0 {
			return Usage{u, l}, true
		}
	}
	return Usage{}, false
}

const (
	// brakeAbove is the used share above which calls are spaced: the rest is
	// left to the org's other integrations.
	brakeAbove = 0.9
	// brakeEvery is the space between two calls then: 2,880 calls a day, each
	// of which can carry a thousand rows.
	brakeEvery = 30 * time.Second
	// A refusal for the limit itself is answered from memory for limitFirst,
	// doubling to limitMost while refusals go on.
	limitFirst = 5 * time.Second
	limitMost  = 80 * time.Second
)

// brake holds calls back. It is guarded by Client.mu.
type brake struct {
	until time.Time     // no call before then
	wait  time.Duration // the last wait for a refusal; 0 = none
}

// braked returns salesforce_limit_exceeded while calls are held back. It is
// asked before an operation, not before each call of one: a query of several
// pages, once begun, ends.
func (c *Client) braked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.deps.Now(); now.Before(c.brake.until) {
		return fault.Wrap(fault.SalesforceLimit, fmt.Errorf("API limit nearly or wholly used: no call before %s", c.brake.until.UTC().Format(time.RFC3339)))
	}
	return nil
}

// usage notes what a call told of the limit: its header, and whether it was
// refused for it.
func (c *Client) usage(header string, err error) {
	u, ok := ParseUsage(header)
	c.mu.Lock()
	now := c.deps.Now()
	switch {
	case fault.CodeOf(err) == fault.SalesforceLimit:
		c.brake.wait = min(max(2*c.brake.wait, limitFirst), limitMost)
		c.brake.until = now.Add(c.brake.wait)
	case ok && u.Share() > brakeAbove:
		c.brake = brake{until: now.Add(brakeEvery)}
	case err == nil:
		c.brake = brake{}
	}
	c.mu.Unlock()
	if ok && c.deps.Usage != nil {
		c.deps.Usage(u)
	}
}
