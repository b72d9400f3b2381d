// Parses Apex and lists what each class declares. Bodies stay parse trees here.
import { ApexErrorListener, ApexParserFactory } from "@apexdevtools/apex-parser";
import { CompileError, NotModelled } from "./errors.mjs";
import { Type } from "./types.mjs";
import { lower } from "./values.mjs";

/** Parses source by a rule of the grammar; the first syntax error is thrown. */
export function parse(source, file, rule) {
  let first = null;
  class Listener extends ApexErrorListener {
    apexSyntaxError(line, column, message) {
      first ??= `${file}:${line}:${column} ${message}`;
    }
  }
  const { parser } = ApexParserFactory.createLexerAndParser(source, new Listener());
  const tree = parser[rule]();
  if (first) throw new CompileError(first);
  return tree;
}

/** A class, interface or enum, of the package or built in. */
export class ClassDeclaration {
  constructor(name, kind, outer, file) {
    this.name = name;
    this.kind = kind; // class, interface or enum
    this.outer = outer;
    this.file = file;
    this.full = outer ? `${outer.name}.${name}` : name;
    this.type = new Type(this.full, { cls: this });
    this.super = null;
    this.interfaces = []; // Types
    this.modifiers = new Set();
    this.annotations = new Map();
    this.fields = new Map(); // lower-case name -> field
    this.methods = new Map(); // lower-case name -> methods
    this.constructors = [];
    this.inner = new Map();
    this.initialisers = []; // static blocks and fields, in order
    this.values = []; // of an enum
    this.exception = false;
  }
  get top() {
    return this.outer ?? this;
  }
  get isTest() {
    return this.annotations.has("istest") || (this.outer?.isTest ?? false);
  }
}

// Modifiers and annotations that mean something here, or nothing at run time.
const MODIFIERS = [
  "public",
  "private",
  "protected",
  "global",
  "static",
  "final",
  "virtual",
  "abstract",
  "override",
  "transient",
  "withsharing",
  "withoutsharing",
  "inheritedsharing"
];
const ANNOTATIONS = [
  "istest",
  "testvisible",
  "testsetup",
  "auraenabled",
  "invocablemethod",
  "invocablevariable",
  "suppresswarnings"
];

function marks(list, where) {
  const modifiers = new Set();
  const annotations = new Map();
  for (const m of list) {
    const a = m.annotation();
    if (!a) {
      const text = lower(m.getText());
      if (!MODIFIERS.includes(text)) throw new NotModelled(`modifier ${text}`, where);
      modifiers.add(text);
      continue;
    }
    const name = lower(a.id().getText());
    if (!ANNOTATIONS.includes(name)) throw new NotModelled(`annotation @${name}`, where);
    const pairs = new Map();
    for (const p of a.elementValuePairs()?.elementValuePair_list() ?? [])
      pairs.set(lower(p.id().getText()), p.elementValue().getText().replace(/^'|'$/g, ""));
    annotations.set(name, pairs);
  }
  return { modifiers, annotations };
}

const place = (file, node) => `${file}:${node.start.line}`;

const parameters = (formal) =>
  (formal.formalParameterList()?.formalParameter_list() ?? []).map((p) => ({
    name: p.id().getText(),
    tree: p.typeRef()
  }));

/** Declares one top-level type. */
export function declareUnit({ name, source }) {
  const unit = parse(source, name, "compilationUnit").typeDeclaration();
  const tree = unit.classDeclaration() ?? unit.interfaceDeclaration() ?? unit.enumDeclaration();
  const c = declareType(tree, unit.modifier_list(), null, name);
  if (c.name !== name) throw new CompileError(`${name}: the class is called ${c.name}`);
  return c;
}

function declareType(tree, modifiers, outer, file) {
  const kind = tree.classBody ? "class" : tree.interfaceBody ? "interface" : "enum";
  const c = new ClassDeclaration(tree.id().getText(), kind, outer, file);
  Object.assign(c, marks(modifiers, place(file, tree)));
  c.tree = tree;
  if (kind === "enum") c.values = (tree.enumConstants()?.id_list() ?? []).map((i) => i.getText());
  if (kind === "interface")
    for (const m of tree.interfaceBody().interfaceMethodDeclaration_list())
      addMethod(c, {
        name: m.id().getText(),
        params: parameters(m.formalParameters()),
        returns: m.typeRef(),
        body: null,
        modifiers: new Set(["public", "abstract"]),
        annotations: new Map(),
        tree: m
      });
  if (kind === "class") for (const b of tree.classBody().classBodyDeclaration_list()) declareMember(c, b);
  return c;
}

function addMethod(c, m) {
  m.owner = c;
  m.static = m.modifiers.has("static");
  const key = lower(m.name);
  c.methods.set(key, [...(c.methods.get(key) ?? []), m]);
}

function addField(c, f) {
  const key = lower(f.name);
  if (c.fields.has(key)) throw new CompileError(`Duplicate field: ${f.name} (${place(c.file, f.tree)})`);
  c.fields.set(key, { owner: c, static: f.modifiers.has("static"), ...f });
  if (f.modifiers.has("static")) c.initialisers.push(c.fields.get(key));
}

function declareMember(c, b) {
  const where = place(c.file, b);
  if (b.block()) {
    if (!b.STATIC()) throw new NotModelled("an initialiser block of instances", where);
    c.initialisers.push({ block: b.block() });
    return;
  }
  const member = b.memberDeclaration();
  if (!member) return; // a lone semicolon
  const marked = marks(b.modifier_list(), where);
  const method = member.methodDeclaration();
  const constructor = member.constructorDeclaration();
  const field = member.fieldDeclaration();
  const property = member.propertyDeclaration();
  if (method)
    addMethod(c, {
      name: method.id().getText(),
      params: parameters(method.formalParameters()),
      returns: method.typeRef(),
      body: method.block(),
      tree: method,
      ...marked
    });
  else if (constructor)
    c.constructors.push({
      owner: c,
      name: c.name,
      params: parameters(constructor.formalParameters()),
      body: constructor.block(),
      tree: constructor,
      ...marked
    });
  else if (field)
    for (const v of field.variableDeclarators().variableDeclarator_list())
      addField(c, { name: v.id().getText(), typeTree: field.typeRef(), initial: v.expression(), tree: v, ...marked });
  else if (property) declareProperty(c, property, marked);
  else {
    const tree = member.classDeclaration() ?? member.interfaceDeclaration() ?? member.enumDeclaration();
    if (c.outer) throw new CompileError(`an inner class has no inner class (${where})`);
    const inner = declareType(tree, b.modifier_list(), c, c.file);
    c.inner.set(lower(inner.name), inner);
  }
}

function declareProperty(c, tree, marked) {
  const p = { name: tree.id().getText(), typeTree: tree.typeRef(), initial: null, tree, property: true, ...marked };
  for (const block of tree.propertyBlock_list()) {
    const access = block.modifier_list().map((m) => lower(m.getText()))[0];
    if (block.getter()) Object.assign(p, { getter: block.getter().block() ?? "auto", getAccess: access });
    else Object.assign(p, { setter: block.setter().block() ?? "auto", setAccess: access });
  }
  addField(c, p);
}
