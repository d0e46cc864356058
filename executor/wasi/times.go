package wasi

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// spec returns the times as the kernel takes them.
func (t times) spec() []unix.Timespec {
	one := func(at time.Time) unix.Timespec {
		if at.IsZero() {
			return unix.Timespec{Nsec: omitTime}
		}
		return unix.NsecToTimespec(at.UnixNano())
	}
	return []unix.Timespec{one(t.access), one(t.modified)}
}

// setTimesAt sets the times of what has a name in an open directory, without following a link.
func setTimesAt(dir *os.File, name string, t times) error {
	return unix.UtimesNanoAt(int(dir.Fd()), name, t.spec(), unix.AT_SYMLINK_NOFOLLOW)
}
