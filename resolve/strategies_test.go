package resolve

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// What is easily forgotten of a new strategy is missed here: each failure names the place.
func TestRowsAreComplete(t *testing.T) {
	seen := map[Strategy]bool{}
	for i := range strategies {
		s := &strategies[i]
		require.Regexp(t, "^[a-z]{1,10}$", string(s.name), "resolve/strategies.go: the name is in flags and metrics, and %%-10s wide in help texts")
		require.False(t, seen[s.name], "resolve/strategies.go: two rows are named %s", s.name)
		seen[s.name] = true
		require.NotEmpty(t, s.help, "resolve/strategies.go: %s needs a line of help", s.name)
		require.LessOrEqual(t, len(s.help), 85, "resolve/strategies.go: the help of %s is one line of a terminal", s.name)
		require.Equal(t, s.first == nil, s.outranks == nil, "resolve/strategies.go: %s has first and outranks, or neither", s.name)
		require.False(t, s.tier != nil && s.first == nil, "resolve/strategies.go: %s has a tier of a first that it has not", s.name)
		if s.packs {
			require.True(t, s.preempts && !s.unscored && s.first == nil, "resolve/strategies.go: %s packs: pack.go displaces, by score alone", s.name)
		}
		require.False(t, s.causal && s.preempts, "resolve/strategies.go: %s is causal and preempts: aside leaves out what comes after a job", s.name)
		cases, err := filepath.Glob(filepath.Join("testdata", string(s.name)+"_*.txt"))
		require.NoError(t, err)
		require.NotEmpty(t, cases, "resolve/testdata: %s_*.txt holds no golden case of the strategy (golden_test.go says how one is written)", s.name)
	}
	require.Len(t, seen, len(All()))
}

// documented fails when docs/strategies.md does not have this text.
func documented(t *testing.T, what, text string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "strategies.md"))
	require.NoError(t, err)
	if !strings.Contains(string(b), text) {
		t.Errorf("docs/strategies.md must have %s:\n\n%s", what, text)
	}
}

func TestDocsListTheStrategies(t *testing.T) {
	want := "| strategy | what it does | stops running jobs |\n| --- | --- | --- |\n"
	for i := range strategies {
		s := &strategies[i]
		name, stops := fmt.Sprintf("`%s`", s.name), "no"
		if s.name == Default {
			name += " (default)"
		}
		if s.preempts {
			stops = "yes"
		}
		want += fmt.Sprintf("| %s | %s | %s |\n", name, s.help, stops)
	}
	documented(t, "this table", want+"\n")
	for _, s := range All() {
		documented(t, `a point under "In full" that begins with this`, fmt.Sprintf("\n- **`%s`** ", s))
	}
}

// Nothing decides by the name of a strategy, but in the rows: what is compared with a name forgets the next
// strategy.
func TestRowsAreTheOnlyPlace(t *testing.T) {
	consts := strategyConstants(t)
	require.Len(t, consts, len(strategies), "each row names a constant")
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		inside := f.Name.Name == "resolve"
		named := func(e ast.Expr) bool {
			switch e := e.(type) {
			case *ast.Ident:
				return inside && slices.Contains(consts, e.Name)
			case *ast.SelectorExpr:
				pkg, ok := e.X.(*ast.Ident)
				return ok && pkg.Name == "resolve" && slices.Contains(consts, e.Sel.Name)
			}
			return false
		}
		ast.Inspect(f, func(n ast.Node) bool {
			var compared []ast.Expr
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					compared = []ast.Expr{n.X, n.Y}
				}
			case *ast.CaseClause:
				compared = n.List
			}
			for _, e := range compared {
				if named(e) {
					t.Errorf("%s asks which strategy it is: ask for what its row says (resolve/strategies.go)", files.Position(e.Pos()))
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
}

// strategyConstants are the names in this package's code of the constants of type Strategy.
func strategyConstants(t *testing.T) (out []string) {
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Strategy" {
					out = append(out, v.Names[0].Name)
				}
			}
		}
	}
	return out
}

func TestParseStrategy(t *testing.T) {
	for _, s := range All() {
		got, err := ParseStrategy(string(s))
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	_, err := ParseStrategy("luck")
	require.EqualError(t, err, `unknown strategy "luck"; want one of `+Names(", "))
	require.Contains(t, All(), Default)
}

// A snapshot may come from a newer version, with a strategy that this one does not know.
func TestUnknownStrategyOrdersByScore(t *testing.T) {
	s := Snapshot{Now: minute, Strategy: "luck", Weights: DefaultWeights(), Capacity: cpu(100),
		Pending: []*Candidate{{Key: "poor", Want: cpu(100)}, {Key: "rich", Want: cpu(100), User: 9}}}
	require.Equal(t, []string{"rich"}, Plan(s).Start)
	s.Running, s.Pending = s.Pending[:1], s.Pending[1:]
	require.Empty(t, Plan(s).Preempt)
	require.Empty(t, Strategy("luck").Help())
}

func TestCounts(t *testing.T) {
	var c Counts
	for i, s := range All() {
		for range i {
			c.Add(s)
		}
	}
	c.Add("luck")
	for i, s := range All() {
		require.EqualValues(t, i, c.Of(s))
	}
	require.Zero(t, c.Of("luck"))
}

// What a job inherits is written down, for a strategy that looks at something before the score too; another
// strategy does not take that for its own.
func TestLentRanksAreWrittenDown(t *testing.T) {
	by := func(s *strategy) settings { return settings{strategy: s, weights: DefaultWeights()} }
	later := &strategy{name: "later", first: func(c *Candidate) int64 { return int64(c.Deadline) }}
	for _, s := range append([]*strategy{later}, rows()...) {
		for _, c := range []*Candidate{{User: 3, Arrived: at(1000)}, {Level: 3, Deadline: clock.Time(minute), Length: 1}} {
			r := by(s).baseOf(c)
			require.Equal(t, r, by(s).lent(by(s).lend(r)), "%s", s.name)
		}
	}
	l := by(later).lend(rank{first: 77, score: 5, top: 2})
	require.Equal(t, &Lent{Level: 2, Score: 5, First: 77, Under: "later"}, l)
	require.Equal(t, rank{score: 5, top: 2}, by(Priority.row()).lent(l))
	require.Equal(t, rank{first: 2, score: 5, top: 2}, by(Emergency.row()).lent(l))
	require.Equal(t, &Lent{Level: 2, Score: 5}, by(Emergency.row()).lend(rank{first: 2, score: 5, top: 2}), "it follows from the level")
}

func rows() (out []*strategy) {
	for i := range strategies {
		out = append(out, &strategies[i])
	}
	return out
}
