// Formulas of validation rules and of credentials (Salesforce Help, "Formula
// Operators and Functions"): one grammar, two tables of functions.
import crypto from "node:crypto";
import { CompileError, NotModelled } from "./errors.mjs";
import { equalOperator, lower } from "./values.mjs";

const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\$?[A-Za-z_]\w*(?:\.\w+)*)|(<=|>=|<>|!=|==|&&|\|\||[-+*/&<>=!(),]))/y;

function tokens(text) {
  const all = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const m = TOKEN.exec(text);
    if (!m) throw new CompileError(`Syntax error in formula at ${JSON.stringify(text.slice(at, at + 20))}`);
    if (m[1] !== undefined) all.push({ number: Number(m[1]) });
    else if (m[2] !== undefined || m[3] !== undefined) all.push({ text: (m[2] ?? m[3]).replace(/\\(.)/g, "$1") });
    else if (m[4] !== undefined) all.push({ name: m[4] });
    else all.push({ sign: m[5] });
  }
  return all;
}

// From the loosest to the tightest.
const LEVELS = [["||"], ["&&"], ["=", "==", "<>", "!=", "<", ">", "<=", ">="], ["+", "-", "&"], ["*", "/"]];

/** Parses a formula into {call, args}, {name}, {value} or {op, args}. */
export function parseFormula(text) {
  const all = tokens(text);
  let i = 0;
  const is = (...signs) => all[i]?.sign !== undefined && signs.includes(all[i].sign);
  const expect = (sign) => {
    if (!is(sign)) throw new CompileError(`Syntax error in formula: missing ${sign}`);
    i++;
  };
  const primary = () => {
    const t = all[i++];
    if (!t) throw new CompileError("Syntax error in formula: it ends too early");
    if (t.number !== undefined) return { value: t.number };
    if (t.text !== undefined) return { value: t.text };
    if (t.sign === "!" || t.sign === "-") return { op: t.sign === "!" ? "not" : "minus", args: [primary()] };
    if (t.sign === "(") {
      const inner = level(0);
      expect(")");
      return inner;
    }
    if (!t.name) throw new CompileError(`Syntax error in formula: extra ${t.sign}`);
    if (!is("(")) return { name: t.name };
    i++;
    const args = [];
    while (!is(")")) {
      args.push(level(0));
      if (!is(")")) expect(",");
    }
    i++;
    return { call: t.name.toUpperCase(), args };
  };
  const level = (n) => {
    if (n === LEVELS.length) return primary();
    let left = level(n + 1);
    while (is(...LEVELS[n])) left = { op: all[i++].sign, args: [left, level(n + 1)] };
    return left;
  };
  const tree = level(0);
  if (i !== all.length) throw new CompileError(`Syntax error in formula: extra ${JSON.stringify(all[i])}`);
  return tree;
}

/** Walks every call and name of a formula, so that unknown ones are found before any record is saved. */
export function checkFormula(tree, { functions, knows }) {
  if (tree.call && !functions[tree.call]) throw new CompileError(`Unknown function ${tree.call}`);
  if (tree.name && !knows(tree.name)) throw new CompileError(`Field ${tree.name} does not exist`);
  for (const a of tree.args ?? []) checkFormula(a, { functions, knows });
}

const blank = (v) => v === null || v === "";

function number(v) {
  if (typeof v !== "number")
    throw new NotModelled(`a formula that computes with ${v === null ? "a blank" : typeof v}; use BLANKVALUE`);
  return v;
}

const comparable = (v) => (v !== null && typeof v === "object" ? v.ms : v);

function operate(op, args) {
  const [a, b] = args.map((x) => comparable(x()));
  switch (op) {
    case "&&":
      return a && b;
    case "||":
      return a || b;
    case "not":
      return !a;
    case "minus":
      return -number(a);
    case "=":
    case "==":
      return blank(a) ? blank(b) : a === b;
    case "<>":
    case "!=":
      return blank(a) ? !blank(b) : a !== b;
    case "&":
      return `${a ?? ""}${b ?? ""}`;
    case "<":
      return number(a) < number(b);
    case ">":
      return number(a) > number(b);
    case "<=":
      return number(a) <= number(b);
    case ">=":
      return number(a) >= number(b);
    case "+":
      return number(a) + number(b);
    case "-":
      return number(a) - number(b);
    case "*":
      return number(a) * number(b);
    default:
      return number(a) / number(b);
  }
}

/** @param scope {functions, value(name)} */
export function evaluate(tree, scope) {
  if ("value" in tree) return tree.value;
  if (tree.name)
    return /^(true|false|null)$/i.test(tree.name)
      ? { true: true, false: false, null: null }[lower(tree.name)]
      : scope.value(tree.name);
  const args = tree.args.map((a) => Object.assign(() => evaluate(a, scope), { tree: a }));
  if (tree.op) return operate(tree.op, args);
  return scope.functions[tree.call](args, scope);
}

const fieldOf = (arg) => {
  if (!arg.tree.name) throw new CompileError("Incorrect argument: a field is needed");
  return arg.tree.name;
};

/** Functions of validation rules. */
export const RULE_FUNCTIONS = {
  AND: (args) => args.every((a) => a()),
  OR: (args) => args.some((a) => a()),
  NOT: ([a]) => !a(),
  IF: ([test, yes, no]) => (test() ? yes() : no()),
  ISBLANK: ([a]) => blank(a()),
  BLANKVALUE: ([a, b]) => {
    const v = a();
    return blank(v) ? b() : v;
  },
  ISNEW: (_, scope) => scope.before === null,
  ISCHANGED: ([a], scope) => scope.before !== null && !equalOperator(scope.value(fieldOf(a)), scope.prior(fieldOf(a))),
  PRIORVALUE: ([a], scope) => scope.prior(fieldOf(a)),
  ISPICKVAL: ([a, b]) => (a() ?? "") === b(),
  TEXT: ([a]) => String(a() ?? ""),
  LEN: ([a]) => (a() ?? "").length
};

const bytes = (v) => {
  if (!Buffer.isBuffer(v)) throw new CompileError("Incorrect parameter type: a Blob is needed");
  return v;
};
const sha256 = (v) => {
  if (v !== "SHA-256") throw new CompileError(`Unknown algorithm ${v}`);
};

/** Functions of the headers of credentials (Salesforce Help, "Formula Functions for Named Credentials"). */
export const CREDENTIAL_FUNCTIONS = {
  HEX: ([a]) => bytes(a()).toString("hex"),
  BASE64ENCODE: ([a]) => bytes(a()).toString("base64"),
  BLOB: ([a]) => Buffer.from(String(a()), "utf8"),
  HASH: ([a, b]) => (sha256(a()), crypto.createHash("sha256").update(bytes(b())).digest()),
  HMAC: ([a, v, key]) => (sha256(a()), crypto.createHmac("sha256", bytes(key())).update(bytes(v())).digest())
};

/** The text of a header of a credential: {!formula} between plain text. */
export function headerText(template, value) {
  const out = template.replace(/\{!((?:[^}"']|"[^"]*"|'[^']*')*)\}/g, (_, formula) => {
    const v = evaluate(parsed(formula), { functions: CREDENTIAL_FUNCTIONS, value });
    if (typeof v !== "string") throw new CompileError("a header needs a text");
    return v;
  });
  // Formula ≤ 3,900 characters, its result ≤ 1,300.
  if (template.length > 3900 || out.length > 1300) throw new CompileError("the formula or its result is too long");
  return out;
}

function parsed(formula) {
  const tree = parseFormula(formula);
  checkFormula(tree, { functions: CREDENTIAL_FUNCTIONS, knows: (n) => n.startsWith("$Credential.") });
  return tree;
}
