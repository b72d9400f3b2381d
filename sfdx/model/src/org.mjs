// One org of the model: the program, its records, users, transactions and
// limits, and the ways in: Lightning, tests, jobs, the REST API.
import { Access, PROFILES } from "./access.mjs";
import { Callouts } from "./callouts.mjs";
import { Database } from "./database.mjs";
import { ApexError, CompileError, LimitError, NotModelled } from "./errors.mjs";
import { Flows } from "./flows.mjs";
import { Program } from "./program.mjs";
import { Queue } from "./queue.mjs";
import {
  ApexDate,
  ApexList,
  ApexMap,
  ApexSet,
  Blob,
  Datetime,
  EnumValue,
  id18,
  Instance,
  lower,
  SObject
} from "./values.mjs";

// Apex Developer Guide, "Execution Governors and Limits": synchronous, asynchronous.
const LIMITS = {
  callouts: [100, 100, "callouts"],
  queries: [100, 200, "SOQL queries"],
  dml: [150, 150, "DML statements"],
  jobs: [50, 1, "queueable jobs added to the queue"]
};
const STEPS = 5_000_000; // statements of one transaction; stands for the CPU time limit

class LimitCounter {
  constructor(kind) {
    this.kind = kind;
    this.counts = Object.fromEntries(Object.keys(LIMITS).map((k) => [k, 0]));
  }
  used(what) {
    return this.counts[what];
  }
  most(what) {
    return LIMITS[what][this.kind === "async" ? 1 : 0];
  }
  use(what) {
    if (++this.counts[what] > this.most(what))
      throw new LimitError(`System.LimitException: Too many ${LIMITS[what][2]}: ${this.counts[what]}`);
  }
}

class Transaction {
  constructor(org, kind) {
    this.org = org;
    this.kind = kind;
    this.limits = new LimitCounter(kind);
    this.statics = new Map();
    this.pending = false; // uncommitted work: no callout may follow
    this.wroteSetup = false;
    this.wrotePlain = false;
    this.calloutMs = 0;
    this.steps = 0;
    this.changed = []; // {object, record, before}
  }

  /** Records of set-up objects and others do not mix (Apex Developer Guide, "sObjects That Cannot Be Used Together in DML Operations"). */
  wrote(object) {
    this.pending = true;
    const setup = object.name === "PermissionSetAssignment";
    if (object.name === "User") return;
    if ((setup && this.wrotePlain) || (!setup && this.wroteSetup))
      this.org.raise(
        "DmlException",
        `MIXED_DML_OPERATION, DML operation on setup object is not permitted after you have updated a non-setup object (or vice versa): ${object.name}`,
        { rows: [{ errors: [{ code: "MIXED_DML_OPERATION", message: "", fields: [] }] }] }
      );
    if (setup) this.wroteSetup = true;
    else this.wrotePlain = true;
  }
}

class Coverage {
  constructor() {
    this.lines = new Map(); // class -> line -> {hit}
  }
  line(cls, number) {
    const file = cls.top.full;
    if (!this.lines.has(file)) this.lines.set(file, new Map());
    const lines = this.lines.get(file);
    if (!lines.has(number)) lines.set(number, { hit: false });
    return lines.get(number);
  }
  /** Lines that ran and lines that there are, by class. */
  of(file) {
    const lines = [...(this.lines.get(file) ?? new Map())];
    return {
      all: lines.length,
      hit: lines.filter(([, l]) => l.hit).length,
      missed: lines.filter(([, l]) => !l.hit).map(([n]) => n)
    };
  }
}

export class Org {
  /**
   * @param project what is deployed
   * @param settings now() in ms, zoneMinutes of the users' time zone,
   *   organizationId, and what Callouts takes
   */
  constructor(project, settings = {}) {
    this.project = project;
    this.now = settings.now ?? (() => Date.now());
    this.zoneMinutes = settings.zoneMinutes ?? 120; // not UTC, so that local time is told apart
    this.organizationId = id18(settings.organizationId ?? "00D000000000001");
    this.coverage = new Coverage();
    this.debug = [];
    this.test = null;
    this.trigger = null;
    this.database = new Database(this);
    this.access = new Access(this);
    this.queue = new Queue(this);
    this.callouts = new Callouts(this, settings);
    this.transaction = new Transaction(this, "sync");
    this.program = new Program(project, this);
    this.notifications = []; // of custom notifications, as their flows sent them
    this.flows = new Flows(this);
    this.checkReferences();
    this.seedSetup();
  }

  get limits() {
    return this.transaction.limits;
  }

  // ---- set-up

  seedSetup() {
    const { database } = this;
    database.seed("Organization", { Id: this.organizationId, Name: "Model", IsSandbox: true });
    for (const name of Object.keys(PROFILES)) database.seed("Profile", { Name: name });
    for (const [name, set] of this.project.permissionSets)
      database.seed("PermissionSet", { Name: name, Label: set.label });
    for (const name of this.project.queues) database.seed("Group", { DeveloperName: name, Name: name, Type: "Queue" });
    for (const name of this.project.notifications)
      database.seed("CustomNotificationType", { DeveloperName: name, MasterLabel: name });
    for (const [name, body] of this.project.resources)
      database.seed("StaticResource", { Name: name, Body: new Blob(body) });
    this.standardPricebook = database.seed("Pricebook2", {
      Name: "Standard Price Book",
      IsActive: true,
      IsStandard: true
    });
    this.admin = this.addUser({ name: "Admin", profile: "System Administrator" });
    this.user = this.admin;
  }

  rowOf(table, name) {
    return [...this.database.table(table).values()].find((r) => r.get("Name") === name) ?? null;
  }

  /** Adds a user with a profile of the model and permission sets of the package. */
  addUser({ name, profile, sets = [] }) {
    const id = this.database.seed("User", {
      LastName: name,
      Name: name,
      Username: `${lower(name)}@example.com`,
      Email: `${lower(name)}@example.com`,
      Alias: name.slice(0, 8),
      IsActive: true,
      ProfileId: this.rowOf("Profile", profile).get("Id"),
      TimeZoneSidKey: "Europe/Berlin",
      LocaleSidKey: "en_US",
      EmailEncodingKey: "UTF-8",
      LanguageLocaleKey: "en_US"
    });
    for (const s of sets) {
      const row = this.rowOf("PermissionSet", s);
      if (!row) throw new CompileError(`no permission set is called ${s}`);
      this.database.seed("PermissionSetAssignment", { AssigneeId: id, PermissionSetId: row.get("Id") });
    }
    return id;
  }

  /** What a permission set or a flow names must exist. */
  checkReferences() {
    const { project } = this;
    for (const [name, set] of project.permissionSets) {
      for (const f of set.fields.keys())
        if (!project.schema.field(...f.split("."))) throw new CompileError(`permission set ${name}: no field ${f}`);
      for (const c of set.classes)
        if (!this.program.classes.has(c)) throw new CompileError(`permission set ${name}: no class ${c}`);
      for (const c of set.custom)
        if (!project.customPermissions.has(c))
          throw new CompileError(`permission set ${name}: no custom permission ${c}`);
    }
  }

  mustField(object, name) {
    const f = this.project.schema.field(object, name);
    if (!f) throw new CompileError(`Invalid field ${name} for SObject ${object}`);
    return f;
  }

  hasCustomPermission(name) {
    return this.access.some("custom", name);
  }

  // ---- running

  step(line, where) {
    line.hit = true;
    this.at = where;
    if (++this.transaction.steps > STEPS) throw new LimitError("System.LimitException: Apex CPU time limit exceeded");
  }

  raise(name, message, more = {}) {
    const cls = this.program.classes.get(lower(name));
    if (!cls) throw new NotModelled(`exception ${name}`);
    throw new ApexError(Object.assign(new Instance(cls), { message, cause: null, told: true, ...more }), this.at);
  }

  notNull(v) {
    return v === null || v === undefined
      ? this.raise("NullPointerException", "Attempt to de-reference a null object")
      : v;
  }

  onlyRow(list) {
    if (list.items.length === 0) this.raise("QueryException", "List has no rows for assignment to SObject");
    if (list.items.length > 1) this.raise("QueryException", "List has more than 1 row for assignment to SObject");
    return list.items[0];
  }

  readField(record, key, name, isChild) {
    if (record.selected && !record.selected.has(key) && !record.has(key))
      this.raise(
        "SObjectException",
        `SObject row was retrieved via SOQL without querying the requested field: ${record.type}.${name}`
      );
    return record.get(key) ?? (isChild ? new ApexList() : null);
  }

  call(method, self, args) {
    if (method.static) this.statics(method.owner);
    return method.run(self, args);
  }

  callSignature(self, signature, args) {
    return this.call(self.cls.vtable.get(signature), self, args);
  }

  /** The static variables of a class; they live as long as a transaction. */
  statics(c) {
    const all = this.transaction.statics;
    if (!all.has(c)) {
      const values = new Map();
      all.set(c, values);
      if (c.outer) this.statics(c.outer);
      for (const i of c.statics ?? []) {
        if (typeof i === "function") i(null, []);
        else values.set(i, i.initialValue ? i.initialValue(null) : null);
      }
    }
    return all.get(c);
  }

  initialise(c) {
    for (let k = c; k && !k.builtin; k = k.super) this.statics(k);
  }

  as(user, action) {
    const before = this.user;
    this.user = user;
    try {
      return action();
    } finally {
      this.user = before;
    }
  }

  /** System.runAs: another user, and set-up records may be written inside. */
  runAs(user, action) {
    const { transaction } = this;
    const { wroteSetup, wrotePlain } = transaction;
    transaction.wroteSetup = transaction.wrotePlain = false;
    try {
      return this.as(user, action);
    } finally {
      Object.assign(transaction, { wroteSetup, wrotePlain });
    }
  }

  /** Runs an action as a transaction: what fails leaves nothing behind, jobs included. */
  run(kind, action) {
    const outer = this.transaction;
    const savepoint = this.database.savepoint();
    const jobs = [...this.queue.jobs];
    this.transaction = new Transaction(this, kind);
    const { changed } = this.transaction;
    let value;
    if (this.test) this.transaction.statics = outer.statics;
    try {
      value = action();
    } catch (e) {
      this.database.rollback(savepoint);
      this.queue.jobs = jobs;
      if (e instanceof NotModelled) e.locate(this.at);
      throw e;
    } finally {
      this.transaction = outer;
    }
    if (!this.test) this.flows.afterCommit(changed);
    return value;
  }

  fireTriggers(object, when, operation, jobs) {
    if (!jobs.length) return;
    for (const t of this.program.triggers) {
      if (lower(t.object) !== lower(object.name) || !t.events.has(`${when}${operation}`)) continue;
      const outer = this.trigger;
      this.trigger = {
        new: operation === "delete" ? null : new ApexList(jobs.map((j) => j.record)),
        old: operation === "insert" ? null : new ApexList(jobs.map((j) => j.before)),
        isbefore: when === "before",
        isafter: when === "after",
        isinsert: operation === "insert",
        isupdate: operation === "update",
        isdelete: operation === "delete"
      };
      try {
        t.run();
      } finally {
        this.trigger = outer;
      }
    }
  }

  // ---- ways in

  /** A call of an @AuraEnabled method from a Lightning component. */
  aura(className, methodName, given, user = this.user) {
    const c = this.program.classes.get(lower(className));
    const methods = (c?.methods.get(lower(methodName)) ?? []).filter((m) => m.annotations.has("auraenabled"));
    if (methods.length !== 1) throw new CompileError(`${className}.${methodName} is no @AuraEnabled method`);
    const [m] = methods;
    if (!m.static || !["public", "global"].some((x) => m.modifiers.has(x)))
      throw new CompileError(`${className}.${methodName} must be public and static`);
    for (const name of Object.keys(given))
      if (!m.params.some((p) => p.name === name))
        throw new CompileError(`${className}.${methodName} has no parameter ${name}`);
    return this.as(user, () => {
      if (!this.access.classMay(className))
        this.raise("NoAccessException", `You do not have access to the Apex class named '${className}'.`);
      const args = m.params.map((p) => this.fromJson(given[p.name] ?? null, p.type));
      return this.toAura(this.run("sync", () => this.call(m, null, args)));
    });
  }

  /** A call of the class's @InvocableMethod in the transaction of the flow that makes it. */
  invokeInside(className, requests) {
    const c = this.program.classes.get(lower(className));
    const m = [...c.methods.values()].flat().find((x) => x.annotations.has("invocablemethod"));
    if (!m) throw new CompileError(`${className} has no @InvocableMethod`);
    const inputType = m.params[0].type.args[0];
    const answers = this.call(m, null, [new ApexList(requests.map((r) => this.invocableInput(inputType, r)))]);
    return answers.items.map((x) => this.toInvocable(x));
  }

  invocableInput(type, given) {
    if (!type.cls) return this.fromJson(given, type);
    const o = new Instance(type.cls);
    for (const f of type.cls.fields.values()) o.fields.set(f, f.initialValue ? f.initialValue(o) : null);
    for (const [name, v] of Object.entries(given)) {
      const f = type.cls.fields.get(lower(name));
      if (!f?.annotations.has("invocablevariable")) throw new CompileError(`${type} has no @InvocableVariable ${name}`);
      o.fields.set(f, this.fromJson(v, f.type));
    }
    return o;
  }

  toInvocable(v) {
    if (!(v instanceof Instance)) return this.toJson(v);
    return Object.fromEntries(
      [...v.fields].filter(([f]) => f.annotations.has("invocablevariable")).map(([f, x]) => [f.name, this.toJson(x)])
    );
  }

  // ---- JSON

  /** JSON.serialize: every instance variable, whatever its access. */
  toJson(v, pick = () => true) {
    if (v === null || typeof v !== "object") return v;
    if (v instanceof Datetime) return new Date(v.ms).toISOString();
    if (v instanceof ApexDate) return new Date(v.ms).toISOString().slice(0, 10);
    if (v instanceof EnumValue) return v.name;
    if (v instanceof ApexList || v instanceof ApexSet) return v.items.map((x) => this.toJson(x, pick));
    if (v instanceof ApexMap) return Object.fromEntries(v.keys.map((k) => [String(k), this.toJson(v.get(k), pick)]));
    if (v instanceof Instance && !v.cls.exception)
      return Object.fromEntries(this.instanceFields(v, pick).map(([f, x]) => [f.name, this.toJson(x, pick)]));
    if (v instanceof SObject)
      return {
        attributes: { type: v.type },
        ...Object.fromEntries(
          [...v.fields].map(([k, x]) => [this.project.schema.field(v.type, k)?.name ?? k, this.toJson(x, pick)])
        )
      };
    throw new NotModelled(`JSON of ${this.program.library.nameOf(v)}`);
  }

  instanceFields(v, pick) {
    const all = [];
    for (let c = v.cls; c; c = c.super)
      for (const f of c.fields.values())
        if (!f.static && pick(f)) all.push([f, f.get ? f.get(v, []) : (v.fields.get(f) ?? null)]);
    return all;
  }

  /** What a Lightning component gets: only what is @AuraEnabled. */
  toAura(v) {
    return this.toJson(v, (f) => f.annotations.has("auraenabled"));
  }

  /** JSON as Apex has it: untyped, or as a declared type. */
  fromJson(v, type = null) {
    if (v === null || v === undefined) return null;
    if (type) this.mustBe(v, type);
    if (Array.isArray(v)) return new ApexList(v.map((x) => this.fromJson(x, type?.args[0] ?? null)));
    if (typeof v === "object") {
      const m = new ApexMap();
      for (const [k, x] of Object.entries(v)) m.put(k, this.fromJson(x));
      return m;
    }
    return type?.is("Id") ? id18(v) : v;
  }

  mustBe(v, type) {
    const fits = type.is("Id")
      ? id18(v) !== null
      : type.is("String")
        ? typeof v === "string"
        : type.is("Boolean")
          ? typeof v === "boolean"
          : type.is("Integer")
            ? Number.isInteger(v)
            : type.is("List")
              ? Array.isArray(v)
              : null;
    if (fits === null) throw new NotModelled(`a parameter of type ${type}`);
    if (!fits) throw new CompileError(`${JSON.stringify(v)} is no ${type}`);
  }
}
