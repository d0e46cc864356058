package strictjson

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

func TestLinesOfYAML(t *testing.T) {
	doc, lines, err := LinesOfYAML([]byte("a: 1\nb:\n  - x\n  - {c: d,\n     e/f: g}\n"))
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1,"b":["x",{"c":"d","e/f":"g"}]}`, string(doc))
	for _, c := range []struct {
		line int
		path []string
	}{{1, nil}, {1, []string{"a"}}, {2, []string{"b"}}, {3, []string{"b", "0"}}, {4, []string{"b", "1", "c"}}, {5, []string{"b", "1", "e/f"}}, {5, []string{"b", "1", "e/f", "more"}}, {2, []string{"b", "7"}}} {
		require.Equal(t, c.line, lines.At(c.path...), "%q", c.path)
	}
}

const planInTOML = `# First
[named_data]
"a.b" = "x"

[[jobs]]
argv = [ # of the first
  "a",
  "b",
]

[jobs.metadata]
n.m = 1
[[jobs]]
data = {x = "y", z = ["1", "2"]}
[jobs.metadata]
when = 2026-11-28
`

func TestLinesOfTOML(t *testing.T) {
	doc, lines, err := LinesOfTOML([]byte(planInTOML))
	require.NoError(t, err)
	require.JSONEq(t, `{"named_data":{"a.b":"x"},"jobs":[{"argv":["a","b"],"metadata":{"n":{"m":1}}},{"data":{"x":"y","z":["1","2"]},"metadata":{"when":"2026-11-28"}}]}`, string(doc))
	for _, c := range []struct {
		line int
		path []string
	}{
		{2, []string{"named_data"}}, {3, []string{"named_data", "a.b"}}, {5, []string{"jobs", "0"}}, {6, []string{"jobs", "0", "argv"}},
		{7, []string{"jobs", "0", "argv", "0"}}, {8, []string{"jobs", "0", "argv", "1"}}, {11, []string{"jobs", "0", "metadata"}}, {12, []string{"jobs", "0", "metadata", "n", "m"}},
		{13, []string{"jobs", "1"}}, {14, []string{"jobs", "1", "data", "z", "1"}}, {16, []string{"jobs", "1", "metadata", "when"}},
	} {
		require.Equal(t, c.line, lines.At(c.path...), "%q", c.path)
	}
	for text, says := range map[string]string{
		"a = 1\nb = ":          "line 2: ",
		"a = 1\na = 2":         "line 2: ",
		"[a]\nb = 1\n[a]\n":    "line 3: ",
		"a = inf":              "JSON has nothing",
		"a = \"\xff\"":         "it is not UTF-8",
		"a = 1\n\nb = \"\\q\"": "line 3: ",
	} {
		_, _, err := LinesOfTOML([]byte(text))
		require.ErrorContains(t, err, says, text)
	}
}

// What is read has a line within the document for each of its fields, and nothing that is read breaks the reader.
func FuzzLinesOfTOML(f *testing.F) {
	f.Add([]byte(planInTOML))
	f.Add([]byte("a.b.c = [[{d = 1}], [2]]\n[[x.y]]\n[x.y.z]\n[[x.y]]\nq = '''\n1\n'''"))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, lines, err := LinesOfTOML(b)
		if err != nil {
			return
		}
		var v any
		require.NoError(t, json.Unmarshal(doc, &v))
		for at, line := range lines {
			require.True(t, line >= 1 && line <= len(startsOf(b))+1, "%s: %d", at, line)
		}
		everyField(v, "", func(at jsontext.Pointer) { require.Contains(t, lines, at) })
	})
}

// everyField calls f for the fields of all objects.
func everyField(v any, at jsontext.Pointer, f func(jsontext.Pointer)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			f(at.AppendToken(k))
			everyField(x, at.AppendToken(k), f)
		}
	case []any:
		for i, x := range v {
			everyField(x, at.AppendToken(index(i)), f)
		}
	}
}
