// Static types of Apex and the rules by which one may stand for another
// (Apex Developer Guide, "Data Types and Variables", "Rules of Conversion").
import { CompileError } from "./errors.mjs";
import { lower } from "./values.mjs";

export class Type {
  constructor(name, { args = [], cls = null, sobject = false, native = false } = {}) {
    this.name = name;
    this.args = args;
    this.cls = cls; // a class of the package or an exception
    this.sobject = sobject;
    this.native = native; // of the platform's library
    this.key = lower(name) + (args.length ? `<${args.map((a) => a.key).join()}>` : "");
  }
  toString() {
    return this.args.length ? `${this.name}<${this.args.join(", ")}>` : this.name;
  }
  is(...names) {
    return names.includes(this.name);
  }
}

const PRIMITIVES = [
  "Boolean",
  "Integer",
  "Long",
  "Decimal",
  "Double",
  "String",
  "Id",
  "Blob",
  "Date",
  "Datetime",
  "Object",
  "void",
  "null"
];
const primitives = new Map(PRIMITIVES.map((n) => [lower(n), new Type(n)]));
export const SOBJECT = new Type("SObject", { sobject: true });
export const OBJECT = primitives.get("object");
export const NULL = primitives.get("null");
export const VOID = primitives.get("void");
export const STRING = primitives.get("string");
export const ID = primitives.get("id");
export const BOOLEAN = primitives.get("boolean");
export const INTEGER = primitives.get("integer");
export const LONG = primitives.get("long");
export const DECIMAL = primitives.get("decimal");
export const listOf = (t) => new Type("List", { args: [t] });

export const primitive = (name) => primitives.get(lower(name)) ?? null;
export const isNumber = (t) => t.is("Integer", "Long", "Decimal", "Double");

const RANK = { Integer: 0, Long: 1, Double: 2, Decimal: 2 };

/** Every type that a class is: itself, its ancestors, their interfaces. */
export function ancestry(cls) {
  const all = [];
  for (let c = cls; c; c = c.super) {
    all.push(c.type);
    const visit = (t) => {
      all.push(t);
      for (const up of t.cls?.interfaces ?? []) visit(up);
    };
    c.interfaces.forEach(visit);
  }
  return all;
}

/**
 * How far `from` is from `to`: 0 for the same type, more for a conversion,
 * null where there is none.
 */
export function distance(from, to) {
  if (from.key === to.key) return 0;
  if (from.is("void")) return null;
  if (from.is("null")) return 1;
  if (to.is("Object")) return 10;
  if (isNumber(from) && isNumber(to))
    return RANK[to.name] >= RANK[from.name] ? 1 + RANK[to.name] - RANK[from.name] : null;
  if (from.is("Id") && to.is("String")) return 1;
  if (from.is("String") && to.is("Id")) return 2;
  if (from.is("Date") && to.is("Datetime")) return 1;
  if (from.sobject && to === SOBJECT) return 1;
  if (from.soql && to.sobject) return distance(from.args[0], to);
  if (from.name === to.name && from.args.length) return collectionDistance(from, to);
  if (to.name === "Iterable" && from.is("List", "Set")) return distance(from.args[0], to.args[0]);
  if (from.cls) {
    const at = ancestry(from.cls).findIndex((t) => t.key === to.key);
    return at < 0 ? null : at;
  }
  return null;
}

function collectionDistance(from, to) {
  let sum = 0;
  for (let i = 0; i < from.args.length; i++) {
    const [a, b] = [from.args[i], to.args[i]];
    const anySObject = a === SOBJECT && b.sobject; // a list of SObject may be taken for a list of orders
    const d = anySObject ? 1 : isNumber(a) && a.key !== b.key ? null : distance(a, b);
    if (d === null) return null;
    sum += d;
  }
  return sum;
}

export function mustFit(from, to, where) {
  if (distance(from, to) === null) throw new CompileError(`Illegal assignment from ${from} to ${to} (${where})`);
}
