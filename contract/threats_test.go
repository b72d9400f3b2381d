package contract_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryThreatHasItsTests reads docs/threats.md: every row names tests that
// exist in the folder it says, no number comes twice, and none is missing.
func TestEveryThreatHasItsTests(t *testing.T) {
	doc, err := os.ReadFile("../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^\| (\d+) \|.*\| (.*) \|$`)
	name := regexp.MustCompile("`([a-z0-9/]+|\\.ci/template_test\\.py): ((?:Test|Fuzz)[A-Za-z0-9]+|test_[a-z0-9_]+)`")
	seen := map[int]bool{}
	known := map[string][]string{}
	for line := range strings.Lines(string(doc)) {
		m := row.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			if regexp.MustCompile(`^\| *\d`).MatchString(line) {
				t.Errorf("a row cannot be read: %s", line)
			}
			continue
		}
		number, err := strconv.Atoi(m[1])
		if err != nil || seen[number] {
			t.Errorf("row %s comes twice", m[1])
		}
		seen[number] = true
		parts := strings.Split(m[2], "<br>")
		for _, part := range parts {
			ref := name.FindStringSubmatch(part)
			if ref == nil || ref[0] != part {
				t.Errorf("row %d: %q does not name a test", number, part)
				continue
			}
			folder, test := ref[1], ref[2]
			if known[folder] == nil {
				known[folder] = testsIn(t, "../"+folder)
			}
			if !slices.Contains(known[folder], test) {
				t.Errorf("row %d: %s has no %s", number, folder, test)
			}
		}
	}
	for n := 1; n <= 92; n++ {
		if !seen[n] {
			t.Errorf("row %d is missing", n)
		}
	}
}

// TestEachFaultOfTheTrackRecordIsFoundAgain reads docs/track-record.md: every
// row names what finds the fault again, and it is there.
func TestEachFaultOfTheTrackRecordIsFoundAgain(t *testing.T) {
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rows, edits := text("docs/model/run.sh"), text("local/mutate/edits.go")
	name := regexp.MustCompile("^`([a-z0-9/ ]+|\\.ci/template_test\\.py): ([A-Za-z0-9_-]+)`$")
	known := map[string][]string{}
	n := 0
	for line := range strings.Lines(text("docs/track-record.md")) {
		if !regexp.MustCompile(`^\| *\d`).MatchString(line) {
			continue
		}
		n++
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || cells[0] != "| "+strconv.Itoa(n) {
			t.Errorf("not row %d with what, found by and found again by: %s", n, line)
			continue
		}
		for ref := range strings.SplitSeq(strings.TrimSuffix(cells[3], " |"), "<br>") {
			m := name.FindStringSubmatch(ref)
			if m == nil {
				t.Errorf("row %d: %q names nothing that finds it", n, ref)
				continue
			}
			var there bool
			switch m[1] {
			case "docs/model":
				there = regexp.MustCompile(`(?m)^\s*` + m[2] + ` *\|`).MatchString(rows)
			case "make mutate":
				there = strings.Contains(edits, "name: "+strconv.Quote(m[2])+",")
			default:
				if known[m[1]] == nil {
					known[m[1]] = testsIn(t, "../"+m[1])
				}
				there = slices.Contains(known[m[1]], m[2])
			}
			if !there {
				t.Errorf("row %d: %s is not there", n, ref)
			}
		}
	}
	if n < 60 {
		t.Errorf("%d rows: the page is not read", n)
	}
}

// pythonTestsIn lists the tests of a file of Python.
func pythonTestsIn(t *testing.T, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^    def (test_\w+)`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// testsIn lists the tests and fuzz targets of a folder, or the tests of a file of
// Python.
func testsIn(t *testing.T, folder string) []string {
	t.Helper()
	if strings.HasSuffix(folder, ".py") {
		return pythonTestsIn(t, folder)
	}
	files, err := filepath.Glob(folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				all = append(all, fn.Name.Name)
			}
		}
	}
	return all
}

// What must not stand in a file that is shipped. Test secrets stand in tests,
// vectors and simulators only.
var secretPatterns = map[string]*regexp.Regexp{
	"an AWS access key":  regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`),
	"a private key":      regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]`),
	"a literal secret":   regexp.MustCompile(`(?i)(secret|password|token|hmac_?key|signing_?key)["']?\s*(:=|=|:)\s*["'][^"'{}$<>\s]{16,}["']`),
	"a GitHub token":     regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{36}\b`),
	"a Salesforce token": regexp.MustCompile(`\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{40,}`),
}

func TestTheSourceHoldsNoSecret(t *testing.T) {
	read := 0
	for _, top := range []string{"../functions", "../shared", "../cmd", "../sfdx", "../portal", "../template.yaml", "../samconfig.toml", "../Makefile", "../events"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			name := d.Name()
			if d.IsDir() {
				if name == "testdata" || name == "node_modules" || strings.HasSuffix(name, "test") {
					return filepath.SkipDir
				}
				return nil
			}
			switch filepath.Ext(name) {
			case ".go", ".yaml", ".toml", ".json", ".cls", ".xml", ".js", ".ts", "":
			default:
				return nil
			}
			if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "Test.cls") || strings.Contains(name, ".test.") {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			read++
			for what, p := range secretPatterns {
				if m := p.Find(b); m != nil {
					t.Errorf("%s holds %s: %.20s…", path, what, m)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 20 {
		t.Errorf("read %d files: the walk is broken", read)
	}
}

// The patterns find what they are for.
func TestSecretPatterns(t *testing.T) {
	for what, text := range map[string]string{
		"an AWS access key":  "key = AKIA" + "IOSFODNN7EXAMPLE",
		"a private key":      "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
		"a literal secret":   `WEBHOOK_SECRET = "` + `correct-horse-battery` + `"`,
		"a GitHub token":     "ghp_" + strings.Repeat("a", 36),
		"a Salesforce token": "00D000000000001EAA!" + strings.Repeat("a", 60),
	} {
		if !secretPatterns[what].MatchString(text) {
			t.Errorf("%s is not found in %s", what, text)
		}
	}
}

// What builds, deploys and tests is installed by hash, and is the version that
// the Makefile names.
func TestPythonToolsArePinnedByHash(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	makefile := read("Makefile")
	for name, versions := range map[string][]string{
		".ci/pip/sam.txt":          {"SAM_CLI", "aws-sam-cli", "CFN_LINT", "cfn-lint"},
		".ci/pip/ministack.txt":    {"MINISTACK", "ministack", "SAM_TRANSLATOR", "aws-sam-translator", "CRYPTOGRAPHY", "cryptography"},
		".ci/pip/schemathesis.txt": {"SCHEMATHESIS", "schemathesis"},
		".ci/pip/checkov.txt":      {"CHECKOV", "checkov"},
		"shared/salesforce/salesforcetest/clients/requirements.txt": nil,
	} {
		text := read(name)
		packages := regexp.MustCompile(`(?m)^[A-Za-z0-9._-]+==\S+`).FindAllString(text, -1)
		for _, p := range packages {
			if !strings.Contains(text, p+" \\\n    --hash=sha256:") {
				t.Errorf("%s: %s has no hash", name, p)
			}
		}
		if len(packages) < 10 {
			t.Errorf("%s names %d packages", name, len(packages))
		}
		for i := 0; i < len(versions); i += 2 {
			m := regexp.MustCompile(`(?m)^` + versions[i] + ` *:= v?(\S+)$`).FindStringSubmatch(makefile)
			if m == nil || !slices.Contains(packages, versions[i+1]+"=="+m[1]) {
				t.Errorf("%s: %s is not the version of the Makefile, %v", name, versions[i+1], m)
			}
		}
	}
	installs := strings.Count(makefile, "pip install")
	if installs < 5 || strings.Count(makefile, "--no-deps --require-hashes -r") != installs {
		t.Error("the Makefile installs some of them without their hashes")
	}
}
