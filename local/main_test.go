package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/golang-jwt/jwt/v5"

	dynamo "orderbridge/local/dynamodb"
	runtime "orderbridge/local/lambda"
	"orderbridge/local/localtest"
)

// built is the local binary and, in the place of each of the four functions,
// one that does what its event asks for.
var built localtest.Options

var functions = []string{"fulfill", "provision", "status", "statuspush"}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "local")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := localtest.Build("..", dir, map[string]string{"./local": "local", "./local/lambda/testdata/bootstrap": "bootstrap"}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for _, f := range functions {
			err := os.MkdirAll(filepath.Join(dir, "bin", f), 0o755)
			if err == nil {
				err = os.Link(filepath.Join(dir, "bootstrap"), filepath.Join(dir, "bin", f, "bootstrap"))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		built = localtest.Options{Local: filepath.Join(dir, "local"), Bin: filepath.Join(dir, "bin"), Template: "../template.yaml"}
		return m.Run()
	}())
}

func with(env map[string]string) localtest.Options {
	o := built
	o.Env = env
	return o
}

func stats(s *localtest.System) (all map[string]runtime.Stats) {
	s.JSON("GET", s.API+"/_local/functions", nil, &all)
	return all
}

func TestFunctionsRunBehindTheGateway(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	status, header, body := s.Do("POST", s.API+"/orders/801/fulfill", `{}`, "Content-Type", "application/json")
	if status != 200 || header.Get("Apigw-Requestid") == "" || !bytes.Contains(body, []byte(`"pid"`)) {
		t.Errorf("callout: %d %v %s", status, header, body)
	}
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/nothing":    {404, `{"message":"Not Found"}`},
		"/orders/801": {401, `{"message":"Unauthorized"}`},
	} {
		if status, _, body := s.Do("GET", s.API+path, nil); status != want.status || string(body) != want.body {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	var got struct{ Token, Secret string }
	s.JSON("GET", s.API+"/_local/token?account=001x&scope=orders.read.any", nil, &got)
	if status, _, body := s.Do("GET", s.API+"/orders/801", nil, "Authorization", "Bearer "+got.Token); status != 200 {
		t.Errorf("portal: %d %s", status, body)
	}
	s.JSON("GET", s.API+"/_local/secret", nil, &got)
	if len(got.Secret) != 64 {
		t.Errorf("secret of %d characters", len(got.Secret))
	}
	all := stats(s)
	if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, functions) || all["fulfill"].Invocations != 1 || all["status"].Invocations != 1 {
		t.Errorf("functions %+v", all)
	}
}

func TestKillIsSeenByTheCaller(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	s.Eventually("each function has a process", func() bool {
		for _, f := range stats(s) {
			if f.Processes != 1 {
				return false
			}
		}
		return true
	})
	before := s.Children()
	var out struct{ Killed int }
	s.JSON("POST", s.API+"/_local/kill", map[string]string{"function": "provision"}, &out)
	if left := s.Children(); out.Killed != 1 || len(left) != len(before)-1 {
		t.Errorf("killed %d, %d of %d are left", out.Killed, len(left), len(before))
	}
	for _, body := range []string{`{"function":"nobody"}`, `{}`} {
		if status, _, answer := s.Do("POST", s.API+"/_local/kill", body); status != 404 || !json.Valid(answer) {
			t.Errorf("kill %s: %d %s", body, status, answer)
		}
	}
	if status, _, _ := s.Do("POST", s.API+"/_local/kill", `{`); status != 400 {
		t.Errorf("kill with a broken body: %d", status)
	}
	s.JSON("POST", s.API+"/_local/tick", nil, nil)
	s.Eventually("the tick ran in a new process", func() bool { p := stats(s)["provision"]; return p.Invocations >= 1 && p.ColdStarts == 2 })
}

func TestEverythingIsGoneAfterSignals(t *testing.T) {
	for name, end := range map[string]func(*localtest.System){"SIGTERM": (*localtest.System).Stop, "SIGKILL": (*localtest.System).Crash} {
		t.Run(name, func(t *testing.T) {
			s := localtest.Start(t, built)
			s.Eventually("four processes", func() bool { return len(s.Children()) == 4 })
			stats(s) // connections are open, and no function has closed its own
			if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], "queued"); err != nil {
				t.Fatal(err)
			}
			end(s)
			if left := s.Children(); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			for _, url := range []string{s.API, s.WHMCS, s.Salesforce, s.AWS} {
				// Free for those too who bind without SO_REUSEADDR, after an
				// orderly end.
				lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
					if name == "SIGKILL" {
						return nil
					}
					if ctl := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) }); ctl != nil {
						return ctl
					}
					return err
				}}
				l, err := lc.Listen(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Errorf("port of %s is not free: %v", url, err)
					continue
				}
				l.Close()
			}
		})
	}
}

func TestAPortInUseIsOneLine(t *testing.T) {
	for _, variable := range []string{"API_PORT", "WHMCS_PORT", "SF_PORT", "AWS_PORT"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		code, said := localtest.StartFails(t, with(map[string]string{variable: port}))
		if want := fmt.Sprintf("local: port %s (%s) is in use on 127.0.0.1: end what uses it, or set %s=0 for a free one\n", port, variable, variable); code != 1 || said != want {
			t.Errorf("exit %d, said %q, want %q", code, said, want)
		}
		l.Close()
	}
}

func TestBadSettingsAreOneLineThatNamesThem(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"API_PORT", "http"}, {"AWS_PORT", "70000"}, {"TICK_EVERY", "soon"}, {"TICK_EVERY", "0"}, {"ALARM_MINUTE", "61"}, {"ALARM_MINUTE", "1s"}, {"LISTEN_HOST", "192.0.2.1"}, {"LISTEN_HOST", "localhost"}, {"DYNAMODB_ENDPOINT", "nowhere"}} {
		code, said := localtest.StartFails(t, with(map[string]string{c[0]: c[1]}))
		if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, c[0]) {
			t.Errorf("%s=%s: exit %d, said %q", c[0], c[1], code, said)
		}
	}
	o := built
	o.Template = filepath.Join(t.TempDir(), "template.yaml")
	source, err := os.ReadFile(built.Template)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Template, append(source, "\nResources2: {}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := localtest.StartFails(t, o); code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "section Resources2 is not supported") {
		t.Errorf("template: exit %d, said %q", code, said)
	}
	o = built
	o.Bin = t.TempDir()
	if code, said := localtest.StartFails(t, o); code != 1 || !strings.Contains(said, "find bootstrap of") {
		t.Errorf("no bootstrap: exit %d, said %q", code, said)
	}
}

func TestEnvironmentWinsOverTheTemplate(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, with(map[string]string{"TABLE_NAME": "mine", "PORTAL_ACCOUNT_CLAIM": "acct", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}))
	if s.Exports["TABLE_NAME"] != "mine" || s.Exports["AWS_ENDPOINT_URL"] != s.AWS {
		t.Errorf("exports %v", s.Exports)
	}
	for _, pid := range s.Children() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("\x00TABLE_NAME=mine\x00")) {
			t.Errorf("process %d has another table", pid)
		}
	}
	var got struct{ Token string }
	s.JSON("GET", s.API+"/_local/token?account=001x", nil, &got)
	claims, err := jwtClaims(got.Token)
	if err != nil || claims["acct"] != "001x" {
		t.Errorf("claims %v, %v", claims, err)
	}
}

func TestAFunctionThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	o := with(nil)
	source, err := os.ReadFile(o.Template)
	if err != nil {
		t.Fatal(err)
	}
	o.Template = filepath.Join(t.TempDir(), "template.yaml")
	changed := strings.Replace(string(source), "WEBHOOK_SECRET_ID:", "INIT: refuse\n          WEBHOOK_SECRET_ID:", 1)
	if err := os.WriteFile(o.Template, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := localtest.StartFails(t, o)
	if want := "local: fulfill does not start: configuration_invalid: TABLE_NAME is missing\n"; code != 1 || !strings.HasSuffix(said, want) {
		t.Errorf("exit %d, said %s", code, said)
	}
	o.Env = map[string]string{"SCREEN": "text"}
	if _, said := localtest.StartFails(t, o); strings.Count(said, "\n") != 1 {
		t.Errorf("more than one line: %s", said)
	}
}

// What happens to an order is one line each; metrics and the functions' JSON are
// not on the screen.
func TestTheScreenIsForPeople(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, with(map[string]string{"SCREEN": "text", "WHMCS_SETTEL": "5", "HOME_PAGE": "x", "WHMCS_COLOUR": "red"}))
	s.WaitLog("WHMCS_SETTEL is read by nothing: WHMCS_SETTLE is meant?")
	s.WaitLog("WHMCS_COLOUR is read by nothing")
	if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], "queued"); err != nil {
		t.Fatal(err)
	}
	s.Do("POST", s.API+"/orders/801000000000001AAA/fulfill", `{}`)
	s.WaitLog("801000000000001AAA  callout     answered")
	for _, not := range []string{"{\"", "HOME_PAGE", "_aws"} {
		if strings.Contains(s.Logs(), not) {
			t.Errorf("the screen has %s:\n%s", not, s.Logs())
		}
	}
}

func TestABadSwitchIsNamed(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"DEMO": "yes", "SCREEN": "colour"} {
		if code, said := localtest.StartFails(t, with(map[string]string{name: value})); code != 1 || !strings.Contains(said, name+" must be") {
			t.Errorf("%s: exit %d, said %s", name, code, said)
		}
	}
}

func config(endpoint string) aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
}

func putOrder(ctx context.Context, endpoint, table, wrote string) error {
	_, err := dynamodb.NewFromConfig(config(endpoint)).PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "order#801000000000001AAA"}, "signal": &types.AttributeValueMemberS{Value: wrote}}})
	return err
}

func TestStreamReachesWorkersAndPush(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], "queued"); err != nil {
		t.Fatal(err)
	}
	s.Eventually("provision and statuspush ran", func() bool {
		all := stats(s)
		return all["provision"].Invocations == 1 && all["statuspush"].Invocations == 1
	})
	// A lease wakes no function: the status that follows it is the next to arrive.
	for _, wrote := range []string{"lease", "note", "status"} {
		if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], wrote); err != nil {
			t.Fatal(err)
		}
	}
	s.Eventually("statuspush ran again", func() bool { return stats(s)["statuspush"].Invocations == 2 })
	if n := stats(s)["provision"].Invocations; n != 1 {
		t.Errorf("provision ran %d times", n)
	}
	attrs, err := sqs.NewFromConfig(config(s.AWS)).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(s.Exports["WORK_QUEUE_URL"]), AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	if attrs.Attributes["ApproximateNumberOfMessages"] != "0" || attrs.Attributes["ApproximateNumberOfMessagesNotVisible"] != "0" {
		t.Errorf("work queue %v", attrs.Attributes)
	}
}

func TestSecretsHoldTheSimulatorsCredentials(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	c := secretsmanager.NewFromConfig(config(s.AWS))
	value := func(variable string) string {
		t.Helper()
		out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(s.Exports[variable])})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.SecretString)
	}
	var whmcs struct{ Identifier, Secret string }
	if err := json.Unmarshal([]byte(value("WHMCS_SECRET_ID")), &whmcs); err != nil {
		t.Fatal(err)
	}
	form := fmt.Sprintf("identifier=%s&secret=%s&action=WhmcsDetails&responsetype=json", whmcs.Identifier, whmcs.Secret)
	if status, _, body := s.Do("POST", s.WHMCS+"/includes/api.php", form, "Content-Type", "application/x-www-form-urlencoded"); status != 200 || !bytes.Contains(body, []byte(`"success"`)) {
		t.Errorf("whmcs: %d %s", status, body)
	}
	var sf struct{ ClientID, ClientSecret string }
	if err := json.Unmarshal([]byte(value("SALESFORCE_SECRET_ID")), &sf); err != nil {
		t.Fatal(err)
	}
	form = fmt.Sprintf("grant_type=client_credentials&client_id=%s&client_secret=%s", sf.ClientID, sf.ClientSecret)
	if status, _, body := s.Do("POST", s.Salesforce+"/services/oauth2/token", form, "Content-Type", "application/x-www-form-urlencoded"); status != 200 || !bytes.Contains(body, []byte(`"access_token"`)) {
		t.Errorf("salesforce: %d %s", status, body)
	}
	var got struct{ Secret string }
	s.JSON("GET", s.API+"/_local/secret", nil, &got)
	if got.Secret != value("WEBHOOK_SECRET_ID") {
		t.Error("the local route tells another secret")
	}
}

func TestAnAWSClientInvokesAFunction(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	c := lambda.NewFromConfig(config(s.AWS))
	out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("ProvisionFunction"), Payload: []byte(`{"Records":[]}`)})
	if err != nil || aws.ToString(out.ExecutedVersion) != "$LATEST" || stats(s)["provision"].Invocations != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("orderbridge-StatusFunction"), InvocationType: lambdatypes.InvocationTypeDryRun}); err != nil || out.StatusCode != 204 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAnotherDynamoDBInItsPlace(t *testing.T) {
	t.Parallel()
	db := dynamo.New(dynamo.Options{})
	defer db.Close()
	srv := httptest.NewServer(db)
	defer srv.Close()
	s := localtest.Start(t, with(map[string]string{"DYNAMODB_ENDPOINT": srv.URL}))
	if err := putOrder(t.Context(), srv.URL, s.Exports["TABLE_NAME"], "queued"); err != nil {
		t.Fatal(err)
	}
	s.Eventually("provision ran", func() bool { return stats(s)["provision"].Invocations == 1 })
	// The common address reaches it too, and a second start takes the table as it is.
	if err := putOrder(t.Context(), s.AWS, s.Exports["TABLE_NAME"], "lease"); err != nil {
		t.Error(err)
	}
	s.Stop()
	again := localtest.Start(t, with(map[string]string{"DYNAMODB_ENDPOINT": srv.URL}))
	if again.Exports["AWS_ENDPOINT_URL_DYNAMODB"] != srv.URL {
		t.Errorf("exports %v", again.Exports)
	}
}

func TestPortalTakesSigV4WithoutAnIssuer(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, with(map[string]string{"PORTAL_ISSUER": ""}))
	if status, _, body := s.Do("GET", s.API+"/orders/801", nil); status != 403 || string(body) != `{"message":"Forbidden"}` {
		t.Errorf("%d %s", status, body)
	}
}

func TestConsolePageIsStrict(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	status, header, body := s.Do("GET", s.API+"/", nil)
	csp := header.Get("Content-Security-Policy")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("page: %d, %v", status, header)
	}
	for _, outside := range []string{"http://", "https://", "onclick=", "style="} {
		if bytes.Contains(body, []byte(outside)) {
			t.Errorf("the page has %s", outside)
		}
	}
	for _, address := range []string{s.API + "/_local/secret", s.WHMCS + "/_sim/orders", s.WHMCS + "/includes/api.php", s.Salesforce + "/_sim/journal", s.Salesforce + "/services/data", s.AWS + "/"} {
		for rule, headers := range map[string][]string{"another origin": {"Origin", "https://evil.example"}, "another name for this machine": {"Host", "evil.example"}} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
			if err != nil {
				t.Fatal(err)
			}
			if headers[0] == "Host" {
				r.Host = headers[1]
			} else {
				r.Header.Set(headers[0], headers[1])
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 403 {
				t.Errorf("%s, %s: %d", address, rule, res.StatusCode)
			}
		}
	}
	id := "801000000000001AAA"
	s.JSON("PUT", s.API+"/_local/orders/"+id, map[string]any{"accountId": "001000000000001AAA", "whmcsClientId": 42, "items": []any{map[string]any{"whmcsProductId": 7, "billingCycle": "monthly", "quantity": 1}}}, nil)
	var books struct {
		Salesforce []struct{ ID string }
		WHMCS      []any
	}
	s.JSON("GET", s.API+"/_local/orders", nil, &books)
	if len(books.Salesforce) != 1 || books.Salesforce[0].ID != id || books.WHMCS == nil {
		t.Errorf("books %+v", books)
	}
	var sent struct{ Status int }
	s.JSON("POST", s.API+"/_local/callout", map[string]string{"orderId": id}, &sent)
	if sent.Status != 200 || stats(s)["fulfill"].Invocations != 1 {
		t.Errorf("callout %+v", sent)
	}
}

func TestHintsAndUnknownTargets(t *testing.T) {
	t.Parallel()
	s := localtest.Start(t, built)
	var set struct {
		Doubled float64
		LateMs  int
		Lost    float64
	}
	s.JSON("POST", s.API+"/_local/hints", map[string]any{"doubled": 0.5, "lateMs": 20, "lost": 0.25}, &set)
	s.JSON("GET", s.API+"/_local/hints", nil, &set)
	if set.Doubled != 0.5 || set.LateMs != 20 || set.Lost != 0.25 {
		t.Errorf("hints %+v", set)
	}
	if status, _, _ := s.Do("POST", s.API+"/_local/hints", `{"lost":2}`); status != 400 {
		t.Errorf("hints out of range: %d", status)
	}
	if status, _, body := s.Do("POST", s.AWS+"/", `{}`, "X-Amz-Target", "Kinesis_20131202.ListStreams"); status != 400 || !bytes.Contains(body, []byte("UnknownOperationException")) {
		t.Errorf("unknown target: %d %s", status, body)
	}
	if status, _, body := s.Do("GET", s.API+"/_local/nothing", nil); status != 404 || !json.Valid(body) {
		t.Errorf("unknown local route: %d %s", status, body)
	}
	var state map[string]any
	s.JSON("GET", s.API+"/_local/dynamo", nil, &state)
	if len(state) == 0 {
		t.Error("no state of the table")
	}
}

// jwtClaims reads the claims of a token without checking it.
func jwtClaims(token string) (claims map[string]any, err error) {
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return nil, err
	}
	return parsed.Claims.(jwt.MapClaims), nil
}
