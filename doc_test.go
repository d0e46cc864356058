package ucp

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// selfEvident are methods whose interface says what they do.
var selfEvident = map[string]bool{"String": true, "Error": true, "Len": true, "Less": true, "Swap": true, "Push": true, "Pop": true, "Unwrap": true}

// Every exported name of a library package has a doc comment. A group of constants or variables may share one, or
// say it behind each line. Package sim is a test's tool, as its files' comments say.
func TestPublicNamesHaveDocComments(t *testing.T) {
	fset := token.NewFileSet()
	packages := map[string][]*ast.File{}
	for _, s := range sources(t) {
		f, err := parser.ParseFile(fset, s.path, nil, parser.ParseComments)
		require.NoError(t, err)
		if f.Name.Name != "main" && !within(s.pkg, "sim") {
			packages[s.pkg] = append(packages[s.pkg], f)
		}
	}
	for pkg, files := range packages {
		d, err := doc.NewFromFiles(fset, files, module+pkg)
		require.NoError(t, err)
		lacks := func(at token.Pos, what, comment string) {
			if comment == "" && ast.IsExported(what[strings.LastIndex(what, ".")+1:]) {
				t.Errorf("%s: %s.%s has no doc comment", fset.Position(at), d.Name, what)
			}
		}
		values := func(list []*doc.Value) {
			for _, v := range list {
				for _, spec := range v.Decl.Specs {
					x := spec.(*ast.ValueSpec)
					lacks(x.Pos(), x.Names[0].Name, v.Doc+x.Doc.Text()+x.Comment.Text())
				}
			}
		}
		funcs := func(list []*doc.Func, prefix string) {
			for _, f := range list {
				if !selfEvident[f.Name] || prefix == "" {
					lacks(f.Decl.Pos(), prefix+f.Name, f.Doc)
				}
			}
		}
		values(d.Consts)
		values(d.Vars)
		funcs(d.Funcs, "")
		for _, x := range d.Types {
			lacks(x.Decl.Pos(), x.Name, x.Doc)
			values(x.Consts)
			values(x.Vars)
			funcs(x.Funcs, "")
			funcs(x.Methods, x.Name+".")
		}
	}
}
