package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orderbridge/local/launch"
)

// The calm: orders on a system on which nothing is wrong.
const (
	calmScene = "calm"
	// calmPace is longer than that of the causes: what a busy machine makes late
	// by a second is late by so much more for the alarms.
	calmPace = 5 * time.Second
	// calmClicks is how many orders are under way at a time.
	calmClicks  = 16
	calmWorkers = "16"
	// calmLimit bounds the calm for each order, and for its end.
	calmLimit = time.Second
)

// calm carries orders through a system and fails if an alarm fires at any time.
func (s *stage) calm(ctx context.Context) (err error) {
	sys, err := s.start(ctx, scene{name: calmScene, minute: calmPace, env: map[string]string{"PROVISION_CONCURRENCY": calmWorkers, "CALLOUT_RATE_LIMIT": "10000", "CALLOUT_BURST_LIMIT": "5000"}})
	if err != nil {
		return err
	}
	defer func() { err = joinEnd(err, sys) }()
	sys.order = &planted{}
	began := time.Now()
	watched, cease := context.WithCancelCause(ctx)
	defer cease(nil)
	var watch sync.WaitGroup
	watch.Go(func() { cease(sys.sees(watched)) })
	if err := sys.carry(watched, s.o.orders); err != nil {
		return firstOf(context.Cause(watched), err)
	}
	took := time.Since(began)
	// What the last orders have caused is in every period of the shorter alarms.
	until := time.Now().Add(20 * calmPace)
	if err := sys.until(watched, stepLimit, "the alarms have seen the last orders", func() (bool, error) { return time.Now().After(until), nil }); err != nil {
		return firstOf(context.Cause(watched), err)
	}
	cease(nil)
	watch.Wait()
	sys.say("%d orders in %.0f s (%.0f a second) are provisioned, and no alarm fired", s.o.orders, took.Seconds(), float64(s.o.orders)/took.Seconds())
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func joinEnd(err error, sys *system) error { return firstOf(err, sys.end()) }

// sees fails as soon as an alarm fires.
func (s *system) sees(ctx context.Context) error {
	err := s.until(ctx, s.o.timeout, "the orders are carried", func() (bool, error) {
		all, err := s.states(ctx)
		if err != nil {
			return false, err
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if all[name].State == firing {
				return false, fmt.Errorf("the alarm %s fired though nothing was wrong: %s", name, all[name].Reason)
			}
		}
		return false, nil
	})
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// carry clicks orders and waits for the end of each.
func (s *system) carry(ctx context.Context, orders int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit+time.Duration(orders)*calmLimit, fmt.Errorf("%d orders are not provisioned", orders))
	defer cancel()
	var next atomic.Int64
	failed := make(chan error, calmClicks)
	for range calmClicks {
		go func() {
			for {
				n := next.Add(1)
				if n > int64(orders) {
					failed <- nil
					return
				}
				if err := s.one(ctx, n); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	var first error
	for range calmClicks {
		if err := <-failed; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

// one carries one order.
func (s *system) one(ctx context.Context, n int64) error {
	own := &system{stage: s.stage, System: s.System, scene: s.scene, order: &planted{id: fmt.Sprintf("801%012dAAA", n)}}
	if err := all(putOrder(map[string]any{"whmcsClientId": 1 + n%9999}), click)(ctx, own); err != nil {
		return err
	}
	return own.until(ctx, stepLimit, "order "+own.order.id+" is provisioned", func() (bool, error) {
		status, body, err := launch.Send(ctx, http.DefaultClient, http.MethodGet, own.Salesforce+"/_sim/orders/"+own.order.id, nil)
		if err == nil && strings.Contains(string(body), `"Provisioning_Status__c":"Failed"`) {
			err = fmt.Errorf("order %s failed: %s", own.order.id, body)
		}
		return status == http.StatusOK && strings.Contains(string(body), `"Provisioning_Status__c":"Provisioned"`), err
	})
}
