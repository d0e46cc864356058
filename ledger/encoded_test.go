package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only the records that were committed last keep their bytes in memory, so that a
// broker with many pending jobs stays small; the others are sent all the same.
func TestEncodingsLeaveMemory(t *testing.T) {
	r := newReplica("a")
	touchAll := func(n int) {
		for i := range n {
			_, err := touch(r.Ledger, fmt.Sprintf("j%05d", i), false)
			require.NoError(t, err)
		}
	}
	warm := func() (n int) {
		for _, e := range r.held {
			if e.encoded != nil {
				n++
			}
		}
		return n
	}
	touchAll(keepEncoded + 100)
	r.sync()
	require.Equal(t, keepEncoded, warm())
	require.Nil(t, r.held[setRef("j00000")].encoded, "the oldest go first")

	d, ok, err := r.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, d.Entries, keepEncoded+100)
	require.Equal(t, "j00000 a~1:1*", string(d.Entries[0].Encoded))
	require.Equal(t, keepEncoded, warm(), "what was encoded for a peer is not kept")

	// One that changes again, and is not yet committed, is not dropped meanwhile.
	touchAll(1)
	_, _, err = r.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.NotNil(t, r.held[setRef("j00000")].encoded, "the commit needs it, too")
	r.sync()
	require.Equal(t, keepEncoded, warm())
	require.NotNil(t, r.held[setRef("j00000")].encoded)
}
