//go:build !linux

package store

import "math"

func freeFiles(string) (uint64, error) { return math.MaxUint64, nil }

func fileSystemType(string) string { return "unknown" }
