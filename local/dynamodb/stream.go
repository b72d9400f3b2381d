package dynamodb

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orderbridge/local/awsjson"
)

// What the service keeps and hands out (Developer Guide, "Change data capture
// for DynamoDB Streams").
const (
	streamRetention  = 24 * time.Hour
	iteratorLifetime = 15 * time.Minute
	maxRecords       = 1000
	maxRecordBytes   = 1 << 20
)

// viewType is what a record shows of an item.
const viewType = "NEW_IMAGE"

// firstSequence makes sequence numbers of 21 digits from the first one on, so
// that their order as texts is their order as numbers.
const firstSequence = "1%020d"

// record is one change of one item.
type record struct {
	seq     uint64
	at      time.Time
	name    string // INSERT, MODIFY, REMOVE
	keys    item
	new     item // the new image; nil for a removal
	size    int
	expired bool // TTL made it, not a caller
}

// stream is the changes of a table in one shard: the order of the writes.
// A stream outlives its table until its records are too old.
type stream struct {
	arn    string
	label  string
	table  string
	key    string
	shard  string
	opened time.Time

	mu      sync.Mutex
	start   uint64 // sequence number at which the shard began
	records []record
	closed  bool
}

func sequence(n uint64) string { return fmt.Sprintf(firstSequence, n) }

// append records a change. The caller holds the table's lock, so records are in
// the order of the writes.
func (s *stream) append(db *DB, old, new item, expired bool) {
	r := record{at: db.now(), expired: expired}
	some := new
	switch {
	case old == nil:
		r.name = "INSERT"
	case new == nil:
		r.name, some = "REMOVE", old
	default:
		r.name = "MODIFY"
	}
	r.keys, r.new = some.pick(s.key), new
	r.size = r.keys.size() + new.size()
	s.mu.Lock()
	r.seq = db.sequence.Add(1)
	s.records = append(s.records, r)
	s.trim(r.at)
	s.mu.Unlock()
	db.announce()
}

// trim forgets what is older than the retention.
func (s *stream) trim(now time.Time) {
	old := 0
	for old < len(s.records) && now.Sub(s.records[old].at) > streamRetention {
		old++
	}
	if old > 0 {
		s.start = s.records[old-1].seq + 1
		s.records = append([]record(nil), s.records[old:]...)
	}
}

func (s *stream) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// wire is a record as GetRecords gives it.
func (r record) wire(s *stream, region string) map[string]any {
	inner := map[string]any{
		"ApproximateCreationDateTime": r.at.Unix(),
		"Keys":                        r.keys.wire(),
		"SequenceNumber":              sequence(r.seq),
		"SizeBytes":                   r.size,
		"StreamViewType":              viewType,
	}
	if r.new != nil {
		inner["NewImage"] = r.new.wire()
	}
	out := map[string]any{
		"eventID":      fmt.Sprintf("%032x", r.seq),
		"eventName":    r.name,
		"eventVersion": "1.1",
		"eventSource":  "aws:dynamodb",
		"awsRegion":    region,
		"dynamodb":     inner,
	}
	if r.expired {
		out["userIdentity"] = map[string]any{"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
	}
	return out
}

// iterator is a place in a shard; readers hold it as an opaque text.
type iterator struct {
	stream string
	from   uint64 // the lowest sequence number to be read
	issued time.Time
}

func (it iterator) String() string {
	return fmt.Sprintf("%s|%d|%d", it.stream, it.from, it.issued.UnixMilli())
}

func parseIterator(s string) (iterator, bool) {
	parts := strings.Split(s, "|")
	if len(parts) != 3 {
		return iterator{}, false
	}
	from, errFrom := strconv.ParseUint(parts[1], 10, 64)
	issued, errIssued := strconv.ParseInt(parts[2], 10, 64)
	return iterator{parts[0], from, time.UnixMilli(issued)}, errFrom == nil && errIssued == nil
}

// streamOf finds a stream by its ARN.
func (db *DB) streamOf(arn string) (*stream, error) {
	db.tables.RLock()
	defer db.tables.RUnlock()
	for _, s := range db.tables.streams {
		if s.arn == arn {
			return s, nil
		}
	}
	return nil, notFound("Stream: %s not found", arn)
}

func (db *DB) listStreams(in *tableInput) (any, error) {
	db.tables.RLock()
	defer db.tables.RUnlock()
	list := []any{}
	for _, s := range db.tables.streams {
		if in.TableName == "" || s.table == in.TableName {
			list = append(list, map[string]any{"StreamArn": s.arn, "TableName": s.table, "StreamLabel": s.label})
		}
	}
	return map[string]any{"Streams": list}, nil
}

func (db *DB) describeStream(in *struct{ StreamArn string }) (any, error) {
	s, err := db.streamOf(in.StreamArn)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := "ENABLED"
	numbers := map[string]any{"StartingSequenceNumber": sequence(s.start)}
	if s.closed {
		status = "DISABLED"
		numbers["EndingSequenceNumber"] = sequence(s.end())
	}
	return map[string]any{"StreamDescription": map[string]any{
		"StreamArn":               s.arn,
		"StreamLabel":             s.label,
		"StreamStatus":            status,
		"StreamViewType":          viewType,
		"CreationRequestDateTime": s.opened.Unix(),
		"TableName":               s.table,
		"KeySchema":               keySchema(s.key),
		"Shards":                  []any{map[string]any{"ShardId": s.shard, "SequenceNumberRange": numbers}},
	}}, nil
}

// end is the last sequence number in the shard.
func (s *stream) end() uint64 {
	if n := len(s.records); n > 0 {
		return s.records[n-1].seq
	}
	return s.start
}

type getShardIteratorInput struct {
	StreamArn, ShardIteratorType, SequenceNumber string
	ShardID                                      string `json:"ShardId"`
}

func (db *DB) getShardIterator(in *getShardIteratorInput) (any, error) {
	s, err := db.streamOf(in.StreamArn)
	if err != nil {
		return nil, err
	}
	if in.ShardID != s.shard {
		return nil, notFound("Shard does not exist")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim(db.now())
	it := iterator{s.arn, s.start, db.now()}
	switch in.ShardIteratorType {
	case "TRIM_HORIZON":
	case "LATEST":
		it.from = db.sequence.Load() + 1
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		var n uint64
		if _, err := fmt.Sscanf(in.SequenceNumber, firstSequence, &n); err != nil || sequence(n) != in.SequenceNumber {
			return nil, invalid("Invalid SequenceNumber: %q", in.SequenceNumber)
		}
		if n < s.start {
			return nil, trimmed()
		}
		it.from = n
		if in.ShardIteratorType == "AFTER_SEQUENCE_NUMBER" {
			it.from++
		}
	default:
		return nil, invalid("unknown ShardIteratorType %q", in.ShardIteratorType)
	}
	return map[string]any{"ShardIterator": it.String()}, nil
}

func trimmed() error {
	return &awsjson.Error{Type: prefixDynamo + "TrimmedDataAccessException", Message: "The operation attempted to read past the oldest stream record in a shard."}
}

type getRecordsInput struct {
	ShardIterator string
	Limit         *int
}

func (db *DB) getRecords(in *getRecordsInput) (any, error) {
	limit := maxRecords
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > maxRecords {
		return nil, invalid("Limit must be from 1 to %d", maxRecords)
	}
	it, ok := parseIterator(in.ShardIterator)
	if !ok {
		return nil, invalid("Invalid ShardIterator")
	}
	now := db.now()
	if now.Sub(it.issued) > iteratorLifetime {
		return nil, &awsjson.Error{Type: prefixDynamo + "ExpiredIteratorException", Message: "The shard iterator has expired: it was issued more than 15 minutes ago."}
	}
	s, err := db.streamOf(it.stream)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim(now)
	if it.from < s.start {
		return nil, trimmed()
	}
	records := []any{}
	bytes := 0
	at, _ := slices.BinarySearchFunc(s.records, it.from, func(r record, from uint64) int { return cmp.Compare(r.seq, from) })
	next := it
	next.issued = now
	for ; at < len(s.records) && len(records) < limit && (bytes == 0 || bytes+s.records[at].size <= maxRecordBytes); at++ {
		r := s.records[at]
		bytes += r.size
		records = append(records, r.wire(s, db.region))
		next.from = r.seq + 1
	}
	out := map[string]any{"Records": records}
	if !s.closed || at < len(s.records) {
		out["NextShardIterator"] = next.String()
	}
	return out, nil
}
