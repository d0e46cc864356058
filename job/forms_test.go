package job

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// digestForm is the form of digests as a regular expression. It is the specification of ValidDigest.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func TestDigestsHaveTheirForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`[0-9a-fg]{63,65}`),
			rapid.StringMatching(`[0-9a-f]{63,65}`),
			rapid.String(),
		).Draw(t, "s")
		require.Equal(t, digestForm.MatchString(s), ValidDigest(s), "%q", s)
	})
}
