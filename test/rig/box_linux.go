package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// boxed says, in the environment, that we are in a box, and in which role.
const (
	boxed    = "RIG_BOX"
	asInit   = "init"   // process 1 of the box: it reaps, and ends when the program does
	asProbe  = "probe"  // the same, and tries out whether all can be done
	asInside = "inside" // the program itself
)

// Box runs this very program again, with the same arguments, in namespaces of its own
// for processes, mounts and network, and returns its exit code. The kernel takes all
// of that away with the program, or with us. Inside, inside is true and nothing is
// run. Where the machine does not permit it, why says so.
//
// A program that uses it calls Box first thing in main, and loses nothing by that.
func Box() (code int, inside bool, why error) {
	switch os.Getenv(boxed) {
	case asInside:
		return 0, true, nil
	case asInit, asProbe:
		return initProcess(), false, nil
	}
	if os.Geteuid() != 0 {
		return 0, false, errors.New("this needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return 0, false, errors.New("there is no ip command: install iproute2")
	}
	if len(filters()) == 0 {
		return 0, false, errors.New("there is neither iptables nor nft: install iptables")
	}
	probe, err := boxCommand(asProbe)
	if err != nil {
		return 0, false, err
	}
	if out, err := probe.CombinedOutput(); err != nil {
		return 0, false, fmt.Errorf("making namespaces: %w: %s", err, bytes.TrimSpace(out))
	}
	code, err = runBox()
	return code, false, err
}

// boxCommand is this program as process 1 of new namespaces.
func boxCommand(role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = withRole(role)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd, nil
}

func withRole(role string) (out []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, boxed+"=") {
			out = append(out, v)
		}
	}
	return append(out, boxed+"="+role)
}

// runBox runs the box and hands signals on: who ends it lets it end in good order.
func runBox() (int, error) {
	// Its death signal is that of the thread which started it: ours must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := boxCommand(asInit)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("entering the namespaces: %w", err)
	}
	done := make(chan struct{})
	forwarded := make(chan struct{})
	go func() { // ends with the box, and is waited for
		defer close(forwarded)
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // fails when it has ended
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	<-forwarded
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		if ended.ExitCode() < 0 {
			return 1, nil // killed
		}
		return ended.ExitCode(), nil
	}
	return 0, err
}

// initProcess is process 1 of the box.
func initProcess() int {
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(boxed) == asProbe {
		n, err := NewNetwork(2)
		if err == nil {
			err = run(nil, append(n.Place(0).Enter, "true")...)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	child, err := os.StartProcess(self, os.Args, &os.ProcAttr{Env: withRole(asInside), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the program inside the namespaces:", err)
		return 1
	}
	go func() { // until this process ends, which is its owner
		for s := range signals {
			_ = child.Signal(s)
		}
	}()
	return reap(child.Pid)
}

// reap waits for everything that ends until the program does: processes whose parents
// were killed have become ours.
func reap(program int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 1
		case pid == program && status.Signaled():
			return 128 + int(status.Signal())
		case pid == program && status.Exited():
			return status.ExitStatus()
		}
	}
}

// furnish makes the box's own view of the machine: mounts that nobody else sees, its
// processes in /proc, and an empty place for the names of network namespaces.
func furnish() error {
	const names = "/run/netns"
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := os.MkdirAll(names, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("rig", names, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting %s: %w", names, err)
	}
	return nil
}

// Inside reports whether this process runs in a box.
func Inside() bool { return os.Getenv(boxed) == asInside }

// ownNamespace is an error unless our network namespace is the box's: what NewNetwork
// makes must never appear in the machine's own.
func ownNamespace() error {
	if os.Getenv(boxed) == "" {
		return errors.New("a network of namespaces is made only in a box")
	}
	return nil
}

// MountDisk gives a directory a file system of its own in memory, of so many bytes and files (inodes). It
// goes with the box.
func MountDisk(dir string, bytes, files int64) error {
	if !Inside() {
		return errors.New("a file system is mounted only in a box")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("rig", dir, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=%d,mode=700", bytes, files)); err != nil {
		return fmt.Errorf("mounting a file system in memory on %s: %w", dir, err)
	}
	return nil
}

// UnmountDisk undoes MountDisk.
func UnmountDisk(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }

// FilesOn is how many files (inodes) the file system of a directory holds.
func FilesOn(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for the files of %s: %w", dir, err)
	}
	return int64(s.Files - s.Ffree), nil
}

// LimitFiles changes how many files a directory may hold that has a file system of MountDisk.
func LimitFiles(dir string, files int64) error {
	if err := syscall.Mount("rig", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("nr_inodes=%d", files)); err != nil {
		return fmt.Errorf("limiting the file system on %s to %d files: %w", dir, files, err)
	}
	return nil
}

// MountReadOnly makes a directory read-only for the broker's process, and for those that it starts, until
// UnmountReadOnly. Files that are open for writing stay so. It needs a box, in which the broker has a network
// namespace, and with that mounts, of its own.
func (b *Broker) MountReadOnly(dir string) error {
	// A mount on which a file is open for writing can't be made read-only. So it is made at a place that nobody uses, and put
	// over the directory then: a bind mount of a mount is as read-only as that.
	aside, err := os.MkdirTemp("", "ucp-read-only-")
	if err != nil {
		return fmt.Errorf("making a directory to mount at: %w", err)
	}
	defer func() { _ = os.Remove(aside) }() // it is empty
	for _, line := range [][]string{
		{"mount", "--bind", dir, aside},
		{"mount", "-o", "remount,bind,ro", aside},
		{"mount", "--bind", aside, dir},
		{"umount", aside},
	} {
		if err := b.amidMounts(line...); err != nil {
			return err
		}
	}
	return nil
}

// UnmountReadOnly undoes MountReadOnly.
func (b *Broker) UnmountReadOnly(dir string) error { return b.amidMounts("umount", "-l", dir) }

// amidMounts runs a command that sees the mounts which the broker's process sees.
func (b *Broker) amidMounts(line ...string) error {
	return run(nil, append([]string{"nsenter", "--mount", "--target", fmt.Sprint(b.Pid()), "--"}, line...)...)
}

// ownGroup starts a broker in a process group of its own, since an interrupt at the
// terminal is for us, who then end it; and lets it die with us.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
