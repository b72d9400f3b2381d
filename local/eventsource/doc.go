// Package eventsource carries events from streams and queues to functions and
// queues, as Lambda's event source mappings and EventBridge Pipes do: filters,
// batches, windows, partial failures, bisecting, retries, record age, dead
// letters.
//
// The rule it keeps: within a shard no record is passed over or overtaken until
// it was delivered, filtered out, or given up after the retries and the age
// that the template allows. It must not know what records mean.
//
// Streams are read with the SDK's client, so that any DynamoDB can stand behind
// it. The position in a stream is kept in memory: after a restart everything
// that is still in the stream comes again, which a mapping allows (at least
// once).
//
// Sources: Lambda Developer Guide, "Using Lambda with DynamoDB Streams" and
// "Using Lambda with Amazon SQS"; EventBridge User Guide, "Pipes".
package eventsource
