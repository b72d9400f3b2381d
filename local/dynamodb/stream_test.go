package dynamodb_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/google/go-cmp/cmp"

	dynamo "orderbridge/local/dynamodb"
)

// shard finds stream and shard of a table.
func (r *rig) shard(table string) (arn, shard string) {
	r.Helper()
	d := must(r.client.DescribeTable(r.ctx, &dynamodb.DescribeTableInput{TableName: &table}))
	out := must(r.streams.DescribeStream(r.ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: d.Table.LatestStreamArn}))
	return *d.Table.LatestStreamArn, *out.StreamDescription.Shards[0].ShardId
}

func (r *rig) iterator(kind streamtypes.ShardIteratorType, sequence *string) *string {
	r.Helper()
	arn, shard := r.shard("Orders")
	out := must(r.streams.GetShardIterator(r.ctx, &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard, ShardIteratorType: kind, SequenceNumber: sequence}))
	return out.ShardIterator
}

// records reads on from an iterator until nothing is left.
func (r *rig) records(iterator *string) (all []streamtypes.Record, next *string) {
	r.Helper()
	for iterator != nil {
		out := must(r.streams.GetRecords(r.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}))
		all = append(all, out.Records...)
		iterator = out.NextShardIterator
		if len(out.Records) == 0 {
			break
		}
	}
	return all, iterator
}

func streamText(v streamtypes.AttributeValue) string {
	switch t := v.(type) {
	case *streamtypes.AttributeValueMemberS:
		return t.Value
	case *streamtypes.AttributeValueMemberN:
		return t.Value
	}
	return ""
}

func TestTheStreamTellsWhatChanged(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "v": n("1")})
	r.put(values{"pk": s("1"), "v": n("1.0")})                        // the same
	r.mustUpdate("1", "SET v = :v", values{":v": n("1")})             // the same
	r.mustUpdate("1", "SET v = :v", values{":v": n("2")})             // changed
	r.mustUpdate("1", "REMOVE nothere", nil)                          // nothing
	if _, err := r.try("attribute_not_exists(pk)", nil); err != nil { // refused
		t.Fatal(err)
	}
	for range 2 { // the second deletes nothing
		must(r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}}))
	}
	got, _ := r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
	if len(got) != 3 {
		t.Fatalf("%d records", len(got))
	}
	last := ""
	for i, want := range []struct {
		name  streamtypes.OperationType
		image map[string]streamtypes.AttributeValue
	}{
		{"INSERT", map[string]streamtypes.AttributeValue{"pk": &streamtypes.AttributeValueMemberS{Value: "1"}, "v": &streamtypes.AttributeValueMemberN{Value: "1"}}},
		{"MODIFY", map[string]streamtypes.AttributeValue{"pk": &streamtypes.AttributeValueMemberS{Value: "1"}, "v": &streamtypes.AttributeValueMemberN{Value: "2"}}},
		{"REMOVE", nil},
	} {
		rec := got[i]
		if rec.EventName != want.name || *rec.EventSource != "aws:dynamodb" || rec.UserIdentity != nil || rec.EventID == nil {
			t.Errorf("record %d: %+v", i, rec)
		}
		if d := cmp.Diff(want.image, rec.Dynamodb.NewImage, noState...); d != "" {
			t.Errorf("record %d (-want +got):\n%s", i, d)
		}
		if rec.Dynamodb.OldImage != nil || rec.Dynamodb.StreamViewType != "NEW_IMAGE" || streamText(rec.Dynamodb.Keys["pk"]) != "1" || len(rec.Dynamodb.Keys) != 1 {
			t.Errorf("record %d: %+v", i, rec.Dynamodb)
		}
		if !rec.Dynamodb.ApproximateCreationDateTime.Equal(r.clock.now()) {
			t.Errorf("record %d is of %v", i, rec.Dynamodb.ApproximateCreationDateTime)
		}
		seq := *rec.Dynamodb.SequenceNumber
		if !regexp.MustCompile(`^[0-9]{21,40}$`).MatchString(seq) || seq <= last {
			t.Errorf("sequence number %s after %s", seq, last)
		}
		last = seq
	}
}

func TestIteratorsStartWhereTheyShould(t *testing.T) {
	r := start(t).orders()
	put := func(i int) { r.put(values{"pk": s(fmt.Sprint(i))}) }
	put(1)
	put(2)
	latest := r.iterator(streamtypes.ShardIteratorTypeLatest, nil)
	put(3)
	all, end := r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
	second := all[1].Dynamodb.SequenceNumber
	for name, c := range map[string]struct {
		iterator *string
		first    string
		count    int
	}{
		"TRIM_HORIZON":          {r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil), "1", 3},
		"LATEST":                {latest, "3", 1},
		"AT_SEQUENCE_NUMBER":    {r.iterator(streamtypes.ShardIteratorTypeAtSequenceNumber, second), "2", 2},
		"AFTER_SEQUENCE_NUMBER": {r.iterator(streamtypes.ShardIteratorTypeAfterSequenceNumber, second), "3", 1},
	} {
		got, _ := r.records(c.iterator)
		if len(got) != c.count || streamText(got[0].Dynamodb.Keys["pk"]) != c.first {
			t.Errorf("%s: %d records, first %v", name, len(got), got)
		}
	}
	put(4)
	if got, _ := r.records(end); len(got) != 1 || streamText(got[0].Dynamodb.Keys["pk"]) != "4" {
		t.Errorf("reading on: %v", got)
	}
	out, err := r.streams.GetRecords(r.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil), Limit: aws.Int32(3)})
	if err != nil || len(out.Records) != 3 {
		t.Fatal(out, err)
	}
}

func TestStreamErrors(t *testing.T) {
	r := start(t).orders()
	arn, shard := r.shard("Orders")
	iterator := r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil)
	r.put(values{"pk": s("1")})
	all, _ := r.records(iterator)
	refused := func(operation, body, want string) {
		t.Helper()
		if code, out := r.raw("POST", "DynamoDBStreams_20120810."+operation, "AWS4-", body); code != 400 || !strings.Contains(fmt.Sprint(out["__type"], ": ", out["message"]), want) {
			t.Errorf("%s %s: %d %v, want %s", operation, body, code, out, want)
		}
	}
	of := func(shard, kind string) string {
		return fmt.Sprintf(`{"StreamArn":%q,"ShardId":%q,"ShardIteratorType":%s}`, arn, shard, kind)
	}
	at := `"AT_SEQUENCE_NUMBER","SequenceNumber":"` + *all[0].Dynamodb.SequenceNumber + `"`
	refused("GetRecords", `{"ShardIterator":"nonsense"}`, "ValidationException: Invalid ShardIterator")
	refused("DescribeStream", `{"StreamArn":"`+arn+`x"}`, "ResourceNotFoundException: ")
	refused("GetShardIterator", of(shard+"x", `"LATEST"`), "ResourceNotFoundException: Requested resource not found: Shard does not exist")
	refused("GetShardIterator", of(shard, `"AT_SEQUENCE_NUMBER"`), "ValidationException: Invalid SequenceNumber")
	refused("GetShardIterator", of(shard, `"WHENEVER"`), `ValidationException: unknown ShardIteratorType "WHENEVER"`)
	r.clock.advance(15*time.Minute + time.Second)
	refused("GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, *iterator), "ExpiredIteratorException: ")
	// A day later the records are gone, and a reader who wants one of them hears of it.
	r.clock.advance(24 * time.Hour)
	if got, _ := r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil)); len(got) != 0 {
		t.Errorf("still %d records", len(got))
	}
	refused("GetShardIterator", of(shard, at), "TrimmedDataAccessException: ")
}

func TestTheStreamOutlivesItsTable(t *testing.T) {
	r := start(t).orders()
	iterator := r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil)
	r.put(values{"pk": s("1")})
	arn, _ := r.shard("Orders")
	must(r.client.DeleteTable(r.ctx, &dynamodb.DeleteTableInput{TableName: aws.String("Orders")}))
	got, next := r.records(iterator)
	if len(got) != 1 || next != nil {
		t.Fatalf("%d records, next %v", len(got), next)
	}
	d, err := r.streams.DescribeStream(r.ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &arn})
	if err != nil || d.StreamDescription.StreamStatus != streamtypes.StreamStatusDisabled || d.StreamDescription.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Fatal(d, err)
	}
	r.orders() // another stream of the same name
	out, err := r.streams.ListStreams(r.ctx, &dynamodbstreams.ListStreamsInput{TableName: aws.String("Orders")})
	if err != nil || len(out.Streams) != 2 || *out.Streams[0].StreamArn == *out.Streams[1].StreamArn {
		t.Fatal(out, err)
	}
	if got, _ := r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil)); len(got) != 0 {
		t.Fatalf("the new stream has %d records of the old", len(got))
	}
}

// However many write, no change is lost, and the stream has every change of an
// item once and in order.
func TestConcurrentWritersLoseNothing(t *testing.T) {
	r := start(t).orders()
	const writers, each, items = 16, 40, 4
	for pk := range items {
		r.put(values{"pk": s(fmt.Sprint(pk)), "seen": m(values{})})
	}
	together(writers, func(w int) {
		for k := range each {
			if _, err := r.update(fmt.Sprint(w%items), fmt.Sprintf("SET v = if_not_exists(v, :zero) + :one, seen.w%dk%d = :one", w, k), values{":zero": n("0"), ":one": n("1")}); err != nil {
				t.Error(err)
			}
		}
	})
	got, _ := r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
	if len(got) != items+writers*each {
		t.Fatalf("%d records, want %d", len(got), items+writers*each)
	}
	seen := map[string]int{}
	for _, rec := range got[items:] {
		pk := streamText(rec.Dynamodb.Keys["pk"])
		seen[pk]++
		if v, marks := streamText(rec.Dynamodb.NewImage["v"]), rec.Dynamodb.NewImage["seen"].(*streamtypes.AttributeValueMemberM).Value; v != strconv.Itoa(seen[pk]) || len(marks) != seen[pk] {
			t.Fatalf("item %s: record %d shows %s and %d marks", pk, seen[pk], v, len(marks))
		}
	}
}

func TestChangedWakesReaders(t *testing.T) {
	r := start(t).orders()
	changed := r.db.Changed()
	select {
	case <-changed:
		t.Fatal("changed before anything was written")
	default:
	}
	r.put(values{"pk": s("1")})
	<-changed
	changed = r.db.Changed()
	r.put(values{"pk": s("1")}) // the same: no record
	select {
	case <-changed:
		t.Fatal("a write that changes nothing woke a reader")
	default:
	}
}

func TestTimeToLive(t *testing.T) {
	r := start(t).orders()
	enable := func(on bool) error {
		_, err := r.client.UpdateTimeToLive(r.ctx, &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("Orders"),
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires_at"), Enabled: &on}})
		return err
	}
	now := r.clock.now().Unix()
	at := func(d time.Duration) types.AttributeValue { return n(strconv.FormatInt(now+int64(d/time.Second), 10)) }
	r.put(values{"pk": s("over"), "expires_at": at(-time.Second), "due_shard": s("0"), "due_at": n("1")})
	r.put(values{"pk": s("now"), "expires_at": at(0)})
	kept := map[string]values{
		"later": {"expires_at": at(time.Second)}, "never": {}, "text": {"expires_at": s(strconv.FormatInt(now-1, 10))}, "iso": {"expires_at": s("2020-01-01T00:00:00Z")},
		"nested": {"m": m(values{"expires_at": at(-time.Second)})}, "ages ago": {"expires_at": at(-6 * 365 * 24 * time.Hour)}, "milliseconds": {"expires_at": n(strconv.FormatInt(now*1000, 10))},
	}
	for pk, item := range kept {
		item["pk"] = s(pk)
		r.put(item)
	}
	if got := r.db.Sweep(); got != 0 {
		t.Fatalf("swept %d without TTL", got)
	}
	wantInvalid(t, enable(false), "does not support switching TTL off")
	if err := enable(true); err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, enable(true), "TimeToLive is already enabled")
	latest := r.iterator(streamtypes.ShardIteratorTypeLatest, nil)
	r.db.Switches().Set(func(s *dynamo.Settings) { s.TTLOff = true })
	if got := r.db.Sweep(); got != 0 {
		t.Fatalf("swept %d with TTL switched off", got)
	}
	r.db.Switches().Set(func(s *dynamo.Settings) { s.TTLOff = false })
	units := r.db.Consumed()["Orders"].WriteUnits
	if got := r.db.Sweep(); got != 2 {
		t.Fatalf("swept %d, want 2", got)
	}
	if r.db.Consumed()["Orders"].WriteUnits != units {
		t.Error("TTL deletes are charged")
	}
	for pk := range kept {
		if r.get(pk) == nil {
			t.Errorf("%q is gone", pk)
		}
	}
	wantDue(t, r)
	got, _ := r.records(latest)
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	for _, rec := range got {
		if rec.EventName != streamtypes.OperationTypeRemove || rec.Dynamodb.NewImage != nil || rec.UserIdentity == nil ||
			*rec.UserIdentity.Type != "Service" || *rec.UserIdentity.PrincipalId != "dynamodb.amazonaws.com" {
			t.Errorf("record %+v, by %+v", rec, rec.UserIdentity)
		}
	}
	r.clock.advance(time.Second)
	if got := r.db.Sweep(); got != 1 || r.get("later") != nil {
		t.Fatalf("swept %d a second later", got)
	}
}
