package executor

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// treasure is in everything that a job is not to read.
const treasure = "treasure"

// attackVar is the path of the compiled program in testdata/attack, for another broker.
const attackVar = "EXECUTOR_TEST_ATTACK"

// No job does what testdata/attack tries, as root's broker and as that of an ordinary user, and each attack fails for the
// reason that is expected. Without a sandbox, or without a broker, it succeeds where the table says so: the check can fail.
func TestAttacks(t *testing.T) {
	if raceEnabled {
		t.Skip("what is tried are the kernel's walls; scripts/test.sh runs it without the race detector, which takes four times as long")
	}
	if os.Getenv(brokerVar) != "" {
		attackAll(t, os.Getenv(attackVar), false)
		return
	}
	if os.Geteuid() != 0 {
		attackAll(t, buildAttack(t, t.TempDir()), false)
		t.Log("NOT TRIED: the broker of root")
		return
	}
	t.Run("root", func(t *testing.T) { attackAll(t, buildAttack(t, t.TempDir()), true) })
	t.Run("nobody", func(t *testing.T) {
		const nobody = 65534
		home, err := os.MkdirTemp("", "nobody-")
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(home) })
		shared := filepath.Join(home, "shared")
		require.NoError(t, os.MkdirAll(filepath.Join(shared, "cache"), 0o755))
		program := filepath.Join(home, "executor.test")
		for from, to := range map[string]string{os.Args[0]: program, guest: filepath.Join(shared, "guest.wasm")} {
			b, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, b, 0o755))
		}
		attack := buildAttack(t, home)
		require.NoError(t, filepath.WalkDir(home, func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, nobody, nobody) }))
		cmd := exec.Command(program, "-test.run=^TestAttacks$", "-test.v")
		cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "TMPDIR="+home, sharedVar+"="+shared, brokerVar+"=nobody", attackVar+"="+attack)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
}

func buildAttack(t *testing.T, dir string) string {
	attack := filepath.Join(dir, "attack")
	build := exec.Command("go", "build", "-o", attack, "./testdata/attack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return attack
}

// How attacks fail: their target is not there, they are not allowed, or the job is ended.
const (
	unseen    = "no such file or directory|no such process|not in sight"
	forbidden = "permission denied|operation not permitted|read-only file system"
	hidden    = unseen + "|" + forbidden
	jobEnded  = "the job ended: "
)

// anAttack is one of testdata/attack.
type anAttack struct {
	name string
	how  string // how it fails, a regular expression
	// Whose job succeeds with it without a sandbox: "both", "root" or "user". Where a job is held even so, which program is not
	// that no broker has started: "alone" any, "alone, root" root's. "" is what would harm this machine, or depends on its settings.
	without string
}

var attacks = []anAttack{
	{"read-broker-file", hidden, "both"},
	{"list-broker-data", hidden, "both"},
	{"write-broker-file", hidden, "both"},
	{"make-broker-file", hidden, "both"},
	{"remove-broker-file", hidden, "both"},
	{"chmod-broker-file", hidden, "both"},
	{"chown-broker-file", hidden, "both"},
	{"touch-broker-file", hidden, "both"},
	{"truncate-file", hidden, "both"},
	{"stat-broker-file", unseen, "both"},
	{"read-blob", hidden, "both"},
	{"read-other-job", hidden, "both"},
	{"write-other-job", hidden, "both"},
	{"list-other-jobs", hidden, "both"},
	{"read-other-secret", hidden, "both"},
	{"read-through-link", hidden, "both"},
	{"hard-link", hidden + "|invalid cross-device link", "both"},
	{"rename-in", hidden + "|invalid cross-device link", "both"},
	{"read-above", hidden, "both"},
	{"read-home", hidden, "both"},
	{"read-tmp", hidden, "both"},
	{"read-shared", hidden, "both"},
	{"read-shadow", forbidden, "root"},
	{"write-usr", forbidden, "root"},
	{"write-etc", forbidden, "root"},
	{"kernel-log", forbidden, "root"},
	{"make-device", forbidden, "root"},
	{"core-pattern", forbidden, "root"},
	{"leave-own-group", forbidden, "root"},
	{"open-by-handle", forbidden, "root"},
	{"proc-root", hidden, "alone"},
	{"proc-cwd", hidden, "alone"},
	{"proc-fd", hidden, "alone"},
	{"proc-environ", hidden, "alone"},
	{"proc-maps", hidden, "alone"},
	{"proc-mem", hidden, "alone"},
	{"proc-cmdline", unseen, "both"},
	{"proc-list", unseen, "both"},
	{"proc-worker", hidden, "alone"},
	{"signal-broker", hidden, "alone"},
	{"signal-victim", hidden, "alone"},
	{"signal-worker", hidden, "alone"},
	{"signal-by-pidfd", hidden, "alone"},
	{"ptrace-broker", hidden, "alone"},
	{"ptrace-worker", hidden, "alone"},
	{"ptrace-victim", hidden, "alone"},
	{"read-memory", hidden, "alone"},
	{"take-descriptor", hidden, "alone"},
	{"limit-worker", forbidden, "alone"},
	{"limit-broker", hidden, "alone"},
	{"core-of-itself", forbidden, ""},
	{"slow-worker", forbidden, "alone"},
	{"slow-user", forbidden, ""},
	{"pin-worker", forbidden, "alone"},
	{"environment", "nothing of the broker's", "alone"},
	{"descriptors", "none but its own", "alone"},
	{"fork-bomb", jobEnded + "|resource temporarily unavailable", ""},
	{"setsid-escape", "the test looks", ""},
	{"shared-memory", jobEnded, ""},
	{"memory-file", jobEnded + "|" + forbidden, ""},
	{"system-v-memory", "invalid argument", "both"},
	{"tcp-connect", forbidden, "both"},
	{"tcp-listen", forbidden, "both"},
	{"tcp-fast-open", forbidden, "both"},
	{"udp", forbidden, "both"},
	{"raw-socket", forbidden, "root"},
	{"ping-socket", forbidden, ""},
	{"packet-socket", forbidden, "root"},
	{"netlink", forbidden, "both"},
	{"vsock", forbidden, "alone, root"},
	{"crypto-socket", forbidden, "alone, root"},
	{"unix-socket", hidden, "both"},
	{"abstract", hidden, "both"},
	{"io-uring", forbidden, "alone, root"},
	{"mount", forbidden, "root"},
	{"unmount", forbidden, ""},
	{"new-mount-api", forbidden, "root"},
	{"open-tree", forbidden, "root"},
	{"user-namespace", forbidden, "both"},
	{"unshare-user", forbidden, "both"},
	{"unshare-mounts", forbidden, "root"},
	{"join-namespace", forbidden, "root"},
	{"chroot", forbidden, "root"},
	{"host-name", forbidden, "root"},
	{"bpf", forbidden, "alone, root"},
	{"perf", forbidden, "alone, root"},
	{"keyring", forbidden, "alone, root"},
	{"userfault", forbidden, "alone, root"},
	{"become-root", forbidden, "root"},
	{"privileges", "none", "root"},
}

// scene is what is attacked.
type scene struct {
	*rig
	attack string
	env    map[string]string
}

// newScene makes a broker with a job, and all that attacks aim at.
func newScene(t *testing.T, attack string, sandbox SandboxConfig) *scene {
	data := t.TempDir()
	s := &scene{attack: attack, env: map[string]string{}}
	write := func(name, path string) {
		require.NoError(t, os.WriteFile(path, []byte(treasure), 0o666))
		require.NoError(t, os.Chmod(path, 0o666))
		t.Cleanup(func() { os.Remove(path) })
		s.env[name] = path
	}
	unique := fmt.Sprintf("ucp-attack-%d-%d", os.Getpid(), time.Now().UnixNano())
	write("SECRET_FILE", filepath.Join(data, "secret"))
	for i, name := range []string{"SPARE_FILE", "SPARE_FILE_2", "SPARE_FILE_3"} {
		write(name, filepath.Join(data, fmt.Sprint("spare", i)))
	}
	write("HOME_FILE", filepath.Join(t.TempDir(), "home"))
	write("TMP_FILE", filepath.Join("/tmp", unique))
	write("SHM_FILE", filepath.Join("/dev/shm", unique))
	segment, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o666)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(segment, unix.IPC_RMID, nil) })
	memory, err := unix.SysvShmAttach(segment, 0, 0)
	require.NoError(t, err)
	copy(memory, treasure)
	require.NoError(t, unix.SysvShmDetach(memory))
	s.env["SEGMENT"] = strconv.Itoa(segment)
	s.listen(t, "TCP", "tcp", "127.0.0.1:0")
	s.listen(t, "UNIX", "unix", filepath.Join("/tmp", unique+".sock"))
	require.NoError(t, os.Chmod(s.env["UNIX"], 0o777))
	s.listen(t, "ABSTRACT", "unix", "@"+unique)
	s.env["ABSTRACT"] = unique
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { udp.Close() })
	s.env["UDP"] = udp.LocalAddr().String()

	s.rig = newRig(t, native, func(c *Config) {
		c.Dir, c.Sandbox = filepath.Join(data, "run"), sandbox
		c.Secrets = func(context.Context, string, *job.Spec) (map[string]string, error) {
			return map[string]string{"PASSWORD": treasure, "./key": treasure}, nil
		}
	})
	blob := s.put([]byte(treasure))
	s.env["BLOB"], err = s.blobs.Path(blob)
	require.NoError(t, err)
	victim := s.sh("echo " + treasure + " > own; chmod 666 own; echo ready; exec sleep 1000.0" + strconv.Itoa(os.Getpid()))
	victim.Spec.Command, victim.Spec.Args = "sh", append(victim.Spec.Args, treasure)
	victim.Spec.Args[1] = "echo " + treasure + " > own; chmod 666 own; echo ready; sleep 1000; exit 0"
	victim.Spec.Env = map[string]string{"MINE": treasure}
	victim.Spec.Secrets = map[string]string{"PASSWORD": "sealed", "./key": "sealed"}
	s.e.Start(victim)
	s.says(victim, "ready")
	worker := s.workerPID(victim)
	children := treeOf(processes())[worker]
	require.Len(t, children, 1)
	s.env["BROKER"], s.env["VICTIM"] = strconv.Itoa(os.Getpid()), strconv.Itoa(children[0].pid)
	s.env["DATA"], s.env["RUN"], s.env["OTHER_NUMBER"] = data, s.e.cfg.Dir, "1"
	s.env["OTHER_FILE"] = filepath.Join(s.e.cfg.Dir, "1", rootName, "own")
	s.env["OTHER_SECRET"] = filepath.Join(s.e.cfg.Dir, "1", rootName, "key")
	s.env["ESCAPE"] = "1000." + strconv.Itoa(os.Getpid())
	return s
}

// listen accepts connections until the test ends.
func (s *scene) listen(t *testing.T, name, network, addr string) {
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, c, 1)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	s.env[name] = l.Addr().String()
}

// tries runs attacks, some at a time, and returns what each said.
func (s *scene) tries(names []string) map[string]string {
	said := map[string]string{}
	s.env["ESCAPE"] = "1000." + strconv.Itoa(os.Getpid())
	const atOnce = 4
	for some := range slices.Chunk(names, atOnce) {
		var tasks []Task
		for _, name := range some {
			task := s.sh("")
			task.Spec.Command, task.Spec.Args, task.Spec.Env = s.attack, []string{name}, s.env
			task.Spec.Resources.Memory = 256 << 20
			s.e.Start(task)
			tasks = append(tasks, task)
		}

		for i, task := range tasks {
			res := s.ended(task).Result
			said[some[i]] = strings.TrimSpace(s.read(res.Stdout))
			if res.Outcome != job.Succeeded {
				said[some[i]] += jobEnded + res.Reason
			}
		}
	}
	return said
}

// withoutBroker tries attacks as a program that no broker has started, on processes that nobody protects.
func withoutBroker(t *testing.T, attack string, names []string) map[string]string {
	sleeper := func(args ...string) string {
		cmd := exec.Command("sleep", append(args, "1000")...)
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), "MINE="+treasure), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
		cmd.Dir = t.TempDir()
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return strconv.Itoa(cmd.Process.Pid)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(treasure), 0o600))
	env := append(os.Environ(), "SECRET_FILE="+secret, "BROKER="+sleeper(), "VICTIM="+sleeper())
	said := map[string]string{}
	for _, name := range names {
		cmd := exec.Command("sh", "-c", `"$0" "$1"; :`, attack, name) // the shell is to it what its worker is to a job
		cmd.Env, cmd.Dir = env, t.TempDir()
		out, err := cmd.Output()
		require.NoError(t, err, name)
		said[name] = strings.TrimSpace(string(out))
	}
	return said
}

// attackAll tries all attacks, in a sandbox and without one; and some, in which a broker's job is held even so, without a broker.
func attackAll(t *testing.T, attack string, root bool) {
	t.Setenv("BROKER_SECRET", treasure)
	t.Run("alone", func(t *testing.T) { // first: afterwards this process is protected
		names, how := []string{}, map[string]string{}
		for _, a := range attacks {
			if a.without == "alone" || root && a.without == "alone, root" {
				names, how[a.name] = append(names, a.name), a.how
			}
		}
		for name, text := range withoutBroker(t, attack, names) {
			require.NotEmpty(t, text, name)
			require.NotRegexp(t, how[name], text, "%s is held for that reason by something else", name)
		}
	})
	t.Run("sandbox", func(t *testing.T) {
		s := newScene(t, attack, SandboxConfig{})
		var names []string
		for _, a := range attacks {
			names = append(names, a.name)
		}
		t.Log("the sandbox:", s.e.Sandbox())
		said := s.tries(names)
		for _, a := range attacks {
			if strings.Contains(said[a.name], "SUCCEEDED") || !regexp.MustCompile(a.how).MatchString(said[a.name]) {
				t.Errorf("%s: %q, not %q", a.name, said[a.name], a.how)
			}
		}
		for _, p := range processes() {
			require.NotContains(t, commandLine(p.pid), s.env["ESCAPE"], "it has left its session, and lives")
		}
	})
	t.Run("control", func(t *testing.T) {
		s := newScene(t, attack, SandboxConfig{Off: true})
		who := map[bool]string{true: "root", false: "user"}[root]
		var names []string
		for _, a := range attacks {
			if a.without == "both" || a.without == who {
				names = append(names, a.name)
			}
		}
		for name, text := range s.tries(names) {
			if !strings.Contains(text, "SUCCEEDED") {
				t.Errorf("without a sandbox %s does not work either: %q", name, text)
			}
		}
	})
}
