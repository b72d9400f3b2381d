// Command bench measures the built functions beside the least that the same
// work needs and beside what one would pick instead, and breaks each of them.
//
// The rule it keeps: every figure is a ratio to a floor of the same kind that
// was measured in the same run, one request of each in turn, and no ratio is
// shown that is finer than the distance of a floor from itself. It must not hold a
// time against a limit; but an order of ours that is doubled, lost or left to a
// person is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// options are what the command line may say.
type options struct {
	bin, template, root, work, rivals string
	json, docs                        string
	only                              string
	quick, faults                     bool
	out                               io.Writer
}

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.bin, "bin", "build/bin", "folder of the built binaries")
	flag.StringVar(&o.template, "template", "template.yaml", "the template")
	flag.StringVar(&o.root, "root", ".", "folder of the repository")
	flag.StringVar(&o.work, "work", "build/bench", "folder for what is made for the run")
	flag.StringVar(&o.rivals, "rivals", "", "folder of the built rivals; empty = without them")
	flag.StringVar(&o.json, "json", "build/bench.json", "where the figures go")
	flag.StringVar(&o.docs, "docs", "", "a Markdown file whose part between the marks is replaced")
	flag.StringVar(&o.only, "only", "", "only this kind: callout, order or status")
	root := flag.Bool("root-certificate", false, "print the root certificate of what stands for AWS, for those who build with it, and end")
	flag.BoolVar(&o.faults, "faults", false, "only the table of faults")
	flag.BoolVar(&o.quick, "quick", false, "fewer rounds: ratios of cold starts are rough then")
	flag.Parse()
	if *root {
		s := httptest.NewTLSServer(nil)
		defer s.Close()
		_, _ = os.Stdout.Write(rootOf(s)) // who reads it sees what is missing
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	if err := os.MkdirAll(o.work, 0o750); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if o.work, err = filepath.Abs(o.work); err != nil {
		return fmt.Errorf("find folder: %w", err)
	}
	if o.faults {
		cells, err := faultTable(ctx, o, say)
		if err != nil {
			return err
		}
		err = publish(o, faultReport{began.UTC().Format(time.DateOnly), machine(), int(time.Since(began).Seconds()), cells}, faultMarks())
		return errors.Join(err, broken(cells))
	}
	w, err := newWorld(ctx, o.template, o.work)
	if err != nil {
		return err
	}
	defer w.close()

	b := &bench{world: w, rounds: 400, starts: 20, slicedCount: 8, say: say}
	if o.quick {
		b.rounds, b.starts, b.slicedCount = 200, 10, 4
	}
	group, err := newSlice(o.work)
	switch {
	case errors.Is(err, errNoSlice):
		say("without a seventh of a processor: %v", err)
		b.slicedCount = 0
	case err != nil:
		return err
	default:
		defer group.remove()
	}
	if o.rivals != "" {
		if w.redis, err = startRedis(); err != nil {
			return err
		}
	}
	all, err := b.contestants(o, group)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, all); err != nil {
		return err
	}
	b.conclude()
	r := report{Date: began.UTC().Format(time.DateOnly), Machine: machine(), Quick: o.quick, Rounds: b.rounds, Starts: b.starts, SlicedStarts: b.slicedCount, Results: b.results}
	apart, err := newWorld(ctx, o.template, filepath.Join(o.work, "backlog"))
	if err != nil {
		return err
	}
	defer apart.close()
	if r.Backlog, err = (&bench{world: apart, say: say}).drain(ctx, o.bin); err != nil {
		return err
	}
	if r.VerifyAllocs, err = verifyAllocations(ctx); err != nil {
		return err
	}
	r.Seconds = int(time.Since(began).Seconds())
	return publish(o, r, benchMarks())
}

// contestants makes all of them known to the host.
func (b *bench) contestants(o options, group *slice) (all []contestant, err error) {
	e, err := readEvents(o.root)
	if err != nil {
		return nil, err
	}
	zips := map[string][]string{}
	join := func(c contestant, programs []program, paths ...string) error {
		if o.only != "" && o.only != c.kind {
			return nil
		}
		for i, p := range programs {
			p.name = c.kind + "-" + strings.NewReplacer(" ", "-", ",", "").Replace(c.name) + "-" + p.name
			c.steps[i].function = p.name
			if !c.rival {
				var err error
				if p.bootstrap, err = ownFile(o.work, p); err != nil {
					return err
				}
			}
			if err := b.add(p, group); err != nil {
				return err
			}
		}
		zips[c.kind+c.name] = paths
		all = append(all, c)
		return nil
	}
	var own [3]program
	for i, short := range []string{"fulfill", "provision", "status"} {
		own[i] = b.own(o.bin, short)
	}
	recorder := own[0]
	recorder.name = "recorder"
	b.recorder = step{recorder.name, e.clicked, succeeded}
	if err := b.add(recorder, nil); err != nil {
		return nil, err
	}
	folder := func(short string) string { return filepath.Join(o.bin, short) }
	clicked, hinted, polled := step{"", e.clicked, succeeded}, step{"", e.hinted, anyAnswer}, step{"", e.polled, succeeded}
	for _, twin := range []bool{false, true} {
		name := map[bool]string{false: "floor", true: "the floor again"}[twin]
		for _, f := range []struct {
			kind, work string
			step       step
		}{{kindCallout, "claim", clicked}, {kindOrder, "order", clicked}, {kindStatus, "status", polled}} {
			c := contestant{kind: f.kind, name: name, steps: []step{f.step}, floor: !twin, twin: twin, once: f.kind == kindStatus}
			if err := join(c, []program{b.floorProgram(o.bin, "floor", f.work)}, folder("floor")); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range []struct {
		contestant
		programs []program
		folders  []string
	}{
		{contestant{kind: kindCallout, name: ours, steps: []step{clicked}}, own[:1], []string{folder("fulfill")}},
		{contestant{kind: kindOrder, name: ours, steps: []step{clicked, hinted}}, own[:2], []string{folder("fulfill"), folder("provision")}},
		{contestant{kind: kindStatus, name: ours, once: true, steps: []step{polled}}, own[2:], []string{folder("status")}},
	} {
		if err := join(c.contestant, c.programs, c.folders...); err != nil {
			return nil, err
		}
	}
	for _, r := range rivals() {
		if o.rivals == "" {
			break
		}
		for _, f := range []struct{ kind, work string }{{kindCallout, "claim"}, {kindOrder, "order"}} {
			c := contestant{kind: f.kind, name: r.name, steps: []step{clicked}, rival: true, once: r.durable}
			if r.durable {
				c.steps[0] = step{"", b.durably(r.name, e), finished}
			}
			if err := join(c, []program{b.rivalProgram(o.rivals, r, f.work)}, filepath.Join(o.rivals, r.folder, "code")); err != nil {
				return nil, err
			}
		}
	}
	b.zips, err = zipSizes(all, func(c contestant) []string { return zips[c.kind+c.name] })
	return all, err
}

// ownFile gives a program a file of its own: processes of one file share its
// pages, so that a floor which serves three kinds of work would find its code in
// the processor's caches each time, and a function that serves one would not.
func ownFile(work string, p program) (string, error) {
	b, err := os.ReadFile(p.bootstrap)
	if err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	dir := filepath.Join(work, "programs", p.name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	path := filepath.Join(dir, "bootstrap")
	if err := os.WriteFile(path, b, 0o700); err != nil { //nolint:gosec // it is run
		return "", fmt.Errorf("copy program: %w", err)
	}
	return path, nil
}

// ours is the name of this system's contestants.
const ours = "orderbridge"
