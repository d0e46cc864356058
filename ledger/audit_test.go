package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is left out of a digest on purpose is what its receiver asks about, and nothing else (rules L9, F3).
func TestWhatIsLeftOutOfTheDigestIsAskedAbout(t *testing.T) {
	a, b := newReplica("a"), newReplica("b")
	add := func(r *replica, key string, closes bool) {
		_, err := touch(r.Ledger, key, closes)
		require.NoError(t, err)
	}
	for _, key := range []string{"j1", "j2", "j3", "over"} {
		add(a, key, key == "over")
	}
	d, _, err := a.Delta(nil, 1<<20)
	require.NoError(t, err)
	b.receive(d)
	add(b, "news", false) // which a does not know
	same := b.LiveDigest(a.Clock())
	require.Equal(t, a.LiveDigest(b.Clock()), same)

	left := a.LiveDigest(b.Clock(), setRef("j2"), setRef("over"), setRef("none"), setRef("j2"))
	require.Equal(t, []Ref{setRef("j2")}, b.LiveWhere(a.Clock(), same, left))
	require.Equal(t, same, b.LiveDigest(a.Clock(), setRef("news")), "it is left out anyhow")
}
