// The part of the platform's library that the package uses
// (Apex Reference Guide, one page a class). Each member is declared by its
// signature; what is not here does not exist for the compiler.
import crypto from "node:crypto";
import { CompileError, NotModelled } from "./errors.mjs";
import { BOOLEAN, DECIMAL, distance, ID, primitive, STRING, Type } from "./types.mjs";
import {
  ApexDate,
  ApexList,
  ApexMap,
  ApexSet,
  Blob,
  Datetime,
  EnumValue,
  equal,
  formatTime,
  id18,
  Instance,
  lower,
  Native,
  SObject,
  textOf
} from "./values.mjs";

export const EXCEPTIONS = [
  "Exception",
  "AsyncException",
  "AuraHandledException",
  "CalloutException",
  "DmlException",
  "HandledException",
  "IllegalArgumentException",
  "InvalidParameterValueException",
  "JSONException",
  "ListException",
  "MathException",
  "NoAccessException",
  "NullPointerException",
  "QueryException",
  "SObjectException",
  "SecurityException",
  "StringException",
  "TypeException",
  "AssertException"
];

const DAY = 86_400_000;
const FORMULA_TYPES = { String: STRING, Picklist: STRING, Id: ID, Decimal: DECIMAL, Boolean: BOOLEAN };

/** Interfaces of the platform and the methods that a class must have. */
const INTERFACES = {
  Queueable: ["execute(queueablecontext)"],
  Finalizer: ["execute(finalizercontext)"],
  Schedulable: ["execute(schedulablecontext)"],
  HttpCalloutMock: ["respond(httprequest)"],
  "Database.AllowsCallouts": []
};

/** Enums of the platform, with the values that the package may meet. */
const ENUMS = {
  ParentJobResult: ["SUCCESS", "UNHANDLED_EXCEPTION"],
  AccessLevel: ["SYSTEM_MODE", "USER_MODE"],
  StatusCode: [
    "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    "STRING_TOO_LONG",
    "UNABLE_TO_LOCK_ROW",
    "REQUIRED_FIELD_MISSING",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    "DUPLICATE_VALUE",
    "ENTITY_IS_DELETED",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
  ],
  "ConnectApi.CredentialPrincipalType": ["NamedPrincipal", "PerUserPrincipal"],
  "ConnectApi.CredentialAuthenticationStatus": ["Configured", "NotConfigured", "Unknown"]
};

/** Plain objects: type -> {property: type}. Names with "new" have a constructor without arguments. */
const PROPERTIES = {
  AsyncOptions: { new: true, MinimumQueueableDelayInMinutes: "Integer", MaximumQueueableStackDepth: "Integer" },
  "ConnectApi.NamedCredential": { calloutUrl: "String" },
  "ConnectApi.Credential": { authenticationStatus: "ConnectApi.CredentialAuthenticationStatus" }
};

const NATIVE = [
  "HttpRequest",
  "HttpResponse",
  "Http",
  "QueueableContext",
  "FinalizerContext",
  "SchedulableContext",
  "JSONGenerator",
  "Type",
  "Database.SaveResult",
  "Database.Error",
  "UUID",
  "Schema.SObjectType",
  "Trigger"
];

/** Names that only hold static members. */
const NAMESPACES = [
  "System",
  "Label",
  "Database",
  "JSON",
  "Crypto",
  "EncodingUtil",
  "UserInfo",
  "Math",
  "Limits",
  "Test",
  "Assert",
  "FeatureManagement",
  "Pattern",
  "Trigger",
  "ConnectApi.NamedCredentials"
];

const list = (x) => new ApexList(x);
const clip = (s, n) => s.slice(0, Math.max(0, n));

/** Java's rounding of a decimal's text: 7.00 stays 7.00 there, and is 7 here. */
const integerText = /^[+-]?\d+$/;

/**
 * Members by signature. E, K and V stand for the arguments of a collection.
 * @param org what the members act on
 */
function members(org) {
  const raise = (name, message) => org.raise(name, message);
  const assertion = (holds, message, more) => {
    if (!holds)
      raise(
        "AssertException",
        `Assertion Failed${message === undefined || message === null ? "" : `: ${message}`}${more ? `: ${more}` : ""}`
      );
    return null;
  };
  const areEqual = (e, a, m) => assertion(equal(e, a), m, `Expected: ${textOf(e)}, Actual: ${textOf(a)}`);
  const index = (items, i) =>
    i < 0 || i >= items.length ? raise("ListException", `List index out of bounds: ${i}`) : i;
  const timeText = (d, pattern, minutes) => formatTime(d.ms, pattern, minutes) ?? unknownPattern(pattern);
  const unknownPattern = (pattern) => {
    throw new NotModelled(`date format ${pattern}`);
  };
  const later = (d, ms) => new Datetime(d.ms + ms);
  const jsonText = (v) => JSON.stringify(org.toJson(v));
  return {
    Object: {
      "String toString()": (o) => textOf(o),
      "Boolean equals(Object o)": (a, b) => equal(a, b)
    },
    String: {
      "static String valueOf(Object o)": (o) => {
        if (o === null) throw new NotModelled("String.valueOf(null): what it gives is not documented");
        return textOf(o);
      },
      "static Boolean isBlank(String s)": (s) => s === null || s.trim() === "",
      "static Boolean isNotBlank(String s)": (s) => s !== null && s.trim() !== "",
      "static Boolean isEmpty(String s)": (s) => s === null || s === "",
      "static Boolean isNotEmpty(String s)": (s) => s !== null && s !== "",
      "static String join(Iterable<Object> l, String separator)": (l, s) => l.items.map(textOf).join(s),
      // MessageFormat: '' is one apostrophe, {n} an argument.
      "static String format(String pattern, List<Object> words)": (p, w) =>
        p.replace(/''/g, "'").replace(/\{(\d+)\}/g, (hole, i) => (i < w.items.length ? textOf(w.items[i]) : hole)),
      "Integer length()": (s) => s.length,
      "String trim()": (s) => s.trim(),
      "String left(Integer n)": (s, n) => clip(s, n),
      "String right(Integer n)": (s, n) => (n >= s.length ? s : s.slice(s.length - Math.max(0, n))),
      "String substring(Integer a)": (s, a) =>
        a < 0 || a > s.length ? raise("StringException", `Starting position out of bounds: ${a}`) : s.slice(a),
      "String substring(Integer a, Integer b)": (s, a, b) =>
        a < 0 || b < a || b > s.length
          ? raise("StringException", `Ending position out of bounds: ${b}`)
          : s.slice(a, b),
      "String substringAfter(String x)": (s, x) => (s.includes(x) ? s.slice(s.indexOf(x) + x.length) : ""),
      "String substringBefore(String x)": (s, x) => (s.includes(x) ? s.slice(0, s.indexOf(x)) : s),
      "String substringBetween(String a, String b)": (s, a, b) => {
        const from = s.indexOf(a);
        const to = from < 0 ? -1 : s.indexOf(b, from + a.length);
        return to < 0 ? null : s.slice(from + a.length, to);
      },
      "String toLowerCase()": (s) => s.toLowerCase(),
      "String toUpperCase()": (s) => s.toUpperCase(),
      "Boolean startsWith(String x)": (s, x) => s.startsWith(x),
      "Boolean endsWith(String x)": (s, x) => s.endsWith(x),
      "Boolean contains(String x)": (s, x) => s.includes(x),
      "Boolean containsIgnoreCase(String x)": (s, x) => lower(s).includes(lower(x)),
      "String replace(String a, String b)": (s, a, b) => s.split(a).join(b),
      "String removeStart(String x)": (s, x) => (s.startsWith(x) ? s.slice(x.length) : s),
      "String repeat(Integer n)": (s, n) => s.repeat(n),
      "Boolean equals(String x)": (s, x) => s === x,
      "Boolean equalsIgnoreCase(String x)": (s, x) => x !== null && lower(s) === lower(x),
      "Integer indexOf(String x)": (s, x) => s.indexOf(x),
      "Integer countMatches(String x)": (s, x) => s.split(x).length - 1,
      "String abbreviate(Integer n)": (s, n) =>
        n < 4
          ? raise("IllegalArgumentException", "Minimum abbreviation width is 4")
          : s.length <= n
            ? s
            : `${s.slice(0, n - 3)}...`,
      "Boolean isNumeric()": (s) => /^\p{Nd}+$/u.test(s),
      "Boolean isAsciiPrintable()": (s) => /^[ -~]*$/.test(s),
      "List<String> split(String regexp)": (s, x) =>
        /^[\w ,;/-]$|^\\[.|]$/.test(x) ? list(s.split(new RegExp(x))) : unknownPattern(x)
    },
    Id: {
      "static Id valueOf(String s)": (s) => id18(s) ?? raise("StringException", `Invalid id: ${s}`),
      "String to15()": (s) => s.slice(0, 15)
    },
    Integer: {
      "static Integer valueOf(String s)": (s) =>
        s !== null && integerText.test(s) ? Number(s) : raise("TypeException", `Invalid integer: ${s}`),
      "String format()": (n) => n.toLocaleString("en-US")
    },
    Long: {
      "Integer intValue()": (n) => n | 0,
      "static Long valueOf(String s)": (s) =>
        integerText.test(s ?? "") ? Number(s) : raise("TypeException", `Invalid long: ${s}`)
    },
    Decimal: {
      "static Decimal valueOf(String s)": (s) =>
        s !== null && s.trim() !== "" && Number.isFinite(Number(s))
          ? Number(s)
          : raise("TypeException", `Invalid decimal: ${s}`),
      "Integer intValue()": (n) => Math.trunc(n) | 0,
      "Long longValue()": (n) => Math.trunc(n)
    },
    Blob: {
      "static Blob valueOf(String s)": (s) => new Blob(Buffer.from(s, "utf8")),
      "String toString()": (b) => b.bytes.toString("utf8"),
      "Integer size()": (b) => b.bytes.length
    },
    Date: {
      "static Date today()": () => new ApexDate(Math.floor((org.now() + org.zoneMinutes * 60_000) / DAY) * DAY),
      "static Date newInstance(Integer y, Integer m, Integer d)": (y, m, d) => new ApexDate(Date.UTC(y, m - 1, d)),
      "Date addDays(Integer n)": (d, n) => new ApexDate(d.ms + n * DAY)
    },
    Datetime: {
      "static Datetime now()": () => new Datetime(org.now()),
      "static Datetime newInstanceGmt(Integer y, Integer mo, Integer d, Integer h, Integer mi, Integer s)": (
        y,
        mo,
        d,
        h,
        mi,
        s
      ) => new Datetime(Date.UTC(y, mo - 1, d, h, mi, s)),
      "static Datetime newInstance(Long ms)": (ms) => new Datetime(ms),
      "static Datetime valueOfGmt(String s)": (s) => new Datetime(Date.parse(`${s.replace(" ", "T")}Z`)),
      "String formatGmt(String pattern)": (d, p) => timeText(d, p, 0),
      "String format(String pattern)": (d, p) => timeText(d, p, org.zoneMinutes),
      // The short form of the user's locale; here that of en_US.
      "String format()": (d) =>
        new Date(d.ms + org.zoneMinutes * 60_000).toLocaleString("en-US", {
          timeZone: "UTC",
          dateStyle: "short",
          timeStyle: "short"
        }),
      "Date date()": (d) => new ApexDate(Math.floor((d.ms + org.zoneMinutes * 60_000) / DAY) * DAY),
      "Long getTime()": (d) => d.ms,
      "Datetime addSeconds(Integer n)": (d, n) => later(d, n * 1000),
      "Datetime addMinutes(Integer n)": (d, n) => later(d, n * 60_000),
      "Datetime addHours(Integer n)": (d, n) => later(d, n * 3_600_000),
      "Datetime addDays(Integer n)": (d, n) => later(d, n * DAY),
      "Integer millisecondGmt()": (d) => new Date(d.ms).getUTCMilliseconds()
    },
    List: {
      "void add(E x)": (l, x) => void l.items.push(x),
      "void add(Integer i, E x)": (l, i, x) => void l.items.splice(i === l.items.length ? i : index(l.items, i), 0, x),
      "void addAll(Iterable<E> x)": (l, x) => void l.items.push(...x.items),
      "E get(Integer i)": (l, i) => l.items[index(l.items, i)],
      "void set(Integer i, E x)": (l, i, x) => void (l.items[index(l.items, i)] = x),
      "E remove(Integer i)": (l, i) => l.items.splice(index(l.items, i), 1)[0],
      "Boolean contains(E x)": (l, x) => l.items.some((y) => equal(x, y)),
      "Integer indexOf(E x)": (l, x) => l.items.findIndex((y) => equal(x, y)),
      "Integer size()": (l) => l.items.length,
      "Boolean isEmpty()": (l) => l.items.length === 0,
      "void clear()": (l) => void (l.items.length = 0),
      "List<E> clone()": (l) => list([...l.items])
    },
    Set: {
      "Boolean add(E x)": (s, x) => s.add(x),
      "Boolean addAll(Iterable<E> x)": (s, x) => x.items.map((y) => s.add(y)).includes(true),
      "Boolean contains(E x)": (s, x) => s.has(x),
      "Boolean containsAll(Iterable<E> x)": (s, x) => x.items.every((y) => s.has(y)),
      "Boolean remove(E x)": (s, x) => s.remove(x),
      "Integer size()": (s) => s.entries.size,
      "Boolean isEmpty()": (s) => s.entries.size === 0
    },
    Map: {
      "V put(K k, V v)": (m, k, v) => m.put(k, v),
      "void putAll(Map<K,V> x)": (m, x) => x.keys.forEach((k) => m.put(k, x.get(k))),
      "V get(K k)": (m, k) => m.get(k),
      "V remove(K k)": (m, k) => m.remove(k),
      "Boolean containsKey(K k)": (m, k) => m.has(k),
      "Set<K> keySet()": (m) => new ApexSet(m.keys),
      "List<V> values()": (m) => list(m.values),
      "Integer size()": (m) => m.entries.size,
      "Boolean isEmpty()": (m) => m.entries.size === 0
    },
    Iterable: {},
    SObject: {
      "Object get(String name)": (r, n) => org.readField(r, lower(n), org.mustField(r.type, n).name, false),
      "Object put(String name, Object value)": (r, n, v) => {
        const before = r.get(n);
        r.set(org.mustField(r.type, n).name, v);
        return before;
      },
      "void addError(String message)": (r, m) => void (r.errors ??= []).push({ message: m, field: null }),
      "void addError(String field, String message)": (r, f, m) =>
        void (r.errors ??= []).push({ message: m, field: org.mustField(r.type, f).name }),
      "Boolean isSet(String name)": (r, n) => r.has(n),
      "SObject clone()": (r) => {
        const c = new SObject(r.type, new Map(r.fields));
        c.fields.delete("id");
        return c;
      }
    },
    Exception: {
      "String getMessage()": (e) =>
        e.cls.name === "AuraHandledException" && !e.told
          ? "Script-thrown exception"
          : (e.message ?? "Script-thrown exception"),
      "void setMessage(String m)": (e, m) => void Object.assign(e, { message: m, told: true }),
      "String getTypeName()": (e) => (e.cls.builtin ? `System.${e.cls.name}` : e.cls.full),
      "Exception getCause()": (e) => e.cause ?? null,
      "String getStackTraceString()": () => "",
      "Integer getNumDml()": (e) => e.rows.length,
      "String getDmlMessage(Integer i)": (e, i) => e.rows[index(e.rows, i)].errors[0].message,
      "StatusCode getDmlType(Integer i)": (e, i) => statusCode(e.rows[index(e.rows, i)].errors[0].code)
    },
    System: {
      "static Datetime now()": () => new Datetime(org.now()),
      "static Date today()": () => new ApexDate(Math.floor((org.now() + org.zoneMinutes * 60_000) / DAY) * DAY),
      "static void debug(Object o)": (o) => void org.debug.push(textOf(o)),
      "static Boolean isQueueable()": () => org.queue.running !== null,
      "static void attachFinalizer(Object f)": (f) => org.queue.attach(f),
      "static Id enqueueJob(Queueable job)": (job) => org.queue.enqueue(job, null),
      "static Id enqueueJob(Queueable job, AsyncOptions options)": (job, options) => org.queue.enqueue(job, options),
      "static Id enqueueJob(Queueable job, Integer minutes)": (job, minutes) =>
        org.queue.enqueue(job, new Native("AsyncOptions", { MinimumQueueableDelayInMinutes: minutes })),
      "static String schedule(String name, String cron, Schedulable job)": (name, cron, job) =>
        org.queue.schedule(name, cron, job),
      "static void abortJob(Id job)": (id) => org.queue.abort(id)
    },
    JSON: {
      "static String serialize(Object o)": (o) => jsonText(o),
      "static String serialize(Object o, Boolean suppressNulls)": (o, s) =>
        s ? JSON.stringify(org.toJson(o), (k, v) => (v === null ? undefined : v)) : jsonText(o),
      "static Object deserializeUntyped(String s)": (s) => {
        let v;
        try {
          v = JSON.parse(s);
        } catch {
          raise("JSONException", `Unexpected character: ${clip(s, 20)}`);
        }
        return org.fromJson(v);
      },
      "static JSONGenerator createGenerator(Boolean pretty)": (pretty) => {
        if (pretty) throw new NotModelled("pretty JSON");
        return new Native("JSONGenerator", { parts: [] });
      }
    },
    JSONGenerator: {
      "void writeStartObject()": (g) => void g.parts.push("{"),
      "void writeEndObject()": (g) => void g.parts.push("}"),
      "void writeStringField(String name, String value)": (g, n, v) => jsonField(g, n, JSON.stringify(v)),
      "void writeNumberField(String name, Decimal value)": (g, n, v) => jsonField(g, n, String(v)),
      "void writeBooleanField(String name, Boolean value)": (g, n, v) => jsonField(g, n, String(v)),
      "void writeNullField(String name)": (g, n) => jsonField(g, n, "null"),
      "String getAsString()": (g) => g.parts.join("")
    },
    Crypto: {
      "static Blob generateAesKey(Integer bits)": (bits) => new Blob(crypto.randomBytes(bits / 8)),
      "static Blob generateMac(String algorithm, Blob input, Blob key)": (a, input, key) => {
        if (lower(a) !== "hmacsha256") throw new NotModelled(`algorithm ${a}`);
        return new Blob(crypto.createHmac("sha256", key.bytes).update(input.bytes).digest());
      },
      "static Blob generateDigest(String algorithm, Blob input)": (a, input) => {
        if (a !== "SHA-256") throw new NotModelled(`algorithm ${a}`);
        return new Blob(crypto.createHash("sha256").update(input.bytes).digest());
      }
    },
    EncodingUtil: {
      "static String convertToHex(Blob b)": (b) => b.bytes.toString("hex"),
      "static String base64Encode(Blob b)": (b) => b.bytes.toString("base64"),
      "static Blob base64Decode(String s)": (s) => new Blob(Buffer.from(s, "base64"))
    },
    UserInfo: {
      "static Id getUserId()": () => org.user,
      "static String getName()": () => org.database.table("User").get(org.user).get("Name"),
      "static Id getOrganizationId()": () => org.organizationId
    },
    FeatureManagement: {
      "static Boolean checkPermission(String name)": (n) => org.hasCustomPermission(n)
    },
    Math: {
      "static Integer min(Integer a, Integer b)": Math.min,
      "static Long min(Long a, Long b)": Math.min,
      "static Decimal min(Decimal a, Decimal b)": Math.min,
      "static Integer max(Integer a, Integer b)": Math.max,
      "static Long max(Long a, Long b)": Math.max,
      "static Decimal max(Decimal a, Decimal b)": Math.max,
      "static Integer mod(Integer a, Integer b)": (a, b) => a % b
    },
    Limits: {
      "static Integer getCallouts()": () => org.limits.used("callouts"),
      "static Integer getLimitCallouts()": () => org.limits.most("callouts"),
      "static Integer getQueries()": () => org.limits.used("queries"),
      "static Integer getDmlStatements()": () => org.limits.used("dml"),
      "static Integer getQueueableJobs()": () => org.limits.used("jobs"),
      "static Integer getLimitQueueableJobs()": () => org.limits.most("jobs")
    },
    Pattern: {
      // The same grammar in Java and here, for what has no flags, look-behind or possessive quantifier.
      "static Boolean matches(String regexp, String s)": (x, s) =>
        /\(\?|[*+?}]\+|\\[^.dws\\]/.test(x) ? unknownPattern(x) : new RegExp(`^(?:${x})$`).test(s)
    },
    UUID: {
      "static UUID randomUUID()": () => new Native("UUID", { text: crypto.randomUUID() }),
      "String toString()": (u) => u.text
    },
    Type: { "String getName()": (t) => String(t.of) },
    Test: {
      "static void setMock(Type t, Object mock)": (t, mock) => {
        if (!t.of.is("HttpCalloutMock")) throw new NotModelled(`a mock of ${t.of}`);
        org.test.mock = mock;
        return null;
      },
      "static void startTest()": () => org.test.start(),
      "static void stopTest()": () => org.test.stop(),
      "static Boolean isRunningTest()": () => org.test !== null,
      "static Id getStandardPricebookId()": () => org.standardPricebook,
      "static void setCreatedDate(Id id, Datetime at)": (id, at) => org.database.setCreatedDate(id, at)
    },
    Assert: {
      "static void areEqual(Object e, Object a)": (e, a) => areEqual(e, a),
      "static void areEqual(Object e, Object a, String m)": areEqual,
      "static void areNotEqual(Object e, Object a)": (e, a) => assertion(!equal(e, a), `Same value: ${textOf(a)}`),
      "static void areNotEqual(Object e, Object a, String m)": (e, a, m) =>
        assertion(!equal(e, a), m, `Same value: ${textOf(a)}`),
      "static void isTrue(Boolean b)": (b) => assertion(b === true),
      "static void isTrue(Boolean b, String m)": (b, m) => assertion(b === true, m),
      "static void isFalse(Boolean b)": (b) => assertion(b === false),
      "static void isFalse(Boolean b, String m)": (b, m) => assertion(b === false, m),
      "static void isNull(Object o)": (o) => assertion(o === null),
      "static void isNull(Object o, String m)": (o, m) => assertion(o === null, m, `Actual: ${textOf(o)}`),
      "static void isNotNull(Object o)": (o) => assertion(o !== null),
      "static void isNotNull(Object o, String m)": (o, m) => assertion(o !== null, m),
      "static void fail()": () => assertion(false),
      "static void fail(String m)": (m) => assertion(false, m)
    },
    Http: { "HttpResponse send(HttpRequest r)": (h, r) => org.callouts.send(r) },
    HttpRequest: {
      "void setEndpoint(String s)": (r, s) => void (r.endpoint = s),
      "String getEndpoint()": (r) => r.endpoint ?? null,
      "void setMethod(String s)": (r, s) => void (r.method = s),
      "String getMethod()": (r) => r.method ?? null,
      "void setTimeout(Integer ms)": (r, ms) =>
        ms < 1 || ms > 120_000 ? raise("CalloutException", "Invalid timeout") : void (r.timeout = ms),
      "void setHeader(String n, String v)": (r, n, v) => void r.headers.set(lower(n), [n, v]),
      "String getHeader(String n)": (r, n) => r.headers.get(lower(n))?.[1] ?? null,
      "void setBody(String s)": (r, s) => void (r.body = s),
      "String getBody()": (r) => r.body ?? "",
      "Blob getBodyAsBlob()": (r) => new Blob(Buffer.from(r.body ?? "", "utf8"))
    },
    HttpResponse: {
      "void setStatusCode(Integer n)": (r, n) => void (r.status = n),
      "Integer getStatusCode()": (r) => r.status,
      "void setStatus(String s)": (r, s) => void (r.statusText = s),
      "String getStatus()": (r) => r.statusText ?? null,
      "void setHeader(String n, String v)": (r, n, v) => void r.headers.set(lower(n), [n, v]),
      "String getHeader(String n)": (r, n) => r.headers.get(lower(n))?.[1] ?? null,
      "void setBody(String s)": (r, s) => void (r.body = s),
      "String getBody()": (r) => r.body ?? ""
    },
    Database: {
      "static List<Database.SaveResult> insert(List<SObject> rows, Boolean all)": (rows, all) =>
        results(org, "insert", rows, all, null),
      "static List<Database.SaveResult> insert(List<SObject> rows, Boolean all, AccessLevel level)": (
        rows,
        all,
        level
      ) => results(org, "insert", rows, all, level),
      "static List<Database.SaveResult> update(List<SObject> rows, Boolean all)": (rows, all) =>
        results(org, "update", rows, all, null),
      "static List<Database.SaveResult> update(List<SObject> rows, Boolean all, AccessLevel level)": (
        rows,
        all,
        level
      ) => results(org, "update", rows, all, level)
    },
    "Database.SaveResult": {
      "Boolean isSuccess()": (r) => r.errors.length === 0,
      "Id getId()": (r) => r.id,
      "List<Database.Error> getErrors()": (r) => list(r.errors.map((e) => new Native("Database.Error", e)))
    },
    "Database.Error": {
      "String getMessage()": (e) => e.message,
      "StatusCode getStatusCode()": (e) => statusCode(e.code),
      "List<String> getFields()": (e) => list([...e.fields])
    },
    QueueableContext: { "Id getJobId()": (c) => c.id },
    SchedulableContext: { "Id getTriggerId()": (c) => c.id },
    FinalizerContext: {
      "Id getAsyncApexJobId()": (c) => c.id,
      "ParentJobResult getResult()": (c) => c.result,
      "Exception getException()": (c) => c.exception
    },
    "ConnectApi.NamedCredentials": {
      "static ConnectApi.NamedCredential getNamedCredential(String name)": (name) =>
        new Native("ConnectApi.NamedCredential", { calloutUrl: org.callouts.address(name) }),
      "static ConnectApi.Credential getCredential(String external, String principal, ConnectApi.CredentialPrincipalType type)":
        (external, principal) =>
          new Native("ConnectApi.Credential", {
            authenticationStatus: enumValue(
              "ConnectApi.CredentialAuthenticationStatus",
              org.callouts.hasSecret(external, principal) ? "Configured" : "NotConfigured"
            )
          })
    }
  };
}

function jsonField(generator, name, text) {
  const { parts } = generator;
  if (parts.at(-1) !== "{") parts.push(",");
  parts.push(JSON.stringify(name), ":", text);
  return null;
}

const enumCache = new Map();

/** One value of an enum of the platform. */
export function enumValue(type, name) {
  if (!enumCache.has(type))
    enumCache.set(
      type,
      ENUMS[type].map((v, i) => new EnumValue(type, v, i))
    );
  const found = enumCache.get(type).find((v) => v.name === name);
  if (!found) throw new NotModelled(`${type}.${name}`);
  return found;
}

const statusCode = (code) => enumValue("StatusCode", code);

function results(org, operation, rows, allOrNone, level) {
  const mode = level ? (level.name === "SYSTEM_MODE" ? "system" : "user") : "user";
  return list(
    org.database.dml(operation, rows.items, { mode, allOrNone }).map((r) => new Native("Database.SaveResult", r))
  );
}

const SIGNATURE = /^(static )?([\w.]+(?:<.*?>)?) (\w+)\((.*)\)$/;

export class Library {
  constructor(program, org) {
    this.program = program;
    this.org = org;
    this.types = new Map();
    for (const name of [...NATIVE, ...Object.keys(INTERFACES), ...Object.keys(PROPERTIES), ...Object.keys(ENUMS)])
      this.types.set(lower(name), new Type(name, { native: true }));
    this.namespaces = new Map(NAMESPACES.map((n) => [lower(n), new Type(n, { native: true })]));
    this.members = new Map();
    for (const [type, all] of Object.entries(members(org)))
      this.members.set(
        lower(type),
        Object.entries(all).map(([signature, run]) => this.declared(signature, run))
      );
  }

  declared(signature, run) {
    const m = signature.match(SIGNATURE);
    if (!m) throw new Error(`signature ${signature}`);
    const params = m[4] ? m[4].split(/, (?![^<]*>)/).map((p) => p.replace(/ \w+$/, "")) : [];
    return { static: Boolean(m[1]), returns: m[2], name: m[3], params, run };
  }

  typeOf(name) {
    const key = lower(name).replace(/^schema\./, "");
    return this.types.get(lower(name)) ?? this.types.get(key) ?? null;
  }

  namespace(name) {
    const key = lower(name);
    return this.namespaces.get(key) ?? this.namespaces.get(key.replace(/^system\./, "")) ?? null;
  }

  fieldType(field) {
    return FORMULA_TYPES[field.type] ?? primitive(field.type);
  }

  /** The type that a text in a signature means, E, K and V being those of the receiver. */
  resolve(text, receiver) {
    const generic = text.match(/^(\w+)<(.+)>$/);
    if (generic) return new Type(generic[1], { args: generic[2].split(/,\s*/).map((a) => this.resolve(a, receiver)) });
    if (receiver?.args.length && /^[EKV]$/.test(text)) return receiver.args[text === "V" ? 1 : 0];
    if (text === "SObject") return this.program.findType("SObject", null);
    const t = primitive(text) ?? this.typeOf(text) ?? this.program.classes.get(lower(text))?.type;
    if (!t) throw new Error(`type ${text} in a signature`);
    return t;
  }

  candidates(type, name, isStatic) {
    const chains = type.sobject
      ? ["sobject", "object"]
      : type.cls?.exception
        ? ["exception", "object"]
        : [lower(type.name), "object"];
    for (const key of chains) {
      const all = (this.members.get(key) ?? []).filter((m) => lower(m.name) === lower(name) && m.static === isStatic);
      if (all.length) return all;
    }
    return [];
  }

  pick(all, type, args) {
    let best = null;
    let least = Infinity;
    for (const m of all) {
      if (m.params.length !== args.length) continue;
      const params = m.params.map((p) => ({ type: this.resolve(p, type) }));
      const sum = args.reduce(
        (s, a, i) => (s === null ? null : ((d) => (d === null ? null : s + d))(distance(a.type, params[i].type))),
        0
      );
      if (sum !== null && sum < least)
        [best, least] = [{ params, type: this.resolve(m.returns, type), run: m.run }, sum];
    }
    return best;
  }

  /** An instance method, or null. */
  method(type, name, args) {
    if (type.cls?.kind === "enum" || type.name in ENUMS) return this.enumMethod(name, args);
    if (type.is("Id"))
      return (
        this.pick(this.candidates(type, name, false), type, args) ??
        this.pick(this.candidates(STRING, name, false), STRING, args)
      );
    if (type.is("Integer", "Long", "Decimal", "Double") && !this.candidates(type, name, false).length)
      return this.pick(this.candidates(primitive(type.is("Integer") ? "Long" : "Decimal"), name, false), type, args);
    return this.pick(this.candidates(type, name, false), type, args);
  }

  enumMethod(name, args) {
    if (args.length) return null;
    const one = { name: (v) => v.name, tostring: (v) => v.name, ordinal: (v) => v.ordinal }[lower(name)];
    return one ? { params: [], type: lower(name) === "ordinal" ? primitive("Integer") : STRING, run: one } : null;
  }

  /** A static method, constant, label or enum value of the library as a node, or null. */
  staticMember(type, name, args, where) {
    if (type.is("Label") && !args) return this.label(name, where);
    if (type.is("Trigger") && !args) return this.triggerVariable(name, where);
    if (type.name in ENUMS && !args) {
      const found = ENUMS[type.name].find((v) => lower(v) === lower(name));
      return found ? { type, run: () => enumValue(type.name, found) } : null;
    }
    if (!args) return null;
    const owner = type.is("Double") ? primitive("Decimal") : type;
    const found = this.pick(this.candidates(owner, name, true), owner, args);
    if (!found) return null;
    const values = args.map((a, i) => this.fit(a, found.params[i].type));
    return { type: found.type, run: (f) => found.run(...values.map((v) => v(f))) };
  }

  fit(node, target) {
    if (!target.is("Id") || node.type.is("Id", "null")) return node.run;
    return (f) => {
      const v = node.run(f);
      return v === null ? null : (id18(v) ?? this.org.raise("StringException", `Invalid id: ${v}`));
    };
  }

  label(name, where) {
    const value = this.program.project.labels.get(lower(name));
    if (value === undefined) throw new CompileError(`External string does not exist: ${name} (${where})`);
    return { type: STRING, run: () => value };
  }

  triggerVariable(name, where) {
    const key = lower(name);
    const records = new Type("List", { args: [this.program.findType("SObject", null)] });
    if (["new", "old"].includes(key)) return { type: records, run: () => this.org.trigger[key] };
    if (["isbefore", "isafter", "isinsert", "isupdate", "isdelete"].includes(key))
      return { type: BOOLEAN, run: () => this.org.trigger[key] };
    throw new NotModelled(`Trigger.${name}`, where);
  }

  property(type, name) {
    const all = PROPERTIES[type.name];
    const found = Object.keys(all ?? {}).find((p) => lower(p) === lower(name) && p !== "new");
    return found ? { name: found, type: this.resolve(all[found], null) } : null;
  }

  constructorOf(type, values, where) {
    if (type.is("HttpRequest", "HttpResponse", "Http") && !values.length)
      return { params: [], run: () => new Native(type.name, { headers: new Map(), status: 200 }) };
    if (PROPERTIES[type.name]?.new && !values.length) return { params: [], run: () => new Native(type.name) };
    throw new CompileError(`Constructor not defined: ${type} (${where})`);
  }

  enumValues(type) {
    return ENUMS[type.name]?.map((v) => enumValue(type.name, v));
  }

  interfaceMethods(type) {
    return INTERFACES[type.name] ?? null;
  }

  /** Methods that every class has and may override. */
  isObjectMethod(signature) {
    return ["tostring()", "equals(object)", "hashcode()"].includes(signature);
  }

  nameOf(v) {
    if (typeof v === "string") return "String";
    if (typeof v === "boolean") return "Boolean";
    if (typeof v === "number")
      return Number.isInteger(v) ? (Math.abs(v) <= 0x7fffffff ? "Integer" : "Long") : "Decimal";
    if (v instanceof Instance) return v.cls.full;
    if (v instanceof ApexMap) return "Map<String,ANY>";
    if (v instanceof ApexList) return "List<ANY>";
    if (v instanceof ApexSet) return "Set<ANY>";
    if (v instanceof Datetime) return "Datetime";
    return String(v.type ?? v.constructor.name);
  }
}
