package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A disk that fails takes nothing more, and what is made of it goes with it.
func TestFailingDisk(t *testing.T) {
	if os.Getenv("RIG_TEST_INSIDE") != "" {
		require.NoError(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		require.NoError(t, TryLoop())
		dir, aside := t.TempDir(), t.TempDir()
		here := func(line ...string) error { return run(nil, line...) }
		require.NoError(t, mountFailing(here, dir, aside))
		require.Error(t, os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600))
		require.NoError(t, unmountFailing(here, dir, aside))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600))
		return
	}
	_, noLoops := os.Stat("/dev/loop-control")
	_, noMkfs := exec.LookPath("mkfs.ext4")
	if os.Geteuid() != 0 || noLoops != nil || noMkfs != nil {
		t.Skip("NOT TRIED: this test needs root, mkfs.ext4 and loop devices")
	}
	inside := exec.Command(os.Args[0], "-test.run=^TestFailingDisk$", "-test.v")
	inside.Env = append(os.Environ(), "RIG_TEST_INSIDE=1")
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := inside.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
