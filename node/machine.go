package node

import (
	"bytes"
	"fmt"
	"os"
	"runtime"

	"github.com/urban-compute/ucp/cgroup"
)

// machineMemory returns the bytes of memory that this process may have of its machine, as
// Linux tells: what there is, or what its control groups leave of that; 1 GiB where it
// can't be told.
func machineMemory() int64 {
	n, limit := meminfo("MemTotal"), cgroup.Read(os.DirFS("/")).Memory
	switch {
	case n > 0 && limit > 0:
		return min(n, limit)
	case max(n, limit) > 0:
		return max(n, limit)
	}
	return 1 << 30
}

// machineCPU returns the millicores that this process may have of its machine.
func machineCPU() int64 {
	n := int64(runtime.NumCPU()) * 1000
	if limit := cgroup.Read(os.DirFS("/")).CPU; limit > 0 {
		return min(n, limit)
	}
	return n
}

// machineTight reports whether less than a sixteenth of the memory can still be had, of
// the machine or of what the control groups allow, or processes have to wait for it.
func machineTight() bool {
	return tight(meminfo("MemTotal"), meminfo("MemAvailable"), cgroup.Read(os.DirFS("/")))
}

// tightPressure is the part of the time that processes wait for memory from which on it is tight.
const tightPressure = 0.1

func tight(total, free int64, group cgroup.Limits) bool {
	return free > 0 && free < total/16 || group.Memory > 0 && group.Available < group.Memory/16 || group.MemoryPressure >= tightPressure
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

// machineLoad returns how many programs want each core, as Linux tells; 0 where it can't
// be told. That is the average of the last minute on the whole machine, or, in a control
// group that may have few cores, what follows from how long programs wait there: half of
// the time is as if one wanted each core, all of the time as if two did.
func machineLoad() float64 {
	return max(loadAverage()/float64(runtime.NumCPU()), 2*cgroup.Read(os.DirFS("/")).CPUPressure)
}

// loadAverage returns how many programs wanted a core in the last minute.
func loadAverage() (minute float64) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(b), &minute); err != nil {
		return 0
	}
	return minute
}
