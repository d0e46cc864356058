package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/roll"
)

// What is written is what every member can read: the absent ones too, but not who has left (rule K5).
func TestProtocol(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	member := func(name string, protocol int, s Status) Member {
		return Member{Name: name, Actor: clock.Actor(name + "~1"), Protocol: protocol, Status: s}
	}
	for name, c := range map[string]struct {
		expecting bool
		roster    []Member
		protocol  int
		outdated  []string
	}{
		"alone":                        {false, nil, wire.Version, nil},
		"told of others, and met none": {true, nil, wire.Lowest, nil},
		"met an equal":                 {true, []Member{member("b", wire.Version, Alive)}, wire.Version, nil},
		"an older one":                 {false, []Member{member("b", wire.Version, Alive), member("c", 1, Alive)}, 1, []string{"c"}},
		"an unknown one":               {false, []Member{member("b", 0, Alive)}, 1, []string{"b"}},
		"one of the version before":    {false, []Member{member("b", wire.Version-1, Alive)}, wire.Version - 1, []string{"b"}},
		"an absent one":                {false, []Member{member("b", 1, Failed), member("c", wire.Version, Alive)}, 1, []string{"b"}},
		"one that has left":            {false, []Member{member("b", 1, Left), member("c", wire.Version, Alive)}, wire.Version, nil},
		"a newer one":                  {false, []Member{member("b", wire.Version+1, Alive)}, wire.Version, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := New(Config{Actor: "a~1", Expecting: c.expecting})
			m.Update(now, c.roster)
			require.Equal(t, c.protocol, m.Protocol())
			require.Equal(t, c.outdated, m.Outdated(wire.Version))
		})
	}
	m := New(Config{Actor: "a~1", Protocol: 1})
	require.Equal(t, 1, m.Protocol(), "what it knew of them before its start counts until it sees them")
	m.Update(now, []Member{member("b", wire.Version, Alive)})
	require.Equal(t, wire.Version, m.Protocol())
	m = New(Config{Actor: "a~1", Expecting: true})
	m.Update(now, []Member{member("b", 1, Alive), member("c", 9, Alive)})
	require.Equal(t, []int{wire.Version, 1, wire.Version, 1}, []int{m.Speaks("a"), m.Speaks("b"), m.Speaks("c"), m.Speaks("nobody")})
	m.Update(now, nil)
	require.Equal(t, wire.Version, m.Protocol(), "it has met the others, and they are gone")
}

// A cluster of its own is who was told of nobody, has met nobody, also before its start, and counts nobody (rule M3).
func TestSingle(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	single := func(cfg Config, roster ...Member) bool {
		cfg.Actor = "a~1"
		m := New(cfg)
		if roster != nil {
			m.Update(now, roster)
		}
		return m.Single()
	}
	require.True(t, single(Config{}))
	require.False(t, single(Config{Expecting: true}), "it was told of others")
	require.False(t, single(Config{Protocol: 1}), "it knew others before its start, and is about to hear of them")
	require.False(t, single(Config{}, Member{Name: "b", Status: Alive}))
	require.False(t, single(Config{Protocol: 1}, Member{Name: "b", Status: Failed}))
	require.True(t, single(Config{Protocol: 1}, Member{Name: "b", Status: Left}), "all others have left")
}

// Whom SWIM has shown while there is no roll counts until there is one, also when it has left, or SWIM has dropped it: this
// disk may be of a time before the roll (rule M3). One that has left before this start counts for nothing.
func TestBeforeTheRoll(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := Member{Name: "b", Actor: "b~1", Protocol: wire.Version, Status: Alive}
	left := Member{Name: "c", Actor: "c~1", Protocol: wire.Version, Status: Left}
	m := New(Config{Actor: "a~1"})
	m.Update(now, []Member{b, left})
	b.Status = Left
	m.Update(now, []Member{b, left})
	require.Equal(t, []string{"b"}, m.Counted())
	m.Update(now, nil)
	require.Equal(t, []string{"b"}, m.Counted())
	require.Equal(t, wire.V3, m.Protocol(), "it could have been admitted")
	require.False(t, m.Single())
	m.Enroll(roll.Change(nil, "d", roll.Removed, clock.Dot{Actor: "d~1", Counter: 1}, 1))
	require.Empty(t, m.Counted())
}
