/**
 * Every name that one file uses of another exists: fields, labels, classes,
 * methods and their parameters, components, permissions, credentials, flows and
 * their elements, picklist values, reports. A deployment would refuse most of
 * these; a few it lets pass, and they fail when a person clicks.
 */
import { list } from "./project.mjs";

/** The fields of standard objects that the package uses. */
const STANDARD = {
  Account: ["Id", "Name", "OwnerId"],
  CronTrigger: ["Id", "CronJobDetail.Name"],
  CustomNotificationType: ["Id", "DeveloperName"],
  Group: ["Id", "DeveloperName", "Type"],
  Order: ["Id", "AccountId", "EffectiveDate", "IsReductionOrder", "OrderNumber", "OwnerId", "Pricebook2Id", "Status"],
  OrderItem: ["Id", "OrderId", "PricebookEntryId", "Quantity", "UnitPrice"],
  PermissionSet: ["Id", "Name"],
  PermissionSetAssignment: ["Id", "Assignee.IsActive", "AssigneeId", "PermissionSet.Name", "PermissionSetId"],
  Product2: ["Id", "Name", "IsActive"],
  Profile: ["Id", "Name"],
  User: ["Id", "Name"],
  UserRecordAccess: ["RecordId", "HasEditAccess", "UserId"]
};
/** Relationships: object and name → object. */
const PARENTS = {
  "Order.Account": "Account",
  "Order.Provisioning_Requested_By__r": "User",
  "OrderItem.Product2": "Product2"
};
const CHILDREN = { OrderItems: "OrderItem" };
const LIST_VIEW_COLUMNS = new Set(["ORDERS.ORDER_NUMBER", "SALES.ACCOUNT.NAME"]);
const REPORT_COLUMNS = ["OrderNumber", "Account", "EffectiveDate", "Status"];
const API_VERSION = "67.0";
const LONGEST_LABEL = 40;

/** The file name of each type of metadata ends in this. */
const SUFFIX = {
  ApexClass: "cls",
  ApexTrigger: "trigger",
  CustomField: "field",
  CustomLabels: "labels",
  CustomNotificationType: "notiftype",
  CustomPermission: "customPermission",
  CustomTab: "tab",
  Dashboard: "dashboard",
  DashboardFolder: "dashboardFolder",
  ExternalClientApplication: "eca",
  ExternalCredential: "externalCredential",
  ExtlClntAppGlobalOauthSettings: "ecaGlblOauth",
  ExtlClntAppOauthConfigurablePolicies: "ecaOauthPlcy",
  ExtlClntAppOauthSettings: "ecaOauth",
  Flow: "flow",
  LightningComponentBundle: "js",
  ListView: "listView",
  NamedCredential: "namedCredential",
  PermissionSet: "permissionset",
  Queue: "queue",
  QuickAction: "quickAction",
  Report: "report",
  ReportFolder: "reportFolder",
  ReportType: "reportType",
  ValidationRule: "validationRule",
  WebLink: "webLink"
};

/** Apex without comments, and with the contents of strings kept apart. */
const withoutComments = (text) =>
  text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (comment) => comment.replace(/[^\n]/g, " "));

class References {
  constructor(project) {
    this.project = project;
    this.findings = [];
    this.fields = project.fields;
    this.labels = project.labels;
    this.usedLabels = new Set();
    this.permissions = project.names("CustomPermission");
    this.flows = new Map(project.ofType("Flow").map((one) => [one.name, one.body]));
    this.apex = project.apex;
    this.components = project.components;
    this.statuses = list(this.fields.get("Order.Provisioning_Status__c")?.valueSet?.valueSetDefinition?.value).map(
      (value) => value.fullName
    );
  }

  add(file, text) {
    this.findings.push(`${file}: ${text}`);
  }

  /** Whether object has the field, a path of relationships included. */
  hasField(object, path) {
    if (STANDARD[object]?.includes(path) || this.fields.has(`${object}.${path}`)) {
      return true;
    }
    const dot = path.indexOf(".");
    const parent = dot > 0 && PARENTS[`${object}.${path.slice(0, dot)}`];
    return Boolean(parent) && this.hasField(parent, path.slice(dot + 1));
  }

  needField(file, object, path) {
    if (!this.hasField(object, path)) {
      this.add(file, `${object} has no field ${path}`);
    }
  }

  needStatus(file, value) {
    if (!this.statuses.includes(value)) {
      this.add(file, `Provisioning_Status__c has no value ${value}`);
    }
  }

  needLabel(file, name) {
    this.usedLabels.add(name);
    if (!this.labels.has(name)) {
      this.add(file, `there is no label ${name}`);
    }
  }

  needIn(file, names, name, what) {
    if (!names.has(name)) {
      this.add(file, `there is no ${what} ${name}`);
    }
  }

  // Apex

  checkApex() {
    const metas = new Map(
      [...this.project.ofType("ApexClass"), ...this.project.ofType("ApexTrigger")].map((one) => [one.name, one])
    );
    for (const [name, { file, text }] of this.apex) {
      const code = withoutComments(text);
      if (!metas.has(name)) {
        this.add(file, "has no -meta.xml");
      }
      for (const [, label] of code.matchAll(/\bSystem\.Label\.(\w+)/g)) {
        this.needLabel(file, label);
      }
      for (const [, permission] of code.matchAll(/checkPermission\('(\w+)'\)/g)) {
        this.needIn(file, this.permissions, permission, "custom permission");
      }
      for (const [, credential] of code.matchAll(/'callout:(\w+)|getNamedCredential\('(\w+)'/g)) {
        if (credential) {
          this.needIn(file, this.project.names("NamedCredential"), credential, "Named Credential");
        }
      }
      for (const [, set] of code.matchAll(/'(OrderBridge_(?:Operator|Admin|Integration)\w*)'/g)) {
        this.needIn(file, this.project.names("PermissionSet"), set, "permission set");
      }
      for (const [, value] of code.matchAll(/Provisioning_Status__c\s*(?:=|==|!=)\s*'([^']*)'/g)) {
        this.needStatus(file, value);
      }
      for (const [, object, members] of code.matchAll(/new\s+(Order|OrderItem|Account|Product2)\s*\(([^;{]*?)\)/g)) {
        for (const [, field] of members.matchAll(/\b(\w+)\s*=(?!=)/g)) {
          this.needField(file, object, field);
        }
      }
      const known = new Set([...this.fields.keys()].map((key) => key.split(".")[1]));
      for (const [, field] of code.matchAll(/\b(\w+__c)\b/g)) {
        this.needIn(file, known, field, "field");
      }
      this.checkQueries(file, code);
      if (file.endsWith(".cls") && !/\b(with|inherited) sharing\b/.test(code) && !/@IsTest/i.test(code)) {
        this.add(file, "says neither with nor inherited sharing");
      }
      this.checkTests(file, code);
      if (/\bwithout\s+sharing\b/i.test(code)) {
        this.add(file, "is without sharing: rows that the user may not see could be changed");
      }
    }
    this.checkConstants();
  }

  // A test that asserts nothing passes for ever.
  checkTests(file, code) {
    for (const [body, name] of code.matchAll(/@IsTest\s+static void (\w+)\(\)[\s\S]*?\n {2}\}/g)) {
      if (!/\bAssert\.\w+\(|\bassert[A-Z]\w*\(/.test(body)) {
        this.add(file, `the test ${name} asserts nothing`);
      }
    }
  }

  checkConstants() {
    const record = this.apex.get("ProvisioningRecord");
    const values = [...(record?.text.matchAll(/public static final String (\w+) = '([^']+)'/g) ?? [])];
    const statuses = values.filter(([, name]) => name !== "NOT_DELIVERED").map(([, , value]) => value);
    if (String([...statuses].sort()) !== String([...this.statuses].sort())) {
      this.add(record?.file, `its statuses are ${statuses}, those of the field are ${this.statuses}`);
    }
  }

  checkQueries(file, code) {
    for (const [query] of code.matchAll(/\[\s*SELECT[\s\S]*?\]/g)) {
      const inner = query.match(/\(\s*SELECT([\s\S]*?)\bFROM\s+(\w+)[^)]*\)/);
      const outer = inner ? query.replace(inner[0], "Id") : query;
      const [, fields, object] = outer.match(/SELECT([\s\S]*?)\bFROM\s+(\w+)/);
      this.checkSelected(file, fields, object);
      if (inner) {
        this.checkSelected(file, inner[1], CHILDREN[inner[2]] ?? inner[2]);
      }
      const where = outer.match(/\bWHERE([\s\S]*?)(?:\bWITH\b|\bORDER BY\b|\bLIMIT\b|\bFOR UPDATE\b|\])/)?.[1] ?? "";
      for (const [, field] of where.matchAll(/(?<![:\w.'])([A-Z]\w*(?:\.\w+)*)\s*(?:=|!=|<|>|\bIN\b)/g)) {
        this.needField(file, object, field);
      }
      const sorted = outer.match(/\bORDER BY\s+([\w.]+)/)?.[1];
      if (sorted) {
        this.needField(file, object, sorted);
      }
      if (!/\bWITH (USER_MODE|SYSTEM_MODE)\b/.test(outer)) {
        this.add(file, `a query of ${object} does not say in which mode it runs`);
      }
    }
  }

  checkSelected(file, fields, object) {
    for (const field of fields.split(",").map((one) => one.trim())) {
      if (field && !/^COUNT\(\)$/i.test(field)) {
        this.needField(file, object, field);
      }
    }
  }

  /** The method of a class as {annotation, parameters}, or undefined. */
  method(className, name) {
    const text = this.apex.get(className)?.text;
    const found = text?.match(new RegExp(`(@\\w+(?:\\([^)]*\\))?)?\\s+public static [\\w<>., ]+ ${name}\\(([^)]*)\\)`));
    return (
      found && {
        annotation: found[1] ?? "",
        parameters: found[2].split(",").flatMap((one) => one.trim().split(/\s+/).slice(1))
      }
    );
  }

  // Lightning components

  checkComponents() {
    const metas = new Set(this.project.ofType("LightningComponentBundle").map((one) => one.name));
    for (const [name, { file, js, html }] of this.components) {
      if (!metas.has(name)) {
        this.add(file, "has no js-meta.xml");
      }
      for (const [, variable, from] of js.matchAll(/import\s+(?:(\w+)|\{[^}]*\})\s+from\s+"([^"]+)"/g)) {
        this.checkImport(file, js, variable, from);
      }
      for (const [, tag] of html.matchAll(/<c-([\w-]+)/g)) {
        this.needIn(
          file,
          this.components,
          tag.replace(/-(\w)/g, (_, letter) => letter.toUpperCase()),
          "component"
        );
      }
      this.checkTemplate(file, js, html);
    }
  }

  checkImport(file, js, variable, from) {
    const [, apexClass, method] = from.match(/^@salesforce\/apex\/(\w+)\.(\w+)$/) ?? [];
    if (apexClass) {
      const found = this.method(apexClass, method);
      if (!found) {
        this.add(file, `there is no static method ${apexClass}.${method}`);
      } else if (!/^@AuraEnabled/.test(found.annotation)) {
        this.add(file, `${apexClass}.${method} is not @AuraEnabled`);
      } else {
        this.checkArguments(file, js, variable, found.parameters);
      }
    } else if (from.startsWith("@salesforce/label/c.")) {
      this.needLabel(file, from.slice("@salesforce/label/c.".length));
    } else if (from.startsWith("@salesforce/schema/")) {
      const [object, field] = from.slice("@salesforce/schema/".length).split(".");
      this.needField(file, object, field);
    } else if (from.startsWith("@salesforce/customPermission/")) {
      this.needIn(file, this.permissions, from.slice("@salesforce/customPermission/".length), "custom permission");
    } else if (from.startsWith("c/")) {
      this.needIn(file, this.components, from.slice(2), "component");
    }
  }

  checkArguments(file, js, variable, parameters) {
    for (const [, given] of js.matchAll(new RegExp(`\\b${variable}\\((?:\\{([^}]*)\\})?\\)`, "g"))) {
      const names = (given ?? "").split(",").flatMap((one) => one.trim().split(":")[0].trim() || []);
      if (String([...names].sort()) !== String([...parameters].sort())) {
        this.add(file, `${variable} is called with (${names}), its parameters are (${parameters})`);
      }
    }
  }

  // A name in a template that the component does not have is shown as nothing.
  checkTemplate(file, js, html) {
    const loops = new Set([...html.matchAll(/for:item="(\w+)"/g)].map(([, item]) => item));
    for (const [, name] of html.matchAll(/\{(\w+)(?:\.\w+)*\}/g)) {
      if (!loops.has(name) && !new RegExp(`(?:^|\\s)(?:get |@api )?${name}\\b\\s*(?:\\(|=|;)`, "m").test(js)) {
        this.add(file, `its template names ${name}, which it does not have`);
      }
    }
  }

  // Metadata

  checkMetadata() {
    for (const one of this.project.metadata) {
      if (one.malformed) {
        continue;
      }
      if (SUFFIX[one.type] !== one.suffix) {
        this.add(one.file, `a ${one.type} in a file that ends in ${one.suffix}: expected ${SUFFIX[one.type]}`);
      }
      if (one.body.apiVersion !== undefined && one.body.apiVersion !== API_VERSION) {
        this.add(one.file, `apiVersion ${one.body.apiVersion}, expected ${API_VERSION}`);
      }
      this[`check${one.type}`]?.(one);
    }
  }

  checkApexClass({ file, name }) {
    this.needIn(file, this.apex, name, "class");
  }

  checkApexTrigger({ file, name }) {
    this.needIn(file, this.apex, name, "trigger");
  }

  checkCustomField({ file, body }) {
    if (!body.label || body.label.length > LONGEST_LABEL) {
      this.add(file, `its label must have 1 to ${LONGEST_LABEL} characters`);
    }
    if (!body.description || !body.inlineHelpText) {
      this.add(file, "needs a description and a help text");
    }
    if (["Text", "LongTextArea"].includes(body.type) && !(Number(body.length) > 0)) {
      this.add(file, `a ${body.type} needs a length`);
    }
    if (body.type === "Number" && (body.precision === undefined || body.scale === undefined)) {
      this.add(file, "a Number needs precision and scale");
    }
  }

  checkCustomLabels({ file, body }) {
    for (const label of list(body.labels)) {
      // String.format takes a single quote for the start of a literal.
      if (label.value.includes("{0}") && label.value.includes("'")) {
        this.add(file, `${label.fullName} has a placeholder and a single quote`);
      }
    }
  }

  checkValidationRule({ file, object, body }) {
    const formula = body.errorConditionFormula ?? "";
    this.needField(file, object, body.errorDisplayField);
    this.checkFormulaNames(file, object, formula);
  }

  checkFormulaNames(file, object, formula) {
    for (const [, field] of formula.matchAll(/\b(\w+__c)\b/g)) {
      this.needField(file, object, field);
    }
    for (const [, permission] of formula.matchAll(/\$Permission\.(\w+)/g)) {
      this.needIn(file, this.permissions, permission, "custom permission");
    }
    for (const [, value] of formula.matchAll(/Provisioning_Status__c\)?\s*,\s*"([^"]*)"/g)) {
      this.needStatus(file, value);
    }
  }

  checkNamedCredential({ file, body }) {
    const parameters = list(body.namedCredentialParameters);
    for (const { externalCredential } of parameters.filter((one) => one.externalCredential)) {
      this.needIn(file, this.project.names("ExternalCredential"), externalCredential, "External Credential");
    }
    const [url] = parameters.filter((one) => one.parameterType === "Url");
    if (!/^https:\/\/[^/]+$/.test(url?.parameterValue ?? "")) {
      this.add(file, "its URL is not https with a host alone");
    }
    for (const merge of ["allowMergeFieldsInBody", "allowMergeFieldsInHeader"]) {
      if (body[merge] !== "false") {
        this.add(file, `${merge} must be false: what a user types could be evaluated`);
      }
    }
  }

  checkExternalCredential({ file, name, body }) {
    for (const { parameterValue } of list(body.externalCredentialParameters)) {
      for (const [, credential] of (parameterValue ?? "").matchAll(/\$Credential\.(\w+)\./g)) {
        if (credential !== name) {
          this.add(file, `its formula names the credential ${credential}`);
        }
      }
      if (parameterValue && !parameterValue.startsWith("{!")) {
        this.add(file, "a parameter holds a value that is no formula: a secret must not be in a file");
      }
    }
  }

  get principals() {
    return new Set(
      this.project.ofType("ExternalCredential").flatMap((one) =>
        list(one.body.externalCredentialParameters)
          .filter((parameter) => parameter.parameterType === "NamedPrincipal")
          .map((parameter) => `${one.name}-${parameter.parameterName}`)
      )
    );
  }

  checkPermissionSet({ file, body }) {
    const fields = list(body.fieldPermissions).map((one) => one.field);
    fields.forEach((field) => this.needIn(file, this.fields, field, "field"));
    list(body.classAccesses).forEach((one) => this.needIn(file, this.apex, one.apexClass, "class"));
    list(body.customPermissions).forEach((one) => this.needIn(file, this.permissions, one.name, "custom permission"));
    list(body.tabSettings).forEach((one) => this.needIn(file, this.project.names("CustomTab"), one.tab, "tab"));
    list(body.externalCredentialPrincipalAccesses).forEach((one) =>
      this.needIn(file, this.principals, one.externalCredentialPrincipal, "principal")
    );
    const objects = new Set(list(body.objectPermissions).map((one) => one.object));
    new Set(fields.map((field) => field.split(".")[0])).forEach((object) =>
      this.needIn(file, objects, object, "object permission for")
    );
  }

  checkQuickAction({ file, body }) {
    if (body.lightningWebComponent) {
      this.needIn(file, this.components, body.lightningWebComponent, "component");
    }
    if (body.flowDefinition) {
      this.needIn(file, this.flows, body.flowDefinition, "flow");
    }
  }

  checkCustomTab({ file, body }) {
    this.needIn(file, this.components, body.lwcComponent, "component");
  }

  checkWebLink({ file, body }) {
    const flow = body.url?.match(/^\/flow\/(\w+)/)?.[1];
    this.needIn(file, this.flows, flow, "flow");
    const ids = list(this.flows.get(flow)?.variables).find((one) => one.name === "ids");
    if (ids?.isCollection !== "true" || ids?.isInput !== "true") {
      this.add(file, "the flow of a list button needs an input collection named ids");
    }
  }

  checkListView({ file, object, body }) {
    for (const column of list(body.columns)) {
      if (!LIST_VIEW_COLUMNS.has(column)) {
        this.needField(file, object, column);
      }
    }
    for (const filter of list(body.filters)) {
      this.needField(file, object, filter.field);
      if (filter.field === "Provisioning_Status__c") {
        this.needStatus(file, filter.value);
      }
    }
    const wanted = list(body.filters).length;
    const named = [...(body.booleanFilter ?? "").matchAll(/\d+/g)].map(([number]) => Number(number));
    if (named.length > 0 && (Math.max(...named) !== wanted || new Set(named).size !== wanted)) {
      this.add(file, `booleanFilter ${body.booleanFilter} does not name its ${wanted} filters`);
    }
  }

  checkReportType({ file, body }) {
    for (const column of list(body.sections).flatMap((section) => list(section.columns))) {
      if (!REPORT_COLUMNS.includes(column.field)) {
        this.needField(file, column.table, column.field);
      }
    }
  }

  checkReport({ file, body }) {
    const type = this.project.ofType("ReportType").find((one) => `${one.name}__c` === body.reportType);
    if (!type) {
      this.add(file, `there is no report type ${body.reportType}`);
      return;
    }
    const offered = new Set(
      list(type.body.sections).flatMap((section) =>
        list(section.columns).map((column) => `${column.table}$${column.field}`)
      )
    );
    const used = [
      ...list(body.columns).map((one) => one.field),
      ...list(body.groupingsDown).map((one) => one.field),
      ...list(body.filter?.criteriaItems).map((one) => one.column),
      body.timeFrameFilter?.dateColumn
    ];
    used.forEach((column) => this.needIn(file, offered, column, `column of ${body.reportType}`));
    for (const item of list(body.filter?.criteriaItems)) {
      if (item.column === "Order$Provisioning_Status__c") {
        this.needStatus(file, item.value);
      }
    }
  }

  checkDashboard({ file, body }) {
    const reports = new Set(this.project.ofType("Report").map((one) => one.file.match(/reports\/(.*)\.report-/)[1]));
    for (const { dashboardComponent } of list(body.dashboardGridLayout?.dashboardGridComponents)) {
      this.needIn(file, reports, dashboardComponent.report, "report");
    }
  }

  // Flows

  checkFlow({ file, body }) {
    const elements = new Set();
    for (const kind of [
      "actionCalls",
      "assignments",
      "decisions",
      "recordLookups",
      "recordUpdates",
      "screens",
      "subflows"
    ]) {
      list(body[kind]).forEach((one) => elements.add(one.name));
    }
    const values = new Set(elements);
    ["variables", "textTemplates", "formulas", "constants"].forEach((kind) =>
      list(body[kind]).forEach((one) => values.add(one.name))
    );
    this.walkFlow(file, body, elements, values, body.start?.object);
    for (const filter of list(body.start?.filters)) {
      this.needField(file, body.start.object, filter.field);
      if (filter.field === "Provisioning_Status__c") {
        this.needStatus(file, filter.value.stringValue);
      }
    }
    for (const lookup of list(body.recordLookups)) {
      list(lookup.filters).forEach((filter) => this.needField(file, lookup.object, filter.field));
      this.checkNamed(file, lookup);
    }
    for (const update of list(body.recordUpdates)) {
      list(update.inputAssignments).forEach((one) => this.needField(file, body.start?.object, one.field));
    }
    list(body.actionCalls).forEach((call) => this.checkAction(file, call));
    list(body.subflows).forEach((call) => this.checkSubflow(file, call));
    list(body.screens).forEach((screen) => list(screen.fields).forEach((field) => this.checkScreenField(file, field)));
    if (body.start?.triggerType === "RecordAfterSave" && !list(body.start.scheduledPaths).length) {
      this.add(file, "runs inside the save: a fault in it would refuse a report of the bridge");
    }
  }

  walkFlow(file, node, elements, values, object) {
    if (Array.isArray(node)) {
      node.forEach((one) => this.walkFlow(file, one, elements, values, object));
      return;
    }
    if (typeof node !== "object" || node === null) {
      for (const [, field] of String(node).matchAll(/\{!\$Record\.(\w+)\}/g)) {
        this.needField(file, object, field);
      }
      return;
    }
    for (const [key, value] of Object.entries(node)) {
      if (key === "targetReference") {
        this.needIn(file, elements, value, "element");
      } else if (["elementReference", "assignToReference", "leftValueReference"].includes(key)) {
        this.checkReference(file, value, values, object);
      }
      this.walkFlow(file, value, elements, values, object);
    }
  }

  checkReference(file, value, values, object) {
    const [head, field] = value.split(".");
    if (head === "$Record") {
      this.needField(file, object, field);
    } else if (!head.startsWith("$")) {
      this.needIn(file, values, head, "variable or element");
    }
  }

  // What a flow finds by its name in the org.
  checkNamed(file, lookup) {
    const types = { CustomNotificationType: "CustomNotificationType", Group: "Queue" };
    const name = list(lookup.filters).find((filter) => filter.field === "DeveloperName")?.value.stringValue;
    if (types[lookup.object]) {
      this.needIn(file, this.project.names(types[lookup.object]), name, types[lookup.object]);
    }
  }

  checkAction(file, call) {
    if (call.actionType !== "apex") {
      return;
    }
    const text = this.apex.get(call.actionName)?.text ?? "";
    if (!/@InvocableMethod/.test(text)) {
      this.add(file, `${call.actionName} has no invocable method`);
      return;
    }
    const variables = new Set(
      [...text.matchAll(/@InvocableVariable\([^)]*\)\s+public [\w<>]+ (\w+)/g)].map(([, name]) => name)
    );
    [...list(call.inputParameters), ...list(call.outputParameters)].forEach((one) =>
      this.needIn(file, variables, one.name, `invocable variable of ${call.actionName}`)
    );
  }

  checkSubflow(file, call) {
    this.needIn(file, this.flows, call.flowName, "flow");
    const inputs = new Set(
      list(this.flows.get(call.flowName)?.variables)
        .filter((one) => one.isInput === "true")
        .map((one) => one.name)
    );
    list(call.inputAssignments).forEach((one) => this.needIn(file, inputs, one.name, `input of ${call.flowName}`));
  }

  checkScreenField(file, field) {
    const name = field.extensionName?.match(/^c:(\w+)$/)?.[1];
    this.needIn(file, this.components, name, "component");
    const js = this.components.get(name)?.js ?? "";
    const properties = new Set([...js.matchAll(/@api (\w+)/g)].map(([, property]) => property));
    list(field.inputParameters).forEach((one) => this.needIn(file, properties, one.name, `property of ${name}`));
  }

  checkUnused() {
    for (const label of this.labels.keys()) {
      if (!this.usedLabels.has(label)) {
        this.add("CustomLabels", `nothing uses the label ${label}`);
      }
    }
  }
}

/** @returns {string[]} findings */
export function checkReferences(project) {
  const references = new References(project);
  references.checkApex();
  references.checkComponents();
  references.checkMetadata();
  references.checkUnused();
  return references.findings;
}
