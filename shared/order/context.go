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

type correlationKey struct{}

// WithCorrelation returns a context that says which callout began what a call is
// about; "" says nothing.
func WithCorrelation(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, correlationKey{}, id)
}

// CorrelationFrom returns the callout of WithCorrelation; "" where there is none.
func CorrelationFrom(ctx context.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	return id
}
