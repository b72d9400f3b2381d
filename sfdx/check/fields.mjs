/**
 * One field, one meaning, everywhere: what the Go side reads and writes, the
 * simulator of Salesforce, the field files and the permission sets agree, and the
 * token of a stale report is that of shared/salesforce/classify.go.
 */
import fs from "node:fs";
import path from "node:path";
import { list } from "./project.mjs";

/** Written by Apex alone; the integration user does not write them. */
const BY_APEX = [
  "Order.Provisioning_Attempt__c",
  "Order.Provisioning_Requested_At__c",
  "Order.Provisioning_Requested_By__c"
];
/** The Salesforce type of each kind of the simulator's schema. */
const KINDS = {
  kindString: ["Text", "Picklist"],
  kindTextArea: ["LongTextArea"],
  kindPicklist: ["Picklist"],
  kindDouble: ["Number"],
  kindBoolean: ["Checkbox"],
  kindDateTime: ["DateTime"],
  kindAny: ["Text", "Number"]
};

/** What shared/salesforce says, read from its source. */
function goSide(repository) {
  const read = (file) => fs.readFileSync(path.join(repository, file), "utf8");
  const fields = read("shared/salesforce/fields.go");
  const names = new Map([...fields.matchAll(/^\t(field\w+)\s*= "(\w+)"/gm)].map(([, name, value]) => [name, value]));
  const objects = new Map([...fields.matchAll(/^\t(object\w+)\s*= "(\w+)"/gm)].map(([, name, value]) => [name, value]));
  const rows = fields.match(/^var written = \[\]struct \{[\s\S]*?^\}\{\n([\s\S]*?)^\}/m)[1];
  const written = [...rows.matchAll(/^\t\{(object\w+), (field\w+),/gm)].map(
    ([, object, field]) => `${objects.get(object)}.${names.get(field)}`
  );
  const selected = fields.match(/^\theads := set\(([\s\S]*?)\)\n\tlines := set\(([\s\S]*?)\)\n/m);
  const paths = (text, object) =>
    [...text.matchAll(/(field\w+)(?:\+"\."\+(field\w+))?/g)]
      .map(([, first, second]) => (second ? [names.get(first), names.get(second)] : [object, names.get(first)]))
      .filter(([, field]) => field.endsWith("__c"))
      .map(([owner, field]) => `${owner}.${field}`);
  const optional = fields.match(/^type Optional struct \{\n([\s\S]*?)^\}/m)[1];
  return {
    written,
    loaded: [...paths(selected[1], "Order"), ...paths(selected[2], "OrderItem")],
    optional: [...optional.matchAll(/of (\w+),.*e\.g\. (\w+__c)/g)].map(([, object, field]) => `${object}.${field}`),
    token: read("shared/salesforce/classify.go").match(/staleToken = "([^"]+)"/)[1],
    lengths: {
      "Order.Provisioning_Error_Message__c": Number(fields.match(/messageUnits = (\d+)/)[1]),
      "OrderItem.WHMCS_Service_ID__c": Number(fields.match(/serviceUnits = (\d+)/)[1])
    },
    cycles: [...read("shared/order/order.go").matchAll(/Cycle = "(\w+)"/g)].map(([, cycle]) => cycle),
    schema: schema(read("shared/salesforce/salesforcetest/schema.go"))
  };
}

function schema(text) {
  const fields = new Map();
  const statuses = [...text.match(/^var statuses = \[\]string\{(.*)\}/m)[1].matchAll(/"([^"]+)"/g)].map(
    ([, one]) => one
  );
  for (const [, object, body] of text.matchAll(/newObject\("(\w+)",([\s\S]*?\})\)/g)) {
    for (const [, name, rest] of body.matchAll(/field\{name: "(\w+__c)"([^}]*)\}/g)) {
      fields.set(`${object}.${name}`, {
        kind: rest.match(/kind: (\w+)/)[1],
        length: Number(rest.match(/length: (\d+)/)?.[1] ?? 0),
        digits: Number(rest.match(/digits: (\d+)/)?.[1] ?? 0),
        isWritable: /writable: true/.test(rest)
      });
    }
  }
  return { fields, statuses };
}

const values = (field) => list(field?.valueSet?.valueSetDefinition?.value).map((value) => value.fullName);
const same = (one, other) => String([...one].sort()) === String([...other].sort());

/** @param {string} repository the directory of go.mod */
export function checkFields(project, repository) {
  const findings = [];
  const go = goSide(repository);
  const need = (holds, text) => holds || findings.push(text);
  const fields = project.fields;

  need(go.written.length >= 7 && go.loaded.length >= 4 && go.schema.fields.size >= 10, "the Go side cannot be read");
  for (const name of [...go.written, ...go.loaded, ...go.optional]) {
    need(fields.has(name), `the Go side uses ${name}, and the package has no such field`);
  }
  for (const name of [...go.written, ...go.loaded]) {
    need(go.schema.fields.has(name), `the Go side uses ${name}, and the simulator has no such field`);
  }
  for (const [name, field] of go.schema.fields) {
    const own = fields.get(name);
    if (!own) {
      need(false, `the simulator has ${name}, and the package does not`);
      continue;
    }
    need(KINDS[field.kind].includes(own.type), `${name} is a ${own.type}, in the simulator ${field.kind}`);
    if (own.type === "Text" && field.kind !== "kindAny") {
      need(Number(own.length) === field.length, `${name} holds ${own.length}, in the simulator ${field.length}`);
    }
    if (own.type === "LongTextArea") {
      need(Number(own.length) === field.length, `${name} holds ${own.length}, in the simulator ${field.length}`);
    }
    if (own.type === "Number") {
      need(
        Number(own.precision) === field.digits,
        `${name} has ${own.precision} digits, in the simulator ${field.digits}`
      );
    }
    need(
      !field.isWritable || !BY_APEX.includes(name),
      `${name} is written by Apex alone, and the simulator lets the API write it`
    );
  }
  for (const name of go.written) {
    need(go.schema.fields.get(name)?.isWritable, `the Go side writes ${name}, and the simulator does not let it`);
  }
  for (const [name, length] of Object.entries(go.lengths)) {
    need(Number(fields.get(name)?.length) === length, `${name} must hold ${length} characters, as the Go side cuts`);
  }
  need(
    same(values(fields.get("Order.Provisioning_Status__c")), go.schema.statuses),
    "the values of Provisioning_Status__c are not those of the simulator"
  );
  const cycles = values(fields.get("Product2.Billing_Cycle__c")).map((value) => value.toLowerCase());
  need(same(cycles, go.cycles), `the values of Billing_Cycle__c are ${cycles}, those of the Go side ${go.cycles}`);
  checkToken(project, go, need);
  checkPermissions(project, go, need);
  checkPreview(project, go, need);
  return findings;
}

function checkToken(project, go, need) {
  // One rule on each object that carries a sequence.
  for (const name of go.written.filter((field) => field.endsWith(".Provisioning_Seq__c"))) {
    const object = name.split(".")[0];
    const rule = project
      .ofType("ValidationRule")
      .find((one) => one.object === object && one.name === "Provisioning_Seq_Never_Falls")?.body;
    need(
      rule?.errorMessage?.includes(go.token),
      `the rule's message on ${object} must hold ${go.token}, as shared/salesforce/classify.go reads it`
    );
    need(
      rule?.errorDisplayField === "Provisioning_Seq__c",
      `the rule on ${object} must show its error on Provisioning_Seq__c`
    );
    need(rule?.active === "true", `the rule on ${object} must be active`);
  }
}

function checkPermissions(project, go, need) {
  const access = (name) =>
    new Map(
      list(project.ofType("PermissionSet").find((one) => one.name === name)?.body.fieldPermissions).map((one) => [
        one.field,
        one
      ])
    );
  const integration = access("OrderBridge_Integration");
  for (const name of go.written) {
    need(
      integration.get(name)?.editable === "true",
      `OrderBridge_Integration must edit ${name}: the Go side writes it`
    );
  }
  for (const name of go.loaded) {
    need(integration.get(name)?.readable === "true", `OrderBridge_Integration must read ${name}: the Go side reads it`);
  }
  for (const name of BY_APEX) {
    need(
      integration.get(name)?.editable !== "true",
      `OrderBridge_Integration must not edit ${name}: Apex alone writes it`
    );
  }
  const reader = access("OrderBridge_Mapping_Reader");
  for (const name of go.optional) {
    need(
      reader.get(name)?.readable === "true",
      `OrderBridge_Mapping_Reader must read ${name}: the Go side can read it`
    );
  }
  for (const set of ["OrderBridge_Operator", "OrderBridge_Admin"]) {
    const own = access(set);
    for (const name of project.fields.keys()) {
      const isProvisioning =
        /^Order\.(Provisioning_|Last_Provisioning|WHMCS_)|^OrderItem\.(Provisioning_|WHMCS_Service)/.test(name);
      if (isProvisioning) {
        need(own.get(name)?.readable === "true", `${set} must read ${name}`);
        need(own.get(name)?.editable !== "true", `${set} must not edit ${name}: a person could set it by hand`);
      }
    }
    for (const name of go.loaded) {
      need(own.get(name)?.readable === "true", `${set} must read ${name}: the card says what will be ordered`);
    }
  }
}

// The reasons of the card are those of shared/salesforce/load.go.
function checkPreview(project, go, need) {
  const text = project.apex.get("OrderPreview")?.text ?? "";
  const cycles = [...(text.match(/CYCLES = new Set<String>\{([^}]*)\}/)?.[1] ?? "").matchAll(/'([^']+)'/g)].map(
    ([, one]) => one
  );
  need(
    same(cycles, [...go.cycles, "one-time"]),
    `OrderPreview knows the cycles ${cycles}, the Go side ${go.cycles} and one-time`
  );
}
