package store

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeFiles returns how many files may still be made in the file system of a directory, or math.MaxUint64 if it does
// not count them.
func freeFiles(dir string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	if stat.Files == 0 {
		return math.MaxUint64, nil
	}
	return stat.Ffree, nil
}
