// Package provision is the engine: it carries one order to its end, however
// often it is interrupted.
package provision
