package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// TestProofOfLife holds what counts as proof that a member is there although SWIM says otherwise, and for how
// long (rule P1).
func TestProofOfLife(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	gone := func(status Status) *Membership { // since second 10
		m := New(Config{Actor: "a~1", RedeployDelay: 3 * time.Second})
		m.Update(at(0), []Member{{Name: "b", Actor: "b~1", Status: Alive}})
		m.Update(at(10), []Member{{Name: "b", Actor: "b~1", Status: status}})
		return m
	}
	prove := func(m *Membership, now, heard int) bool {
		if !m.Prove(at(now), "b", "b~1", "", at(heard)) {
			return false
		}
		m.Review(at(now))
		return true
	}

	m := gone(Failed)
	require.False(t, m.Alive("b"))
	require.False(t, prove(m, 11, 9), "what b had heard before SWIM lost it")
	require.False(t, m.Prove(at(11), "b", "b~1", "", time.Time{}), "nothing")
	require.False(t, m.Prove(at(11), "c", "c~1", "", at(11)), "a stranger")
	require.False(t, prove(m, 41, 11), "an old message")
	require.True(t, prove(m, 11, 10))
	require.True(t, m.Alive("b"))
	require.False(t, m.Absent("b"))
	require.Equal(t, at(40), m.Due())
	require.False(t, m.LeaseEnded(at(39)))
	require.True(t, m.LeaseEnded(at(40)))
	require.Empty(t, m.Expire(at(40)))
	m.Review(at(40))
	require.False(t, m.Alive("b"))
	require.True(t, m.Absent("b"), "a new absence begins")
	require.False(t, m.JudgeLost(at(40), "b"))
	require.Equal(t, []string{"b"}, m.Expire(m.Due()))

	m = gone(Failed)
	require.True(t, prove(m, 11, 11))
	require.False(t, prove(m, 30, 30), "the lease only lasts longer")
	require.False(t, m.LeaseEnded(at(59)))
	require.True(t, m.LeaseEnded(at(60)))

	m = gone(Failed)
	require.True(t, prove(m, 11, 11))
	m.Update(at(12), []Member{{Name: "b", Actor: "b~1", Status: Alive}})
	m.Update(at(13), []Member{{Name: "b", Actor: "b~1", Status: Failed}})
	require.False(t, m.Alive("b"), "SWIM says something new")

	m = gone(Failed)
	require.True(t, m.Prove(at(11), "b", "b~2", "", at(11)))
	require.Equal(t, []string{"b"}, m.Review(at(11)).Restarted, "it was started again meanwhile")
	require.True(t, m.Superseded("b~1"))
	m.Update(at(14), []Member{{Name: "b", Actor: "b~1", Status: Failed}})
	require.True(t, m.Present("b~2"), "SWIM still has the earlier start")

	m = gone(Failed)
	require.True(t, prove(m, 11, 11))
	m.Update(at(12), []Member{{Name: "b", Actor: "b~2", Status: Failed}})
	require.False(t, m.Alive("b"), "it was started again, and that start has failed")

	m = gone(Left)
	require.True(t, prove(m, 11, 11), "somebody else said that it has left")
	m = gone(Left)
	require.True(t, m.Learn(wire.Metadata{Name: "b", Actor: "b~1", Version: 1, Draining: true}, true))
	require.False(t, prove(m, 11, 11), "it says goodbye itself")
}

// A member that begins another start in one process is the same executor; its copies are not known any more, and what its
// earlier start says late is not heard (rules P3, K3).
func TestAnotherStartOfOneProcess(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	m := New(Config{Actor: "a~1", RedeployDelay: 3 * time.Second})
	m.Update(at(0), []Member{{Name: "b", Actor: "b~1", Status: Alive}})
	c := m.Update(at(1), []Member{{Name: "b", Actor: "b~2", Process: "b~1", Status: Alive}})
	require.Equal(t, []string{"b"}, c.Restarted)
	require.True(t, m.Superseded("b~1"))
	require.True(t, m.Present("b~1") && m.Present("b~2"))
	require.EqualValues(t, "b~1", m.Get("b").AsProcess())
	require.False(t, m.LostAlone("b"), "nothing was lost")
	m.Update(at(2), []Member{{Name: "b", Actor: "b~3", Process: "c~1", Status: Alive}})
	require.Empty(t, m.Get("b").Actor, "a process belongs to its name (rule X2)")

	m = New(Config{Actor: "a~1", RedeployDelay: 3 * time.Second})
	m.Update(at(0), []Member{{Name: "b", Actor: "b~1", Status: Alive}})
	m.Update(at(10), []Member{{Name: "b", Actor: "b~1", Status: Failed}})
	require.True(t, m.Prove(at(11), "b", "b~2", "b~1", at(11)))
	m.Review(at(11))
	require.True(t, m.Present("b~1"), "it has begun another start while SWIM took it for failed")
	m.GoOnAs("a~2")
	require.Equal(t, []clock.Actor{"a~1", "a~2"}, m.Starts())
	require.True(t, m.Present("a~1") && m.Present("a~2"))
}

// Which starts a process had between the first and the present one it says itself: another process may have had one that lies
// between these, and what that one ran is lost (rules P3, K3).
func TestStartsBetween(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	m.Update(time.Unix(1000, 0), []Member{{Name: "b", Actor: "b~8", Process: "b~2", Status: Alive}})
	require.False(t, m.Present("b~7"), "it has not said so yet")
	m.Learn(wire.Metadata{Name: "b", Actor: "b~8", Process: "b~2", Between: []clock.Actor{"b~6", "b~7"}, Version: 1}, true)
	for start, present := range map[clock.Actor]bool{"b~1": false, "b~2": true, "b~5": false, "b~6": true, "b~7": true, "b~8": true, "b~9": false} {
		require.Equal(t, present, m.Present(start), "%s", start)
	}
	m.Update(time.Unix(1001, 0), []Member{{Name: "b", Actor: "b~9", Status: Alive}})
	require.False(t, m.Present("b~7"), "b~8 has said it")
}
