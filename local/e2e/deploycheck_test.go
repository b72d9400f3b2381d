package e2e_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
)

// deployment is what CodeDeploy sends to its hook.
const deployment = `{"DeploymentId":"d-1","LifecycleEventHookExecutionId":"hook-1"}`

// published are the functions of the template, the check of a deployment too, as
// versions that have no traffic yet. Table, queues and secrets are those of s.
type published struct {
	host *lambda.Host

	spec string // the AppSpec of CodeDeploy's deployment; "" = it is not there

	mu   sync.Mutex
	told []string // what CodeDeploy was told
	said strings.Builder
}

func publish(t *testing.T, s *system, settings map[string]string) *published {
	t.Helper()
	source, err := os.ReadFile(built.Template)
	if err != nil {
		t.Fatal(err)
	}
	const region, account = "us-east-1", "000000000000"
	parameters := map[string]string{"WhmcsApiUrl": s.WHMCS, "SfLoginUrl": s.Salesforce}
	maps.Copy(parameters, settings)
	model, err := samtemplate.Read(source, samtemplate.Options{
		Region: region, Account: account, Stack: "orderbridge", Parameters: parameters,
		QueueURL: func(name string) string { return s.AWS + "/" + account + "/" + name },
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &published{}
	p.host = lambda.New(region, p)
	t.Cleanup(p.host.Close)
	aws := httptest.NewServer(p)
	t.Cleanup(aws.Close)
	for _, f := range model.Functions {
		env := maps.Clone(f.Environment)
		env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_ENDPOINT_URL"] = "local", "local", s.AWS
		if f.Short == "deploycheck" {
			env["AWS_ENDPOINT_URL"] = aws.URL
		}
		if err := p.host.Add(lambda.Function{
			Name: f.Short, LogicalID: f.ID, FullName: f.Name, ARN: f.ARN, Alias: "1", Handler: f.Handler, MemoryMB: f.MemoryMB, Timeout: f.Timeout,
			Bootstrap: filepath.Join(built.Bin, f.Short, "bootstrap"), Environment: env,
		}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// ServeHTTP is Lambda's Invoke API and CodeDeploy.
func (p *published) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, codedeploy := strings.Cut(r.Header.Get("X-Amz-Target"), "CodeDeploy_20141006.")
	if !codedeploy {
		p.host.InvokeAPI().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	var answer any = map[string]string{"lifecycleEventHookExecutionId": "hook-1"}
	switch {
	case operation == "PutLifecycleEventHookExecutionStatus":
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.told = append(p.told, string(body))
		p.mu.Unlock()
	case operation == "GetDeployment" && p.spec != "":
		answer = map[string]any{"deploymentInfo": map[string]any{"revision": map[string]any{"revisionType": "AppSpecContent", "appSpecContent": map[string]string{"content": p.spec}}}}
	default:
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"__type": "DeploymentDoesNotExistException"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Write takes the functions' log.
func (p *published) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

// report is what the check of a deployment answers.
type report struct {
	OK       bool
	Versions []struct{ Version, Refused string }
}

// appSpec is what CodeDeploy says of a deployment of a function.
func appSpec(function string) string {
	return `{"version":0.0,"Resources":[{"f":{"Type":"AWS::Lambda::Function","Properties":{"Name":"orderbridge-` + function + `Function","Alias":"live","CurrentVersion":"0","TargetVersion":"1"}}}]}`
}

func TestADeploymentIsStoppedByASettingThatAFunctionRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"TICK_EVERY": "86400"})
	for _, c := range []struct {
		name     string
		settings map[string]string
		spec     string
		status   string
		refused  map[string]string // by function
	}{
		{"as it is", nil, "", "Succeeded", nil},
		{"of a function that works", map[string]string{"SfWebhookIpAllowlist": "13.108.0.1/14"}, appSpec("Status"), "Succeeded", nil},
		{"of the one that does not", map[string]string{"SfWebhookIpAllowlist": "13.108.0.1/14"}, appSpec("Fulfill"), "Failed", map[string]string{"Fulfill": "it cannot start: configuration_invalid: SF_WEBHOOK_IP_ALLOWLIST has host bits set in 13.108.0.1/14"}},
		{"a CIDR with host bits", map[string]string{"SfWebhookIpAllowlist": "13.108.0.1/14"}, "", "Failed", map[string]string{"Fulfill": "it cannot start: configuration_invalid: SF_WEBHOOK_IP_ALLOWLIST"}},
		{"two faults", map[string]string{"SfWebhookIpAllowlist": "10.0.0.1/33", "WhmcsMarker": "5,5"}, "", "Failed", map[string]string{"Fulfill": "it cannot start: configuration_invalid: SF_WEBHOOK_IP_ALLOWLIST", "Provision": "it cannot start: configuration_invalid: WHMCS_MARKER"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := publish(t, s, c.settings)
			p.spec = c.spec
			b, err := p.host.Invoke(t.Context(), "deploycheck", []byte(deployment))
			if err != nil {
				t.Fatalf("%v\n%s", err, p.said.String())
			}
			var r report
			if err := json.Unmarshal(b, &r); err != nil || len(r.Versions) != 4 && c.spec == "" || len(r.Versions) != 1 && c.spec != "" || r.OK != (c.status == "Succeeded") {
				t.Fatalf("%s %v", b, err)
			}
			for _, v := range r.Versions {
				var want string
				for function, why := range c.refused {
					if strings.HasSuffix(v.Version, function+"Function:1") {
						want = why
					}
				}
				if want == "" && v.Refused != "" || !strings.HasPrefix(v.Refused, want) {
					t.Errorf("%s: %q, want %q", v.Version, v.Refused, want)
				}
			}
			if len(p.told) != 1 || !strings.Contains(p.told[0], `"deploymentId":"d-1"`) || !strings.Contains(p.told[0], `"status":"`+c.status+`"`) {
				t.Errorf("CodeDeploy was told %v, want %s", p.told, c.status)
			}
		})
	}
}

func TestEachFunctionFindsWhatItCannotReach(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"TICK_EVERY": "86400"})
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for function, c := range map[string]struct {
		settings map[string]string
		bad      string
	}{
		"fulfill":    {nil, ""},
		"status":     {nil, ""},
		"provision":  {map[string]string{"WhmcsApiUrl": closed.URL}, "WHMCS: whmcs_unavailable"},
		"statuspush": {map[string]string{"SfLoginUrl": closed.URL}, "Salesforce: salesforce_unavailable"},
	} {
		t.Run(function, func(t *testing.T) {
			b, err := publish(t, s, c.settings).host.Invoke(t.Context(), function, []byte(`{"selfcheck":true}`))
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				OK       bool
				Findings []struct {
					Of, What, Seen, Do string
					OK                 bool
				}
			}
			if err := json.Unmarshal(b, &got); err != nil || got.OK != (c.bad == "") || len(got.Findings) == 0 {
				t.Fatalf("%s %v", b, err)
			}
			for _, f := range got.Findings {
				if seen := f.Of + ": " + f.Seen; !f.OK && (c.bad == "" || !strings.HasPrefix(seen, c.bad) || f.Do == "") {
					t.Errorf("bad finding %+v, want %s", f, c.bad)
				}
			}
		})
	}
}

// A host that floods the callout route takes its tokens from Salesforce too:
// that is why docs/threats.md names a client certificate.
func TestAFloodOfTheCalloutRouteLeavesThePortalItsTokens(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"TICK_EVERY": "86400", "CALLOUT_RATE_LIMIT": "1", "CALLOUT_BURST_LIMIT": "3"})
	const id = "801000000000001AAA"
	passed, status := 0, http.StatusUnauthorized
	for ; status == http.StatusUnauthorized && passed < 1000; passed++ {
		status, _, _ = s.Do("POST", s.API+"/orders/"+id+"/fulfill", "{}", "Content-Type", "application/json")
	}
	if status != http.StatusTooManyRequests || passed < 4 {
		t.Errorf("unsigned callout %d got %d", passed, status)
	}
	if status, _, body := s.Do("GET", s.API+"/orders/"+id, nil); status != http.StatusUnauthorized {
		t.Errorf("the portal got %d %s", status, body)
	}
}
