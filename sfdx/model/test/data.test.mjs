// Records: saving, access and queries.
import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, org, run, testClass } from "./fixture.mjs";

// `o` is the order that every org of these tests has.
const members = "static Order o = [SELECT Id FROM Order WITH SYSTEM_MODE LIMIT 1];";
const REFUSED = {
  "a value that a restricted picklist lacks": [
    "update as system new Order(Id = o.Id, Stage__c = 'Nearly');",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST.*Nearly"
  ],
  "a text that is too long": [
    "update as system new Order(Id = o.Id, Note__c = '12345678901');",
    "STRING_TOO_LONG.*max length=10"
  ],
  "a number with too many digits": [
    "Decimal n = 1000000000000000000L; update as system new Order(Id = o.Id, Seq__c = n);",
    "NUMBER_OUTSIDE_VALID_RANGE|beyond 2"
  ],
  "a required field that is blank": ["insert as system new Order(Status = 'Draft');", "REQUIRED_FIELD_MISSING"],
  "an id in an insert": ["insert as system new Order(Id = o.Id);", "INVALID_FIELD_FOR_INSERT_UPDATE"],
  "an update without an id": ["update as system new Order(Note__c = 'x');", "MISSING_ARGUMENT"],
  "a record that is not there": ["update as system new Order(Id = '801000000000999');", "ENTITY_IS_DELETED"],
  "a lookup that leads nowhere": [
    "update as system new Order(Id = o.Id, AccountId = '001000000000999');",
    "INVALID_CROSS_REFERENCE_KEY"
  ],
  "a record twice in one statement": [
    "update as system new List<Order>{ new Order(Id = o.Id), new Order(Id = o.Id) };",
    "Duplicate id in list"
  ],
  "what a rule forbids, with its message and field": [
    "update as system new Order(Id = o.Id, Seq__c = 2); update as system new Order(Id = o.Id, Seq__c = 1);",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION, Older \\[STALE\\]: \\[Seq__c\\]"
  ],
  "a field that the user may only read": [
    "update as user new Order(Id = o.Id, Stage__c = 'Done');",
    "inaccessible on Sobject Order",
    "reader"
  ],
  "a field that the user may only read, in the default mode of API 67": [
    "update new Order(Id = o.Id, Stage__c = 'Done');",
    "inaccessible on Sobject Order",
    "reader"
  ],
  "an object that the user may only edit": [
    "insert new Order(Status = 'Draft');",
    "Access to entity 'Order' denied",
    "reader"
  ],
  "a query of a field that is hidden": [
    "List<Order> l = [SELECT Note__c FROM Order];",
    "No such column 'Note__c'",
    "reader"
  ],
  "a query of a hidden field in its WHERE": [
    "List<Order> l = [SELECT Id FROM Order WHERE Note__c = 'x' WITH USER_MODE];",
    "No such column 'Note__c'",
    "reader"
  ],
  "a query of an object that is hidden": [
    "List<Account> l = [SELECT Id FROM Account];",
    "sObject type 'Account' is not supported",
    "reader"
  ],
  "a custom field, to an administrator without a permission set": [
    "List<Order> l = [SELECT Note__c FROM Order];",
    "No such column 'Note__c'"
  ],
  "a field that the query left out": [
    "Order x = [SELECT Id FROM Order WITH SYSTEM_MODE LIMIT 1]; String s = x.Note__c;",
    "without querying the requested field: Order.Note__c"
  ],
  "one record where a query finds none": [
    "Account a = [SELECT Id FROM Account WHERE Name = 'Zed' WITH SYSTEM_MODE];",
    "List has no rows for assignment to SObject"
  ],
  "set-up and other records in one transaction": [
    "update as system new Order(Id = o.Id); insert as system new PermissionSetAssignment(AssigneeId = UserInfo.getUserId(), PermissionSetId = [SELECT Id FROM PermissionSet WITH SYSTEM_MODE LIMIT 1].Id);",
    "MIXED_DML_OPERATION"
  ]
};
for (const [name, [body, want, user]] of Object.entries(REFUSED))
  test(`refused: ${name}`, () =>
    assert.match(failure(body, { members, user, returns: "void" }) ?? "saved", new RegExp(want)));

const VALUES = {
  "system mode writes what the user may not": [
    "update as system new Order(Id = o.Id, Stage__c = 'Done'); return [SELECT Stage__c FROM Order WITH SYSTEM_MODE LIMIT 1].Stage__c;",
    "Done",
    "reader"
  ],
  "a default is filled in": [
    "Order x = new Order(AccountId = [SELECT Id FROM Account WITH SYSTEM_MODE LIMIT 1].Id, Status = 'Draft', EffectiveDate = Date.today()); insert as system x; return [SELECT Stage__c FROM Order WHERE Id = :x.Id WITH SYSTEM_MODE].Stage__c;",
    "New"
  ],
  "partial saving tells each row's error": [
    "List<Database.SaveResult> r = Database.update(new List<Order>{ new Order(Id = o.Id, Stage__c = 'Nearly') }, false, AccessLevel.SYSTEM_MODE); return r[0].isSuccess() ? '' : r[0].getErrors()[0].getStatusCode().name();",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
  ],
  "all or nothing leaves nothing": [
    "try { insert as system new List<Account>{ new Account(Name = 'A'), new Account() }; } catch (DmlException e) { return [SELECT COUNT() FROM Account WHERE Name = 'A' WITH SYSTEM_MODE]; } return 9;",
    0
  ],
  "what was read and not changed is not written": [
    "Order x = [SELECT Id, Stage__c FROM Order LIMIT 1]; x.Seq__c = 4; update x; return [SELECT Seq__c FROM Order LIMIT 1].Seq__c;",
    4,
    "reader"
  ],
  "IN, AND, OR, NOT and parentheses": [
    "return [SELECT COUNT() FROM Account WHERE (Name IN ('Acme', 'B') AND (NOT Name = 'B')) OR Name = 'C' WITH SYSTEM_MODE];",
    1
  ],
  "a relationship upward": ["return [SELECT Account.Name FROM Order WITH SYSTEM_MODE LIMIT 1].Account.Name;", "Acme"],
  "a subquery downward": [
    "return [SELECT Id, (SELECT Id FROM OrderItems) FROM Order WITH SYSTEM_MODE LIMIT 1].OrderItems.size();",
    0
  ],
  "blanks come first in an order": [
    "insert as system new Account(Name = 'B'); return [SELECT Name FROM Account WITH SYSTEM_MODE ORDER BY Name DESC LIMIT 1].Name;",
    "B"
  ],
  "FOR UPDATE reads a row that no other transaction holds": [
    "try { Order x = [SELECT Id FROM Order WITH SYSTEM_MODE LIMIT 1 FOR UPDATE]; } catch (QueryException e) { return 'held'; } return 'free';",
    "free"
  ]
};
for (const [name, [body, want, user]] of Object.entries(VALUES))
  test(name, () => assert.deepEqual(run(body, { members, user }).value, want));

test("a row that another transaction holds is not locked and not saved", () => {
  const o = org({
    "classes/T.cls":
      "public class T { @AuraEnabled public static String read() { try { List<Order> l = [SELECT Id FROM Order WITH SYSTEM_MODE FOR UPDATE]; } catch (QueryException e) { return 'held'; } return 'free'; } @AuraEnabled public static String write(Id id) { return Database.update(new List<Order>{ new Order(Id = id) }, false, AccessLevel.SYSTEM_MODE)[0].isSuccess() ? 'saved' : 'held'; } }"
  });
  o.database.locked.add(o.order);
  assert.equal(o.aura("T", "read", {}), "held");
  assert.equal(o.aura("T", "write", { id: o.order }), "held");
});

test("a transaction that fails leaves nothing", () => {
  const o = org({
    "classes/T.cls":
      "public class T { @AuraEnabled public static void f() { insert as system new Account(Name = 'A'); throw new QueryException('x'); } }"
  });
  assert.throws(() => o.aura("T", "f", {}), /QueryException: x/);
  assert.equal(o.database.table("Account").size, 1);
});

test("a trigger before the insert changes the record, and may refuse it", () => {
  const trigger = (body) => ({
    "triggers/OnAccount.trigger": `trigger OnAccount on Account (before insert) { ${body} }`
  });
  const body =
    "insert as system new Account(Name = 'A'); return [SELECT COUNT() FROM Account WHERE Name = 'B' WITH SYSTEM_MODE];";
  assert.equal(
    run(body, { files: trigger("for (Account a : (List<Account>) Trigger.new) { a.Name = 'B'; }") }).value,
    1
  );
  assert.match(
    failure(body, { files: trigger("Trigger.new[0].addError('no');") }),
    /FIELD_CUSTOM_VALIDATION_EXCEPTION, no/
  );
});

test("an operator of the rule's permission passes it", () => {
  const set = {
    "permissionsets/O.permissionset-meta.xml":
      "<PermissionSet><label>O</label><customPermissions><enabled>true</enabled><name>Override</name></customPermissions></PermissionSet>"
  };
  const body =
    "Order o = [SELECT Id FROM Order WITH SYSTEM_MODE LIMIT 1]; update as system new Order(Id = o.Id, Seq__c = 2); update as system new Order(Id = o.Id, Seq__c = 1);";
  const o = org({ ...set, "classes/T.cls": `public class T { @AuraEnabled public static void f() { ${body} } }` });
  assert.throws(() => o.aura("T", "f", {}), /STALE/);
  o.database.seed("PermissionSetAssignment", {
    AssigneeId: o.admin,
    PermissionSetId: o.rowOf("PermissionSet", "O").get("Id")
  });
  assert.doesNotThrow(() => o.aura("T", "f", {}));
});

test("each test sees only what it and its set-up made", () => {
  const results = testClass(`
    @TestSetup static void given() { insert as system new Account(Name = 'A'); }
    @IsTest static void one() { insert as system new Account(Name = 'B'); Assert.areEqual(2, [SELECT COUNT() FROM Account WHERE Name IN ('A', 'B') WITH SYSTEM_MODE]); }
    @IsTest static void two() { Assert.areEqual(1, [SELECT COUNT() FROM Account WHERE Name IN ('A', 'B') WITH SYSTEM_MODE], 'own'); }
    @IsTest static void three() { Assert.areEqual('a', 'A', 'by case'); }`);
  assert.deepEqual(results.slice(0, 2), ["passed", "passed"]);
  assert.match(results[2], /by case: Expected: a, Actual: A/);
});

test("System.runAs takes that user's permissions, and lets set-up records be made", () => {
  const [result] = testClass(`
    @IsTest static void f() {
      insert as system new Account(Name = 'A');
      User u = new User(LastName = 'U', Alias = 'u', Email = 'u@example.com', Username = 'u@example.com', ProfileId = [SELECT Id FROM Profile WHERE Name = 'Minimum Access - Salesforce' WITH SYSTEM_MODE].Id, TimeZoneSidKey = 'GMT', LocaleSidKey = 'en_US', EmailEncodingKey = 'UTF-8', LanguageLocaleKey = 'en_US');
      System.runAs(new User(Id = UserInfo.getUserId())) {
        insert as system u;
        insert as system new PermissionSetAssignment(AssigneeId = u.Id, PermissionSetId = [SELECT Id FROM PermissionSet WHERE Name = 'Reader' WITH SYSTEM_MODE].Id);
      }
      System.runAs(u) { Assert.areEqual(u.Id, UserInfo.getUserId()); List<Order> l = [SELECT Stage__c FROM Order]; }
    }`);
  assert.equal(result, "passed");
});
