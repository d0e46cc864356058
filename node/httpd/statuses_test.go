package httpd

import (
	"fmt"
	"go/ast"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// statusNames are the statuses that the code names.
var statusNames = map[string]int{
	"StatusOK": http.StatusOK, "StatusCreated": http.StatusCreated, "StatusAccepted": http.StatusAccepted,
	"StatusFound":          http.StatusFound,
	"StatusPartialContent": http.StatusPartialContent, "StatusBadRequest": http.StatusBadRequest, "StatusForbidden": http.StatusForbidden, "StatusUnauthorized": http.StatusUnauthorized,
	"StatusNotFound": http.StatusNotFound, "StatusRequestTimeout": http.StatusRequestTimeout, "StatusConflict": http.StatusConflict,
	"StatusGone": http.StatusGone, "StatusRequestEntityTooLarge": http.StatusRequestEntityTooLarge,
	"StatusUnsupportedMediaType": http.StatusUnsupportedMediaType, "StatusMisdirectedRequest": http.StatusMisdirectedRequest,
	"StatusUnprocessableEntity": http.StatusUnprocessableEntity, "StatusTooManyRequests": http.StatusTooManyRequests,
	"StatusInternalServerError": http.StatusInternalServerError, "StatusServiceUnavailable": http.StatusServiceUnavailable,
	"StatusGatewayTimeout": http.StatusGatewayTimeout, "StatusInsufficientStorage": http.StatusInsufficientStorage,
}

// handlerCode is what the functions of this package name: statuses, and each other.
type handlerCode struct {
	statuses, calls map[string][]string // by function
	routes          map[string]string   // pattern -> handler
}

func readHandlers(t *testing.T) handlerCode {
	c := handlerCode{map[string][]string{}, map[string][]string{}, map[string]string{}}
	for _, f := range packageFiles(t) {
		for _, d := range f.Decls {
			fun, ok := d.(*ast.FuncDecl)
			if !ok || fun.Body == nil {
				continue
			}
			name := fun.Name.Name
			ast.Inspect(fun.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					key, isText := n.Key.(*ast.BasicLit)
					if handler := selector(n.Value); isText && name == "routes" {
						pattern, err := strconv.Unquote(key.Value)
						require.NoError(t, err)
						c.routes[pattern] = handler
					}
				case *ast.SelectorExpr:
					if _, known := statusNames[n.Sel.Name]; known {
						c.statuses[name] = append(c.statuses[name], n.Sel.Name)
					} else {
						require.False(t, strings.HasPrefix(n.Sel.Name, "Status") && n.Sel.Name != "StatusText" && selector(n.X) == "http", "%s names %s, which this test does not know", name, n.Sel.Name)
					}
				case *ast.CallExpr:
					fun := n.Fun
					if x, generic := fun.(*ast.IndexExpr); generic {
						fun = x.X
					}
					if callee := selector(fun); callee != "" {
						c.calls[name] = append(c.calls[name], callee)
					}
				}
				return true
			})
		}
	}
	return c
}

// from lists the statuses that a function and those that it calls name, without going on into some.
func (c *handlerCode) from(name string, but ...string) []int {
	seen, found := map[string]bool{}, map[int]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] || slices.Contains(but, name) {
			return
		}
		seen[name] = true
		for _, s := range c.statuses[name] {
			found[statusNames[s]] = true
		}
		for _, callee := range c.calls[name] {
			visit(callee)
		}
	}
	visit(name)
	return slices.Sorted(maps.Keys(found))
}

// ofOthers are statuses that a function names which several routes share, and which are of another one of them.
var ofOthers = map[string][]int{
	"POST /v1/emergencies":        {http.StatusNotFound}, // of a clear
	"DELETE /v1/emergencies/{id}": {http.StatusCreated},  // of a declaration
	// These call methods of other packages that have the name of a function here, and this test does not know types.
	"GET /broker/digest": {http.StatusNotFound},
	"GET /broker/debug":  {http.StatusNotFound},
}

// ofNetHTTP are statuses that net/http answers for a handler.
var ofNetHTTP = []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable}

// For each route docs/api.md lists the statuses that its handler names, beside those that any route may have; and no other
// than those that the code behind it can name.
func TestAPIDocStatuses(t *testing.T) {
	numbers := func(text string) (out []int) {
		for _, m := range regexp.MustCompile(`\b[1-5]\d\d\b`).FindAllString(text, -1) {
			n, err := strconv.Atoi(m)
			require.NoError(t, err)
			out = append(out, n)
		}
		return out
	}
	anyRoute := regexp.MustCompile(`(?m)^Statuses that any route may have: .*$`).FindString(apiDoc(t))
	require.NotEmpty(t, anyRoute)
	generic := numbers(anyRoute)
	code := readHandlers(t)
	require.Len(t, code.routes, len((&Server{}).routes()), "the test sees the routes")
	var last []int
	var wrong []string
	seen := 0
	for _, row := range docRoutes(t) {
		pattern, told := row.pattern, numbers(row.statuses)
		if strings.Contains(row.statuses, "the same") {
			told = last
		}
		last = told
		handler, ok := code.routes[pattern]
		if !ok {
			continue // the metrics
		}
		seen++
		for _, s := range code.from(handler, "refusal", "asError") {
			if !slices.Contains(told, s) && !slices.Contains(generic, s) && !slices.Contains(ofOthers[pattern], s) {
				wrong = append(wrong, fmt.Sprintf("%s: %s names %d, which docs/api.md does not list", pattern, handler, s))
			}
		}
		may := append(code.from(handler), code.from("asError")...) // a handler returns errors, which that turns into answers
		for _, s := range told {
			if !slices.Contains(may, s) && !slices.Contains(ofNetHTTP, s) {
				wrong = append(wrong, fmt.Sprintf("%s: docs/api.md lists %d, which nothing behind %s answers", pattern, s, handler))
			}
		}
	}
	require.Empty(t, strings.Join(wrong, "\n"))
	require.Equal(t, len(code.routes), seen, "a row for each route")
}
