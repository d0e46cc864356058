package label

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]Selector{
		"os=linux":        {"os", "=", []string{"linux"}},
		" os = linux ":    {"os", "=", []string{"linux"}},
		"a=b=c":           {"a", "=", []string{"b=c"}},
		"os==linux":       {"os", "=", []string{"linux"}},
		"os == linux":     {"os", "=", []string{"linux"}},
		"os==":            {"os", "=", []string{"="}}, // as brokers have always read it
		"os!=linux":       {"os", "!=", []string{"linux"}},
		"os != linux":     {"os", "!=", []string{"linux"}},
		"zone in (a,b)":   {"zone", "in", []string{"a", "b"}},
		"zone in ( a , )": {"zone", "in", []string{"a"}},
		"zone in(a)":      {"zone", "in", []string{"a"}},
		"gpu":             {"gpu", "", nil},
		"in":              {"in", "", nil},
		"in=in":           {"in", "=", []string{"in"}},
		"in in (in)":      {"in", "in", []string{"in"}},
		"v=(x)":           {"v", "=", []string{"(x)"}},
	} {
		got, err := ParseSelector(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, bad := range []string{
		"", " ", "=v", "!=v", "k=", "k!=", "k in", "k in ()", "k in (,)", "k in (a", "k in a", "a b", "k = a b", "-k", "k>3",
		"k in (a)(b)", "k=" + strings.Repeat("x", 300),
	} {
		_, err := ParseSelector(bad)
		require.ErrorContains(t, err, "constraint", "%q", bad)
	}
}

// The four forms are tested with a label that is present, has another value, or is absent.
func TestSelectorHolds(t *testing.T) {
	there, other, absent := map[string]string{"k": "v"}, map[string]string{"k": "w"}, map[string]string{"x": "v"}
	for text, want := range map[string][3]bool{
		"k=v":        {true, false, false},
		"k!=v":       {false, true, true},
		"k in (u,v)": {true, false, false},
		"k":          {true, true, false},
	} {
		c, err := ParseSelector(text)
		require.NoError(t, err)
		require.Equal(t, want, [3]bool{c.Holds(there), c.Holds(other), c.Holds(absent)}, text)
	}
}

func TestUnmet(t *testing.T) {
	labels := map[string]string{"os": "linux", "zone": "b"}
	all := []string{"os=linux", "zone in (a,b)"}
	require.Empty(t, Unmet(all, labels))
	require.Equal(t, "zone=a", Unmet(append(all, "zone=a", "os=plan9"), labels), "the first that is not met")
	require.Equal(t, "??", Unmet([]string{"??"}, labels), "a selector that cannot be parsed is never met")
}

// FuzzParseSelector checks that no text panics, and that the labels that a selector names meet it.
func FuzzParseSelector(f *testing.F) {
	for _, seed := range []string{"os=linux", "os!=linux", "zone in (a,b)", "gpu", "k in ()", "k in (\xff)", "a=b)", "k in (a)) "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseSelector(text)
		if err != nil {
			return
		}
		require.True(t, ValidName(c.Key))
		switch c.Op {
		case "=", "!=":
			require.Len(t, c.Values, 1)
			require.Equal(t, c.Op == "=", c.Holds(map[string]string{c.Key: c.Values[0]}))
		case "in":
			require.NotEmpty(t, c.Values)
			require.True(t, c.Holds(map[string]string{c.Key: c.Values[0]}))
		default:
			require.Empty(t, c.Op)
			require.True(t, c.Holds(map[string]string{c.Key: ""}))
		}
		require.Equal(t, c.Op == "!=", c.Holds(nil))
	})
}
