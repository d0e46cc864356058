package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Nest is where sets are made: in each hierarchy a group below this process's own, which is there as long as it has sets.
type Nest []Group

const (
	// nests is how the groups of all nests begin, those of other brokers in the same group included.
	nests = "ucp-jobs-"
	// abandoned is the age at which an empty set of another broker counts as one whose broker was killed.
	abandoned = time.Minute
)

// NewNest returns a nest, which may be empty: it needs groups that this process may write, as root's are, and those that
// a service manager has delegated. What is left of an earlier nest of this name, processes that run in it included, is
// removed, and empty groups that others have left.
func NewNest(name string) (n Nest) {
	for _, g := range groups(os.DirFS("/"), "memory", "pids") {
		own := filepath.Join("/", g.dir)
		nest := Group{g.version, filepath.Join(own, nests+name), own}
		left, _ := filepath.Glob(filepath.Join(own, nests+"*", "*"))
		for _, dir := range left {
			info, err := os.Stat(dir)
			switch {
			case err != nil || !info.IsDir():
			case filepath.Dir(dir) == nest.Dir:
				_ = Set{{nest.Version, dir, own}}.End() // what can't be ended is in nobody's way
			case time.Since(info.ModTime()) > abandoned:
				_ = os.Remove(dir) // which only an empty one is
				_ = os.Remove(filepath.Dir(dir))
			}
		}
		if err := os.Mkdir(nest.Dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
		_, err := os.Stat(filepath.Join(nest.Dir, "cgroup.kill"))
		if g.version == 1 || err == nil { // a kernel before 5.14 may not be able to start a process into a group
			n = append(n, nest)
		}
		_ = os.Remove(nest.Dir)
	}
	return n
}

// Make makes a set whose processes together may have so much memory, in bytes, and may be so many. A limit that a
// hierarchy does not have is not set.
func (n Nest) Make(name string, memory int64, processes int) (s Set) {
	for _, nest := range n {
		g := Group{nest.Version, filepath.Join(nest.Dir, name), nest.Own}
		_ = os.Mkdir(nest.Dir, 0o755) // it may be there
		if os.Mkdir(g.Dir, 0o755) != nil {
			continue
		}
		s = append(s, g)
		file := "memory.max"
		if g.Version == 1 {
			file = "memory.limit_in_bytes"
		}
		_ = g.set(file, memory)
		_ = g.set("pids.max", int64(processes))
	}
	return s
}

func (g Group) set(file string, value int64) error {
	f, err := os.OpenFile(filepath.Join(g.Dir, file), os.O_WRONLY, 0) // not os.WriteFile: it would try to make the file
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(value, 10))
	return errors.Join(err, f.Close())
}

// Enter puts the calling thread, which must be locked, into the set's groups of version 1; what it then starts is in them
// from its first instruction. back puts it back. In version 2 a thread can't be alone in a group: there the child is
// started into the group.
func (s Set) Enter() (back func(), err error) {
	var entered Set
	back = func() {
		for _, g := range entered {
			_ = Group{Dir: g.Own}.set("tasks", 0) // the thread that writes it
		}
	}
	for _, g := range s {
		if g.Version == 1 {
			if err := g.set("tasks", 0); err != nil {
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
		_ = os.Remove(filepath.Dir(g.Dir)) // unless other sets are in the nest
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
