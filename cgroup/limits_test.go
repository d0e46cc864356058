package cgroup

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write down what is decided now")

// Each file of testdata is a tree of files as containers, units and machines have it: lines "== PATH", what is in that file,
// and last what this process is told, "== limits".
func TestLimits(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			parts := strings.Split(string(text), "== ")
			tree := fstest.MapFS{}
			for _, part := range parts[1 : len(parts)-1] {
				path, content, _ := strings.Cut(part, "\n")
				tree[path] = &fstest.MapFile{Data: []byte(content)}
			}
			l := Read(tree)
			got := fmt.Sprintf("limits\nmemory %s, available %s, cpu %dm\n", mib(l.Memory), mib(l.Available), l.CPU)
			if l.Processes > 0 {
				got += fmt.Sprintf("processes: %d more\n", l.Processes)
			}
			if l.MemoryPressure+l.CPUPressure > 0 {
				got += fmt.Sprintf("pressure: memory %.4g, cpu %.4g\n", l.MemoryPressure, l.CPUPressure)
			}
			if *rewrite {
				parts[len(parts)-1] = got
				require.NoError(t, os.WriteFile(name, []byte(strings.Join(parts, "== ")), 0o600))
			}
			require.Equal(t, parts[len(parts)-1], got)
		})
	}
}

func mib(n int64) string { return fmt.Sprintf("%.5g MiB", float64(n)/(1<<20)) }

// Whatever the files hold, reading them ends, and a limit is never negative.
func TestLimitsOfNonsense(t *testing.T) {
	names := []string{
		"proc/self/cgroup", "proc/self/mountinfo", "c/memory.max", "c/cpu.max", "c/memory.stat", "c/a/memory.max",
		"m/memory.limit_in_bytes", "m/memory.usage_in_bytes", "m/cpu.cfs_quota_us", "m/cpu.cfs_period_us",
		"proc/pressure/memory", "c/cpu.pressure", "c/pids.max", "c/pids.current",
	}
	pieces := rapid.SampledFrom([]string{
		"0::/a\n", "4:memory,cpu:/\n", "max", "-1", "0", " ", "\n", "9223372036854771712", "12345", "inactive_file 7\n", "::", "/../..",
		"32 31 0:29 / /c rw - cgroup2 cgroup2 rw\n", "32 31 0:29 / /m rw - cgroup cgroup rw,memory,cpu\n", `\04`, `\040`, " - ",
		"some avg10=", "NaN ", "1e300 ", "-3 ", "44.5 ",
	})
	rapid.Check(t, func(t *rapid.T) {
		tree := fstest.MapFS{}
		for _, name := range names {
			tree[name] = &fstest.MapFile{Data: []byte(strings.Join(rapid.SliceOfN(pieces, 0, 6).Draw(t, name), ""))}
		}
		l := Read(fs.FS(tree))
		require.True(t, l.Memory >= 0 && l.Available >= 0 && l.CPU >= 0 && l.Processes >= 0, "%+v", l)
		require.Equal(t, l.Memory > 0, l.Available > 0, "%+v", l)
		for _, p := range []float64{l.MemoryPressure, l.CPUPressure} {
			require.True(t, p >= 0 && p <= 1, "%+v", l)
		}
	})
}
