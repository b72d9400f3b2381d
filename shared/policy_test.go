// Package shared_test holds what no single package can hold: the import map of
// the house, and the rules that keep it a house. It reads the files with
// go/parser, because a go list subprocess would pass from the test cache.
package shared_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "orderbridge/"

// mayImport lists, per package folder, the packages of this module that its
// non-test files may import. What is not listed is forbidden.
var mayImport = map[string][]string{
	"shared/fault":      {},
	"shared/order":      {"shared/fault"},
	"shared/webhook":    {"shared/order", "shared/fault"},
	"shared/provision":  {"shared/order", "shared/fault"},
	"shared/breaker":    {"shared/order", "shared/fault"},
	"shared/audit":      {"shared/order", "shared/fault"},
	"shared/writeback":  {"shared/order", "shared/fault"},
	"shared/store":      {"shared/order", "shared/fault"},
	"shared/whmcs":      {"shared/order", "shared/fault"},
	"shared/salesforce": {"shared/order", "shared/fault"},
	"shared/secret":     {"shared/fault"},
	"shared/config":     {"shared/fault"},
	"shared/telemetry":  {"shared/order", "shared/fault"},
	"shared/httpapi":    {"shared/fault"},
	"shared/question":   {},
	"shared/lambdaenv":  {"shared/telemetry", "shared/fault"},

	// Simulators and suites: imported by tests and by local alone.
	"shared/provision/provisiontest":   {"shared/order", "shared/fault", "shared/provision"},
	"shared/whmcs/whmcstest":           {"shared/order", "shared/fault"},
	"shared/telemetry/telemetrytest":   {},
	"shared/salesforce/salesforcetest": {"shared/order", "shared/fault"},

	"functions/fulfill":    {"shared/*", "!shared/whmcs", "!shared/salesforce", "!shared/provision", "!shared/breaker", "!shared/writeback"},
	"functions/status":     {"shared/*", "!shared/whmcs", "!shared/salesforce", "!shared/provision", "!shared/breaker", "!shared/writeback", "!shared/webhook", "!shared/secret"},
	"functions/statuspush": {"shared/*", "!shared/whmcs", "!shared/provision", "!shared/webhook"},
	"functions/provision":  {"shared/*", "!shared/webhook", "!shared/writeback"},
	"cmd/orderctl":         {"shared/*"},
	"cmd/deploycheck":      {"shared/config", "shared/lambdaenv"},
	"local":                {"shared/*", "local/*", "contract"},
	"bench":                {"shared/*", "local/*"},
}

// mayUse lists the packages outside the module and the standard library that
// only some folders may import (by prefix of the import path).
var mayUse = map[string][]string{
	"github.com/aws/aws-lambda-go":       {"functions/", "cmd/deploycheck", "shared/httpapi", "local/", "bench/"},
	"github.com/aws/aws-sdk-go-v2":       {"shared/store", "shared/secret", "shared/lambdaenv", "functions/", "cmd/", "local", "bench"},
	"github.com/aws/smithy-go":           {"shared/store", "shared/secret", "shared/lambdaenv", "functions/", "cmd/", "local", "bench"},
	"github.com/go-json-experiment/json": {"shared/", "functions/", "local", "cmd/"},
	"github.com/golang-jwt/jwt/v5":       {"shared/salesforce", "local"},
	"github.com/goccy/go-yaml":           {"local", "contract"},
	"github.com/spf13/cobra":             {"cmd/"},
	"github.com/spf13/pflag":             {"cmd/"},
	"golang.org/x/sync":                  {"shared/", "functions/", "local"},
}

// domain packages do no I/O of their own.
var domain = []string{"shared/fault", "shared/order", "shared/webhook", "shared/provision", "shared/breaker", "shared/writeback"}

func TestImportsPointDownOnly(t *testing.T) {
	eachFile(t, func(dir, path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if rel, ours := strings.CutPrefix(imp, module); ours {
				if !allowed(dir, rel) {
					t.Errorf("%s imports %s: not in the import map", path, rel)
				}
				continue
			}
			if slices.Contains(domain, dir) && (imp == "net/http" || imp == "os" || imp == "database/sql") {
				t.Errorf("%s imports %s: domain packages do no I/O", path, imp)
			}
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // standard library
			}
			if !usable(dir, imp) {
				t.Errorf("%s imports %s: not allowed in %s", path, imp, dir)
			}
		}
	})
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	seen := map[string]bool{}
	eachFile(t, func(dir, path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		seen[dir] = true
		if f.Doc != nil {
			comments[dir] = append(comments[dir], path)
		}
	})
	for dir := range seen {
		if n := len(comments[dir]); n != 1 {
			t.Errorf("%s has %d package comments, want exactly one: %v", dir, n, comments[dir])
		}
	}
}

func TestNoPackageState(t *testing.T) {
	packages := map[string][]*ast.File{}
	eachFile(t, func(dir, path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", path)
			}
		}
		if !slices.Contains(domain, dir) {
			return
		}
		packages[dir] = append(packages[dir], f)
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Sleep" || sel.Sel.Name == "After") {
					t.Errorf("%s calls time.%s: the clock is injected", path, sel.Sel.Name)
				}
			}
			return true
		})
	})
	for dir, files := range packages {
		for _, problem := range packageState(files) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

// packageState returns what is wrong with the package-level variables of one
// package. Each must be an error sentinel or a table: it has its value where it
// is declared, and no statement writes to it or takes its address.
func packageState(files []*ast.File) []string {
	var problems []string
	declared := map[string]*ast.Ident{}
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, name := range v.Names {
					if name.Name == "_" {
						continue
					}
					declared[name.Name] = name
					if i >= len(v.Values) || !constantValue(v.Values[i]) {
						problems = append(problems, name.Name+" is neither an error sentinel nor a table")
					}
				}
			}
		}
	}
	written := func(e ast.Expr) {
		name := leftmost(e)
		if name == nil || declared[name.Name] == nil {
			return
		}
		// The parser resolves a function's own identifiers, and of the package's
		// those of the same file.
		if name.Obj == nil || name.Obj == declared[name.Name].Obj {
			problems = append(problems, name.Name+" is written after its declaration")
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						written(e)
					}
				}
			case *ast.IncDecStmt:
				written(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					written(n.X)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) && len(n.Args) > 0 {
					written(n.Args[0])
				}
			}
			return true
		})
	}
	return problems
}

// constantValue reports whether the value of a variable is a literal of a map,
// slice, array or struct of this package, or made by a call whose result does
// not change: an error, a compiled expression, a replacer.
func constantValue(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		_, foreign := e.Type.(*ast.SelectorExpr) // sync.Map{} and its like
		return !foreign
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok {
			if x, ok := f.X.(*ast.Ident); ok {
				return slices.Contains([]string{"errors.New", "fault.New", "fault.Wrap", "regexp.MustCompile", "strings.NewReplacer"}, x.Name+"."+f.Sel.Name)
			}
		}
	}
	return false
}

// leftmost returns the identifier at the left end of x.f[i].g, *x, (x); nil if
// there is none.
func leftmost(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return leftmost(e.X)
	case *ast.IndexExpr:
		return leftmost(e.X)
	case *ast.SliceExpr:
		return leftmost(e.X)
	case *ast.StarExpr:
		return leftmost(e.X)
	case *ast.ParenExpr:
		return leftmost(e.X)
	}
	return nil
}

func TestPackageStateIsFound(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"an error sentinel", `var errLost = errors.New("lost")`, ""},
		{"a table", `var table = map[string]int{"a": 1}; func f() int { return table["a"] }`, ""},
		{"a check of an interface", `var _ fmt.Stringer = (*T)(nil)`, ""},
		{"a local of the same name", `var table = []int{1}; func f() { table := []int{2}; table[0] = 3 }`, ""},
		{"no value", `var count int`, "count is neither"},
		{"a number", `var count = 1`, "count is neither"},
		{"a lock", `var mu = sync.Mutex{}`, "mu is neither"},
		{"a pointer", `var last = &T{}`, "last is neither"},
		{"assigned", `var table = map[string]int{}; func f() { table = nil }`, "table is written"},
		{"an element assigned", `var table = map[string]int{}; func f() { table["a"] = 1 }`, "table is written"},
		{"counted", `var t = T{}; func f() { t.n++ }`, "t is written"},
		{"an element deleted", `var table = map[string]int{}; func f() { delete(table, "a") }`, "table is written"},
		{"its address taken", `var t = T{}; func f() *T { return &t }`, "t is written"},
		{"an error replaced", `var errLost = errors.New("lost"); func f() { errLost = nil }`, "errLost is written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p; "+c.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(packageState([]*ast.File{f}), "; ")
			if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == "replace" {
			t.Errorf("go.mod replaces a module: %s", strings.TrimSpace(line))
		}
	}
}

func allowed(dir, rel string) bool {
	rules, ok := mayImport[dir]
	for top := dir; !ok && top != "."; {
		top = filepath.Dir(top)
		rules, ok = mayImport[top]
	}
	yes := false
	for _, r := range rules {
		no := strings.HasPrefix(r, "!")
		r = strings.TrimPrefix(r, "!")
		prefix, wild := strings.CutSuffix(r, "*")
		if r != rel && !(wild && strings.HasPrefix(rel, prefix)) {
			continue
		}
		yes = !no
	}
	// Test suites and simulators are for tests and local (and the measurements).
	if strings.HasSuffix(rel, "test") && !strings.HasPrefix(dir, "local") && !strings.HasPrefix(dir, "bench") {
		return false
	}
	return yes
}

func usable(dir, imp string) bool {
	for prefix, dirs := range mayUse {
		if imp != prefix && !strings.HasPrefix(imp, prefix+"/") {
			continue
		}
		for _, d := range dirs {
			if dir == d || strings.HasPrefix(dir, strings.TrimSuffix(d, "/")+"/") {
				return true
			}
		}
	}
	return false
}

func root(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(wd)
}

func eachFile(t *testing.T, do func(dir, path string, f *ast.File)) {
	t.Helper()
	top := root(t)
	n := 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "build") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		n++
		do(filepath.ToSlash(filepath.Dir(rel)), rel, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 5 {
		t.Fatalf("read %d Go files: the walk is broken", n)
	}
}
