//go:build !linux

package store

import (
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func freeFiles(string) (uint64, error) { return math.MaxUint64, nil }

func fileSystemType(string) string { return "unknown" }

func takeSpace(f vfs.File, size int64) error { return fillSpace(f, size) }

// inodes is not known on other systems.
func inodes(string) (all, free uint64, err error) { return 0, 0, nil }
