/**
 * Every metadata file against the types of the Metadata API's WSDL, as
 * @salesforce/types has them: root element, element names, repetition, booleans,
 * numbers, and the values of enumerations. It cannot know what an org accepts.
 */
import fs from "node:fs";
import { createRequire } from "node:module";
import { list } from "./project.mjs";

const definitions = createRequire(import.meta.url)
  .resolve("@salesforce/types/metadata")
  .replace(/\.js$/, ".d.ts");

function readTypes() {
  const text = fs.readFileSync(definitions, "utf8");
  const enums = new Map();
  const types = new Map();
  for (const [, name, values] of text.matchAll(/^export type (\w+) = ((?:'[^']*'(?: \| )?)+);$/gm)) {
    enums.set(name, new Set([...values.matchAll(/'([^']*)'/g)].map(([, value]) => value)));
  }
  for (const [, name, base, body] of text.matchAll(/^export type (\w+) = (?:(\w+) & )?\{\n([\s\S]*?)^\};$/gm)) {
    const members = new Map();
    for (const [, member, optional, type, many] of body.matchAll(/^ {4}(\w+)(\??): (\w+)(\[\])?;$/gm)) {
      members.set(member, { type, isMany: many !== undefined, isOptional: optional !== "" || many !== undefined });
    }
    types.set(name, { base, members });
  }
  for (const [, name, base] of text.matchAll(/^export type (\w+) = ([A-Z]\w+);$/gm)) {
    types.set(name, { base, members: new Map() });
  }
  return { enums, types };
}

const { enums, types } = readTypes();

function membersOf(name) {
  const type = types.get(name);
  return type ? new Map([...membersOf(type.base), ...type.members]) : new Map();
}

// Shapes that the WSDL has otherwise than the source format: the metadata file of
// a component holds XML of its own under targetConfigs, and a field holds its
// picklist's values in an element that the WSDL names differently.
const NOT_IN_WSDL = new Set(["LightningComponentBundle.targetConfigs"]);

function checkValue(where, value, type, findings) {
  if (type === "boolean" && !["true", "false"].includes(value)) {
    findings.push(`${where}: ${JSON.stringify(value)} is neither true nor false`);
  } else if (type === "number" && (value === "" || !Number.isFinite(Number(value)))) {
    findings.push(`${where}: ${JSON.stringify(value)} is no number`);
  } else if (enums.has(type) && !enums.get(type).has(value)) {
    findings.push(`${where}: ${JSON.stringify(value)} is no ${type}`);
  } else if (types.has(type)) {
    checkType(where, value, type, findings);
  }
}

function checkType(where, body, type, findings) {
  const members = membersOf(type);
  if (members.size === 0) {
    return;
  }
  if (typeof body !== "object") {
    findings.push(`${where}: holds text, and is to hold elements of ${type}`);
    return;
  }
  for (const [name, value] of Object.entries(body)) {
    if (name.startsWith("@") || NOT_IN_WSDL.has(`${type}.${name}`)) {
      continue;
    }
    const member = members.get(name);
    if (!member) {
      findings.push(`${where}: ${type} has no element ${name}`);
      continue;
    }
    if (Array.isArray(value) && !member.isMany) {
      findings.push(`${where}: ${type} has one ${name} at most`);
    }
    [value].flat().forEach((one) => checkValue(`${where}/${name}`, one, member.type, findings));
  }
  for (const [name, member] of members) {
    if (!member.isOptional && body[name] === undefined) {
      findings.push(`${where}: ${type} needs an element ${name}`);
    }
  }
}

/** @returns {string[]} findings */
export function checkXml(project) {
  const findings = [];
  for (const one of project.metadata) {
    if (one.malformed) {
      findings.push(`${one.file}: not well formed: ${one.malformed}`);
    } else if (!types.has(one.type)) {
      findings.push(`${one.file}: the Metadata API has no type ${one.type}`);
    } else {
      if (one.body["@xmlns"] !== "http://soap.sforce.com/2006/04/metadata") {
        findings.push(`${one.file}: its namespace is not that of the Metadata API`);
      }
      checkType(one.file, one.body, one.type, findings);
      if (list(one.body.fullName).some((name) => name !== one.name)) {
        findings.push(`${one.file}: fullName ${one.body.fullName} is not the name of the file`);
      }
    }
  }
  return findings;
}
