package whmcs

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
)

// Probe is the cheapest read that shows that WHMCS serves us (WhmcsDetails). It
// also learns the version.
func (c *Client) Probe(ctx context.Context) error {
	_, err := c.details(ctx)
	return err
}

// version is that of the installed WHMCS, such as 8.13.
type version struct{ major, minor int }

// takesQuantity reports whether AddOrder has the parameter qty: since 8.12
// (developers.whmcs.com, AddOrder, version history).
func (v version) takesQuantity() bool { return v.major > 8 || v.major == 8 && v.minor >= 12 }

// versionAge is how long a version that was read is used. An update of WHMCS
// takes its API away for longer than that.
const versionAge = 5 * time.Minute

// installedVersion returns the version that was read last, or reads it when
// that was too long ago.
func (c *Client) installedVersion(ctx context.Context) (version, error) {
	c.mu.Lock()
	v, at := c.version, c.versionAt
	c.mu.Unlock()
	if age := c.clock().Sub(at); !at.IsZero() && age >= 0 && age < versionAge {
		return v, nil
	}
	return c.details(ctx)
}

func (c *Client) details(ctx context.Context) (version, error) {
	o, err := c.read(ctx, "WhmcsDetails", nil)
	if err != nil {
		return version{}, err
	}
	w := o.child("whmcs")
	v, ok := parseVersion(cmp.Or(w.text("canonicalversion"), w.text("version")))
	if !ok {
		return version{}, fault.Wrap(fault.WHMCSUnavailable, errors.New("WhmcsDetails answered without a version"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.versionAt = v, c.clock()
	return v, nil
}

func parseVersion(s string) (version, bool) {
	major, rest, _ := strings.Cut(s, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	x, errX := strconv.Atoi(major)
	y, errY := strconv.Atoi(minor)
	if errX != nil || errY != nil || x < 0 || y < 0 {
		return version{}, false
	}
	return version{major: x, minor: y}, true
}
