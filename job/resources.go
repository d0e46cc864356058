package job

import (
	"fmt"
	"strconv"
)

// Plus returns the sum of r and s. Devices are added by name.
func (r Resources) Plus(s Resources) Resources { return r.combine(s, 1) }

// Minus returns r minus s; parts may become negative.
func (r Resources) Minus(s Resources) Resources { return r.combine(s, -1) }

func (r Resources) combine(s Resources, sign int64) Resources {
	out := Resources{CPU: r.CPU + sign*s.CPU, Memory: r.Memory + sign*s.Memory, IO: r.IO + sign*s.IO}
	if len(r.Devices)+len(s.Devices) > 0 {
		out.Devices = map[string]int64{}
		for name, n := range r.Devices {
			out.Devices[name] += n
		}
		for name, n := range s.Devices {
			out.Devices[name] += sign * n
		}
	}
	return out
}

// Max returns the larger of each resource.
func (r Resources) Max(s Resources) Resources {
	out := Resources{CPU: max(r.CPU, s.CPU), Memory: max(r.Memory, s.Memory), IO: max(r.IO, s.IO)}
	for _, devices := range []map[string]int64{r.Devices, s.Devices} {
		for name, n := range devices {
			if out.Devices == nil {
				out.Devices = map[string]int64{}
			}
			out.Devices[name] = max(out.Devices[name], n)
		}
	}
	return out
}

// Lacks returns a sentence that says which part of want exceeds the free resources, or "" if none does.
func (free Resources) Lacks(want Resources) string {
	switch {
	case want.CPU > free.CPU:
		return fmt.Sprintf("needs %s, %s free", Cores(want.CPU), number(max(free.CPU, 0)))
	case want.Memory > free.Memory:
		return fmt.Sprintf("needs %d MiB memory, %d MiB free", (want.Memory+1<<20-1)>>20, max(free.Memory, 0)>>20)
	case want.IO > free.IO:
		return fmt.Sprintf("needs io %d, %d free", want.IO, max(free.IO, 0))
	}
	for _, name := range sortedKeys(want.Devices) {
		if want.Devices[name] > free.Devices[name] {
			return fmt.Sprintf("needs device %s=%d, %d free", name, want.Devices[name], max(free.Devices[name], 0))
		}
	}
	return ""
}

// Cores says how many cores so many millicores are: "1 core", "0.5 cores".
func Cores(milli int64) string {
	if milli == 1000 {
		return "1 core"
	}
	return number(milli) + " cores"
}

// number writes millicores as a number of cores.
func number(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

// Fits reports whether want does not exceed the free resources.
func (free Resources) Fits(want Resources) bool { return free.Lacks(want) == "" }
