// Values of Apex. Strings, ids and booleans are JavaScript's; a number is a
// JavaScript number whose static type (Integer, Long, Decimal) the compiler keeps.

export const lower = (s) => s.toLowerCase();

export class Blob {
  constructor(bytes) {
    this.bytes = bytes;
  }
}

export class Datetime {
  constructor(ms) {
    this.ms = ms;
  }
}

/** A day, as milliseconds of its midnight in UTC. */
export class ApexDate {
  constructor(ms) {
    this.ms = ms;
  }
}

export class ApexList {
  constructor(items = []) {
    this.items = items;
  }
}

export class ApexSet {
  constructor(items = []) {
    this.entries = new Map();
    for (const x of items) this.add(x);
  }
  get items() {
    return [...this.entries.values()];
  }
  has(x) {
    return this.entries.has(keyOf(x));
  }
  add(x) {
    const isNew = !this.has(x);
    if (isNew) this.entries.set(keyOf(x), x);
    return isNew;
  }
  remove(x) {
    return this.entries.delete(keyOf(x));
  }
}

export class ApexMap {
  constructor() {
    this.entries = new Map(); // key text -> [key, value], in the order of insertion
  }
  has(k) {
    return this.entries.has(keyOf(k));
  }
  get(k) {
    return this.entries.get(keyOf(k))?.[1] ?? null;
  }
  put(k, v) {
    const before = this.get(k);
    this.entries.set(keyOf(k), [k, v]);
    return before;
  }
  remove(k) {
    const before = this.get(k);
    this.entries.delete(keyOf(k));
    return before;
  }
  get keys() {
    return [...this.entries.values()].map((e) => e[0]);
  }
  get values() {
    return [...this.entries.values()].map((e) => e[1]);
  }
}

/** A record. `selected` holds the names that a query read; null for one that Apex made. */
export class SObject {
  constructor(type, fields = new Map(), selected = null) {
    this.type = type; // name as the schema spells it
    this.fields = fields; // lower-case name -> value; a relationship holds an SObject or an ApexList
    this.selected = selected;
  }
  get(name) {
    return this.fields.get(lower(name)) ?? null;
  }
  set(name, value) {
    this.fields.set(lower(name), value);
    return this;
  }
  has(name) {
    return this.fields.has(lower(name));
  }
  copy() {
    return new SObject(this.type, new Map(this.fields), this.selected && new Set(this.selected));
  }
}

/** An instance of a class of the package, or of an exception class. */
export class Instance {
  constructor(cls) {
    this.cls = cls;
    this.fields = new Map();
  }
}

export class EnumValue {
  constructor(type, name, ordinal) {
    this.type = type;
    this.name = name;
    this.ordinal = ordinal;
  }
}

/** An object of the platform's library: HttpRequest, SaveResult and the like. */
export class Native {
  constructor(type, state = {}) {
    this.type = type;
    Object.assign(this, state);
  }
}

let identities = 0;
const identity = new WeakMap();

/** The text by which sets and maps tell values apart; strings are case-sensitive there. */
function keyOf(x) {
  if (x === null || typeof x !== "object") return `${typeof x}:${x}`;
  if (x instanceof Datetime || x instanceof ApexDate) return `t:${x.ms}`;
  if (x instanceof EnumValue) return `e:${x.type}.${x.name}`;
  if (x instanceof SObject) return `s:${x.type}:${[...x.fields].sort().map(([k, v]) => `${k}=${keyOf(v)}`)}`;
  if (!identity.has(x)) identity.set(x, ++identities);
  return `o:${identity.get(x)}`;
}

/** Equality as `equals` has it: strings by case, lists by their elements. */
export function equal(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
  if (a instanceof ApexList && b instanceof ApexList)
    return a.items.length === b.items.length && a.items.every((x, i) => equal(x, b.items[i]));
  if (a instanceof ApexSet && b instanceof ApexSet)
    return a.entries.size === b.entries.size && a.items.every((x) => b.has(x));
  if (a instanceof ApexMap && b instanceof ApexMap)
    return a.entries.size === b.entries.size && a.keys.every((k) => b.has(k) && equal(a.get(k), b.get(k)));
  if (a instanceof Blob && b instanceof Blob) return a.bytes.equals(b.bytes);
  return keyOf(a) === keyOf(b);
}

/** Equality as `==` has it: as above, but strings without regard to case. */
export function equalOperator(a, b) {
  return typeof a === "string" && typeof b === "string" ? lower(a) === lower(b) : equal(a, b);
}

const ID = /^[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?$/;
const SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/** The 18 characters of an id, or null for what is none. */
export function id18(text) {
  if (typeof text !== "string" || !ID.test(text)) return null;
  const base = text.slice(0, 15);
  let suffix = "";
  for (let part = 0; part < 15; part += 5) {
    let bits = 0;
    for (let i = 0; i < 5; i++) if (/[A-Z]/.test(base[part + i])) bits |= 1 << i;
    suffix += SUFFIX[bits];
  }
  if (text.length === 18 && lower(text.slice(15)) !== lower(suffix)) return null;
  return base + suffix;
}

/** An object without the members that are null. */
export const defined = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== null));

const two = (n) => String(n).padStart(2, "0");

/** The text of a value in concatenation and String.valueOf. */
export function textOf(v) {
  if (v === null || v === undefined) return "null";
  if (typeof v !== "object") return String(v);
  if (v instanceof Datetime) return new Date(v.ms).toISOString().slice(0, 19).replace("T", " ");
  if (v instanceof ApexDate) return new Date(v.ms).toISOString().slice(0, 10);
  if (v instanceof EnumValue) return v.name;
  if (v instanceof ApexList) return `(${v.items.map(textOf).join(", ")})`;
  if (v instanceof ApexSet) return `{${v.items.map(textOf).join(", ")}}`;
  if (v instanceof ApexMap) return `{${v.keys.map((k) => `${textOf(k)}=${textOf(v.get(k))}`).join(", ")}}`;
  if (v instanceof SObject) return `${v.type}:{${[...v.fields].map(([k, x]) => `${k}=${textOf(x)}`).join(", ")}}`;
  if (v instanceof Instance) return v.message !== undefined ? `${v.cls.full}: ${v.message}` : `${v.cls.full}:[]`;
  return `${v.type}[]`;
}

/** java.text.SimpleDateFormat's letters, as far as the package uses them; null for another. */
export function formatTime(ms, pattern, offsetMinutes) {
  const d = new Date(ms + offsetMinutes * 60_000);
  let unknown = false;
  const text = pattern.replace(/'((?:[^']|'')*)'|([A-Za-z])\2*/g, (run, quoted) => {
    if (quoted !== undefined) return quoted === "" ? "'" : quoted.replace(/''/g, "'");
    switch (run) {
      case "yyyy":
        return String(d.getUTCFullYear()).padStart(4, "0");
      case "MM":
        return two(d.getUTCMonth() + 1);
      case "dd":
        return two(d.getUTCDate());
      case "HH":
        return two(d.getUTCHours());
      case "mm":
        return two(d.getUTCMinutes());
      case "ss":
        return two(d.getUTCSeconds());
      case "SSS":
        return String(d.getUTCMilliseconds()).padStart(3, "0");
      default:
        unknown = true;
        return run;
    }
  });
  return unknown ? null : text;
}
