package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// The newest version of what a broker says holds; between two of its starts SWIM decides.
func TestNewestMetadataHolds(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	m.Update(time.Unix(0, 0), []Member{{Name: "b", Actor: "b~2", Status: Alive}})
	say := func(version clock.Hybrid, actor clock.Actor, full bool) bool {
		return m.Learn(wire.Metadata{Version: version, Name: "b", Actor: actor, Full: full}, false)
	}
	require.True(t, say(5, "b~2", true), "somebody new")
	require.False(t, say(4, "b~2", false), "older")
	require.True(t, m.Metadata("b").Full)
	require.True(t, say(6, "b~2", false), "there is room again")
	require.False(t, say(7, "b~2", true), "nobody need look for a place because of that")
	require.False(t, say(99, "b~1", false), "an earlier start, whose clock was ahead")
	require.Equal(t, clock.Actor("b~2"), m.Metadata("b").Actor)
	require.False(t, m.Learn(wire.Metadata{Version: 1, Name: "a", Actor: "a~1"}, true), "nobody tells us of ourselves")
	require.Empty(t, m.Metadata("a").Name)
	require.Len(t, m.Known(), 1)
	require.EqualValues(t, 7, m.Versions())

	m.Update(time.Unix(0, 0), nil)
	require.Empty(t, m.Metadata("b").Name, "Serf has reaped it")
}

// Somebody who leaves says so by SWIM, by a tag or by its metadata.
func TestLeaves(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	m.Update(time.Unix(0, 0), []Member{
		{Name: "b", Actor: "b~1", Status: Leaving}, {Name: "c", Actor: "c~1", Status: Alive, Draining: true},
		{Name: "d", Actor: "d~2", Status: Alive}, {Name: "e", Actor: "e~1", Status: Alive},
	})
	m.Learn(wire.Metadata{Name: "d", Actor: "d~1", Draining: true}, true)
	require.False(t, m.Leaves("d"), "its earlier start said that")
	m.Learn(wire.Metadata{Name: "d", Actor: "d~2", Draining: true}, true)
	for name, leaves := range map[string]bool{"b": true, "c": true, "d": true, "e": false} {
		require.Equal(t, leaves, m.Leaves(name), name)
	}
	require.False(t, m.Complete())
	require.Equal(t, 4, m.Living())
	require.True(t, m.Present("c~1"))
	require.False(t, m.Present("d~1"))
	require.True(t, m.Present("a~1"))
}

// A change of the roster says what it brought.
func TestChange(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	at := time.Unix(0, 0)
	c := m.Update(at, []Member{{Name: "a", Actor: "a~1", Status: Alive}, {Name: "b", Actor: "b~1", Status: Failed}})
	require.True(t, c.Runners)
	require.False(t, c.Joined, "it had not met anybody")
	c = m.Update(at, []Member{{Name: "b", Actor: "b~1", Status: Failed}})
	require.False(t, c.Runners)
	c = m.Update(at, []Member{{Name: "b", Actor: "b~2", Status: Alive}})
	require.True(t, c.Joined)
	require.Equal(t, []string{"b"}, c.Restarted)
	require.Equal(t, Failed, c.Was["b"])
	c = m.Update(at, nil)
	require.Equal(t, []string{"b"}, c.Gone)
	require.True(t, c.Runners)
}

// What a start of a broker has said itself, no other replaces, whatever version it invents; and what another
// has said in its name, it replaces itself (rule X2).
func TestOwnWordCounts(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	m.Update(time.Unix(1, 0), []Member{{Name: "b", Actor: "b~1", Status: Alive}})
	learn := func(version clock.Hybrid, actor clock.Actor, software string, direct bool) string {
		m.Learn(wire.Metadata{Version: version, Name: "b", Actor: actor, Software: software}, direct)
		return m.Metadata("b").Software
	}
	require.Equal(t, "lie", learn(1<<63, "b~1", "lie", false))
	require.Equal(t, "own", learn(5, "b~1", "own", true))
	require.Equal(t, "own", learn(1<<63, "b~1", "lie", false))
	require.Equal(t, "own", learn(4, "b~1", "late", true))
	require.Equal(t, "newer", learn(6, "b~1", "newer", true))
	m.Update(time.Unix(2, 0), []Member{{Name: "b", Actor: "b~2", Status: Alive}})
	require.Equal(t, "next start", learn(1, "b~2", "next start", false))
	require.Equal(t, "next start", learn(9, "b~1", "late", true))

	require.Equal(t, "next start", learn(7, "b~3", "ready", true), "SWIM does not know that start yet")
	m.Update(time.Unix(3, 0), []Member{{Name: "b", Actor: "b~3", Status: Alive}})
	require.Equal(t, "ready", m.Metadata("b").Software)
	require.Equal(t, "ready", learn(3, "b~3", "not ready yet", false), "what it said before goes about for long")
	require.Equal(t, "ready", learn(8, "b~9", "never began", true))
	m.Update(time.Unix(4, 0), []Member{{Name: "b", Actor: "b~4", Status: Alive}})
	require.Equal(t, "ready", m.Metadata("b").Software)
	require.Equal(t, "began", learn(1, "b~4", "began", false))
}

// The tags of a member may be anybody's invention: an actor of another name is none (rule X2).
func TestTagsOfOthers(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	m.Update(time.Unix(1, 0), []Member{{Name: "b", Actor: "b~1", Status: Alive}, {Name: "c", Actor: "c~1", Status: Alive}})
	c := m.Update(time.Unix(2, 0), []Member{{Name: "b", Actor: "c~1", Status: Alive}, {Name: "c", Actor: "c~1", Status: Alive}})
	require.Equal(t, []string{"b"}, c.Foreign)
	require.Empty(t, m.Get("b").Actor)
	m.Update(time.Unix(3, 0), []Member{{Name: "b", Actor: "b~2", Status: Alive}, {Name: "c", Actor: "c~1", Status: Alive}})
	require.False(t, m.Superseded("c~1"), "c is not muted")
}
