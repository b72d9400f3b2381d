package provision

// Off switches one safeguard off, for the tests that prove that it is needed.
func Off(safeguard string) Option {
	return func(e *Engine) {
		switch safeguard {
		case "stamp":
			e.off.stamp = true
		case "look":
			e.off.lookLater = true
		}
	}
}
