package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheFunctionStartsOrSaysInOneLineWhyNot(t *testing.T) {
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"ResourceNotFoundException"}`))
	}))
	defer manager.Close()
	for _, c := range []struct{ name, value string }{
		{"TABLE_NAME", "Orders"}, // it starts, though no secret can be read yet
		{"TABLE_NAME", ""},
		{"AWS_REGION", ""},
		{"WHMCS_MARKER", "0"},
		{"SF_API_VERSION", "v67"},
		{"SF_OPTIONAL_FIELDS", "domain=Domain__c FROM Account"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			env := map[string]string{
				"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": manager.URL,
				"TABLE_NAME": "Orders", "WORK_QUEUE_URL": "https://sqs.example/1/work", "WHMCS_SECRET_ID": "whmcs", "SALESFORCE_SECRET_ID": "salesforce",
				"WHMCS_API_URL": "https://billing.example.com", "SF_LOGIN_URL": "https://acme.my.salesforce.com",
			}
			env[c.name] = c.value
			h, err := wire(t.Context(), func(k string) string { return env[k] }, io.Discard)
			if c.value == "Orders" {
				if err != nil || h == nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.name) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that names %s", err, c.name)
			}
		})
	}
}
