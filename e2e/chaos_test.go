package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A short `make chaos` on loopback, for those who run the tests alone: 200 jobs through
// three brokers that are killed and sent away while a fourth joins. `make chaos`, which
// .ci/run runs, has all faults and checks.
func TestChaos(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "chaos")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../test/chaos").CombinedOutput()
	require.NoError(t, err, "%s", out)

	cmd := exec.CommandContext(ctx, program, "-ucp", ucpBinary, "-wasm", wordsModule, "-dir", filepath.Join(dir, "run"),
		"-loopback", "-brokers", "3", "-faults", "kill,kill-all,kill-twice,leave,join", "-jobs", "200", "-over", "15s", "-settle", "2m", "-seed", "1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its brokers
	cmd.WaitDelay = 20 * time.Second
	out, err = cmd.CombinedOutput()
	if err != nil { // the directory goes with the test: what a person needs of it
		logs, _ := filepath.Glob(filepath.Join(dir, "run", "logs", "*.log"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			t.Logf("the end of %s:\n%s", path, text[max(0, len(text)-20_000):])
		}
	}
	require.NoError(t, err, "%s", out)
	for _, row := range []string{`acknowledged +200 `, `finished +200 `, `acknowledged jobs lost +0 `, `two accepted results +0 `} {
		require.Regexp(t, regexp.MustCompile(`(?m)^`+row), string(out))
	}
	t.Logf("%s", out)
}
