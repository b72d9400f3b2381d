// Turns the bodies of classes into closures. Names, types and overloads are
// resolved here, so that what the platform's compiler would refuse, and what the
// model does not know, is found before anything runs.
import { ClassDeclaration } from "./declare.mjs";
import { ApexError, CompileError, LimitError, NotModelled } from "./errors.mjs";
import { compileQuery } from "./query.mjs";
import {
  ancestry,
  BOOLEAN,
  DECIMAL,
  distance,
  INTEGER,
  isNumber,
  listOf,
  LONG,
  mustFit,
  NULL,
  SOBJECT,
  STRING,
  Type,
  VOID
} from "./types.mjs";
import {
  ApexDate,
  ApexList,
  ApexMap,
  ApexSet,
  Blob,
  Datetime,
  EnumValue,
  equal,
  equalOperator,
  id18,
  Instance,
  lower,
  Native,
  SObject,
  textOf
} from "./values.mjs";

const BREAK = { signal: "break" };
const CONTINUE = { signal: "continue" };

/** Local variables of one method while it is compiled. */
class Scope {
  constructor(unit, up = null) {
    this.unit = unit; // {cls, static, returns, slots, where}
    this.up = up;
    this.names = new Map();
  }
  inner() {
    return new Scope(this.unit, this);
  }
  find(name) {
    for (let s = this; s; s = s.up) if (s.names.has(lower(name))) return s.names.get(lower(name));
    return null;
  }
  declare(name, type, where) {
    if (this.find(name)) throw new CompileError(`Duplicate variable: ${name} (${where})`);
    const v = { slot: this.unit.slots++, type };
    this.names.set(lower(name), v);
    return v;
  }
}

const unquote = (text) =>
  text
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|.)/g, (_, c) =>
      c.length > 1
        ? String.fromCharCode(parseInt(c.slice(1), 16))
        : ({ n: "\n", t: "\t", r: "\r", b: "\b", f: "\f" }[c] ?? c)
    );

export class Compiler {
  constructor(program) {
    this.program = program;
    this.org = program.org;
    this.library = program.library;
  }

  where(scope, node) {
    return `${scope.unit.cls.file}:${node.start.line}`;
  }

  compileClass(c) {
    for (const f of c.fields.values()) this.compileField(c, f);
    c.statics = c.initialisers.map((i) => (i.block ? this.body(c, true, VOID, [], i.block) : i));
    for (const m of [...c.methods.values()].flat())
      if (m.body) m.run = this.body(c, m.static, m.type, m.params, m.body);
    for (const k of c.constructors) this.compileConstructor(c, k);
  }

  compileField(c, f) {
    const where = `${c.file}:${f.tree.start.line}`;
    if (f.initial) {
      const scope = new Scope({ cls: c, static: f.static, returns: VOID, slots: 0 });
      const value = this.fit(this.expression(f.initial, scope), f.type, where);
      f.initialValue = (self) => value({ self, vars: [] });
    }
    if (!f.property) return;
    if (f.modifiers.has("virtual") || f.modifiers.has("abstract") || f.modifiers.has("override"))
      throw new NotModelled("a virtual property", where);
    if (f.getter && f.getter !== "auto") f.get = this.body(c, f.static, f.type, [], f.getter);
    if (f.setter && f.setter !== "auto")
      f.put = this.body(c, f.static, VOID, [{ name: "value", type: f.type }], f.setter);
  }

  /** A method body as a function of `self` and arguments. */
  body(c, isStatic, returns, params, block) {
    const unit = { cls: c, static: isStatic, returns, slots: 0 };
    const scope = new Scope(unit);
    for (const p of params) scope.declare(p.name, p.type, `${c.file}:${block.start.line}`);
    const run = this.block(block, scope);
    return (self, args) => {
      const signal = run({ self, vars: [...args] });
      return signal ? signal.value : null;
    };
  }

  compileConstructor(c, k) {
    const unit = { cls: c, static: false, returns: VOID, slots: 0, constructor: true };
    const scope = new Scope(unit);
    for (const p of k.params) scope.declare(p.name, p.type, `${c.file}:${k.tree.start.line}`);
    const statements = k.body.statement_list();
    const first = statements[0]?.expressionStatement()?.expression();
    const call = first?.constructor.name === "MethodCallExpressionContext" ? first.methodCall() : null;
    const delegates = call?.THIS() ?? null;
    const explicit = call && (call.THIS() || call.SUPER()) ? this.constructorCall(call, scope) : null;
    const rest = this.statements(explicit ? statements.slice(1) : statements, scope);
    k.run = (self, args) => {
      const frame = { self, vars: [...args] };
      if (explicit) explicit(frame);
      else this.superConstructor(c, self, []);
      if (!delegates) this.initialise(c, self);
      rest(frame);
    };
  }

  constructorCall(call, scope) {
    const target = call.THIS() ? scope.unit.cls : scope.unit.cls.super;
    const args = this.arguments(call, scope);
    const where = this.where(scope, call);
    if (target.builtin) return (f) => (f.self.message = args[0] ? args[0].run(f) : null);
    const k = this.program.pick(
      target.constructors,
      args.map((a) => a.type)
    );
    if (!k && args.length) throw new CompileError(`Constructor not defined: ${target.full} (${where})`);
    const values = this.fitAll(args, k?.params ?? [], where);
    return (f) =>
      this.construct(
        target,
        k,
        f.self,
        values.map((v) => v(f))
      );
  }

  superConstructor(c, self, args) {
    if (!c.super) return;
    if (c.super.builtin) {
      self.message ??= args[0] ?? null;
      return;
    }
    this.construct(c.super, c.super.constructors.find((k) => k.params.length === 0) ?? null, self, []);
  }

  construct(c, k, self, args) {
    this.org.initialise(c);
    if (k) k.run(self, args);
    else {
      this.superConstructor(c, self, args);
      this.initialise(c, self);
    }
  }

  /** Sets the instance fields of one class in the chain to their initial values. */
  initialise(c, self) {
    for (const f of c.fields.values())
      if (!f.static && !f.get) self.fields.set(f, f.initialValue ? f.initialValue(self) : (self.fields.get(f) ?? null));
  }

  compileTrigger(t, unit) {
    const c = new ClassDeclaration(t.name, "class", null, t.name);
    c.vtable = new Map();
    const scope = new Scope({ cls: c, static: true, returns: VOID, slots: 0 });
    const members = unit.triggerBlock().triggerBlockMember_list();
    if (members.some((m) => !m.statement())) throw new NotModelled("a declaration in a trigger", t.name);
    const run = this.statements(
      members.map((m) => m.statement()),
      scope
    );
    const events = new Set(unit.triggerCase_list().map((x) => lower(x.getText())));
    return { name: t.name, object: unit.id(1).getText(), events, run: () => run({ self: null, vars: [] }) };
  }

  // ---- statements: each becomes a function that returns nothing or a signal

  block(tree, scope) {
    return this.statements(tree.statement_list(), scope.inner());
  }

  statements(list, scope) {
    const all = list.map((s) => this.statement(s, scope));
    return (f) => {
      for (const run of all) {
        const signal = run(f);
        if (signal) return signal;
      }
      return undefined;
    };
  }

  statement(tree, scope) {
    const where = this.where(scope, tree);
    const inner = tree.getChild(0);
    const compile = STATEMENTS[inner.constructor.name];
    if (!compile) throw new NotModelled(`statement ${inner.constructor.name.replace("Context", "")}`, where);
    const run = compile(this, inner, scope, where);
    if (inner.constructor.name === "BlockContext") return run;
    const line = this.org.coverage.line(scope.unit.cls, tree.start.line);
    return (f) => {
      this.org.step(line, where);
      return run(f);
    };
  }

  loop(body, f) {
    const signal = body(f);
    return signal === CONTINUE ? undefined : signal;
  }

  condition(tree, scope, where) {
    const value = this.fit(this.expression(tree, scope), BOOLEAN, where);
    return (f) => this.org.notNull(value(f));
  }

  locals(tree, scope, where) {
    const type = this.program.type(tree.typeRef(), scope.unit.cls, where);
    const all = tree
      .variableDeclarators()
      .variableDeclarator_list()
      .map((v) => {
        const local = scope.declare(v.id().getText(), type, where);
        return [
          local.slot,
          v.expression() ? this.fit(this.expression(v.expression(), scope), type, where) : () => null
        ];
      });
    return (f) => {
      for (const [slot, value] of all) f.vars[slot] = value(f);
    };
  }

  // ---- expressions: {type, run, place?}

  expression(tree, scope) {
    const name = tree.constructor.name;
    const compile = EXPRESSIONS[name];
    const where = this.where(scope, tree);
    if (!compile) throw new NotModelled(`expression ${name.replace("Context", "")}`, where);
    return compile(this, tree, scope, where);
  }

  /** The value of a node where `target` is wanted. */
  fit(node, target, where) {
    mustFit(node.type, target, where);
    const { run } = node;
    if (node.type.soql && target.sobject) return (f) => this.org.onlyRow(run(f));
    if (target.is("Id") && !node.type.is("Id", "null"))
      return (f) => {
        const v = run(f);
        if (v === null) return null;
        return id18(v) ?? this.org.raise("StringException", `Invalid id: ${v}`);
      };
    return run;
  }

  fitAll(args, params, where) {
    return args.map((a, i) => this.fit(a, params[i].type, where));
  }

  arguments(call, scope) {
    return (call.expressionList()?.expression_list() ?? []).map((e) => this.expression(e, scope));
  }

  /** Checks that code of a class may use a member. */
  mustSee(member, scope, where, access) {
    const open = ["public", "global", "protected"].some((m) => member.modifiers.has(m)) && access !== "private";
    if (open || member.owner.top === scope.unit.cls.top) return;
    if (member.annotations.has("testvisible") && scope.unit.cls.isTest) return;
    throw new CompileError(
      `${member.params ? "Method" : "Variable"} is not visible: ${member.owner.full}.${member.name} (${where})`
    );
  }

  fieldNode(f, target, scope, where) {
    this.mustSee(f, scope, where);
    const store = f.static ? () => this.org.statics(f.owner) : (frame) => this.org.notNull(target(frame)).fields;
    const read = f.get
      ? (frame) => f.get(f.static ? null : this.org.notNull(target(frame)), [])
      : (frame) => store(frame).get(f) ?? null;
    const place = (frame) => {
      if (f.put) {
        const self = f.static ? null : this.org.notNull(target(frame));
        return { get: () => (f.get ? f.get(self, []) : self.fields.get(f)), set: (v) => f.put(self, [v]) };
      }
      const fields = store(frame);
      return { get: () => fields.get(f) ?? null, set: (v) => fields.set(f, v) };
    };
    const writable = () => {
      if (f.property && !f.setter) throw new CompileError(`Field is not writeable: ${f.name} (${where})`);
      if (f.setAccess) this.mustSee(f, scope, where, f.setAccess);
      if (f.modifiers.has("final") && !(f.owner === scope.unit.cls && (scope.unit.constructor || f.static)))
        throw new CompileError(`Field is not writeable: ${f.name} (${where})`);
    };
    return { type: f.type, run: read, place, writable };
  }

  /** The method of a class that a call means, as a node. */
  methodNode(methods, target, args, scope, where, name, exact = false) {
    const m = this.program.pick(
      methods,
      args.map((a) => a.type)
    );
    if (!m)
      throw new CompileError(
        `Method does not exist or incorrect signature: void ${name}(${args.map((a) => a.type).join(", ")}) (${where})`
      );
    if (m.owner.kind === "class") this.mustSee(m, scope, where);
    const values = this.fitAll(args, m.params, where);
    if (m.static)
      return {
        type: m.type,
        run: (f) =>
          this.org.call(
            m,
            null,
            values.map((v) => v(f))
          )
      };
    if (!target)
      throw new CompileError(`Non static method cannot be referenced from a static context: ${name} (${where})`);
    return {
      type: m.type,
      run: (f) => {
        const self = this.org.notNull(target(f));
        return this.org.call(
          exact ? m : self.cls.vtable.get(m.signature),
          self,
          values.map((v) => v(f))
        );
      }
    };
  }

  /** A call without a target: a method of this class, its ancestors, or the classes around. */
  ownMethod(call, scope, where) {
    const name = call.id().getText();
    const args = this.arguments(call, scope);
    for (let c = scope.unit.cls; c; c = c.outer) {
      const methods = this.program.findMethods(c, name);
      const reachable = c === scope.unit.cls ? methods : methods.filter((m) => m.static);
      const self = c === scope.unit.cls && !scope.unit.static ? (f) => f.self : null;
      if (reachable.length) return this.methodNode(reachable, self, args, scope, where, name);
    }
    if (scope.unit.cls.exception && !scope.unit.static)
      return this.libraryCall(scope.unit.cls.type, (f) => f.self, name, args, where);
    throw new CompileError(
      `Method does not exist or incorrect signature: void ${name}(${args.map((a) => a.type).join(", ")}) (${where})`
    );
  }

  identifier(name, scope, where) {
    const local = scope.find(name);
    if (local)
      return {
        type: local.type,
        run: (f) => f.vars[local.slot] ?? null,
        place: (f) => ({ get: () => f.vars[local.slot] ?? null, set: (v) => (f.vars[local.slot] = v) })
      };
    for (let c = scope.unit.cls; c; c = c.outer) {
      const f = this.program.findField(c, name);
      if (!f) continue;
      if (f.static) return this.fieldNode(f, null, scope, where);
      if (c === scope.unit.cls && !scope.unit.static) return this.fieldNode(f, (frame) => frame.self, scope, where);
    }
    return null;
  }

  /**
   * What stands before a dot: a value, or else a type. Local variables come
   * before classes, classes before namespaces (Apex Developer Guide,
   * "Namespace, Class, and Variable Name Precedence").
   */
  qualifier(tree, scope) {
    const text = tree.getText();
    if (/^\w+(\.\w+)*$/.test(text) && !scope.find(text.split(".")[0]) && !/^(this|super)(\.|$)/i.test(text)) {
      const type = this.program.findType(text, scope.unit.cls) ?? this.library.namespace(text);
      const member = text.includes(".") ? null : this.identifier(text, scope, this.where(scope, tree));
      if (type && member) return { either: member, type };
      if (type) return { type };
    }
    return { value: this.expression(tree, scope) };
  }

  dot(tree, scope, where) {
    const q = this.qualifier(tree.expression(), scope);
    const call = tree.dotMethodCall();
    const name = (call ?? tree).anyId().getText();
    const args = call ? this.arguments(call, scope) : null;
    if (q.type && tree.QUESTIONDOT()) throw new CompileError(`?. needs a value before it (${where})`);
    if (q.either) {
      const found = this.staticMember(q.type, name, args, scope, where, true);
      return found ?? this.valueMember(q.either, name, args, scope, where, false);
    }
    if (q.type) return this.staticMember(q.type, name, args, scope, where, false);
    return this.valueMember(q.value, name, args, scope, where, Boolean(tree.QUESTIONDOT()));
  }

  staticMember(type, name, args, scope, where, tentative) {
    const c = type.cls;
    if (c?.kind === "enum" && !args) {
      const i = c.values.findIndex((v) => lower(v) === lower(name));
      if (i >= 0) return { type, run: () => c.constants[i] };
    }
    if (c && !c.builtin) {
      if (args) {
        const methods = this.program.findMethods(c, name).filter((m) => m.static);
        if (methods.length) return this.methodNode(methods, null, args, scope, where, name);
      } else {
        const f = this.program.findField(c, name);
        if (f?.static) return this.fieldNode(f, null, scope, where);
      }
    }
    const found = this.library.staticMember(type, name, args, where);
    if (found) return found;
    if (tentative) return null;
    throw new CompileError(
      `${args ? "Method" : "Variable"} does not exist: ${type}.${name}${args ? `(${args.map((a) => a.type).join(", ")})` : ""} (${where})`
    );
  }

  valueMember(node, name, args, scope, where, safe) {
    const member = this.memberOf(node, name, args, scope, where);
    if (!safe) return member;
    const test = node.run;
    let value;
    // The target is evaluated once; the member reads it through `value`.
    const again = this.memberOf({ ...node, run: () => value }, name, args, scope, where);
    return {
      type: member.type,
      run: (f) => {
        const v = test(f);
        if (v === null) return null;
        value = v;
        return again.run(f);
      }
    };
  }

  memberOf(node, name, args, scope, where) {
    const t = node.type;
    if (t.soql && t.args[0] !== SOBJECT && !args)
      return this.memberOf({ type: t.args[0], run: (f) => this.org.onlyRow(node.run(f)) }, name, args, scope, where);
    if (t.cls && !args) {
      const f = this.program.findField(t.cls, name);
      if (f && !f.static) return this.fieldNode(f, node.run, scope, where);
    }
    if (t.cls && args) {
      const methods = this.program.findMethods(t.cls, name).filter((m) => !m.static);
      if (methods.length) return this.methodNode(methods, node.run, args, scope, where, name, node.exact);
    }
    if (t.sobject && t !== SOBJECT && !args) return this.sobjectField(node, name, where);
    if (args) return this.libraryCall(t, node.run, name, args, where);
    const property = this.library.property(t, name);
    if (!property) throw new CompileError(`Variable does not exist: ${t}.${name} (${where})`);
    const target = (f) => this.org.notNull(node.run(f));
    return {
      type: property.type,
      run: (f) => target(f)[property.name] ?? null,
      place: (f) => {
        const o = target(f);
        return { get: () => o[property.name] ?? null, set: (v) => (o[property.name] = v) };
      }
    };
  }

  libraryCall(type, target, name, args, where) {
    const found = this.library.method(type, name, args, where);
    if (!found)
      throw new CompileError(
        `Method does not exist or incorrect signature: void ${name}(${args.map((a) => a.type).join(", ")}) from the type ${type} (${where})`
      );
    const values = this.fitAll(args, found.params, where);
    return { type: found.type, run: (f) => found.run(this.org.notNull(target(f)), ...values.map((v) => v(f))) };
  }

  /** A field or relationship of a record. Reading what a query left out is an error of the platform. */
  sobjectField(node, name, where) {
    const object = this.program.schema.object(node.type.name);
    const field = this.program.schema.field(object.name, name);
    const up = field ? null : this.program.schema.relationship(object.name, name);
    const child = object.children[Object.keys(object.children).find((k) => lower(k) === lower(name))];
    if (!field && !up && !child) throw new CompileError(`Invalid field ${name} for SObject ${object.name} (${where})`);
    const type = field
      ? this.library.fieldType(field)
      : up
        ? this.program.sobjectType(up.to[0])
        : listOf(this.program.sobjectType(child[0]));
    const key = lower(name);
    const target = (f) => this.org.notNull(node.run(f));
    return {
      type,
      run: (f) => this.org.readField(target(f), key, field?.name ?? name, Boolean(child)),
      place: (f) => {
        const record = target(f);
        return { get: () => this.org.readField(record, key, name, false), set: (v) => record.set(name, v) };
      },
      writable: () => {
        if (child) throw new CompileError(`Field is not writeable: ${name} (${where})`);
      }
    };
  }

  /** Whether a value is of a type at run time. */
  isInstance(v, t) {
    if (v === null) return false;
    if (t.is("Object")) return true;
    if (t.is("String")) return typeof v === "string";
    if (t.is("Id")) return typeof v === "string" && id18(v) !== null;
    if (t.is("Boolean")) return typeof v === "boolean";
    if (t.is("Integer")) return Number.isInteger(v) && Math.abs(v) <= 0x7fffffff;
    if (isNumber(t)) return typeof v === "number";
    if (t.is("Datetime")) return v instanceof Datetime;
    if (t.is("Date")) return v instanceof ApexDate;
    if (t.is("Blob")) return v instanceof Blob;
    if (t.sobject) return v instanceof SObject && (t === SOBJECT || lower(v.type) === t.key);
    if (t.cls?.kind === "enum") return v instanceof EnumValue && v.type === t.cls.full;
    if (v instanceof Instance)
      return (
        ancestry(v.cls).some((a) => a.key === t.key) ||
        (v.cls.exception && this.program.isThrowable(t) && inherits(v.cls, t.cls))
      );
    if (t.is("List")) return v instanceof ApexList;
    if (t.is("Set")) return v instanceof ApexSet;
    if (t.is("Map")) return v instanceof ApexMap;
    if (v instanceof Native) return v.type === t.name;
    if (
      typeof v !== "object" ||
      v instanceof ApexList ||
      v instanceof ApexMap ||
      v instanceof ApexSet ||
      v instanceof SObject ||
      v instanceof Datetime
    )
      return false;
    throw new NotModelled(`whether a value is of type ${t}`);
  }

  cast(v, t) {
    if (v === null || this.isInstance(v, t)) return v;
    if (t.is("Id") && typeof v === "string") return id18(v) ?? this.org.raise("StringException", `Invalid id: ${v}`);
    if (t.is("Id", "String") && typeof v === "string") return v;
    return this.org.raise("TypeException", `Invalid conversion from runtime type ${this.library.nameOf(v)} to ${t}`);
  }

  binary(op, a, b, where) {
    if (op === "+" && (a.type.is("String") || b.type.is("String")))
      return { type: STRING, run: (f) => textOf(a.run(f)) + textOf(b.run(f)) };
    const numbers = (isNumber(a.type) || a.type.is("null")) && (isNumber(b.type) || b.type.is("null"));
    if (!numbers)
      throw new CompileError(`Arithmetic expressions must use numeric arguments: ${a.type} ${op} ${b.type} (${where})`);
    const type = [a.type, b.type].some((t) => t.is("Decimal", "Double"))
      ? DECIMAL
      : [a.type, b.type].some((t) => t.is("Long"))
        ? LONG
        : INTEGER;
    const compute = ARITHMETIC[op];
    return {
      type,
      run: (f) => {
        const [x, y] = [this.org.notNull(a.run(f)), this.org.notNull(b.run(f))];
        if (op === "/" && y === 0) this.org.raise("MathException", "Divide by 0");
        const r = compute(x, y);
        if (type === DECIMAL) return r;
        const whole = op === "*" && type === INTEGER ? Math.imul(x, y) : Math.trunc(r);
        if (type === LONG && !Number.isSafeInteger(whole)) throw new NotModelled("a Long beyond 2^53", where);
        return type === INTEGER ? whole | 0 : whole;
      }
    };
  }

  assignment(tree, scope, where) {
    const [left, right] = tree.expression_list();
    const target = this.expression(left, scope);
    if (!target.place) throw new CompileError(`Expression cannot be assigned (${where})`);
    target.writable?.();
    const operator = tree.getChild(1).getText();
    const given = this.expression(right, scope);
    if (operator === "=") {
      const value = this.fit(given, target.type, where);
      return {
        type: target.type,
        run: (f) => {
          const place = target.place(f);
          const v = value(f);
          place.set(v);
          return v;
        }
      };
    }
    if (!(operator.slice(0, -1) in ARITHMETIC)) throw new NotModelled(`operator ${operator}`, where);
    let before;
    const sum = this.binary(operator.slice(0, -1), { type: target.type, run: () => before }, given, where);
    mustFit(sum.type, target.type, where);
    return {
      type: target.type,
      run: (f) => {
        const place = target.place(f);
        before = place.get();
        const v = sum.run(f);
        place.set(v);
        return v;
      }
    };
  }

  step(tree, scope, where, by, before) {
    const target = this.expression(tree.expression(), scope);
    if (!target.place || !isNumber(target.type)) throw new CompileError(`++ and -- need a number variable (${where})`);
    return {
      type: target.type,
      run: (f) => {
        const place = target.place(f);
        const old = this.org.notNull(place.get());
        place.set(old + by);
        return before ? old + by : old;
      }
    };
  }

  creator(tree, scope, where) {
    const c = tree.creator();
    const pairs = c.createdName().idCreatedNamePair_list();
    const name = pairs.map((p) => p.anyId().getText()).join(".");
    const args = (pairs[pairs.length - 1].typeList()?.typeRef_list() ?? []).map((t) =>
      this.program.type(t, scope.unit.cls, where)
    );
    if (c.arrayCreatorRest())
      return this.newArray(c.arrayCreatorRest(), this.program.findType(name, scope.unit.cls), scope, where);
    if (args.length) return this.newCollection(this.program.generic(name, args, where), c, scope, where);
    const type = this.program.findType(name, scope.unit.cls);
    if (!type) throw new CompileError(`Invalid type: ${name} (${where})`);
    const given = c.classCreatorRest()?.arguments();
    if (!given) throw new NotModelled(`new ${name} without arguments in parentheses`, where);
    if (type.sobject) return this.newRecord(type, given, scope, where);
    const values = this.arguments(given, scope);
    if (type.cls) return this.newInstance(type, values, scope, where);
    const made = this.library.constructorOf(type, values, where);
    const fitted = this.fitAll(values, made.params, where);
    return { type, run: (f) => made.run(...fitted.map((v) => v(f))) };
  }

  newArray(rest, element, scope, where) {
    if (rest.arrayInitializer()) {
      const values = rest
        .arrayInitializer()
        .expression_list()
        .map((e) => this.fit(this.expression(e, scope), element, where));
      return { type: listOf(element), run: (f) => new ApexList(values.map((v) => v(f))) };
    }
    const size = this.fit(this.expression(rest.expression(), scope), INTEGER, where);
    return { type: listOf(element), run: (f) => new ApexList(new Array(size(f)).fill(null)) };
  }

  newCollection(type, c, scope, where) {
    const literal = c.setCreatorRest();
    const pairs = c.mapCreatorRest();
    const given = c.classCreatorRest() ? this.arguments(c.classCreatorRest().arguments(), scope) : [];
    if (pairs) {
      const all = pairs
        .mapCreatorRestPair_list()
        .map((p) => p.expression_list().map((e, i) => this.fit(this.expression(e, scope), type.args[i], where)));
      return {
        type,
        run: (f) => {
          const m = new ApexMap();
          for (const [k, v] of all) m.put(k(f), v(f));
          return m;
        }
      };
    }
    if (literal) {
      const all = literal.expression_list().map((e) => this.fit(this.expression(e, scope), type.args[0], where));
      return {
        type,
        run: (f) => {
          const items = all.map((v) => v(f));
          return type.is("Set") ? new ApexSet(items) : new ApexList(items);
        }
      };
    }
    return { type, run: this.collectionFrom(type, given, where) };
  }

  collectionFrom(type, given, where) {
    if (!given.length) return () => (type.is("List") ? new ApexList() : type.is("Set") ? new ApexSet() : new ApexMap());
    if (given.length > 1) throw new CompileError(`Constructor not defined: ${type} (${where})`);
    const [{ type: from, run }] = given;
    const source = (f) => this.org.notNull(run(f));
    if (type.is("Map")) {
      if (from.is("Map")) mustFit(from, type, where);
      else if (!(from.is("List") && from.args[0].sobject && type.args[0].is("Id", "String")))
        throw new CompileError(`Constructor not defined: ${type}(${from}) (${where})`);
      return (f) => {
        const m = new ApexMap();
        const s = source(f);
        if (s instanceof ApexMap) for (const k of s.keys) m.put(k, s.get(k));
        else for (const r of s.items) m.put(this.org.notNull(r.get("Id")), r);
        return m;
      };
    }
    if (!from.is("List", "Set") || distance(from.args[0], type.args[0]) === null)
      throw new CompileError(`Constructor not defined: ${type}(${from}) (${where})`);
    return (f) => (type.is("List") ? new ApexList([...source(f).items]) : new ApexSet(source(f).items));
  }

  newRecord(type, given, scope, where) {
    const object = this.program.schema.object(type.name);
    const sets = (given.expressionList()?.expression_list() ?? []).map((e) => {
      if (e.constructor.name !== "AssignExpressionContext" || !e.ASSIGN())
        throw new CompileError(`a record takes name = value (${where})`);
      const [left, right] = e.expression_list();
      const field = this.program.schema.field(object.name, left.getText());
      const up = field ? null : this.program.schema.relationship(object.name, left.getText());
      if (!field && !up)
        throw new CompileError(`Invalid field ${left.getText()} for SObject ${object.name} (${where})`);
      return [
        field?.name ?? left.getText(),
        this.fit(
          this.expression(right, scope),
          field ? this.library.fieldType(field) : this.program.sobjectType(up.to[0]),
          where
        )
      ];
    });
    return {
      type,
      run: (f) => {
        const r = new SObject(object.name);
        for (const [n, v] of sets) r.set(n, v(f));
        return r;
      }
    };
  }

  newInstance(type, values, scope, where) {
    const c = type.cls;
    if (c.kind !== "class" || c.modifiers.has("abstract"))
      throw new CompileError(`Type cannot be constructed: ${type} (${where})`);
    if (c.exception && !c.constructors.length) return { type, run: this.newException(c, values, where) };
    const k = this.program.pick(
      c.constructors,
      values.map((v) => v.type)
    );
    if (!k && (values.length || c.constructors.length))
      throw new CompileError(
        `Constructor not defined: [${type}].<Constructor>(${values.map((v) => v.type).join(", ")}) (${where})`
      );
    if (k) this.mustSee(k, scope, where);
    const fitted = this.fitAll(values, k?.params ?? [], where);
    return {
      type,
      run: (f) => {
        const self = new Instance(c);
        if (c.exception) Object.assign(self, { message: null, cause: null });
        this.construct(
          c,
          k,
          self,
          fitted.map((v) => v(f))
        );
        return self;
      }
    };
  }

  /** The four constructors that every exception has (Apex Developer Guide, "Constructing an Exception"). */
  newException(c, values, where) {
    const shape = values
      .map((v) => (v.type.is("String") ? "s" : this.program.isThrowable(v.type) ? "e" : "?"))
      .join("");
    if (!["", "s", "e", "se"].includes(shape)) throw new CompileError(`Constructor not defined: ${c.full} (${where})`);
    return (f) => {
      const args = values.map((v) => v.run(f));
      this.org.initialise(c);
      const self = Object.assign(new Instance(c), {
        message: shape[0] === "s" ? args[0] : null,
        cause: shape.endsWith("e") ? args[args.length - 1] : null
      });
      for (let k = c; k && !k.builtin; k = k.super) this.initialise(k, self);
      return self;
    };
  }
}

const inherits = (c, from) => c === from || (c.super !== null && inherits(c.super, from));

const ARITHMETIC = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

const comparable = (v) =>
  v instanceof Datetime || v instanceof ApexDate ? v.ms : typeof v === "string" ? lower(v) : v;
const COMPARE = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b };

const STATEMENTS = {
  BlockContext: (c, s, scope) => c.block(s, scope),
  LocalVariableDeclarationStatementContext: (c, s, scope, where) =>
    c.locals(s.localVariableDeclaration(), scope, where),
  ExpressionStatementContext: (c, s, scope) => {
    const { run } = c.expression(s.expression(), scope);
    return (f) => void run(f);
  },
  IfStatementContext: (c, s, scope, where) => {
    const test = c.condition(s.parExpression().expression(), scope, where);
    const [yes, no] = s.statement_list().map((x) => c.statement(x, scope.inner()));
    return (f) => (test(f) ? yes(f) : no?.(f));
  },
  ReturnStatementContext: (c, s, scope, where) => {
    if (!s.expression()) return () => ({ signal: "return", value: null });
    if (scope.unit.returns.is("void")) throw new CompileError(`Void method must not return a value (${where})`);
    const value = c.fit(c.expression(s.expression(), scope), scope.unit.returns, where);
    return (f) => ({ signal: "return", value: value(f) });
  },
  ThrowStatementContext: (c, s, scope, where) => {
    const e = c.expression(s.expression(), scope);
    if (!c.program.isThrowable(e.type))
      throw new CompileError(`Throw expression must be of type Exception: ${e.type} (${where})`);
    return (f) => {
      throw new ApexError(c.org.notNull(e.run(f)), where);
    };
  },
  BreakStatementContext: () => () => BREAK,
  ContinueStatementContext: () => () => CONTINUE,
  WhileStatementContext: (c, s, scope, where) => {
    const test = c.condition(s.parExpression().expression(), scope, where);
    const body = c.statement(s.statement(), scope.inner());
    return (f) => {
      while (test(f)) {
        const signal = c.loop(body, f);
        if (signal === BREAK) break;
        if (signal) return signal;
      }
      return undefined;
    };
  },
  ForStatementContext: (c, s, scope, where) => {
    const control = s.forControl();
    const outer = scope.inner();
    return control.enhancedForControl()
      ? forEach(c, s, control.enhancedForControl(), outer, where)
      : forLoop(c, s, control, outer, where);
  },
  TryStatementContext: (c, s, scope, where) => tryStatement(c, s, scope, where),
  SwitchStatementContext: (c, s, scope, where) => switchStatement(c, s, scope, where),
  InsertStatementContext: (c, s, scope, where) => dml(c, "insert", s, scope, where),
  UpdateStatementContext: (c, s, scope, where) => dml(c, "update", s, scope, where),
  DeleteStatementContext: (c, s, scope, where) => dml(c, "delete", s, scope, where),
  RunAsStatementContext: (c, s, scope, where) => {
    const users = s.expressionList().expression_list();
    if (users.length !== 1 || !scope.unit.cls.isTest)
      throw new CompileError(`System.runAs takes one user, in a test (${where})`);
    const user = c.fit(c.expression(users[0], scope), c.program.sobjectType("User"), where);
    const body = c.block(s.block(), scope);
    return (f) => c.org.runAs(c.org.notNull(user(f)).get("Id"), () => body(f));
  }
};

function forEach(c, s, control, scope, where) {
  const source = c.expression(control.expression(), scope);
  if (!source.type.is("List", "Set", "Iterable"))
    throw new CompileError(`Loop must iterate over a collection: ${source.type} (${where})`);
  const type = c.program.type(control.typeRef(), scope.unit.cls, where);
  mustFit(source.type.args[0], type, where);
  const local = scope.declare(control.id().getText(), type, where);
  const body = c.statement(s.statement(), scope.inner());
  return (f) => {
    for (const item of [...c.org.notNull(source.run(f)).items]) {
      f.vars[local.slot] = item;
      const signal = c.loop(body, f);
      if (signal === BREAK) break;
      if (signal) return signal;
    }
    return undefined;
  };
}

function forLoop(c, s, control, scope, where) {
  const list = (tree) => (tree?.expressionList().expression_list() ?? []).map((e) => c.expression(e, scope).run);
  const init = control.forInit();
  const declared = init?.localVariableDeclaration()
    ? [c.locals(init.localVariableDeclaration(), scope, where)]
    : init
      ? list(init)
      : [];
  const test = control.expression() ? c.condition(control.expression(), scope, where) : () => true;
  const update = list(control.forUpdate());
  const body = c.statement(s.statement(), scope.inner());
  return (f) => {
    for (const run of declared) run(f);
    while (test(f)) {
      const signal = c.loop(body, f);
      if (signal === BREAK) break;
      if (signal) return signal;
      for (const run of update) run(f);
    }
    return undefined;
  };
}

function tryStatement(c, s, scope, where) {
  const body = c.block(s.block(), scope);
  const clauses = s.catchClause_list().map((k) => {
    const type = c.program.findType(k.qualifiedName().getText(), scope.unit.cls);
    if (!type || !c.program.isThrowable(type))
      throw new CompileError(`Invalid type: ${k.qualifiedName().getText()} (${where})`);
    const inner = scope.inner();
    const local = inner.declare(k.id().getText(), type, where);
    return { cls: type.cls, local, run: c.block(k.block(), inner) };
  });
  const last = s.finallyBlock() ? c.block(s.finallyBlock().block(), scope) : null;
  const guarded = (f) => {
    try {
      return body(f);
    } catch (e) {
      if (!(e instanceof ApexError)) throw e;
      const clause = clauses.find((k) => inherits(e.object.cls, k.cls));
      if (!clause) throw e;
      f.vars[clause.local.slot] = e.object;
      return clause.run(f);
    }
  };
  if (!last) return guarded;
  return (f) => {
    let signal;
    try {
      signal = guarded(f);
    } catch (e) {
      if (e instanceof LimitError || e instanceof NotModelled) throw e; // the transaction is over
      const over = last(f);
      if (over) return over;
      throw e;
    }
    return last(f) ?? signal;
  };
}

function switchStatement(c, s, scope, where) {
  const on = c.expression(s.expression(), scope);
  const cases = s.whenControl_list().map((w) => {
    const v = w.whenValue();
    if (v.ELSE()) return { matches: () => true, run: c.block(w.block(), scope) };
    if (v.typeRef()) {
      const type = c.program.type(v.typeRef(), scope.unit.cls, where);
      const inner = scope.inner();
      const local = inner.declare(v.id().getText(), type, where);
      const run = c.block(w.block(), inner);
      return { matches: (x) => c.isInstance(x, type), run: (f, x) => ((f.vars[local.slot] = x), run(f)) };
    }
    const values = v.whenLiteral_list().map((l) => whenValue(c, l, on.type, where));
    return { matches: (x) => values.some((y) => equal(x, y)), run: c.block(w.block(), scope) };
  });
  return (f) => {
    const x = on.run(f);
    return cases.find((k) => k.matches(x))?.run(f, x);
  };
}

function whenValue(c, literal, type, where) {
  const text = literal.getText();
  if (literal.NULL()) return null;
  if (literal.StringLiteral() && type.is("String", "Id")) return unquote(text);
  if ((literal.IntegerLiteral() || literal.LongLiteral()) && type.is("Integer", "Long"))
    return Number(text.replace(/l$/i, ""));
  if (literal.qualifiedName()) {
    const values = type.cls?.kind === "enum" ? type.cls.constants : c.library.enumValues(type);
    const found = values?.find((v) => lower(v.name) === lower(text));
    if (found) return found;
  }
  throw new CompileError(`switch on ${type} has no value ${text} (${where})`);
}

function dml(c, operation, s, scope, where) {
  const rows = c.expression(s.expression(), scope);
  if (!rows.type.sobject && !(rows.type.is("List") && rows.type.args[0].sobject))
    throw new CompileError(`DML requires SObject or SObject list type: ${rows.type} (${where})`);
  const level = s.accessLevel();
  const mode = level?.SYSTEM() ? "system" : DEFAULT_MODE;
  return (f) => {
    const v = c.org.notNull(rows.run(f));
    c.org.database.dml(operation, v instanceof ApexList ? v.items : [v], { mode, allOrNone: true });
  };
}

/** From API 67 on, user mode is the default (Apex Developer Guide, "Set an Access Mode for Database Operations"). */
const DEFAULT_MODE = "user";

const pair = (c, tree, scope) => tree.expression_list().map((e) => c.expression(e, scope));

const EXPRESSIONS = {
  SubExpressionContext: (c, x, scope) => c.expression(x.expression(), scope),
  NewExpressionContext: (c, x, scope, where) => c.creator(x, scope, where),
  DotExpressionContext: (c, x, scope, where) => c.dot(x, scope, where),
  AssignExpressionContext: (c, x, scope, where) => c.assignment(x, scope, where),
  PrimaryExpressionContext: (c, x, scope, where) => {
    const p = x.primary();
    const compile = PRIMARIES[p.constructor.name];
    if (!compile) throw new NotModelled(`expression ${p.constructor.name.replace("Context", "")}`, where);
    return compile(c, p, scope, where);
  },
  MethodCallExpressionContext: (c, x, scope, where) => {
    const call = x.methodCall();
    if (call.THIS() || call.SUPER())
      throw new CompileError(`a constructor is called first in a constructor (${where})`);
    return c.ownMethod(call, scope, where);
  },
  ArrayExpressionContext: (c, x, scope, where) => {
    const [list, index] = pair(c, x, scope);
    if (!list.type.is("List")) throw new CompileError(`Expression must be a list type: ${list.type} (${where})`);
    const i = c.fit(index, INTEGER, where);
    const at = (f) => {
      const l = c.org.notNull(list.run(f)).items;
      const n = c.org.notNull(i(f));
      if (n < 0 || n >= l.length) c.org.raise("ListException", `List index out of bounds: ${n}`);
      return [l, n];
    };
    return {
      type: list.type.args[0],
      run: (f) => {
        const [l, n] = at(f);
        return l[n];
      },
      place: (f) => {
        const [l, n] = at(f);
        return { get: () => l[n], set: (v) => (l[n] = v) };
      }
    };
  },
  CastExpressionContext: (c, x, scope, where) => {
    const type = c.program.type(x.typeRef(), scope.unit.cls, where);
    const node = c.expression(x.expression(), scope);
    if (node.type.soql && type.sobject) return { type, run: c.fit(node, type, where) };
    if (isNumber(node.type) && type.is("Integer", "Long")) return { type, run: node.run };
    if (distance(node.type, type) === null && distance(type, node.type) === null)
      throw new CompileError(
        `Incompatible types since an instance of ${node.type} is never an instance of ${type} (${where})`
      );
    return { type, run: (f) => c.cast(node.run(f), type) };
  },
  NegExpressionContext: (c, x, scope, where) => {
    if (x.TILDE()) throw new NotModelled("operator ~", where);
    const v = c.condition(x.expression(), scope, where);
    return { type: BOOLEAN, run: (f) => !v(f) };
  },
  PreOpExpressionContext: (c, x, scope, where) => {
    if (x.INC() || x.DEC()) return c.step(x, scope, where, x.INC() ? 1 : -1, true);
    const v = c.expression(x.expression(), scope);
    if (!isNumber(v.type)) throw new CompileError(`a sign needs a number: ${v.type} (${where})`);
    return { type: v.type, run: (f) => (x.SUB() ? -c.org.notNull(v.run(f)) : v.run(f)) };
  },
  PostOpExpressionContext: (c, x, scope, where) => c.step(x, scope, where, x.INC() ? 1 : -1, false),
  Arth1ExpressionContext: (c, x, scope, where) => c.binary(x.getChild(1).getText(), ...pair(c, x, scope), where),
  Arth2ExpressionContext: (c, x, scope, where) => c.binary(x.getChild(1).getText(), ...pair(c, x, scope), where),
  CmpExpressionContext: (c, x, scope, where) => {
    const [a, b] = pair(c, x, scope);
    let op = "";
    for (let i = 1; i < x.getChildCount() - 1; i++) op += x.getChild(i).getText();
    const ordered = (t) => isNumber(t) || t.is("Datetime", "Date", "String", "Id", "null");
    if (!ordered(a.type) || !ordered(b.type) || isNumber(a.type) !== isNumber(b.type))
      throw new CompileError(`Comparison arguments must be compatible types: ${a.type}, ${b.type} (${where})`);
    return {
      type: BOOLEAN,
      run: (f) => {
        const [v, w] = [a.run(f), b.run(f)];
        return v !== null && w !== null && COMPARE[op](comparable(v), comparable(w));
      }
    };
  },
  EqualityExpressionContext: (c, x, scope, where) => {
    const [a, b] = pair(c, x, scope);
    if (distance(a.type, b.type) === null && distance(b.type, a.type) === null)
      throw new CompileError(`Comparison arguments must be compatible types: ${a.type}, ${b.type} (${where})`);
    const exact = x.TRIPLEEQUAL() || x.TRIPLENOTEQUAL();
    const not = !x.EQUAL() && !x.TRIPLEEQUAL();
    const same = exact ? (v, w) => v === w : equalOperator;
    return { type: BOOLEAN, run: (f) => same(a.run(f), b.run(f)) !== not };
  },
  LogAndExpressionContext: (c, x, scope, where) => {
    const [a, b] = x.expression_list().map((e) => c.condition(e, scope, where));
    return { type: BOOLEAN, run: (f) => a(f) && b(f) };
  },
  LogOrExpressionContext: (c, x, scope, where) => {
    const [a, b] = x.expression_list().map((e) => c.condition(e, scope, where));
    return { type: BOOLEAN, run: (f) => a(f) || b(f) };
  },
  CondExpressionContext: (c, x, scope, where) => {
    const [test, yes, no] = x.expression_list();
    const t = c.condition(test, scope, where);
    const [a, b] = [c.expression(yes, scope), c.expression(no, scope)];
    const type = common(a.type, b.type, where);
    const [va, vb] = [c.fit(a, type, where), c.fit(b, type, where)];
    return { type, run: (f) => (t(f) ? va(f) : vb(f)) };
  },
  CoalExpressionContext: (c, x, scope, where) => {
    const [a, b] = pair(c, x, scope);
    const type = common(a.type, b.type, where);
    return { type, run: (f) => a.run(f) ?? b.run(f) };
  },
  InstanceOfExpressionContext: (c, x, scope, where) => {
    const type = c.program.type(x.typeRef(), scope.unit.cls, where);
    const v = c.expression(x.expression(), scope);
    return { type: BOOLEAN, run: (f) => c.isInstance(v.run(f), type) };
  }
};

function common(a, b, where) {
  if (distance(b, a) !== null && !a.is("null")) return a;
  if (distance(a, b) !== null) return b;
  throw new CompileError(`Incompatible types in ternary operator: ${a}, ${b} (${where})`);
}

const PRIMARIES = {
  ThisPrimaryContext: (c, p, scope, where) => {
    if (scope.unit.static) throw new CompileError(`this is not in a static method (${where})`);
    return { type: scope.unit.cls.type, run: (f) => f.self };
  },
  SuperPrimaryContext: (c, p, scope) => ({ type: scope.unit.cls.super.type, run: (f) => f.self, exact: true }),
  LiteralPrimaryContext: (c, p, scope, where) => {
    const l = p.literal();
    const text = l.getText();
    if (l.NULL()) return { type: NULL, run: () => null };
    if (l.BooleanLiteral()) return { type: BOOLEAN, run: () => lower(text) === "true" };
    if (l.StringLiteral()) {
      const value = unquote(text);
      return { type: STRING, run: () => value };
    }
    if (l.MultilineStringLiteral()) throw new NotModelled("a multiline string", where);
    const n = Number(text.replace(/[ld]$/i, ""));
    return { type: l.LongLiteral() ? LONG : l.IntegerLiteral() ? INTEGER : DECIMAL, run: () => n };
  },
  IdPrimaryContext: (c, p, scope, where) => {
    const found = c.identifier(p.id().getText(), scope, where);
    if (!found) throw new CompileError(`Variable does not exist: ${p.id().getText()} (${where})`);
    return found;
  },
  SoqlPrimaryContext: (c, p, scope, where) => {
    const q = compileQuery(p.soqlLiteral().query(), {
      program: c.program,
      where,
      mode: DEFAULT_MODE,
      bind: (tree) => c.expression(tree, scope)
    });
    if (q.count) return { type: INTEGER, run: (f) => q.run(c.org, f) };
    const type = new Type("List", { args: [q.type] });
    type.soql = true;
    return { type, run: (f) => new ApexList(q.run(c.org, f)) };
  },
  TypeRefPrimaryContext: (c, p, scope, where) => {
    const t = c.program.type(p.typeRef(), scope.unit.cls, where);
    return { type: c.library.typeOf("Type"), run: () => new Native("Type", { of: t }) };
  }
};
