package executor

import "syscall"

// writtenAt are the times at which a file, and what is known of it, was last written.
func writtenAt(st *syscall.Stat_t) (mtime, ctime syscall.Timespec) { return st.Mtim, st.Ctim }
