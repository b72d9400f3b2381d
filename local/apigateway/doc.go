// Package apigateway serves the HTTP APIs of a template as Amazon API Gateway
// does: it finds the route, asks its authorizer, hands the function an event of
// payload format 2.0, and turns its answer into a response. What the gateway
// answers by itself ({"message":…}) has the texts of the real one.
//
// The rule it keeps: a function sees exactly the event that it would see
// deployed. It must not know what the routes are for.
//
// Sources: API Gateway Developer Guide, "Create AWS Lambda proxy integrations
// for HTTP APIs" and "Control access to HTTP APIs with JWT authorizers"; where
// that is silent (decoding of paths, joined headers), captures of live events.
package apigateway
