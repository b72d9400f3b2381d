// Package sqs is Amazon SQS on one machine: standard queues in memory, with
// visibility time-out, delay, retention and dead letters, over the real wire
// protocol (AWS JSON 1.0), so that the unmodified SDK works against it.
//
// The rule it keeps: a message is handed out again unless it was deleted while
// its receipt handle was the newest. It must not know what messages mean.
package sqs
