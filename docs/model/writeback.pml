/*
 * The status write-back of one order: changes of the item, pushes that are
 * reordered, doubled, late, lost and redriven, and Salesforce with its rule on
 * the sequence number. README.md beside this file says more.
 *
 * A change is known by ver, its place in the true history, which no real system
 * has. pending and flight are sets of changes (bit v), so a push may be
 * doubled and overtaken at will; the search does not bound how often.
 *
 * Two sweeps, as the product has them. Confirm looks from the table's side for
 * each change once it is some minutes old (unseen), and tries again what was
 * refused. Ask looks from Salesforce's side at what was changed there since its
 * last time (dirty), and at what has shown Activating for long (cover: a sender
 * writes that with its click, without a seq, and the callout may never come).
 *
 *   CHANGES  changes of the item, rebirths and one restore included      4
 * Switches: NO_RULE NO_ITEM_RULE REBORN_AT_1 APEX REDRIVE_OLD SAME_SEQ
 * NO_CONFIRM LOOK_ONCE NO_ASK SEQ_ONLY MARK_KEPT
 * LIVE bounds lost replies, dead letters and uncalled clicks, and adds the claim.
 */
#ifndef CHANGES
#define CHANGES 4
#endif
#define BIT(v) (1 << (v))
#define HAS(set, v) ((set) & BIT(v))

bit exists = 1;
byte ver = 1, seq = 1, now = 1; /* the item; now is the clock that seq starts from */
byte seqof[CHANGES + 1];
byte pending, flight;
bit dead;                       /* something lies among the dead letters */
byte sfver, sfseq;              /* what Salesforce shows of the order */
byte itver, itseq;              /* and of its products: the service ids */
bit cover;                      /* Activating over it, by the sender */
bit unseen;                     /* Confirm has not seen the last change in Salesforce */
bit dirty;                      /* changed in Salesforce since Ask looked last */
byte alias;                     /* the change to which the table was restored */
bit restored;
#define SHOWN ((sfver == ver || sfver == alias) && !cover)
#ifdef REDRIVE_OLD
byte oldver, oldseq;
#endif
#ifdef LIVE
byte faults;
#define FAULT faults < 2
#define COUNT faults++
#else
#define FAULT true
#define COUNT skip
#endif
bit W1_never_backwards = 1;
#ifdef LIVE
bit W2_converges = 1;
#endif

inline display(v) { W1_never_backwards = (v >= sfver || restored); assert(W1_never_backwards); sfver = v; cover = 0; dirty = 1 }
inline services(v) { W1_never_backwards = (v >= itver || restored); assert(W1_never_backwards); itver = v }
inline push(v, s) {
#ifdef NO_RULE
  display(v); sfseq = s
#else
  if :: s >= sfseq -> display(v); sfseq = s :: else fi; /* refused as stale: a query shows seq >= ours */
#endif
#ifdef NO_ITEM_RULE
  services(v)
#else
  if :: s >= itseq -> services(v); itseq = s :: else fi
#endif
}
inline record() { seqof[ver] = seq; pending = pending | BIT(ver); unseen = 1; alias = 0 }

inline raise() { seq = (sfseq + 1 > now -> sfseq + 1 : now); record() }

proctype Item() {
end:
  do
  :: atomic { exists && ver < CHANGES -> ver++; seq = (seq + 1 > now -> seq + 1 : now); record() }
#ifdef SAME_SEQ /* a field that Salesforce shows changes and seq does not */
  :: atomic { exists && ver < CHANGES -> ver++; record() }
#endif
  :: atomic { exists && ver < CHANGES && now <= seq -> now = seq + 1 } /* time passes */
  /* retention: long after the last change, which the sweep has brought over by then */
  :: atomic { exists && ver < CHANGES && SHOWN -> exists = 0; now = (now > seq -> now : seq) + 1 }
  :: atomic { !exists -> exists = 1; ver++;
#ifdef REBORN_AT_1
       seq = 1;
#else
       seq = now;
#endif
       record() }
  /* the table is restored to its first image, and the marks of the sweeps with it:
     what came later is pending still, or shown, and may be shown yet (no W1) */
  :: atomic { exists && !restored && ver > 1 && ver < CHANGES -> restored = 1; now = (now > seq -> now : seq) + 1; ver++; seq = seqof[1]; seqof[ver] = seq; alias = 1; unseen = 0;
#ifndef MARK_KEPT
       dirty = 1
#endif
       }
  /* the sender's click; its callout never comes */
  :: atomic { exists && sfver && !cover && FAULT -> COUNT; cover = 1 }
  od
}

byte a; /* the choice of the pusher, within one step only */
byte b;
inline choose(x, set) {
  x = 1;
  do :: (set) >> (x + 1) -> x++ :: HAS(set, x) -> break od
}

proctype Push() {
end:
  do
  :: atomic { pending & ~flight -> choose(a, pending & ~flight); flight = flight | BIT(a); a = 0 }
  od
}

/* an older image of the same batch is skipped */
proctype Skip() {
end:
  do
  :: atomic { pending & (pending - 1) -> choose(a, pending);
       if :: pending >> (a + 1) -> pending = pending & ~BIT(a) :: else fi; a = 0 }
  od
}

proctype Salesforce() {
end:
  do
  :: atomic { flight -> choose(b, flight); flight = flight & ~BIT(b); push(b, seqof[b]);
       if :: pending = pending & ~BIT(b) :: FAULT -> COUNT fi; b = 0 }          /* answered / answer lost */
  :: atomic { flight && FAULT -> COUNT; choose(b, flight); flight = flight & ~BIT(b); b = 0 } /* request lost */
#ifndef LIVE
  :: atomic { flight -> choose(b, flight); push(b, seqof[b]); b = 0 }             /* done, and will come again */
#endif
#ifdef REDRIVE_OLD
  :: atomic { oldver -> push(oldver, oldseq); oldver = 0; oldseq = 0 }
#endif
#ifdef APEX /* Apex writes the status that its callout was answered, without a seq */
  :: atomic { pending -> choose(b, pending); display(b); b = 0 }
#endif
  od
}

/* six hours old, or refused for good: to the dead letters */
proctype GiveUp() {
end:
  do
  :: atomic { pending && FAULT -> COUNT; choose(a, pending); pending = pending & ~BIT(a); dead = 1;
#ifdef REDRIVE_OLD /* a redrive sends the old image with the newest seq */
       if :: exists && !oldver -> oldver = a; oldseq = seq :: true fi;
#endif
       a = 0 }
#ifndef LIVE /* a redrive need not happen */
  :: atomic { dead -> dead = 0; if :: exists -> pending = pending | BIT(ver) :: else fi }
#endif
  od
}

/* from the table's side, some minutes after each change */
proctype Confirm() {
end:
  do
#ifdef LIVE /* nothing can happen any more: the fair search does not see such an end */
  :: timeout -> W2_converges = SHOWN; assert(W2_converges)
#endif
#ifndef NO_CONFIRM
  :: atomic { exists && unseen && !HAS(pending, ver) ->
       if
       :: sfseq > seq -> raise()                         /* ahead of the table: a newer seq */
       :: sfseq == seq && SHOWN -> unseen = 0
       :: else -> pending = pending | BIT(ver)
#ifdef LOOK_ONCE /* what is refused then is not remembered */
          ; unseen = 0
#endif
       fi }
#endif
#if defined(NO_CONFIRM) && !defined(LIVE)
  :: false
#endif
  od
}

/* from Salesforce's side, once an hour */
proctype Ask() {
end:
  do
#ifndef NO_ASK
  :: atomic { exists && (dirty || cover) && !HAS(pending, ver) ->
       if
       :: sfseq > seq -> raise()
#ifdef SEQ_ONLY
       :: sfseq == seq -> dirty = 0
#else
       :: sfseq == seq && SHOWN -> dirty = 0
#endif
       :: else -> pending = pending | BIT(ver)
       fi }
#endif
#ifdef NO_ASK
  :: false
#endif
  od
}

init {
  atomic { record(); run Item(); run Push(); run Skip(); run Salesforce(); run GiveUp(); run Confirm(); run Ask() }
}

#ifdef LIVE
ltl W2 { <>[] SHOWN }
#endif
