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

	var last []string // for "the same"
	taken := map[string]bool{}
	for _, r := range docRoutes(t) {
		names := parameterNames(r.parameters)
		if strings.Contains(r.parameters, "the same") {
			names = last
		}
		last = names
		require.ElementsMatch(t, parameters[r.pattern], names, "the parameters of %s", r.pattern)
		for _, name := range names {
			taken[name] = true
		}
	}
	read := parametersRead(t)
	require.Contains(t, read, "wait", "the test sees what handlers read")
	require.Contains(t, read, "dry_run", "the test sees what handlers read")
	delete(taken, "name[]") // the Prometheus library does
	require.ElementsMatch(t, slices.Collect(maps.Keys(taken)), read, "what is taken is read, and the other way round")

	src, err := os.ReadFile(filepath.Join("..", "..", "api", "api.go"))
	require.NoError(t, err)
	codes := regexp.MustCompile(`Code\w+ += "(\w+)" +// (\d+)`).FindAllStringSubmatch(string(src), -1)
	require.Len(t, regexp.MustCompile(`(?m)^\tCode\w+ +=`).FindAllString(string(src), -1), len(codes), "each code says its status")
	for _, m := range codes {
		require.Contains(t, doc, "\n| `"+m[1]+"` | "+m[2]+" |")
	}
}

// parameterNames are the parameters that a cell of the table of routes lists.
func parameterNames(cell string) (names []string) {
	for _, m := range regexp.MustCompile("`\\?([^=`]+)=").FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	return names
}

// parametersRead lists the parameters of the query that this package reads.
func parametersRead(t *testing.T) (names []string) {
	for _, f := range packageFiles(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if index, ok := n.(*ast.IndexExpr); ok && selector(index.X) == "q" {
				if lit, ok := index.Index.(*ast.BasicLit); ok {
					name, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					names = append(names, name)
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if selector(call.Fun) == "queryLimit" {
				names = append(names, "limit")
			}
			arg := call.Args[len(call.Args)-1]
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				if fun.Name != "queryDuration" && fun.Name != "queryYes" {
					return true
				}
			case *ast.SelectorExpr:
				if inner, ok := fun.X.(*ast.CallExpr); fun.Sel.Name != "Get" || !(ok && strings.HasSuffix(selector(inner.Fun), "Query")) && selector(fun.X) != "q" {
					return true
				}
			default:
				return true
			}
			if lit, ok := arg.(*ast.BasicLit); ok && lit.Value != `""` {
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
