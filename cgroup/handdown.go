package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// In version 2 a group hands its controllers down to the groups below it, or has processes, not both. So that the groups of
// jobs have limits, a broker that is alone in its group moves into a group below that one, beside its jobs'.

// seat is the group into which a broker moves.
const seat = "ucp-broker"

// handDown has the group of this process pass controllers on to those below it, as far as it has them, and moves this
// process below it if that is needed and nobody else is concerned. It returns the group beneath which sets are made.
// top says that it is the highest group that can be seen.
func handDown(own string, top bool, controllers []string) (home string) {
	if filepath.Base(own) == seat {
		return filepath.Dir(own) // it has moved before
	}
	g := Group{Version: 2, Dir: own}
	wanted := slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return !slices.Contains(g.list("cgroup.controllers"), c) })
	if g.pass(wanted) || !top && !delegated(own) {
		return own
	}
	self := strconv.Itoa(os.Getpid())
	if !slices.Equal(g.list("cgroup.procs"), []string{self}) {
		return own
	}
	below := Group{Version: 2, Dir: filepath.Join(own, seat)}
	_ = os.Mkdir(below.Dir, 0o755) // it may be there
	if below.write("cgroup.procs", self) == nil && !g.pass(wanted) && len(g.list("cgroup.subtree_control")) == 0 {
		_ = g.write("cgroup.procs", self) // it was for nothing
		_ = os.Remove(below.Dir)
	}
	return own
}

// pass passes controllers on and reports whether all of them are.
func (g Group) pass(controllers []string) bool {
	for _, c := range controllers {
		if !slices.Contains(g.list("cgroup.subtree_control"), c) && g.write("cgroup.subtree_control", "+"+c) != nil {
			return false
		}
	}
	return true
}

func (g Group) list(file string) []string {
	b, _ := os.ReadFile(filepath.Join(g.Dir, file)) // a file that is not there lists nothing
	return strings.Fields(string(b))
}

// delegated reports whether a group is this process's to arrange: systemd marks those that it has left to a service, and
// without systemd there is nobody else.
func delegated(dir string) bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return true
	}
	value := make([]byte, 8)
	for _, mark := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(dir, mark, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}
