package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each edit still fits the code, and the tests that find it are there: what has
// changed is told here, not only by the slow run.
func TestEachEditFitsTheCode(t *testing.T) {
	top := filepath.Join("..", "..")
	seen := map[string]bool{}
	for _, e := range edits() {
		if seen[e.name] {
			t.Errorf("two edits are named %s", e.name)
		}
		seen[e.name] = true
		if e.why == "" || e.old == e.new || len(e.tests) == 0 {
			t.Errorf("%s: why, a change and a test are needed", e.name)
		}
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(e.file)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.in(string(text)); err != nil {
			t.Error(err)
		}
		for _, name := range e.tests {
			if !hasTest(t, filepath.Join(top, filepath.FromSlash(e.pkg)), name) {
				t.Errorf("%s: %s has no test %s", e.name, e.pkg, name)
			}
		}
	}
	if len(seen) < 40 {
		t.Errorf("%d edits, want at least 40", len(seen))
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + name + `\(\w+ \*testing\.[TF]\)`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(text) {
			return true
		}
	}
	return false
}

// A test that fails is a find; a package that does not compile, and an edit
// that does not fit, are errors; an edit that no test sees survives.
func TestWhatIsAFind(t *testing.T) {
	module := func(t *testing.T) string {
		t.Helper()
		dir := t.TempDir()
		for name, text := range map[string]string{
			"go.mod":      "module example\n\ngo 1.26.0\n",
			"p/p.go":      "package p\n\nfunc Double(n int) int { return 2 * n }\n",
			"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestDouble(t *testing.T) {\n\tif Double(2) != 4 {\n\t\tt.Error(\"not doubled\")\n\t}\n}\n\nfunc TestNothing(t *testing.T) {}\n",
		} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, c := range []struct{ name, old, new, test, want string }{
		{"found", "2 * n", "3 * n", "TestDouble", ""},
		{"it compiles no more", "2 * n", "2 * m", "TestDouble", "no test finds"},
		{"it does not fit", "4 * n", "3 * n", "TestDouble", "stands 0 times"},
		{"no test sees it", "2 * n", "n + n", "TestDouble", "no test finds"},
		{"another test sees it", "2 * n", "3 * n", "TestNothing", "no test finds"},
		{"there is no such test", "2 * n", "3 * n", "TestOther", "has no test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := module(t)
			e := edit{name: "edit", file: "p/p.go", old: c.old, new: c.new, why: "why", pkg: "p", tests: []string{c.test}}
			var out strings.Builder
			err := makeEach(&out, []edit{e}, dir, false)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q; it said %s", err, c.want, out.String())
			}
			text, err := os.ReadFile(filepath.Join(dir, "p", "p.go"))
			if err != nil || !strings.Contains(string(text), "2 * n") {
				t.Errorf("the edit was not taken back: %s, %v", text, err)
			}
		})
	}
}
