package label

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSlip(t *testing.T) {
	known := []string{"a", "flood-7", "low", "medium", "high", "critical", "flood", "power-cut"}
	for word, want := range map[string]string{
		"critcal": "critical", "criticla": "critical", "Critical": "critical", "HIGH": "high", "hihg": "high", "hgih": "high",
		"floood": "flood", "food": "flood", "fire": "", "quake": "", "high": "", "": "", "powercut": "power-cut", "flood-8": "", "flod-7": "flood-7", "flood-12": "", "lo": "low", "x": "", "b": "",
	} {
		require.Equal(t, want, Slip(word, known), word)
	}
}

func TestOneOf(t *testing.T) {
	require.Equal(t, "did you mean high? want one of low, high", OneOf("hgih", []string{"low", "high"}))
	require.Equal(t, "want one of low, high", OneOf("none", []string{"low", "high"}))
}

// Slips is symmetric, and 0 of equal words alone.
func TestSlipsIsADistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching("[ab]{0,6}")
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		require.Equal(t, Slips(a, b), Slips(b, a))
		require.Equal(t, a == b, Slips(a, b) == 0)
		require.LessOrEqual(t, Slips(a, b), max(len(a), len(b)))
	})
}

func TestBegun(t *testing.T) {
	known := []string{"critical", "strategy", "status", "high"}
	for word, want := range map[string]string{"crit": "critical", "STRATEG": "strategy", "stat": "status", "sta": "status", "st": "", "str": "strategy", "high": "", "higher": "", "": ""} {
		require.Equal(t, want, Begun(word, known), word)
	}
	require.Empty(t, Begun("sta", append(known, "stage")), "two begin so")
	require.Contains(t, OneOf("crit", known), "did you mean critical?")
}
