// Package lan tries real brokers on networks of their own: addresses that come, change and go, several networks at once,
// and brokers that find each other. It has tests only. As root they run in namespaces that they make themselves, of which
// the machine's own network sees nothing, and which go with them; elsewhere they are skipped, and say so.
package lan

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/process"
	"github.com/urban-compute/ucp/test/rig"
)

var (
	ucpBinary string
	noBox     error // why these tests can't run here
)

func TestMain(m *testing.M) {
	code, inside, why := rig.Box()
	switch {
	case why != nil:
		noBox = why
		fmt.Fprintln(os.Stderr, "NOT TESTED: brokers on networks of their own, since", why)
		os.Exit(m.Run())
	case !inside:
		os.Exit(code)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ucp-lan-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ucpBinary = filepath.Join(dir, "ucp")
		if err := process.Build(ucpBinary, "github.com/urban-compute/ucp/cmd/ucp"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// patience is how long a loaded machine may take for what takes seconds.
const patience = time.Minute

// network makes n machines on one bridge, 10.77.0.11 and up; ip runs `ip` with a line that names machine i as b0, b1...
func network(t *testing.T, n int) (ip func(line string, args ...any)) {
	t.Helper()
	if noBox != nil {
		t.Skip("NOT TESTED: ", noBox)
	}
	net, err := rig.NewNetwork(n)
	require.NoError(t, err)
	t.Cleanup(net.Remove)
	return func(line string, args ...any) {
		t.Helper()
		line = fmt.Sprintf(line, args...)
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", line, out)
	}
}

// broker is a real broker on a machine of the network.
type broker struct {
	*process.Agent
	t       *testing.T
	machine int
	name    string
}

// start starts a broker on machine i, and does not wait for anything.
func start(t *testing.T, machine int, dir string, args ...string) *broker {
	t.Helper()
	return launch(t, machine, nil, dir, args...)
}

// launch starts a broker by a command that is given its command line.
func launch(t *testing.T, machine int, by []string, dir string, args ...string) *broker {
	t.Helper()
	b := &broker{t: t, machine: machine, name: fmt.Sprintf("van-%d", machine)}
	cmd := exec.Command("ip", slices.Concat([]string{"netns", "exec", fmt.Sprintf("b%d", machine)}, by, []string{ucpBinary, "agent", "--name", b.name,
		"--data-dir", dir, "--rpc-addr", "-", "--insecure", "--cpu", "1.0", "--memory", "256MiB", "--log-format", "json"}, args)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	b.Agent = process.Start(t, b.name, 0, cmd)
	return b
}

// members asks the broker on its own machine, where it listens on all addresses, or at one.
func (b *broker) members(at string) map[string]api.Member {
	out, err := exec.Command("ip", "netns", "exec", fmt.Sprintf("b%d", b.machine), ucpBinary, "members", "-o", "json", "--addr", at).Output()
	var list api.MemberList
	if err != nil || json.Unmarshal(out, &list) != nil {
		return nil
	}
	found := map[string]api.Member{}
	for _, m := range list.Members {
		found[m.Name] = m
	}
	return found
}

// sees waits until a broker sees another one alive at an address, for gossip and HTTP alike, and exchanges messages with it.
func (b *broker) sees(other *broker, host string) time.Duration {
	b.t.Helper()
	began := time.Now()
	require.Eventually(b.t, func() bool {
		m := b.members("127.0.0.1:8000")[other.name]
		return m.Status == "alive" && m.Addr == host+":7946" && m.HTTPAddr == host+":8000"
	}, patience, 100*time.Millisecond, "%s sees %s alive at %s", b.name, other.name, host)
	return time.Since(began)
}

const everywhere = "0.0.0.0:7946"

// On several networks peers are told the address on the way to them, and HTTP is where gossip is.
func TestAddressOnTheWay(t *testing.T) {
	ip := network(t, 2)
	ip("-n b1 link add other0 type veth peer name other1")
	ip("-n b1 addr add 10.1.1.1/24 dev other0")
	ip("-n b1 link set other0 up")
	a := start(t, 0, t.TempDir(), "--bind", everywhere)
	b := start(t, 1, t.TempDir(), "--bind", everywhere, "--retry-join", "10.77.0.11")
	b.sees(a, "10.77.0.11")
	a.sees(b, "10.77.0.12")
}

// One list serves all, though it names each broker itself under another of its addresses; names that nobody answers to at
// first stay in it.
func TestOneListForAll(t *testing.T) {
	ip := network(t, 3)
	var all []*broker
	for i := range 3 {
		ip("-n b%d addr add 10.77.0.%d/24 dev eth0", i, 100+i)
	}
	for i := range 3 {
		all = append(all, start(t, i, t.TempDir(), "--bind", fmt.Sprintf("10.77.0.%d:7946", 11+i), "--http-addr", "0.0.0.0:8000",
			"--retry-join", "10.77.0.100", "--retry-join", "exec:printf '10.77.0.101\n10.77.0.11\n10.77.0.12\n10.77.0.13\n'"))
		if i == 0 {
			require.Eventually(t, func() bool { return strings.Contains(all[0].Said(), "nobody else answers yet") }, patience, 100*time.Millisecond)
		}
	}
	for i, a := range all {
		for j, b := range all {
			if i != j {
				a.sees(b, fmt.Sprintf("10.77.0.%d", 11+j))
			}
		}
	}
	for _, b := range all {
		require.NotContains(t, b.Said(), "two nodes claim one name")
		require.NotContains(t, b.Said(), "Got ping for unexpected node")
	}
}

// A broker whose machine gets another address is back within seconds, and so is one that was restarted there at once.
func TestAddressThatChanges(t *testing.T) {
	ip := network(t, 3)
	var dirs []string
	var all []*broker
	for i := range 3 {
		dirs = append(dirs, t.TempDir())
		all = append(all, start(t, i, dirs[i], "--bind", everywhere, "--retry-join", "10.77.0.11"))
	}
	all[0].sees(all[1], "10.77.0.12")
	all[2].sees(all[1], "10.77.0.12")
	pid := all[1].Cmd.Process.Pid

	ip("-n b1 addr flush dev eth0")
	ip("-n b1 addr add 10.77.0.112/24 dev eth0")
	atMost := func(what string, took ...time.Duration) {
		t.Helper()
		t.Log(what, took)
		require.LessOrEqual(t, took[0]+took[1], 20*time.Second, "seconds on a machine that has time: 2 to 5")
	}
	atMost("while it runs:", all[0].sees(all[1], "10.77.0.112"), all[2].sees(all[1], "10.77.0.112"))
	all[1].sees(all[2], "10.77.0.13")
	require.Equal(t, pid, all[1].Cmd.Process.Pid)

	all[1].Kill()
	ip("-n b1 addr flush dev eth0")
	ip("-n b1 addr add 10.77.0.113/24 dev eth0")
	all[1] = start(t, 1, dirs[1], "--bind", everywhere, "--retry-join", "10.77.0.11")
	atMost("at a restart:", all[0].sees(all[1], "10.77.0.113"), all[2].sees(all[1], "10.77.0.113"))
}

// A broker that peers know by a name follows it to another address, also when the name is not known yet at its start.
func TestNameThatMoves(t *testing.T) {
	ip := network(t, 2)
	hosts := filepath.Join(t.TempDir(), "hosts")
	names := func(text string) {
		require.NoError(t, os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"+text), 0o644))
	}
	names("")
	a := start(t, 0, t.TempDir(), "--bind", everywhere)
	// What mounts it does so in a namespace of its own, which `ip netns exec` makes.
	b := launch(t, 1, []string{"sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts}, t.TempDir(), "--bind", everywhere,
		"--advertise", "van-1.example:7946", "--http-advertise", "10.77.0.50:8000", "--retry-join", "10.77.0.11")
	ip("-n b1 addr add 10.77.0.50/24 dev eth0")
	known := func(host string) {
		t.Helper()
		require.Eventually(t, func() bool {
			m := a.members("127.0.0.1:8000")[b.name]
			return m.Status == "alive" && m.Addr == host+":7946"
		}, patience, 100*time.Millisecond, host)
	}
	known("10.77.0.12")
	require.Contains(t, b.Said(), "can't be looked up")
	ip("-n b1 addr add 10.77.0.112/24 dev eth0")
	names("10.77.0.112 van-1.example\n")
	known("10.77.0.112")
	ip("-n b1 addr add 10.77.0.113/24 dev eth0")
	names("10.77.0.113 van-1.example\n")
	known("10.77.0.113")
	require.Equal(t, 1, strings.Count(b.Said(), "can't be looked up"))
	require.Equal(t, 1, strings.Count(b.Said(), "can be looked up again"))
}

// A broker that is to listen at one address says so when its machine loses it, and is back within seconds when it has it again.
func TestBoundAddressThatGoes(t *testing.T) {
	ip := network(t, 2)
	a := start(t, 0, t.TempDir(), "--bind", "10.77.0.11:7946", "--http-addr", "0.0.0.0:8000", "--sync-interval", "500ms")
	b := start(t, 1, t.TempDir(), "--bind", "10.77.0.12:7946", "--http-addr", "0.0.0.0:8000", "--sync-interval", "500ms", "--retry-join", "10.77.0.11")
	a.sees(b, "10.77.0.12")
	ip("-n b1 addr flush dev eth0")
	ip("-n b1 addr add 10.77.0.112/24 dev eth0")
	says := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			out, err := exec.Command("ip", "netns", "exec", "b1", ucpBinary, "status").CombinedOutput()
			return err == nil && strings.Contains(strings.Join(strings.Fields(string(out)), " "), want)
		}, patience, 100*time.Millisecond, want)
	}
	says("its machine has lost the address of --bind 10.77.0.12")
	require.Contains(t, b.Said(), `"has":["10.77.0.112"]`)
	ip("-n b1 addr add 10.77.0.12/24 dev eth0")
	says("yes: you see all 2 brokers")
	a.sees(b, "10.77.0.12")
	require.Eventually(t, func() bool { return strings.Count(b.Said(), "has the address again") == 1 }, patience, 100*time.Millisecond)
	require.Equal(t, 1, strings.Count(b.Said(), "has lost the address"))
}

// A broker that listens on IPv4 only, on a network of IPv6, does not tell others to look for it at themselves; it says what to do.
func TestIPv4OnlyAmongIPv6(t *testing.T) {
	ip := network(t, 2)
	for i := range 2 {
		ip("-n b%d addr flush dev eth0", i)
		ip("-n b%d addr add fd00:77::%d/64 dev eth0 nodad", i, 1+i)
	}
	a := start(t, 0, t.TempDir(), "--bind", "[::]:7946")
	require.Eventually(t, func() bool { return a.members("127.0.0.1:8000") != nil }, patience, 100*time.Millisecond)
	b := start(t, 1, t.TempDir(), "--bind", everywhere, "--retry-join", "[fd00:77::1]:7946")
	require.Eventually(t, func() bool { return strings.Contains(b.Said(), "start the broker with --bind [::]:7946") }, patience, 100*time.Millisecond)
	require.Len(t, a.members("127.0.0.1:8000"), 1, "it has not been told of an address that is its own")
	b.Kill()
	b = start(t, 1, t.TempDir(), "--bind", "[::]:7946", "--retry-join", "[fd00:77::1]:7946")
	require.Eventually(t, func() bool {
		m := a.members("127.0.0.1:8000")[b.name]
		return m.Status == "alive" && m.HTTPAddr == "[fd00:77::2]:8000"
	}, patience, 100*time.Millisecond)
}

// Two machines and a cable: nobody gives them addresses, nobody types any. Brokers that started before they had one find
// each other by name.
func TestDiscovery(t *testing.T) {
	ip := network(t, 2)
	var all []*broker
	for i := range 2 {
		ip("-n b%d addr flush dev eth0", i)
		all = append(all, start(t, i, t.TempDir(), "--bind", everywhere, "--discover", "kitchen"))
	}
	for _, b := range all {
		require.Eventually(t, func() bool { return b.members("127.0.0.1:8000") != nil }, patience, 100*time.Millisecond, "%s starts alone", b.name)
	}
	for i := range 2 {
		ip("-n b%d addr add 169.254.7.%d/16 dev eth0", i, 1+i)
	}
	t.Log("found:", all[0].sees(all[1], "169.254.7.2"), all[1].sees(all[0], "169.254.7.1"))
}

// Health is whether messages pass, not what gossip says; each change is one line in the log.
func TestHealthIsWhetherMessagesPass(t *testing.T) {
	network(t, 2)
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("NOT TESTED: there is no iptables to let gossip through and messages not")
	}
	a := start(t, 0, t.TempDir(), "--bind", everywhere, "--sync-interval", "500ms")
	b := start(t, 1, t.TempDir(), "--bind", everywhere, "--sync-interval", "500ms", "--retry-join", "10.77.0.11")
	health := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.HasPrefix(a.members("127.0.0.1:8000")[b.name].Health, want) }, patience, 100*time.Millisecond, want)
	}
	health("healthy")
	require.Equal(t, "alive", a.members("127.0.0.1:8000")[b.name].Status)
	rule := func(what string) {
		t.Helper()
		out, err := exec.Command("ip", "netns", "exec", "b1", "iptables", what, "INPUT", "-p", "tcp", "--dport", "8000", "-s", "10.77.0.11", "-j", "REJECT", "--reject-with", "tcp-reset").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	rule("-A")
	health("silent for ")
	require.Equal(t, "alive", a.members("127.0.0.1:8000")[b.name].Status, "gossip passes")
	require.Eventually(t, func() bool { return strings.Count(a.Said(), `"msg":"peer","name":"van-1"`) == 1 }, patience, 100*time.Millisecond)
	rule("-D")
	health("healthy")
	require.Eventually(t, func() bool { return strings.Count(a.Said(), `"msg":"peer","name":"van-1"`) == 2 }, patience, 100*time.Millisecond)

	b.Kill()
	other := start(t, 1, t.TempDir(), "--bind", everywhere, "--name", "thief")
	health("at its address thief answers")
	out, err := exec.Command("ip", "netns", "exec", "b0", ucpBinary, "cluster", "verify", "--wait", "1s").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "van-1", "%s", out)
	other.Kill()
}
