package main

import (
	"path/filepath"

	"orderbridge/shared/order"
)

// rival is what one would pick instead.
type rival struct {
	name   string
	folder string // among the built rivals
	env    map[string]string
	// durable: it is invoked by the service of durable executions.
	durable bool
}

func rivals() []rival {
	return []rival{
		{name: "Node, Powertools", folder: "powertools"},
		{name: "Python, Powertools", folder: "python"},
		{name: "NestJS, Redis", folder: "nestjs"},
		{name: "durable SDK", folder: "durable", durable: true},
	}
}

// rivalProgram returns the program of a rival for one kind of work.
func (w *world) rivalProgram(dir string, r rival, work string) program {
	env := w.plainEnvironment()
	env["WORK"], env["TABLE_NAME"] = work, powertoolsTable
	env["AWS_CA_BUNDLE"] = filepath.Join(w.roots, "ca-bundle.crt")
	env["POWERTOOLS_SERVICE_NAME"] = work
	if w.redis != nil {
		env["REDIS_URL"] = "redis://" + w.redis.address
	}
	for k, v := range r.env {
		env[k] = v
	}
	return program{name: r.folder, bootstrap: filepath.Join(dir, r.folder, "bootstrap"), env: env}
}

// durably returns the events of an execution of the same input.
func (w *world) durably(name string, e events) func(order.ID) ([]byte, error) {
	return func(id order.ID) ([]byte, error) {
		input, err := e.clicked(id)
		if err != nil {
			return nil, err
		}
		return w.durable.event(w.durable.begin(name, id, input))
	}
}
