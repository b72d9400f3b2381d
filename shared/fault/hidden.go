package fault

import "log/slog"

// Redacted stands wherever a text was that must not be written.
const Redacted = "[redacted]"

// Hidden is for embedding in a struct: it keeps the whole struct out of formatted text
// and logs: it is written as Redacted.
type Hidden struct{}

// String implements fmt.Stringer.
func (Hidden) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Hidden) GoString() string { return Redacted }

// LogValue implements slog.LogValuer.
func (Hidden) LogValue() slog.Value { return slog.StringValue(Redacted) }
