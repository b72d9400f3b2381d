// Package writeback keeps what Salesforce shows of an order at the newest
// truth: from images to fields, from fields to few calls, and from the answers
// to what has to happen next.
//
// The rule it keeps: a status is never lost and never moves backwards. What is
// pushed is always the newest image known; the org refuses an older
// Provisioning_Seq__c; a refusal counts as done only once the org is seen to
// show that seq or a newer one; and what cannot be pushed is tried again or
// becomes a dead letter that names the order, never its fields. It must not
// call AWS or HTTP itself: the org, the table and the queue are ports.
//
// Three ways lead here. The stream of the table brings each visible change
// (Push). Once an hour the org is asked what it shows for orders that may have
// fallen behind (Sweep). A person who sends an order again, or all dead
// letters, only raises their seq in the table: the stream then brings the
// newest image once more, so no old image is ever pushed.
package writeback
