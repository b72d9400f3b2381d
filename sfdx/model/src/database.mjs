// The records of the org, and saving them (Apex Developer Guide, "Triggers and
// Order of Execution").
import { NotModelled } from "./errors.mjs";
import { checkFormula, evaluate, parseFormula, RULE_FUNCTIONS } from "./formula.mjs";
import { ApexDate, Datetime, equal, id18, lower, SObject } from "./values.mjs";

const CHUNK = 200; // records that triggers get at once
const refusal = (code, message, field = null) => ({ code, message, fields: field ? [field] : [] });

export class Database {
  constructor(org) {
    this.org = org;
    this.schema = org.project.schema;
    this.tables = new Map();
    this.versions = new Map();
    this.undo = []; // {table, id, before}, so that a transaction can be taken back
    this.locked = new Set(); // ids that another transaction holds
    this.serial = 0;
    this.rules = org.project.rules.map((r) => this.compileRule(r));
  }

  table(name) {
    const key = lower(name);
    if (!this.tables.has(key)) this.tables.set(key, new Map());
    return this.tables.get(key);
  }

  version(name) {
    return this.versions.get(lower(name)) ?? 0;
  }

  write(name, id, row) {
    const table = this.table(name);
    this.undo.push({ name, id, before: table.get(id) });
    this.versions.set(lower(name), this.version(name) + 1);
    if (row) table.set(id, row);
    else table.delete(id);
  }

  savepoint() {
    return this.undo.length;
  }

  rollback(savepoint) {
    while (this.undo.length > savepoint) {
      const { name, id, before } = this.undo.pop();
      this.versions.set(lower(name), this.version(name) + 1);
      if (before) this.table(name).set(id, before);
      else this.table(name).delete(id);
    }
  }

  newId(name) {
    return id18(this.schema.object(name).prefix + String(++this.serial).padStart(12, "0"));
  }

  /** Puts a record as it is: what an administrator or another system has in the org. */
  seed(name, fields) {
    const object = this.schema.object(name);
    const row = new SObject(object.name);
    for (const f of object.fields.values()) row.set(f.name, f.initial ?? (f.type === "Boolean" ? false : null));
    for (const [k, v] of Object.entries(fields)) row.set(this.org.mustField(name, k).name, v);
    row.set("Id", id18(fields.Id ?? "") ?? this.newId(name));
    const now = new Datetime(this.org.now());
    for (const f of ["CreatedDate", "LastModifiedDate", "SystemModstamp"])
      if (object.fields.has(lower(f)) && !row.get(f)) row.set(f, now);
    this.write(object.name, row.get("Id"), row);
    return row.get("Id");
  }

  /** Rows that a query may see. */
  candidates(object, mode) {
    if (lower(object.name) === "userrecordaccess") return this.recordAccess();
    const rows = [...this.table(object.name).values()];
    return mode === "user" ? rows.filter((r) => !this.org.access.hidden.has(r.get("Id"))) : rows;
  }

  visible(name, id, mode) {
    if (mode === "user" && this.org.access.hidden.has(id)) return null;
    return this.table(name).get(id);
  }

  /** UserRecordAccess has a row for each record (Object Reference, "UserRecordAccess"). */
  recordAccess() {
    const object = this.schema.object("Order");
    return [...this.table("Order").keys()].map((id) => {
      const reads = !this.org.access.hidden.has(id) && this.org.access.objectMay(object, "read");
      return new SObject("UserRecordAccess")
        .set("UserId", this.org.user)
        .set("RecordId", id)
        .set("HasReadAccess", reads)
        .set("HasEditAccess", reads && this.org.access.objectMay(object, "edit"));
    });
  }

  /** SELECT … FOR UPDATE waits up to 10 s for another transaction's lock, then gives up. */
  lock(rows) {
    if (rows.some((r) => this.locked.has(r.get("Id"))))
      this.org.raise(
        "QueryException",
        "Record Currently Unavailable: The record you are attempting to edit, or one of its related records, is currently being modified by another user. Please try again."
      );
  }

  setCreatedDate(id, at) {
    for (const [name, table] of this.tables)
      if (table.has(id)) this.write(name, id, table.get(id).copy().set("CreatedDate", at));
    return null;
  }

  /**
   * One DML statement.
   * @returns one {id, errors} for each row, in their order
   */
  dml(operation, rows, { mode, allOrNone }) {
    this.org.limits.use("dml");
    if (rows.some((r) => r === null)) this.org.raise("NullPointerException", "Attempt to de-reference a null object");
    if (!rows.length) return [];
    if (rows.length > CHUNK) throw new NotModelled(`DML on more than ${CHUNK} records`);
    const types = new Set(rows.map((r) => r.type));
    if (types.size > 1) throw new NotModelled("DML on several objects at once");
    const object = this.schema.object(rows[0].type);
    this.org.transaction.wrote(object);
    const start = this.savepoint();
    const results = this.saveAll(operation, object, rows, mode);
    const bad = results.findIndex((r) => r.errors.length);
    if (bad < 0 || !allOrNone) return results;
    this.rollback(start);
    const e = results[bad].errors[0];
    const text = `${operation[0].toUpperCase()}${operation.slice(1)} failed. First exception on row ${bad}${rows[bad].get("Id") ? ` with id ${rows[bad].get("Id")}` : ""}; first error: ${e.code}, ${e.message}: [${e.fields.join(", ")}]`;
    return this.org.raise("DmlException", text, { rows: results.filter((r) => r.errors.length) });
  }

  saveAll(operation, object, rows, mode) {
    const jobs = rows.map((given) => this.prepare(operation, object, given, mode));
    const seen = new Set();
    for (const j of jobs) {
      const id = j.given.get("Id");
      if (id && seen.has(id)) j.errors.push(refusal("DUPLICATE_VALUE", `Duplicate id in list: ${id}`));
      seen.add(id);
    }
    const live = () => jobs.filter((j) => !j.errors.length);
    this.org.fireTriggers(object, "before", operation, live());
    for (const j of live()) j.errors.push(...(operation === "delete" ? [] : this.check(object, j)));
    for (const j of live()) this.store(operation, object, j);
    this.org.fireTriggers(object, "after", operation, live());
    return jobs.map((j) => ({ id: j.errors.length ? null : j.record.get("Id"), errors: j.errors }));
  }

  prepare(operation, object, given, mode) {
    const job = { given, errors: [], before: null, record: null, written: [] };
    if (operation === "insert") {
      if (given.get("Id"))
        job.errors.push(refusal("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", "Id"));
      job.record = this.blank(object);
    } else {
      const id = given.get("Id");
      if (!id) job.errors.push(refusal("MISSING_ARGUMENT", "Id not specified in an update call"));
      job.before = this.table(object.name).get(id) ?? null;
      if (id && (!job.before || (mode === "user" && this.org.access.hidden.has(id))))
        job.errors.push(refusal("ENTITY_IS_DELETED", "entity is deleted"));
      if (this.locked.has(id))
        job.errors.push(refusal("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"));
      if (job.errors.length) return job;
      job.record = job.before.copy();
    }
    if (operation !== "delete") this.takeOver(object, job);
    if (mode === "user") this.checkAccess(operation, object, job);
    return job;
  }

  blank(object) {
    const row = new SObject(object.name);
    for (const f of object.fields.values()) row.set(f.name, f.initial ?? (f.type === "Boolean" ? false : null));
    return row;
  }

  /** Copies the fields that the statement sets. What a query read and nothing changed counts as not set. */
  takeOver(object, job) {
    for (const [key, v] of job.given.fields) {
      const f = object.fields.get(key);
      if (!f) continue; // a relationship that was read
      const unchanged = job.given.selected && job.before && equal(v, job.before.get(key));
      if (f.name === "Id" || unchanged) continue;
      if (f.fixed && !(f.name === "CreatedDate"))
        job.errors.push(
          refusal(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            `Unable to create/update fields: ${f.name}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.`,
            f.name
          )
        );
      job.record.set(f.name, v);
      job.written.push(f);
    }
  }

  checkAccess(operation, object, job) {
    const what = { insert: "create", update: "edit", delete: "delete" }[operation];
    if (!this.org.access.objectMay(object, what))
      job.errors.push(refusal("INSUFFICIENT_ACCESS_OR_READONLY", `Access to entity '${object.name}' denied`));
    for (const f of job.written)
      if (!this.org.access.fieldMay(object, f, "edit"))
        job.errors.push(
          refusal(
            "INSUFFICIENT_ACCESS_OR_READONLY",
            `Operation failed due to fields being inaccessible on Sobject ${object.name}, check errors on Exception or Result!`,
            f.name
          )
        );
  }

  /** Everything that refuses a record: what a trigger said, system validation, then the rules. */
  check(object, { given, record, before }) {
    const said = record.errors ?? given.errors ?? [];
    const errors = said.map((e) => refusal("FIELD_CUSTOM_VALIDATION_EXCEPTION", e.message, e.field));
    for (const f of object.fields.values()) {
      const e = this.checkField(object, f, record);
      if (e) errors.push(e);
    }
    if (errors.length) return errors;
    return this.rules
      .filter((r) => r.object === lower(object.name) && r.refuses(record, before))
      .map((r) => refusal("FIELD_CUSTOM_VALIDATION_EXCEPTION", r.message, r.field));
  }

  checkField(object, f, record) {
    const v = record.get(f.name);
    if (v === null || v === "")
      return f.required && !f.fixed
        ? refusal("REQUIRED_FIELD_MISSING", `Required fields are missing: [${f.name}]`, f.name)
        : null;
    if (f.type === "Picklist" && f.restricted !== false && !f.values.includes(v))
      return refusal(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        `${f.label ?? f.name}: bad value for restricted picklist field: ${v}`,
        f.name
      );
    if (f.length && v.length > f.length)
      return refusal(
        "STRING_TOO_LONG",
        `${f.label ?? f.name}: data value too large: ${v} (max length=${f.length})`,
        f.name
      );
    if (f.digits && Math.abs(v) >= 10 ** f.digits)
      return refusal(
        "NUMBER_OUTSIDE_VALID_RANGE",
        `${f.label ?? f.name}: value outside of valid range on numeric field: ${v}`,
        f.name
      );
    if (f.to && !this.table(f.to[0]).has(v))
      return refusal("INVALID_CROSS_REFERENCE_KEY", `invalid cross reference id`, f.name);
    if (
      f.unique &&
      [...this.table(object.name).values()].some((r) => r.get("Id") !== record.get("Id") && r.get(f.name) === v)
    )
      return refusal("DUPLICATE_VALUE", `duplicate value found: ${f.name}`, f.name);
    return null;
  }

  store(operation, object, job) {
    const { record } = job;
    if (operation === "delete") {
      this.write(object.name, record.get("Id"), null);
      return;
    }
    const now = new Datetime(this.org.now());
    if (operation === "insert") {
      record.set("Id", this.newId(object.name));
      this.stamp(object, record, {
        CreatedDate: record.get("CreatedDate") ?? now,
        CreatedById: this.org.user,
        OwnerId: record.get("OwnerId") ?? this.org.user,
        OrderNumber: String(this.serial).padStart(8, "0"),
        IsActive: record.get("IsActive")
      });
      job.given.set("Id", record.get("Id"));
    }
    this.stamp(object, record, { LastModifiedDate: now, LastModifiedById: this.org.user, SystemModstamp: now });
    this.derive(object, record);
    for (const f of object.fields.values())
      if (f.scale !== undefined && record.get(f.name) !== null)
        record.set(f.name, Number(record.get(f.name).toFixed(f.scale)));
    this.write(object.name, record.get("Id"), record);
    this.org.transaction.changed.push({ object, record, before: job.before });
  }

  stamp(object, record, values) {
    for (const [name, v] of Object.entries(values)) if (object.fields.has(lower(name))) record.set(name, v);
  }

  /** Fields that the platform computes from others. */
  derive(object, record) {
    if (object.name === "Order") record.set("StatusCode", record.get("Status") === "Activated" ? "Activated" : "Draft");
    if (object.name === "User")
      record.set("Name", [record.get("FirstName"), record.get("LastName")].filter(Boolean).join(" "));
    if (object.name === "OrderItem" && !record.get("Product2Id"))
      record.set("Product2Id", this.table("PricebookEntry").get(record.get("PricebookEntryId")).get("Product2Id"));
  }

  compileRule(rule) {
    const object = this.schema.object(rule.object);
    const tree = parseFormula(rule.formula);
    const permission = (name) => name.match(/^\$Permission\.(\w+)$/i)?.[1];
    const knows = (name) =>
      /^(true|false|null)$/i.test(name) ||
      object.fields.has(lower(name)) ||
      (permission(name) && this.org.project.customPermissions.has(lower(permission(name))));
    checkFormula(tree, { functions: RULE_FUNCTIONS, knows });
    if (rule.field && !object.fields.has(lower(rule.field)))
      throw new NotModelled(`rule ${rule.name} on the field ${rule.field}`);
    const valueIn = (record) => (name) =>
      permission(name) ? this.org.hasCustomPermission(permission(name)) : (record?.get(name) ?? null);
    const refuses = (record, before) =>
      evaluate(tree, {
        functions: RULE_FUNCTIONS,
        before,
        value: valueIn(record),
        prior: valueIn(before ?? record)
      }) === true;
    return { object: lower(rule.object), message: rule.message, field: rule.field, refuses };
  }
}

/** The value of a field as JSON text of the REST API has it, from what a program of the bridge sends. */
export function fromWire(field, v) {
  if (v === null || v === undefined) return null;
  if (field.type === "Datetime") return new Datetime(Date.parse(v));
  if (field.type === "Date") return new ApexDate(Date.parse(v));
  return v;
}
