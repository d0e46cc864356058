package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// half starts two brokers that see each other, and nobody else.
func half(t *testing.T, name string) []*agent {
	one := startAgent(t, name+"1", t.TempDir(), "--allow-process", "--disk-reserve", "0", "--replicas", "2")
	two := startAgent(t, name+"2", t.TempDir(), "--allow-process", "--disk-reserve", "0", "--replicas", "2", "--join", one.gossip)
	one.seesHealthy(1)
	two.seesHealthy(1)
	return []*agent{one, two}
}

// carries brings a file from one broker to another.
func carries(t *testing.T, from, to *agent, args ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), from.name+".ucpcarry")
	r := from.ucp(append([]string{"carry", "pack", "--to", path}, args...)...)
	require.Equal(t, 0, r.code, r.stderr)
	r = to.ucp("carry", "unpack", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "this broker holds now all that "+from.name+" held then")
	return path
}

// Two halves that never hear of each other exchange jobs and data by file, in both directions: results come home, become firm, and
// `cluster verify` says at both that all hold the same.
func TestHalvesExchangeFiles(t *testing.T) {
	t.Parallel() // it waits most of the time
	south, north := half(t, "south"), half(t, "north")
	carries(t, south[0], north[0], "--for", "north1", "--admit")
	carries(t, north[0], south[1])

	const jobs = 40
	var content [2]string
	for i, side := range [][]*agent{south, north} {
		content[i] = strings.Repeat(fmt.Sprintf("what %s has measured\n", side[0].name), 200_000)
		file := filepath.Join(t.TempDir(), "measured")
		require.NoError(t, os.WriteFile(file, []byte(content[i]), 0o600))
		r := side[1].ucp("data", "put", "measured/"+side[0].name, file)
		require.Equal(t, 0, r.code, r.stderr)
		r = side[0].ucp("run", "--id", side[0].name, "--array", fmt.Sprintf("0-%d", jobs-1), "--driver", "process", "--cpu", "10m", "--memory", "1MiB", "/bin/echo", "--", "{index}")
		require.Equal(t, 0, r.code, r.stderr)
	}
	var last [2]string
	eventually(t, time.Minute, "both halves hold the same", func() bool { // until nothing is written any more that the other half lacks
		last = [2]string{carries(t, south[1], north[0]), carries(t, north[1], south[0])}
		return south[0].ucp("cluster", "verify", "--wait", "3s", "--carry", last[1]).code == 0 &&
			north[0].ucp("cluster", "verify", "--wait", "3s", "--carry", carries(t, south[0], north[1])).code == 0
	})

	for i, side := range [][]*agent{north, south} {
		other := [][]*agent{south, north}[i][0].name
		for _, at := range side {
			r := at.ucp("job", "list", "--count", "--label", "array="+other)
			require.Contains(t, r.stdout, fmt.Sprint(jobs), at.name)
			require.Contains(t, r.stdout, "succeeded", at.name)
		}
		r := side[0].ucp("data", "get", "measured/"+other)
		require.Equal(t, content[i], r.stdout)
		r = side[0].ucp("job", "logs", other+".7")
		require.Equal(t, "7\n", r.stdout, r.stderr)
		carries(t, south[0], north[0])
		carries(t, north[0], south[0])
		r = side[0].ucp("job", "get", other+".7")
		require.NotContains(t, r.stdout, "provisional")
	}

	// On a stick that has gone both ways there are files of both sides.
	stick := t.TempDir()
	for _, at := range []*agent{south[0], south[1], north[0]} {
		r := at.ucp("carry", "pack", "--to", stick)
		require.Equal(t, 0, r.code, r.stderr)
	}
	r := north[0].ucp("carry", "unpack", stick)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, 2, strings.Count(r.stdout, "this broker holds now all that south"))
	require.Contains(t, r.stdout, "passed over: 1 of these files, which this broker has packed itself")

	cut := filepath.Join(t.TempDir(), "cut.ucpcarry")
	b, err := os.ReadFile(last[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, b[:len(b)-20], 0o600))
	r = north[0].ucp("carry", "unpack", cut)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "the file ends too early")
	b[len(b)-20] ^= 1
	require.NoError(t, os.WriteFile(cut, b, 0o600))
	r = north[0].ucp("carry", "unpack", cut)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "the file was changed after it was packed")
}
