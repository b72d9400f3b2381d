package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// clockCheck compares this machine's clock with the Date of the table's
// answers: two workers whose clocks differ by more than MaxSkew break the
// arithmetic of send window and settle (assumption A1).
type clockCheck struct {
	next aws.HTTPClient
	now  func() time.Time

	mu   sync.Mutex
	skew time.Duration // of the last answer; 0 = within bounds
}

// Do implements aws.HTTPClient.
func (c *clockCheck) Do(req *http.Request) (*http.Response, error) {
	began := c.now()
	res, err := c.next.Do(req)
	if err != nil {
		return res, err
	}
	if date, errDate := http.ParseTime(res.Header.Get("Date")); errDate == nil {
		c.note(began, c.now(), date)
	}
	return res, nil
}

// note judges one answer. Date is cut to the second and was written somewhere
// between began and ended; what that leaves open is not held against the clock.
func (c *clockCheck) note(began, ended, date time.Time) {
	var skew time.Duration
	switch {
	case began.Sub(date) > order.MaxSkew+time.Second:
		skew = began.Sub(date) - time.Second
	case date.Sub(ended) > order.MaxSkew:
		skew = ended.Sub(date)
	}
	c.mu.Lock()
	c.skew = skew
	c.mu.Unlock()
}

// Check returns clock_skewed when the last answer was out of bounds.
func (c *clockCheck) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skew == 0 {
		return nil
	}
	return fault.Wrap(fault.ClockSkewed, fmt.Errorf("compare clocks: ours is off by %s", c.skew))
}
