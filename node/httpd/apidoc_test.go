package httpd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// apiDoc is docs/api.md.
func apiDoc(t *testing.T) string {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	require.NoError(t, err)
	return string(b)
}

// docRoute is a row of its table of routes.
type docRoute struct {
	pattern    string // "GET /v1/jobs"
	parameters string // as they stand there
	statuses   string // as they stand there
	what       string // it does, as it stands there
	takes      string // the scope that it needs, as it stands there
}

// docRoutes are all rows of the table of routes, in their order.
func docRoutes(t *testing.T) (out []docRoute) {
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]+)` \\| ([^|]*)\\| ([^|]*) \\|(?:([^|]*)\\| ([^|]*) \\|)?").FindAllStringSubmatch(apiDoc(t), -1) {
		out = append(out, docRoute{m[1], m[2], m[3], m[4], m[5]})
	}
	require.NotEmpty(t, out)
	return out
}

// packageFiles are the files of this package without its tests.
func packageFiles(t *testing.T) (out []*ast.File) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		out = append(out, f)
	}
	return out
}

// selector is the last name of an expression.
func selector(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
