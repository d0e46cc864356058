package httpd

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/api.md lists exactly the routes that there are, every parameter that a handler reads, and every code of an error with
// its status.
func TestAPIDoc(t *testing.T) {
	doc := apiDoc(t)
	var listed []string
	for _, r := range docRoutes(t) {
		listed = append(listed, r.pattern)
	}
	routes := slices.Sorted(maps.Keys((&Server{}).routes()))
	require.ElementsMatch(t, append(routes, "GET /metrics"), listed)

	read := parametersRead(t)
	require.Contains(t, read, "wait", "the test sees what handlers read")
	require.Contains(t, read, "after", "the test sees what handlers read")
	for _, name := range read {
		require.Contains(t, doc, "`?"+name+"=", "a handler reads the parameter %s", name)
	}

	src, err := os.ReadFile(filepath.Join("..", "..", "api", "api.go"))
	require.NoError(t, err)
	codes := regexp.MustCompile(`Code\w+ += "(\w+)" +// (\d+)`).FindAllStringSubmatch(string(src), -1)
	require.Len(t, regexp.MustCompile(`(?m)^\tCode\w+ +=`).FindAllString(string(src), -1), len(codes), "each code says its status")
	for _, m := range codes {
		require.Contains(t, doc, "\n| `"+m[1]+"` | "+m[2]+" |")
	}
}

// parametersRead lists the parameters of the query that this package reads.
func parametersRead(t *testing.T) (names []string) {
	for _, f := range packageFiles(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			arg := call.Args[len(call.Args)-1]
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				if fun.Name != "queryDuration" {
					return true
				}
			case *ast.SelectorExpr:
				if inner, ok := fun.X.(*ast.CallExpr); fun.Sel.Name != "Get" || !(ok && strings.HasSuffix(selector(inner.Fun), "Query")) && selector(fun.X) != "q" {
					return true
				}
			default:
				return true
			}
			if lit, ok := arg.(*ast.BasicLit); ok {
				name, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				names = append(names, name)
			}
			return true
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}
