//go:build !linux

package wasi

import (
	"os"

	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// omitTime leaves a time as it is: UTIME_OMIT, which package unix lacks for some systems.
const omitTime = -2

// setTimes sets the times of an open file, to the microsecond.
func setTimes(f *os.File, t times) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st := sys.NewStat_t(info)
	access, modified := st.Atim, st.Mtim
	if !t.access.IsZero() {
		access = t.access.UnixNano()
	}
	if !t.modified.IsZero() {
		modified = t.modified.UnixNano()
	}
	return unix.Futimes(int(f.Fd()), []unix.Timeval{unix.NsecToTimeval(access), unix.NsecToTimeval(modified)})
}
