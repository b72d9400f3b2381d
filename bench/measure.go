package main

import (
	"archive/zip"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
)

// result is what was measured of one contestant. Times are in milliseconds.
type result struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Floor bool   `json:"floor,omitempty"`
	Twin  bool   `json:"twin,omitempty"`

	ZipBytes   int64   `json:"zipBytes"`
	Cold       *cold   `json:"cold"`
	ColdSliced *cold   `json:"coldSliced,omitempty"`
	WarmP50    float64 `json:"warmP50"`
	WarmP99    float64 `json:"warmP99"`
	CPU        float64 `json:"cpu"` // of one request
	PeakMB     float64 `json:"peakMB"`
	First      cost    `json:"first"`               // of one request
	Duplicate  *cost   `json:"duplicate,omitempty"` // of the same once more
	Own        float64 `json:"own,omitempty"`       // of the last step, without the vendors' work
	warm, own  []float64
	cpu        time.Duration
	colds      [2][2][]float64 // plain and sliced; until INIT ends and after it
}

// cold is a start: until INIT ends, and from the first event to its answer.
type cold struct {
	Init  float64 `json:"init"`
	After float64 `json:"after"`
	Total float64 `json:"total"`
}

// cost is what one request costs besides time.
type cost struct {
	DynamoDB   map[string]int `json:"dynamodb"` // calls by operation
	WriteUnits float64        `json:"writeUnits"`
	IndexUnits float64        `json:"indexUnits"` // part of the write units
	ReadUnits  float64        `json:"readUnits"`
	LogBytes   int            `json:"logBytes"`
	WHMCS      map[string]int `json:"whmcs"`           // calls by action
	Salesforce map[string]int `json:"salesforce"`      // calls by kind
	Other      map[string]int `json:"other,omitempty"` // of Redis, and checkpoints
}

// calls is how many calls of DynamoDB there were.
func (c cost) calls() (n int) {
	for _, v := range c.DynamoDB {
		n += v
	}
	return n
}

// bench measures contestants in one world.
type bench struct {
	*world
	rounds      int // warm requests of each contestant
	starts      int // cold starts of each
	slicedCount int // cold starts of each under a slice; 0 = none
	say         func(format string, args ...any)

	recorder step // records a callout for those who only read
	zips     []int64
	asked    int // how often Redis was asked how much it did
	serial   int
	results  []*result
}

// rivalStarts is how many cold starts of a rival under a slice are enough: each
// takes seconds.
const rivalStarts = 4

// nextOrder puts one more order into Salesforce. Each belongs to a client of its
// own, so that no client's history grows with the run.
func (b *bench) nextOrder() (order.ID, error) {
	b.serial++
	id, err := order.ParseID(fmt.Sprintf("8010000%08d", b.serial))
	if err != nil {
		return id, fmt.Errorf("make order id: %w", err)
	}
	return id, b.salesforce.PutOrder(id.String(), salesforcetest.Seed{
		AccountID: "001000000000001AAA", WHMCSClientID: 1 + b.serial%clients,
		Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1}},
	})
}

// clients is how many clients the simulated WHMCS has.
const clients = 9999

// measure runs everything: what one request costs, the starts, the warm
// requests, each interleaved over all contestants.
func (b *bench) measure(ctx context.Context, all []contestant) error {
	for i, c := range all {
		b.results = append(b.results, &result{Kind: c.kind, Name: c.name, Twin: c.twin, Floor: c.floor, ZipBytes: b.zips[i]})
	}
	b.say("what one request costs")
	for i, c := range all {
		if err := b.count(ctx, c, b.results[i]); err != nil {
			return err
		}
	}
	for kind, times := range []int{b.starts, b.slicedCount} {
		name := same
		if kind == 1 {
			name = sliced
		}
		for n := range times {
			b.say("cold start %d of %d%s", n+1, times, map[int]string{1: " under a seventh of a processor"}[kind])
			for i, c := range all {
				if kind == 1 && c.rival && n >= rivalStarts {
					continue
				}
				if err := b.start(ctx, c, &b.results[i].colds[kind], name); err != nil {
					return err
				}
			}
		}
		for _, c := range all {
			if err := b.gone(c, name); err != nil {
				return err
			}
		}
	}
	b.say("%d warm requests of each", b.rounds)
	return b.warm(ctx, all)
}

// count takes what one request costs besides time, and one more of the same
// order.
func (b *bench) count(ctx context.Context, c contestant, r *result) error {
	id, err := b.prepared(ctx, c)
	if err != nil {
		return err
	}
	// One before: what a process reads once is not a part of each request.
	if _, err := b.invoke(ctx, c, id, same); err != nil {
		return err
	}
	if id, err = b.prepared(ctx, c); err != nil {
		return err
	}
	if r.First, err = b.costs(ctx, c, id); err != nil || c.once {
		return err
	}
	again, err := b.costs(ctx, c, id)
	r.Duplicate = &again
	return err
}

// prepared returns an order that a contestant can be asked for: a status needs
// one that was recorded.
func (b *bench) prepared(ctx context.Context, c contestant) (order.ID, error) {
	id, err := b.nextOrder()
	if err != nil || c.kind != kindStatus {
		return id, err
	}
	_, err = b.invoke(ctx, contestant{name: "fulfill", steps: []step{b.recorder}}, id, same)
	return id, err
}

func (b *bench) costs(ctx context.Context, c contestant, id order.ID) (cost, error) {
	if err := b.settle(c); err != nil {
		return cost{}, err
	}
	b.db.ResetConsumed()
	whmcs, salesforce := len(b.whmcs.Journal()), len(b.salesforce.Journal())
	b.logs.take(c.functions())
	b.durable.take()
	commands, err := b.commands()
	if err != nil {
		return cost{}, err
	}
	if _, err := b.invoke(ctx, c, id, same); err != nil {
		return cost{}, err
	}
	if err := b.settle(c); err != nil {
		return cost{}, err
	}
	got := cost{DynamoDB: map[string]int{}, WHMCS: map[string]int{}, Salesforce: map[string]int{}, LogBytes: b.logs.take(c.functions())}
	after, err := b.commands()
	if err != nil {
		return cost{}, err
	}
	got.Other = map[string]int{"checkpoints": b.durable.take(), "Redis commands": after - commands}
	maps.DeleteFunc(got.Other, func(_ string, n int) bool { return n == 0 })
	for _, t := range b.db.Consumed() {
		got.WriteUnits += t.WriteUnits
		got.ReadUnits += t.ReadUnits
		for _, i := range t.Indexes {
			got.IndexUnits += i.WriteUnits
		}
		for name, o := range t.Operations {
			got.DynamoDB[name] += o.Calls
		}
	}
	for _, call := range b.whmcs.Journal()[whmcs:] {
		got.WHMCS[call.Action]++
	}
	for _, call := range b.salesforce.Journal()[salesforce:] {
		got.Salesforce[call.Action]++
	}
	return got, nil
}

// commands returns how many commands of contestants Redis has run.
func (b *bench) commands() (int, error) {
	if b.redis == nil {
		return 0, nil
	}
	b.asked++
	n, err := b.redis.commands()
	return n - b.asked, err
}

// settle waits until a contestant's processes stand still and what they printed
// has arrived.
func (b *bench) settle(c contestant) error {
	for _, f := range c.functions() {
		for _, pid := range b.host.Pids(f) {
			for {
				still, err := stopped(pid)
				if err != nil {
					return err
				}
				if still {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	for seen := -1; seen != b.logs.count(); {
		seen = b.logs.count()
		time.Sleep(printed)
	}
	return nil
}

// printed is by when the host has read what a process that stands still wrote to
// its pipe.
const printed = 50 * time.Millisecond

// start measures one cold start of each step.
func (b *bench) start(ctx context.Context, c contestant, into *[2][]float64, name func(string) string) error {
	id, err := b.prepared(ctx, c)
	if err != nil {
		return err
	}
	if err := b.gone(c, name); err != nil {
		return err
	}
	var inits, after time.Duration
	for _, s := range c.steps {
		began := time.Now()
		if err := b.host.Warm(ctx, name(s.function)); err != nil {
			return fmt.Errorf("start %s: %w; its log ends:\n%s", name(s.function), err, b.logs.tail(name(s.function)))
		}
		inits += time.Since(began)
		took, err := b.invoke(ctx, contestant{name: c.name, steps: []step{s}}, id, name)
		if err != nil {
			return err
		}
		after += took[0]
	}
	into[0], into[1] = append(into[0], ms(inits)), append(into[1], ms(after))
	return nil
}

// gone ends the processes of a contestant and waits until the host has forgotten
// them.
func (b *bench) gone(c contestant, name func(string) string) error {
	for _, f := range c.functions() {
		if _, err := b.host.Kill(name(f)); err != nil {
			return fmt.Errorf("end %s: %w", name(f), err)
		}
		for len(b.host.Pids(name(f))) > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// warm measures warm requests, one of each contestant in turn; who begins
// changes.
func (b *bench) warm(ctx context.Context, all []contestant) error {
	const before = 20 // requests that are not counted: caches fill, code is compiled
	for n := range before + b.rounds {
		if n == before {
			if err := b.eachCPU(all, func(r *result, d time.Duration) { r.cpu = -d }); err != nil {
				return err
			}
		}
		for i := range all {
			c, r := all[(i+n)%len(all)], b.results[(i+n)%len(all)]
			if err := b.request(ctx, c, r, n >= before); err != nil {
				return err
			}
		}
	}
	if err := b.eachCPU(all, func(r *result, d time.Duration) { r.cpu += d }); err != nil {
		return err
	}
	for i, c := range all {
		for _, f := range c.functions() {
			for _, pid := range b.host.Pids(f) {
				peak, err := peakMemory(pid)
				if err != nil {
					return err
				}
				b.results[i].PeakMB = max(b.results[i].PeakMB, float64(peak)/(1<<20))
			}
		}
	}
	return nil
}

func (b *bench) request(ctx context.Context, c contestant, r *result, counted bool) error {
	id, err := b.prepared(ctx, c)
	if err != nil {
		return err
	}
	b.calls.take()
	took, err := b.invoke(ctx, c, id, same)
	if err != nil || !counted {
		return err
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	r.warm = append(r.warm, ms(sum))
	r.own = append(r.own, ms(took[len(took)-1]-b.calls.take()))
	return nil
}

// eachCPU tells of each contestant the processor time of its processes so far.
func (b *bench) eachCPU(all []contestant, tell func(*result, time.Duration)) error {
	for i, c := range all {
		d, err := b.cpu(c)
		if err != nil {
			return err
		}
		tell(b.results[i], d)
	}
	return nil
}

func (b *bench) cpu(c contestant) (sum time.Duration, err error) {
	for _, f := range c.functions() {
		for _, pid := range b.host.Pids(f) {
			d, err := cpuTime(pid)
			if err != nil {
				return 0, err
			}
			sum += d
		}
	}
	return sum, nil
}

// conclude makes figures of what was measured.
func (b *bench) conclude() {
	for _, r := range b.results {
		r.Cold, r.ColdSliced = median(r.colds[0]), median(r.colds[1])
		r.WarmP50, r.WarmP99 = at(r.warm, 0.5), at(r.warm, 0.99)
		r.CPU = ms(r.cpu) / float64(max(1, len(r.warm)))
		if r.Kind == kindOrder {
			r.Own = at(r.own, 0.5)
		}
	}
}

func median(starts [2][]float64) *cold {
	if len(starts[0]) == 0 {
		return nil
	}
	var total []float64
	for i := range starts[0] {
		total = append(total, starts[0][i]+starts[1][i])
	}
	return &cold{at(starts[0], 0.5), at(starts[1], 0.5), at(total, 0.5)}
}

func at(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// zipSizes returns the size of what each contestant deploys. The same folder is
// packed once.
func zipSizes(all []contestant, folders func(contestant) []string) (sizes []int64, err error) {
	known := map[string]int64{}
	for _, c := range all {
		var sum int64
		for _, folder := range folders(c) {
			n, ok := known[folder]
			if !ok {
				if n, err = zipSize(folder); err != nil {
					return nil, err
				}
				known[folder] = n
			}
			sum += n
		}
		sizes = append(sizes, sum)
	}
	return sizes, nil
}

// zipSize is how large the zip of a folder is, as a deployment packs it.
func zipSize(folder string) (int64, error) {
	var n countWriter
	z := zip.NewWriter(&n)
	if err := z.AddFS(os.DirFS(folder)); err != nil {
		return 0, fmt.Errorf("pack %s: %w", folder, err)
	}
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("pack %s: %w", folder, err)
	}
	return int64(n), nil
}

type countWriter int64

// Write implements io.Writer.
func (n *countWriter) Write(b []byte) (int, error) {
	*n += countWriter(len(b))
	return len(b), nil
}
