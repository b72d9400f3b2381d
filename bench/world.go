package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"orderbridge/local/dynamodb"
	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
	"orderbridge/local/secretsmanager"
	"orderbridge/local/sqs"
	"orderbridge/local/tables"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs/whmcstest"
)

const (
	account = "000000000000"
	region  = "eu-central-1"
	// Credentials that the simulators take and the secrets hold.
	whmcsLogin      = `{"identifier":"bench-identifier","secret":"bench-secret"}`
	salesforceLogin = `{"clientId":"bench-client","clientSecret":"bench-client-secret"}`
	webhookSecret   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// world is what every contestant talks to: AWS over TLS, the vendors over plain
// HTTP, all in this process and all instant.
type world struct {
	model      *samtemplate.Model
	db         *dynamodb.DB
	secrets    *secretsmanager.Service
	queues     *sqs.Service
	whmcs      *whmcstest.Server
	durable    *durable
	redis      *redis // nil without the rivals
	salesforce *salesforcetest.Sim
	host       *lambda.Host
	logs       *logMeter

	aws, vendors *httptest.Server
	roots        string // folder of the root certificates, the world's own among them
	calls        callMeter
}

// newWorld starts everything; dir keeps what is made for the run.
func newWorld(ctx context.Context, template, dir string) (_ *world, err error) {
	w := &world{logs: &logMeter{}, durable: newDurable(), db: dynamodb.New(dynamodb.Options{Region: region, Account: account}), secrets: secretsmanager.New(nil), queues: sqs.New()}
	w.host = lambda.New(region, w.logs)
	w.whmcs = whmcstest.New(whmcstest.Options{
		Identifier: "bench-identifier", Secret: "bench-secret", Fail: func(string, ...any) {}, // rivals make doubles: they are counted in the books
	})
	w.aws = httptest.NewUnstartedServer(w.services())
	w.aws.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that is killed breaks its handshake off
	w.aws.StartTLS()
	w.vendors = httptest.NewServer(w.calls.of(w.services()))
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.salesforce, err = salesforcetest.New(salesforcetest.Options{ClientID: "bench-client", ClientSecret: "bench-client-secret", DailyLimit: 1 << 30}); err != nil {
		return nil, fmt.Errorf("start salesforce: %w", err)
	}
	source, err := os.ReadFile(template)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	w.model, err = samtemplate.Read(source, samtemplate.Options{
		Region: region, Account: account, Stack: "bench",
		Parameters: map[string]string{"WhmcsApiUrl": w.vendors.URL, "SfLoginUrl": w.vendors.URL, "PortalIssuer": w.vendors.URL, "PortalAudience": "bench"},
		QueueURL:   func(name string) string { return w.aws.URL + "/" + account + "/" + name },
	})
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	for _, q := range w.model.Queues {
		w.queues.Add(sqs.Settings{Name: q.Name, URL: q.URL, ARN: q.ARN, Visibility: q.Visibility, Retention: q.Retention, DeadLetterARN: q.DeadLetterARN, MaxReceives: q.MaxReceives})
	}
	for _, s := range w.model.Secrets {
		value := map[string]string{"WebhookSecret": webhookSecret, "WhmcsSecret": whmcsLogin, "SalesforceSecret": salesforceLogin}[s.ID]
		if err := w.secrets.Create(s.Name, s.ARN, value); err != nil {
			return nil, fmt.Errorf("create secret %s: %w", s.ID, err)
		}
	}
	for _, t := range append(slices.Clone(w.model.Tables), plainTables()...) {
		if err := tables.Create(ctx, w.config(), t); err != nil {
			return nil, fmt.Errorf("create tables: %w", err)
		}
	}
	w.roots = filepath.Join(dir, "roots")
	return w, w.writeRoots("ca-bundle.crt", systemRoots()...)
}

// Tables of the contestants that are not ours.
const floorTable, powertoolsTable = "floor", "powertools"

func plainTables() []samtemplate.Table {
	one := func(name, key string) samtemplate.Table {
		return samtemplate.Table{Name: name, Attributes: []samtemplate.Attribute{{Name: key, Type: "S"}}, Key: []samtemplate.KeyPart{{Name: key, Kind: "HASH"}}}
	}
	return []samtemplate.Table{one(floorTable, "pk"), one(powertoolsTable, "id")}
}

// systemRoots lists where systems keep their bundle of root certificates.
func systemRoots() []string {
	return []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}
}

// writeRoots writes a bundle: the first of the files that is there, and the
// certificate of the world's own AWS.
func (w *world) writeRoots(name string, from ...string) error {
	if err := os.MkdirAll(w.roots, 0o750); err != nil {
		return fmt.Errorf("make folder of roots: %w", err)
	}
	bundle := rootOf(w.aws)
	for _, path := range from {
		if b, err := os.ReadFile(path); err == nil {
			bundle = append(b, bundle...)
			break
		}
	}
	if err := os.WriteFile(filepath.Join(w.roots, name), bundle, 0o600); err != nil { //nolint:gosec // the folder is the operator's own
		return fmt.Errorf("write roots: %w", err)
	}
	return nil
}

// rootOf is the root by which a server's certificate is trusted. It is the same
// for every server of httptest.
func rootOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// config points an SDK of this process at the world, without TLS: it is not
// what is measured.
func (w *world) config() aws.Config {
	return aws.Config{Region: region, BaseEndpoint: &w.vendors.URL, Credentials: credentials.NewStaticCredentialsProvider("bench", "bench", "")}
}

// services finds the service of a request: AWS by its target, the others by
// their path.
func (w *world) services() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch {
		case strings.HasPrefix(service, "DynamoDB"):
			w.db.ServeHTTP(rw, r)
		case service == "secretsmanager":
			w.secrets.ServeHTTP(rw, r)
		case service == "AmazonSQS":
			w.queues.ServeHTTP(rw, r)
		case strings.HasPrefix(r.URL.Path, durablePath):
			w.durable.ServeHTTP(rw, r)
		case strings.HasPrefix(r.URL.Path, "/services/"):
			w.salesforce.ServeHTTP(rw, r)
		default:
			w.whmcs.ServeHTTP(rw, r)
		}
	})
}

// environment is what a function sees besides its own variables: where AWS is,
// and which roots it trusts, in the terms of each language. The folder stands for
// that of Amazon Linux, which Go reads too.
func (w *world) environment(own map[string]string, aws string) map[string]string {
	bundle := filepath.Join(w.roots, "ca-bundle.crt")
	env := map[string]string{
		"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench",
		"SSL_CERT_FILE": bundle, "SSL_CERT_DIR": w.roots, "NODE_EXTRA_CA_CERTS": bundle,
	}
	maps.Copy(env, own)
	for _, service := range []string{"DYNAMODB", "SECRETS_MANAGER", "SQS", "LAMBDA"} {
		env["AWS_ENDPOINT_URL_"+service] = aws
	}
	return env
}

// secret returns the ARN of one of the template's secrets.
func (w *world) secret(id string) string {
	for _, s := range w.model.Secrets {
		if s.ID == id {
			return s.ARN
		}
	}
	return ""
}

// function returns one of the template's functions by its short name.
func (w *world) function(short string) samtemplate.Function {
	i := slices.IndexFunc(w.model.Functions, func(f samtemplate.Function) bool { return f.Short == short })
	return w.model.Functions[i]
}

func (w *world) close() {
	w.host.Close()
	w.whmcs.Close()
	for _, s := range []*httptest.Server{w.aws, w.vendors} {
		s.CloseClientConnections()
		s.Close()
	}
	w.db.Close()
	if w.redis != nil {
		_ = w.redis.close() // it holds nothing
	}
}

// callMeter sums the time in which the world worked on the vendors' calls.
type callMeter struct {
	mu   sync.Mutex
	busy time.Duration
}

func (m *callMeter) of(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.busy += time.Since(began)
		}()
		next.ServeHTTP(w, r)
	})
}

// take returns what was summed since the last take.
func (m *callMeter) take() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.busy
	m.busy = 0
	return d
}

// logMeter counts what each function prints, and keeps the end of it for what is
// said of a failure. The host writes each line as "function | line\n".
type logMeter struct {
	mu    sync.Mutex
	bytes map[string]int
	last  map[string][]byte
}

// keptLog is how much of a function's log is kept, in bytes.
const keptLog = 4000

// Write implements io.Writer.
func (m *logMeter) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, line, _ := bytes.Cut(b, []byte(" | "))
	if m.bytes == nil {
		m.bytes, m.last = map[string]int{}, map[string][]byte{}
	}
	m.bytes[string(name)] += len(line)
	kept := append(m.last[string(name)], line...)
	m.last[string(name)] = kept[max(0, len(kept)-keptLog):]
	return len(b), nil
}

// take returns the bytes printed by functions since the last take of them.
func (m *logMeter) take(functions []string) (sum int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range functions {
		sum += m.bytes[f]
		delete(m.bytes, f)
	}
	return sum
}

// count returns how many bytes were printed and not taken.
func (m *logMeter) count() (sum int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.bytes {
		sum += n
	}
	return sum
}

// tail returns the end of a function's log.
func (m *logMeter) tail(function string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.last[function])
}

var _ io.Writer = (*logMeter)(nil)
