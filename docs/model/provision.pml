/*
 * The provisioning protocol: one order, several workers, one WHMCS that has no
 * idempotency key. What is modelled, what is not, and how to read a
 * counterexample: README.md beside this file. run.sh runs every row.
 *
 * Every alternative of a loop below is one atomic step; anything may happen
 * between two steps, for any time. So a worker that is slow, frozen between two
 * steps, or frozen for ever needs no extra rule.
 *
 * Parameters (times in ticks)
 *   WORKERS  worker processes                       2
 *   MAXADDS  AddOrder requests that may leave       2
 *   WINDOW   length of the send window              1
 *   SETTLE   settle time of AddOrder                2
 *   ASETTLE  settle time of AcceptOrder             2
 *   RUN      WHMCS ends an AddOrder so long after the window (A3)     SETTLE
 *   ARUN     the same for an AcceptOrder (A3)                         ASETTLE
 *   MARGIN   allowance for clocks that differ       1
 *   ERR      by how much they differ (A1)           MARGIN
 *   LEASE    length of a lease                      2
 * Switches that break an assumption or take a safeguard away, each explained
 * where it is used: ANCHOR_LEASE NO_GATE NO_RESTAMP LOOK_EARLY NO_LOOK NO_SUSPECT
 * NO_MARK MISS LAG SLOW REPEAT RESTORE LOOK_BEFORE REACCEPT NO_FENCE
 * COUNTER UNSURE_IS_FAILURE NO_LAST_LOOK KEEP_CONSENT DUP_CLICK ADOPT_ANY
 * NO_END ANY_OVERRUN
 * ASK makes WHMCS_RESEND=ask; NO_VOUCH takes `resolve --none` away.
 * LIVE bounds the crashes and the leases that a living worker outlives (both
 * together: TROUBLES 1), lets all but one worker stop for ever, adds the claim.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef MAXADDS
#define MAXADDS 2
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#ifndef SETTLE
#define SETTLE 2
#endif
#ifndef ASETTLE
#define ASETTLE 2
#endif
#ifndef RUN
#define RUN SETTLE
#endif
#ifndef ARUN
#define ARUN ASETTLE
#endif
#ifndef MARGIN
#define MARGIN 1
#endif
#ifndef ERR
#define ERR MARGIN
#endif
#ifndef LEASE
#define LEASE 2
#endif
#ifndef TROUBLES
#define TROUBLES 1
#endif

/* An instant x of the table is kept as x - now + OFF: time needs no end. At 0
 * it is so long past that no comparison can tell (0 also stands for absent). */
#if ASETTLE > SETTLE
#define OFF (MARGIN + ASETTLE + 1)
#else
#define OFF (MARGIN + SETTLE + 1)
#endif

/* state */
#define QUEUED 0
#define WORKING 1
#define WAITING 2
#define PROVISIONED 3
#define FAILED 4
#define OPEN (st <= WAITING)
/* point */
#define NONE 0
#define ADDING 1
#define ADDED 2
#define ACCEPTING 3
#define ACCEPTED 4
/* class of the error code of a failed order */
#define PLAIN 1   /* says: nothing was made */
#define REVIEW 2  /* asks a person to search */
#define MODULE 3  /* module_failed: a review code; a click consents to one more run */
#define STOPPED 4 /* by resolve --stop: says nothing about WHMCS */
/* the WHMCS order */
#define NOTHING 0
#define BARE 1    /* row written, no marker (yet) */
#define PARTIAL 2 /* marker, but not what was planned */
#define FULL 3
#define DEAD 4    /* cancelled by a person */
#define PENDING 0
#define ACTIVE 1
/* its services */
#define LIVE_ 1
#define IN_QUEUE 2 /* module failed; stands in the module queue */
/* requests in WHMCS */
#define ADD 1
#define ACCEPT 2

/* where a worker is */
#define P_IDLE 0
#define P_LOAD 1
#define P_ADDCHK 2
#define P_LOOK 3
#define P_DECIDE 4
#define P_GATE 5
#define P_PASSED 6
#define P_WAIT 7
#define P_OK 8
#define P_NOTDONE 9
#define P_UNSURE 10
#define P_COMPARE 11
#define P_COMPARED 12
#define P_AGATE 13
#define P_APASSED 14
#define P_AOK 15
#define P_AMODULE 16
#define P_ANOTPENDING 17
#define P_ANOTDONE 18
#define P_ACHK 19
#define P_AREAD 20
#define P_ADECIDE 21
#define P_VERIFY 22
#define P_VERIFIED 23

/* the item */
byte st = QUEUED, pt = NONE, code;
byte lease;   /* token: worker + 1; one worker process never holds two tokens */
byte luntil;  /* lease_until */
byte until;   /* add_until at adding, accept_until at accepting */
byte adds;
bit again;    /* consent to one more AcceptOrder */
bit word;     /* a person said that WHMCS has no order of this one; the next AddOrder uses it up */
bit accleft;  /* an AcceptOrder may have left since the last AddOrder */
bit late;     /* 72 h since opened_at, or 15 min at accepted, are over */

/* WHMCS */
byte okind = NOTHING, ostat = PENDING, svc;
typedef Request { byte kind; byte phase; byte d; byte owner };
Request r[2]; /* d: ticks in which it must end; owner: worker + 1 that still listens */
#ifdef LAG
byte age; /* ticks until a listing shows the order */
#endif

/* the workers */
byte pc[WORKERS], seen[WORKERS], win[WORKERS], skew[WORKERS];
#ifdef COUNTER
byte tok[WORKERS];
#endif

/* what only the properties know */
byte holder;    /* worker + 1 that drew the newest lease */
bit allow = 1;  /* the module may run once more */
#ifdef LIVE
byte troubles, stopped;
bit P2_ends = 1;
bit gone[WORKERS];
#endif
#ifdef RESTORE
bit restored;
#ifdef LOOK_BEFORE
#define GAP_SETTLED (r[0].kind == 0 && r[1].kind == 0 && win[0] == 0 && win[1] == 0)
#else
#define GAP_SETTLED 1
#endif
#endif

/* The properties; pan names the one that is violated. CHECK: bit n-1 for Pn. */
#ifndef CHECK
#define CHECK 127
#endif
#if CHECK & 1
bit P1_one_order = 1;
#define P1(x) P1_one_order = (x); assert(P1_one_order)
#else
#define P1(x) skip
#endif
#if CHECK & 4
bit P3_no_write_without_lease = 1;
#define P3(x) P3_no_write_without_lease = (x); assert(P3_no_write_without_lease)
#else
#define P3(x) skip
#endif
#if CHECK & 8
bit P4_provisioned_is_active = 1;
#define P4(x) P4_provisioned_is_active = (x); assert(P4_provisioned_is_active)
#else
#define P4(x) skip
#endif
#if CHECK & 16
bit P5_plain_means_nothing = 1;
#define P5(x) P5_plain_means_nothing = (x); assert(P5_plain_means_nothing)
#else
#define P5(x) skip
#endif
#if CHECK & 32
bit P6_module_once = 1;
#define P6(x) P6_module_once = (x); assert(P6_module_once)
#else
#define P6(x) skip
#endif
/* Every failure, a review code too: no request of ours is under way any more. */
#if CHECK & 64
bit P7_failed_is_quiet = 1;
#define P7(x) P7_failed_is_quiet = (x); assert(P7_failed_is_quiet)
#else
#define P7(x) skip
#endif

/* A witness must be found: it shows that the search gets where it matters. */
#ifdef WITNESS
bit W_witness = 1;
#endif
#if WITNESS == 1 /* provisioned by a second AddOrder, the first proven absent */
#define W1(x) W_witness = !(x); assert(W_witness)
#else
#define W1(x) skip
#endif
#if WITNESS == 2 /* a module that failed runs again by consent, and the order is provisioned */
#define W2(x) W_witness = !(x); assert(W_witness)
#else
#define W2(x) skip
#endif
#if WITNESS == 3 /* a new order after a person cancelled the first and said --none */
#define W3(x) W_witness = !(x); assert(W_witness)
#else
#define W3(x) skip
#endif

/* F */
#ifdef NO_FENCE
#define HOLDS 1
#else
#ifdef COUNTER
#define HOLDS (lease == tok[me] && st == WORKING)
#else
#define HOLDS (lease == me + 1 && st == WORKING)
#endif
#endif
#define FENCED if :: !(HOLDS) -> quit() :: HOLDS -> P3(holder == me + 1 && st == WORKING);
#define ENDF fi

#define PAST(x, plus, s) ((x) + (plus) < (s) + OFF) /* x + plus < now, by a clock that is s fast */
#ifdef LOOK_EARLY
#define MAY_LOOK 1
#define MAY_DECIDE (seen[me] != NOTHING || SETTLED)
#else
#define MAY_LOOK SETTLED
#define MAY_DECIDE 1
#endif
#define SETTLED PAST(until, MARGIN + SETTLE, skew[me])
#define ASETTLED PAST(until, MARGIN + ASETTLE, skew[me])

inline detach() {
  if :: r[0].owner == me + 1 -> r[0].owner = 0 :: else fi;
  if :: r[1].owner == me + 1 -> r[1].owner = 0 :: else fi
}
inline quit() { detach(); pc[me] = P_IDLE; seen[me] = 0; win[me] = 0; skew[me] = 0 }
inline park() { st = WAITING; luntil = 0; quit() }
inline fail(c) {
  st = FAILED; code = c; luntil = 0; late = 0; quit();
  P5(c != PLAIN || okind == NOTHING || okind == DEAD);
  P7(r[0].kind == 0 && r[1].kind == 0)
}
/* the write that precedes a send: from now the request may leave */
inline stamp() {
#ifndef ANCHOR_LEASE
  until = skew[me] + WINDOW + OFF;
#endif
  win[me] = WINDOW + 1
}
inline enter() {
  if
  :: pt == NONE -> pc[me] = P_LOAD
  :: pt == ADDING -> pc[me] = P_ADDCHK
  :: pt == ADDED -> pc[me] = P_COMPARE
  :: pt == ACCEPTING -> pc[me] = P_ACHK
  :: pt == ACCEPTED -> pc[me] = P_VERIFY
  fi
}
inline draw(s) {
  st = WORKING; lease = me + 1; holder = me + 1; luntil = s + LEASE + OFF; skew[me] = s;
#ifdef COUNTER
  tok[me] = lease;
#endif
#ifdef ANCHOR_LEASE /* the settle time is counted from the first lease, not from the send */
  if :: pt == NONE -> until = s + OFF :: else fi;
#endif
  enter()
}
/* a request reaches WHMCS; it may also be lost on the way */
inline leave(k, time) {
  detach();
  if
  :: r[0].kind == 0 -> r[0].kind = k; r[0].owner = me + 1; r[0].d = (win[me] > 0 -> win[me] - 1 : 0) + time
  :: r[0].kind != 0 && r[1].kind == 0 -> r[1].kind = k; r[1].owner = me + 1; r[1].d = (win[me] > 0 -> win[me] - 1 : 0) + time
  :: else
  fi;
  win[me] = 0; pc[me] = P_WAIT
}

proctype Worker(byte me) {
end:
  do
  /* ---- open, hint: due, former lease over ---- */
  :: atomic { pc[me] == P_IDLE && OPEN && PAST(luntil, MARGIN, 0) -> draw(0) }
#if ERR >= 1
  :: atomic { pc[me] == P_IDLE && OPEN && PAST(luntil, MARGIN, 1) -> draw(1) }
#endif
#if ERR >= 2
  :: atomic { pc[me] == P_IDLE && OPEN && PAST(luntil, MARGIN, 2) -> draw(2) }
#endif
#ifdef COUNTER /* the loser of a race for fence n+1 repeats its write, sees n+1 and takes it for its own */
  :: atomic { pc[me] == P_IDLE && st == WORKING && holder != me + 1 -> tok[me] = lease; enter() }
#endif

  /* ---- none: load from Salesforce ---- */
  :: atomic { pc[me] == P_LOAD ->
       FENCED
         if
#ifdef NONE_BLIND /* a person's word is not checked */
#define SAID 0
#else
#define SAID word
#endif
         :: !SAID && late -> fail(PLAIN)                            /* retries_exhausted */
         :: !SAID && !late -> park()                                /* load fails, retryable */
         :: !SAID && !late -> fail(PLAIN)                           /* load fails, permanent */
         :: SAID || !late -> pt = ADDING; adds = 0; until = 0; pc[me] = P_LOOK /* holds a WHMCS id, look_before, or a person's word */
#ifndef LOOK_BEFORE
         :: !SAID && !late -> pt = ADDING; adds = 1; word = 0; accleft = 0; stamp(); pc[me] = P_GATE /* loaded */
#endif
         fi
       ENDF }

  /* ---- adding, found by a lease ---- */
  :: atomic { pc[me] == P_ADDCHK && !(MAY_LOOK) -> FENCED park() ENDF }
  :: atomic { pc[me] == P_ADDCHK && MAY_LOOK -> pc[me] = P_LOOK }
  :: atomic { pc[me] == P_LOOK ->
       if
#ifdef NO_LOOK /* settle is waited for, but WHMCS is not asked */
       :: seen[me] = NOTHING; pc[me] = P_DECIDE
#else
#ifdef LAG /* a listing shows an order only some time after it was made */
       :: seen[me] = (age > 0 -> NOTHING : okind); pc[me] = P_DECIDE
#else
       :: seen[me] = okind; pc[me] = P_DECIDE
#endif
#ifdef MISS /* a listing that reads as stable may miss an order */
       :: seen[me] = NOTHING; pc[me] = P_DECIDE
#endif
       :: FENCED fail(REVIEW) ENDF                                   /* not stable; an order that may be ours */
       :: FENCED if :: late -> fail(REVIEW) :: !late -> park() fi ENDF /* the read fails */
#endif
       fi }
#ifdef LOOK_EARLY /* the clock is asked after the search */
  :: atomic { pc[me] == P_DECIDE && seen[me] == NOTHING && !(SETTLED) -> FENCED park() ENDF }
#endif
  :: atomic { pc[me] == P_DECIDE && MAY_DECIDE ->
       FENCED
         if
         :: seen[me] == FULL -> until = 0; seen[me] = 0; word = 0;
#ifdef FOUND_AGAIN /* what is found is accepted, although it may have been accepted before */
            pt = ADDED; pc[me] = P_COMPARE
#else
            if :: accleft -> pt = ACCEPTING; pc[me] = P_ACHK :: !accleft -> pt = ADDED; pc[me] = P_COMPARE fi
#endif
         :: seen[me] == PARTIAL || seen[me] == DEAD && !word -> fail(REVIEW)
#ifdef NO_SUSPECT /* an unmarked new order of the client raises no suspicion */
         :: seen[me] == NOTHING || seen[me] == DEAD && word || seen[me] == BARE ->
#else
         :: seen[me] == BARE -> fail(REVIEW)
         :: seen[me] == NOTHING || seen[me] == DEAD && word ->
#endif
            if
#ifdef ASK
            :: !late && adds == 0 ->
#else
            :: !late && adds < MAXADDS ->
#endif
               seen[me] = 0; pc[me] = P_GATE;
#ifdef NO_RESTAMP /* the second send is not recorded */
               win[me] = WINDOW + 1
#else
               adds++; stamp()
#endif
               ; word = 0; accleft = 0
            :: late && adds == 0 -> fail(PLAIN)                      /* retries_exhausted */
            :: else -> fail(REVIEW)                                  /* add_outcome_unknown */
            fi
         fi
       ENDF }
#ifdef NO_LAST_LOOK /* the 72 h end says retries_exhausted without a search */
  :: atomic { pc[me] == P_ADDCHK && late && SETTLED -> FENCED fail(PLAIN) ENDF }
#endif

  /* ---- adding, the send: the connection's Write compares the clock ---- */
#ifdef NO_GATE /* the clock is compared before the write, not in it */
  :: atomic { pc[me] == P_GATE && win[me] > 0 -> pc[me] = P_PASSED }
  :: atomic { pc[me] == P_PASSED -> leave(ADD, RUN) }
  :: atomic { pc[me] == P_AGATE && win[me] > 0 -> pc[me] = P_APASSED }
  :: atomic { pc[me] == P_APASSED -> leave(ACCEPT, ARUN) }
#else
  :: atomic { pc[me] == P_GATE && win[me] > 0 -> leave(ADD, RUN) }
  :: atomic { pc[me] == P_AGATE && win[me] > 0 -> leave(ACCEPT, ARUN) }
#endif
  :: atomic { pc[me] == P_GATE -> win[me] = 0; pc[me] = P_NOTDONE }   /* dial failed, or window over */
  :: atomic { pc[me] == P_AGATE -> win[me] = 0; pc[me] = P_ANOTDONE }
  :: atomic { pc[me] == P_GATE && win[me] > 0 -> win[me] = 0; pc[me] = P_UNSURE } /* lost on the way */
  :: atomic { pc[me] == P_AGATE && win[me] > 0 -> win[me] = 0; pc[me] = P_UNSURE }
#ifdef UNSURE_IS_FAILURE /* no answer is taken for a failure */
  :: atomic { pc[me] == P_WAIT -> detach(); pc[me] = (pt == ADDING -> P_NOTDONE : P_ANOTDONE) }
#else
  :: atomic { pc[me] == P_WAIT -> detach(); pc[me] = P_UNSURE }       /* time-out, reset, garbage */
#endif
  :: atomic { pc[me] == P_UNSURE -> FENCED park() ENDF }
  :: atomic { pc[me] == P_OK -> FENCED pt = ADDED; until = 0; pc[me] = P_COMPARE ENDF }
  :: atomic { pc[me] == P_NOTDONE ->
       FENCED
         adds = (adds > 0 -> adds - 1 : 0); until = 0;
         if :: adds == 0 -> pt = NONE :: else fi;
         if :: park() :: fail(PLAIN) fi                              /* retryable / permanent */
       ENDF }

  /* ---- added: is what WHMCS made what was planned? ---- */
  :: atomic { pc[me] == P_COMPARE -> seen[me] = okind; pc[me] = P_COMPARED }
  :: atomic { pc[me] == P_COMPARE -> FENCED if :: late -> fail(REVIEW) :: !late -> park() fi ENDF }
  :: atomic { pc[me] == P_COMPARED ->
       FENCED
         if
         :: seen[me] == FULL && !late -> pt = ACCEPTING; seen[me] = 0; accleft = 1; stamp(); pc[me] = P_AGATE;
#ifndef KEEP_CONSENT /* a consent outlives the send that it was given for */
            again = 0
#endif
         :: else -> fail(REVIEW) /* differs, marker missing, cancelled, 72 h */
         fi
       ENDF }

  /* ---- accepting, sent ---- */
  :: atomic { pc[me] == P_AOK -> FENCED pt = ACCEPTED; until = 0; pc[me] = P_VERIFY ENDF }
  :: atomic { pc[me] == P_ANOTPENDING -> pc[me] = (okind == FULL && ostat == ACTIVE -> P_AOK : P_UNSURE) }
  :: atomic { pc[me] == P_AMODULE -> FENCED fail(MODULE) ENDF }
  :: atomic { pc[me] == P_ANOTDONE -> FENCED pt = ADDED; until = 0; park() ENDF }

  /* ---- accepting, found by a lease ---- */
#ifdef REACCEPT /* Pending is taken as: was not accepted */
  :: atomic { pc[me] == P_ACHK -> pc[me] = P_AREAD }
#else
  :: atomic { pc[me] == P_ACHK && !again && !(ASETTLED) -> FENCED park() ENDF }
  :: atomic { pc[me] == P_ACHK && (again || ASETTLED) -> pc[me] = P_AREAD }
#endif
  :: atomic { pc[me] == P_AREAD -> seen[me] = (okind == DEAD -> DEAD : ostat); pc[me] = P_ADECIDE }
  :: atomic { pc[me] == P_AREAD -> FENCED if :: late -> fail(REVIEW) :: !late -> park() fi ENDF }
  :: atomic { pc[me] == P_ADECIDE ->
       FENCED
         if
         :: seen[me] == DEAD -> fail(REVIEW)
         :: seen[me] == ACTIVE -> pt = ACCEPTED; until = 0; seen[me] = 0; pc[me] = P_VERIFY
         :: seen[me] == PENDING ->
            if
#ifdef REACCEPT
            :: !late ->
#else
            :: again && !late ->
#endif
               stamp(); pc[me] = P_AGATE;
#ifndef KEEP_CONSENT
               again = 0
#endif
            :: else -> fail(REVIEW)                                  /* accept_outcome_unknown */
            fi
         fi
       ENDF }

  /* ---- accepted: are the services there? ---- */
  :: atomic { pc[me] == P_VERIFY -> seen[me] = (okind == FULL && ostat == ACTIVE -> svc : 0); pc[me] = P_VERIFIED }
  :: atomic { pc[me] == P_VERIFY -> seen[me] = 0; pc[me] = P_VERIFIED } /* not yet, or the read fails */
  :: atomic { pc[me] == P_VERIFIED ->
       FENCED
         if
         :: seen[me] == LIVE_ -> st = PROVISIONED; luntil = 0; late = 0; quit();
            P4(okind == FULL && ostat == ACTIVE && svc == LIVE_);
            W1(adds > 1)
         :: seen[me] == IN_QUEUE -> fail(MODULE)
         :: seen[me] == 0 && late -> fail(REVIEW)                      /* not_verified */
         :: seen[me] == 0 && !late -> park()
         fi
       ENDF }

  /* ---- the process dies; its next incarnation starts idle ---- */
#ifdef LIVE
  :: atomic { pc[me] != P_IDLE && troubles < TROUBLES -> troubles++; quit() }
  :: atomic { stopped < WORKERS - 1 -> stopped++; gone[me] = 1; break } /* frozen for ever, in whatever it was doing */
#else
  :: atomic { pc[me] != P_IDLE -> quit() }
#endif
  od
#ifdef LIVE
  ; false
#endif
}

/* ---- WHMCS: up to two requests at a time, each ended within its time ---- */
#define FREE(i) r[i].kind = 0; r[i].phase = 0; r[i].d = 0; r[i].owner = 0
/* the answer reaches its worker, or is lost */
#define ANSWER(i, where) if :: r[i].owner != 0 -> pc[r[i].owner - 1] = where :: true fi; FREE(i)
#define STILL P4(st != PROVISIONED || (okind == FULL && ostat == ACTIVE && svc == LIVE_))

#ifdef NO_MARK /* WHMCS does not keep the marker */
#define COMMIT skip
#else
#define COMMIT okind = FULL
#endif
#ifdef LAG
#define AGE age = SETTLE
#else
#define AGE skip
#endif

proctype Whmcs(byte i) {
end:
  do
  :: atomic { r[i].kind != 0 && r[i].phase == 0 -> FREE(i) }              /* dies unserved */
  :: atomic { r[i].kind == ADD && r[i].phase == 0 -> ANSWER(i, P_NOTDONE) }   /* 403, pre-check */
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 0 -> ANSWER(i, P_ANOTDONE) }
  :: atomic { r[i].kind == ADD && r[i].phase == 0 ->
       P1(okind == NOTHING || okind == DEAD);
       P5(st != FAILED || code != PLAIN);
       W3(okind == DEAD);
       okind = BARE; ostat = PENDING; svc = 0; allow = 1; r[i].phase = 1; AGE; STILL }
  :: atomic { r[i].kind == ADD && r[i].phase == 1 -> COMMIT; ANSWER(i, P_OK) }
#ifdef TRUST_TEXT /* a hook's error after the commit, in the words of a refusal, is taken for one */
  :: atomic { r[i].kind == ADD && r[i].phase == 1 -> COMMIT; ANSWER(i, P_NOTDONE) }
#else
  :: atomic { r[i].kind == ADD && r[i].phase == 1 -> COMMIT; ANSWER(i, P_UNSURE) }
#endif
  :: atomic { r[i].kind == ADD && r[i].phase == 1 -> FREE(i) }            /* PHP dies before the notes */
  :: atomic { r[i].kind == ADD && r[i].phase == 1 -> okind = PARTIAL; FREE(i) }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 0 && (okind == DEAD || ostat != PENDING) -> ANSWER(i, P_ANOTPENDING) }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 0 && okind != DEAD && ostat == PENDING ->
       P6(allow);
       allow = 0; r[i].phase = 1 }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 1 -> W2(svc == IN_QUEUE); ostat = ACTIVE; svc = LIVE_; ANSWER(i, P_AOK); STILL }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 1 -> ostat = PENDING; svc = IN_QUEUE; ANSWER(i, P_AMODULE); STILL }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 1 -> ostat = ACTIVE; svc = IN_QUEUE; ANSWER(i, P_AMODULE); STILL }
  :: atomic { r[i].kind == ACCEPT && r[i].phase == 1 -> FREE(i) }         /* PHP dies after the remote create */
#ifdef REPEAT /* something between repeats a POST */
  :: atomic { r[i].kind == ADD && r[1 - i].kind == 0 -> r[1 - i].kind = ADD; r[1 - i].d = r[i].d }
#endif
  od
}

/* ---- time: passes only while no request overstays what A3 allows it ---- */
#ifdef SLOW /* A3 broken: it may run for ever */
#define DUE(i) 0
#else
#define DUE(i) (r[i].kind != 0 && r[i].d == 0)
#endif
#ifdef LAG
#define MORE age
#else
#if WORKERS > 2
#define MORE win[2]
#else
#define MORE 0
#endif
#endif
#define DEC(x) if :: x > 0 -> x-- :: else fi
#if defined(LIVE) && !defined(ANY_OVERRUN) /* a worker that lives outlives its lease only so often, else two could take turns for ever */
#define OVERRUN (st == WORKING && luntil + MARGIN == ERR + OFF && pc[lease - 1] != P_IDLE && !gone[lease - 1])
#define IN_TIME (!OVERRUN || troubles < TROUBLES)
#define COUNT_OVERRUN if :: OVERRUN -> troubles++ :: else fi
#else
#define IN_TIME 1
#define COUNT_OVERRUN skip
#endif
proctype Clock() {
end:
  do
  :: atomic { !DUE(0) && !DUE(1) && IN_TIME && (until > 0 || luntil > 0 || r[0].d > 0 || r[1].d > 0 || win[0] > 0 || win[1] > 0 || MORE > 0) ->
       COUNT_OVERRUN;
       DEC(until); DEC(luntil); DEC(r[0].d); DEC(r[1].d); DEC(win[0]); DEC(win[1]);
#if WORKERS > 2
       DEC(win[2]);
#endif
#ifdef LAG
       DEC(age);
#endif
     }
  od
}

proctype Late() {
end:
  do
#ifndef NO_END /* no 72 h end */
  :: atomic { OPEN && !late -> late = 1 }
#else
  :: false
#endif
#ifdef LIVE /* nothing can happen any more: the fair search does not see such an end */
  :: atomic { timeout && OPEN -> P2_ends = 0; assert(P2_ends) }
#endif
  od
}

/* ---- people: the click, resolve, a cancelled order ---- */
proctype Person() {
end:
  do
  :: atomic { st == FAILED -> /* a click with a new key */
       st = QUEUED;
       if :: code == MODULE && pt == ACCEPTING -> again = 1; allow = 1 :: else fi;
       code = 0 }
#if defined(DUP_CLICK) || defined(LATE_CLICK) /* a late copy of an old click, or a click made before the failure, counts as consent */
  :: atomic { st == FAILED -> st = QUEUED; if :: code == MODULE && pt == ACCEPTING -> again = 1 :: else fi; code = 0 }
#endif
#ifdef ADOPT_ANY /* adopt goes back to added from wherever the order was */
  :: atomic { st == FAILED && okind >= BARE && okind <= FULL -> pt = ADDED; until = 0; code = 0; st = QUEUED }
#else
  :: atomic { st == FAILED && pt == ADDING && okind >= BARE && okind <= FULL ->
       if :: accleft -> pt = ACCEPTING :: !accleft -> pt = ADDED fi; until = 0; code = 0; st = QUEUED }
#endif
#ifndef NO_VOUCH /* resolve --none; the person errs, but for an order without a marker, of which nothing in WHMCS can show it */
  :: atomic { st == FAILED && okind != BARE && PAST(until, MARGIN + SETTLE, ERR) ->
       pt = NONE; adds = 0; until = 0; again = 0; code = 0; word = 1; st = QUEUED }
#endif
#ifdef EDIT /* an admin edits the notes: the marker is not ours any more */
  :: atomic { okind == FULL && st != PROVISIONED && pt <= ADDING -> okind = BARE }
#endif
  :: atomic { st == FAILED && code != STOPPED -> code = STOPPED }
  :: atomic { st == FAILED && okind >= BARE && okind <= FULL -> okind = DEAD; ostat = PENDING; svc = 0 }
#ifdef RESTORE /* the table is set back to before the first send; LOOK_BEFORE waits until that is settled */
  :: atomic { !restored && pt != NONE && GAP_SETTLED -> restored = 1; pt = NONE; adds = 0; until = 0; luntil = 0; st = QUEUED; code = 0; late = 0; again = 0; word = 0; accleft = 0 }
#endif
  od
}

init {
  atomic {
    run Worker(0); run Worker(1);
#if WORKERS > 2
    run Worker(2);
#endif
    run Whmcs(0); run Whmcs(1); run Clock(); run Late(); run Person()
  }
}

#ifdef LIVE
ltl P2 { []<> (st == PROVISIONED || st == FAILED) }
#endif
