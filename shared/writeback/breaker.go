package writeback

import (
	"context"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

const (
	// breakerFirst doubles to breakerMost while probes fail.
	breakerFirst = 30 * time.Second
	breakerMost  = 5 * time.Minute
	// probeTime is how long the one who won the probe may take for it; no
	// longer than breakerFirst, so that its failure can move the end.
	probeTime = 20 * time.Second
)

// admit reports whether the org may be called: the breaker is closed, or this
// process won its probe and the org serves us again. A breaker that cannot be
// read does not stop a push: it spares the org, it protects nothing else.
func (p *Pusher) admit(ctx context.Context) bool {
	c, err := p.d.Breaker.Control(ctx, order.SideSalesforce)
	if err != nil {
		p.d.Log.WarnContext(ctx, "breaker not read", "error", err)
		return true
	}
	now := p.d.Now()
	if c.Open(now) {
		return false
	}
	if !c.ProbeDue(now) {
		return true
	}
	until := now.Add(probeTime)
	won, err := p.d.Breaker.WinProbe(ctx, c, until)
	if err != nil || !won {
		return false
	}
	c.OpenUntil = until
	probe, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if err := p.d.Salesforce.Probe(probe); err != nil {
		p.reopen(ctx, c, err)
		return false
	}
	if err := p.d.Breaker.CloseBreaker(ctx, c, p.d.Now()); err != nil {
		p.d.Log.WarnContext(ctx, "breaker not closed", "error", err)
	}
	p.d.Log.InfoContext(ctx, "Salesforce serves us again")
	return true
}

// open opens the breaker for an error that a person must mend.
func (p *Pusher) open(ctx context.Context, cause error) {
	p.reopen(ctx, order.Control{Side: order.SideSalesforce}, cause)
}

func (p *Pusher) reopen(ctx context.Context, seen order.Control, cause error) {
	wait := min(breakerFirst<<min(seen.Fails, 10), breakerMost)
	next := order.Control{
		Side: order.SideSalesforce, OpenUntil: p.d.Now().Add(wait), Why: fault.CodeOf(cause), Fails: seen.Fails + 1,
	}
	// The alarm goes by this line's metric; the cause names field and
	// permission set.
	p.d.Metrics.Count(metricConfig, string(next.Why), 1)
	p.d.Log.ErrorContext(ctx, "Salesforce does not serve us: status pushes wait", "code", string(next.Why), "until", next.OpenUntil.UTC().Format(time.RFC3339), "error", cause)
	if err := p.d.Breaker.OpenBreaker(ctx, next); err != nil {
		p.d.Log.ErrorContext(ctx, "breaker not opened", "error", err)
	}
}
