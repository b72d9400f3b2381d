// Package dynamodb is a DynamoDB in memory, for the system on one machine and for
// tests. It is an http.Handler that speaks the real wire protocol, so that the
// unmodified SDK works against it: a table with a partition key and sparse
// indexes, conditions and update expressions, streams and TTL.
//
// The rule it keeps: it knows what the store and the stream's readers ask for,
// and refuses by name what it does not know: an operation with
// UnknownOperationException, a parameter, a type or an expression with
// ValidationException. Where the real service is slow, stale or failing, it is
// so on request (see Switches) and never by chance. It must not know anything
// of orders.
//
// Not as the service: signatures are not verified, a table is active at once, a
// stream has one shard, the texts of refusals differ.
package dynamodb

import (
	"cmp"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how often expired items are deleted unless Options say
// otherwise. The service promises "within a few days"; on one machine the effect
// is to be seen.
const sweepEvery = 3 * time.Second

// Options are how a DB is made. The zero value is useful.
type Options struct {
	// Now is the clock; nil means time.Now. It dates stream records and the
	// Date header, decides on TTL, and measures the lag of an index.
	Now func() time.Time
	// Region is the region in ARNs and records; empty means us-east-1.
	Region string
	// Account is the account in ARNs; empty means 000000000000.
	Account string
	// SweepEvery is the time between two TTL sweeps; 0 means three seconds, a
	// negative one none in the background (Sweep can still be called).
	SweepEvery time.Duration
}

// DB is one DynamoDB: an http.Handler. Its methods may be called by any number
// of goroutines at once.
type DB struct {
	now      func() time.Time
	region   string
	account  string
	switches *Switches
	meter    meter
	sequence atomic.Uint64
	tables   struct {
		sync.RWMutex
		byName  map[string]*table
		streams []*stream
		marked  map[string]map[string]item // by table and keyText; nil = nothing is marked
	}
	changed struct {
		sync.Mutex
		ch chan struct{}
	}
	done chan struct{}
	stop sync.Once
	bg   sync.WaitGroup
}

// New starts a DB. Close ends it.
func New(opts Options) *DB {
	db := &DB{
		now:      opts.Now,
		region:   cmp.Or(opts.Region, "us-east-1"),
		account:  cmp.Or(opts.Account, "000000000000"),
		switches: &Switches{},
		done:     make(chan struct{}),
	}
	if db.now == nil {
		db.now = time.Now
	}
	db.tables.byName = map[string]*table{}
	db.changed.ch = make(chan struct{})
	if every := cmp.Or(opts.SweepEvery, sweepEvery); every > 0 {
		db.bg.Go(func() { db.sweepLoop(every) })
	}
	return db
}

// Close ends the background sweep and every delayed answer, and returns when
// the sweep has ended. It may be called more than once.
func (db *DB) Close() {
	db.stop.Do(func() { close(db.done) })
	db.bg.Wait()
}

// Switches are the faults that can be put in while the DB runs.
func (db *DB) Switches() *Switches { return db.switches }

// Changed returns a channel that is closed by the next record in any stream. To
// miss nothing, take the channel before reading the records and wait on it
// after.
func (db *DB) Changed() <-chan struct{} {
	db.changed.Lock()
	defer db.changed.Unlock()
	return db.changed.ch
}

func (db *DB) announce() {
	db.changed.Lock()
	close(db.changed.ch)
	db.changed.ch = make(chan struct{})
	db.changed.Unlock()
}

func (db *DB) table(name string) (*table, error) {
	db.tables.RLock()
	defer db.tables.RUnlock()
	if t := db.tables.byName[name]; t != nil {
		return t, nil
	}
	return nil, notFound("Table: %s not found", name)
}

func (db *DB) tableARN(name string) string {
	return "arn:aws:dynamodb:" + db.region + ":" + db.account + ":table/" + name
}

var _ http.Handler = (*DB)(nil)
