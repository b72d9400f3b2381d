package webhook_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// Signatures are compared in one place, by hmac.Equal, and that place does not
// leave its loop early. A timed test would say nothing on a noisy machine, so
// the source is read.
func TestTheMACIsComparedInConstantTime(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "webhook.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	equal, found := 0, false
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			switch {
			case ok && x.Name == "hmac" && sel.Sel.Name == "Equal":
				equal++
				if fn.Name.Name != "signedByAny" {
					t.Errorf("%s compares a MAC", fn.Name.Name)
				}
			case ok && (x.Name == "bytes" || x.Name == "subtle"):
				t.Errorf("%s uses %s.%s", fn.Name.Name, x.Name, sel.Sel.Name)
			}
			return true
		})
		if fn.Name.Name != "signedByAny" {
			continue
		}
		found = true
		ast.Inspect(fn, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.ReturnStmt, *ast.BranchStmt:
					t.Error("signedByAny leaves its loop early")
				}
				return true
			})
			return false
		})
	}
	if !found || equal != 1 {
		t.Errorf("signedByAny found: %v; hmac.Equal is called %d times, want 1", found, equal)
	}
}
