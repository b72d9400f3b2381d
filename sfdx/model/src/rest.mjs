// The part of Salesforce's REST API that the bridge uses (REST API Developer
// Guide; OAuth 2.0 client credentials: Salesforce Help): token, query, describe,
// composite collections. What is written passes the same DML as Apex, in user
// mode as the integration user, so the package's permission set, rules and
// triggers judge it.
import crypto from "node:crypto";
import { fromWire } from "./database.mjs";
import { parse } from "./declare.mjs";
import { ApexError, CompileError, LimitError, NotModelled } from "./errors.mjs";
import { compileQuery } from "./query.mjs";
import { ApexDate, ApexList, Datetime, id18, SObject } from "./values.mjs";

const PAGE = 2000; // records of one page of a query
const ROWS = 200; // of one collection
const CHUNKS = 10; // of one collection; each change of object begins one
const COLLECTIONS = 5; // of one composite request

class Refusal extends Error {
  constructor(status, errorCode, message) {
    super(message);
    this.status = status;
    this.body = [{ message, errorCode }];
  }
}

export class RestApi {
  /** @param options clientId, clientSecret and user: who logs in */
  constructor(org, options) {
    this.org = org;
    this.options = options;
    this.tokens = new Set();
    this.calls = 0;
    this.isAway = () => false; // of a data call: whether it meets a proxy that says 503
  }

  /** @returns {status, body} for a request under /services/ */
  answer({ method, url, headers, body }) {
    const { pathname, searchParams } = new URL(url, "http://model");
    try {
      if (pathname === "/services/oauth2/token" && method === "POST")
        return this.token(new URLSearchParams(body), headers);
      if (!this.tokens.has(headers.authorization?.replace(/^Bearer /, "")))
        throw new Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid");
      this.calls++;
      if (this.isAway(method, pathname)) return { status: 503, html: "<html><body>Service Unavailable</body></html>" };
      return {
        status: 200,
        body: this.org.as(this.options.user, () => this.route(method, pathname, searchParams, body))
      };
    } catch (e) {
      if (e instanceof Refusal) return { status: e.status, body: e.body };
      throw e;
    }
  }

  token(form, headers) {
    const { clientId, clientSecret, user } = this.options;
    if (form.get("grant_type") !== "client_credentials")
      return { status: 400, body: { error: "unsupported_grant_type", error_description: "grant type not supported" } };
    if (form.get("client_id") !== clientId || form.get("client_secret") !== clientSecret)
      return { status: 400, body: { error: "invalid_client", error_description: "invalid client credentials" } };
    const token = crypto.randomBytes(16).toString("hex");
    this.tokens.add(token);
    const instance = `http://${headers.host}`;
    return {
      status: 200,
      body: {
        access_token: token,
        instance_url: instance,
        id: `${instance}/id/${this.org.organizationId}/${user}`,
        token_type: "Bearer",
        issued_at: String(Date.now())
      }
    };
  }

  route(method, pathname, search, body) {
    const [, version, rest] = pathname.match(/^\/services\/data\/v(\d\d\.0)\/(.*)$/) ?? [];
    if (version !== "67.0") throw new Refusal(404, "NOT_FOUND", "The requested resource does not exist");
    const describe = rest.match(/^sobjects\/(\w+)\/describe$/);
    if (method === "GET" && rest === "query") return this.query(search.get("q"));
    if (method === "GET" && describe) return this.describe(describe[1]);
    if (method === "POST" && rest === "composite") return this.composite(JSON.parse(body));
    throw new NotModelled(`${method} ${rest}`);
  }

  query(soql) {
    let rows;
    try {
      const tree = parse(soql, "query", "query");
      const q = compileQuery(tree, { program: this.org.program, where: "query", mode: "user", bind: null });
      rows = this.org.run("sync", () => q.run(this.org, null));
    } catch (e) {
      if (e instanceof CompileError)
        throw new Refusal(
          400,
          /does not exist|No such|understand/.test(e.message) ? "INVALID_FIELD" : "MALFORMED_QUERY",
          e.message
        );
      if (e instanceof ApexError)
        throw new Refusal(
          400,
          /sObject type/.test(e.object.message) ? "INVALID_TYPE" : "INVALID_FIELD",
          e.object.message
        );
      throw e;
    }
    if (rows.length > PAGE) throw new NotModelled("a query of several pages");
    return this.page(rows);
  }

  page(rows) {
    return { totalSize: rows.length, done: true, records: rows.map((r) => this.wire(r)) };
  }

  /** A value as JSON of the API; a subquery without rows is null. */
  wire(v) {
    if (v instanceof Datetime) return new Date(v.ms).toISOString().replace("Z", "+0000");
    if (v instanceof ApexDate) return new Date(v.ms).toISOString().slice(0, 10);
    if (v instanceof ApexList) return v.items.length ? this.page(v.items) : null;
    if (!(v instanceof SObject)) return v;
    const { schema } = this.org.project;
    const name = (key) =>
      schema.field(v.type, key)?.name ??
      schema.relationship(v.type, key)?.to[1] ??
      Object.keys(schema.object(v.type).children).find((c) => c.toLowerCase() === key);
    return {
      attributes: { type: v.type },
      ...Object.fromEntries([...v.selected].filter((k) => v.has(k)).map((k) => [name(k), this.wire(v.get(k))]))
    };
  }

  describe(name) {
    const object = this.org.project.schema.object(name);
    const { access } = this.org;
    if (!object || !access.objectMay(object, "read"))
      throw new Refusal(404, "NOT_FOUND", "The requested resource does not exist");
    const edits = access.objectMay(object, "edit");
    return {
      name: object.name,
      fields: [...object.fields.values()]
        .filter((f) => access.fieldMay(object, f, "read"))
        .map((f) => ({ name: f.name, updateable: edits && access.fieldMay(object, f, "edit") }))
    };
  }

  composite({ compositeRequest }) {
    if (compositeRequest.length > COLLECTIONS)
      throw new Refusal(400, "INVALID_INPUT", `Cannot have more than ${COLLECTIONS} collections`);
    return { compositeResponse: compositeRequest.map((r) => this.subrequest(r)) };
  }

  subrequest({ method, url, referenceId, body }) {
    if (method !== "PATCH" || !url.endsWith("/composite/sobjects") || body.allOrNone)
      throw new NotModelled(`subrequest ${method} ${url}`);
    try {
      return { body: this.update(body.records), httpStatusCode: 200, httpHeaders: {}, referenceId };
    } catch (e) {
      if (!(e instanceof Refusal)) throw e;
      return { body: e.body, httpStatusCode: e.status, httpHeaders: {}, referenceId };
    }
  }

  update(records) {
    if (records.length > ROWS)
      throw new Refusal(400, "EXCEEDED_ID_LIMIT", `record limit reached. cannot submit more than ${ROWS} records`);
    const chunks = [];
    for (const r of records) {
      if (chunks.at(-1)?.[0].attributes.type !== r.attributes.type) chunks.push([]);
      chunks.at(-1).push(r);
    }
    if (chunks.length > CHUNKS) throw new Refusal(400, "LIMIT_EXCEEDED", `too many chunks: ${chunks.length}`);
    const rows = chunks.map((c) => c.map((r) => this.row(r)));
    return rows.flatMap((chunk) => this.save(chunk));
  }

  /** A record of the request; a field that the user cannot see refuses the whole collection. */
  row({ attributes, id, ...fields }) {
    const object = this.org.project.schema.object(attributes.type);
    if (!object) throw new Refusal(400, "INVALID_TYPE", `sObject type '${attributes.type}' is not supported.`);
    const r = new SObject(object.name).set("Id", id18(id));
    for (const [name, v] of Object.entries(fields)) {
      const f = this.org.project.schema.field(object.name, name);
      if (!f || !this.org.access.fieldMay(object, f, "read"))
        throw new Refusal(400, "INVALID_FIELD", `No such column '${name}' on sobject of type ${object.name}`);
      r.set(f.name, fromWire(f, v));
    }
    return r;
  }

  save(rows) {
    let results;
    try {
      results = this.org.run("sync", () => this.org.database.dml("update", rows, { mode: "user", allOrNone: false }));
    } catch (e) {
      if (!(e instanceof ApexError || e instanceof LimitError)) throw e;
      // The org's own code failed: every row of the chunk is refused.
      results = rows.map(() => ({
        id: null,
        errors: [{ code: "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message: e.message, fields: [] }]
      }));
    }
    return results.map((r, i) => ({
      id: rows[i].get("Id"),
      success: r.errors.length === 0,
      errors: r.errors.map((e) => ({ statusCode: e.code, message: e.message, fields: e.fields }))
    }));
  }
}
