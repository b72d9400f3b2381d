// Jobs, finalizers, schedules, flows after a commit, and ways in from Lightning.
import assert from "node:assert/strict";
import { test } from "node:test";
import { org, testClass } from "./fixture.mjs";

const clock = () => {
  const c = { ms: 0 };
  c.now = () => c.ms;
  return c;
};

function jobs(job, start, more = "") {
  const c = clock();
  const o = org(
    {
      "classes/T.cls": `public class T { public class J implements Queueable { public void execute(QueueableContext c) { ${job} } } ${more} @AuraEnabled public static void f() { ${start} } }`
    },
    { now: c.now }
  );
  return {
    org: o,
    clock: c,
    names: () => [...o.database.table("Account").values()].map((r) => r.get("Name")).slice(1)
  };
}

const insert = (name) => `insert as system new Account(Name = '${name}');`;

test("a job runs after the commit of who added it, in a transaction of its own", () => {
  const { org: o, names } = jobs(insert("B"), `System.enqueueJob(new J()); ${insert("A")}`);
  o.aura("T", "f", {});
  assert.deepEqual(names(), ["A"]);
  o.queue.runDue();
  assert.deepEqual(names(), ["A", "B"]);
});

test("a transaction that fails takes its jobs along", () => {
  const { org: o } = jobs(insert("B"), "System.enqueueJob(new J()); throw new QueryException('x');");
  assert.throws(() => o.aura("T", "f", {}));
  assert.equal(o.queue.jobs.length, 0);
});

test("a delay of whole minutes, 10 at most", () => {
  const {
    org: o,
    clock: c,
    names
  } = jobs(
    insert("B"),
    "AsyncOptions a = new AsyncOptions(); a.MinimumQueueableDelayInMinutes = 10; System.enqueueJob(new J(), a);"
  );
  o.aura("T", "f", {});
  c.ms = 599_999;
  o.queue.runDue();
  assert.deepEqual(names(), []);
  c.ms = 600_000;
  o.queue.runDue();
  assert.deepEqual(names(), ["B"]);
  const longer = jobs("", "System.enqueueJob(new J(), 11);");
  assert.throws(() => longer.org.aura("T", "f", {}), /between 0 and 10/);
});

test("one job may add one", () => {
  const { org: o } = jobs("System.enqueueJob(new J()); System.enqueueJob(new J());", "System.enqueueJob(new J());");
  o.aura("T", "f", {});
  o.queue.runDue();
  assert.match(o.queue.ended[0].failed, /Too many queueable jobs added to the queue: 2/);
  assert.equal(o.queue.jobs.length, 0);
});

test("a chain ends at the depth that its options name", () => {
  const { org: o } = jobs(
    "System.enqueueJob(new J());",
    "AsyncOptions a = new AsyncOptions(); a.MaximumQueueableStackDepth = 2; System.enqueueJob(new J(), a);"
  );
  o.aura("T", "f", {});
  o.queue.runDue();
  assert.equal(o.queue.ended.length, 2);
  assert.match(o.queue.ended[1].failed, /Maximum stack depth has been reached/);
});

test("a finalizer runs after a job that died, with its cause, and what the job wrote is gone", () => {
  const finalizer =
    "public class F implements Finalizer { public void execute(FinalizerContext c) { if (c.getResult() == ParentJobResult.UNHANDLED_EXCEPTION) { insert as system new Account(Name = c.getException().getMessage()); } } }";
  const { org: o, names } = jobs(
    `System.attachFinalizer(new F()); ${insert("B")} throw new QueryException('died');`,
    "System.enqueueJob(new J());",
    finalizer
  );
  o.aura("T", "f", {});
  o.queue.runDue();
  assert.deepEqual(names(), ["died"]);
});

test("a test runs its jobs when it stops, and does not let them chain", () => {
  const results = testClass(`
    public class J implements Queueable { public void execute(QueueableContext c) { insert as system new Account(Name = 'J'); } }
    public class K implements Queueable { public void execute(QueueableContext c) { System.enqueueJob(new J()); } }
    @IsTest static void runs() { Test.startTest(); System.enqueueJob(new J()); Test.stopTest(); Assert.areEqual(1, [SELECT COUNT() FROM Account WHERE Name = 'J' WITH SYSTEM_MODE]); }
    @IsTest static void chains() { Test.startTest(); System.enqueueJob(new K()); Test.stopTest(); }`);
  assert.equal(results[0], "passed");
  assert.match(results[1], /Maximum stack depth has been reached/);
});

test("a schedule is there once, and is fired by name", () => {
  const { org: o, names } = jobs(
    "",
    "System.schedule('n', '0 15 * * * ?', new S());",
    `public class S implements Schedulable { public void execute(SchedulableContext c) { ${insert("S")} } }`
  );
  o.aura("T", "f", {});
  assert.throws(() => o.aura("T", "f", {}), /already scheduled/);
  o.queue.fire("n");
  assert.deepEqual(names(), ["S"]);
});

test("Lightning calls only what is @AuraEnabled, with parameters of their names and types", () => {
  const o = org({
    "classes/T.cls":
      "public class T { @AuraEnabled public static String f(Id id) { return id; } public static void g() { } }"
  });
  assert.equal(o.aura("T", "f", { id: "801000000000001" }), "801000000000001AAA");
  assert.throws(() => o.aura("T", "g", {}), /no @AuraEnabled method/);
  assert.throws(() => o.aura("T", "f", { orderId: "801000000000001" }), /no parameter orderId/);
  assert.throws(() => o.aura("T", "f", { id: "x" }), /is no Id/);
  assert.throws(() => o.aura("T", "f", { id: null }, o.plain), /do not have access to the Apex class/);
});

test("Lightning gets only members that are @AuraEnabled", () => {
  const o = org({
    "classes/T.cls":
      "public class T { @AuraEnabled public String a = 'x'; public String b = 'y'; @AuraEnabled public static T f() { return new T(); } @AuraEnabled public static String g() { return JSON.serialize(new T()); } }"
  });
  assert.deepEqual(o.aura("T", "f", {}), { a: "x" });
  assert.equal(o.aura("T", "g", {}), '{"a":"x","b":"y"}');
});

const flow = (body, start) => ({
  "flows/F.flow-meta.xml": `<Flow><status>Active</status>${body}<start>${start}</start></Flow>`
});
const AFTER =
  "<doesRequireRecordChangedToMeetCriteria>true</doesRequireRecordChangedToMeetCriteria><filterLogic>and</filterLogic><filters><field>Stage__c</field><operator>EqualTo</operator><value><stringValue>Done</stringValue></value></filters><object>Order</object><recordTriggerType>Update</recordTriggerType><triggerType>RecordAfterSave</triggerType>";
const LATER =
  "<scheduledPaths><connector><targetReference>Note</targetReference></connector><pathType>AsyncAfterCommit</pathType></scheduledPaths>";
const note = (text) =>
  `<recordUpdates><name>Note</name><inputAssignments><field>Note__c</field><value><stringValue>${text}</stringValue></value></inputAssignments><inputReference>$Record</inputReference></recordUpdates>`;
const DONE = {
  "classes/T.cls":
    "public class T { @AuraEnabled public static void f(Id id) { update as system new Order(Id = id, Stage__c = 'Done'); } }"
};

test("a flow after the commit runs when the record comes to meet its criteria, and fails alone", () => {
  const o = org({ ...DONE, ...flow(note("{!$Record.Stage__c}!"), AFTER + LATER) });
  o.aura("T", "f", { id: o.order });
  assert.equal(o.database.table("Order").get(o.order).get("Note__c"), "Done!");
  const bad = org({ ...DONE, ...flow(note("much too long a text"), AFTER + LATER) });
  bad.aura("T", "f", { id: bad.order });
  assert.equal(bad.database.table("Order").get(bad.order).get("Stage__c"), "Done", "the change stays");
  assert.match(bad.flows.failures[0], /STRING_TOO_LONG/);
});

test("a flow that would run inside the save, or has an element that is not known, is refused", () => {
  assert.throws(
    () => org(flow(note("x"), `${AFTER}<connector><targetReference>Note</targetReference></connector>`)),
    /not modelled: a flow that is triggered other than after the commit/
  );
  assert.throws(() => org(flow("<loops><name>L</name></loops>", "")), /not modelled: loops in a flow/);
  assert.throws(
    () =>
      org(
        flow("<assignments><name>A</name><connector><targetReference>B</targetReference></connector></assignments>", "")
      ),
    /leads to B, which is not there/
  );
});
