// The console page of the local system: Salesforce on the left, one order's
// timeline in the middle, the customer's portal on the right.
import { connectionText, orderText, watchOrder } from "./portal.js";

const account = "001000000000001AAA";
const $ = (id) => document.getElementById(id);

/** Makes an element: h("li.good", {title: "…"}, "text", child). */
function h(name, members = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const e = document.createElement(tag);
  e.classList.add(...classes);
  for (const [key, value] of Object.entries(members)) {
    if (typeof value === "function") e.addEventListener(key, value);
    else if (value !== undefined) e.setAttribute(key, value);
  }
  e.append(...children.filter((c) => c !== undefined && c !== ""));
  return e;
}

/** Puts children into an element, if they differ from what it shows; the focus and what is unfolded stay. */
function show(element, ...children) {
  const next = h("div", {}, ...children);
  const keep = (e) => e.dataset.key;
  const focused = document.activeElement && element.contains(document.activeElement) ? keep(document.activeElement) : undefined;
  for (const d of element.querySelectorAll("details[open][data-key]")) next.querySelector(`details[data-key="${CSS.escape(keep(d))}"]`)?.setAttribute("open", "");
  if (next.innerHTML === element.innerHTML) return;
  element.replaceChildren(...next.childNodes);
  if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const say = (text) => { $("said").textContent = text; };

/** Calls a local route. Fails with a sentence. */
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options.body ? { ...options, headers: { "Content-Type": "application/json" }, body: JSON.stringify(options.body) } : options);
  } catch {
    throw new Error("The local system does not answer. Is make run still running?");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error("It was refused: " + (body.error ?? answer.status) + ".");
  return body;
}
/** Runs what a button does and says how it ended. */
const act = (what) => async (event) => {
  event?.preventDefault();
  try {
    await what(event);
  } catch (error) {
    say(error.message);
  }
  await refresh();
};

let chosen = "";
let system;

// The clock of the page's ids: 12 digits, so that every id is new.
let serial = Date.now() % 1e12;
const newId = () => "801" + String(serial++).padStart(12, "0") + "AAA";

const two = [
  { whmcsProductId: 1, billingCycle: "Monthly", quantity: 1 },
  { whmcsProductId: 2, billingCycle: "One-time", quantity: 3 },
];
const whmcs = (action, fault, more = {}) => (match) => ask("/_local/sim/whmcs/faults", { method: "POST", body: { action, fault, match, ...more } });
const salesforce = (action, fault, more = {}) => (match) => ask("/_local/sim/salesforce/faults", { method: "POST", body: { action, fault, match, ...more } });
/** Returns once something holds; fails when it does not within 10 s. */
async function until(holds) {
  for (let tries = 100; !(await holds()); await new Promise((go) => setTimeout(go, 100))) if (!--tries) throw new Error("The order did not get that far within 10 seconds.");
}
const kill = () => ask("/_local/kill", { method: "POST", body: { function: "provision" } });

/** Cases of the README and of the runbook. What comes before AddOrder has no marker yet by which a fault could know its order. */
const presets = [
  { name: "an ordinary order", expect: "Two lines become one WHMCS order. Salesforce and the customer read Provisioned." },
  { name: "a double click", clicks: 2, expect: "Two callouts with two keys meet one order: one WHMCS order." },
  { name: "WHMCS’s answer to AddOrder is lost", faults: [whmcs("AddOrder", "commit-then-drop")], expect: "The order was made, and nobody was told. The bridge waits until WHMCS must have ended, searches, and finds it." },
  { name: "a worker is killed while AddOrder is under way", faults: [whmcs("AddOrder", "slow", { delayMs: 1500 })], then: async (id) => { await until(async () => (await ask("/_local/orders/" + id)).item?.point === "adding"); await kill(); }, expect: "Another worker takes the order when the lease ends, searches WHMCS and goes on." },
  { name: "Salesforce has locked the row", faults: [salesforce("update", "lock-row", { times: 2 })], expect: "WHMCS is served; the status reaches Salesforce a few tries later." },
  { name: "WHMCS’s module says no", faults: [whmcs("AcceptOrder", "module-fail-pending")], expect: "The order fails with module_failed. Correct the module (here: nothing to do) and press the button again: the same WHMCS order is accepted." },
  { name: "the account is not mapped", client: null, expect: "The order fails with account_not_mapped; nothing was sent to WHMCS." },
  { name: "WHMCS drops the marker", faults: [whmcs("AddOrder", "marker-lost")], expect: "An order without our marker cannot be told from another’s: a person must look." },
  { name: "WHMCS is in maintenance", faults: [() => whmcs("GetClientsDetails", "html-503", { times: 2 })()], expect: "The order waits, and says until when." },
  { name: "WHMCS no longer takes our address", faults: [() => whmcs("GetClientsDetails", "forbidden-ip", { times: 2 })()], expect: "The installation must be corrected: WHMCS’s breaker opens, orders wait without being used up, and go on once a probe is answered." },
];
for (const [i, p] of presets.entries()) $("preset").append(h("option", { value: i }, p.name));
const preset = () => presets[$("preset").value];
const explain = () => { $("expect").textContent = preset().expect; };
$("preset").addEventListener("change", explain);
explain();

const seed = (id, client, items) => ask("/_local/orders/" + encodeURIComponent(id), { method: "PUT", body: { accountId: account, whmcsClientId: client, items } });

async function provision(id) {
  const got = await ask("/_local/callout", { method: "POST", body: { orderId: id } });
  choose(id);
  say("The callout for " + id + " was answered " + got.status + ": " + (got.body.status ?? got.body.detail ?? got.body.message ?? "") + ".");
}

$("try").addEventListener("submit", act(async () => {
  const p = preset();
  const id = newId();
  await seed(id, "client" in p ? p.client : 42, two);
  for (const set of p.faults ?? []) await set(id);
  await Promise.all(Array.from({ length: p.clicks ?? 1 }, () => provision(id)));
  await p.then?.(id);
}));

function line(of = { whmcsProductId: 1, billingCycle: "Monthly", quantity: 1 }) {
  const cycles = ["Monthly", "Quarterly", "Semi-Annually", "Annually", "Biennially", "Triennially", "One-time", "Free"];
  return h("li", {}, h("div.line", {},
    h("label", {}, "Product ", h("input", { name: "product", inputmode: "numeric", pattern: "[0-9]*", value: of.whmcsProductId })),
    h("label", {}, "Billing ", h("select", { name: "cycle" }, ...cycles.map((c) => h("option", c === of.billingCycle ? { selected: "" } : {}, c)))),
    h("label", {}, "Quantity ", h("input", { name: "quantity", type: "number", min: 1, max: 100, value: of.quantity, required: "" }))));
}
$("lines").append(...two.map(line));
$("add-line").addEventListener("click", () => { $("lines").append(line()); $("lines").lastChild.querySelector("input").focus(); });
$("seed-id").value = newId();
const numberOrNull = (text) => (text === "" ? null : Number(text));
$("seed").addEventListener("submit", act(async () => {
  const id = $("seed-id").value.trim();
  await seed(id, numberOrNull($("seed-client").value), [...$("lines").children].map((l) => ({
    whmcsProductId: numberOrNull(l.querySelector("[name=product]").value),
    billingCycle: l.querySelector("[name=cycle]").value,
    quantity: Number(l.querySelector("[name=quantity]").value),
  })));
  choose(id);
  $("seed-id").value = newId();
  say("Order " + id + " is in Salesforce.");
}));

const operate = async (...args) => {
  const got = await ask("/_local/operate", { method: "POST", body: { args } });
  return got.said;
};
$("pause").addEventListener("click", act(async () => say(await (system?.sides.whmcs.paused ? operate("resume", "--by", "console page", "--all") : operate("pause", "--by", "console page", "--why", "tried out")))));
$("tick").addEventListener("click", act(async () => { await ask("/_local/tick", { method: "POST" }); say("The clock has ticked: what is due is worked on."); }));
$("kill").addEventListener("click", act(async () => { const got = await kill(); say(got.killed + (got.killed === 1 ? " worker process was" : " worker processes were") + " killed."); }));
$("resolve-form").addEventListener("submit", act(async () => {
  const how = $("resolve-how").value;
  say(await operate("resolve", chosen, ...(how === "--adopt" ? [how, $("resolve-id").value] : [how]), "--by", $("resolve-by").value, "--why", $("resolve-why").value));
}));
$("advice").addEventListener("toggle", act(async () => { if ($("advice").open && chosen) $("advice-text").textContent = await operate("show", chosen); }));

const actions = { whmcs: ["AddOrder", "AcceptOrder", "GetOrders", "GetClientsProducts", "GetClientsDetails", "GetProducts", "GetPayMethods", "WhmcsDetails"], salesforce: ["token", "query", "update"] };
function offerFaults() {
  const vendor = $("fault-vendor").value;
  const action = $("fault-action").value;
  const names = vendor === "whmcs" ? system.faultNames.whmcs : Object.entries(system.faultNames.salesforce).filter(([, on]) => on.includes(action)).map(([name]) => name).sort();
  const before = $("fault-name").value;
  $("fault-name").replaceChildren(...names.map((n) => h("option", n === before ? { selected: "" } : {}, n)));
}
function offerActions() {
  $("fault-action").replaceChildren(...actions[$("fault-vendor").value].map((a) => h("option", {}, a)));
  if (system) offerFaults();
}
$("fault-vendor").addEventListener("change", offerActions);
$("fault-action").addEventListener("change", offerFaults);
offerActions();
$("fault").addEventListener("submit", act(async () => {
  const body = { action: $("fault-action").value, fault: $("fault-name").value, times: Number($("fault-times").value) };
  if ($("fault-match").checked && chosen) body.match = chosen;
  await ask("/_local/sim/" + $("fault-vendor").value + "/faults", { method: "POST", body });
  say("The next " + body.action + (body.match ? " of " + chosen : "") + " meets " + body.fault + ".");
}));
$("fault-clear").addEventListener("click", act(async () => {
  for (const vendor of ["whmcs", "salesforce"]) await ask("/_local/sim/" + vendor + "/faults", { method: "DELETE" });
  say("No fault is set.");
}));

// The customer's portal: nothing but the client of portal/.
let token;
const getToken = (renew) => {
  if (renew || !token) token = ask("/_local/token?account=" + account).then((t) => t.token);
  token.catch(() => { token = undefined; });
  return token;
};
let watch;
let view;
let requests = 0;
function watchChosen() {
  watch?.abort();
  watch = new AbortController();
  requests = 0;
  watchOrder(chosen, {
    getToken,
    signal: watch.signal,
    fetch: (...args) => { requests++; return fetch(...args); },
    onChange: (order, connection) => { view = { order, connection }; showCustomer(); },
  });
}
function showCustomer() {
  if (!view) return show($("customer"), h("p", {}, "No order is chosen."));
  const language = $("language").value;
  const text = orderText(view.order.status, language);
  const note = connectionText(view.connection, language);
  $("customer").lang = language;
  show($("customer"), h("h3", {}, text.title), h("p", {}, text.detail), note ? h("p.note", {}, note.title + ". " + note.detail) : "");
}
$("language").addEventListener("change", showCustomer);
$("reload").addEventListener("click", () => { if (chosen) watchChosen(); });

function choose(id) {
  const again = chosen === id;
  chosen = id;
  if (!again || view?.order.final || view?.connection === "refused") watchChosen();
  if (!again) { $("advice").open = false; $("events").replaceChildren(); }
}

const tone = { Provisioned: "good", Failed: "bad", Activating: "busy" };
const chip = (status) => h("span.status" + (tone[status] ? "." + tone[status] : ""), {}, status);

function showOrders() {
  show($("orders"), ...[...system.salesforce].reverse().map(({ id, order }) => {
    const f = order.fields ?? {};
    const status = f.Provisioning_Status__c ?? "Pending Review";
    return h(id === chosen ? "li.chosen" : "li", {},
      h("button.pick.id", { type: "button", "data-key": "pick" + id, ...(id === chosen ? { "aria-current": "true" } : {}) }, id),
      h("p", {}, chip(status), f.WHMCS_Order_ID__c ? " · WHMCS order " + f.WHMCS_Order_ID__c : ""),
      f.Provisioning_Error_Message__c ? h("p", {}, h("code", {}, f.Provisioning_Error_Code__c), " ", f.Provisioning_Error_Message__c) : "",
      h("div.row", {}, h("button", { type: "button", "data-key": "go" + id, "aria-label": "Provision in WHMCS: " + id }, "Provision in WHMCS")),
      order.history?.length ? h("details", { "data-key": "history" + id }, h("summary", {}, "History"), h("ul.plain", {}, ...order.history.filter((e) => !e.item).map((e) => h("li.hint", {}, clock(e.at) + " " + e.field + ": " + (e.value ?? "empty"))))) : "");
  }));
}
// One listener for all buttons of the list: they are made again and again.
$("orders").addEventListener("click", act(async (event) => {
  const key = event.target.closest("button")?.dataset.key ?? "";
  if (key.startsWith("pick")) choose(key.slice(4));
  if (key.startsWith("go")) await provision(key.slice(2));
}));

const clock = (at) => new Date(at).toLocaleTimeString("en-GB", { hour12: false }) + "." + String(new Date(at).getMilliseconds()).padStart(3, "0");

function showOrder({ events, item, review }) {
  $("timeline-title").replaceChildren("Order ", h("span.id", {}, chosen));
  const facts = item ? [["state", item.state + ", recovery point " + item.point], ["WHMCS order", item.whmcs_order_id ?? "none known"], ["tries", String(item.attempts ?? 0)]] : [["state", "no click yet"]];
  if (item?.due_at && item.state === "waiting") facts.push(["next try", clock(item.due_at)]);
  if (item?.error_code) facts.push([item.state === "waiting" ? "waits because" : "reason", item.error_code + ": " + (item.error_message ?? "")]);
  if (review) facts.push(["", "A person must look into WHMCS."]);
  show($("facts"), h("dl.facts", {}, ...facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
  show($("events"), ...events.map((e, i) => {
    const said = [h(e.bad ? "b.bad" : "b", {}, e.title), e.text ? " " + e.text : ""];
    const sent = Object.entries(e.data ?? {}).map(([k, v]) => k + ": " + (typeof v === "string" ? v : JSON.stringify(v))).join("\n");
    return h("li." + e.source + (e.bad ? ".failing" : "") + (e.source !== "order" && !e.text ? ".minor" : ""), {},
      h("time", { datetime: e.at }, clock(e.at)), h("span.source", {}, e.source),
      sent ? h("details", { "data-key": "data" + e.at + i }, h("summary", {}, ...said), h("pre", { tabindex: "0" }, sent)) : h("p", {}, ...said));
  }), events.length ? "" : h("li", {}, h("span"), h("span"), "Nothing yet."));
}

function showWhmcs() {
  show($("whmcs"), ...[...system.whmcs].reverse().map((o) => h("li", {}, h("p", {}, h("b", {}, "Order " + o.id), " · client " + o.userid + " · " + o.status),
    h("p.hint.id", {}, o.notes || "no marker"),
    h("p.hint", {}, (o.services ?? []).map((s) => "product " + s.pid + ", " + s.billingcycle + (s.qty > 1 ? " × " + s.qty : "") + ": " + s.status).join("; ")))));
}

function showSystem() {
  const side = (name, s) => s.paused ? [name + " paused by " + s.by, "busy"] : s.openUntil && new Date(s.openUntil) > new Date() ? [name + ": breaker open until " + clock(s.openUntil) + ", " + s.why, "bad"] : s.unanswered?.length ? [name + ": " + s.unanswered.join(", ") + " not answered", "bad"] : [name + " serves", "good"];
  const work = system.queues.find((q) => q.id === "WorkQueue") ?? { waiting: 0, inFlight: 0 };
  const dead = system.queues.filter((q) => q.id !== "WorkQueue").reduce((n, q) => n + q.waiting + q.inFlight, 0);
  const gauges = [side("WHMCS", system.sides.whmcs), side("Salesforce", system.sides.salesforce), ["queue " + work.waiting + " waiting, " + work.inFlight + " in work"], ["dead letters " + dead, dead ? "bad" : ""], ["workers running " + system.functions.provision.running], ...(system.demo ? [["short times (DEMO=1)"]] : [])];
  show($("gauges"), ...gauges.map(([text, kind]) => h(kind ? "li." + kind : "li", {}, text)));
  $("pause").textContent = system.sides.whmcs.paused ? "Resume WHMCS" : "Pause WHMCS";
  const set = [...system.faults.whmcs.map((f) => ({ ...f, vendor: "WHMCS" })), ...system.faults.salesforce.map((f) => ({ ...f, vendor: "Salesforce" }))];
  show($("faults"), ...set.map((f) => h("li", {}, f.vendor + " " + (f.action ?? f.Action) + ": " + (f.fault ?? f.Fault) + " × " + (f.times ?? f.Times) + ((f.match ?? f.Match) ? " for " + (f.match ?? f.Match) : ""))));
}

const alarmTone = { ALARM: ["bad", "fires"], OK: ["good", "is well"], INSUFFICIENT_DATA: ["", "has no data yet"] };
function showAlarms() {
  const firing = system.alarms.filter((a) => a.state === "ALARM" && a.tells);
  show($("alarms-firing"), h(firing.length ? "span.bad" : "span", {}, firing.length ? (firing.length === 1 ? "1 alarm fires: " : firing.length + " alarms fire: ") + firing.map((a) => a.name).join(", ") : "No alarm fires"));
  show($("alarms-list"), ...[...firing, ...system.alarms.filter((a) => !firing.includes(a))].map((a) => {
    const [tone, text] = alarmTone[a.state];
    return h("li", {}, h(tone ? "b." + tone : "b", {}, a.name + " " + text), " since " + clock(a.since) + ": " + a.reason, h("p.hint", {}, a.description));
  }));
}

let refreshing;
function refresh() {
  // One at a time; who asks meanwhile gets the one that is under way.
  return (refreshing ??= load().finally(() => { refreshing = undefined; }));
}
let reachable = true;
async function load() {
  try {
    const first = !system;
    system = await ask("/_local/system");
    if (first) offerFaults();
    if (!chosen && system.salesforce.length) choose(system.salesforce.at(-1).id);
    showSystem();
    showAlarms();
    showOrders();
    showWhmcs();
    $("middle").hidden = !chosen;
    if (chosen) showOrder(await ask("/_local/orders/" + encodeURIComponent(chosen)));
    $("asked").textContent = view ? "Status " + view.order.status + ", " + view.connection + ", asked " + requests + (requests === 1 ? " time." : " times.") : "";
    if (!reachable) say("The local system answers again.");
    reachable = true;
  } catch (error) {
    reachable = false;
    say(error.message);
  }
}
async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, 500);
}
showCustomer();
loop();
