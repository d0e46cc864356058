package e2e

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client of twenty lines that was written from docs/api.md runs a job, and gets what `ucp run` gets.
func TestPythonClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 here, so examples/client/client.py, and with it docs/api.md, is NOT tested")
	}
	a := startCluster(t, 1)[0]
	want := a.ucp("run", wordsModule, "--stdin", "../README.md")
	require.Zero(t, want.code, want.stderr)
	got := run(t, nil, python, "../examples/client/client.py", "http://"+a.http, wordsModule, "../README.md")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, want.stdout, got.stdout)
}
