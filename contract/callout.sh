#!/usr/bin/env bash
# Signs and sends one callout with nothing but openssl and curl, and prints the
# answer. It shares no code with the system: what it gets is what any sender gets.
#
#   contract/callout.sh API_URL SECRET_FILE ORDER_ID
#
# From the environment, each optional: PREFER (a Prefer header), KEY (the
# Idempotency-Key), REQUESTED_BY, ACCOUNT_ID, ORGANIZATION_ID, NONCE, TIMESTAMP.
# Exit status: 0 for an answer of 200 to 299, 1 for any other, 2 for wrong use.
#
# The key stands on openssl's command line, where other users of the machine can
# read it while it runs: for tests and local systems only.
set -euo pipefail

if [ $# -ne 3 ] || [ ! -r "$2" ]; then
  echo "usage: $0 API_URL SECRET_FILE ORDER_ID" >&2
  exit 2
fi
api=${1%/} order=$3
hexkey=$(printf %s "$(cat "$2")" | od -An -v -tx1 | tr -d ' \n')

timestamp=${TIMESTAMP:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
nonce=${NONCE:-$(openssl rand -hex 16)}
key=${KEY:-$(openssl rand -hex 16)}

body="{\"orderId\":\"$order\",\"timestamp\":\"$timestamp\",\"nonce\":\"$nonce\""
body+=${REQUESTED_BY:+",\"requestedBy\":\"$REQUESTED_BY\""}
body+=${ACCOUNT_ID:+",\"accountId\":\"$ACCOUNT_ID\""}
body+=${ORGANIZATION_ID:+",\"organizationId\":\"$ORGANIZATION_ID\""}
body+="}"
signature=$(printf %s "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" -r | cut -d' ' -f1)

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
status=$(curl -sS --max-time 30 -o "$answer" -D /dev/stderr -w '%{http_code}' \
  -X POST "$api/orders/$order/fulfill" \
  -H 'Content-Type: application/json' \
  -H "X-SF-Signature: $signature" \
  -H "X-SF-Timestamp: $timestamp" \
  -H "X-SF-Nonce: $nonce" \
  -H "Idempotency-Key: $key" \
  ${PREFER:+-H "Prefer: $PREFER"} \
  --data-binary "$body")
cat "$answer"
echo
[ "$status" -ge 200 ] && [ "$status" -lt 300 ]
