package rig

import (
	"fmt"
	"os"
	"path/filepath"
)

// MountFailing gives a directory a disk that fails, for the broker's process and those that it starts, until
// UnmountFailing: an ext4 file system in a file for which there is no more room, so that what it writes is answered with
// EIO, by which it makes itself read-only. The file lies in aside.
func (b *Broker) MountFailing(dir, aside string) error { return mountFailing(b.amidMounts, dir, aside) }

// UnmountFailing undoes MountFailing.
func (b *Broker) UnmountFailing(dir, aside string) error {
	return unmountFailing(b.amidMounts, dir, aside)
}

// TryLoop makes such a disk in the mounts of this box and removes it, to find out whether that can be done.
func TryLoop() error {
	tmp, err := os.MkdirTemp("", "rig-loop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	dir, aside := filepath.Join(tmp, "dir"), filepath.Join(tmp, "aside")
	for _, d := range []string{dir, aside} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	here := func(line ...string) error { return run(nil, line...) }
	if err := mountFailing(here, dir, aside); err != nil {
		_ = unmountFailing(here, dir, aside) // what of it there is
		return fmt.Errorf("a disk that fails: %w", err)
	}
	return unmountFailing(here, dir, aside)
}

func mountFailing(amid func(...string) error, dir, aside string) error {
	image := filepath.Join(aside, "image")
	for _, line := range [][]string{
		{"mount", "-t", "tmpfs", "-o", "size=32m", "rig", aside},
		{"truncate", "-s", "256M", image},
		{"mkfs.ext4", "-q", "-F", "-E", "nodiscard", image},
		{"mount", "-o", "loop,errors=remount-ro", image, dir},
	} {
		if err := amid(line...); err != nil {
			return err
		}
	}
	// The rest of the room is taken, and then the disk is written to.
	return amid("sh", "-c", `cat /dev/zero > "$1/rest" 2> /dev/null
		for i in 1 2 3 4 5 6 7 8 9 10; do
			dd if=/dev/zero of="$2/x$i" bs=1M count=8 conv=fsync 2> /dev/null || :
			touch "$2/probe" 2> /dev/null || exit 0
			sync "$2"
		done
		touch "$2/probe" 2> /dev/null && exit 1 || exit 0`, "sh", aside, dir)
}

func unmountFailing(amid func(...string) error, dir, aside string) error {
	err := amid("umount", "-l", dir)
	if err2 := amid("umount", "-l", aside); err == nil {
		err = err2
	}
	return err
}
