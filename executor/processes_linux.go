package executor

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/cgroup"
)

// brokerRoom is how many processes and threads of its user a broker keeps for itself, where they are limited: its own, and
// those of its workers.
const brokerRoom = 256

// processLimit returns how many processes and threads the user of a native program may have, the broker's own and those of
// other jobs included, when hard is as many as this broker's user may: a part is left to the broker, which needs threads.
func processLimit(hard uint64) uint64 {
	if hard == unix.RLIM_INFINITY {
		text, err := os.ReadFile("/proc/sys/kernel/threads-max")
		if _, err2 := fmt.Sscan(strings.TrimSpace(string(text)), &hard); err != nil || err2 != nil || hard == 0 {
			return unix.RLIM_INFINITY
		}
	}
	return hard - min(hard/2, brokerRoom)
}

// limitProcesses leaves a native program and its descendants as many processes as processLimit says: a broker of the same
// user, which needs threads, outlives a program that starts others without end. How many one job may have of them is for
// its control group, and for bounds. Of a job that is a user of its own it is the bound itself.
func limitProcesses(pid int, own bool) {
	var old unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_NPROC, nil, &old) != nil {
		return
	}
	most := processLimit(old.Max)
	if own {
		most = min(most, maxProcesses)
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: min(old.Cur, most), Max: most}, nil)
}

// leastProcesses is how many processes and threads a native program must find free: with fewer, that it fails is its
// broker's doing (rule J12).
const leastProcesses = 64

// checkProcesses returns an error when a native program would find fewer than leastProcesses: in the control groups of this
// broker, or of those that its user may have, which does not bind root. They are counted only where they are few.
func checkProcesses() error {
	if left := cgroup.Read(os.DirFS("/")).Processes; left > 0 && left < leastProcesses {
		return fmt.Errorf("this broker's control group lets it have %d processes and threads more, and jobs need %d: %w", left, leastProcesses, syscall.EAGAIN)
	}
	var own unix.Rlimit
	if os.Getuid() == 0 || unix.Getrlimit(unix.RLIMIT_NPROC, &own) != nil || own.Cur > countBelow {
		return nil
	}
	return enoughProcesses(min(own.Cur, processLimit(own.Max)), userThreads(os.Getuid()))
}

func enoughProcesses(most, used uint64) error {
	if used+leastProcesses <= most {
		return nil
	}
	return fmt.Errorf("this broker's user has %d processes and threads, jobs may make it %d, and they need %d: %w", used, most, leastProcesses, syscall.EAGAIN)
}

// userThreads is how many threads the processes of a user have.
func userThreads(uid int) (n uint64) {
	for _, pid := range numbers("/proc") {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may have ended
		owner, threads := -1, uint64(0)
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
