package label

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The forms that names and selectors have, as regular expressions: they are the
// specification of what is read by hand.
var (
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	selectorForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*(?:(!=|=)\s*(\S+)|\s+in\s*\(([^()]*)\))?$`)
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
			require.Equal(t, Selector{m[1], m[2], []string{m[3]}}, c, "%q", s)
		case m[4] != "":
			require.Equal(t, "in", c.Op, "%q", s)
		default:
			require.Equal(t, Selector{Key: m[1]}, c, "%q", s)
		}
	})
}
