package gossip

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
	"github.com/stretchr/testify/require"
)

// serfDelegate takes the place of Serf's delegate and records what it is given.
type serfDelegate struct {
	memberlist.Delegate
	merged []byte
}

func (d *serfDelegate) LocalState(bool) []byte              { return []byte("serf") }
func (d *serfDelegate) MergeRemoteState(buf []byte, _ bool) { d.merged = buf }

func newTestDelegate(state []byte) (*delegate, *serfDelegate) {
	inner, stats := &serfDelegate{}, &counters{}
	return &delegate{
		Delegate: inner, state: func() []byte { return state }, withStatus: func(serf.MemberStatus) []string { return nil },
		queue: newQueue(stats), stats: stats, log: slog.New(slog.DiscardHandler),
	}, inner
}

func TestDelegateCarriesOurStateBehindSerfs(t *testing.T) {
	d, inner := newTestDelegate([]byte("ours"))
	sent := d.LocalState(true)
	d.MergeRemoteState(sent, true)
	require.Equal(t, "serf", string(inner.merged), "Serf sees only its own state")
	got := <-d.queue.states
	require.Equal(t, RemoteState{Data: []byte("ours"), Join: true}, got)
	clear(sent) // memberlist may overwrite its buffer
	require.Equal(t, "ours", string(got.Data))
}

func TestDelegateWithoutStateIsSerfs(t *testing.T) {
	d, inner := newTestDelegate(nil)
	require.Equal(t, "serf", string(d.LocalState(false)))
	d.MergeRemoteState([]byte("a stock agent's"), false)
	require.Equal(t, "a stock agent's", string(inner.merged))
	require.Empty(t, d.queue.states)
}

func TestDelegateIgnoresADamagedTrailer(t *testing.T) {
	d, inner := newTestDelegate(nil)
	for _, bad := range [][]byte{withTrailer("serf", 5, trailerMagic), withTrailer("serf", maxState+1, trailerMagic)} {
		d.MergeRemoteState(bad, false)
		require.True(t, bytes.Equal(bad, inner.merged), "Serf still gets its part")
	}
	require.Empty(t, d.queue.states)
	require.EqualValues(t, 2, d.stats.statesMalformed.Load())
}

// A stock agent tells the time of a leave, and not that it was one: the leave itself must still be heard. What is told of
// nodes that are not here stays as it is.
func TestATimeThatIsToldMayBeThatOfALeave(t *testing.T) {
	d, inner := newTestDelegate(nil)
	d.withStatus = func(s serf.MemberStatus) []string {
		return map[serf.MemberStatus][]string{serf.StatusAlive: {"alive", "left", "first", "untold"}, serf.StatusLeaving: {"leaving"}}[s]
	}
	told := serfState{LTime: 9, StatusLTimes: map[string]uint64{"alive": 7, "left": 6, "first": 0, "leaving": 5, "new": 4}, LeftMembers: []string{"left"}}
	state, err := encodeWire(serfPushPull, &told)
	require.NoError(t, err)
	d.MergeRemoteState(state, false)
	var got serfState
	require.NoError(t, decodeWire(inner.merged[1:], &got))
	require.Equal(t, map[string]uint64{"alive": 6, "left": 6, "first": 0, "leaving": 4, "new": 4}, got.StatusLTimes)
	require.Equal(t, []string{"left"}, got.LeftMembers)
	require.EqualValues(t, 9, got.LTime)
}

func TestInstallFailsWithoutSerfsDelegate(t *testing.T) {
	err := installDelegates(&memberlist.Config{}, nil, nil, nil, nil, nil, nil)
	require.ErrorContains(t, err, "versions that go.mod pins")
}

// Who is told that a node is leaving takes that for one later than the state says: it must come to the very time of the word,
// also at the node itself, of which others would take a later one for a join.
func TestLeavesAreToldAtTheirTime(t *testing.T) {
	d, _ := newTestDelegate(nil)
	d.withStatus = func(serf.MemberStatus) []string { return []string{"leaving", "first"} }
	state, err := encodeWire(serfPushPull, &serfState{LTime: 9, StatusLTimes: map[string]uint64{"alive": 7, "left": 6, "leaving": 5, "first": 0}, LeftMembers: []string{"left"}})
	require.NoError(t, err)
	var got serfState
	require.NoError(t, decodeWire(d.tellLeaving(state)[1:], &got))
	require.Equal(t, map[string]uint64{"alive": 7, "left": 6, "leaving": 4, "first": 0}, got.StatusLTimes)
	require.Equal(t, []string{"left", "leaving", "first"}, got.LeftMembers)
}
