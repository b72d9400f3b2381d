package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
)

// report is everything that one run found.
type report struct {
	Date         string    `json:"date"`
	Machine      string    `json:"machine"`
	Quick        bool      `json:"quick"`
	Seconds      int       `json:"seconds"`
	Rounds       int       `json:"rounds"`
	Starts       int       `json:"starts"`
	SlicedStarts int       `json:"slicedStarts"`
	Results      []*result `json:"results"`
	Backlog      backlog   `json:"backlog"`
	VerifyAllocs float64   `json:"verifyAllocations"`
}

// machine names the class of this machine.
func machine() string {
	model := "unknown processor"
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s/%s, %d processors, %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model, runtime.Version())
}

// measure is one column of the table of times: what it is called and how it is
// read.
type column struct {
	title string
	unit  string
	value func(*result) float64
	noisy bool // it has a spread
}

func columns() []column {
	ofCold := func(c func(*result) *cold, v func(*cold) float64) func(*result) float64 {
		return func(r *result) float64 {
			if c(r) == nil {
				return math.NaN()
			}
			return v(c(r))
		}
	}
	plain, slow := func(r *result) *cold { return r.Cold }, func(r *result) *cold { return r.ColdSliced }
	after, total := func(c *cold) float64 { return c.After }, func(c *cold) float64 { return c.Total }
	return []column{
		{"zip", "MB", func(r *result) float64 { return float64(r.ZipBytes) / 1e6 }, false},
		{"cold start", "ms", ofCold(plain, total), true},
		{"cold start, a seventh of a processor", "ms", ofCold(slow, total), true},
		{"of that after INIT", "ms", ofCold(slow, after), true},
		{"warm p50", "ms", func(r *result) float64 { return r.WarmP50 }, true},
		{"warm p99", "ms", func(r *result) float64 { return r.WarmP99 }, true},
		{"CPU a request", "ms", func(r *result) float64 { return r.CPU }, true},
		{"peak memory", "MB", func(r *result) float64 { return r.PeakMB }, true},
	}
}

// kinds are the kinds that were measured, in the order of the tables.
func (r report) kinds() (all []string) {
	for _, k := range []string{kindCallout, kindOrder, kindStatus} {
		if len(r.of(k)) > 0 {
			all = append(all, k)
		}
	}
	return all
}

func (r report) of(kind string) (all []*result) {
	for _, one := range r.Results {
		if one.Kind == kind {
			all = append(all, one)
		}
	}
	return all
}

func floorOf(all []*result) *result {
	return all[slices.IndexFunc(all, func(r *result) bool { return r.Floor })]
}

// spread is how far the ratio of a floor to itself is from 1: the largest of all
// kinds.
func (r report) spread(c column) (far float64) {
	if !c.noisy {
		return 0
	}
	for _, k := range r.kinds() {
		all := r.of(k)
		floor := c.value(floorOf(all))
		for _, one := range all {
			if one.Twin {
				far = max(far, math.Abs(c.value(one)/floor-1))
			}
		}
	}
	return far
}

// ratioCell is a value, and its ratio to the floor's unless that is finer than the
// spread.
func ratioCell(v, floor, spread float64, unit string) string {
	if math.IsNaN(v) {
		return "not measured"
	}
	ratio := v / floor
	text := fmt.Sprintf("%.2f×", ratio)
	switch {
	case ratio >= 9.95:
		text = fmt.Sprintf("%.0f×", ratio)
	case math.Abs(ratio-1) <= spread:
		text = "same"
	}
	return fmt.Sprintf("%s (%s %s)", text, number(v), unit)
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// table writes a Markdown table.
func table(w io.Writer, head []string, rows [][]string) {
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, row := range rows {
		line(row)
	}
	fmt.Fprintln(w)
}

// markdown writes the tables.
func (r report) markdown(w io.Writer) {
	quick := ""
	if r.Quick {
		quick = "; a quick run, cold starts are rough"
	}
	fmt.Fprintf(w, "Measured %s in %d s on %s: %d warm requests, %d cold starts, %d under a seventh of a processor (%d of a rival), of each in turn%s.\n\n", r.Date, r.Seconds, r.Machine, r.Rounds, r.Starts, r.SlicedStarts, min(r.SlicedStarts, rivalStarts), quick)
	r.spreadTable(w)
	for _, k := range r.kinds() {
		fmt.Fprintf(w, "### %s\n\n", map[string]string{
			kindCallout: "A callout: its signature is verified, it is recorded once, it is answered",
			kindOrder:   "A whole order: from the callout to the active order in WHMCS",
			kindStatus:  "A status read",
		}[k])
		r.timeTable(w, k)
		r.costTable(w, k)
	}
	r.details(w)
}

func (r report) spreadTable(w io.Writer) {
	fmt.Fprint(w, "A floor beside itself, the largest distance of all kinds; a ratio that is not farther from 1 is shown as \"same\":\n\n")
	var head, row []string
	for _, c := range columns() {
		if c.noisy && !math.IsNaN(c.value(r.Results[0])) {
			head, row = append(head, c.title), append(row, fmt.Sprintf("±%.0f %%", 100*r.spread(c)))
		}
	}
	table(w, head, [][]string{row})
}

func (r report) timeTable(w io.Writer, kind string) {
	all := r.of(kind)
	head, rows := []string{""}, [][]string{}
	for _, c := range columns() {
		head = append(head, c.title)
	}
	for _, one := range all {
		if one.Twin {
			continue
		}
		row := []string{one.Name}
		for _, c := range columns() {
			row = append(row, ratioCell(c.value(one), c.value(floorOf(all)), r.spread(c), c.unit))
		}
		rows = append(rows, row)
	}
	table(w, head, rows)
}

func (r report) costTable(w io.Writer, kind string) {
	head := []string{"", "calls of DynamoDB", "write units (of them index)", "read units", "log bytes"}
	if kind != kindStatus {
		head = append(head, "a second click: calls", "write units", "read units", "log bytes")
	}
	var rows [][]string
	for _, one := range r.of(kind) {
		if one.Twin {
			continue
		}
		row := append([]string{one.Name}, one.First.cells(true)...)
		switch {
		case one.Duplicate != nil:
			row = append(row, one.Duplicate.cells(false)...)
		case kind != kindStatus:
			row = append(row, "none: the service knows the name", "", "", "")
		}
		rows = append(rows, row)
	}
	table(w, head, rows)
}

func (c cost) cells(index bool) []string {
	units := fmt.Sprint(c.WriteUnits)
	if index {
		units += fmt.Sprintf(" (%v)", c.IndexUnits)
	}
	calls := fmt.Sprintf("%d%s", c.calls(), names(c.DynamoDB))
	for _, name := range slices.Sorted(maps.Keys(c.Other)) {
		calls += fmt.Sprintf("; %s: %d", name, c.Other[name])
	}
	return []string{calls, units, fmt.Sprint(c.ReadUnits), fmt.Sprint(c.LogBytes)}
}

// names lists how often each was called, in the order of their names.
func names(calls map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		all = append(all, fmt.Sprintf("%d %s", calls[name], name))
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}

// details are the figures that have no rival.
func (r report) details(w io.Writer) {
	fmt.Fprint(w, "### What else an order costs\n\n")
	for _, one := range r.of(kindOrder) {
		if one.Twin {
			continue
		}
		fmt.Fprintf(w, "- %s, calls of WHMCS%s; of Salesforce%s.", one.Name, names(one.First.WHMCS), names(one.First.Salesforce))
		if one.Name == ours {
			fmt.Fprintf(w, " provision's own time over the vendors' work: %s ms an order.", number(one.Own))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "- statuspush, a backlog of %d changes: %d calls of Salesforce, %.0f changes a call, %.0f changes a second.\n- The check of a callout: %.0f allocations.\n", r.Backlog.Changes, r.Backlog.SalesforceCalls, r.Backlog.PerCall, r.Backlog.PerSecond, r.VerifyAllocs)
}

// faultReport is the table of faults.
type faultReport struct {
	Date    string       `json:"date"`
	Machine string       `json:"machine"`
	Seconds int          `json:"seconds"`
	Cells   []cellResult `json:"cells"`
}

func (r faultReport) markdown(w io.Writer) {
	fmt.Fprintf(w, "Run %s in %d s on %s. Each cell: WHMCS orders for %d orders / of them ended without a person.\n\n", r.Date, r.Seconds, r.Machine, ordersPerCell)
	rows := map[string][]string{}
	var order []string
	for _, c := range r.Cells {
		if rows[c.Contestant] == nil {
			order = append(order, c.Contestant)
			rows[c.Contestant] = []string{c.Contestant}
		}
		text := fmt.Sprintf("%d / %d", c.WHMCSOrders, c.Ended)
		if c.Struck < c.Orders {
			text += fmt.Sprintf(" (%d met the fault)", c.Struck)
		}
		rows[c.Contestant] = append(rows[c.Contestant], text)
	}
	var all [][]string
	for _, name := range order {
		all = append(all, rows[name])
	}
	table(w, append([]string{""}, faults()...), all)
}

// marks are the two lines between which a page holds what a run wrote.
type marks struct{ begin, end string }

func benchMarks() marks {
	return marks{"<!-- written by make bench DOCS=1 -->\n", "<!-- end of what make bench wrote -->"}
}

func faultMarks() marks {
	return marks{"<!-- written by make rivals DOCS=1 -->\n", "<!-- end of what make rivals wrote -->"}
}

// publish writes the figures as JSON, prints the tables, and puts them into the
// page if there is one.
func publish(o options, figures interface{ markdown(io.Writer) }, m marks) error {
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.WriteFile(o.json, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	var text strings.Builder
	figures.markdown(&text)
	fmt.Fprint(o.out, text.String())
	if o.docs == "" {
		return nil
	}
	page, err := os.ReadFile(o.docs)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	before, rest, ok := strings.Cut(string(page), m.begin)
	_, after, ended := strings.Cut(rest, m.end)
	if !ok || !ended {
		return fmt.Errorf("%s lacks the lines %s and %s", o.docs, m.begin, m.end)
	}
	if err := os.WriteFile(o.docs, []byte(before+m.begin+"\n"+text.String()+"\n"+m.end+after), 0o600); err != nil { //nolint:gosec // the page that the operator names
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
