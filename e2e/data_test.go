package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// tells runs a command that succeeds, and returns what it prints.
func (a *agent) tells(args ...string) string {
	a.t.Helper()
	r := a.ucp(args...)
	require.Equal(a.t, 0, r.code, "%v: %s", args, r.stderr)
	return r.stdout
}

// holds waits until a broker tells that of a name.
func (a *agent) holds(content, name string) {
	a.t.Helper()
	eventually(a.t, time.Minute, a.name+" has "+name+" as "+content, func() bool { return a.ucp("data", "get", name).stdout == content })
}

// What is written at one broker is read at each, by people and by jobs; what a job leaves is written by its end, and outlives the broker
// that ran it; who waits for a name goes on when something is there; and what is removed is removed everywhere (rules D1 to D7).
func TestNamedData(t *testing.T) {
	dir := t.TempDir()
	brokers := startCluster(t, 3, "--allow-process", "--no-sandbox")
	a, b, c := brokers[0], brokers[1], brokers[2]
	file := filepath.Join(dir, "level.txt")
	writeFile(t, file, "17\n")
	writeFile(t, filepath.Join(dir, "tiles", "north", "1"), "of the north\n")

	require.Equal(t, "sensors/level is 3 B; 3 brokers hold it\n", a.tells("data", "put", "sensors/level", file))
	require.Equal(t, "sensors/level was that already: 3 B; 3 brokers hold it\n", b.tells("data", "put", "sensors/level", file))
	b.holds("17\n", "sensors/level")
	require.Contains(t, a.tells("data", "put", "maps/north", filepath.Join(dir, "tiles")), "maps/north is a directory; ")

	// A job at another broker waits for one name, reads three, and leaves a file and a directory under names.
	c.tells("run", "--detach", "--id", "reader", "--driver", "process", "--input", "level=data:sensors/level", "--input", "tiles/=data:maps/north",
		"--stdin", "data:late/news", "--put", "out=results/all", "--put", "made/=results/made", "--constraint", "name=b",
		"sh", "--", "-c", "mkdir made; cat level tiles/north/1 - >out; cp out made/copy")
	require.Contains(t, c.tells("job", "get", "reader"), "late/news")
	writeFile(t, file, "news\n")
	a.tells("data", "put", "late/news", file)
	require.Equal(t, "reader  succeeded\n", c.tells("job", "wait", "reader", "--timeout", "1m"))
	for _, x := range brokers {
		x.holds("17\nof the north\nnews\n", "results/all")
	}
	require.Equal(t, "17\nof the north\nnews\n", b.tells("run", "--driver", "process", "--input", "in/=data:results/", "cat", "--", "in/made/copy"), "all below a prefix")
	var list api.DataList
	require.NoError(t, json.Unmarshal([]byte(c.tells("data", "list", "results/", "-o", "json")), &list))
	require.Len(t, list.Data, 2)
	for _, d := range list.Data {
		require.Equal(t, "reader", string(d.Latest.Job))
	}

	// Who wrote a version and who made it are killed: what they have acknowledged is there, of them too when they are back.
	eventually(t, time.Minute, "a and c are known to hold all", func() bool {
		return c.ucp("data", "get", "results/made", "--to", filepath.Join(dir, "made")).code == 0
	})
	writeFile(t, file, "18\n")
	require.Contains(t, b.tells("data", "put", "sensors/level", file), "; 3 brokers hold it")
	b.signal(syscall.SIGKILL, time.Minute)
	c.holds("18\n", "sensors/level")
	c.holds("17\nof the north\nnews\n", "results/all")
	b = startAgent(t, "b", b.dir, "--allow-process", "--no-sandbox", "--join", a.gossip)
	b.holds("18\n", "sensors/level")
	require.Equal(t, 3, strings.Count(b.tells("data", "list", "sensors/level"), "\n"), "both versions stay, below a heading")

	require.Contains(t, b.tells("data", "rm", "sensors/level", "results/made"), "sensors/level: 2 versions are removed; ")
	for _, x := range []*agent{a, b, c} {
		eventually(t, time.Minute, x.name+" knows that it was removed", func() bool {
			return strings.Contains(x.ucp("data", "get", "sensors/level").stderr, "was removed")
		})
		require.NotContains(t, x.tells("data", "list"), "results/made")
	}
}

// Both sides of a split write a name. When they meet, both versions stay, the later one is the latest everywhere, and each broker
// has both contents, though the one that wrote first was killed in between.
func TestBothSidesWriteAName(t *testing.T) {
	dir := t.TempDir()
	first, second := startAgent(t, "a", t.TempDir()), startAgent(t, "b", t.TempDir())
	for i, x := range []*agent{first, second} {
		file := filepath.Join(dir, x.name)
		writeFile(t, file, "of "+x.name+"\n")
		require.Contains(t, x.tells("data", "put", "shelters/open", file), "shelters/open is 5 B; one broker holds it, fewer than --replicas\nothers take it as they can", i)
	}
	first.signal(syscall.SIGKILL, time.Minute)
	first = startAgent(t, "a", first.dir)
	require.Equal(t, "of a\n", first.tells("data", "get", "shelters/open"))
	require.Equal(t, 0, first.serf("join", second.gossip).code)
	for _, x := range []*agent{first, second} {
		x.holds("of b\n", "shelters/open")
		var d api.Data
		eventually(t, time.Minute, x.name+" has both versions", func() bool {
			return json.Unmarshal([]byte(x.tells("data", "list", "shelters/open", "-o", "json")), &d) == nil && len(d.Versions) == 2
		})
		require.Equal(t, "of a\n", x.tells("data", "get", "shelters/open", "--version", d.Versions[1].Version))
	}
	third := startAgent(t, "c", t.TempDir(), "--join", second.gossip)
	third.holds("of b\n", "shelters/open")
}
