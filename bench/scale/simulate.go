package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// day is what a simulated working day with some number of orders comes to.
type day struct {
	orders   int
	rate     float64 // callouts a second, mean of the office hours
	peak     float64 // callouts a second in the busiest second
	pushes   int     // calls of StatusPushFunction
	updates  int     // requests of Salesforce that write statuses
	looks    int     // queries of Salesforce for what it shows
	batched  int     // queries that load orders, if one loaded every order that waits
	wait     wait    // with the workers of the template
	needed   int     // workers with which 99 of 100 orders wait a minute at most
	polls    float64 // questions of the portal an order, carried at once
	requests int     // of Salesforce, in all
}

// wait is how long orders wait for a worker.
type wait struct {
	p50, p99 time.Duration
	left     int // orders that still wait when the office hours end
}

// simulate draws the callouts of a day, at random times of the office hours, and
// lets workers, stream and portal meet them. The same seed draws the same day.
func simulate(orders int, in installation, seed uint64) day {
	r := rand.New(rand.NewPCG(seed, uint64(orders))) //nolint:gosec // no secret: arrivals of a model
	at := make([]float64, orders)
	for i := range at {
		at[i] = r.Float64() * officeSeconds
	}
	slices.Sort(at)
	d := day{orders: orders, rate: float64(orders) / officeSeconds, peak: busiest(at), polls: polls(orderSeconds)}
	ends, w := work(at, in.workers)
	d.wait = w
	d.needed = in.workers
	if w.p99 > time.Minute {
		// So many are at work on average; more are needed for what comes at once.
		d.needed = int(math.Ceil(d.rate * orderSeconds))
		for {
			if ends, w = work(at, d.needed); w.p99 <= time.Minute {
				break
			}
			d.needed++
		}
	}
	d.pushes, d.updates = push(r, at, ends, in)
	d.looks, d.batched = looks(at, ends)+sweepsADay, loads(at, ends)
	d.requests = orders*measured.Queries + d.updates + d.looks
	return d
}

// looks is how many queries statuspush makes for the changes of the table: every
// lookEvery one for those of the last two of these, ordersAtOnce in a query; none
// where nothing was changed.
func looks(at, ends []float64) (queries int) {
	changes := map[int]int{} // by the span that they were made in
	for i := range at {
		first, last := int(at[i]/lookEvery.Seconds()), int(ends[i]/lookEvery.Seconds())
		changes[first]++
		if last != first {
			changes[last]++
		}
	}
	seen := map[int]int{} // what a look sees: its span and the one before
	for span, n := range changes {
		seen[span] += n
		seen[span+1] += n
	}
	for _, n := range seen {
		queries += (n + ordersAtOnce - 1) / ordersAtOnce
	}
	return queries
}

// loads is how many queries would load the orders if each took, beside the order of
// its worker, all those that wait then, ordersAtOnce at most.
func loads(at, ends []float64) (queries int) {
	for i := 0; i < len(at); queries++ {
		first, start := i, ends[i]-orderSeconds
		for i++; i < len(at) && at[i] <= start && i-first < ordersAtOnce; i++ {
		}
	}
	return queries
}

// busiest is the most of them in one second.
func busiest(at []float64) float64 {
	most, from := 0, 0
	for i := range at {
		for at[i]-at[from] >= 1 {
			from++
		}
		most = max(most, i-from+1)
	}
	return float64(most)
}

// work has workers take the orders as they come, one each at a time, and returns
// when each ends.
func work(at []float64, workers int) (ends []float64, w wait) {
	free := make([]float64, workers) // when each worker is free, as they take turns
	ends = make([]float64, len(at))
	waits := make([]float64, len(at))
	for i, t := range at {
		start := max(t, free[i%workers]) // all orders take equally long, so turns are first come first served
		waits[i] = start - t
		ends[i] = start + orderSeconds
		free[i%workers] = ends[i]
		if start > officeSeconds {
			w.left++
		}
	}
	slices.Sort(waits)
	w.p50, w.p99 = quantile(waits, 0.5), quantile(waits, 0.99)
	return ends, w
}

func quantile(sorted []float64, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(sorted[int(q*float64(len(sorted)-1))] * float64(time.Second))
}

// push has the stream's readers take the changes, a claim and an end each: one
// reader a shard, a batch at a time, which is closed when it is full or the window
// is over. A batch is one request of Salesforce.
func push(r *rand.Rand, at, ends []float64, in installation) (batches, updates int) {
	var shard [shards][]float64
	for i := range at {
		s := r.IntN(shards)
		shard[s] = append(shard[s], at[i], ends[i])
	}
	for _, changes := range shard {
		slices.Sort(changes)
		free := 0.0
		for i := 0; i < len(changes); {
			closes := max(changes[i]+in.window.Seconds(), free)
			n := 0
			for i < len(changes) && changes[i] <= closes && n < in.batch {
				i, n = i+1, n+1
			}
			if n == in.batch {
				closes = max(changes[i-1], free)
			}
			batches++
			free = closes + pushSeconds
		}
	}
	return batches, batches
}

// polls is how often a customer's page asks about an order that ends after so many
// seconds, by the rule of Retry-After.
func polls(seconds float64) float64 {
	n := 1.0 // the answer that is final
	for age := 0.0; age < seconds; n++ {
		age += min(max(age/pollShare, youngPoll.Seconds()), oldPoll.Seconds())
	}
	return n
}
