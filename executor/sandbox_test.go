package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

func TestUIDRanges(t *testing.T) {
	for text, want := range map[string]UIDRange{"7000-7999": {7000, 1000}, "1-1": {1, 1}, "2147483646-2147483647": {2147483646, 2}} {
		got, err := ParseUIDRange(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "7000", "0-9", "-1-9", "9-7", "a-b", "7000-7999-8", "1-2147483648", "1-99999999999999999999", "7000:7999"} {
		_, err := ParseUIDRange(text)
		require.ErrorContains(t, err, "FIRST-LAST", text)
	}
	a, b := shareOfUIDs("/var/lib/ucp/run"), shareOfUIDs("/home/ada/ucp-data/b/run")
	require.NotEqual(t, a, b, "brokers of one machine have different users")
	for i := range 1000 {
		r := shareOfUIDs(fmt.Sprint("/", i))
		require.Equal(t, uidShare, r.Count)
		require.Zero(t, (r.First-freeUIDs)%uidShare)
		require.GreaterOrEqual(t, r.First, 0x70000000)
		require.LessOrEqual(t, r.First+r.Count-1, 0x7fffffff)
	}
}

// Each job that runs has a user that no other has; without one that is free it has none.
func TestJobUsers(t *testing.T) {
	u := newJobUsers(UIDRange{7000, 3})
	require.Equal(t, []int{7000, 7001, 7002, 0}, []int{u.take(), u.take(), u.take(), u.take()})
	u.give(7001)
	require.Equal(t, []int{7001, 0}, []int{u.take(), u.take()})
	require.Zero(t, newJobUsers(UIDRange{}).take())
}

// What a user namespace has of a range is in its map.
func TestMapOfUsers(t *testing.T) {
	const whole, part = "         0          0 4294967295\n", "         0       1000          1\n         1     100000      65536\n"
	r := UIDRange{7000, 1000}
	require.True(t, mapHas(whole, r))
	require.True(t, mapHas(part, r))
	require.False(t, mapHas(part, UIDRange{65000, 1000}), "its end is missing")
	require.False(t, mapHas(part, UIDRange{freeUIDs, uidShare}))
	require.False(t, mapHas("0 1000 1\n", UIDRange{0, 2}))
	require.False(t, mapHas("nonsense", r))
}

// --require-sandbox refuses to start where a wall is missing that it names, and says why it is.
func TestRequiredWalls(t *testing.T) {
	a := abilities{Landlock: landlockTCP, Seccomp: true, NoSpaces: "a reason", NoUsers: "another"}
	s := a.sandbox(false)
	require.Equal(t, []string{WallPrivileges, WallFiles, WallTCP, WallSeccomp}, s.Holds)
	require.NoError(t, s.demand(nil))
	require.NoError(t, s.demand([]string{WallFiles, WallSeccomp}))
	require.EqualError(t, s.demand([]string{WallUsers}), "--require-sandbox: this machine can't have users (another)")
	err := s.demand([]string{AllWalls})
	for _, says := range []string{"users (another)", "namespaces (a reason)", "landlock-signals (needs Linux 6.12)", "cgroups (this broker may not make control groups)"} {
		require.ErrorContains(t, err, says)
	}
	require.NotContains(t, err.Error(), "seccomp")
	require.NoError(t, abilities{Landlock: landlockScope, Seccomp: true, Namespaces: true, Users: true}.sandbox(true).demand([]string{AllWalls}))
	require.Equal(t, []string{WallPrivileges, WallSeccomp}, abilities{NoLandlock: "none", Seccomp: true}.sandbox(true).only(moduleWalls).Holds)

	require.NoError(t, CheckWalls(append([]string{AllWalls}, Walls...)))
	require.ErrorContains(t, CheckWalls([]string{"moat"}), `"moat": there is no such wall; there are no-new-privileges,`)

	cfg := Config{Dir: filepath.Join(t.TempDir(), "jobs"), CacheDir: t.TempDir(), Blobs: diskBlobs{t.TempDir()}, Report: func(Update) {}, Worker: []string{workerArg}, Spawner: []string{spawnerArg}}
	cfg.Sandbox = SandboxConfig{Off: true, Require: []string{WallSeccomp}}
	for _, cfg.AllowProcess = range []bool{false, true} {
		_, err := New(cfg)
		require.ErrorContains(t, err, "--require-sandbox: this machine can't have seccomp (switched off by --no-sandbox)")
	}
}

// A native job has the network only if it asks for it, and its broker lets it.
func TestNetworkIsOffByDefault(t *testing.T) {
	asks := &job.Spec{Driver: job.Process, Network: true}
	for _, c := range []struct {
		sandbox SandboxConfig
		spec    *job.Spec
		refused bool
	}{
		{SandboxConfig{}, asks, true},
		{SandboxConfig{}, &job.Spec{Driver: job.Process}, false},
		{SandboxConfig{}, &job.Spec{Driver: job.Wasm, Network: true}, false},
		{SandboxConfig{Network: true}, asks, false},
		{SandboxConfig{Off: true}, asks, false},
	} {
		err := (&Executor{cfg: Config{Sandbox: c.sandbox}}).checkNetwork(c.spec)
		if !c.refused {
			require.NoError(t, err, c)
			continue
		}
		require.ErrorIs(t, err, errForbidden)
		require.ErrorContains(t, err, "--allow-network")
	}
	a := &attempt{e: &Executor{cfg: Config{Dir: "/d/run", Sandbox: SandboxConfig{Network: true}}}}
	require.False(t, a.jailOf().Network, "it does not ask")
	a.task.Spec.Network = true
	require.True(t, a.jailOf().Network)
}

// A job uses the devices that it asks for, and has the groups of their files, if it is a user of its own.
func TestDevicesOfAJob(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]string{}
	for i, name := range []string{"camera", "camera-2", "modem"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o660))
		_ = os.Chown(path, -1, 44+i/2) // as root alone
		kind := name[:5]
		files[kind] = append(files[kind], path)
	}
	sandbox := SandboxConfig{DevicePaths: files, Paths: []JobPath{{Path: "/opt/maps"}, {Path: "/srv/out", Write: true}}}
	a := &attempt{e: &Executor{cfg: Config{Dir: "/d/run", Sandbox: sandbox}}, user: 7000}
	require.Empty(t, a.jailOf().Devices)
	a.task.Spec.Resources.Devices = map[string]int64{"camer": 1, "modem": 0}
	j := a.jailOf()
	require.Equal(t, files["camer"], j.Devices)
	require.Equal(t, []string{"/opt/maps"}, j.Read)
	require.Equal(t, []string{"/srv/out"}, j.Write)
	require.Equal(t, "/d", j.Hide)
	if os.Geteuid() == 0 {
		require.Equal(t, []int{44}, j.Groups, "each group once")
		a.task.Spec.Resources.Devices["modem"] = 1
		require.Equal(t, []int{44, 45}, a.jailOf().Groups)
	}
	a.user = 0
	require.Empty(t, a.jailOf().Groups, "it has its broker's")
}

func TestJobPaths(t *testing.T) {
	for text, want := range map[string]JobPath{"/opt/maps": {Path: "/opt/maps"}, "/opt//maps/:ro": {Path: "/opt/maps"}, "/srv/out:rw": {Path: "/srv/out", Write: true}} {
		got, err := ParseJobPath(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "/", "//", "maps", "/opt:x", "/..", ":rw"} {
		_, err := ParseJobPath(text)
		require.Error(t, err, text)
	}
	j := &jail{Read: []string{"/opt/maps"}, Write: []string{"/srv/out"}}
	require.Equal(t, "/usr/bin:/opt/maps/bin:/srv/out", j.searchPath("/usr/bin:/home/kim/bin:/opt/maps/bin:/opt/mapsx:/srv/out"))
	require.Equal(t, "/usr/local/bin:/usr/bin:/bin", j.searchPath("/home/kim/bin"))
}
