package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/store"
)

// A broker that was told of others expects some, until it has met one: it is no cluster of its own (rule M3).
func TestWhoIsExpected(t *testing.T) {
	st, _, _, _ := storeOfEachKind(t)
	expecting := func(told bool) bool {
		x, err := recallPeers(st, "a", told, up(0))
		require.NoError(t, err)
		require.NoError(t, x.remember([]membership.Member{{Name: "b", Actor: "b~1", Status: membership.Alive, Protocol: 2}}))
		return x.expecting
	}
	require.False(t, expecting(false), "it was told of nobody")
	st, _, _, _ = storeOfEachKind(t)
	require.True(t, expecting(true))
	require.False(t, expecting(true), "it has met b")
}

// What a member speaks is remembered: one that is absent when this broker starts may come back as it was,
// and until then nothing is written that it can't read (rule K5).
func TestKnownPeersKeepTheirProtocol(t *testing.T) {
	st, _, _, _ := storeOfEachKind(t)
	x, err := recallPeers(st, "a", true, up(0))
	require.NoError(t, err)
	list := []membership.Member{{Name: "b", Actor: "b~1", Status: membership.Alive, Protocol: 2}, {Name: "c", Actor: "c~1", Status: membership.Alive}}
	require.NoError(t, x.remember(list))
	x, err = recallPeers(st, "a", true, up(0))
	require.NoError(t, err)
	missing := x.missing(nil)
	require.Len(t, missing, 2)
	require.Equal(t, []int{2, 0}, []int{missing[0].Protocol, missing[1].Protocol})
	list[0].Protocol = 1 // set back to the version before
	require.NoError(t, x.remember(list))
	require.Equal(t, 1, x.missing(nil)[0].Protocol)
}

// A broker that was not seen counts as a member for a day of this broker's uptime, over all starts, whatever the machine's
// clock says and however long this broker was down (rule T1).
func TestKnownPeersAgeByUptime(t *testing.T) {
	st, _, _, _ := storeOfEachKind(t)
	x, err := recallPeers(st, "a", true, up(100*time.Hour))
	require.NoError(t, err)
	require.NoError(t, x.remember([]membership.Member{{Name: "b", Actor: "b~1", Status: membership.Alive}}))
	for uptime, want := range map[time.Duration]int{99 * time.Hour: 1, 123 * time.Hour: 1, 125 * time.Hour: 0} {
		x, err = recallPeers(st, "a", true, up(uptime))
		require.NoError(t, err)
		require.Len(t, x.missing(nil), want, "%v", uptime)
	}

	// The version before has stored a date.
	var b store.Batch
	b.Set([]byte("mc"), []byte(`{"addr":"c:1","http":"c:2","actor":"c~1","seen":"1999-01-01T00:00:00Z","left":false}`))
	require.NoError(t, st.Commit(&b))
	for uptime, want := range map[int]int{125: 1, 148: 1, 150: 0} {
		_, err = recallPeers(st, "a", true, up(125*time.Hour)) // the first start of this version
		require.NoError(t, err)
		x, err = recallPeers(st, "a", true, up(time.Duration(uptime)*time.Hour))
		require.NoError(t, err)
		require.Len(t, x.missing(nil), want, "%d h", uptime)
	}
}

func up(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
