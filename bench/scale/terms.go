package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"orderbridge/local/samtemplate"
)

// taken is what one order of two lines with one click takes.
type taken struct {
	TableUnits  float64            // write units of the table itself
	IndexUnits  map[string]float64 // write units of each index
	ReadUnits   float64            // of the run; the portal and the clock are not in it
	WhmcsCalls  int                // reads and effects
	Queries     int                // API requests of Salesforce that read the order
	Changes     int                // that Salesforce must see
	ItemBytes   int                // of the provisioned order's item
	RunRequests int                // requests of DynamoDB
}

// measured is what TestAnOrderTakesWhatTheTermsSay finds with the embedded table:
// who changes what an order takes is told to change it here.
var measured = taken{
	TableUnits: 7, IndexUnits: map[string]float64{"due": 4, "confirm": 1},
	ReadUnits: 3, WhmcsCalls: 10, Queries: 1, Changes: 2, ItemBytes: 1200, RunRequests: 8,
}

// writeUnits is what an order takes of the table and its indexes.
func (t taken) writeUnits() float64 {
	sum := t.TableUnits
	for _, u := range t.IndexUnits {
		sum += u
	}
	return sum
}

// What make bench-gateway prints of an order, and what is assumed of the others.
const (
	orderLogBytes  = 1550 // of the functions, bytes an order
	accessLogBytes = 400  // of an API's access log, bytes a request
	tickReadUnits  = 16   // a minute, while little is open (docs/data-model.md)
	tickLogBytes   = 1500 // a minute, of both clocks

	orderSeconds   = 8.0   // of a worker, nearly all of it waiting for WHMCS
	calloutSeconds = 0.015 // of FulfillFunction
	statusSeconds  = 0.005 // of StatusFunction, a question
	pushSeconds    = 0.5   // of StatusPushFunction, a batch: one call of Salesforce

	// shards of the table's stream that are open at a time. A new table on demand
	// bears 4,000 write units a second (DynamoDB Developer Guide, "Initial
	// throughput for on-demand capacity mode"): four partitions, and a shard each.
	shards = 4
)

// The rule by which the portal asks again: after a fifteenth of the order's age,
// a second at least and a minute at most (functions/status; a test compares).
const (
	youngPoll = time.Second
	oldPoll   = time.Minute
	pollShare = 15
)

// How statuspush looks for changes in Salesforce (shared/writeback; a test
// compares): each lookEvery all of the last two of these, in queries of so many
// orders; and once an hour the other way round.
const (
	lookEvery     = 3 * time.Minute // lagBases x RETRY_BASE
	ordersAtOnce  = 300
	sweepsADay    = 24
	brakeAbove    = 0.9 // of the day's requests: then calls are spaced
	daySeconds    = 24 * 60 * 60
	officeSeconds = 8 * 60 * 60 // in which a day's orders come
	monthDays     = 30
)

// price is one term of AWS's bill, in dollars.
type price struct {
	name string
	per  string // what the dollars are for
	usd  float64
}

// Prices of us-east-1 without free tier, seen in 2025 on the services' pricing
// pages (aws.amazon.com/SERVICE/pricing).
var (
	priceGateway     = price{"API Gateway, HTTP API", "a million requests", 1.00}
	priceInvocations = price{"Lambda, invocations", "a million", 0.20}
	priceMemory      = price{"Lambda, arm64", "a GB-second", 0.0000133334}
	priceWrites      = price{"DynamoDB on demand, writes", "a million units", 0.625}
	priceReads       = price{"DynamoDB on demand, reads", "a million units", 0.125}
	priceStorage     = price{"DynamoDB, storage and point-in-time recovery", "a GB and month", 0.45}
	pricePipe        = price{"EventBridge Pipes", "a million", 0.40}
	priceQueue       = price{"SQS", "a million requests", 0.40}
	priceLogs        = price{"CloudWatch Logs, taken in", "a GB", 0.50}
	priceMetric      = price{"CloudWatch, metric", "a month", 0.30}
	priceAlarm       = price{"CloudWatch, alarm", "a month", 0.10}
	priceDashboard   = price{"CloudWatch, dashboard", "a month", 3.00}
	priceSecret      = price{"Secrets Manager, secret", "a month", 0.40}
	priceKey         = price{"KMS, key", "a month", 1.00}
)

const (
	metricsKept = 70  // names by their dimensions, whatever the load
	keptDays    = 400 // OrderRetentionDays
)

// Limits of others, each with its source on the page.
const (
	salesforceRequests = 100_000 // a day, and 1,000 a licence, of an Enterprise org
	partitionUnits     = 1_000   // write units a second of one partition
	newTableUnits      = 4_000   // write units a second of a new table on demand
	executions         = 1_000   // of Lambda at a time, an account and Region
)

// installation is what template.yaml sets, at its defaults.
type installation struct {
	workers           int
	batch             int
	window            time.Duration
	callouts, portal  float64 // requests a second that the gateway lets through
	memoryGB          map[string]float64
	alarms, secrets   int
	provisionTimeout  time.Duration
	provisionReserved int
}

func readTemplate(path string) (installation, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return installation{}, fmt.Errorf("read template: %w", err)
	}
	m, err := samtemplate.Read(source, samtemplate.Options{
		Region: "us-east-1", Account: "000000000000", Stack: "scale",
		Parameters: map[string]string{"WhmcsApiUrl": "https://whmcs.example.com", "SfLoginUrl": "https://salesforce.example.com", "PortalIssuer": "https://issuer.example.com", "PortalAudience": "scale"},
		QueueURL:   func(name string) string { return "https://queue.example.com/" + name },
	})
	if err != nil {
		return installation{}, fmt.Errorf("read template: %w", err)
	}
	in := installation{memoryGB: map[string]float64{}, alarms: len(m.Alarms), secrets: len(m.Secrets)}
	for _, f := range m.Functions {
		in.memoryGB[f.Short] = float64(f.MemoryMB) / 1024
		if f.Short == "provision" {
			in.provisionTimeout, in.provisionReserved = f.Timeout, f.Reserved
		}
	}
	if len(m.Works) != 1 || len(m.Streams) != 1 {
		return in, fmt.Errorf("read template: %d queues and %d streams wake a function, one of each was expected", len(m.Works), len(m.Streams))
	}
	in.workers, in.batch, in.window = m.Works[0].MaxConcurrency, m.Streams[0].BatchSize, m.Streams[0].Window
	for _, r := range m.Routes {
		rate := r.Throttle.Rate
		if i := slices.IndexFunc(m.APIs, func(a samtemplate.API) bool { return a.ID == r.API }); rate == 0 && i >= 0 {
			rate = m.APIs[i].Throttle.Rate
		}
		switch r.Function {
		case "fulfill":
			in.callouts = max(in.callouts, rate)
		case "status":
			in.portal = max(in.portal, rate)
		}
	}
	return in, nil
}
