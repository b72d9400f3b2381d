package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// scales are the orders a day that the page shows.
var scales = [...]int{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000}

// seed draws the days of the page.
const seed = 20261128

// term is one term of the bill of a month.
type term struct {
	price
	amount float64 // of what the price is for
}

// dollars is what the term comes to.
func (t term) dollars() float64 { return t.usd * t.amount }

// bill lists what a month of such days costs at AWS.
func bill(d day, in installation) []term {
	const million, gigabyte = 1e6, 1e9
	orders := float64(d.orders) * monthDays
	asked := orders * d.polls
	pushes := float64(d.pushes) * monthDays
	minutes := float64(monthDays * 24 * 60)
	memory := orders*(calloutSeconds*in.memoryGB["fulfill"]+orderSeconds*in.memoryGB["provision"]) +
		asked*statusSeconds*in.memoryGB["status"] + pushes*pushSeconds*in.memoryGB["statuspush"]
	return []term{
		{priceGateway, (orders + asked) / million},
		{priceInvocations, (2*orders + asked + pushes + 2*minutes) / million},
		{priceMemory, memory},
		{priceWrites, orders * measured.writeUnits() / million},
		{priceReads, (orders*measured.ReadUnits + asked + minutes*tickReadUnits) / million},
		{priceStorage, float64(d.orders) * keptDays * float64(measured.ItemBytes) / gigabyte},
		{pricePipe, orders / million},
		{priceQueue, 3 * orders / million},
		{priceLogs, (orders*orderLogBytes + (orders+asked)*accessLogBytes + minutes*tickLogBytes) / gigabyte},
		{priceMetric, metricsKept},
		{priceAlarm, float64(in.alarms)},
		{priceDashboard, 1},
		{priceSecret, float64(in.secrets)},
		{priceKey, 2},
	}
}

func sum(terms []term) (usd float64) {
	for _, t := range terms {
		usd += t.dollars()
	}
	return usd
}

// limit is something that bounds the load.
type limit struct {
	what  string
	load  func(d day, in installation) float64 // of the limit, 1 = reached
	moves string
}

// limits lists what a growing load meets.
var limits = [...]limit{
	{"workers: `ProvisionConcurrency` orders at a time", func(d day, in installation) float64 {
		return d.rate * orderSeconds / float64(in.workers)
	}, "`ProvisionConcurrency`, as far as WHMCS bears it"},
	{"Salesforce's API requests of a day, 100,000 of an Enterprise org without further licences", func(d day, _ installation) float64 {
		return float64(d.requests) / salesforceRequests
	}, "licences, or another edition; from 90 % on calls are spaced, and orders wait"},
	{"questions of the portal a second, `PortalRateLimit`", func(d day, in installation) float64 {
		return d.rate * d.polls / in.portal
	}, "`PortalRateLimit`, `PortalBurstLimit`"},
	{"callouts a second, `CalloutRateLimit`", func(d day, in installation) float64 { return d.rate / in.callouts }, "`CalloutRateLimit`, `CalloutBurstLimit`"},
	{"Lambda's executions at a time, 1,000 of an account and Region", func(d day, _ installation) float64 {
		return (d.rate*(orderSeconds+calloutSeconds+d.polls*statusSeconds) + shards) / executions
	}, "the account's quota, then `ReservedConcurrency`"},
	{"write units a second of a new table, 4,000", func(d day, _ installation) float64 {
		return d.rate * measured.writeUnits() / newTableUnits
	}, "nothing: the table grows by itself when its load doubles within half an hour at most"},
	{"write units a second of one key of the index `due`, 1,000; it has eight", func(d day, _ installation) float64 {
		return d.rate * measured.IndexUnits["due"] / order.DueShards / partitionUnits
	}, "`DueShards` in shared/order, and a table made anew"},
	{"changes a second that the stream's readers bring to Salesforce, 1,000 a call", func(d day, in installation) float64 {
		return d.rate * float64(measured.Changes) / (shards * float64(in.batch) / (in.window.Seconds() + pushSeconds))
	}, "`ParallelizationFactor` of StatusPushFunction's stream"},
}

// write writes the page docs/scale.md.
func write(in installation) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Scale")
	p("")
	p("From one order a day to a million: what it costs, how long an order waits, and what is reached first. `make scale` writes this page. It is a model: callouts at random times of %d office hours, met by the workers, the stream's readers and the portal's customers of `template.yaml`; what an order takes is measured, and a test compares it (`bench/scale`). Nothing of it was run in an account. A month of a million orders term by term, and quotas: [operations.md](operations.md).", officeSeconds/3600)
	p("")
	p("An order of two lines with one click takes %.0f write units (table %.0f, index `due` %.0f, index `confirm` %.0f), %.0f read units, %d calls of WHMCS, %d query of Salesforce, and %.0f s of a worker, nearly all of them waiting for WHMCS; its customer asks %.0f times. Writes are of one or two units, since the item grows past 1 KB; longer ids, texts or histories make it one more.",
		measured.writeUnits(), measured.TableUnits, measured.IndexUnits["due"], measured.IndexUnits["confirm"], measured.ReadUnits, measured.WhmcsCalls, measured.Queries, orderSeconds, polls(orderSeconds))
	p("")
	p("## Cost and waiting")
	p("")
	p("| orders a day | $ a month | $ an order | API requests of Salesforce a day | changes in one of its updates | an order waits for a worker, p50 / p99, with %d workers | waiting in the evening | workers for 99 of 100 within a minute |", in.workers)
	p("|---|---|---|---|---|---|---|---|")
	var days []day
	for _, n := range scales {
		d := simulate(n, in, seed)
		days = append(days, d)
		usd := sum(bill(d, in))
		p("| %s | %s | %.5f | %s | %.1f | %s / %s | %s | %d |", thousands(n), thousands(int(usd+0.5)), usd/float64(n*monthDays),
			thousands(d.requests), float64(n*measured.Changes)/float64(d.updates), round(d.wait.p50), round(d.wait.p99), thousands(d.wait.left), d.needed)
	}
	p("")
	p("Updates are those with the workers of the last column. When few orders come, each change is a request of its own; in a backlog up to %s changes are one.", thousands(in.batch))
	p("")
	p("## Salesforce's requests of a day")
	p("")
	p("| orders a day | with workers | loads: a query an order | rows written | updates that write them | queries for what is shown | in all | loads, if one took all that wait |")
	p("|---|---|---|---|---|---|---|---|")
	for _, d := range days[3:] {
		p("| %s | %d | %s | %s | %s | %s | %s | %s |", thousands(d.orders), d.needed, thousands(d.orders*measured.Queries), thousands(d.orders*measured.Changes),
			thousands(d.updates), thousands(d.looks), thousands(d.requests), thousands(d.batched))
	}
	p("")
	p("The last column is what batching the loads would come to, %d orders in a query, whenever more than one waits. It is not built ([decision 0025](decisions/0025-one-query-loads-one-order.md)).", ordersAtOnce)
	p("")
	p("## What the money is for")
	p("")
	p("| $ a month at orders a day | 1,000 | 100,000 | 1,000,000 |")
	p("|---|---|---|---|")
	bills := [][]term{bill(days[3], in), bill(days[5], in), bill(days[6], in)}
	for i, t := range bills[0] {
		p("| %s, %s %s | %.1f | %.0f | %.0f |", t.name, trim(t.usd), t.per, t.dollars(), bills[1][i].dollars(), bills[2][i].dollars())
	}
	p("")
	p("Prices of us-east-1 without free tier, seen in 2025 on the services' pricing pages; check them.")
	p("")
	p("## What is reached first")
	p("")
	p("The share of each limit at 10, 100 and 1,000 times 1,000 orders a day, at the template's defaults and on the mean of the office hours; the busiest second of a million orders has %.0f callouts, their mean is %.0f; `CalloutBurstLimit` carries such a second. From 100 %% on it is too little. Sorted by what is reached first.", days[6].peak, days[6].rate)
	p("")
	p("| limit | reached at orders a day | 10 × | 100 × | 1,000 × | what moves it |")
	p("|---|---|---|---|---|---|")
	all := limits
	slices.SortStableFunc(all[:], func(a, c limit) int { return cmp.Compare(c.load(days[6], in), a.load(days[6], in)) })
	for _, l := range all {
		p("| %s | %s | %s | %s | %s | %s |", l.what, thousands(reached(days[6], l.load(days[6], in))), share(l.load(days[4], in)), share(l.load(days[5], in)), share(l.load(days[6], in)), l.moves)
	}
	p("")
	p("WHMCS itself is not in the table: its limit is its PHP workers and its database, which this project cannot measure. %d calls an order are %.0f a second at 100 × and %.0f at 1,000 ×. Its look for an order, which is made only after a lost answer, reads by the client and from the last order known, so that it does not grow with what WHMCS holds: a lost answer among 100,000 orders costs 13 reads (`go test ./functions/provision -run Grow`).", measured.WhmcsCalls, days[5].rate*float64(measured.WhmcsCalls), days[6].rate*float64(measured.WhmcsCalls))
	p("")
	p("No order's item is hot: each has a partition key of its own. The index `due` and `confirm` have eight keys each, over which the orders are spread by their id; the control items are read once a run and side, and written only when a breaker or a person changes them.")
	p("")
	p("A backlog drains at the workers' rate: the clock fills the queue every two seconds up to twice the workers (`functions/provision: TestABacklogDrainsAtTheWorkersRate`, 10,000 due orders).")
	return b.String()
}

// reached is the orders a day at which a limit is reached whose share grows with them.
func reached(d day, share float64) int {
	n := float64(d.orders) / share
	step := 100.0
	for n/step > 99 {
		step *= 10
	}
	return int(n/step) * int(step)
}

func share(s float64) string {
	if s < 0.01 {
		return "under 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*s)
}

func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 3*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

func trim(usd float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.10f", usd), "0"), ".")
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
