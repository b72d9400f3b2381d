// Package writeback keeps what Salesforce shows of an order equal to the newest
// image in the table: it decides what is to be shown, puts it into few calls,
// and decides from the answers what has to happen next.
//
// The rule it keeps: a status is never lost and never moves backwards. What is
// pushed is always the newest image known; the org refuses an older seq, of an
// order and of its products; a refusal counts as done only once the org is seen
// to show that seq or a newer one; and what the org refuses is kept in the table
// with the time of the next try, so that no row holds back another one. A dead
// letter, one for each change, names the order, never its content. It must not
// call AWS or HTTP itself (the org, the table and the queue are ports), and names
// no field of Salesforce's: those are known to package salesforce alone.
//
// Changes come in four ways. The stream of the table brings each visible one
// (Push). Minutes later the table's own list of changes is compared with what
// the org shows, and what was refused is tried again (Confirm). Once an hour the
// org is asked what was changed there (Sweep). A person who pushes an order, or
// redrives the dead letters, only raises the seq in the table: the stream then
// brings the newest image, so no old image is ever pushed.
package writeback
