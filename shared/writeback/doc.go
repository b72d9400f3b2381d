// Package writeback keeps what Salesforce shows of an order equal to the newest
// image in the table: it decides what is to be shown, puts it into few calls,
// and decides from the answers what has to happen next.
//
// The rule it keeps: a status is never lost and never moves backwards. What is
// pushed is always the newest image known; the org refuses an older seq; a
// refusal counts as done only once the org is seen to show that seq or a newer
// one; and what cannot be pushed is tried again or becomes a dead letter that
// names the order, never its content. It must not call AWS or HTTP itself (the
// org, the table and the queue are ports), and names no field of Salesforce's:
// those are known to package salesforce alone.
//
// Changes come in three ways. The stream of the table brings each visible one
// (Push). Once an hour the org is asked what it shows for orders that may have
// fallen behind (Sweep). A person who pushes an order, or redrives the dead
// letters, only raises the seq in the table: the stream then brings the newest
// image, so no old image is ever pushed.
package writeback
