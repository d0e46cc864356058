package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// prey is what a worker of modules attacks from within, as somebody would who has taken it over. It lies in the worker's only
// argument, encoded.
type prey struct {
	Go, Said    string // a file that begins it, and one for what came of it; both in the directory of running jobs
	Secret, New string // a file that is the broker's, and one that would be
	Blob, Run   string // a blob; the directory of running jobs
	TCP, Unix   string // addresses on which somebody listens
	Broker      int
}

// breakOut waits for its sign, tries all that a worker of modules should not be able to, and says what came of each.
func breakOut(arg string) {
	var p prey
	if err := json.Unmarshal([]byte(arg), &p); err != nil {
		panic(err)
	}
	for _, err := os.Stat(p.Go); err != nil; _, err = os.Stat(p.Go) {
		time.Sleep(5 * time.Millisecond)
	}
	dial := func(network, addr string) error {
		c, err := net.Dial(network, addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	read := func(path string) error { _, err := os.ReadFile(path); return err }
	said := map[string]string{}
	for name, try := range map[string]func() error{
		"read a file":      func() error { return read(p.Secret) },
		"list the root":    func() error { _, err := os.ReadDir("/"); return err },
		"make a file":      func() error { return os.WriteFile(p.New, nil, 0o600) },
		"change a blob":    func() error { return os.WriteFile(p.Blob, []byte("other"), 0o600) },
		"remove a blob":    func() error { return os.Rename(p.Blob, p.Blob+"x") },
		"link a file":      func() error { return os.Link(p.Secret, filepath.Join(p.Run, "link")) },
		"start a program":  func() error { _, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{}); return err },
		"become a program": func() error { return unix.Exec("/nowhere/at/all", nil, nil) },
		"TCP":              func() error { return dial("tcp", p.TCP) },
		"listen":           func() error { l, err := net.Listen("tcp", "127.0.0.1:0"); return errors.Join(err, closeIf(l)) },
		"a Unix socket":    func() error { return dial("unix", p.Unix) },
		"signal":           func() error { return syscall.Kill(p.Broker, 0) },
		"trace":            func() error { return attach(p.Broker) },
		"an environment":   func() error { return read(fmt.Sprintf("/proc/%d/environ", p.Broker)) },
		"limit":            func() error { return unix.Prlimit(p.Broker, unix.RLIMIT_NOFILE, nil, new(unix.Rlimit)) },
		"slow":             func() error { return unix.Setpriority(unix.PRIO_PROCESS, p.Broker, 0) },
		"memory":           func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"mount":            func() error { return mountOnce(p.Run) },
	} {
		if err := try(); err != nil {
			said[name] = err.Error()
		} else {
			said[name] = "SUCCEEDED"
		}
	}
	b, err := json.Marshal(said)
	if err == nil {
		err = os.WriteFile(p.Said+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(p.Said+".new", p.Said)
	}
	if err != nil {
		panic(err)
	}
}

func closeIf(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func attach(pid int) error {
	return onLostThread(func() error {
		return unix.PtraceSeize(pid) // and let it go as this thread ends
	})
}

func mountOnce(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		return err
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// A worker of modules that somebody has taken over is held by a second wall; without it the same works, so that this can fail.
func TestFence(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("off=%v", off), func(t *testing.T) {
			data := t.TempDir()
			run := filepath.Join(data, "run")
			p := prey{
				Go: filepath.Join(run, "go"), Said: filepath.Join(run, "said"), Secret: filepath.Join(data, "secret"), New: filepath.Join(data, "new"),
				Run: run, Unix: filepath.Join(data, "s"),
			}
			require.NoError(t, os.WriteFile(p.Secret, []byte(treasure), 0o600))
			victim := exec.Command("sleep", "1000") // a broker that nobody has protected
			victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			require.NoError(t, victim.Start())
			t.Cleanup(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
			p.Broker = victim.Process.Pid
			s := &scene{env: map[string]string{}}
			s.listen(t, "TCP", "tcp", "127.0.0.1:0")
			s.listen(t, "UNIX", "unix", p.Unix)
			p.TCP = s.env["TCP"]
			r := newRig(t, func(c *Config) {
				c.Dir, c.Sandbox.Off, c.IdleWorkers = run, off, -1
				p.Blob = filepath.Join(c.Blobs.Dir(), "a-blob")
				require.NoError(t, os.WriteFile(p.Blob, []byte(treasure), 0o600))
				b, err := json.Marshal(p)
				require.NoError(t, err)
				c.Worker = append(c.Worker, string(b))
			})
			task := r.wasm("sleep", "1h")
			r.e.Start(task)
			r.says(task, "sleeping") // so its module runs, whose code was written to memory and then made executable
			worker := r.workerPID(task)
			require.NoError(t, os.WriteFile(p.Go, nil, 0o600))
			var said map[string]string
			require.Eventually(t, func() bool {
				b, err := os.ReadFile(p.Said)
				return err == nil && json.Unmarshal(b, &said) == nil
			}, 60*time.Second, 5*time.Millisecond)
			held := hidden + "|invalid cross-device link"
			t.Log(said)
			for name, text := range said {
				switch {
				case off && name == "become a program":
					require.Equal(t, "no such file or directory", text, "there is no such program")
				case off && os.Geteuid() != 0 && name == "mount": // an ordinary user can't in any case
				case off:
					require.Equal(t, "SUCCEEDED", text, name)
				default:
					require.Regexp(t, held, text, name)
					require.NotContains(t, text, "SUCCEEDED", name)
				}
			}
			if off {
				require.Len(t, r.e.AroundModules().Missing, len(moduleWalls))
				return
			}
			require.Equal(t, "operation not permitted", said["become a program"], "it is not that there is no such program")
			require.Equal(t, moduleWalls, r.e.AroundModules().Holds, "this test needs a kernel that has them all")
			for _, thread := range numbers(fmt.Sprintf("/proc/%d/task", worker)) {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", worker, thread))
				if err != nil {
					continue // it has just ended
				}
				for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
					require.Contains(t, string(b), line, "thread %d", thread)
				}
			}
			score, err := os.ReadFile("/proc/" + strconv.Itoa(worker) + "/oom_score_adj")
			require.NoError(t, err)
			require.Equal(t, oomScore, strings.TrimSpace(string(score)), "it is ended before its broker when memory runs out")
			r.e.Stop(task.Key, task.Attempt)
			r.ended(task)
			require.Equal(t, job.Succeeded, r.run(r.wasm("files")).Outcome, "modules have what they need")
		})
	}
}

// The cache of compiled modules may be deleted while the broker runs: it costs only the time to compile them again.
func TestFenceAroundAnotherCache(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	r := newRig(t, func(c *Config) { c.CacheDir, c.IdleWorkers = cache, -1 })
	m := r.put(tinyModule("_start", 0))
	require.Equal(t, job.Succeeded, r.run(r.module(m)).Outcome)
	r.endIdle()
	require.FileExists(t, codeFile(cache, m))
	require.NoError(t, os.RemoveAll(cache))
	require.Equal(t, job.Succeeded, r.run(r.module(m)).Outcome)
	require.FileExists(t, codeFile(cache, m))
}
