// Package samtemplate reads a SAM or CloudFormation template and says what the
// system on one machine must run: functions with their environment, the table,
// queues, secrets, pipes, event source mappings, schedules, APIs and routes.
//
// The rule it keeps: the template is the only source, and nothing in it is
// passed over in silence. A resource type, property or intrinsic function that
// this package neither uses nor knows to be without effect on one machine is
// an error that names the resource and the line. It must not start anything.
package samtemplate
