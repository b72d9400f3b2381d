package salesforce_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/salesforce"
)

// A secret that cannot be read is named, and concerns every order.
func TestASecretThatCannotBeReadKeepsItsCode(t *testing.T) {
	c, err := salesforce.New(salesforce.Deps{
		HTTP: http.DefaultClient,
		Credentials: func(context.Context) (salesforce.Credentials, error) {
			return salesforce.Credentials{}, fault.Wrap(fault.SalesforceSecretUnavailable, errors.New("access denied"))
		},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}, salesforce.Config{LoginURL: "http://127.0.0.1:1", APIVersion: "67.0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Probe(t.Context()); fault.CodeOf(err) != fault.SalesforceSecretUnavailable || fault.KindOf(err) != fault.Config {
		t.Errorf("got %v (%d)", err, fault.KindOf(err))
	}
}
