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
	if n := meminfo("MemTotal"); n > 0 {
		return n
	}
	return 1 << 30
}

// machineTight reports whether less than a sixteenth of the memory can still be had.
func machineTight() bool {
	free := meminfo("MemAvailable")
	return free > 0 && free < machineMemory()/16
}

// meminfo reads a line of what Linux tells of memory, in bytes; 0 where it can't be told.
func meminfo(name string) int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if _, err := fmt.Sscanf(string(line), name+": %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
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
