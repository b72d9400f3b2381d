// Drives jsforce, as anyone would use it, against the org that standard input
// names, and prints what it saw as JSON. The Go test judges.
import { createSign } from 'node:crypto';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.env.SF_CLIENTS, 'package.json'));
const jsforce = require('jsforce');

const { url, clientId, clientSecret, username, privateKey, orders, version } = JSON.parse(readFileSync(0, 'utf8'));

const code = async (promise) => {
  try {
    await promise;
    return '';
  } catch (err) {
    return err.errorCode ?? (err.name === 'Error' ? err.message : err.name);
  }
};
const connect = (secret) => new jsforce.Connection({ version, loginUrl: url, oauth2: { loginUrl: url, clientId, clientSecret: secret } });

const out = {};
const conn = connect(clientSecret);
const user = await conn.authorize({ grant_type: 'client_credentials' });
out.org = user.organizationId;
out.wrongSecret = await code(connect('wrong').authorize({ grant_type: 'client_credentials' }));

const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
const unsigned = part({ alg: 'RS256' }) + '.' + part({ iss: clientId, sub: username, aud: url, exp: Math.floor(Date.now() / 1000) + 120 });
const assertion = unsigned + '.' + createSign('RSA-SHA256').update(unsigned).sign(privateKey, 'base64url');
const bearer = new jsforce.Connection({ version, loginUrl: url, oauth2: { loginUrl: url, clientId } });
out.jwtOrg = (await bearer.authorize({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion })).organizationId;

const one = await conn.query(
  `SELECT Id, Account.Name, Account.WHMCS_Client_ID__c, (SELECT Id, Quantity, Product2.WH_Product_ID__c FROM OrderItems) FROM Order WHERE Id = '${orders[0]}'`,
);
out.total = one.totalSize;
out.client = one.records[0].Account.WHMCS_Client_ID__c;
out.products = one.records[0].OrderItems.records.map((r) => [r.Quantity, r.Product2.WH_Product_ID__c]);

const all = await bearer.query('SELECT Id FROM Order ORDER BY Id', { autoFetch: true, maxFetch: 10000 });
out.paged = [all.totalSize, all.records.length, all.records[0].Id];
out.builder = (await conn.sobject('Order').find({ Provisioning_Status__c: 'Pending Review' }, ['Id', 'Provisioning_Status__c']).limit(3)).length;
out.unknownField = await code(conn.query('SELECT Nope__c FROM Order'));
out.malformed = await code(conn.query('SELECT Id FROM Order WHERE'));

const fields = { Provisioning_Status__c: 'Activating', Provisioning_Seq__c: 10, Last_Provisioning_At__c: '2026-11-24T10:00:00.000Z' };
const order = conn.sobject('Order');
out.single = (await order.update({ Id: orders[0], ...fields })).success;
out.stale = await code(order.update({ Id: orders[0], ...fields, Provisioning_Seq__c: 9 }));
out.collection = (
  await order.update([
    { Id: orders[1], ...fields },
    { Id: orders[0], ...fields, Provisioning_Seq__c: 9 },
    { Id: orders[2], ...fields, Provisioning_Error_Message__c: 'x'.repeat(256) },
  ])
).map((r) => [r.success, r.errors?.[0]?.statusCode ?? r.errors?.[0]?.errorCode ?? '']);
const seen = await order.retrieve(orders[1]);
out.retrieved = [seen.Provisioning_Status__c, seen.Provisioning_Seq__c, seen.Last_Provisioning_At__c];
out.described = (await order.describe()).fields.filter((f) => f.name === 'Provisioning_Error_Message__c').map((f) => [f.type, f.length, f.updateable])[0];
out.gone = await code(order.update({ Id: '801999999999999AAA', ...fields }));
out.usage = conn.limitInfo?.apiUsage?.limit ?? 0;
await fetch(`${url}/_sim/faults`, { method: 'POST', body: JSON.stringify({ action: 'query', fault: 'session-expired' }) });
out.expired = await code(conn.query('SELECT Id FROM Order LIMIT 1'));

console.log(JSON.stringify(out));
