package executor

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func native(c *Config) { c.AllowProcess = true }

// bare is native without a sandbox: the PIDs that programs print are those that this test sees.
func bare(c *Config) { c.AllowProcess, c.Sandbox.Off = true, true }

func TestProcessIsOffByDefault(t *testing.T) {
	r := newRig(t)
	res := r.run(r.sh("echo hi"))
	require.Equal(t, job.Failed, res.Outcome)
	require.True(t, res.Permanent)
	require.Contains(t, res.Reason, "--allow-process")
}

func TestProcess(t *testing.T) {
	r := newRig(t, native)
	b := make([]byte, 100_000)
	_, _ = rand.Read(b)
	task := r.sh(`cat > out.bin; echo "$PWD|$HOME|$UCP_ATTEMPT|$UCP_JOB_ID|$X|$BROKER_SECRET"; test -d "$TMPDIR"; echo oops >&2`)
	t.Setenv("BROKER_SECRET", "gold")
	task.Spec.Env = map[string]string{"X": "y"}
	task.Spec.Stdin = r.put(b)
	task.Spec.Outputs = []string{"out.bin"}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	root := filepath.Join(r.e.cfg.Dir, "1", "root")
	require.Equal(t, strings.Join([]string{root, root, "1.a.1", string(task.ID), "y", ""}, "|")+"\n", r.read(res.Stdout))
	require.Equal(t, "oops\n", r.read(res.Stderr))
	out := res.Outputs["out.bin"]
	require.True(t, bytes.Equal(b, []byte(r.read(&out))))
}

func TestProcessExits(t *testing.T) {
	r := newRig(t, native)
	res := r.run(r.sh("exit 7"))
	require.Equal(t, 7, *res.ExitCode)
	require.Equal(t, "exit code 7", res.Reason)
	res = r.run(r.sh("kill -SEGV $$"))
	require.Equal(t, 128+int(syscall.SIGSEGV), *res.ExitCode)
	require.Equal(t, "killed by SIGSEGV", res.Reason)
	task := r.sh("")
	task.Spec.Command = "no-such-program-here"
	res = r.run(task)
	require.True(t, res.Permanent)
	require.Contains(t, res.Reason, "starting no-such-program-here")
}

func TestProcessFromAnInput(t *testing.T) {
	r := newRig(t, native)
	task := r.sh("")
	task.Spec.Command, task.Spec.Args = "./bin/tool", []string{"x"}
	task.Spec.Inputs = map[string]string{"bin/tool": string(r.put([]byte("#!/bin/sh\necho tool $1\n")))}
	require.Equal(t, "tool x\n", r.read(r.run(task).Stdout))
}

func TestProcessTimeoutKillsTheWholeGroup(t *testing.T) {
	r := newRig(t, bare, func(c *Config) { c.Grace = 2 * time.Second }) // in which a loaded machine comes to run the trap
	task := r.sh(`trap 'echo got TERM' TERM; (trap '' TERM; sleep 1000) & echo $!; while :; do sleep 0.05; done`)
	task.Spec.Timeout = clock.Duration(2 * time.Second)
	res := r.run(task)
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, "timeout after 2s", res.Reason)
	require.True(t, res.TimedOut())
	pid, rest, _ := strings.Cut(r.read(res.Stdout), "\n")
	require.Equal(t, "got TERM\n", rest, "SIGTERM comes before SIGKILL")
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	r.dies(n)
}

func TestProcessStopIsGentle(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.Grace = 30 * time.Second })
	task := r.sh(`trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done`)
	r.e.Start(task)
	r.says(task, "ready")
	r.e.Stop(task.Key, task.Attempt)
	require.True(t, r.ended(task).Stopped)
	require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout), "the worker still works")
}

// background starts two children that the script does not wait for, one of them in a session of its own, and
// prints their PIDs; when both are there it says so.
const background = `sleep 1000 & echo $!; setsid sh -c 'echo $$; : > up; exec sleep 1000' & until [ -e up ]; do sleep 0.01; done; echo ready; `

func childPIDs(t testing.TB, out string) []int {
	var pids []int
	for _, s := range strings.Fields(out) {
		if n, err := strconv.Atoi(s); err == nil {
			pids = append(pids, n)
		}
	}
	require.Len(t, pids, 2, out)
	return pids
}

func TestProcessLeavesNothingBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a worker adopt orphans")
	}
	r := newRig(t, bare)
	res := r.run(r.sh(background))
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	for _, pid := range childPIDs(t, r.read(res.Stdout)) {
		require.False(t, alive(pid))
	}
}

func (r *rig) pidsOf(task Task) []int {
	var text string
	require.Eventually(r.t, func() bool {
		out, errs := r.logs(task.Key)
		if errs != nil {
			errs.Close()
		}
		if out == nil {
			return false
		}
		defer out.Close()
		b, _ := os.ReadFile(out.Name())
		text = string(b)
		return strings.Contains(text, "ready")
	}, 30*time.Second, 5*time.Millisecond)
	return childPIDs(r.t, text)
}

func TestProcessDiesWithItsWorker(t *testing.T) {
	r := newRig(t, bare)
	task := r.sh(background + "sleep 1000")
	r.e.Start(task)
	pids := r.pidsOf(task)
	require.NoError(t, syscall.Kill(r.workerPID(task), syscall.SIGKILL))
	require.Contains(t, r.ended(task).Result.Reason, "killed by SIGKILL")
	for _, pid := range pids {
		r.dies(pid)
	}
}

// The broker is another copy of the test binary here, which is killed.
func TestAllDieWithTheBroker(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the parent-death signal")
	}
	if os.Getenv(brokerVar) == "" {
		killBroker(t, 4)
		return
	}
	r := newRig(t, bare)
	a, b := r.sh(background+"sleep 1000"), r.wasm("loop")
	r.e.Start(a)
	r.e.Start(b)
	r.sayPIDs(append(r.pidsOf(a), r.workerPID(a), r.workerPID(b))...)
}

func TestStraysOfAnEarlierBrokerDie(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	dir := filepath.Join(t.TempDir(), "jobs")
	stray := exec.Command("sleep", "1000")
	stray.Env = []string{jobDirVar + "=" + filepath.Join(dir, "3", "root")}
	require.NoError(t, stray.Start())
	newRig(t, func(c *Config) { c.Dir = dir })
	require.Error(t, stray.Wait())
}

func TestProcessMemoryLimit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit is RLIMIT_DATA")
	}
	r := newRig(t, native)
	// The shell holds what it reads; 200 MB is over the limit of 64 MiB.
	res := r.run(r.sh(`sleep 0.1; x=$(head -c 200000000 /dev/zero | tr '\0' x); echo ${#x}`))
	require.Equal(t, job.Failed, res.Outcome)
	task := r.sh(`sleep 0.1; x=$(head -c 20000000 /dev/zero | tr '\0' x); echo ${#x}`)
	task.Spec.Resources.Memory = 512 << 20
	require.Equal(t, "20000000\n", r.read(r.run(task).Stdout))
}
