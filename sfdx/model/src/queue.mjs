// Queueable jobs with their finalizers, and scheduled jobs (Apex Developer
// Guide, "Queueable Apex", "Transaction Finalizers", "Apex Scheduler").
import { ApexError, LimitError, NotModelled } from "./errors.mjs";
import { enumValue } from "./library.mjs";
import { id18, lower, Native } from "./values.mjs";

const MINUTE = 60_000;
const LONGEST_DELAY = 10; // minutes

export class Queue {
  constructor(org) {
    this.org = org;
    this.jobs = [];
    this.scheduled = new Map(); // name -> {id, job, user}
    this.ended = []; // {job, failed}, for who watches
    this.running = null;
    this.serial = 0;
  }

  /** Adds a job; part of the transaction that adds it. */
  enqueue(job, options) {
    const { org, running } = this;
    const delay = options?.MinimumQueueableDelayInMinutes ?? 0;
    if (delay < 0 || delay > LONGEST_DELAY)
      org.raise("IllegalArgumentException", `The delay must be between 0 and ${LONGEST_DELAY} minutes`);
    org.limits.use("jobs");
    if (running && options?.MaximumQueueableStackDepth !== undefined)
      throw new NotModelled(
        "MaximumQueueableStackDepth in a chained job: whether it may be set again is not documented"
      );
    const depth = (running?.depth ?? 0) + 1;
    const most = options?.MaximumQueueableStackDepth ?? running?.most ?? null;
    if (most !== null && depth > most) org.raise("AsyncException", `Maximum stack depth has been reached: ${most}`);
    // Apex Developer Guide: chained jobs in a test need a depth of their own.
    if (most === null && running && org.test) org.raise("AsyncException", "Maximum stack depth has been reached.");
    org.transaction.pending = true;
    const id = id18(`707${String(++this.serial).padStart(12, "0")}`);
    this.jobs.push({ id, job, depth, most, user: org.user, due: org.now() + delay * MINUTE, finalizer: null });
    return id;
  }

  attach(finalizer) {
    if (!this.running || this.running.inFinalizer)
      this.org.raise("HandledException", "System.attachFinalizer(Finalizer) is not allowed in this context");
    if (this.running.finalizer)
      this.org.raise("HandledException", "More than one Finalizer cannot be attached to same Async Apex Job");
    this.running.finalizer = finalizer;
    return null;
  }

  schedule(name, cron, job) {
    const { org } = this;
    if (!/^0 \d{1,2} (\*|\d{1,2}) [*?] \* [*?]( \*)?$/.test(cron)) throw new NotModelled(`the cron expression ${cron}`);
    if (this.scheduled.has(name))
      org.raise("AsyncException", `The Apex job named "${name}" is already scheduled for execution.`);
    const detail = org.database.seed("CronJobDetail", { Name: name });
    const id = org.database.seed("CronTrigger", { CronJobDetailId: detail, CronExpression: cron, State: "WAITING" });
    this.scheduled.set(name, { id, job, user: org.user });
    org.transaction.pending = true;
    return id;
  }

  abort(id) {
    for (const [name, s] of this.scheduled) if (s.id === id) this.scheduled.delete(name);
    this.org.database.write("CronTrigger", id, null);
    return null;
  }

  /** Runs a scheduled job now. */
  fire(name) {
    const { job, user, id } = this.scheduled.get(name);
    this.org.as(user, () =>
      this.org.run("async", () =>
        this.org.callSignature(job, "execute(schedulablecontext)", [new Native("SchedulableContext", { id })])
      )
    );
  }

  /** When the next job is due in ms; Infinity where there is none. */
  get next() {
    return Math.min(...this.jobs.map((j) => j.due), Infinity);
  }

  /** Runs what is due, jobs that those add included. */
  runDue() {
    for (;;) {
      const i = this.jobs.findIndex((j) => j.due <= this.org.now());
      if (i < 0) return;
      this.runOne(this.jobs.splice(i, 1)[0]);
    }
  }

  /** Runs all that was enqueued before, whatever its delay: what Test.stopTest does. */
  runAll() {
    while (this.jobs.length) this.runOne(this.jobs.shift());
  }

  runOne(entry) {
    const { org } = this;
    const outer = this.running;
    let failure = null;
    this.running = entry;
    try {
      org.as(entry.user, () =>
        org.run("async", () =>
          org.callSignature(entry.job, "execute(queueablecontext)", [new Native("QueueableContext", { id: entry.id })])
        )
      );
    } catch (e) {
      if (!(e instanceof ApexError || e instanceof LimitError)) throw e;
      failure = e;
    }
    try {
      if (entry.finalizer) this.runFinalizer(entry, failure);
    } finally {
      this.running = outer;
    }
    this.ended.push({ job: entry.job.cls.full, failed: failure?.message ?? null });
    // In a test an unhandled exception of a job is one of Test.stopTest.
    if (failure && org.test && !entry.finalizer) throw failure;
  }

  /** A finalizer has a transaction of its own, and may add one job. */
  runFinalizer(entry, failure) {
    const { org } = this;
    const result = enumValue("ParentJobResult", failure ? "UNHANDLED_EXCEPTION" : "SUCCESS");
    const context = new Native("FinalizerContext", { id: entry.id, result, exception: failure?.object ?? null });
    entry.inFinalizer = true;
    org.as(entry.user, () =>
      org.run("async", () => org.callSignature(entry.finalizer, "execute(finalizercontext)", [context]))
    );
  }

  named(part) {
    return [...this.scheduled.keys()].filter((n) => lower(n).includes(lower(part)));
  }
}
