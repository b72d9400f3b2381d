// Reads a Salesforce DX project: classes, fields, rules, flows, permission sets,
// credentials, labels (Metadata API Developer Guide, one page a type).
import fs from "node:fs";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { CompileError, NotModelled } from "./errors.mjs";
import { Schema } from "./schema.mjs";
import { lower } from "./values.mjs";

const xml = new XMLParser({ ignoreAttributes: true, ignoreDeclaration: true, parseTagValue: false });
const many = (x) => (x === undefined || x === "" ? [] : Array.isArray(x) ? x : [x]);

function filesBelow(dir) {
  return fs
    .readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((e) => (e.isDirectory() ? filesBelow(path.join(dir, e.name)) : [path.join(dir, e.name)]));
}

/** What a picklist, text or number field of the package allows. */
function customField(c, file) {
  if (c.formula !== undefined) throw new NotModelled(`the formula field ${c.fullName}`, file);
  const f = {
    name: c.fullName,
    label: c.label,
    required: c.required === "true",
    unique: c.unique === "true",
    custom: true
  };
  switch (c.type) {
    case "Text":
    case "LongTextArea":
    case "TextArea":
      return { ...f, type: "String", length: Number(c.length ?? 255) };
    case "Url":
      return { ...f, type: "String", length: 255 };
    case "Number":
      return { ...f, type: "Decimal", digits: Number(c.precision) - Number(c.scale), scale: Number(c.scale) };
    case "DateTime":
      return { ...f, type: "Datetime" };
    case "Date":
      return { ...f, type: "Date" };
    case "Checkbox":
      return { ...f, type: "Boolean", initial: c.defaultValue === "true", required: false };
    case "Lookup":
      return { ...f, type: "Id", to: [c.referenceTo, c.fullName.replace(/__c$/, "__r")] };
    case "Picklist": {
      const values = many(c.valueSet?.valueSetDefinition?.value);
      return {
        ...f,
        type: "Picklist",
        values: values.map((v) => v.fullName),
        restricted: c.valueSet?.restricted === "true",
        initial: values.find((v) => v.default === "true")?.fullName
      };
    }
  }
  throw new NotModelled(`field type ${c.type}`, file);
}

function permissionSet(c) {
  const on = (list, key) =>
    new Set(
      many(list)
        .filter((x) => x.enabled === "true")
        .map((x) => lower(x[key]))
    );
  return {
    label: c.label,
    fields: new Map(
      many(c.fieldPermissions).map((p) => [
        lower(p.field),
        { read: p.readable === "true", edit: p.editable === "true" }
      ])
    ),
    objects: new Map(
      many(c.objectPermissions).map((p) => [
        lower(p.object),
        {
          read: p.allowRead === "true",
          create: p.allowCreate === "true",
          edit: p.allowEdit === "true",
          delete: p.allowDelete === "true",
          viewAll: p.viewAllRecords === "true",
          modifyAll: p.modifyAllRecords === "true"
        }
      ])
    ),
    classes: on(c.classAccesses, "apexClass"),
    custom: on(c.customPermissions, "name"),
    user: on(c.userPermissions, "name"),
    principals: on(c.externalCredentialPrincipalAccesses, "externalCredentialPrincipal")
  };
}

const labelOf = (file, suffix) => path.basename(file).slice(0, -suffix.length);

// Directories of kinds that have no meaning in the model: what the platform draws.
const DRAWN =
  /\/(lwc|layouts|quickActions|tabs|flexipages|reports|dashboards|listViews|webLinks|reportTypes|applications|contentassets)\//;

export class Project {
  /** @param dirs package directories */
  constructor(dirs) {
    this.schema = new Schema();
    this.classes = []; // {name, source, version}
    this.triggers = [];
    this.labels = new Map();
    this.rules = [];
    this.flows = new Map();
    this.permissionSets = new Map();
    this.customPermissions = new Map();
    this.external = new Map();
    this.named = new Map();
    this.resources = new Map();
    this.notifications = new Set();
    this.queues = new Set();
    for (const dir of dirs) for (const file of filesBelow(dir)) this.read(file);
    for (const c of this.classes) {
      if (!c.source) throw new CompileError(`${c.name} has no source`);
      if (!c.version) throw new CompileError(`${c.name} has no -meta.xml`);
      // Before 67 the default is system mode, and sharing is not kept.
      if (c.version !== 67) throw new NotModelled(`API version ${c.version}`, c.name);
    }
  }

  read(file) {
    const parse = (root) => {
      const x = xml.parse(fs.readFileSync(file, "utf8"))[root];
      if (x === undefined) throw new CompileError(`${file} is no ${root}`);
      return x;
    };
    const own = (suffix) => (file.endsWith(suffix) ? labelOf(file, suffix) : null);
    const object = file.match(/\/objects\/(\w+)\//)?.[1];
    let n;
    if (DRAWN.test(file)) return;
    if ((n = own(".cls"))) this.classOf(n).source = fs.readFileSync(file, "utf8");
    else if ((n = own(".cls-meta.xml"))) this.classOf(n).version = Number(parse("ApexClass").apiVersion);
    else if ((n = own(".trigger"))) this.triggers.push({ name: n, source: fs.readFileSync(file, "utf8") });
    else if (own(".labels-meta.xml"))
      for (const l of many(parse("CustomLabels").labels)) this.labels.set(lower(l.fullName), l.value);
    else if (own(".field-meta.xml")) this.addField(object, parse("CustomField"), file);
    else if (own(".validationRule-meta.xml")) this.addRule(object, parse("ValidationRule"));
    else if ((n = own(".permissionset-meta.xml"))) this.permissionSets.set(n, permissionSet(parse("PermissionSet")));
    else if ((n = own(".customPermission-meta.xml"))) this.customPermissions.set(lower(n), n);
    else if ((n = own(".externalCredential-meta.xml")))
      this.external.set(n, many(parse("ExternalCredential").externalCredentialParameters));
    else if ((n = own(".namedCredential-meta.xml"))) this.named.set(n, parse("NamedCredential"));
    else if ((n = own(".flow-meta.xml"))) this.flows.set(n, parse("Flow"));
    else if ((n = own(".notiftype-meta.xml"))) this.notifications.add(n);
    else if ((n = own(".queue-meta.xml"))) this.queues.add(n);
    else if ((n = own(".resource-meta.xml"))) this.resources.set(n, this.resource(file));
    else if (!file.includes("/staticresources/") && !file.endsWith(".trigger-meta.xml"))
      throw new NotModelled(`metadata file ${file}`);
  }

  resource(meta) {
    const stem = path.basename(meta).replace(".resource-meta.xml", "");
    const body = fs.readdirSync(path.dirname(meta)).find((f) => f.startsWith(`${stem}.`) && !f.endsWith("-meta.xml"));
    if (!body) throw new CompileError(`${meta} has no content`);
    return fs.readFileSync(path.join(path.dirname(meta), body));
  }

  classOf(name) {
    let c = this.classes.find((x) => x.name === name);
    if (!c) this.classes.push((c = { name }));
    return c;
  }

  addField(object, c, file) {
    this.schema.add(object, customField(c, file));
  }

  addRule(object, c) {
    if (c.active === "true")
      this.rules.push({
        object,
        name: c.fullName,
        formula: c.errorConditionFormula,
        message: c.errorMessage,
        field: c.errorDisplayField
      });
  }
}
