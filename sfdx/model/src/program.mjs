// The classes of a project as one program: names, types, members, and the
// instances that run it.
import { Compiler } from "./compile.mjs";
import { ClassDeclaration, declareUnit, parse } from "./declare.mjs";
import { CompileError, NotModelled } from "./errors.mjs";
import { EXCEPTIONS, Library } from "./library.mjs";
import { distance, listOf, OBJECT, primitive, SOBJECT, Type, VOID } from "./types.mjs";
import { EnumValue, lower } from "./values.mjs";

export class Program {
  constructor(project, org) {
    this.project = project;
    this.schema = project.schema;
    this.org = org;
    this.classes = new Map();
    this.sobjects = new Map();
    this.library = new Library(this, org);
    for (const name of EXCEPTIONS) this.addException(name);
    for (const source of project.classes) this.add(declareUnit(source));
    for (const c of this.all()) this.resolveHeader(c);
    for (const c of this.all()) this.resolveMembers(c);
    for (const c of this.all()) this.checkContract(c);
    const compiler = new Compiler(this);
    for (const c of this.all()) compiler.compileClass(c);
    this.triggers = project.triggers.map((t) => compiler.compileTrigger(t, parse(t.source, t.name, "triggerUnit")));
  }

  add(c) {
    if (this.classes.has(lower(c.name))) throw new CompileError(`${c.name} is there twice`);
    this.classes.set(lower(c.name), c);
  }

  addException(name) {
    const c = new ClassDeclaration(name, "class", null, "System");
    c.exception = true;
    c.builtin = true;
    c.modifiers = new Set(["global", "virtual"]);
    if (name !== "Exception") c.super = this.classes.get("exception");
    c.vtable = new Map();
    this.add(c);
  }

  *all() {
    for (const c of this.classes.values()) {
      if (c.builtin) continue;
      yield c;
      yield* c.inner.values();
    }
  }

  sobjectType(name) {
    const key = lower(name);
    const o = this.schema.object(key);
    if (!o) return null;
    if (!this.sobjects.has(key)) this.sobjects.set(key, new Type(o.name, { sobject: true }));
    return this.sobjects.get(key);
  }

  /** The class that a name means inside another class, or null. */
  findClass(name, from) {
    const parts = lower(name)
      .replace(/^system\./, "")
      .split(".");
    for (let c = from; c; c = c.outer) {
      for (let k = c; k; k = k.super) if (parts.length === 1 && k.inner.has(parts[0])) return k.inner.get(parts[0]);
      if (parts.length === 1 && lower(c.name) === parts[0]) return c;
    }
    const top = this.classes.get(parts[0]);
    if (!top) return null;
    return parts.length === 1 ? top : parts.length === 2 ? (top.inner.get(parts[1]) ?? null) : null;
  }

  /** The type that a name without arguments means, or null. */
  findType(name, from) {
    const c = this.findClass(name, from);
    if (c) return c.type;
    const plain = name.replace(/^(System|Schema)\./i, "");
    if (lower(plain) === "sobject") return SOBJECT;
    return primitive(plain) ?? this.library.typeOf(plain) ?? this.sobjectType(plain);
  }

  type(tree, from, where) {
    if (!tree) return VOID;
    let t;
    const names = tree.typeName_list();
    const last = names[names.length - 1];
    const args = (last.typeArguments()?.typeList().typeRef_list() ?? []).map((a) => this.type(a, from, where));
    const name = names.map((n) => n.id()?.getText() ?? n.getText().replace(/<.*$/, "")).join(".");
    if (args.length) t = this.generic(name, args, where);
    else t = this.findType(name, from);
    if (!t) throw new CompileError(`Invalid type: ${name} (${where})`);
    for (let i = 0; i < (tree.arraySubscripts()?.LBRACK_list().length ?? 0); i++) t = listOf(t);
    return t;
  }

  generic(name, args, where) {
    const wanted = { list: 1, set: 1, map: 2, iterable: 1 }[lower(name)];
    if (wanted !== args.length) throw new NotModelled(`generic type ${name} of ${args.length}`, where);
    return new Type({ list: "List", set: "Set", map: "Map", iterable: "Iterable" }[lower(name)], { args });
  }

  resolveHeader(c) {
    const where = `${c.file}:${c.tree.start.line}`;
    const interfaces =
      c.kind === "class"
        ? c.tree.IMPLEMENTS?.() && c.tree.typeList()
        : c.kind === "interface"
          ? c.tree.typeList?.()
          : null;
    c.interfaces = (interfaces?.typeRef_list() ?? []).map((t) => this.type(t, c, where));
    if (c.kind === "class" && c.tree.EXTENDS()) {
      c.super = this.type(c.tree.typeRef(), c, where).cls;
      if (!c.super || c.super.kind !== "class") throw new CompileError(`${c.full} extends no class (${where})`);
      if (!c.super.modifiers.has("virtual") && !c.super.modifiers.has("abstract"))
        throw new CompileError(`Non-virtual and non-abstract type cannot be extended: ${c.super.full} (${where})`);
      c.exception = c.super.exception;
    }
  }

  resolveMembers(c) {
    if (c.kind === "enum") c.constants = c.values.map((v, i) => new EnumValue(c.full, v, i));
    for (const f of c.fields.values()) f.type = this.type(f.typeTree, c, `${c.file}:${f.tree.start.line}`);
    for (const m of [...[...c.methods.values()].flat(), ...c.constructors]) {
      const where = `${c.file}:${m.tree.start.line}`;
      for (const p of m.params) p.type = this.type(p.tree, c, where);
      m.type = this.type(m.returns, c, where);
      m.signature = `${lower(m.name)}(${m.params.map((p) => p.type.key)})`;
    }
  }

  /** Builds the table by which calls are dispatched, and checks override and interfaces. */
  checkContract(c) {
    if (c.vtable) return;
    if (c.super) this.checkContract(c.super);
    c.vtable = new Map(c.super?.vtable ?? []);
    for (const m of [...c.methods.values()].flat()) {
      if (m.static) continue;
      const where = `${c.file}:${m.tree.start.line}`;
      const before = c.vtable.get(m.signature);
      if (before && !m.modifiers.has("override"))
        throw new CompileError(`Method must use the override keyword: ${m.name} (${where})`);
      if (
        before &&
        !before.modifiers.has("virtual") &&
        !before.modifiers.has("abstract") &&
        !before.modifiers.has("override")
      )
        throw new CompileError(`Non-virtual, non-abstract methods cannot be overridden: ${m.name} (${where})`);
      if (!before && m.modifiers.has("override") && !this.library.isObjectMethod(m.signature))
        throw new CompileError(`@Override specified for non-overriding method: ${m.name} (${where})`);
      c.vtable.set(m.signature, m);
    }
    if (c.kind !== "class" || c.modifiers.has("abstract")) return;
    for (const t of c.interfaces) this.checkInterface(c, t);
    for (const m of c.vtable.values())
      if (m.modifiers.has("abstract")) throw new CompileError(`Class ${c.full} must implement the method: ${m.name}`);
  }

  checkInterface(c, t) {
    const wanted = t.cls
      ? [...t.cls.methods.values()].flat().map((m) => m.signature)
      : this.library.interfaceMethods(t);
    if (t.cls?.kind !== "interface" && !wanted)
      throw new CompileError(`${c.full} implements ${t}, which is no interface`);
    for (const signature of wanted)
      if (!c.vtable.has(signature))
        throw new CompileError(`Class ${c.full} must implement the method: ${t}.${signature}`);
    for (const up of t.cls?.interfaces ?? []) this.checkInterface(c, up);
  }

  findField(c, name) {
    for (let k = c; k; k = k.super) if (k.fields.has(lower(name))) return k.fields.get(lower(name));
    return null;
  }

  findMethods(c, name) {
    const all = [];
    const seen = new Set();
    const visit = (k) => {
      for (const m of k.methods.get(lower(name)) ?? [])
        if (!seen.has(m.signature) && seen.add(m.signature)) all.push(m);
      for (const t of k.interfaces) if (t.cls) visit(t.cls);
      if (k.super) visit(k.super);
    };
    visit(c);
    return all;
  }

  /** The overload whose parameters fit the arguments best; null where none fits. */
  pick(candidates, types) {
    let best = null;
    let least = Infinity;
    for (const m of candidates) {
      if (m.params.length !== types.length) continue;
      let sum = 0;
      for (let i = 0; i < types.length && sum !== null; i++) {
        const d = distance(types[i], m.params[i].type);
        sum = d === null ? null : sum + d;
      }
      if (sum !== null && sum < least) [best, least] = [m, sum];
    }
    return best;
  }

  isThrowable(t) {
    return t.cls?.exception ?? false;
  }

  get object() {
    return OBJECT;
  }
}
