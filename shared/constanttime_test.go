package shared_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// How long a comparison of a signature takes tells nothing about the right one.
// No test can time that, so this one reads the source: a MAC that package
// webhook computes goes into hmac.Equal, or into the text of a signature that we
// make ourselves, and nowhere else; and each key is tried, whichever matches.
func TestSignaturesAreComparedInConstantTime(t *testing.T) {
	found := 0
	eachFile(t, func(dir, path string, f *ast.File) {
		if dir != "shared/webhook" || strings.HasSuffix(path, "_test.go") {
			return
		}
		n, problems := macsOf(f)
		found += n
		for _, p := range problems {
			t.Errorf("%s: %s", path, p)
		}
	})
	if found < 3 {
		t.Errorf("found %d MACs: the search is broken", found)
	}
}

func TestVariableTimeIsFound(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"compared by hmac", `func f(k, b, mac []byte) bool { return hmac.Equal(sum(k, b), mac) }`, ""},
		{"made into text", `func f(k, b []byte) string { return hex.EncodeToString(sum(k, b)) }`, ""},
		{"compared as text", `func f(k, b, mac []byte) bool { return string(sum(k, b)) == string(mac) }`, "not into hmac.Equal"},
		{"compared by bytes", `func f(k, b, mac []byte) bool { return bytes.Equal(sum(k, b), mac) }`, "not into hmac.Equal"},
		{"kept", `func f(k, b, mac []byte) bool { s := sum(k, b); return s[0] == mac[0] }`, "not into hmac.Equal"},
		{"text compared", `func f(k, b []byte, s string) bool { return hex.EncodeToString(sum(k, b)) == s }`, "compared"},
		{"the first match ends it", `func signedByAny(keys [][]byte) bool { for range keys { if true { return true } }; return false }`, "leaves its loop"},
		{"every key is tried", `func signedByAny(keys [][]byte) bool { found := false; for range keys { found = true }; return found }`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p; "+c.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := macsOf(f)
			if got := strings.Join(problems, "; "); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// macsOf counts the MACs that a file computes, and says which are used otherwise
// than they may be.
func macsOf(f *ast.File) (n int, problems []string) {
	var above []ast.Node
	ast.Inspect(f, func(node ast.Node) bool {
		if node == nil {
			above = above[:len(above)-1]
			return true
		}
		above = append(above, node)
		call, ok := node.(*ast.CallExpr)
		if !ok || nameOf(call.Fun) != "sum" {
			return true
		}
		n++
		into, _ := above[len(above)-2].(*ast.CallExpr) //nolint:errcheck // nil is no call
		switch {
		case into == nil, nameOf(into.Fun) != "hmac.Equal" && nameOf(into.Fun) != "hex.EncodeToString":
			problems = append(problems, "a MAC goes not into hmac.Equal")
		case nameOf(into.Fun) == "hex.EncodeToString":
			if _, compared := above[len(above)-3].(*ast.BinaryExpr); compared {
				problems = append(problems, "the text of a MAC is compared")
			}
		}
		return true
	})
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "signedByAny" {
			continue
		}
		ast.Inspect(fn.Body, func(node ast.Node) bool {
			loop, ok := node.(*ast.RangeStmt)
			if !ok {
				return true
			}
			ast.Inspect(loop.Body, func(node ast.Node) bool {
				_, returns := node.(*ast.ReturnStmt)
				branch, leaves := node.(*ast.BranchStmt)
				if returns || leaves && branch.Tok == token.BREAK {
					problems = append(problems, "signedByAny leaves its loop at the first match")
				}
				return true
			})
			return false
		})
	}
	return n, problems
}

// nameOf returns the name of what is called: sum, hmac.Equal; "" for others.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	}
	return ""
}
