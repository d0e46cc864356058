package executor

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// tinyModule is the smallest command: (module (func (export "_start"))). With
// pages > 0 it also has a memory of that many pages at its start.
func tinyModule(export string, pages uint64) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, 1, 4, 1, 0x60, 0, 0) // types: one, () -> ()
	b = append(b, 3, 2, 1, 0)          // functions: one, of that type
	if pages > 0 {                     // memories: one, without maximum
		n := []byte{byte(pages&0x7f) | 0x80, byte(pages>>7&0x7f) | 0x80, byte(pages >> 14)}
		b = append(append(b, 5, byte(2+len(n)), 1, 0), n...)
	}
	b = append(b, 7, byte(4+len(export)), 1, byte(len(export))) // exports: one
	b = append(append(b, export...), 0, 0)                      // a function, number 0
	return append(b, 10, 4, 1, 2, 0, 0x0b)                      // code: no locals, end
}

func TestHello(t *testing.T) {
	r := newRig(t)
	task := r.wasm("echo", "good", "morning")
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Equal(t, 0, *res.ExitCode)
	require.Equal(t, "good morning\n", r.read(res.Stdout))
	require.Equal(t, "to stderr\n", r.read(res.Stderr))
	require.NotZero(t, res.Started)
	require.LessOrEqual(t, res.Started, res.Finished)
	us := r.startsAndEnds(task)
	require.Len(t, us, 2)
	require.Nil(t, us[0].Result, "the start comes first")
	require.NotNil(t, us[1].Result)
	require.False(t, us[1].Stopped)
}

func TestExitCode(t *testing.T) {
	r := newRig(t)
	res := r.run(r.wasm("exit", "3"))
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, 3, *res.ExitCode)
	require.Equal(t, "exit code 3", res.Reason)
	require.False(t, res.Permanent, "another try may succeed")
	require.Nil(t, res.Stdout, "it wrote nothing")
}

func TestPanicExitsWithCode2(t *testing.T) {
	r := newRig(t)
	res := r.run(r.wasm("panic"))
	require.Equal(t, 2, *res.ExitCode)
	require.Contains(t, r.read(res.Stderr), "as asked")
}

func TestReasonNamesTheTrap(t *testing.T) {
	r := newRig(t)
	m := bytes.Replace(tinyModule("_start", 0), []byte{10, 4, 1, 2, 0, 0x0b}, []byte{10, 5, 1, 3, 0, 0x00, 0x0b}, 1) // unreachable
	res := r.run(r.module(r.put(m)))
	require.Equal(t, job.Failed, res.Outcome)
	require.Nil(t, res.ExitCode)
	require.Contains(t, res.Reason, "unreachable")
}

func TestStdinByteForByte(t *testing.T) {
	r := newRig(t)
	b := make([]byte, 3<<20+17)
	_, _ = rand.Read(b)
	task := r.wasm("cat")
	task.Spec.Stdin = r.put(b)
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Equal(t, task.Spec.Stdin, res.Stdout.Digest)
	require.Empty(t, r.run(r.wasm("cat")).Stdout, "without stdin the job reads an empty one")
}

func TestArgsAndEnv(t *testing.T) {
	r := newRig(t)
	task := r.wasm("env", "a b", "")
	task.Spec.Name = "prog"
	task.Spec.Env = map[string]string{"CITY": "Marburg", "UCP_ATTEMPT": "forged"}
	out := r.read(r.run(task).Stdout)
	require.Equal(t, "prog|env|a b| /\nCITY=Marburg\nUCP_ATTEMPT=1.a.1\nUCP_JOB_ID="+string(task.ID)+"\n", out)
	task = r.wasm("env")
	task.Spec.Name, task.Spec.Env, task.Spec.PlainEnv = "pumps.wasm", map[string]string{"CITY": "Marburg"}, true
	require.Equal(t, "pumps.wasm|env /\nCITY=Marburg\n", r.read(r.run(task).Stdout), "a job has the name it was given, and no variables of ours if it wants none")
}

func TestRealClockAndRandomness(t *testing.T) {
	r := newRig(t)
	var ms [2]int64
	var rnd [2]string
	for i := range ms {
		_, err := fmt.Sscan(r.read(r.run(r.wasm("clock")).Stdout), &ms[i], &rnd[i])
		require.NoError(t, err)
	}
	require.WithinDuration(t, time.Now(), time.UnixMilli(ms[1]), time.Minute)
	require.NotEqual(t, rnd[0], rnd[1])
}

func TestInputsAndOutputs(t *testing.T) {
	r := newRig(t)
	b := make([]byte, 1<<20+3)
	_, _ = rand.Read(b)
	task := r.wasm("copy", "in/deep/data.bin", "out/copy.bin")
	task.Spec.Inputs = map[string]string{"in/deep/data.bin": string(r.put(b)), "out/sub/kept": string(r.put([]byte("kept")))}
	task.Spec.Dirs = []string{"empty/dir"}
	task.Spec.Outputs = []string{"out", "in/deep/data.bin", "empty"}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Len(t, res.Outputs, 3)
	require.Equal(t, `not among the outputs: "empty/dir" (an empty directory)`, res.Reason, "what is left out is named")
	copied := res.Outputs["out/copy.bin"]
	require.Equal(t, string(b), r.read(&copied))
	require.Equal(t, copied, res.Outputs["in/deep/data.bin"])
	kept := res.Outputs["out/sub/kept"]
	require.Equal(t, "kept", r.read(&kept))

	task = r.wasm("tree")
	task.Spec.Dirs = []string{"b/c"}
	require.Equal(t, "/\n/b\n/b/c\n/tmp\n", r.read(r.run(task).Stdout))
}

// Names of outputs are text, whatever the program has called its files, and may be as long as a file system takes.
func TestOddNamesOfOutputs(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"caf\xe9", `back\slash`, strings.Repeat("n", 255)} {
		task := r.wasm("copy", "in", "out/"+name)
		task.Spec.Inputs, task.Spec.Dirs = map[string]string{"in": string(r.put([]byte("x")))}, []string{"out"}
		task.Spec.Outputs = []string{"out"}
		res := r.run(task)
		require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
		require.Contains(t, res.Outputs, job.PathText("out/"+name))
	}
}

// What is no file is named as far as a reason has room for it, and counted beyond that.
func TestWhatIsLeftOutIsNamed(t *testing.T) {
	r := newRig(t)
	for _, n := range []int{12, 100} {
		task := r.wasm()
		task.Spec.Outputs = []string{"e"}
		for i := range n {
			task.Spec.Dirs = append(task.Spec.Dirs, fmt.Sprintf("e/%02d", i))
		}
		res := r.run(task)
		require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
		named := strings.Count(res.Reason, "(an empty directory)")
		require.GreaterOrEqual(t, named, 12, res.Reason)
		if n > named {
			require.Contains(t, res.Reason, fmt.Sprintf(" and %d more", n-named))
		}
		require.Less(t, len(res.Reason), job.MaxReason)
	}
}

func TestMissingOutputFails(t *testing.T) {
	r := newRig(t)
	task := r.wasm()
	task.Spec.Outputs = []string{"report.json"}
	res := r.run(task)
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, "its program ended well, but left no output report.json", res.Reason)
	require.Equal(t, "hello\n", r.read(res.Stdout), "what it wrote is kept nevertheless")
}

func TestFailedJobKeepsItsOutputs(t *testing.T) {
	r := newRig(t)
	failing := func(files string, outputs ...string) Task {
		task := r.wasm("failing", files)
		task.Spec.Outputs = outputs
		return task
	}
	res := r.run(failing("2", "many", "none"))
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, 9, *res.ExitCode)
	require.Equal(t, `exit code 9; not among the outputs: "many/link" (a link)`, res.Reason, "and nobody misses what it did not come to write")
	require.Len(t, res.Outputs, 2)

	res = r.run(failing(fmt.Sprint(job.MaxOutputFiles+1), "many"))
	require.Greater(t, len(res.Outputs), job.MaxOutputFiles/2)
	require.Contains(t, res.Reason, "exit code 9; not among the outputs: ")
	require.Contains(t, res.Reason, "more than 256 output files")
	require.Contains(t, res.Reason, "more than a result has room for")
	require.LessOrEqual(t, res.Size(), job.MaxResult)

	task, no := failing("2", "many"), false
	task.Spec.OutputsOnFailure = &no
	res = r.run(task)
	require.Equal(t, "exit code 9", res.Reason)
	require.Empty(t, res.Outputs)
}

func TestOutputFilesAreBounded(t *testing.T) {
	r := newRig(t)
	task := r.wasm("mkmany", fmt.Sprint(job.MaxOutputFiles))
	task.Spec.Outputs = []string{"many"}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Len(t, res.Outputs, job.MaxOutputFiles)
	require.Equal(t, `not among the outputs: "many/link" (a link)`, res.Reason)
	task = r.wasm("mkmany", fmt.Sprint(job.MaxOutputFiles+1))
	task.Spec.Outputs = []string{"many"}
	require.Contains(t, r.run(task).Reason, "more than 256 output files")
}

func TestFileSystem(t *testing.T) {
	r := newRig(t)
	res := r.run(r.wasm("files"))
	require.Equal(t, "done\n", r.read(res.Stdout), "%s%s", res.Reason, r.read(res.Stderr))
}

func TestJail(t *testing.T) {
	r := newRig(t)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("gold"), 0o600))
	task := r.wasm("escape", secret)
	task.Spec.Outputs = []string{"link1"} // a link out, as an output
	res := r.run(task)
	out := r.read(res.Stdout)
	require.NotContains(t, out, "ESCAPED")
	require.True(t, strings.HasSuffix(out, "done\n"), out)
	require.Equal(t, job.Failed, res.Outcome, "a link that leads out is not an output")
	require.Contains(t, res.Reason, "link1")
	require.Empty(t, res.Outputs)
	b, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "gold", string(b))
}

func TestMemoryLimit(t *testing.T) {
	r := newRig(t)
	require.Equal(t, "ate 30\n", r.read(r.run(r.wasm("eat", "30")).Stdout))
	res := r.run(r.wasm("eat", "100"))
	require.Equal(t, job.Failed, res.Outcome)
	require.True(t, strings.HasPrefix(res.Reason, "memory limit 64 MiB exceeded"), res.Reason)
	more := r.wasm("eat", "100") // the same warm module, another limit
	more.Spec.Resources.Memory = 512 << 20
	require.Equal(t, "ate 100\n", r.read(r.run(more).Stdout))
}

func TestMemoryAtTheStart(t *testing.T) {
	r := newRig(t)
	d := r.put(tinyModule("_start", 2000))
	res := r.run(r.module(d))
	require.True(t, res.Permanent)
	require.Equal(t, "the module needs 125 MiB of memory to start, over the job's limit of 64 MiB; ask for more memory", res.Reason)
	task := r.module(d)
	task.Spec.Resources.Memory = 2000*wasmPage + 5 // rounded down to pages
	require.Equal(t, job.Succeeded, r.run(task).Outcome)
	task = r.module(d)
	task.Spec.Resources.Memory = 2000*wasmPage - 1
	require.True(t, r.run(task).Permanent)
}

func TestNotAProgram(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		module []byte
		says   string
	}{
		"text":      {[]byte("#!/bin/sh\nexit"), "not a WebAssembly module"},
		"empty":     {nil, "not a WebAssembly module"},
		"component": {[]byte("\x00asm\x0d\x00\x01\x00"), "this is a WASI preview 2 component; build for wasip1"},
		"truncated": {tinyModule("_start", 0)[:20], "not valid WebAssembly"},
		"library":   {tinyModule("run", 0), "exports no _start"},
	} {
		t.Run(name, func(t *testing.T) {
			res := r.run(r.module(r.put(c.module)))
			require.Equal(t, job.Failed, res.Outcome)
			require.True(t, res.Permanent)
			require.Contains(t, res.Reason, c.says)
		})
	}
	require.Equal(t, job.Succeeded, r.run(r.module(r.put(tinyModule("_start", 0)))).Outcome, "the worker is unharmed")
}

// needs returns a module whose _start consists of some instructions, with further sections before its functions.
func needs(sections, body string) []byte {
	m := tinyModule("_start", 0)
	code := append([]byte{10, byte(len(body) + 4), 1, byte(len(body) + 2), 0}, body+"\x0b"...)
	m = bytes.Replace(m, []byte{10, 4, 1, 2, 0, 0x0b}, code, 1)
	at := bytes.Index(m, []byte{7, 10}) // exports
	return append(append(append([]byte{}, m[:at]...), sections...), m[at:]...)
}

// tailModule calls itself in its last step, a million times: without tail calls its stack is too small.
const tailModule = "\x00\x61\x73\x6d\x01\x00\x00\x00\x01\x09\x02\x60\x01\x7f\x01\x7f\x60\x00\x00\x03\x03\x02\x00\x01\x05\x03\x01\x00" +
	"\x01\x07\x13\x02\x06\x6d\x65\x6d\x6f\x72\x79\x02\x00\x06\x5f\x73\x74\x61\x72\x74\x00\x01\x0a\x1e\x02\x12\x00\x20" +
	"\x00\x45\x04\x7f\x41\x00\x05\x20\x00\x41\x01\x6b\x12\x00\x0b\x0b\x09\x00\x41\xc0\x84\x3d\x10\x00\x1a\x0b"

// What the engine has is on, and what it lacks is named.
func TestFeatures(t *testing.T) {
	r := newRig(t)
	for name, m := range map[string][]byte{
		"tail call":         []byte(tailModule),
		"extended constant": needs("\x06\x09\x01\x7f\x00\x41\x01\x41\x02\x6a\x0b", ""),
		"exceptions":        needs("", "\x1f\x40\x00\x0b"),
	} {
		t.Run(name, func(t *testing.T) {
			res := r.run(r.module(r.put(m)))
			require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
		})
	}
	for name, c := range map[string]struct {
		module  []byte
		feature string
	}{
		"memory64":          {needs("\x05\x03\x01\x04\x01", ""), "needs 64-bit memory (memory64)"},
		"memories":          {needs("\x05\x05\x02\x00\x01\x00\x01", ""), "needs several memories (multi-memory)"},
		"shared memory":     {needs("\x05\x04\x01\x03\x01\x02", ""), "needs threads"},
		"atomics":           {needs("", "\xfe\x03\x00"), "needs threads"},
		"GC":                {needs("", "\xfb\x00\x00"), "needs garbage collection (GC)"},
		"legacy exceptions": {needs("", "\x06\x40\x07\x00\x0b"), "needs legacy exceptions"},
		"relaxed SIMD":      {needs("", "\xfd\x80\x02\x1a"), "needs relaxed SIMD"},
		"nonsense":          {needs("", "\xff"), "not valid WebAssembly"},
	} {
		t.Run(name, func(t *testing.T) {
			res := r.run(r.module(r.put(c.module)))
			require.Equal(t, job.Failed, res.Outcome)
			require.True(t, res.Permanent)
			require.Contains(t, res.Reason, c.feature)
		})
	}
}

func TestMissingBlob(t *testing.T) {
	r := newRig(t)
	task := r.module(job.Digest(strings.Repeat("0", 64)))
	res := r.run(task)
	require.Contains(t, res.Reason, "finding the module")
	require.Len(t, r.of(task), 1, "it never started")
}

func TestStdoutIsCut(t *testing.T) {
	r := newRig(t)
	out := r.read(r.run(r.wasm("flood", fmt.Sprint(job.MaxOutput/16+10))).Stdout)
	require.True(t, strings.HasSuffix(out, "\n[ucp: cut after 16777216 bytes; 160 more were dropped]\n"), out[len(out)-100:])
	require.Equal(t, job.MaxOutput, strings.LastIndex(out, "\n[ucp"))
	out = r.read(r.run(r.wasm("flood", fmt.Sprint(job.MaxOutput/16))).Stdout)
	require.Len(t, out, job.MaxOutput, "exactly full is not cut")
}

func TestSilentJobLeavesNoDirectory(t *testing.T) {
	r := newRig(t)
	require.Equal(t, job.Succeeded, r.run(r.module(r.put(tinyModule("_start", 0)))).Outcome)
	entries, err := os.ReadDir(r.e.cfg.Dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestDirectoriesAreRemoved(t *testing.T) {
	r := newRig(t)
	r.run(r.wasm("files"))
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(r.e.cfg.Dir)
		return err == nil && len(entries) == 0
	}, 10*time.Second, 5*time.Millisecond)
}
