package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In the store of an earlier version, which kept nothing of it, all count as having taken part that are in the roll: a
// power cut and an upgrade need no more brokers than a power cut alone (rule M3).
func TestPartInTheStoreOfAnEarlierVersion(t *testing.T) {
	w := newCluster("a", "b")
	w.start("c", func(*Config) {})
	w.meet()
	w.pass(2 * time.Minute)
	require.Len(t, w.nodes["a"].b.members.Roll().Names(), 3)
	for _, name := range w.names {
		w.crash(name, false)
		kept := 0
		for key := range w.nodes[name].disk {
			if strings.HasPrefix(key, "o"+partKind+"\x00") {
				delete(w.nodes[name].disk, key)
				kept++
			}
		}
		require.Equal(t, 3, kept, name)
	}
	a := w.start("a", func(*Config) {})
	w.start("c", func(*Config) {}) // it came later than the roll began
	w.meet()
	w.pass(2 * time.Minute)
	require.True(t, a.b.peers.Vouches())
}

// Who takes part is written when that changes, and not with each step.
func TestPartIsKeptOnce(t *testing.T) {
	w := newCluster("a", "b", "c")
	w.pass(2 * time.Minute)
	a := w.nodes["a"]
	require.True(t, a.b.peers.Vouches())
	a.b.peers.Part(func(name string, _ uint64) { t.Error(name, "is kept already") })
	a.b.peers.Recount()
	a.b.peers.Part(func(name string, _ uint64) { t.Error(name, "is kept already") })
}
