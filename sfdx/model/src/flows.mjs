// Flows (Metadata API Developer Guide, "Flow"): the elements that the package's
// flows are made of. Any other element or option refuses the flow when it is read.
import { ApexError, CompileError, NotModelled } from "./errors.mjs";
import { defined, lower, SObject, textOf } from "./values.mjs";

const ELEMENTS = ["actionCalls", "assignments", "decisions", "recordLookups", "recordUpdates", "screens", "subflows"];
const SILENT = [
  "apiVersion",
  "description",
  "environments",
  "interviewLabel",
  "label",
  "processType",
  "runInMode",
  "status",
  "start",
  "variables",
  "textTemplates"
];

const many = (x) => (x === undefined ? [] : Array.isArray(x) ? x : [x]);

/** A value in a flow's XML as a function of the interview. */
function value(v, flow) {
  if (v === undefined || v === "") return () => null;
  if (v.stringValue !== undefined) return (i) => i.merge(v.stringValue);
  if (v.booleanValue !== undefined) return () => v.booleanValue === "true";
  if (v.numberValue !== undefined) return () => Number(v.numberValue);
  if (v.elementReference !== undefined) return (i) => i.read(v.elementReference);
  throw new NotModelled(`a value ${JSON.stringify(v)}`, flow);
}

export class Flow {
  constructor(name, xml) {
    this.name = name;
    this.xml = xml;
    this.active = xml.status === "Active";
    this.elements = new Map();
    this.templates = new Map(many(xml.textTemplates).map((t) => [t.name, t.text]));
    this.variables = new Map(many(xml.variables).map((v) => [v.name, v]));
    for (const [kind, all] of Object.entries(xml)) {
      if (SILENT.includes(kind)) continue;
      if (!ELEMENTS.includes(kind)) throw new NotModelled(`${kind} in a flow`, name);
      for (const e of many(all)) this.elements.set(e.name, { kind, ...e });
    }
    this.trigger = this.readStart(xml.start);
    for (const e of this.elements.values()) this.check(e);
  }

  readStart(start) {
    const path = many(start.scheduledPaths);
    this.first = (start.connector ?? path[0]?.connector)?.targetReference ?? null;
    if (!start.triggerType) return null;
    // Everything else would run inside the transaction that saves the record.
    if (
      start.triggerType !== "RecordAfterSave" ||
      path.length !== 1 ||
      path[0].pathType !== "AsyncAfterCommit" ||
      start.connector
    )
      throw new NotModelled(`a flow that is triggered other than after the commit`, this.name);
    if (start.recordTriggerType !== "Update" || start.doesRequireRecordChangedToMeetCriteria !== "true")
      throw new NotModelled(`the trigger of ${this.name}`);
    const filters = many(start.filters).map((f) => {
      if (f.operator !== "EqualTo") throw new NotModelled(`filter ${f.operator}`, this.name);
      return { field: f.field, value: f.value.stringValue ?? f.value.booleanValue === "true" };
    });
    const every = start.filterLogic === "and";
    if (!every && start.filterLogic !== "or") throw new NotModelled(`filter logic ${start.filterLogic}`, this.name);
    const meets = (record) =>
      every
        ? filters.every((f) => record.get(f.field) === f.value)
        : filters.some((f) => record.get(f.field) === f.value);
    return {
      object: start.object,
      meets: (record, before) => before !== null && meets(record) && !meets(before),
      fields: filters.map((f) => f.field)
    };
  }

  /** Every target that an element names must be there. */
  check(e) {
    const targets = [e.connector, e.defaultConnector, ...many(e.rules).map((r) => r.connector)].filter(Boolean);
    for (const t of targets)
      if (!this.elements.has(t.targetReference))
        throw new CompileError(`flow ${this.name}: ${e.name} leads to ${t.targetReference}, which is not there`);
    if (e.faultConnector) throw new NotModelled("a fault connector", this.name);
  }
}

/** One run of a flow. */
class Interview {
  constructor(org, flow, inputs, record) {
    this.org = org;
    this.flow = flow;
    this.record = record;
    this.values = new Map();
    this.screen = null;
    for (const [name, v] of flow.variables) this.values.set(name, v.isCollection === "true" ? [] : null);
    for (const [name, v] of Object.entries(inputs)) {
      if (flow.variables.get(name)?.isInput !== "true")
        throw new CompileError(`flow ${flow.name} has no input ${name}`);
      this.values.set(name, v);
    }
  }

  read(reference) {
    const [name, ...path] = reference.split(".");
    if (this.flow.templates.has(reference)) return this.merge(this.flow.templates.get(reference));
    let v = name === "$Record" ? this.record : this.values.get(name);
    if (v === undefined) throw new CompileError(`flow ${this.flow.name}: ${reference} is not there`);
    for (const p of path) v = v === null ? null : this.fieldOf(v, p);
    return v;
  }

  fieldOf(record, name) {
    this.org.mustField(record.type, name);
    return record.get(name);
  }

  merge(text) {
    return text.replace(/\{!([^}]+)\}/g, (_, reference) => {
      const v = this.read(reference);
      return v === null ? "" : textOf(v);
    });
  }

  run() {
    let at = this.flow.first;
    while (at) {
      const e = this.flow.elements.get(at);
      at = this[e.kind](e) ?? e.connector?.targetReference ?? null;
      if (this.screen) return this;
    }
    return this;
  }

  parameters(e) {
    return Object.fromEntries(many(e.inputParameters).map((p) => [p.name, value(p.value, this.flow.name)(this)]));
  }

  actionCalls(e) {
    const inputs = defined(this.parameters(e));
    if (e.actionType === "apex") {
      const [output] = this.org.invokeInside(e.actionName, [inputs]);
      for (const o of many(e.outputParameters)) {
        if (!(o.name in output)) throw new CompileError(`${e.actionName} has no output ${o.name}`);
        this.values.set(o.assignToReference, output[o.name]);
      }
    } else if (e.actionType === "customNotificationAction") this.org.notifications.push(inputs);
    else throw new NotModelled(`action ${e.actionType}`, this.flow.name);
  }

  assignments(e) {
    for (const a of many(e.assignmentItems)) {
      const v = value(a.value, this.flow.name)(this);
      if (a.operator === "Add" && Array.isArray(this.values.get(a.assignToReference)))
        this.values.get(a.assignToReference).push(v);
      else if (a.operator === "Assign") this.values.set(a.assignToReference, v);
      else throw new NotModelled(`assignment ${a.operator}`, this.flow.name);
    }
  }

  decisions(e) {
    for (const r of many(e.rules)) {
      if (r.conditionLogic !== "and") throw new NotModelled(`condition logic ${r.conditionLogic}`, this.flow.name);
      if (many(r.conditions).every((c) => this.holds(c))) return r.connector?.targetReference ?? null;
    }
    return e.defaultConnector?.targetReference ?? null;
  }

  holds({ leftValueReference, operator, rightValue }) {
    const [left, right] = [this.read(leftValueReference), value(rightValue, this.flow.name)(this)];
    if (operator === "IsNull") return (left === null) === right;
    if (operator === "EqualTo") return left === right;
    throw new NotModelled(`condition ${operator}`, this.flow.name);
  }

  recordLookups(e) {
    if (e.getFirstRecordOnly !== "true" || e.storeOutputAutomatically !== "true" || e.filterLogic !== "and")
      throw new NotModelled("this way of a record lookup", this.flow.name);
    const wanted = many(e.filters).map((f) => [
      this.org.mustField(e.object, f.field).name,
      value(f.value, this.flow.name)(this)
    ]);
    const row = [...this.org.database.table(e.object).values()].find((r) => wanted.every(([f, v]) => r.get(f) === v));
    this.values.set(e.name, row ?? null);
  }

  recordUpdates(e) {
    if (e.inputReference !== "$Record") throw new NotModelled("an update of anything but $Record", this.flow.name);
    const row = new SObject(this.record.type).set("Id", this.record.get("Id"));
    for (const a of many(e.inputAssignments))
      row.set(this.org.mustField(this.record.type, a.field).name, value(a.value, this.flow.name)(this));
    this.org.database.dml("update", [row], { mode: "system", allOrNone: true });
  }

  screens(e) {
    this.screen = {
      name: e.name,
      components: many(e.fields).map((f) => {
        if (f.fieldType !== "ComponentInstance") throw new NotModelled(`screen field ${f.fieldType}`, this.flow.name);
        return { component: f.extensionName, properties: this.parameters(f) };
      })
    };
  }

  subflows(e) {
    const inputs = Object.fromEntries(
      many(e.inputAssignments).map((a) => [a.name, value(a.value, this.flow.name)(this)])
    );
    const flow = this.org.flows.get(e.flowName);
    if (!flow) throw new CompileError(`flow ${this.flow.name}: no flow is called ${e.flowName}`);
    new Interview(this.org, flow, inputs, this.record).run();
  }
}

/** The flows of an org, and what triggers them. */
export class Flows {
  constructor(org) {
    this.org = org;
    this.all = new Map([...org.project.flows].map(([name, xml]) => [name, new Flow(name, xml)]));
    this.failures = []; // of flows after a commit: they fail alone
    for (const f of this.all.values()) {
      if (!f.trigger) continue;
      for (const field of f.trigger.fields) org.mustField(f.trigger.object, field);
    }
  }

  get(name) {
    return this.all.get(name);
  }

  /** Runs a flow that a person starts; its screen is where it stops. */
  start(name, inputs) {
    const flow = this.get(name);
    if (!flow?.active) throw new CompileError(`no active flow is called ${name}`);
    return this.org.run("sync", () => new Interview(this.org, flow, inputs, null).run());
  }

  /** What runs after a transaction has been committed, each in one of its own. */
  afterCommit(changed) {
    for (const flow of this.all.values()) {
      if (!flow.active || !flow.trigger) continue;
      for (const { object, record, before } of changed) {
        if (lower(object.name) !== lower(flow.trigger.object) || !flow.trigger.meets(record, before)) continue;
        try {
          this.org.run("async", () => new Interview(this.org, flow, {}, record).run());
        } catch (e) {
          if (!(e instanceof ApexError)) throw e;
          this.failures.push(`${flow.name}: ${e.message}`);
        }
      }
    }
  }
}
