package node

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
)

// machineMemory returns the bytes of memory of this machine, as Linux tells; 1 GiB
// where it can't be told.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err == nil {
		for line := range bytes.Lines(b) {
			var kib int64
			if _, err := fmt.Sscanf(string(line), "MemTotal: %d kB", &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 1 << 30
}

// machineLoad returns how many programs wanted each core in the last minute, as
// Linux tells; 0 where it can't be told.
func machineLoad() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var minute float64
	if _, err := fmt.Sscan(string(b), &minute); err != nil {
		return 0
	}
	return minute / float64(runtime.NumCPU())
}
