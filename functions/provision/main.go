// Package main is the function that carries orders to their end: it joins the
// engine with the table, WHMCS and Salesforce.
//
// The rule it keeps: it only wires and translates; every decision about an
// order is the engine's. It must not be reachable from the internet.
package main

func main() {}
