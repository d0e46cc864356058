package rig

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The rules of a filter replace all that were there, and drop as much as was asked.
func TestFilters(t *testing.T) {
	lost := map[string]float64{"10.77.0.12": 1, "10.77.0.11": 0.3}
	require.Equal(t, `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 10.77.0.11 -m statistic --mode random --probability 0.300 -j DROP
-A INPUT -s 10.77.0.12 -j DROP
COMMIT
`, iptables{}.rules(lost))
	require.Equal(t, `flush ruleset
table ip rig {
 chain in {
  type filter hook input priority 0; policy accept;
  ip saddr 10.77.0.11 numgen random mod 1000 < 300 drop
  ip saddr 10.77.0.12 drop
 }
}
`, nft{}.rules(lost))
}

// A network is never made outside of a box.
func TestNetworkNeedsABox(t *testing.T) {
	_, err := NewNetwork(2)
	require.Error(t, err)
	require.Error(t, MountDisk(t.TempDir(), 1<<20, 1024))
}

func TestDisks(t *testing.T) {
	disk, copied := filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "copy")
	for _, name := range []string{"db/log", "run/7/files/x", "LOCK"} {
		path := filepath.Join(disk, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(name), 0o600))
	}
	require.NoError(t, CopyDisk(disk, copied))
	require.FileExists(t, filepath.Join(copied, "db", "log"))
	require.NoDirExists(t, filepath.Join(copied, "run"), "it is cleared at a start")
	require.NoError(t, EmptyDisk(disk))
	left, err := os.ReadDir(disk)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Whether a broker was up all of a time is known by the times of its ups and downs.
func TestLives(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	var l lives
	l.begin(at(10))
	l.end(at(20))
	l.end(at(21)) // the process, after our signal
	l.begin(at(30))
	require.True(t, l.all(at(10), at(20)))
	require.True(t, l.all(at(31), at(99)))
	require.False(t, l.all(at(15), at(35)))
	require.False(t, l.all(at(5), at(15)))
	require.Equal(t, at(30), l.since())
}
