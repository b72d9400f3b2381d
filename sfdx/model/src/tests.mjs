// Runs the Apex tests of a project (Apex Developer Guide, "Testing Apex").
// Each test sees only what it, or its @TestSetup, made.
import { NotModelled } from "./errors.mjs";

class TestRun {
  constructor(org) {
    this.org = org;
    this.mock = null;
    this.outer = null;
  }

  /** From here on limits count anew, and earlier changes are no pending work. */
  start() {
    const { transaction } = this.org;
    if (this.outer) throw new NotModelled("a second Test.startTest");
    this.outer = { limits: transaction.limits, pending: transaction.pending };
    transaction.limits = new transaction.limits.constructor("sync");
    transaction.pending = false;
    return null;
  }

  /** Runs what was enqueued and scheduled since the start. */
  stop() {
    const { transaction, queue } = this.org;
    if (!this.outer) throw new NotModelled("Test.stopTest before Test.startTest");
    queue.runAll();
    for (const name of [...queue.scheduled.keys()]) queue.fire(name);
    queue.runAll();
    Object.assign(transaction, { limits: this.outer.limits, pending: true });
    this.outer = null;
    return null;
  }
}

/**
 * Jobs that a test leaves behind run at its end (seen in orgs; not documented).
 * @returns one {name, error} for each test method; error is null for one that passes
 */
export function runTests(org, only = () => true) {
  const results = [];
  for (const c of org.program.all()) {
    if (!c.annotations.has("istest")) continue;
    const methods = [...c.methods.values()].flat();
    for (const m of methods) {
      const name = `${c.full}.${m.name}`;
      if (!m.annotations.has("istest") || !only(name)) continue;
      results.push({
        name,
        error: runOne(
          org,
          m,
          methods.filter((x) => x.annotations.has("testsetup"))
        )
      });
    }
  }
  return results;
}

function runOne(org, method, setups) {
  const savepoint = org.database.savepoint();
  const scheduled = new Map(org.queue.scheduled);
  org.access.hidden.clear();
  try {
    org.test = new TestRun(org);
    for (const s of setups) org.run("sync", () => org.call(s, null, []));
    org.transaction.statics = new Map();
    org.test = new TestRun(org);
    org.as(org.admin, () => org.run("sync", () => (org.call(method, null, []), org.queue.runAll())));
    return null;
  } catch (e) {
    return e;
  } finally {
    org.test = null;
    org.transaction.statics = new Map();
    org.database.rollback(savepoint);
    org.queue.jobs = [];
    org.queue.scheduled = scheduled;
    org.database.locked.clear();
  }
}
