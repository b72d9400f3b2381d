// Package provision is the engine: it carries one order to its end in WHMCS,
// exactly once, however often it is interrupted.
//
// The rule it keeps: an effect (AddOrder, AcceptOrder) leaves only after a
// fenced write has said that it may, only inside the window that this write
// names, and never again unless it is proven that the former one did nothing.
// It must not know DynamoDB, HTTP, Salesforce or WHMCS: they stand behind the
// ports of this package.
//
// # What is authoritative for what
//
// The item in the table says how far an order may have got; it is the only
// truth about that. WHMCS says what exists. Salesforce says what was asked for,
// until the plan is pinned by the write before the first send; from then on the
// plan says it. Wake-ups (queue, clock, operator) say nothing: all enter by
// Engine.Run, and recovery is the normal path.
//
// # Who may act
//
// A worker acts under a lease: a random token in the item, valid until
// lease_until, never past the invocation's deadline. Every later write is
// conditional on the token and on state working; when it fails the worker stops
// and does nothing more. The fence counts leases and is never reset. The table's
// condition cannot reach WHMCS, so the send window is the second fence: a
// request leaves before add_until (accept_until) by the wall clock or never,
// and nobody looks for its result, or repeats it, before that time, the clock
// margin and the longest run of WHMCS (settle) have passed:
//
//	settled(x) = x_until + margin + settle < now
//
// # The states and the way between them
//
//	queued ──lease──▶ working ──▶ provisioned
//	   ▲                │  │
//	   │ click    park  │  └────▶ failed ──click with a new key, or resolve──▶ queued
//	   └── waiting ◀────┘
//
// Every row is one conditional write under F (lease = mine and state working);
// neighbouring rows are written as one where nothing leaves between them, so
// that an undisturbed order costs five writes: claim, lease, adding, accepting,
// provisioned. decide follows them.
//
//	none       look_before applies             adding, adds 0              → look
//	none       load fails, retryable           waiting, due = backoff
//	none       load fails, permanent           failed, its code
//	none       Salesforce holds a WHMCS id     adding, adds 0              → look
//	none       loaded                          adding, adds 1, add_until   → AddOrder
//	adding     not settled                     waiting, due = end of settle
//	adding     look: one live hit as planned   added                       → compare
//	adding     look: one that differs, several
//	           live, only cancelled, a new
//	           unmarked one, an unstable list  failed, a review code
//	adding     look: nothing; adds 0, or
//	           adds < 5 and resend = auto      adds+1, add_until           → AddOrder
//	adding     look: nothing, otherwise        failed add_outcome_unknown
//	adding     sent: success with id           added                       → compare
//	adding     sent: certainly not done        adds−1; 0: back to none     → park, or failed
//	adding     sent: anything else             waiting, due = end of settle
//	added      as planned, marker there        accepting, accept_until     → AcceptOrder
//	added      already Active                  accepted                    → verify
//	added      differs                         failed whmcs_order_mismatch
//	added      marker missing, not adopted     failed marker_not_kept; WHMCS's breaker opens
//	any below  cancelled, fraud, gone          failed whmcs_order_cancelled
//	accepting  sent: success, or not Pending
//	           and a read says Active          accepted                    → verify
//	accepting  sent: module text               failed module_failed
//	accepting  sent: certainly not done        added                       → park
//	accepting  sent: anything else             waiting, due = end of settle
//	accepting  not settled                     waiting, due = end of settle
//	accepting  settled: Active                 accepted                    → verify
//	accepting  settled: Pending, and a person
//	           clicked after module_failed, or
//	           the product is idempotent       accepting, accept_until     → AcceptOrder
//	accepting  settled: still Pending          failed accept_outcome_unknown
//	accepted   one of ours in the module queue failed module_failed
//	accepted   all active, queue empty, and if
//	           adds ≥ 2, or adopted after an
//	           AddOrder, no hit beside it      provisioned
//	accepted   not yet, < 15 min               waiting
//	accepted   not yet, later                  failed not_verified
//	past none  load or a read fails, permanent failed, the point's review code
//	open       tried for 72 h, settled         failed retries_exhausted at none, else the unknown code
//
// # When a side does not serve
//
// A retryable fault is tried twice again inside the invocation, then by the
// clock with full jitter; three runs in a row that end so open the side's
// breaker. A fault of the installation opens it at once. While it is open, or
// WHMCS is paused, orders wait and no try is spent. The one worker that wins
// the probe by a conditional write asks with a read, never with an effect.
//
// # Trust
//
// What is guaranteed holds under the assumptions A1 to A7 of
// docs/exactly-once.md. A worker that was frozen between check and send cannot
// send late: the connection's Write compares the wall clock with the window.
package provision
