/*
 * The status write-back of one order: changes of the item, pushes that are
 * reordered, doubled, late, lost and redriven, and Salesforce with its rule on
 * the sequence number. README.md beside this file says more.
 *
 * A change is known by ver, its place in the true history, which no real system
 * has. pending and flight are sets of changes (bit v), so a push may be
 * doubled and overtaken at will; the search does not bound how often.
 *
 *   CHANGES  changes of the item, rebirths included      4
 * Switches: NO_RULE REBORN_AT_1 APEX REDRIVE_OLD SAME_SEQ NO_SWEEP
 * LIVE bounds lost replies and dead letters, and adds the claim.
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
byte sfver, sfseq;              /* what Salesforce shows */
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

inline display(v) { W1_never_backwards = (v >= sfver); assert(W1_never_backwards); sfver = v }
inline push(v, s) {
#ifdef NO_RULE
  display(v); sfseq = s
#else
  if :: s >= sfseq -> display(v); sfseq = s :: else fi /* refused as stale: a query shows seq >= ours */
#endif
}
inline record() { seqof[ver] = seq; pending = pending | BIT(ver) }

proctype Item() {
end:
  do
  :: atomic { exists && ver < CHANGES -> ver++; seq = (seq + 1 > now -> seq + 1 : now); record() }
#ifdef SAME_SEQ /* a field that Salesforce shows changes and seq does not */
  :: atomic { exists && ver < CHANGES -> ver++; record() }
#endif
  :: atomic { exists && ver < CHANGES && now <= seq -> now = seq + 1 } /* time passes */
  /* retention: long after the last change, which the sweep has brought over by then */
  :: atomic { exists && ver < CHANGES && sfver == ver -> exists = 0; now = (now > seq -> now : seq) + 1 }
  :: atomic { !exists -> exists = 1; ver++;
#ifdef REBORN_AT_1
       seq = 1;
#else
       seq = now;
#endif
       record() }
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

/* once an hour Salesforce is asked what it shows */
proctype Sweep() {
end:
  do
#ifdef LIVE /* nothing can happen any more: the fair search does not see such an end */
  :: timeout -> W2_converges = (sfver == ver); assert(W2_converges)
#endif
#ifndef NO_SWEEP
  :: atomic { exists && sfseq != seq && !HAS(pending, ver) -> pending = pending | BIT(ver) }
#endif
#if defined(NO_SWEEP) && !defined(LIVE)
  :: false
#endif
  od
}

init {
  atomic { record(); run Item(); run Push(); run Skip(); run Salesforce(); run GiveUp(); run Sweep() }
}

#ifdef LIVE
ltl W2 { <>[] (sfver == ver) }
#endif
