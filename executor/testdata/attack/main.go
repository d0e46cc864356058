// Command attack is a native job that tries what no job may do: the attack whose name is its argument. It prints "SUCCEEDED" and
// what it got, or "failed" and the error. What it attacks is named by its environment.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	attack, known := attacks[os.Args[1]]
	if !known {
		fmt.Println("unknown attack")
		os.Exit(64)
	}
	if err := attack(); err != nil {
		fmt.Println("failed:", err)
		return
	}
	fmt.Println("SUCCEEDED")
}

// The targets.
func broker() int     { return number("BROKER") } // its process
func victim() int     { return number("VICTIM") } // a process of another job
func data() string    { return os.Getenv("DATA") }
func secret() string  { return os.Getenv("SECRET_FILE") } // the broker's
func other() string   { return os.Getenv("OTHER_FILE") }  // another job's
func address() string { return os.Getenv("TCP") }
func number(v string) int {
	n, _ := strconv.Atoi(os.Getenv(v))
	return n
}

// marker is in everything that is secret.
const marker = "treasure"

func read(path string) error {
	b, err := os.ReadFile(path)
	if err == nil && !bytes.Contains(b, []byte(marker)) {
		err = fmt.Errorf("no %s in %s", marker, path)
	}
	return err
}

func errOf(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return errOf(errno)
}

func text(s string) uintptr {
	p, _ := syscall.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(p))
}

func opened(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err == nil {
		f.Close()
	}
	return err
}

func listed(dir string) error {
	_, err := os.ReadDir(dir)
	return err
}

func connected(network, addr string) error {
	c, err := net.DialTimeout(network, addr, 2*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("hello"))
	return err
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func traced(pid int) error {
	runtime.LockOSThread()
	err := call(syscall.SYS_PTRACE, 0x4206 /* PTRACE_SEIZE */, uintptr(pid), 0, 0)
	if err == nil {
		_ = call(syscall.SYS_PTRACE, syscall.PTRACE_DETACH, uintptr(pid))
	}
	return err
}

func limited(pid int) error {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, nil, &old); err != nil {
		return err
	}
	return unix.Prlimit(pid, unix.RLIMIT_CORE, &old, nil)
}

func cloned(flags uintptr) error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, flags|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno == 0 {
		_, _ = syscall.Wait4(int(pid), nil, 0, nil)
	}
	return errOf(errno)
}

func proc(pid int, file string) string { return fmt.Sprintf("/proc/%d/%s", pid, file) }

// held keeps so much memory for as long as a broker needs to see it.
func held(b []byte) error {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	time.Sleep(5 * time.Second)
	return nil
}

const tooMuch = 600 << 20 // bytes: the job may have less

var attacks = map[string]func() error{
	// The broker's data, and that of other jobs.
	"read-broker-file":   func() error { return read(secret()) },
	"list-broker-data":   func() error { return found(data(), filepath.Base(secret())) },
	"write-broker-file":  func() error { return opened(secret(), os.O_WRONLY|os.O_APPEND) },
	"make-broker-file":   func() error { return opened(filepath.Join(data(), "attack"), os.O_CREATE|os.O_WRONLY) },
	"remove-broker-file": func() error { return os.Remove(os.Getenv("SPARE_FILE")) },
	"chmod-broker-file":  func() error { return os.Chmod(secret(), 0o644) },
	"chown-broker-file":  func() error { return os.Chown(secret(), os.Getuid(), -1) },
	"touch-broker-file":  func() error { return os.Chtimes(secret(), time.Now(), time.Now()) },
	"truncate-file":      func() error { return os.Truncate(os.Getenv("SPARE_FILE_2"), 1) },
	"stat-broker-file":   func() error { _, err := os.Stat(secret()); return err },
	"read-blob":          func() error { return read(os.Getenv("BLOB")) },
	"read-other-job":     func() error { return read(other()) },
	"write-other-job":    func() error { return opened(other(), os.O_WRONLY|os.O_APPEND) },
	"read-other-secret":  func() error { return read(os.Getenv("OTHER_SECRET")) },
	"core-of-itself":     func() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}) },
	"list-other-jobs":    func() error { return found(os.Getenv("RUN"), os.Getenv("OTHER_NUMBER")) },
	"read-through-link": func() error {
		if err := os.Symlink(secret(), "link"); err != nil {
			return err
		}
		return read("link")
	},
	"hard-link":   func() error { return os.Link(secret(), "hard") },
	"rename-in":   func() error { return os.Rename(os.Getenv("SPARE_FILE_3"), "renamed") },
	"read-above":  func() error { return read("../../../" + filepath.Base(secret())) },
	"read-home":   func() error { return read(os.Getenv("HOME_FILE")) },
	"read-tmp":    func() error { return read(os.Getenv("TMP_FILE")) },
	"read-shared": func() error { return read(os.Getenv("SHM_FILE")) },
	"read-shadow": func() error { return opened("/etc/shadow", os.O_RDONLY) },
	"write-usr":   func() error { defer os.Remove("/usr/attack"); return opened("/usr/attack", os.O_CREATE|os.O_WRONLY) },
	"write-etc":   func() error { defer os.Remove("/etc/attack"); return opened("/etc/attack", os.O_CREATE|os.O_WRONLY) },
	"kernel-log":  func() error { return opened("/dev/kmsg", os.O_RDONLY) },
	"make-device": func() error {
		defer os.Remove("disk")
		return unix.Mknod("disk", unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0)))
	},
	"core-pattern":    func() error { return opened("/proc/sys/kernel/core_pattern", os.O_WRONLY) },
	"leave-own-group": leaveGroup,
	"open-by-handle":  byHandle,

	// Other processes.
	"proc-root":       func() error { return read(proc(broker(), "root"+secret())) },
	"proc-cwd":        func() error { return listed(proc(victim(), "cwd")) },
	"proc-fd":         func() error { _, err := os.Readlink(proc(broker(), "fd/1")); return err },
	"proc-environ":    func() error { return read(proc(victim(), "environ")) },
	"proc-maps":       func() error { return opened(proc(victim(), "maps"), os.O_RDONLY) },
	"proc-mem":        func() error { return opened(proc(victim(), "mem"), os.O_RDWR) },
	"proc-cmdline":    func() error { return read(proc(victim(), "cmdline")) },
	"proc-list":       func() error { return found("/proc", strconv.Itoa(broker())) },
	"proc-worker":     func() error { return opened(proc(os.Getppid(), "environ"), os.O_RDONLY) },
	"signal-broker":   func() error { return syscall.Kill(broker(), syscall.SIGCONT) },
	"signal-victim":   func() error { return syscall.Kill(victim(), syscall.SIGCONT) },
	"signal-worker":   func() error { return syscall.Kill(os.Getppid(), syscall.SIGCONT) },
	"signal-by-pidfd": func() error { return byPidfd(os.Getppid()) },
	"ptrace-broker":   func() error { return traced(broker()) },
	"ptrace-worker":   func() error { return traced(os.Getppid()) },
	"ptrace-victim":   func() error { return traced(victim()) },
	"read-memory":     func() error { return readMemory(os.Getppid()) },
	"take-descriptor": takeDescriptor,
	"limit-worker":    func() error { return limited(os.Getppid()) },
	"limit-broker":    func() error { return limited(broker()) },
	"slow-worker":     func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, os.Getppid(), 19) },
	"slow-user":       func() error { return syscall.Setpriority(syscall.PRIO_USER, 0, 19) },
	"pin-worker": func() error {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return err
		}
		return unix.SchedSetaffinity(os.Getppid(), &set)
	},
	"environment": func() error {
		for _, v := range os.Environ() {
			if strings.Contains(v, "BROKER_SECRET") {
				return nil
			}
		}
		return errors.New("nothing of the broker's")
	},
	"descriptors": descriptors,

	// What it may have.
	"fork-bomb":     forkBomb,
	"setsid-escape": func() error { return escape() },
	"shared-memory": func() error {
		b, err := syscall.Mmap(-1, 0, tooMuch, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
		if err != nil {
			return err
		}
		return held(b)
	},
	"memory-file": func() error {
		fd, err := unix.MemfdCreate("attack", 0)
		if err != nil {
			return err
		}
		for range tooMuch >> 20 {
			if _, err := unix.Write(fd, make([]byte, 1<<20)); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Second)
		return nil
	},
	"system-v-memory": func() error {
		b, err := unix.SysvShmAttach(number("SEGMENT"), 0, unix.SHM_RDONLY)
		if err == nil && !bytes.Contains(b, []byte(marker)) {
			err = errors.New("another segment")
		}
		return err
	},

	// The network.
	"tcp-connect": func() error { return connected("tcp", address()) },
	"tcp-listen": func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			l.Close()
		}
		return err
	},
	"tcp-fast-open": func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(address())
		n, _ := strconv.Atoi(port)
		return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}})
	},
	"udp":           func() error { return connected("udp", os.Getenv("UDP")) },
	"raw-socket":    func() error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"ping-socket":   func() error { return socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP) },
	"packet-socket": func() error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) },
	"netlink":       func() error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) },
	"vsock":         func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"crypto-socket": func() error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
	"unix-socket":   func() error { return connected("unix", os.Getenv("UNIX")) },
	"abstract":      func() error { return connected("unix", "@"+os.Getenv("ABSTRACT")) },
	"io-uring": func() error {
		var params [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
	},

	// The machine.
	"mount": func() error {
		if err := os.MkdirAll("m", 0o700); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", "m", "tmpfs", 0, ""); err != nil {
			return err
		}
		return unix.Unmount("m", 0)
	},
	"unmount":        func() error { return unix.Unmount("/tmp", unix.MNT_DETACH) },
	"new-mount-api":  func() error { _, err := unix.Fsopen("tmpfs", 0); return err },
	"open-tree":      func() error { _, err := unix.OpenTree(unix.AT_FDCWD, ".", unix.OPEN_TREE_CLONE); return err },
	"user-namespace": func() error { return cloned(unix.CLONE_NEWUSER) },
	"unshare-user":   func() error { return cloneThree(unix.CLONE_NEWUSER) },
	"unshare-mounts": func() error { runtime.LockOSThread(); return unix.Unshare(unix.CLONE_NEWNS) },
	"join-namespace": func() error {
		runtime.LockOSThread()
		fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return unix.Setns(fd, unix.CLONE_NEWUTS)
	},
	"chroot":      func() error { return unix.Chroot(".") },
	"host-name":   func() error { name, _ := os.Hostname(); return unix.Sethostname([]byte(name)) },
	"bpf":         func() error { return call(unix.SYS_BPF, 0, text(strings.Repeat("\x01", 71)), 72) },
	"perf":        func() error { return perf() },
	"keyring":     func() error { return call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(3), 1) },
	"userfault":   func() error { return call(unix.SYS_USERFAULTFD, 1) },
	"become-root": func() error { return errors.Join(unix.Setuid(0), rootFile()) },
	"privileges":  privileges,
}

func found(dir, name string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if e.Name() == name {
			return nil
		}
	}
	return errors.Join(err, errors.New("not in sight"))
}

func leaveGroup() error {
	for _, pattern := range []string{"/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"} {
		if err := os.WriteFile(pattern, []byte("0"), 0); err == nil {
			return nil
		}
	}
	return syscall.EACCES
}

func byHandle() error {
	h, mount, err := unix.NameToHandleAt(unix.AT_FDCWD, ".", 0)
	_ = mount
	if err != nil {
		return err
	}
	at, err := unix.Open(".", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	_, err = unix.OpenByHandleAt(at, h, unix.O_RDONLY)
	return err
}

func byPidfd(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	return unix.PidfdSendSignal(fd, syscall.SIGCONT, nil, 0)
}

func readMemory(pid int) error {
	var b [8]byte
	local := []unix.Iovec{{Base: &b[0], Len: 8}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return err
}

func takeDescriptor() error {
	fd, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return err
	}
	_, err = unix.PidfdGetfd(fd, 0, 0)
	return err
}

func descriptors() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		n, _ := strconv.Atoi(e.Name())
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if n > 2 && err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasSuffix(to, "/fd") {
			fmt.Println(n, to)
			return nil
		}
	}
	return errors.New("none but its own")
}

func forkBomb() error {
	for range 1100 {
		if _, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "100"}, &syscall.ProcAttr{}); err != nil {
			return err
		}
	}
	time.Sleep(5 * time.Second)
	return nil
}

// escape leaves a process behind that is in a session of its own and whose parent has ended. The test looks for it.
func escape() error {
	_, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "setsid sh -c 'sleep " + os.Getenv("ESCAPE") + " & sleep " + os.Getenv("ESCAPE") + "' & echo"}, &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin"}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	return errors.New("the test looks whether it is left")
}

func cloneThree(flags uint64) error {
	args := [11]uint64{flags, 0, 0, 0, uint64(syscall.SIGCHLD)}
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno == 0 {
		_, _ = syscall.Wait4(int(pid), nil, 0, nil)
	}
	return errOf(errno)
}

func perf() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_CPU_CLOCK, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	_, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
	return err
}

func rootFile() error { return opened("/etc/shadow", os.O_RDONLY) }

// privileges looks whether a program could get rights.
func privileges() error {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case (name == "CapEff" || name == "CapPrm" || name == "CapInh" || name == "CapAmb") && strings.Trim(value, "0") != "", name == "NoNewPrivs" && value == "0":
			fmt.Println(name, value)
			return nil
		}
	}
	return errors.New("none")
}
