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
// and no worker searches for its result, or repeats it, before that time, the
// clock margin and the longest run of WHMCS (settle) have passed:
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
// decide is the table: from the record and what is known besides it makes a
// Move, which names its row. Every write is conditional on F (lease = mine and
// state working). Neighbouring rows are written as one where nothing leaves
// between them ("staged"), so that an undisturbed order costs five writes:
// claim, lease, adding, accepting, provisioned. decide_test.go has a case for
// each row, in this order.
//
//	none/look-before          look_before applies                      adding, adds 0               → search
//	none/word-absent          a person says that there is none         adding, adds 0               → search
//	none/salesforce-blocked   Salesforce's breaker is open             waiting until it closes
//	none/salesforce-holds-id  Salesforce holds a WHMCS id              adding, adds 0               → search
//	none/shown-before         Salesforce holds a seq older than item   adding, adds 0               → search
//	none/send                 loaded                                   adding, adds+1, add_until    → AddOrder
//
//	adding/unsettled          AddOrder may still run                   waiting until it has ended
//	adding/held-absent        WHMCS lacks the order Salesforce names   failed whmcs_id_foreign
//	adding/held-foreign       it lacks this order's marker             failed whmcs_id_foreign
//	adding/known-lives        a person says that there is none, and    failed whmcs_order_ambiguous
//	                          the order that was known lives
//	adding/unstable           the listings differ each time            failed add_outcome_unknown
//	adding/several            several live hits                        failed whmcs_order_ambiguous
//	adding/dead               the hits are cancelled, fraud or gone    failed whmcs_order_cancelled
//	adding/suspect            a new order of the client whose marker   failed whmcs_order_ambiguous
//	                          does not say whose it is
//	adding/differs            one live hit, not as planned             failed whmcs_order_mismatch
//	adding/found              one live hit, as planned                 added, its id (accepting, if → compare
//	                                                                   AcceptOrder may have left)
//	adding/absent             no hit; adds 0, or < 5 and resend=auto   adding, adds+1, add_until    → AddOrder
//	adding/unknown            no hit, otherwise                        failed add_outcome_unknown
//
//	added/marker-missing      not named by a person, no marker         failed marker_not_kept; WHMCS is paused
//	added/differs             lines or status not as planned           failed whmcs_order_mismatch
//	added/active              Active already                           accepted, staged             → verify
//	added/send                Pending, as planned                      accepting, accept_until      → AcceptOrder
//	past/cancelled            cancelled, fraud or gone (from here on)  failed whmcs_order_cancelled
//	past/foreign              named by a person, another's marker      failed whmcs_order_mismatch
//	past/other-client         named by a person, not the plan's client failed whmcs_order_mismatch
//
//	accepting/unsettled       AcceptOrder may still run                waiting until it has ended
//	accepting/active          Active                                   accepted, staged             → verify
//	accepting/differs         neither Active nor Pending               failed whmcs_order_mismatch
//	accepting/consent         Pending; a click consents, or the module accepting, accept_until      → AcceptOrder
//	                          may run twice
//	accepting/unknown         Pending, otherwise                       failed accept_outcome_unknown
//
//	accepted/module-queue     a service stands in the module queue     failed module_failed
//	accepted/not-yet          not all active, < 15 min                 waiting
//	accepted/not-verified     not all active, later                    failed not_verified
//	accepted/marker-missing   adds ≥ 2, and no hit by the marker       failed marker_not_kept
//	accepted/several          adds ≥ 2 or named: a hit beside it       failed whmcs_order_ambiguous
//	accepted/suspect          the same, and a new one whose marker     failed whmcs_order_ambiguous
//	                          does not say whose it is
//	accepted/verified         all active, module queue empty           provisioned, service ids
//
//	sent/held-back            the time or clock forbade it at last     waiting, as before the stamp
//	sent/done                 success                                  added or accepted, staged
//	sent/unsure               may have happened                        waiting until it has ended
//	sent/module-failed        the module's text                        failed module_failed
//	sent/not-pending-active   "not Pending", and a read says Active    accepted, staged             → verify
//	sent/not-pending          "not Pending", and it is not Active      waiting until it has ended
//	sent/refused              certainly not done, for this order       failed, as before the stamp
//	sent/not-done             certainly not done, time for another     as before the stamp, staged  → again
//
//	any/read                  something is not known                   nothing                      → read it
//	any/renew                 a minute of reading is over              the lease renewed
//	any/no-time               too little time in this invocation       waiting, due now; the second time in a row later
//	any/blocked               paused, breaker open, effect not         waiting until that ends
//	                          answered, or clock skewed
//	any/read-again            a read failed, time for another          nothing                      → read again
//	any/tell-breaker          a side failed, an outcome is not known   nothing                      → tell its breaker
//	any/retry                 a read or an effect failed               waiting, due = backoff
//	any/config                the installation is at fault             waiting until the breaker closes
//	any/permanent             a person must correct data               failed; past none the point's review code
//	any/aborted               20 leases in a row ended without a word  failed not_processable at none, else the unknown code
//	any/exhausted             tried, or at fault by the installation,  failed retries_exhausted at none, else the unknown code
//	                          for 72 h since it was opened, work was
//	                          resumed, or a side came back
//
// # Searching
//
// A search (search.go, order.Search) reads WHMCS's lists of orders page by page;
// each page is a read of its own, so the lease is renewed between two. Waits and
// renewals keep how far it has come, every other write drops it: a search is
// always later than the last AddOrder's settle time. A listing stops at the id
// noted before the first AddOrder (FirstAddAfter).
//
// # When a module does not answer
//
// A worker that waits for AcceptOrder serves no other order. An engine remembers
// which products were not answered in time (modules.go): the next AcceptOrder of
// such a product is waited for 20 s only, and that it is not answered either is
// not counted by the breaker, since it says nothing new about WHMCS. It settles
// like any unknown outcome.
//
// # When a side does not serve
//
// A retryable fault is tried twice again inside the invocation, then by the
// clock with full jitter; three runs in a row that end so, counted in the table,
// open the side's breaker (package breaker). A fault of the installation opens
// it at once. While it is open, or WHMCS is paused, orders wait and no try is
// spent. The one worker that wins the probe by a conditional write asks with a
// read, never with an effect. The switch of WHMCS that an effect goes by was
// read at most 5 s before its stamp.
//
// Three effects of one kind in a row of which the outcome is not known hold that
// effect: a probe, which is a read, would show nothing of it. An order that is to
// send it waits, before it reads what was ordered; the one that wins the window by
// a conditional write is the canary and sends it. The window is never shorter than
// the effect may take. Orders that are searched for, or send the other effect, go
// on: no answer is needed to learn what became of an effect.
//
// # Trust
//
// What is guaranteed holds under the assumptions A1 to A7 of
// docs/exactly-once.md. A worker that was frozen between check and send cannot
// send late: the connection's Write compares the wall clock with the window.
package provision
