// Apex as a language: what the model computes, and what it refuses to compile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, org, project, run } from "./fixture.mjs";

const VALUES = {
  "division of integers drops the rest": ["return 7 / 2;", 3],
  "an Integer wraps at 32 bits": ["Integer day = 86400000; return day * 30;", (86400000 * 30) | 0],
  "a Long does not": ["Long day = 86400000; return day * 30;", 2592000000],
  "a Decimal keeps its fraction": ["Decimal d = 7; return d / 2;", 3.5],
  "== of strings ignores case": ["return 'a' == 'A';", true],
  "equals does not": ["return 'a'.equals('A');", false],
  "keys of maps keep case": [
    "Map<String, Integer> m = new Map<String, Integer>{ 'a' => 1 }; return m.containsKey('A');",
    false
  ],
  "names ignore case": ["Integer Count = 1; COUNT++; return count;", 2],
  "null joins a text as null": ["String s = null; return 'x' + s;", "xnull"],
  "?. stops at null": ["String s = null; return s?.length();", null],
  "?? takes the second where the first is null": ["String s = null; return s ?? 'y';", "y"],
  "&& does not evaluate its second side in vain": ["String s = null; return s != null && s.length() > 0;", false],
  "comparison with null is false": ["Integer i = null; return i < 1;", false],
  "finally runs last": [
    "List<String> l = new List<String>(); try { l.add('a'); throw new DmlException('x'); } catch (Exception e) { l.add('b'); } finally { l.add('c'); } return String.join(l, '');",
    "abc"
  ],
  "catch takes the class or an ancestor": [
    "try { throw new QueryException('q'); } catch (DmlException e) { return 'dml'; } catch (Exception e) { return e.getMessage(); }",
    "q"
  ],
  "a static method is found by its types": [
    "return f(1) + f('x');",
    "is",
    "static String f(Integer i) { return 'i'; } static String f(String s) { return 's'; }"
  ],
  "a method is that of the object's class": [
    "A a = new B(); return a.f();",
    "b",
    "public virtual class A { public virtual String f() { return 'a'; } } public class B extends A { public override String f() { return 'b'; } }"
  ],
  "super calls the ancestor's": [
    "return new B().f();",
    "ab",
    "public virtual class A { public virtual String f() { return 'a'; } } public class B extends A { public override String f() { return super.f() + 'b'; } }"
  ],
  "a constructor may call another": [
    "return new A().n;",
    5,
    "public class A { public Integer n; public A() { this(5); } public A(Integer n) { this.n = n; } }"
  ],
  "switch takes the first that fits": [
    "switch on 2 { when 1 { return 'a'; } when 2, 3 { return 'b'; } when else { return 'c'; } }",
    "b"
  ],
  "switch knows an enum's values": [
    "E v = E.Y; switch on v { when X { return 1; } when Y { return 2; } } return 0;",
    2,
    "public enum E { X, Y }"
  ],
  "continue and break": [
    "Integer n = 0; for (Integer i = 0; i < 9; i++) { if (i == 1) { continue; } if (i == 4) { break; } n += i; } return n;",
    5
  ],
  "a name and its type may be alike": [
    "Item item = new Item(); return item.n;",
    1,
    "public class Item { public Integer n = 1; }"
  ],
  "an id has 18 characters": ["Id i = '001000000000001'; return '' + i;", "001000000000001AAA"],
  "formatGmt is UTC": [
    "return Datetime.newInstance(0).formatGmt('yyyy-MM-dd\\'T\\'HH:mm:ss.SSS\\'Z\\'');",
    "1970-01-01T00:00:00.000Z"
  ],
  "format is the user's time": ["return Datetime.newInstance(0).format('HH:mm');", "02:00"],
  "String.format fills in": ["return String.format('{0} isn\\'\\'t {1}', new List<Object>{ 'a', 2 });", "a isn't 2"],
  "numbers in JSON are no texts": [
    "return ((Map<String, Object>) JSON.deserializeUntyped('{\"status\":401}')).get('status') instanceof String;",
    false
  ],
  "UNICODE and quotes in JSON": ["return JSON.serialize(new Map<String, String>{ 'a' => 'é\"' });", '{"a":"é\\""}']
};
for (const [name, [body, want, members = ""]] of Object.entries(VALUES))
  test(name, () => assert.deepEqual(run(body, { members }).value, want));

const THROWN = {
  "a method of null": [
    "String s = null; return s.length();",
    "NullPointerException: Attempt to de-reference a null object"
  ],
  "a condition that is null": ["Boolean b = null; if (b) { return 1; } return 2;", "NullPointerException"],
  "an index beyond the list": ["return new List<Integer>{ 1 }[1];", "ListException: List index out of bounds: 1"],
  "a cast to another type": [
    "Object o = 401; return (String) o;",
    "TypeException: Invalid conversion from runtime type Integer to String"
  ],
  "a text that is no id": ["String s = 'x'; Id i = s; return i;", "StringException: Invalid id: x"],
  "division by zero": ["Integer z = 0; return 1 / z;", "MathException: Divide by 0"],
  "text that is no JSON": ["return JSON.deserializeUntyped('<html>');", "JSONException"],
  "an endless loop": ["while (true) { Integer i = 0; }", "Apex CPU time limit exceeded"],
  "a limit that a catch clause meets": [
    "try { for (Integer i = 0; i < 101; i++) { Integer n = [SELECT COUNT() FROM Account WITH SYSTEM_MODE]; } } catch (Exception e) { return 'caught'; } return 0;",
    "Too many SOQL queries: 101"
  ]
};
for (const [name, [body, want]] of Object.entries(THROWN))
  test(`${name} ends in an exception`, () => assert.match(failure(body) ?? "", new RegExp(want)));

// What the platform's compiler refuses.
const REFUSED = {
  "a missing semicolon": ["return 1", "missing ';'|extraneous|mismatched"],
  "an unknown variable": ["return x;", "Variable does not exist: x"],
  "an unknown method of ours": ["return f();", "Method does not exist or incorrect signature: void f\\(\\)"],
  "an unknown method of the platform": [
    "return 'a'.reverseAll();",
    "Method does not exist or incorrect signature: void reverseAll\\(\\) from the type String"
  ],
  "an argument of another type": ["return 'a'.left('1');", "Method does not exist or incorrect signature"],
  "an assignment of another type": ["Integer i = 'a'; return i;", "Illegal assignment from String to Integer"],
  "a Decimal for an Integer": ["Integer i = 1.5; return i;", "Illegal assignment from Decimal to Integer"],
  "an unknown class": ["Foo f = null; return f;", "Invalid type: Foo"],
  "an unknown field": ["return new Order(Nothing__c = 'x');", "Invalid field Nothing__c for SObject Order"],
  "an unknown field in a query": [
    "return [SELECT Nothing__c FROM Order];",
    "No such column 'Nothing__c' on entity 'Order'"
  ],
  "an unknown object in a query": ["return [SELECT Id FROM Nothing__c];", "sObject type 'Nothing__c' is not supported"],
  "an unknown label": ["return System.Label.Nothing;", "External string does not exist: Nothing"],
  "a variable declared twice": ["Integer i = 1; Integer I = 2; return i;", "Duplicate variable: I"],
  "a variable that hides the class it is made by": [
    "String json = JSON.serialize(1); return json;",
    "Method does not exist"
  ],
  "this in a static method": ["return this;", "this is not in a static method"],
  "a value from a void method": ["return f();", "Illegal assignment from void", "static void f() { }"],
  "a comparison of unlike types": ["return 1 == 'a';", "Comparison arguments must be compatible types"],
  "a method that hides its ancestor's": [
    "return 1;",
    "must use the override keyword",
    "public virtual class A { public virtual void f() { } } public class B extends A { public void f() { } }"
  ],
  "an interface that is not kept": [
    "return 1;",
    "must implement the method",
    "public class A implements Queueable { }"
  ],
  "an abstract class that is made": ["return new A();", "cannot be constructed", "public abstract class A { }"],
  "a field that is final": [
    "A a = new A(); a.n = 2; return a;",
    "Field is not writeable: n",
    "public class A { public final Integer n = 1; }"
  ],
  "a property without a setter": [
    "A a = new A(); a.n = 2; return a;",
    "Field is not writeable: n",
    "public class A { public Integer n { get { return 1; } } }"
  ],
  "WITH SECURITY_ENFORCED": ["return [SELECT Id FROM Order WITH SECURITY_ENFORCED];", "not of this API version"]
};
for (const [name, [body, want, members = ""]] of Object.entries(REFUSED))
  test(`${name} is refused before it runs`, () => assert.match(failure(body, { members }) ?? "", new RegExp(want)));

test("a private member of another class is not visible, but to a test where it says so", () => {
  const files = (mark, test) => ({
    "classes/A.cls": `public class A { ${mark} private static Integer n = 1; }`,
    "classes/B.cls": `${test} private class B { static Integer f() { return A.n; } }`
  });
  assert.throws(() => org(files("", "@IsTest")), /not visible: A.n/);
  assert.throws(() => org(files("@TestVisible", "")), /not visible: A.n/);
  assert.doesNotThrow(() => org(files("@TestVisible", "@IsTest")));
});

// What the model does not know it names, before anything runs.
const UNKNOWN = {
  "do … while": ["do { Integer i = 1; } while (false); return 1;", "statement DoWhileStatement"],
  upsert: ["upsert new List<Order>(); return 1;", "statement UpsertStatement"],
  "a bit operation": ["return 1 & 2;", "expression BitAndExpression"],
  "a search": ["return [FIND 'x' IN ALL FIELDS RETURNING Account];", "expression SoslPrimary"],
  "GROUP BY": ["return [SELECT COUNT(Id) FROM Order GROUP BY Status];", "SOQL GROUP BY"],
  LIKE: ["return [SELECT Id FROM Account WHERE Name LIKE 'A%'];", "SOQL LIKE"],
  OFFSET: ["return [SELECT Id FROM Account LIMIT 1 OFFSET 1];", "SOQL OFFSET"],
  "a date function": ["return [SELECT Id FROM Order WHERE CreatedDate = TODAY];", "SOQL value TODAY"],
  "a multiline string": ["return '''\nx''';", "multiline string"],
  "an annotation": ["return 1;", "annotation @future", "@future static void f() { }"],
  "an initialiser of instances": ["return 1;", "initialiser block", "public class A { { Integer i = 1; } }"],
  "String.valueOf(null)": ["String s = null; return String.valueOf(s);", "String.valueOf\\(null\\)"],
  "a date format": ["return Datetime.newInstance(0).formatGmt('EEE');", "date format EEE"]
};
for (const [name, [body, want, members = ""]] of Object.entries(UNKNOWN))
  test(`the model refuses what it does not know: ${name}`, () =>
    assert.match(failure(body, { members }) ?? "", new RegExp(`not modelled: .*${want}`)));

const METADATA = {
  "a file of a kind that it does not know": [
    { "matchingRules/Account.matchingRule-meta.xml": "<MatchingRules/>" },
    "metadata file"
  ],
  "a field of a type that it does not know": [
    {
      "objects/Order/fields/L__c.field-meta.xml":
        "<CustomField><fullName>L__c</fullName><type>Location</type></CustomField>"
    },
    "field type Location"
  ],
  "a formula field": [
    {
      "objects/Order/fields/F__c.field-meta.xml":
        "<CustomField><fullName>F__c</fullName><type>Text</type><formula>1</formula></CustomField>"
    },
    "the formula field F__c"
  ],
  "an API version before 67": [
    {
      "classes/A.cls": "public class A { }",
      "classes/A.cls-meta.xml": "<ApexClass><apiVersion>66.0</apiVersion></ApexClass>"
    },
    "API version 66"
  ]
};
for (const [name, [files, want]] of Object.entries(METADATA))
  test(`the model refuses ${name}`, () => assert.throws(() => project(files), new RegExp(`not modelled: .*${want}`)));

test("a permission set that names what is not there is refused", () => {
  const set = (inner) => ({
    "permissionsets/P.permissionset-meta.xml": `<PermissionSet><label>P</label>${inner}</PermissionSet>`
  });
  assert.throws(
    () => org(set("<fieldPermissions><field>Order.Nothing__c</field><readable>true</readable></fieldPermissions>")),
    /no field order.nothing__c/
  );
  assert.throws(
    () => org(set("<classAccesses><apexClass>Nothing</apexClass><enabled>true</enabled></classAccesses>")),
    /no class nothing/
  );
  assert.throws(
    () => org(set("<customPermissions><name>Nothing</name><enabled>true</enabled></customPermissions>")),
    /no custom permission nothing/
  );
});

test("a rule that names what is not there is refused", () => {
  const rule = (formula) => ({
    "objects/Order/validationRules/R.validationRule-meta.xml": `<ValidationRule><fullName>R</fullName><active>true</active><errorConditionFormula>${formula}</errorConditionFormula><errorMessage>x</errorMessage></ValidationRule>`
  });
  assert.throws(() => org(rule("ISBLANKK(Note__c)")), /Unknown function ISBLANKK/);
  assert.throws(() => org(rule("ISBLANK(Nothing__c)")), /Field Nothing__c does not exist/);
  assert.throws(() => org(rule("AND(ISBLANK(Note__c)")), /Syntax error in formula/);
});
