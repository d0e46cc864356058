package cgroup

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Limits is what the groups of a process allow it. A field is 0 where nothing limits it, or where it can't be told.
type Limits struct {
	Memory    int64 // bytes
	Available int64 // bytes of Memory that are not in use, or that the kernel would give back; at least 1 where Memory is set
	CPU       int64 // millicores
	Processes int64 // processes and threads that may be added; at least 1 where they are limited

	// MemoryPressure is the part of the last ten seconds in which some process had to wait for memory, on the whole machine
	// or in the group on the way where it is most. CPUPressure is likewise for a core, in groups whose CPU is limited: what
	// the machine's load does not tell.
	MemoryPressure, CPUPressure float64
}

// Read returns the limits of this process. root is the root of the file system, os.DirFS("/") but in tests.
func Read(root fs.FS) Limits {
	var l Limits
	l.MemoryPressure = pressure(level{root, "proc/pressure"}.read("memory"))
	for _, g := range groups(root, "memory", "cpu", "pids") {
		for dir := g.dir; ; dir = path.Dir(dir) {
			l.add(level{root, dir}, g.version)
			if dir == g.top || dir == "." {
				break
			}
		}
	}
	return l
}

// add takes in the limits of one group.
func (l *Limits) add(g level, version int) {
	var memory, used, quota, period int64
	reclaimable := "inactive_file"
	if version == 2 {
		memory = tightest(g.number("memory.max"), g.number("memory.high"))
		used = g.number("memory.current")
		f := strings.Fields(g.read("cpu.max"))
		if len(f) == 2 {
			quota, period = number(f[0]), number(f[1])
		}
		l.MemoryPressure = max(l.MemoryPressure, pressure(g.read("memory.pressure")))
		if quota > 0 {
			l.CPUPressure = max(l.CPUPressure, pressure(g.read("cpu.pressure")))
		}
	} else {
		// The kernel's own sum over the groups above knows also those that a container does not see.
		memory = tightest(g.number("memory.limit_in_bytes"), g.stat("hierarchical_memory_limit"))
		used, reclaimable = g.number("memory.usage_in_bytes"), "total_inactive_file"
		quota, period = g.number("cpu.cfs_quota_us"), g.number("cpu.cfs_period_us")
	}
	if memory > 0 {
		free := max(memory-max(used-g.stat(reclaimable), 0), 1)
		l.Memory, l.Available = tightest(l.Memory, memory), tightest(l.Available, free)
	}
	if most := g.number("pids.max"); most > 0 {
		l.Processes = tightest(l.Processes, max(most-g.number("pids.current"), 1))
	}
	if quota > 0 && period > 0 {
		l.CPU = tightest(l.CPU, max(quota*1000/period, 1))
	}
}

// pressure reads the part of the last ten seconds in which some process had to wait; 0 where it can't be told.
func pressure(text string) float64 {
	_, rest, found := strings.Cut(text, "some avg10=")
	percent, _, _ := strings.Cut(rest, " ")
	p, err := strconv.ParseFloat(percent, 64)
	if !found || err != nil || !(p >= 0 && p <= 100) {
		return 0
	}
	return p / 100
}

// noLimit is what version 1 says where there is none, less what it rounds to pages.
const noLimit = 1 << 62

// tightest returns the smaller one of two limits, of which 0 is none.
func tightest(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// number reads a limit or a figure; 0 is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n >= noLimit { // "max", -1
		return 0
	}
	return n
}

// level is the directory of one group.
type level struct {
	root fs.FS
	dir  string
}

func (g level) read(name string) string {
	b, _ := fs.ReadFile(g.root, path.Join(g.dir, name)) // a file that is not there says nothing
	return string(b)
}

func (g level) number(name string) int64 { return number(g.read(name)) }

// stat reads a line of memory.stat.
func (g level) stat(name string) int64 { return stat(g.read("memory.stat"), name) }

// stat finds a line "NAME NUMBER".
func stat(text, name string) int64 {
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(line, " "); key == name {
			return number(value)
		}
	}
	return 0
}

// group is where this process is in one hierarchy: paths in the file system, without the first slash.
type group struct {
	version  int
	dir, top string // its own group, and the highest one that is mounted
}

// groups lists where this process is in the hierarchies that are mounted: in those of version 1 that have one of the
// controllers, and in that of version 2.
func groups(root fs.FS, controllers ...string) (out []group) {
	own := ownPaths(root)
	mounts, _ := fs.ReadFile(root, "proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		// 32 31 0:29 /root /mount/point rw,relatime - cgroup cgroup rw,cpu
		left, right, _ := strings.Cut(string(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 {
			continue
		}
		top := strings.TrimPrefix(unescaped(l[4]), "/")
		switch r[0] {
		case "cgroup2":
			if p, ok := own[""]; ok {
				out = append(out, group{2, below(top, l[3], p), top})
			}
		case "cgroup":
			for name := range strings.SplitSeq(r[2], ",") {
				if p, ok := own[name]; ok && slices.Contains(controllers, name) {
					out = append(out, group{1, below(top, l[3], p), top})
				}
			}
		}
	}
	return out
}

// ownPaths maps a controller of version 1, or "" for version 2, to the path of this process's group.
func ownPaths(root fs.FS) map[string]string {
	out := map[string]string{}
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range bytes.Lines(text) { // 4:cpu,cpuacct:/a/b
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(f) < 3 {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			out[name] = f[2]
		}
	}
	return out
}

// below returns the directory of the group p where the group root is mounted at top. A container without a namespace of
// its own for groups is told the path on its host, of which it may have mounted only its own group.
func below(top, root, p string) string {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(root, "/"))
	if !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return top
	}
	return path.Join(top, rest)
}

// unescaped undoes what the kernel does to spaces and the like in paths.
func unescaped(s string) string {
	for i := 0; i+4 <= len(s); i++ {
		if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); s[i] == '\\' && err == nil {
			s = fmt.Sprintf("%s%c%s", s[:i], rune(n), s[i+4:])
		}
	}
	return s
}
