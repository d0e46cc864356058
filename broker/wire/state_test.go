package wire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// city is what one of n brokers knows of all, the clocks included.
func city(n int) State {
	var c clock.Vector
	for i := range n {
		c.Set(clock.Dot{Actor: clock.Actor(fmt.Sprintf("broker-%04d~0a1b2c3d", i)), Counter: uint64(i)<<20 + 1})
	}
	s := State{Version: Version, From: "broker-0000"}
	for i := range n {
		name := fmt.Sprintf("broker-%04d", i)
		s.Metadata = append(s.Metadata, Metadata{
			Version: clock.Hybrid(1_790_000_000_000 << 16), Name: name, Actor: c[i].Actor, HTTPAddr: "10.20.130.140:7373",
			Software: "v1.4.0", Protocol: Version, Strategy: "priority", Stretch: 1,
			Capabilities: Capabilities{
				Capacity: job.Resources{CPU: 4000, Memory: 8 << 30}, Disk: 1 << 38, Drivers: []job.Driver{job.Wasm, job.Process},
				Labels: map[string]string{"name": name, "os": "linux", "arch": "arm64", "district": "harbour-north"},
			},
			Usage: job.Resources{CPU: 1500, Memory: 1 << 30}, Jobs: map[job.State]int{job.StateRunning: 12, job.StateQueued: 30},
			Clock: clock.Tips(c), Modules: make(Modules, MaxModules*shortDigest),
		})
	}
	return s
}

// The state of a push-pull costs the same a broker however many there are, and is never left out:
// where not all of it fits, everybody is told of in turn (rules S3, K4).
func TestPushPullStaysFlat(t *testing.T) {
	few := 0 // bytes a broker, of ten
	for _, n := range []int{10, 100, 300, 1000} {
		s := city(n)
		b, told := EncodeState(&s, MaxState, 0)
		require.Equal(t, n-1, told, "of all others, at once")
		t.Logf("%d brokers: %d bytes, %d a broker", n, len(b), len(b)/n)
		require.Less(t, len(b)/n, 600, "a broker, one entry of the sender's clock included")
		if few == 0 {
			few = len(b) / n
		}
		require.InDelta(t, few, len(b)/n, 0.1*float64(few), "whatever their number")
		got, err := DecodeState(b)
		require.NoError(t, err)
		require.Equal(t, s.Metadata[0].Clock, got.Metadata[0].Clock, "the sender's own clock")
		for i, r := range got.Metadata[1:] {
			require.Empty(t, r.Clock)
			r.Clock = s.Metadata[i+1].Clock
			require.Equal(t, s.Metadata[i+1], r, "all else of everybody")
		}

		seen, first, rounds := map[string]bool{}, 0, 0
		for ; len(seen) < n; rounds++ {
			b, told := EncodeState(&s, MaxState1, first)
			require.LessOrEqual(t, len(b), MaxState1)
			got, err := DecodeState(b)
			require.NoError(t, err)
			require.Equal(t, s.From, got.Metadata[0].Name, "the sender itself each time")
			require.Len(t, got.Metadata, told+1)
			for _, r := range got.Metadata {
				seen[r.Name] = true
			}
			first += told
			require.Less(t, rounds, 4, "all within few exchanges")
		}
		t.Logf("%d brokers: told in %d exchanges of at most %d bytes", n, rounds, MaxState1)
	}
}

// A clock beyond every bound leaves the metadata itself in place.
func TestPushPullWithAnEndlessClock(t *testing.T) {
	s := city(3)
	for i := range 10_000 {
		(*clock.Vector)(&s.Metadata[0].Clock).Set(clock.Dot{Actor: clock.Actor(fmt.Sprintf("c~%08d", i)), Counter: 1})
	}
	b, told := EncodeState(&s, MaxState1, 0)
	require.Equal(t, 2, told)
	got, err := DecodeState(b)
	require.NoError(t, err)
	require.Len(t, got.Metadata, 3)
	require.Empty(t, got.Metadata[0].Clock)
}
