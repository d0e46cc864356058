package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// freeFiles returns how many files may still be made in the file system of a directory, or math.MaxUint64 if it does
// not count them.
func freeFiles(dir string) (uint64, error) {
	all, free, err := inodes(dir)
	if err == nil && all == 0 {
		return math.MaxUint64, nil
	}
	return free, err
}

// inodes returns how many files the file system of a directory may have, and how many more; 0 and 0 if it does not count them.
func inodes(dir string) (all, free uint64, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, 0, err
	}
	return stat.Files, stat.Ffree, nil
}

// fileSystemNames are the file systems that people may put a data directory on, by the type that statfs tells.
var fileSystemNames = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.MSDOS_SUPER_MAGIC: "vfat", unix.EXFAT_SUPER_MAGIC: "exfat", unix.FUSE_SUPER_MAGIC: "fuse",
	unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "smb2", unix.V9FS_MAGIC: "9p", unix.TMPFS_MAGIC: "tmpfs",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
}

// fileSystemType names the file system of a directory: as mount does where that is known, else by its number.
func fileSystemType(dir string) string {
	var place unix.Stat_t
	if err := unix.Stat(dir, &place); err != nil {
		return "unknown"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if name := typeInMounts(mounts, place.Dev); err == nil && name != "" {
		return name
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "unknown"
	}
	return typeByNumber(int64(stat.Type))
}

// typeInMounts names the type of the file system on a device, as /proc/self/mountinfo does, which alone tells fuse.exfat from
// fuse.sshfs; "" if the device is not there, as of a subvolume.
func typeInMounts(mounts []byte, device uint64) string {
	number := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	for line := range strings.Lines(string(mounts)) {
		before, behind, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(behind)
		if len(fields) > 2 && len(kind) > 0 && fields[2] == number {
			return kind[0]
		}
	}
	return ""
}

func typeByNumber(kind int64) string {
	if name := fileSystemNames[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("type %#x", kind)
}

// takeSpace gives a new file so many bytes of the disk.
func takeSpace(f vfs.File, size int64) error {
	if f.Fd() == vfs.InvalidFd {
		return fillSpace(f, size)
	}
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fillSpace(f, size)
	}
	return err
}
