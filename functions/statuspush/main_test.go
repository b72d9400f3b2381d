package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

// environ is a complete environment whose Secrets Manager answers with secret.
func environ(t *testing.T, secret string) map[string]string {
	t.Helper()
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if secret == "" {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"ResourceNotFoundException"}`))
			return
		}
		b, _ := json.Marshal(map[string]any{"Name": "salesforce", "SecretString": secret, "VersionStages": []string{"AWSCURRENT"}})
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write(b)
	}))
	t.Cleanup(manager.Close)
	return map[string]string{
		"TABLE_NAME": "orders", "STATUSPUSH_DEAD_LETTER_URL": "https://sqs.example/1/letters", "SALESFORCE_SECRET_ID": "salesforce",
		"SF_LOGIN_URL": "https://acme.my.salesforce.com", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
		"AWS_ENDPOINT_URL": manager.URL,
	}
}

func TestTheFunctionStartsOrSaysInOneLineWhyNot(t *testing.T) {
	bySecret := `{"clientId":"a","clientSecret":"hush"}`
	for name, c := range map[string]struct {
		secret string
		change map[string]string
		names  string // "" = it starts
	}{
		"all is well":                 {bySecret, nil, ""},
		"the secret is away for now":  {"", nil, ""},
		"the secret is still garbage": {"{}", nil, ""},
		"shared login host":           {bySecret, map[string]string{"SF_LOGIN_URL": "https://login.salesforce.com"}, "SF_LOGIN_URL"},
		"shared test host":            {bySecret, map[string]string{"SF_LOGIN_URL": "https://test.salesforce.com/"}, "SF_LOGIN_URL"},
		"no table":                    {bySecret, map[string]string{"TABLE_NAME": ""}, "TABLE_NAME"},
		"no dead letters":             {bySecret, map[string]string{"STATUSPUSH_DEAD_LETTER_URL": ""}, "STATUSPUSH_DEAD_LETTER_URL"},
		"no region":                   {bySecret, map[string]string{"AWS_REGION": ""}, "AWS_REGION"},
		"an API version that is none": {bySecret, map[string]string{"SF_API_VERSION": "v67"}, "SF_API_VERSION"},
		"plain http":                  {bySecret, map[string]string{"SF_LOGIN_URL": "http://acme.my.salesforce.com"}, "SF_LOGIN_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			env := environ(t, c.secret)
			for k, v := range c.change {
				env[k] = v
			}
			var out lockedBuffer
			h, err := wire(t.Context(), func(k string) string { return env[k] }, &out)
			if c.names == "" {
				if err != nil || h == nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.names) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error()+out.String(), "hush") {
				t.Fatalf("error %q (%s), want one line that names %s", err, fault.CodeOf(err), c.names)
			}
		})
	}
}
