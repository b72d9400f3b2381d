// Node with AWS Lambda Powertools: the work runs inside its idempotency, with the
// order's id as the key, as its documentation shows.
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { genuine, provision } from './work.mjs';

const config = new IdempotencyConfig({ eventKeyJmesPath: 'id', expiresAfterSeconds: 86_400 });
const once = makeIdempotent(({ id }) => provision(id), {
  persistenceStore: new DynamoDBPersistenceLayer({ tableName: process.env.TABLE_NAME }),
  config,
});

export async function handler(event, context) {
  config.registerLambdaContext(context);
  if (!(await genuine(event.body, event.headers))) return { statusCode: 401 };
  const done = await once({ id: event.pathParameters.sfOrderId });
  return { statusCode: 202, body: JSON.stringify({ success: true, ...done }) };
}
