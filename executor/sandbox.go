package executor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/job"
)

// The sandbox of native jobs has several walls, each of which holds alone (decision 0200). What a wall needs of the kernel, of
// the machine's settings, or of the rights of the broker's user, may be missing. Which of them stand is tried once, in a worker, when an
// executor is made; from then on each job has these, or is returned. What is missing is named (Executor.Sandbox), and
// can be demanded (Config.RequireSandbox).

// The walls of the sandbox, as they are named.
const (
	WallPrivileges = "no-new-privileges" // set-user-ID programs give no rights, and no capability is left
	WallUsers      = "users"             // each running job is a user of its own
	WallNamespaces = "namespaces"        // of processes, mounts and System V IPC
	WallFiles      = "landlock-files"    // Landlock: only what a job needs of the file system
	WallTCP        = "landlock-tcp"      // Landlock: no TCP
	WallSignals    = "landlock-signals"  // Landlock: neither signals nor abstract sockets of others
	WallSeccomp    = "seccomp"           // dangerous system calls fail, and other sockets than Unix ones
	WallGroups     = "cgroups"           // control groups limit memory, CPU and processes
)

// Walls lists the names of all walls, in the order in which they are shown.
var Walls = []string{WallPrivileges, WallUsers, WallNamespaces, WallFiles, WallTCP, WallSignals, WallSeccomp, WallGroups}

// Sandbox says which walls stand around native jobs.
type Sandbox struct {
	Holds   []string          // names of walls, in the order of Walls
	Missing map[string]string // name of a wall -> why it does not stand
}

// AllWalls stands for every one of Walls in what is demanded.
const AllWalls = "all"

// CheckWalls is an error when a name is none of a wall.
func CheckWalls(names []string) error {
	for _, name := range names {
		if name != AllWalls && !slices.Contains(Walls, name) {
			return fmt.Errorf("%q: there is no such wall; there are %s, or %s", name, strings.Join(Walls, ", "), AllWalls)
		}
	}
	return nil
}

// String says it in a line.
func (s Sandbox) String() string {
	text := strings.Join(s.Holds, ", ")
	for _, name := range Walls {
		if why, missing := s.Missing[name]; missing {
			text += fmt.Sprintf("; without %s: %s", name, why)
		}
	}
	return strings.TrimPrefix(text, "; ")
}

// only leaves the named walls.
func (s Sandbox) only(names []string) Sandbox {
	out := Sandbox{Missing: map[string]string{}}
	for _, name := range names {
		if why, missing := s.Missing[name]; missing {
			out.Missing[name] = why
		} else {
			out.Holds = append(out.Holds, name)
		}
	}
	return out
}

// demand is an error when one of the named walls does not stand; "all" names every one.
func (s Sandbox) demand(names []string) error {
	if slices.Contains(names, AllWalls) {
		names = Walls
	}
	var lacks []string
	for _, name := range names {
		if why, missing := s.Missing[name]; missing {
			lacks = append(lacks, name+" ("+why+")")
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("--require-sandbox: this machine can't have %s", strings.Join(lacks, ", "))
	}
	return nil
}

// abilities are what a worker has found that it can do to confine a program.
type abilities struct {
	Landlock   int    `codec:"landlock,omitempty"` // version of the interface; 0 is none
	Seccomp    bool   `codec:"seccomp,omitempty"`
	Namespaces bool   `codec:"namespaces,omitempty"`
	Users      bool   `codec:"users,omitempty"` // it may become another user
	NoLandlock string `codec:"nl,omitempty"`    // why not, each
	NoSeccomp  string `codec:"ns,omitempty"`
	NoSpaces   string `codec:"nn,omitempty"`
	NoUsers    string `codec:"nu,omitempty"`
}

// Versions of Landlock's interface.
const (
	landlockRefer  = 2 // files may be moved between directories
	landlockTCP    = 4
	landlockDevice = 5 // ioctl of devices
	landlockScope  = 6 // signals and abstract sockets
)

// sandbox says which walls stand, given what a worker can do.
func (a abilities) sandbox(groups bool) Sandbox {
	s := Sandbox{Missing: map[string]string{}}
	has := func(name string, ok bool, why string) {
		if ok {
			s.Holds = append(s.Holds, name)
		} else {
			s.Missing[name] = why
		}
	}
	landlock := func(name string, version int, since string) {
		why := a.NoLandlock
		if a.Landlock > 0 {
			why = fmt.Sprintf("needs Linux %s", since)
		}
		has(name, a.Landlock >= version, why)
	}
	has(WallPrivileges, true, "")
	has(WallUsers, a.Users, a.NoUsers)
	has(WallNamespaces, a.Namespaces, a.NoSpaces)
	landlock(WallFiles, 1, "5.13")
	landlock(WallTCP, landlockTCP, "6.7")
	landlock(WallSignals, landlockScope, "6.12")
	has(WallSeccomp, a.Seccomp, a.NoSeccomp)
	has(WallGroups, groups, "this broker may not make control groups")
	return s
}

// NotAllowed is why no wall stands at a broker that runs no native jobs: none is needed there.
const NotAllowed = "native jobs are not allowed"

// noSandbox is a Sandbox none of whose walls stands.
func noSandbox(why string) Sandbox {
	s := Sandbox{Missing: map[string]string{}}
	for _, name := range Walls {
		s.Missing[name] = why
	}
	return s
}

// jail is what one native program is confined to. All paths are absolute.
type jail struct {
	abilities
	User    int      `codec:"user,omitempty"`   // its user and group; 0: those of its broker
	Groups  []int    `codec:"groups,omitempty"` // more groups: those of devices
	Read    []string `codec:"read,omitempty"`   // what it may read, and run programs from, beside systemPaths
	Write   []string `codec:"write,omitempty"`  // what it may also write
	Devices []string `codec:"devices,omitempty"`
	Hide    string   `codec:"hide,omitempty"` // a directory of which it sees nothing but its own
	Network bool     `codec:"network,omitempty"`
	Counted bool     `codec:"counted,omitempty"` // a control group counts the memory that no process has mapped
	// IntoGroup says that it is started into a control group of version 2. The worker sets it.
	IntoGroup bool `codec:"-"`
}

// systemPaths are what programs read and run beside their own directory. What is not there is left out.
var systemPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
	"/etc/locale.alias", "/etc/locale.conf", "/etc/localtime", "/etc/timezone", "/etc/os-release", "/etc/terminfo",
	"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/hosts", "/etc/hostname", "/etc/gai.conf",
	"/etc/resolv.conf", "/etc/protocols", "/etc/services", "/etc/mime.types", "/etc/magic", "/etc/fonts", "/etc/perl", "/etc/java",
	"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust",
	"/etc/ca-certificates", "/etc/crypto-policies",
	"/run/systemd/resolve", "/run/resolvconf", // where /etc/resolv.conf may lead
	"/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage",
}

// systemDevices are devices that every program may use.
var systemDevices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// jailOf returns what the program of an attempt is confined to; nil is not at all.
func (a *attempt) jailOf() *jail {
	e, s := a.e, &a.task.Spec
	if e.cfg.Sandbox.Off {
		return nil
	}
	j := &jail{abilities: e.abilities, User: a.user, Network: s.Network, Counted: len(a.groups) > 0, Hide: e.secret()}
	for _, p := range e.cfg.Sandbox.Paths {
		if p.Write {
			j.Write = append(j.Write, p.Path)
		} else {
			j.Read = append(j.Read, p.Path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Resources.Devices)) {
		if s.Resources.Devices[name] > 0 {
			j.Devices = append(j.Devices, e.cfg.Sandbox.DevicePaths[name]...)
		}
	}
	if j.User != 0 {
		j.Groups = groupsOf(j.Devices)
	}
	return j
}

// secret is the directory that native jobs are not to see: the one around that in which they run.
func (e *Executor) secret() string {
	if up := filepath.Dir(e.cfg.Dir); up != "/" {
		return up
	}
	return e.cfg.Dir
}

// SandboxConfig is how native programs are confined, as far as an operator may choose. The zero value confines them as much as
// this machine can.
type SandboxConfig struct {
	Off         bool                // they may do what the broker's user may, but for tracing and signalling the broker
	Require     []string            // walls (Walls, or AllWalls) without which there is no executor
	Users       UIDRange            // that they may be, where this process is root's; default: a share of what distributions leave free
	Paths       []JobPath           // what they may use of the file system beside the system's programs and libraries
	DevicePaths map[string][]string // the files of devices that jobs can ask for (Resources.Devices), by the device's name
	Network     bool                // those whose spec asks for the network have it
}

// JobPath is a path that native jobs may use beside the system's.
type JobPath struct {
	Path  string // absolute
	Write bool   // they may also write there
}

// ParseJobPath reads PATH, or PATH:rw.
func ParseJobPath(text string) (JobPath, error) {
	path, mode, found := strings.Cut(text, ":")
	p := JobPath{Path: filepath.Clean(path), Write: mode == "rw"}
	switch {
	case !filepath.IsAbs(path), p.Path == "/":
		return p, fmt.Errorf("%q: write an absolute path, and not /", text)
	case found && mode != "rw" && mode != "ro":
		return p, fmt.Errorf("%q: behind the path comes :ro, which is the default, or :rw", text)
	}
	return p, nil
}

// beneath reports whether path is dir or lies beneath it.
func beneath(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// searchPath returns those directories of a PATH variable in which a program that is confined finds programs.
func (j *jail) searchPath(path string) string {
	var out []string
	for _, dir := range filepath.SplitList(path) {
		allowed := func(p string) bool { return beneath(dir, p) }
		if slices.ContainsFunc(slices.Concat(systemPaths, j.Read, j.Write), allowed) {
			out = append(out, dir)
		}
	}
	if len(out) == 0 {
		return "/usr/local/bin:/usr/bin:/bin"
	}
	return strings.Join(out, string(filepath.ListSeparator))
}

// checkNetwork is an error when a job needs the network and this broker does not let it.
func (e *Executor) checkNetwork(s *job.Spec) error {
	if s.Driver == job.Process && s.Network && !e.cfg.Sandbox.Network && !e.cfg.Sandbox.Off {
		return fmt.Errorf("the network is %w for native programs on this broker; its agent needs --allow-network", errForbidden)
	}
	return nil
}

// othersMayEnter reports whether each directory on the way to a path may be entered by every user.
func othersMayEnter(path string) bool {
	for path != "/" {
		path = filepath.Dir(path)
		if info, err := os.Stat(path); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// find returns the path of a program, as the kernel will look for it, and what of it must be shown to the jail.
func (j *jail) find(name string) (path string, files []string, err error) {
	switch {
	case !strings.ContainsRune(name, filepath.Separator):
		for _, dir := range filepath.SplitList(j.searchPath(os.Getenv("PATH"))) {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(dir) {
				return path, nil, nil
			}
		}
		return "", nil, &exec.Error{Name: name, Err: exec.ErrNotFound}
	case filepath.IsAbs(name):
		return name, []string{filepath.Clean(name)}, nil
	}
	return name, nil, nil // in the job's directory
}

// exploreWait is how long a worker may take to say what it can do.
const exploreWait = 10 * time.Second

// build finds out which walls stand on this machine, in a worker that has namespaces, if there can be one.
func (e *Executor) build() error {
	switch {
	case !e.cfg.AllowProcess:
		e.sandbox = noSandbox(NotAllowed)
		return nil
	case e.cfg.Sandbox.Off:
		e.sandbox = noSandbox("switched off by --no-sandbox")
		return e.sandbox.demand(e.cfg.Sandbox.Require)
	}
	e.apart = true
	a, err := e.ask()
	if err != nil {
		e.apart = false
		without := err.Error()
		if a, err = e.ask(); err != nil {
			return fmt.Errorf("executor: finding out how native jobs can be confined: %w", err)
		}
		a.NoSpaces = "a process can't be started in its own: " + without
	}
	e.apart = a.Namespaces
	e.abilities, e.sandbox = a, a.sandbox(len(e.nest) > 0)
	e.users = newJobUsers(e.cfg.Sandbox.Users)
	if len(e.sandbox.Missing) > 0 {
		e.cfg.Logger.Warn("native jobs are not confined in every way", "sandbox", e.sandbox.String())
	}
	return e.sandbox.demand(e.cfg.Sandbox.Require)
}

// ask has a worker find out what it can do.
func (e *Executor) ask() (a abilities, err error) {
	r, err := e.startRemote(forPrograms)
	if err != nil {
		return a, err
	}
	defer func() {
		r.kill()
		for range r.in { // until it is dead
		}
	}()
	if err := r.send(toWorker{Explore: &exploration{Dir: e.cfg.Dir, Hide: e.secret(), Users: e.cfg.Sandbox.Users}}); err != nil {
		return a, err
	}
	select {
	case m, ok := <-r.in:
		if !ok || m.Abilities == nil {
			return a, errors.New(r.death.reason)
		}
		return *m.Abilities, nil
	case <-time.After(exploreWait):
		return a, fmt.Errorf("a worker did not answer in %v", exploreWait)
	}
}

// exploration asks a worker for its abilities.
type exploration struct {
	Dir   string   `codec:"dir"` // where jobs run
	Hide  string   `codec:"hide"`
	Users UIDRange `codec:"users"`
}

// Sandbox says which walls stand around native jobs.
func (e *Executor) Sandbox() Sandbox { return e.sandbox }
