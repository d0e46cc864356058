package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LimitProcesses lets a broker and what it has started have only so many processes and threads more than there are, until
// lift is called. That is RLIMIT_NPROC, or, since that does not bind root, a control group's pids.max: both make a fork fail
// with EAGAIN.
func (b *Broker) LimitProcesses(more int) (lift func() error, err error) {
	pids := append([]int{b.Pid()}, b.descendants()...)
	if os.Geteuid() == 0 {
		return limitByGroup(pids, more)
	}
	return limitByRlimit(pids, more)
}

// CanLimitProcesses says why LimitProcesses can't be used here; nil if it can.
func CanLimitProcesses() error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := pidsGroup(os.Getpid())
	if err == nil {
		err = os.Remove(dir)
	}
	return err
}

// pidsGroup makes a group below that of a process which limits how many processes are in it.
func pidsGroup(pid int) (dir string, err error) {
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // 8:pids:/a, or 0::/a
		if len(f) < 3 || f[1] != "pids" && f[1] != "" {
			continue
		}
		dir = filepath.Join("/sys/fs/cgroup", f[1], f[2], fmt.Sprintf("ucp-rig-%d", pid))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
			return dir, nil
		}
		_ = os.Remove(dir)
	}
	return "", errors.New("no control group that limits processes can be made")
}

func limitByGroup(pids []int, more int) (lift func() error, err error) {
	dir, err := pidsGroup(pids[0])
	if err != nil {
		return nil, err
	}
	write := func(path, value string) error { return os.WriteFile(path, []byte(value), 0) }
	lift = func() error {
		for try := 0; ; try++ { // what is started meanwhile is in the group, too
			text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				return err
			}
			for pid := range strings.FieldsSeq(string(text)) {
				_ = write(filepath.Join(filepath.Dir(dir), "cgroup.procs"), pid) // it may have ended
			}
			if err := os.Remove(dir); err == nil || try == 100 {
				return err
			}
		}
	}
	for _, pid := range pids {
		_ = write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)) // likewise
	}
	now, err := os.ReadFile(filepath.Join(dir, "pids.current"))
	n, bad := strconv.Atoi(strings.TrimSpace(string(now)))
	if err = errors.Join(err, bad); err == nil {
		err = write(filepath.Join(dir, "pids.max"), strconv.Itoa(n+more))
	}
	if err != nil {
		return nil, errors.Join(err, lift())
	}
	return lift, nil
}

func limitByRlimit(pids []int, more int) (lift func() error, err error) {
	var was unix.Rlimit
	if err := unix.Prlimit(pids[0], unix.RLIMIT_NPROC, nil, &was); err != nil {
		return nil, fmt.Errorf("asking for a broker's limit of processes: %w", err)
	}
	limit := unix.Rlimit{Cur: uint64(threadsOf(os.Getuid()) + more), Max: was.Max}
	for _, pid := range pids {
		_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, &limit, nil) // it may have ended
	}
	return func() error {
		for _, pid := range pids {
			_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, &was, nil)
		}
		return nil
	}, nil
}

// threadsOf is how many threads the processes of a user have.
func threadsOf(uid int) (n int) {
	for _, pid := range allPIDs() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		owner, threads := -1, 0
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
				_, _ = fmt.Sscan(rest, &owner)
			}
			if rest, ok := strings.CutPrefix(line, "Threads:"); ok {
				_, _ = fmt.Sscan(rest, &threads)
			}
		}
		if owner == uid {
			n += threads
		}
	}
	return n
}

// descendants are the processes that a broker and those below it have started.
func (b *Broker) descendants() (out []int) {
	children := map[int][]int{}
	for _, pid := range allPIDs() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])); len(f) > 1 {
			if parent, err := strconv.Atoi(f[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	for next := children[b.Pid()]; len(next) > 0; next = next[1:] {
		out = append(out, next[0])
		next = append(next, children[next[0]]...)
	}
	return out
}

func allPIDs() (out []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}
