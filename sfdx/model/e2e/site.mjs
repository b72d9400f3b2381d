// Serves a modelled org over HTTP on loopback: the REST API for the bridge, and
// for a browser a page with the package's components whose Apex calls the model
// runs.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { ApexError, LimitError } from "../src/errors.mjs";
import { RestApi } from "../src/rest.mjs";
import { id18, lower } from "../src/values.mjs";

const slds = path.dirname(createRequire(import.meta.url).resolve("@salesforce-ux/design-system/package.json"));
const page = (
  permissions
) => `<!doctype html><html lang="en"><head><title>Order</title><link rel="stylesheet" href="/slds.css"></head>
<body class="slds-p-around_large"><div id="toasts"></div><div id="app" style="width: 40rem"></div>
<script>
window.customPermissions = ${JSON.stringify(permissions)};
window.callApex = async (cls, method, parameters) => {
  const answer = await fetch("/aura/" + cls + "/" + method, { method: "POST", body: JSON.stringify(parameters ?? {}) });
  const body = await answer.json();
  if (!answer.ok) throw { body };
  return body;
};
</script><script type="module" src="/main.js"></script></body></html>`;

/** Starts the site; `stop` ends it. */
export async function serve(org, { code, operator, integration }) {
  const rest = new RestApi(org, { clientId: "local-client", clientSecret: "local-client-secret", user: integration });
  const site = { rest, operator, calls: [], failures: [] };
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (c) => parts.push(c));
    request.on("end", () => {
      let out;
      try {
        out = respond(org, site, code, {
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(parts).toString("utf8")
        });
      } catch (e) {
        site.failures.push(e);
        out = { status: 500, body: { message: e.message } };
      }
      response.writeHead(out.status, {
        "Content-Type": out.type ?? (out.html ? "text/html" : "application/json"),
        "Sforce-Limit-Info": "api-usage=1/100000",
        "Cache-Control": out.text ? "max-age=3600" : "no-store"
      });
      response.end(out.text ?? out.html ?? JSON.stringify(out.body));
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  site.url = `http://127.0.0.1:${server.address().port}`;
  site.stop = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return site;
}

function respond(org, site, code, request) {
  const { pathname, searchParams } = new URL(request.url, "http://model");
  if (pathname.startsWith("/services/")) return site.rest.answer(request);
  if (pathname === "/")
    return {
      status: 200,
      html: page(
        org.as(site.operator, () =>
          [...org.project.customPermissions.values()].filter((p) => org.hasCustomPermission(p))
        )
      )
    };
  if (pathname === "/main.js") return { status: 200, type: "text/javascript", text: code };
  if (pathname === "/slds.css")
    return {
      status: 200,
      type: "text/css",
      text: fs.readFileSync(path.join(slds, "assets/styles/salesforce-lightning-design-system.min.css"))
    };
  const sprite = pathname.match(/(\w+-sprite\/svg\/symbols\.svg)$/);
  if (sprite)
    return { status: 200, type: "image/svg+xml", text: fs.readFileSync(path.join(slds, "assets/icons", sprite[1])) };
  const aura = pathname.match(/^\/aura\/(\w+)\/(\w+)$/);
  if (aura && request.method === "POST") return callApex(org, site, aura[1], aura[2], JSON.parse(request.body));
  const record = pathname.match(/^\/record\/(\w+)$/);
  if (record) return readRecord(org, site, record[1], searchParams.get("fields").split(",").filter(Boolean));
  if (pathname === "/favicon.ico") return { status: 204, text: "" };
  throw new Error(`nothing is at ${request.method} ${pathname}`);
}

/** What a component gets where Apex throws: a message, and nothing from inside. */
function callApex(org, site, className, method, parameters) {
  try {
    const value = org.aura(className, method, parameters, site.operator);
    site.calls.push({ method, parameters, value });
    return { status: 200, body: value };
  } catch (e) {
    if (!(e instanceof ApexError || e instanceof LimitError)) throw e;
    site.calls.push({ method, parameters, error: e.message });
    return {
      status: 500,
      body: { message: e.object?.message ?? e.message, exceptionType: e.object?.cls.full ?? "System.LimitException" }
    };
  }
}

/** getRecord with optional fields: those that the user may not read are left out. */
function readRecord(org, site, id, names) {
  const row = org.database.table("Order").get(id18(id));
  if (!row) return { status: 404, body: { message: "The requested resource does not exist" } };
  const object = org.project.schema.object("Order");
  const readable = org.as(site.operator, () =>
    names.filter((n) => org.access.fieldMay(object, object.fields.get(lower(n)), "read"))
  );
  return {
    status: 200,
    body: {
      id: row.get("Id"),
      apiName: "Order",
      fields: Object.fromEntries(readable.map((n) => [n, { value: row.get(n) }]))
    }
  };
}
