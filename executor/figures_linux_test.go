package executor

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestModuleMemoryFigures measures what real modules, programs of the Go distribution, make of a worker: resident memory at
// most while they are compiled and loaded, and what it keeps. Run it with
//
//	UCP_FIGURES=1 go test ./executor -run ModuleMemoryFigures -v -timeout 0
func TestModuleMemoryFigures(t *testing.T) {
	if os.Getenv("UCP_FIGURES") == "" {
		t.Skip("figures, not a test: UCP_FIGURES=1 measures")
	}
	modules, compiled := t.TempDir(), t.TempDir()
	for _, name := range []string{"gofmt", "vet", "compile"} {
		file := filepath.Join(modules, name)
		build := exec.Command("go", "build", "-o", file, "cmd/"+name)
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, how := range []string{"compiled", "from the disk's cache"} {
			r := newRig(t, func(c *Config) { c.CacheDir = compiled })
			spare := func() (pid int) {
				require.Eventually(t, func() bool {
					r.e.pool.mu.Lock()
					defer r.e.pool.mu.Unlock()
					for _, w := range r.e.pool.idle {
						pid = w.pid()
					}
					return pid != 0
				}, time.Minute, time.Millisecond)
				return pid
			}
			resident := func(pid int) int64 { p, _ := readProcess(pid); return p.rss() }
			pid, most := spare(), int64(0)
			task := r.module(r.put(b), "-V")
			began := time.Now()
			r.e.Start(task)
			ended := func() bool { all := r.of(task); return len(all) > 0 && all[len(all)-1].Result != nil }
			for !ended() {
				most = max(most, resident(pid))
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("%s, %s, %s: %.1f s, at most %s, then %s", name, bytesOf(int64(len(b))), how, time.Since(began).Seconds(), bytesOf(most), bytesOf(resident(pid)))
			require.NoError(t, r.e.Close())
		}
	}
}
