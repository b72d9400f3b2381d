// SOQL (SOQL and SOSL Reference): a parsed query as a function over the model's
// records. One compiler for queries in Apex and for those of the REST API.
import { CompileError, NotModelled } from "./errors.mjs";
import { ApexDate, ApexList, ApexMap, ApexSet, Datetime, equalOperator, id18, lower, SObject } from "./values.mjs";

const UNSUPPORTED = {
  usingScope: "USING SCOPE",
  groupByClause: "GROUP BY",
  offsetClause: "OFFSET",
  allRowsClause: "ALL ROWS",
  updateList: "UPDATE"
};

/**
 * @param context program, where, mode (of a query that says none), and bind:
 *   the compiler of an expression behind a colon, null where there are none.
 * @returns {type, count, run(org, frame)}
 */
export function compileQuery(q, context) {
  const { program, where } = context;
  for (const [clause, words] of Object.entries(UNSUPPORTED))
    if (q[clause]?.()) throw new NotModelled(`SOQL ${words}`, where);
  const object = objectOf(q.fromNameList(), program, where);
  const mode = modeOf(q.withClause(), context);
  const entries = q.selectList().selectEntry_list();
  const count = entries.length === 1 && /^count\(\)$/i.test(entries[0].getText());
  const fields = count ? [] : entries.filter((e) => !e.subQuery()).map((e) => selected(e, object, program, where));
  const children = entries
    .filter((e) => e.subQuery())
    .map((e) => compileChild(e.subQuery(), object, { ...context, mode }));
  const test = q.whereClause()
    ? condition(q.whereClause().whereLogicalExpression(), object, context)
    : { used: [], test: () => true };
  const order = ordering(q.orderByClause(), object, program, where);
  const limit = limitOf(q.limitClause(), context);
  const lock = lockOf(q.forClauses(), where);
  const used = [...fields, ...test.used, ...order.used];
  return {
    count,
    type: program.sobjectType(object.name),
    run(org, frame) {
      org.limits.use("queries");
      if (mode === "user") org.access.mustRead(object, used);
      let rows = org.database.candidates(object, mode).filter((r) => test.test(r, frame, org));
      rows = order.sort(rows, org).slice(0, limit(frame));
      if (lock) org.database.lock(rows);
      if (count) return rows.length;
      return rows.map((r) => project(org, object, r, fields, children, frame, mode));
    }
  };
}

function objectOf(from, program, where) {
  const names = from.fieldName_list();
  if (names.length !== 1 || from.soqlId_list().length) throw new NotModelled("SOQL with an alias", where);
  const object = program.schema.object(names[0].getText());
  if (!object) throw new CompileError(`sObject type '${names[0].getText()}' is not supported (${where})`);
  return object;
}

function modeOf(clause, context) {
  if (!clause) return context.mode;
  if (clause.SYSTEM_MODE()) return "system";
  if (clause.USER_MODE()) return "user";
  // Removed in API 67 (Apex Developer Guide, "Filter SOQL Queries Using WITH SECURITY_ENFORCED").
  throw new CompileError(`${clause.getText()} is not of this API version (${context.where})`);
}

/** A path of relationships that ends in a field: Account.Owner.Name. */
function pathOf(text, object, program, where) {
  const parts = text.split(".");
  const steps = [];
  let at = object;
  for (const p of parts.slice(0, -1)) {
    const up = program.schema.relationship(at.name, p);
    if (!up) throw new CompileError(`Didn't understand relationship '${p}' in field path (${where})`);
    steps.push({ field: up, object: at });
    at = program.schema.object(up.to[0]);
  }
  const field = program.schema.field(at.name, parts.at(-1));
  if (!field) throw new CompileError(`No such column '${parts.at(-1)}' on entity '${at.name}' (${where})`);
  return { steps, field, object: at, names: parts };
}

function selected(entry, object, program, where) {
  if (!entry.fieldName() || entry.soqlFunction() || entry.typeOf())
    throw new NotModelled(`SOQL ${entry.getText()}`, where);
  return pathOf(entry.fieldName().getText(), object, program, where);
}

function compileChild(q, parent, context) {
  const { program, where } = context;
  const relationship = q.fromNameList().getText();
  const name = Object.keys(parent.children).find((k) => lower(k) === lower(relationship));
  if (!name)
    throw new CompileError(`Didn't understand relationship '${relationship}' in FROM part of query call (${where})`);
  const [childName, back] = parent.children[name];
  const object = program.schema.object(childName);
  if (q.limitClause() || q.forClauses().getText()) throw new NotModelled("LIMIT or FOR in a subquery", where);
  const fields = q
    .subFieldList()
    .subFieldEntry_list()
    .map((e) => selected(e, object, program, where));
  const test = q.whereClause()
    ? condition(q.whereClause().whereLogicalExpression(), object, context)
    : { used: [], test: () => true };
  const order = ordering(q.orderByClause(), object, program, where);
  return {
    name,
    run(org, row, frame) {
      if (context.mode === "user") org.access.mustRead(object, [...fields, ...test.used, ...order.used]);
      const rows = org.database
        .candidates(object, context.mode)
        .filter((r) => r.get(back) === row.get("Id") && test.test(r, frame, org));
      return new ApexList(order.sort(rows, org).map((r) => project(org, object, r, fields, [], frame, context.mode)));
    }
  };
}

/** The value at the end of a path; a relationship that leads nowhere is null. */
function follow(org, row, path) {
  let at = row;
  for (const s of path.steps) {
    const id = at.get(s.field.name);
    at = id === null ? null : org.database.table(s.field.to[0]).get(id);
    if (!at) return null;
  }
  return at.get(path.field.name);
}

function project(org, object, row, fields, children, frame, mode) {
  const out = new SObject(object.name, new Map([["id", row.get("Id")]]), new Set(["id"]));
  for (const path of fields) {
    let from = row;
    let to = out;
    for (const [i, s] of path.steps.entries()) {
      const name = path.names[i];
      const id = from.get(s.field.name);
      const next = id === null ? null : (org.database.visible(s.field.to[0], id, mode) ?? null);
      to.selected.add(lower(name));
      if (!next) {
        to.set(name, null);
        to = null;
        break;
      }
      if (!to.get(name)) to.set(name, new SObject(next.type, new Map(), new Set(["id"])));
      to = to.get(name);
      from = next;
    }
    if (!to) continue;
    to.selected.add(lower(path.field.name));
    to.set(path.field.name, from.get(path.field.name));
  }
  for (const c of children) {
    out.selected.add(lower(c.name));
    out.set(c.name, c.run(org, row, frame));
  }
  return out;
}

function condition(tree, object, context) {
  const parts = tree.whereConditionalExpression_list().map((p) => {
    if (p.whereLogicalExpression()) return condition(p.whereLogicalExpression(), object, context);
    const f = p.whereFieldExpression();
    if (!f.fieldExpression()) throw new NotModelled("FORMULA() in SOQL", context.where);
    return comparison(f.fieldExpression(), object, context);
  });
  const used = parts.flatMap((p) => p.used);
  if (tree.NOT()) return { used, test: (...a) => !parts[0].test(...a) };
  if (tree.SOQLOR_list().length) return { used, test: (...a) => parts.some((p) => p.test(...a)) };
  return { used, test: (...a) => parts.every((p) => p.test(...a)) };
}

const order = (v) => (v instanceof Datetime || v instanceof ApexDate ? v.ms : typeof v === "string" ? lower(v) : v);
const OPERATORS = {
  "=": same,
  "!=": (a, b) => !same(a, b),
  "<>": (a, b) => !same(a, b),
  "<": (a, b) => a !== null && b !== null && order(a) < order(b),
  ">": (a, b) => a !== null && b !== null && order(a) > order(b),
  "<=": (a, b) => a !== null && b !== null && order(a) <= order(b),
  ">=": (a, b) => a !== null && b !== null && order(a) >= order(b),
  in: (a, b) => itemsOf(b).some((x) => same(a, x)),
  notin: (a, b) => !itemsOf(b).some((x) => same(a, x))
};

function same(a, b) {
  if (a instanceof Datetime && b instanceof Datetime) return a.ms === b.ms;
  return equalOperator(a, b);
}

function itemsOf(v) {
  if (v instanceof ApexMap) return v.keys;
  return v instanceof ApexList || v instanceof ApexSet ? v.items : v;
}

function comparison(tree, object, context) {
  if (tree.soqlFunction()) throw new NotModelled(`SOQL ${tree.getText()}`, context.where);
  const path = pathOf(tree.fieldName().getText(), object, context.program, context.where);
  const compare = OPERATORS[lower(tree.comparisonOperator().getText())];
  if (!compare) throw new NotModelled(`SOQL ${tree.comparisonOperator().getText()}`, context.where);
  if (path.field.type === "String" && path.field.length > 255)
    throw new CompileError(`field '${path.field.name}' can not be filtered in a query call (${context.where})`);
  const value = literal(tree.value(), context);
  const normal = path.field.type === "Id" ? (v) => (typeof v === "string" ? (id18(v) ?? v) : v) : (v) => v;
  const all = (v) => (Array.isArray(itemsOf(v)) ? new ApexList(itemsOf(v).map(normal)) : normal(v));
  return { used: [path], test: (row, frame, org) => compare(follow(org, row, path), all(value(frame))) };
}

function literal(v, context) {
  const text = v.getText();
  if (v.boundExpression()) {
    if (!context.bind) throw new CompileError(`a bind variable needs Apex (${context.where})`);
    return context.bind(v.boundExpression().expression()).run;
  }
  if (v.NULL()) return () => null;
  if (v.StringLiteral()) {
    const s = text.slice(1, -1).replace(/\\(.)/g, "$1");
    return () => s;
  }
  if (v.BooleanLiteral()) return () => lower(text) === "true";
  if (v.signedNumber()) return () => Number(text);
  if (v.DateTimeLiteral()) return () => new Datetime(Date.parse(text));
  if (v.valueList()) {
    const all = v
      .valueList()
      .value_list()
      .map((x) => literal(x, context));
    return (f) => new ApexList(all.map((x) => x(f)));
  }
  throw new NotModelled(`SOQL value ${text}`, context.where);
}

/** ORDER BY; blanks come first unless NULLS LAST is said. */
function ordering(clause, object, program, where) {
  if (!clause) return { used: [], sort: (rows) => rows };
  const keys = clause
    .fieldOrderList()
    .fieldOrder_list()
    .map((o) => {
      if (!o.fieldName()) throw new NotModelled(`SOQL ${o.getText()}`, where);
      return {
        path: pathOf(o.fieldName().getText(), object, program, where),
        down: Boolean(o.DESC()),
        last: Boolean(o.LAST())
      };
    });
  const compare = (org) => (a, b) => {
    for (const k of keys) {
      const [x, y] = [follow(org, a, k.path), follow(org, b, k.path)].map(order);
      if (x === y) continue;
      if (x === null || y === null) return (x === null) === k.last ? 1 : -1;
      return x < y === k.down ? 1 : -1;
    }
    return 0;
  };
  return { used: keys.map((k) => k.path), sort: (rows, org) => [...rows].sort(compare(org)) };
}

function limitOf(clause, context) {
  if (!clause) return () => Infinity;
  if (clause.IntegerLiteral()) return () => Number(clause.IntegerLiteral().getText());
  const bound = context.bind(clause.boundExpression().expression());
  return (f) => bound.run(f);
}

function lockOf(clauses, where) {
  const text = lower(clauses.getText());
  if (text !== "" && text !== "forupdate") throw new NotModelled(`SOQL ${text}`, where);
  return text === "forupdate";
}
