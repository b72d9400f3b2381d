// Package whmcs is the client of one WHMCS installation: it reads orders,
// services, clients and products, and has the two effects AddOrder and
// AcceptOrder.
//
// The rule it keeps: WHMCS has no idempotency key, so an effect is one attempt
// over one connection of its own, whose every write compares the wall clock
// with the send window, and its answer is one of four: done, *fault.NotSent,
// *fault.Refused, *fault.Unsure. What cannot be read with certainty is Unsure.
//
// It must not repeat an effect, follow a redirect, use a proxy from the
// environment, or log a body or a credential. It never decides what follows
// from an answer: that is the engine's.
//
// Reads are plain POSTs over kept-alive connections. The one repetition here:
// a read that died on a reused connection before any answer is made once more
// on a fresh one, because the server may have closed the idle connection at
// that very moment. Every other retry belongs to the caller.
package whmcs
