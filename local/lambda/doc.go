// Package lambda hosts Lambda functions on one machine: it runs their real
// bootstrap binaries as processes and speaks the Lambda Runtime API to them
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
//
// The rules it keeps: one process serves one invocation at a time; a process
// is stopped with SIGSTOP from the moment it asks for the next event until
// there is one, as the platform freezes a sandbox; a process that overruns its
// time-out is killed; and no process outlives the host, however the host ends.
// It must not know what a function does, nor hand it any environment but the
// one it was configured with.
package lambda
