/**
 * The validation rules and the signing formula, evaluated: truth tables for the
 * rules, by formulon, an implementation of Salesforce's formula language that
 * shares no code with the model; and every vector of contract/vectors/callouts.json
 * for the signature, by the model. Neither is the platform.
 */
import fs from "node:fs";
import path from "node:path";
import { parse } from "formulon";
import { headerText } from "../model/src/formula.mjs";
import { list } from "./project.mjs";

const literal = (dataType, value, options) => ({
  type: "literal",
  dataType: value === null ? "null" : dataType,
  value,
  ...(value === null ? {} : { options })
});
const number = (value) => literal("number", value, { length: 18, scale: 0 });
const picklist = (value) =>
  literal("picklist", value, { values: ["Pending Review", "Activating", "Provisioned", "Failed"] });
const boolean = (value) => literal("checkbox", value, {});

/** Functions of one record that is being saved, replaced by what they would see. */
function atSave(formula) {
  return formula
    .replace(/NOT\(ISNEW\(\)\)/g, "NOT(IsNew)")
    .replace(/ISNEW\(\)/g, "IsNew")
    .replace(/PRIORVALUE\((\w+)\)/g, "Prior_$1")
    .replace(/ISCHANGED\((\w+)\)/g, "Changed_$1")
    .replace(/\$Permission\.(\w+)/g, "Permission_$1");
}

/** Whether the rule refuses a save. */
function refuses(rule, { isNew, before, after, override }) {
  const names = {
    IsNew: boolean(isNew),
    Permission_Provisioning_Override: boolean(override),
    Provisioning_Seq__c: number(after.seq),
    Prior_Provisioning_Seq__c: number(before.seq),
    Changed_Provisioning_Seq__c: boolean(after.seq !== before.seq),
    Provisioning_Status__c: picklist(after.status),
    Prior_Provisioning_Status__c: picklist(before.status),
    Changed_Provisioning_Status__c: boolean(after.status !== before.status)
  };
  const result = parse(atSave(rule.errorConditionFormula), names);
  if (result.type === "error") {
    throw new Error(result.message);
  }
  return result.value;
}

const SEQS = [null, 0, 5, 6];
const STATUSES = [null, "Pending Review", "Activating", "Provisioned", "Failed"];

/** Every save of one order: 2 × 4 × 4 × 5 × 5 × 2 cases. */
function* saves() {
  for (const isNew of [true, false]) {
    for (const beforeSeq of SEQS) {
      for (const afterSeq of SEQS) {
        for (const beforeStatus of STATUSES) {
          for (const afterStatus of STATUSES) {
            for (const override of [true, false]) {
              yield {
                isNew,
                before: { seq: beforeSeq, status: beforeStatus },
                after: { seq: afterSeq, status: afterStatus },
                override
              };
            }
          }
        }
      }
    }
  }
}

/** What each rule is for, said a second time in another language. */
const EXPECTED = {
  Provisioning_Seq_Never_Falls: ({ isNew, before, after }) => !isNew && (after.seq ?? 0) < (before.seq ?? 0),
  Provisioned_Is_Final: ({ isNew, before, after, override }) =>
    !isNew && before.status === "Provisioned" && after.status !== before.status && after.seq === before.seq && !override
};

function checkRules(project, findings) {
  const rules = project.ofType("ValidationRule");
  for (const name of Object.keys(EXPECTED)) {
    if (!rules.some((rule) => rule.name === name)) {
      findings.push(`there is no validation rule ${name}`);
    }
  }
  for (const rule of rules) {
    try {
      if (!EXPECTED[rule.name]) {
        throw new Error("has no truth table");
      }
      for (const save of saves()) {
        if (refuses(rule.body, save) !== EXPECTED[rule.name](save)) {
          throw new Error(`is wrong for ${JSON.stringify(save)}`);
        }
      }
    } catch (error) {
      findings.push(`${rule.file}: ${error.message}`);
    }
  }
}

/** What the header's formula can see. */
function visible(name, body, secret) {
  const names = { "$Credential.OrderBridge.Body": body, "$Credential.OrderBridge.HmacSecret": secret };
  if (!(name in names)) {
    throw new Error(`names ${name}, which it cannot see`);
  }
  return names[name];
}

function checkSignature(project, repository, findings) {
  const vectors = JSON.parse(fs.readFileSync(path.join(repository, "contract/vectors/callouts.json"), "utf8"));
  const credential = project.ofType("ExternalCredential").find((one) => one.name === "OrderBridge");
  const header = list(credential?.body.externalCredentialParameters).find((one) => one.parameterType === "AuthHeader");
  if (header?.parameterName !== "X-SF-Signature") {
    findings.push("the External Credential OrderBridge makes no header X-SF-Signature");
    return;
  }
  let compared = 0;
  for (const vector of vectors.vectors) {
    const signature = vector.headers["X-SF-Signature"];
    if (vector.code !== "" || typeof signature !== "string") {
      continue;
    }
    const body =
      vector.body === undefined ? Buffer.from(vector.bodyBase64, "base64") : Buffer.from(vector.body, "utf8");
    try {
      const made = [vectors.secret, vectors.previousSecret].map((secret) =>
        headerText(header.parameterValue, (name) => visible(name, body, secret))
      );
      compared++;
      if (!made.includes(signature.toLowerCase())) {
        findings.push(`the formula makes another signature for "${vector.name}"`);
      }
    } catch (error) {
      findings.push(`${credential.file}: the formula ${error.message}`);
      return;
    }
  }
  if (compared < 25) {
    findings.push(`only ${compared} vectors were compared`);
  }
  checkTestVector(project, vectors.vectors[0], vectors.secret, findings);
}

// The vector that the Apex test repeats is the contract's.
function checkTestVector(project, vector, secret, findings) {
  const text = project.apex.get("BridgeRequest_Tests")?.text ?? "";
  for (const part of [vector.body, vector.headers["X-SF-Signature"], secret]) {
    if (!text.includes(`'${part}'`)) {
      findings.push(`BridgeRequest_Tests does not hold ${part}, of the contract's first vector`);
    }
  }
}

/** @returns {string[]} findings */
export function checkFormulas(project, repository) {
  const findings = [];
  checkRules(project, findings);
  checkSignature(project, repository, findings);
  return findings;
}
