package label

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// nameForm and selectorForm are the forms of names and selectors as regular expressions. They are the
// specification of the hand-written parsers.
var (
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	selectorForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*(?:(!=|==|=)\s*(\S+)|\s+in\s*\(([^()]*)\))?$`)
)

func TestNamesHaveTheirForm(t *testing.T) {
	long := strings.Repeat("a", maxName)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`[A-Za-z0-9._\-]{0,66}`),
			rapid.String(),
			rapid.SampledFrom([]string{"", ".", "a", "a.", "-a", long, long + "a", "a\n", "é", "a\xff", "a b"}),
		).Draw(t, "s")
		require.Equal(t, nameForm.MatchString(s), ValidName(s), "%q", s)
	})
}

func TestSelectorsHaveTheirForm(t *testing.T) {
	part := rapid.SampledFrom([]string{"zone", "a", "in", "=", "!=", "!", "(", ")", ",", " ", "\t", "\v", "\u00a0", "é", "x)", "0", "-", ".", strings.Repeat("k", 63), strings.Repeat("v", 200)})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "")
		m := selectorForm.FindStringSubmatch(strings.TrimSpace(s))
		c, err := ParseSelector(s)
		if m == nil || len(s) > 256 || m[2] == "" && strings.HasSuffix(strings.TrimSpace(s), ")") && strings.Trim(m[4], ", \t\v\u00a0") == "" {
			require.Error(t, err, "%q", s)
			return
		}
		require.NoError(t, err, "%q", s)
		require.Equal(t, m[1], c.Key, "%q", s)
		switch {
		case m[2] != "":
			op := m[2]
			if op == "==" {
				op = "="
			}
			require.Equal(t, Selector{m[1], op, []string{m[3]}}, c, "%q", s)
		case m[4] != "":
			require.Equal(t, "in", c.Op, "%q", s)
		default:
			require.Equal(t, Selector{Key: m[1]}, c, "%q", s)
		}
	})
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"a", "0", "A.b_c-d", strings.Repeat("x", 64)} {
		require.True(t, ValidName(good), good)
	}
	for _, bad := range []string{"", ".a", "-a", "_a", "a b", "a/b", "a~b", "ä", "a\n", strings.Repeat("x", 65)} {
		require.False(t, ValidName(bad), "%q", bad)
	}
}

// What makes a line look like another one is in no label: line ends of any kind, and what turns the direction of a text. Other
// scripts are.
func TestMisleading(t *testing.T) {
	for _, bad := range []string{"a\nb", "a\rb", "a\x1b[31m", "a\u0085b", "a\u2028b", "a\u2029b", "gnp\u202eabc", "\u2066a"} {
		require.False(t, ValidLabel("name", bad), "%q", bad)
	}
	for _, good := range []string{"", "\u05e9\u05dc\u05d5\u05dd", "\u0633\u200c\u0644", "\u6c34", "a b"} {
		require.True(t, ValidLabel("name", good), "%q", good)
	}
}
