// AWS's durable execution SDK: each effect is a step. With SEMANTICS=once the
// effects run at most once per try and are not tried again; otherwise everything
// is as the SDK has it by default.
import { retryPresets, StepSemantics, withDurableExecution } from '@aws/durable-execution-sdk-js';
import { accept, add, genuine, plan } from './work.mjs';

const effect = process.env.SEMANTICS === 'once' ? { semantics: StepSemantics.AtMostOncePerRetry, retryStrategy: retryPresets.noRetry } : {};

export const handler = withDurableExecution(async (event, context) => {
  const id = event.pathParameters.sfOrderId;
  if (!(await context.step('verify', () => genuine(event.body, event.headers)))) return { statusCode: 401 };
  if (process.env.WORK === 'claim') return { statusCode: 202 };
  const what = await context.step('plan', () => plan(id));
  const whmcsOrderId = await context.step('add', () => add(id, what), effect);
  await context.step('accept', () => accept(whmcsOrderId), effect);
  return { statusCode: 202, body: JSON.stringify({ success: true, sfOrderId: id, whmcsOrderId }) };
});
