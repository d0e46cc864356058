package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Group is one group, as a directory.
type Group struct {
	Version int    `codec:"v"`
	Dir     string `codec:"dir"`
	Own     string `codec:"own"` // the group of the process that made it, and of its children
}

// Set is what the processes of one job are in: a group in each hierarchy where one could be made. An empty one is a job
// without groups.
type Set []Group

// Nest is where sets are made: in each hierarchy beside this process, or beside the group that this process has moved into.
// The Dir of its groups is how the directories of its sets begin.
type Nest []Group

// Bounds are what the processes of a set together may have.
type Bounds struct {
	Memory    int64 // bytes
	CPU       int64 // millicores
	Weight    int64 // for cores that others want, too: 1024 is that of one process of the usual priority
	Processes int64 // and threads
}

const (
	// nests is how the groups of all nests begin, those of other brokers in the same group included.
	nests = "ucp-jobs-"
	// abandoned is the age at which an empty set of another broker counts as one whose broker was killed.
	abandoned = time.Minute
)

// controllers are what a set needs to limit what its processes have.
var controllers = []string{"cpu", "memory", "pids"}

// NewNest returns a nest, which may be empty: it needs groups that this process may write, as root's are, and those that
// a service manager has delegated. What is left of an earlier nest of this name, processes that run in it included, is
// removed, and empty groups that others have left. In version 2 this process may be moved into a group of its own, so it
// must not have started others yet.
func NewNest(name string) (n Nest) {
	for _, g := range groups(os.DirFS("/"), controllers...) {
		own := filepath.Join("/", g.dir)
		home := own
		if g.version == 2 {
			home = handDown(own, g.dir == g.top, controllers)
		}
		nest := Group{g.version, filepath.Join(home, nests+name+"-"), own}
		if slices.ContainsFunc(n, func(other Group) bool { return other.Dir == nest.Dir }) {
			continue // a hierarchy of several of the controllers
		}
		left, _ := filepath.Glob(filepath.Join(home, nests+"*"))
		deeper, _ := filepath.Glob(filepath.Join(home, nests+"*", "*")) // where versions before had them
		for _, dir := range append(deeper, left...) {
			info, err := os.Stat(dir)
			switch {
			case err != nil || !info.IsDir():
			case strings.HasPrefix(dir, nest.Dir), strings.HasPrefix(dir, filepath.Join(home, nests+name)+"/"):
				_ = Set{{nest.Version, dir, own}}.End() // what can't be ended is in nobody's way
			case time.Since(info.ModTime()) > abandoned:
				_ = os.Remove(dir) // which only an empty one is
			}
		}
		probe := Group{g.version, nest.Dir + "probe", own}
		if err := os.Mkdir(probe.Dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
		_, err := os.Stat(filepath.Join(probe.Dir, "cgroup.kill"))
		if g.version == 1 || err == nil { // a kernel before 5.14 may not be able to start a process into a group
			n = append(n, nest)
		}
		_ = os.Remove(probe.Dir)
	}
	return n
}

// period is the time for which a CPU limit counts, in microseconds.
const period = 100_000

// Make makes a set with bounds. A bound that a hierarchy does not have is not set.
func (n Nest) Make(name string, b Bounds) (s Set) {
	for _, nest := range n {
		g := Group{nest.Version, nest.Dir + name, nest.Own}
		if os.Mkdir(g.Dir, 0o755) != nil {
			continue
		}
		s = append(s, g)
		quota := max(b.CPU*period/1000, 1000) // less the kernel does not take
		if g.Version == 1 {
			_ = g.set("memory.limit_in_bytes", b.Memory)
			_ = g.set("cpu.cfs_period_us", period)
			_ = g.set("cpu.cfs_quota_us", quota)
			_ = g.set("cpu.shares", b.Weight)
		} else {
			_ = g.set("memory.max", b.Memory)
			_ = g.write("cpu.max", fmt.Sprintf("%d %d", quota, period))
			_ = g.set("cpu.weight", min(max(b.Weight*100/1024, 1), 10_000))
		}
		_ = g.set("pids.max", b.Processes)
	}
	return s
}

func (g Group) set(file string, value int64) error {
	return g.write(file, strconv.FormatInt(value, 10))
}

func (g Group) write(file, value string) error {
	f, err := os.OpenFile(filepath.Join(g.Dir, file), os.O_WRONLY, 0) // not os.WriteFile: it would try to make the file
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Enter puts the calling thread, which must be locked, into the set's groups of version 1; what it then starts is in them
// from its first instruction. back puts that thread back, and may be called on another one. In version 2 a thread can't be alone in a group: there the child is
// started into the group.
func (s Set) Enter() (back func(), err error) {
	var entered Set
	thread := int64(gettid())
	back = func() {
		for _, g := range entered {
			_ = Group{Dir: g.Own}.set("tasks", thread)
		}
	}
	for _, g := range s {
		if g.Version == 1 {
			if err := g.set("tasks", thread); err != nil {
				back()
				return nil, fmt.Errorf("entering a control group: %w", err)
			}
			entered = append(entered, g)
		}
	}
	return back, nil
}

// Two returns the directory of the set's group of version 2, if it has one.
func (s Set) Two() (dir string, ok bool) {
	for _, g := range s {
		if g.Version == 2 {
			return g.Dir, true
		}
	}
	return "", false
}

// LimitsMemory reports whether one of the set's groups bounds the memory of all its processes together.
func (s Set) LimitsMemory() bool {
	return slices.ContainsFunc(s, func(g Group) bool {
		file := "memory.max"
		if g.Version == 1 {
			file = "memory.limit_in_bytes"
		}
		b, err := os.ReadFile(filepath.Join(g.Dir, file))
		limit, bad := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is no number, and nor is version 1's a bound
		return err == nil && bad == nil && limit < unlimited
	})
}

// unlimited is what version 1 takes for no limit, or less: the pages that a number has room for.
const unlimited = 1 << 62

// OOMKills is how many of the set's processes the kernel has killed because they were beyond its memory limit.
func (s Set) OOMKills() (n int64) {
	for _, g := range s {
		for _, file := range []string{"memory.events", "memory.oom_control"} {
			n += stat(level{os.DirFS("/"), strings.TrimPrefix(g.Dir, "/")}.read(file), "oom_kill")
		}
	}
	return n
}

// endWait bounds the wait for processes that were killed. One that is in the kernel, for a disk that does not answer, say,
// ends when it comes back from there.
const endWait = 2 * time.Second

// End kills every process that is in the set, wherever it has moved in the tree of processes, and removes the set.
func (s Set) End() error {
	var errs []error
	for _, g := range s {
		err := os.Remove(g.Dir) // the usual case: nobody is in it
		for end := time.Now().Add(endWait); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = os.Remove(g.Dir) {
			g.kill()
			time.Sleep(time.Millisecond)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (g Group) kill() {
	if g.set("cgroup.kill", 1) == nil { // Linux 5.14: at once, however fast they fork
		return
	}
	procs, _ := os.ReadFile(filepath.Join(g.Dir, "cgroup.procs"))
	for f := range strings.FieldsSeq(string(procs)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
