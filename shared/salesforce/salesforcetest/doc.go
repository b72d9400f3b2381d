// Package salesforcetest simulates the part of a Salesforce org that
// orderbridge and its operators' tools speak to: the token endpoint, SOQL
// queries with pages, describes, and updates of single records, of collections
// and of composites, with the validation rule, the field types, the limits and
// the faults of the platform.
//
// The rule it keeps: it answers as the vendor documents, and accepts nothing
// that the vendor refuses; what no source shows is marked in a comment. Of SOQL
// it understands what its clients ask (soql.go), and refuses the rest. It is for
// tests and the local system alone, holds everything in memory, and must not be
// linked into a function.
package salesforcetest
