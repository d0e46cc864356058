package executor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// onTmpfs puts the directory of running jobs onto a file system of its own, whose limits are real ones.
func onTmpfs(t *testing.T, r *rig, options string) {
	dir := r.e.cfg.Dir
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("NOT TRIED: this test mounts a small file system, for which it needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	r.endIdle() // they are behind a fence around what was there before
}

func TestReturnedFullDisk(t *testing.T) {
	r := newRig(t, native)
	onTmpfs(t, r, "size=256k")
	r.wasReturned(r.wasm("flood", "100000"), true, "keeping stdout", "no space left")
	input := r.wasm("cat")
	input.Spec.Inputs = map[string]string{"in": string(r.put(make([]byte, 300<<10)))}
	r.wasReturned(input, false, "copying input in", "no space left")
	// A program that is told that the disk is full, and gives up.
	for _, task := range []Task{r.wasm("copy", "in", "out"), r.sh("exec 2>/dev/null; cat in > out")} {
		task.Spec.Inputs = map[string]string{"in": string(r.put(make([]byte, 150<<10)))}
		r.wasReturned(task, true, "no space left")
	}
	require.Eventually(t, func() bool { return r.e.Probe(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond, "what is left of those jobs is removed")
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
}

func TestReturnedNoInodes(t *testing.T) {
	r := newRig(t)
	onTmpfs(t, r, "nr_inodes=2") // of which one is the root
	require.NoError(t, os.WriteFile(filepath.Join(r.e.cfg.Dir, "x"), nil, 0o600))
	r.wasReturned(r.wasm(), true, "keeping stdout", "no space left")
	require.ErrorContains(t, r.e.Probe(t.Context()), "no space left")
}

func TestReturnedReadOnlyDisk(t *testing.T) {
	r := newRig(t)
	onTmpfs(t, r, "size=1m")
	require.NoError(t, syscall.Mount("", r.e.cfg.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	r.wasReturned(r.wasm(), true, "read-only file system")
	task := r.wasm()
	task.Spec.Dirs = []string{"d"}
	r.wasReturned(task, false, "preparing the job's directory", "read-only file system")
	require.ErrorContains(t, r.e.Probe(t.Context()), "read-only file system")
}
