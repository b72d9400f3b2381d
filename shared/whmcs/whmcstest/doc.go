// Package whmcstest is a WHMCS installation made of memory: it answers
// POST {sub-path}/includes/api.php as the vendor does, faults included, and
// keeps books of orders, services, module runs and calls.
//
// The rule it keeps: it counts what really happened. When one Salesforce order
// gets a second live WHMCS order, or a provisioning module runs twice for one
// service, Options.Fail is told at once. It is used by tests and by the local
// system alike and must know nothing of the engine or of our client.
//
// # What exists without being put there
//
// Any positive client id is an Active client with one stored pay method, and
// any positive product id is a product that takes no quantity and has no
// module. A client or product put with status "missing" does not exist.
//
// # Module runs
//
// A module run is one pass of AcceptOrder through the creation of a service. A
// product without a module counts too: it is simply made Active. An order's
// count is that of its service with the most runs, so 1 means "once". A run
// that reported a failure does not make the next one wrong: a person may have
// asked for it.
//
// # Faults
//
// A fault is picked when a call arrives: the first one left for that action
// whose match fits. Match is a Salesforce order id, a WHMCS order id or a client
// id. It fits an AddOrder by its marker and client, any other call by the order,
// service or client that it names, and by the markers, ids and clients of the
// orders of that client, those included that were asked for and never made; a
// call that names none of them is about every order in the books. Unmatched
// faults fit every call of their action.
//
// Work takes time at the end of which it is done: with delayMs the order is made,
// or the module has run, that long after the call arrived, whether or not the
// client is still there, while the checks that WHMCS makes first are made on
// arrival. Two AcceptOrder that overlap therefore run the module twice, as in
// WHMCS.
package whmcstest
