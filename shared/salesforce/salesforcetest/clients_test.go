package salesforcetest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"orderbridge/shared/salesforce/salesforcetest"
)

// seen is what a foreign client saw of the simulator.
type seen struct {
	Org          string  `json:"org"`
	JWTOrg       string  `json:"jwtOrg"`
	WrongSecret  string  `json:"wrongSecret"`
	WrongUser    string  `json:"wrongUser"`
	Total        int     `json:"total"`
	Client       float64 `json:"client"`
	Products     []any   `json:"products"`
	Paged        []any   `json:"paged"`
	Builder      int     `json:"builder"`
	UnknownField string  `json:"unknownField"`
	Malformed    string  `json:"malformed"`
	Single       bool    `json:"single"`
	Stale        string  `json:"stale"`
	Collection   []any   `json:"collection"`
	Retrieved    []any   `json:"retrieved"`
	Described    []any   `json:"described"`
	Gone         string  `json:"gone"`
	Usage        int     `json:"usage"`
	Expired      string  `json:"expired"`
}

// TestForeignClients lets jsforce and simple-salesforce, which no one here
// wrote, log in, query and update. They are installed into the folder that
// SF_CLIENTS names (make does so); without it there is nothing to run.
func TestForeignClients(t *testing.T) {
	folder := os.Getenv("SF_CLIENTS")
	if folder == "" {
		t.Log("SF_CLIENTS is not set: no foreign client was run")
		return
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command []string
		differ  func(*seen)
	}{
		"jsforce": {[]string{"node", "clients/jsforce.mjs"}, func(s *seen) {
			s.Org, s.JWTOrg, s.Builder = "00Dxx0000001gPLEAY", "00Dxx0000001gPLEAY", 3
			// It sees that the session has ended, and has no token to renew it with.
			s.Expired = "Unable to refresh session due to: No refresh token found in the connection"
		}},
		"simple-salesforce": {[]string{"python3", "clients/simple_salesforce_client.py"}, func(s *seen) {
			// It logs in again by itself when its session has ended.
			s.WrongUser, s.Expired = "invalid_grant", ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sim, err := salesforcetest.New(salesforcetest.Options{
				ClientID: "3MVG9+id/with=signs", ClientSecret: "se%cr+et", Username: "bridge@example.invalid", PublicKey: &key.PublicKey,
				OrgID: "00Dxx0000001gPL", PageSize: 4, DailyLimit: 15000,
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(sim)
			defer server.Close()
			var orders []string
			for n := range 11 {
				id := fmt.Sprintf("801%012dAAA", n)
				orders = append(orders, id)
				if err := sim.PutOrder(id, salesforcetest.Seed{AccountID: "001000000000001", AccountName: "Acme", WHMCSClientID: 7, Items: []salesforcetest.SeedItem{
					{WHMCSProductID: 11, BillingCycle: "Monthly"}, {WHMCSProductID: 12, BillingCycle: "One-time", Quantity: 3},
				}}); err != nil {
					t.Fatal(err)
				}
			}
			in, err := json.Marshal(map[string]any{
				"url": server.URL, "clientId": "3MVG9+id/with=signs", "clientSecret": "se%cr+et", "username": "bridge@example.invalid", "version": "67.0", "orders": orders,
				"privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			})
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
			cmd.Env = append(os.Environ(), "SF_CLIENTS="+folder)
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %v\n%s", c.command, err, &stderr)
			}
			var got seen
			if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, &stdout)
			}
			want := seen{
				WrongSecret: "invalid_client", Total: 1, Client: 7,
				Products: []any{[]any{1.0, 11.0}, []any{3.0, 12.0}}, Paged: []any{11.0, 11.0, orders[0]},
				UnknownField: "INVALID_FIELD", Malformed: "MALFORMED_QUERY", Single: true, Stale: "FIELD_CUSTOM_VALIDATION_EXCEPTION",
				Collection: []any{[]any{true, ""}, []any{false, "FIELD_CUSTOM_VALIDATION_EXCEPTION"}, []any{false, "STRING_TOO_LONG"}},
				Retrieved:  []any{"Activating", 10.0, "2026-11-24T10:00:00.000+0000"}, Described: []any{"string", 255.0, true},
				Gone: "NOT_FOUND", Usage: 15000, Expired: "INVALID_SESSION_ID",
			}
			c.differ(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("saw %+v\nwant %+v", got, want)
			}
			v, _ := sim.Order(orders[1])
			if v.Fields["Provisioning_Status__c"] != "Activating" {
				t.Errorf("the org shows %v", v.Fields)
			}
		})
	}
}
