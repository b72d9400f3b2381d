package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/rogpeppe/go-internal/testscript"

	"orderbridge/local/launch"
)

// Each script of testdata/script runs orderctl as an operator would, against a
// running system of its own.
func TestScripts(t *testing.T) {
	var seen calls
	t.Cleanup(func() { seen.judge(t) }) // once every script has ended
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			bin, err := filepath.Abs(filepath.Dir(orderctl))
			if err != nil {
				return err
			}
			template, err := filepath.Abs(built.Template)
			if err != nil {
				return err
			}
			s, err := launch.Start(launch.Options{Local: built.Local, Bin: built.Bin, Template: template, Env: quick})
			if s != nil {
				env.Defer(func() { _ = s.Stop() }) // a process that stayed is what the other tests are about
			}
			if err != nil {
				return err
			}
			for name, value := range s.Exports {
				env.Setenv(name, value)
			}
			between := seen.record(s.Exports["AWS_ENDPOINT_URL"])
			env.Defer(between.Close)
			env.Setenv("AWS_ENDPOINT_URL", between.URL)
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"http": request, "until": until, "letter": letter},
	})
}

// request is "http METHOD URL [BODY]": it wants a 2xx answer, and with ! none.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: http METHOD URL [BODY]")
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequestWithContext(context.Background(), args[0], args[1], body)
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", text)
	if (res.StatusCode/100 == 2) == neg {
		ts.Fatalf("%s %s: %s %s", args[0], args[1], res.Status, text)
	}
}

// letter is "letter QUEUE_URL BODY": it puts a message into a queue, as SQS itself
// moves a hint that failed five times into the dead letters.
func letter(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: letter QUEUE_URL BODY")
	}
	endpoint := ts.Getenv("AWS_ENDPOINT_URL")
	queues := sqs.New(sqs.Options{
		Region: ts.Getenv("AWS_REGION"), BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	_, err := queues.SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: &args[0], MessageBody: &args[1]})
	ts.Check(err)
}

// scriptLimit ends a script that would wait for ever; it measures nothing.
const scriptLimit = time.Minute

// until is "until PATTERN COMMAND…": it repeats the command until what it says
// matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	for {
		var said bytes.Buffer
		path := ts.Getenv("PATH")
		cmd := exec.CommandContext(ctx, filepath.Join(filepath.SplitList(path)[0], args[1]), args[2:]...)
		for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "API_URL", "TABLE_NAME", "PROVISION_FUNCTION", "WORK_DEAD_LETTER_URL", "STATUSPUSH_DEAD_LETTER_URL"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		cmd.Stdout, cmd.Stderr = &said, &said
		_ = cmd.Run() // what it says is what is asked for
		switch {
		case want.Match(said.Bytes()):
			return
		case ctx.Err() != nil:
			ts.Fatalf("it never said %q, but:\n%s", args[0], said.Bytes())
		}
	}
}

// Every verb of orderctl is used by a script.
func TestScriptsUseEveryVerb(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), orderctl, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	verbs := regexp.MustCompile(`(?m)^  orderctl (\S+) `).FindAllSubmatch(help, -1)
	if len(verbs) < 15 {
		t.Fatalf("the help lists %d verbs", len(verbs))
	}
	for _, verb := range verbs {
		if !regexp.MustCompile(`(?m)^(! )?(exec|until \S+|until '[^']*') orderctl ` + string(verb[1]) + `\b`).MatchString(all.String()) {
			t.Errorf("no script uses orderctl %s", verb[1])
		}
	}
}
