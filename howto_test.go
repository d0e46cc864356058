package ucp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// literals are the texts of a piece of source, with `…` for what is put into them. What is joined of several is one.
func literals(n ast.Node) (out []string) {
	verb := regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)
	var fold func(x ast.Expr) (string, bool)
	fold = func(x ast.Expr) (string, bool) {
		switch x := x.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(x.Value)
			return text, err == nil && x.Kind == token.STRING
		case *ast.BinaryExpr:
			if left, ok := fold(x.X); ok && x.Op == token.ADD {
				if right, ok := fold(x.Y); ok {
					return left + right, true
				}
			}
		}
		return "", false
	}
	ast.Inspect(n, func(n ast.Node) bool {
		x, is := n.(ast.Expr)
		if !is {
			return true
		}
		text, is := fold(x)
		if is {
			out = append(out, verb.ReplaceAllString(text, "…"))
		}
		return !is
	})
	return out
}

// screenTexts are what the first columns of the tables in docs/howto.md quote.
func screenTexts(t *testing.T) (out []string) {
	b, err := os.ReadFile("docs/howto.md")
	require.NoError(t, err)
	_, part, found := strings.Cut(string(b), "\n## What the screen says\n")
	require.True(t, found)
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(part) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], " | ")
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			out = append(out, strings.Trim(m[1], "…"))
		}
	}
	require.Greater(t, len(out), 40)
	return out
}

// Somebody compares what is on their screen with the tables of docs/howto.md: each text there is one that the program has.
func TestFaultsAreCalledAsTheScreenCallsThem(t *testing.T) {
	var all []string
	for _, dir := range []string{"cmd/ucp", "node", "node/httpd", "broker", "store", "city", "broker/wire"} {
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			all = append(all, literals(f)...)
		}
	}
	text := strings.Join(all, "\n")
	for _, said := range screenTexts(t) {
		if !strings.Contains(text, said) {
			t.Errorf("docs/howto.md quotes %q, which nothing says", said)
		}
	}
}

// Each warning that a broker has about the cluster has its row in docs/howto.md.
func TestEveryWarningIsExplained(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "broker/publish.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	const text = 40 // letters: what is shorter is a part of one, or a format; what begins with a comma or a colon goes on
	texts, warnings := screenTexts(t), 0
	for _, d := range f.Decls {
		if fn, is := d.(*ast.FuncDecl); is && fn.Name.Name == "warnings" {
			for _, warning := range literals(fn.Body) {
				explained := len(warning) < text || strings.ContainsAny(warning[:1], ",:")
				for _, said := range texts {
					explained = explained || strings.Contains(warning, said) && len(said) >= text/2
				}
				if warnings++; !explained {
					t.Errorf("docs/howto.md does not explain the warning %q", warning)
				}
			}
		}
	}
	require.Greater(t, warnings, 10)
}
