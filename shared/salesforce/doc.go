// Package salesforce speaks to one Salesforce org over its REST API: it reads
// what was ordered, writes what became of it, and asks what the org shows.
//
// The rule it keeps: an answer is judged by the vendor's error code, from the
// one table in classify.go, never by the HTTP status; and nothing is repeated
// except one call after one refresh of the token. It must not log bodies or
// credentials, and knows nothing of the table, of queues or of WHMCS.
package salesforce
