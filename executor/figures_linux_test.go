package executor

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// TestModuleMemoryFigures measures what real modules, programs of the Go distribution, make of a worker that runs them as jobs of 64
// MiB: how long it takes, and the resident memory of all workers against what is accounted. Run it with
//
//	UCP_FIGURES=1 go test ./executor -run ModuleMemoryFigures -v -timeout 0
//
// or with the name of one program instead of 1.
func TestModuleMemoryFigures(t *testing.T) {
	which := os.Getenv("UCP_FIGURES")
	if which == "" {
		t.Skip("figures, not a test: UCP_FIGURES=1 measures")
	}
	compiled := t.TempDir()
	for _, name := range []string{"gofmt", "asm", "link", "vet", "compile"} {
		if which != "1" && which != name {
			continue
		}
		b := goProgram(t, name)
		for _, how := range []string{"compiled", "from the disk's cache"} {
			r := newRig(t, func(c *Config) { c.CacheDir, c.Memory, c.ModuleMemory = compiled, 1<<30, 1<<30 })
			r.e.load = time.Hour // however busy the machine is
			module := r.put(b)
			for _, how := range []string{how, "warm"} {
				task := r.module(module, "-V")
				began := time.Now()
				r.e.Start(task)
				var most, accounted int64
				worst := 0.0
				for ended := false; !ended; {
					all := r.of(task)
					ended = len(all) > 0 && all[len(all)-1].Result != nil
					use := r.e.MemoryUse().Accounted()
					have := r.resident()
					use = max(use, r.e.MemoryUse().Accounted())
					if have > most {
						most, accounted = have, use
					}
					worst = max(worst, float64(have)/float64(use))
					time.Sleep(5 * time.Millisecond) // between two measurements of real processes
				}
				took := time.Since(began)
				require.NotEqual(t, job.Outcome(""), r.ended(task).Result.Outcome)
				load, err := os.ReadFile("/proc/loadavg")
				require.NoError(t, err)
				minute, _, _ := strings.Cut(string(load), " ")
				after := r.e.MemoryUse()
				t.Logf("%s, %s, %s: %.2f s; at most %s resident of %s accounted, worst %.2f; afterwards %s resident, %s accounted, %s of it code; load %s",
					name, bytesOf(int64(len(b))), how, took.Seconds(), bytesOf(most), bytesOf(accounted), worst,
					bytesOf(r.resident()), bytesOf(after.Accounted()), bytesOf(after.Modules), minute)
			}
			require.NoError(t, r.e.Close())
		}
	}
}
