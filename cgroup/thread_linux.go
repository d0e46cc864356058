package cgroup

import "golang.org/x/sys/unix"

// gettid returns the number of the calling thread.
func gettid() int { return unix.Gettid() }
