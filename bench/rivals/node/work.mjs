// The work itself, the same for every rival in Node: who sent the callout, what
// is ordered, the two effects in WHMCS.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

const secrets = new SecretsManagerClient({});
const known = new Map();

async function secret(variable) {
  if (!known.has(variable)) {
    const found = await secrets.send(new GetSecretValueCommand({ SecretId: process.env[variable] }));
    known.set(variable, found.SecretString);
  }
  return known.get(variable);
}

/** How far a callout's timestamp may be off, in ms. */
const tolerance = 300_000;

/** Whether a callout is signed and fresh. */
export async function genuine(body, headers) {
  const want = createHmac('sha256', await secret('WEBHOOK_SECRET_ID')).update(body).digest();
  const sent = Buffer.from(headers['x-sf-signature'] ?? '', 'hex');
  const late = Math.abs(Date.now() - Date.parse(headers['x-sf-timestamp']));
  return sent.length === want.length && timingSafeEqual(sent, want) && late <= tolerance;
}

/** The longest wait for the answer to a call, in ms. */
const patience = 1000 * Number(process.env.WHMCS_ADD_TIMEOUT ?? 60);

async function call(url, options) {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(patience) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 200)}`);
  return JSON.parse(text);
}

let token;

async function login() {
  const { clientId, clientSecret } = JSON.parse(await secret('SALESFORCE_SECRET_ID'));
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret });
  return (await call(`${process.env.SF_LOGIN_URL}/services/oauth2/token`, { method: 'POST', body: form })).access_token;
}

/** What an order consists of, by one query of Salesforce. */
export async function plan(id) {
  token ??= await login();
  const q = `SELECT Id, Account.WHMCS_Client_ID__c, (SELECT Quantity, Product2.WH_Product_ID__c, Product2.Billing_Cycle__c FROM OrderItems) FROM Order WHERE Id = '${id}'`;
  const found = await call(`${process.env.SF_LOGIN_URL}/services/data/v67.0/query?q=${encodeURIComponent(q)}`, { headers: { Authorization: `Bearer ${token}` } });
  const order = found.records[0];
  return {
    clientId: order.Account.WHMCS_Client_ID__c,
    lines: order.OrderItems.records.map((line) => ({ id: line.Product2.WH_Product_ID__c, cycle: line.Product2.Billing_Cycle__c.toLowerCase(), quantity: line.Quantity })),
  };
}

async function whmcs(action, fields) {
  const login = JSON.parse(await secret('WHMCS_SECRET_ID'));
  const form = new URLSearchParams({ ...fields, action, ...login, responsetype: 'json' });
  const answer = await call(`${process.env.WHMCS_API_URL}/includes/api.php`, { method: 'POST', body: form });
  if (answer.result !== 'success') throw new Error(`${action}: ${answer.message}`);
  return answer;
}

/** Adds the order in WHMCS and returns its id there. */
export async function add(id, { clientId, lines }) {
  const fields = { clientid: clientId, paymentmethod: 'mailin', notes: `sfOrderId=${id}`, noinvoice: 1, noemail: 1 };
  lines.forEach((line, i) => Object.assign(fields, { [`pid[${i}]`]: line.id, [`qty[${i}]`]: line.quantity, [`billingcycle[${i}]`]: line.cycle }));
  return (await whmcs('AddOrder', fields)).orderid;
}

/** Accepts an order in WHMCS. */
export async function accept(whmcsId) {
  await whmcs('AcceptOrder', { orderid: whmcsId, autosetup: 1 });
}

/** The whole work, or its recording alone where WORK is claim. */
export async function provision(id) {
  if (process.env.WORK === 'claim') return { sfOrderId: id };
  const whmcsOrderId = await add(id, await plan(id));
  await accept(whmcsOrderId);
  return { sfOrderId: id, whmcsOrderId };
}
