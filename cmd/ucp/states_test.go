package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

const statesHead = "# States and events\n\n" + writtenBy + `## States of a job

A state follows from the job's record alone, so that brokers that hold the same say the same (rule J2, [protocol.md](../protocol.md)).

| state | meaning |
| --- | --- |
`

const eventsHead = `
## Events

What ` + "`ucp events` and `GET /v1/events`" + ` tell ([api.md](../api.md#events)): the kind, and what has happened. All but those of jobs and data come unless ` + "`--kinds`" + ` says otherwise.

| kind | what | meaning |
| --- | --- | --- |
`

// happens is what events tell, by their kind; "" is what happens behind a kind of which the source has the words.
var happens = map[string][][2]string{
	"emergency": {
		{"declared", "it became known here"}, {"changed", "its level, scope, message or time has changed"}, {"cleared", "somebody has cleared it"}, {"ended", "its time was over"},
	},
	"preemption": {
		{"suspended", "a running job makes room for another one, and keeps its memory"}, {"requeued", "it makes room, and begins again later, or at its checkpoint"},
	},
	"job": {
		{"checkpoint", "its state is kept on other brokers"}, {"no checkpoint", "its state could not be kept; the text says why"}, {"checkpoint lost", "the state that was kept can't be had: it begins again"},
		{"rejected", "a result that does not count, since the job ran twice; `--kinds rejected` asks for these alone"},
	},
	"member":   {{"drained", "it is to run nothing new"}, {"resumed", "it runs jobs again"}},
	"health":   {{"takes_none", "it takes no jobs; the text says why"}, {"takes_jobs", "it takes jobs again"}},
	"strategy": {{"changed", "the broker decides by another strategy"}},
	"data":     {{"written", "a name has another latest version"}, {"removed", "it was deleted"}, {"refused", "a write did not come about; the text says why"}},
	"lost":     {{"lost", "here events are missing: ask again for what you show"}},
}

// statesPage lists the states of jobs, and the events.
func statesPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(statesHead)
	states := constants(t, "../../job", "State")
	for i, s := range job.States {
		require.Equal(t, string(s), states[i][0])
		fmt.Fprintf(&b, "| `%s` | %s |\n", s, cell(states[i][1]))
	}
	all := happens
	all["member"] = append(constants(t, "../../gossip", "MemberKind"), happens["member"]...)
	all["health"] = append(constants(t, "../../node/httpd", "healthKind"), happens["health"]...)
	b.WriteString(eventsHead)
	for _, kind := range append(slices.Clone(api.EventKinds), "lost") {
		if kind == api.Rejected {
			continue
		}
		require.NotEmpty(t, all[kind], "events of the kind %s have no words in `happens`", kind)
		if kind == "job" {
			b.WriteString("| job | a state | the job is in that state now |\n")
		}
		for _, x := range all[kind] {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", kind, x[0], cell(x[1]))
		}
	}
	noteKinds(t, all)
	return b.String()
}

// parsed are the sources of a package, without its tests.
func parsed(t *testing.T, dir string) (out []*ast.File) {
	paths, err := filepath.Glob(dir + "/*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		out = append(out, f)
	}
	return out
}

// stringIn is the text of a string in the source.
func stringIn(x ast.Expr) (string, bool) {
	lit, is := x.(*ast.BasicLit)
	if !is || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// constants are the values of the constants of a type, with the comments beside them, in the order of the source.
func constants(t *testing.T, dir, typ string) (out [][2]string) {
	for _, f := range parsed(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || len(spec.Values) != 1 {
				return true
			}
			if name, is := spec.Type.(*ast.Ident); is && name.Name == typ {
				text, _ := stringIn(spec.Values[0])
				meaning, _, _ := strings.Cut(strings.TrimSpace(spec.Comment.Text()), "; no record says so")
				out = append(out, [2]string{text, meaning})
			}
			return true
		})
	}
	require.NotEmpty(t, out, "%s has no constants of type %s", dir, typ)
	return out
}

// noteKinds checks that nothing is told that the table of events does not have: what stands as a text in a note, or is put into the
// variable that stands there.
func noteKinds(t *testing.T, all map[string][][2]string) {
	known := func(kind, what string) bool {
		return slices.ContainsFunc(all[kind], func(x [2]string) bool { return x[0] == what })
	}
	found := 0
	for _, f := range parsed(t, "../../broker") { // what is told of emergencies stands in one group of constants
		ast.Inspect(f, func(n ast.Node) bool {
			group, is := n.(*ast.GenDecl)
			if !is || group.Tok != token.CONST || !slices.ContainsFunc(group.Specs, func(s ast.Spec) bool { return s.(*ast.ValueSpec).Names[0].Name == "altered" }) {
				return true
			}
			for _, s := range group.Specs {
				what, _ := stringIn(s.(*ast.ValueSpec).Values[0])
				if found++; !known("emergency", what) {
					t.Errorf("broker tells %q of emergencies, which `happens` does not explain", what)
				}
			}
			return true
		})
	}
	require.Len(t, all["emergency"], found)
	for _, dir := range []string{"../../broker", "../../node", "../../node/httpd"} {
		for _, f := range parsed(t, dir) {
			for _, d := range f.Decls {
				fn, is := d.(*ast.FuncDecl)
				if !is {
					continue
				}
				kind, texts := notesOf(fn)
				for _, what := range texts {
					if found++; !known(kind, what) {
						t.Errorf("%s tells of %q, %q, which `happens` does not explain", fn.Name.Name, kind, what)
					}
				}
			}
		}
	}
	require.Greater(t, found, 10)
}

// notesOf is of which kind the notes are that a function makes, and what they say, as far as that stands in it.
func notesOf(fn *ast.FuncDecl) (kind string, what []string) {
	of := map[string]ast.Expr{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if pair, is := n.(*ast.KeyValueExpr); is {
			if key, is := pair.Key.(*ast.Ident); is && (key.Name == "What" || key.Name == "Kind") {
				of[key.Name] = pair.Value
			}
		}
		return true
	})
	kind, _ = stringIn(of["Kind"])
	if kind == "" || of["What"] == nil {
		return "", nil
	}
	ast.Inspect(of["What"], func(n ast.Node) bool {
		if x, is := n.(ast.Expr); is {
			if text, is := stringIn(x); is {
				what = append(what, text)
			}
		}
		return true
	})
	name, is := of["What"].(*ast.Ident)
	if !is {
		return kind, what
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		set, is := n.(*ast.AssignStmt)
		if !is {
			return true
		}
		for i, left := range set.Lhs {
			if x, is := left.(*ast.Ident); is && x.Name == name.Name && i < len(set.Rhs) {
				if text, is := stringIn(set.Rhs[i]); is {
					what = append(what, text)
				}
			}
		}
		return true
	})
	return kind, what
}
