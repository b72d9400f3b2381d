// Makes an org of the model from pieces of source, for its own tests.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Project } from "../src/metadata.mjs";
import { Org } from "../src/org.mjs";
import { runTests } from "../src/tests.mjs";
import { ApexDate } from "../src/values.mjs";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const CLASS = "<ApexClass><apiVersion>67.0</apiVersion></ApexClass>";
const NAMESPACE = ' xmlns="http://soap.sforce.com/2006/04/metadata"';

const field = (name, more) =>
  `<CustomField${NAMESPACE}><fullName>${name}</fullName><label>${name}</label>${more}</CustomField>`;
const picklist = (...values) =>
  `<type>Picklist</type><valueSet><restricted>true</restricted><valueSetDefinition>${values.map((v, i) => `<value><fullName>${v}</fullName><default>${i === 0}</default></value>`).join("")}</valueSetDefinition></valueSet>`;

/** A small package: four fields, a rule, a permission set, a credential. */
export const PACKAGE = {
  "objects/Order/fields/Stage__c.field-meta.xml": field("Stage__c", picklist("New", "Done")),
  "objects/Order/fields/Note__c.field-meta.xml": field("Note__c", "<type>Text</type><length>10</length>"),
  "objects/Order/fields/Seq__c.field-meta.xml": field(
    "Seq__c",
    "<type>Number</type><precision>18</precision><scale>0</scale>"
  ),
  "objects/Order/fields/Key__c.field-meta.xml": field(
    "Key__c",
    "<type>Text</type><length>20</length><unique>true</unique>"
  ),
  "objects/Order/validationRules/Grows.validationRule-meta.xml": `<ValidationRule${NAMESPACE}><fullName>Grows</fullName><active>true</active><errorConditionFormula>AND(NOT(ISNEW()), BLANKVALUE(Seq__c, 0) &lt; BLANKVALUE(PRIORVALUE(Seq__c), 0), NOT($Permission.Override))</errorConditionFormula><errorDisplayField>Seq__c</errorDisplayField><errorMessage>Older [STALE]</errorMessage></ValidationRule>`,
  "customPermissions/Override.customPermission-meta.xml":
    "<CustomPermission><label>Override</label></CustomPermission>",
  "permissionsets/Reader.permissionset-meta.xml": `<PermissionSet${NAMESPACE}><label>Reader</label><fieldPermissions><field>Order.Stage__c</field><readable>true</readable><editable>false</editable></fieldPermissions><fieldPermissions><field>Order.Seq__c</field><readable>true</readable><editable>true</editable></fieldPermissions><objectPermissions><object>Order</object><allowRead>true</allowRead><allowEdit>true</allowEdit><allowCreate>false</allowCreate><allowDelete>false</allowDelete></objectPermissions><objectPermissions><object>UserExternalCredential</object><allowRead>true</allowRead></objectPermissions><externalCredentialPrincipalAccesses><enabled>true</enabled><externalCredentialPrincipal>Bridge-Main</externalCredentialPrincipal></externalCredentialPrincipalAccesses></PermissionSet>`,
  "externalCredentials/Bridge.externalCredential-meta.xml": `<ExternalCredential${NAMESPACE}><externalCredentialParameters><parameterGroup>Main</parameterGroup><parameterName>Main</parameterName><parameterType>NamedPrincipal</parameterType></externalCredentialParameters><externalCredentialParameters><parameterName>X-Signature</parameterName><parameterType>AuthHeader</parameterType><parameterValue>{!HEX(HMAC('SHA-256', $Credential.Bridge.Body, BLOB($Credential.Bridge.Secret)))}</parameterValue></externalCredentialParameters></ExternalCredential>`,
  "namedCredentials/Bridge_API.namedCredential-meta.xml": `<NamedCredential${NAMESPACE}><namedCredentialParameters><parameterType>Url</parameterType><parameterValue>https://bridge.example</parameterValue></namedCredentialParameters><namedCredentialParameters><parameterType>Authentication</parameterType><externalCredential>Bridge</externalCredential></namedCredentialParameters></NamedCredential>`
};

/** Reads files given as {path: text}; a class needs no -meta.xml of its own. */
export function project(files) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "model-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      const all = name.endsWith(".cls")
        ? [
            [name, text],
            [`${name}-meta.xml`, CLASS]
          ]
        : [[name, text]];
      for (const [n, t] of all) {
        fs.mkdirSync(path.dirname(path.join(dir, n)), { recursive: true });
        fs.writeFileSync(path.join(dir, n), t);
      }
    }
    return new Project([dir]);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

/** An org with the small package, the files given, and a user who has the permission set. */
export function org(files = {}, settings = {}) {
  const o = new Org(project({ ...PACKAGE, ...files }), {
    now: () => NOW,
    secrets: { Bridge: { Secret: "s" } },
    ...settings
  });
  o.reader = o.addUser({ name: "Reader", profile: "Minimum Access - Salesforce", sets: ["Reader"] });
  o.plain = o.addUser({ name: "Plain", profile: "Minimum Access - Salesforce" });
  o.account = o.database.seed("Account", { Name: "Acme" });
  o.order = o.database.seed("Order", {
    AccountId: o.account,
    Status: "Draft",
    EffectiveDate: new ApexDate(0),
    Stage__c: "New"
  });
  return o;
}

/** Runs statements as the body of a static method and returns what it returns. */
export function run(body, { returns = "Object", members = "", files = {}, settings = {}, user } = {}) {
  const o = org(
    { "classes/T.cls": `public class T { ${members} public static ${returns} run() { ${body} } }`, ...files },
    settings
  );
  return {
    org: o,
    value: o.as(user ? o[user] : o.admin, () =>
      o.run("sync", () => o.call(o.program.classes.get("t").methods.get("run")[0], null, []))
    )
  };
}

/** The text of the error that a body ends in. */
export function failure(body, options) {
  try {
    run(body, options);
  } catch (e) {
    return e.message;
  }
  return null;
}

/** Runs the tests of one test class; the texts of those that fail. */
export function testClass(body, files = {}, settings = {}) {
  const o = org({ "classes/T.cls": `@IsTest private class T { ${body} }`, ...files }, settings);
  return runTests(o).map((r) => r.error?.message ?? "passed");
}
