package order

import "context"

type contextKey struct{}

// WithID returns a context that says of which order a call is, so that every log
// line of an adapter can name it.
func WithID(ctx context.Context, id ID) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// IDFrom returns the order of WithID; false where the call is of none.
func IDFrom(ctx context.Context) (ID, bool) {
	id, ok := ctx.Value(contextKey{}).(ID)
	return id, ok
}
