package telemetry

import (
	"slices"

	"orderbridge/shared/fault"
)

// Metric is the name of a metric.
type Metric string

// Written by fulfill.
const (
	CalloutsSlow          Metric = "CalloutsSlow"
	CalloutsRecorded      Metric = "CalloutsRecorded"
	CalloutsRejected      Metric = "CalloutsRejected"
	CalloutTime           Metric = "CalloutTime"
	SecurityEvents        Metric = "SecurityEvents"
	PreviousSecretUsed    Metric = "PreviousSecretUsed"
	PreviousSecretDropped Metric = "PreviousSecretDropped"
)

// Written by provision at the end of a run.
const (
	OrdersFailed         Metric = "OrdersFailed"
	OrdersEnded          Metric = "OrdersEnded"
	OrdersLate           Metric = "OrdersLate"
	NeedsAPerson         Metric = "NeedsAPerson"
	NeedsMending         Metric = "NeedsMending"
	RunsHeld             Metric = "RunsHeld"
	RunsParked           Metric = "RunsParked"
	RunsBroken           Metric = "RunsBroken"
	CalloutToProvisioned Metric = "CalloutToProvisioned"
	HintsUnreadable      Metric = "HintsUnreadable"
	TableRestored        Metric = "TableRestored"
	BooksDiffer          Metric = "BooksDiffer"
)

// Written by each tick of provision's clock, and Tick by statuspush's too.
const (
	Tick              Metric = "Tick"
	HintsSent         Metric = "HintsSent"
	OldestOpenSeconds Metric = "OldestOpenSeconds"
	OpenOrders        Metric = "OpenOrders"
	WaitingOrders     Metric = "WaitingOrders"
	BreakerOpen       Metric = "BreakerOpen"
	Paused            Metric = "Paused"
	OrdersForAPerson  Metric = "OrdersForAPerson"
)

// Written by whoever calls the two other systems.
const (
	WhmcsCalls         Metric = "WhmcsCalls"
	SalesforceCalls    Metric = "SalesforceCalls"
	SalesforceAPIUsage Metric = "SalesforceAPIUsage"
)

// Written by statuspush.
const (
	StatusPushed             Metric = "StatusPushed"
	StatusRetried            Metric = "StatusRetried"
	StatusDead               Metric = "StatusDead"
	StatusStale              Metric = "StatusStale"
	StatusSwept              Metric = "StatusSwept"
	StatusSweepFailed        Metric = "StatusSweepFailed"
	CalloutToShown           Metric = "CalloutToShown"
	WriteBackLag             Metric = "WriteBackLag"
	UnconfirmedInSalesforce  Metric = "UnconfirmedInSalesforce"
	OldestUnconfirmedSeconds Metric = "OldestUnconfirmedSeconds"
)

// ReadsRejected is written by status.
const ReadsRejected Metric = "ReadsRejected"

// Values of the dimension code that are no code of the error table. Those of
// CalloutsRecorded and BooksDiffer are in words.
const (
	CodeOK = "ok" // a call that was answered as it should be
)

// words are all values of the dimension code beside the codes of the error
// table: outcomes of a callout, sides, and classes of differing books.
var words = map[string]bool{
	CodeOK:    true,
	"created": true, "already_open": true, "already_provisioned": true, "stored_failure": true, "reopened": true,
	"whmcs": true, "salesforce": true,
	"doubled": true, "foreign": true, "missing": true, "orphaned": true, "drifted": true,
}

// bounded returns code where it is one of the bounded set, else internal_error:
// every value of a dimension is a metric of its own, and is charged for.
func bounded(code string) string {
	if words[code] || fault.Code(code).Listed() {
		return code
	}
	return string(fault.Internal)
}

// Codes returns every value that the dimension code can have, sorted.
func Codes() []string {
	var all []string
	for w := range words {
		all = append(all, w)
	}
	for _, c := range fault.Codes() {
		all = append(all, string(c))
	}
	slices.Sort(all)
	return all
}

// Unit is a unit of CloudWatch's (API reference, MetricDatum).
type Unit string

// The units.
const (
	Count        Unit = "Count"
	Milliseconds Unit = "Milliseconds"
	Seconds      Unit = "Seconds"
	NoUnit       Unit = "None"
)

// Info is what is known of a metric.
type Info struct {
	Unit Unit
	// Code says what the dimension code holds; "" = the metric has none.
	Code string
	// State: a gauge, written by each tick whatever its value. An alarm on it
	// stays while its cause stays. Other metrics tell of events.
	State bool
	// ByFunction: it has the dimension function, since each function says it of
	// itself alone.
	ByFunction bool
	// By lists the functions that write it.
	By []string
}

// What the dimension code holds.
const (
	byOutcome = "outcome"
	byCode    = "code"
	bySide    = "side"
	byResult  = "ok or code"
	byClass   = "class"
)

// table holds every metric; docs/metrics.md describes each.
var table = map[Metric]Info{
	CalloutsSlow:          {Unit: Count, By: []string{"fulfill"}},
	CalloutsRecorded:      {Unit: Count, Code: byOutcome, By: []string{"fulfill"}},
	CalloutsRejected:      {Unit: Count, Code: byCode, By: []string{"fulfill"}},
	CalloutTime:           {Unit: Milliseconds, By: []string{"fulfill"}},
	SecurityEvents:        {Unit: Count, Code: byCode, By: []string{"fulfill"}},
	PreviousSecretUsed:    {Unit: Count, By: []string{"fulfill"}},
	PreviousSecretDropped: {Unit: Count, By: []string{"fulfill"}},

	OrdersFailed:         {Unit: Count, Code: byCode, By: []string{"provision"}},
	OrdersEnded:          {Unit: Count, By: []string{"provision"}},
	OrdersLate:           {Unit: Count, By: []string{"provision"}},
	NeedsAPerson:         {Unit: Count, Code: byCode, By: []string{"provision"}},
	NeedsMending:         {Unit: Count, Code: byCode, By: []string{"provision", "statuspush"}},
	RunsHeld:             {Unit: Count, Code: byCode, By: []string{"provision"}},
	RunsParked:           {Unit: Count, Code: byCode, By: []string{"provision"}},
	RunsBroken:           {Unit: Count, Code: byCode, By: []string{"provision"}},
	CalloutToProvisioned: {Unit: Milliseconds, By: []string{"provision"}},
	HintsUnreadable:      {Unit: Count, By: []string{"provision"}},
	TableRestored:        {Unit: Count, By: []string{"provision"}},
	BooksDiffer:          {Unit: Count, Code: byClass, By: []string{"provision"}},

	Tick:              {Unit: Count, State: true, ByFunction: true, By: []string{"provision", "statuspush"}},
	HintsSent:         {Unit: Count, By: []string{"provision"}},
	OldestOpenSeconds: {Unit: Seconds, State: true, By: []string{"provision"}},
	OpenOrders:        {Unit: Count, State: true, By: []string{"provision"}},
	WaitingOrders:     {Unit: Count, State: true, By: []string{"provision"}},
	BreakerOpen:       {Unit: NoUnit, Code: bySide, State: true, By: []string{"provision"}},
	Paused:            {Unit: NoUnit, State: true, By: []string{"provision"}},
	OrdersForAPerson:  {Unit: Count, State: true, By: []string{"provision"}},

	WhmcsCalls:         {Unit: Count, Code: byResult, By: []string{"provision"}},
	SalesforceCalls:    {Unit: Count, Code: byResult, By: []string{"provision", "statuspush"}},
	SalesforceAPIUsage: {Unit: NoUnit, By: []string{"provision", "statuspush"}},

	StatusPushed:             {Unit: Count, By: []string{"statuspush"}},
	StatusRetried:            {Unit: Count, Code: byCode, By: []string{"statuspush"}},
	StatusDead:               {Unit: Count, Code: byCode, By: []string{"statuspush"}},
	StatusStale:              {Unit: Count, By: []string{"statuspush"}},
	StatusSwept:              {Unit: Count, By: []string{"statuspush"}},
	StatusSweepFailed:        {Unit: Count, Code: byCode, By: []string{"statuspush"}},
	CalloutToShown:           {Unit: Milliseconds, By: []string{"statuspush"}},
	WriteBackLag:             {Unit: Milliseconds, By: []string{"statuspush"}},
	UnconfirmedInSalesforce:  {Unit: Count, State: true, By: []string{"statuspush"}},
	OldestUnconfirmedSeconds: {Unit: Seconds, State: true, By: []string{"statuspush"}},

	ReadsRejected: {Unit: Count, Code: byCode, By: []string{"status"}},
}

// Metrics returns every metric, sorted by name.
func Metrics() []Metric {
	var all []Metric
	for m := range table {
		all = append(all, m)
	}
	slices.Sort(all)
	return all
}

// Info returns what is known of m; the zero Info where m is no metric.
func (m Metric) Info() Info { return table[m] }
