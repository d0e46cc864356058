package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

const emptyModule = "\x00asm\x01\x00\x00\x00"

// inFolder changes to a new directory with these files.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, data := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(data), 0o600))
	}
}

func TestRunIsTransparent(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "in.csv": "1,2"})
	const out, errOut = "no newline at the end, \x00 binary \xff", "warning\n"
	seven := 7
	b.execute = func(id string, _ job.Spec) api.Job {
		j := ended(id, job.StateFailed, &seven, "exit code 7")
		b.leaves(&j, "stdout", out)
		b.leaves(&j, "stderr", errOut)
		return j
	}
	got := s.run("run", "m.wasm", "--stdin", "in.csv", "--", "x")
	require.Equal(t, ran{7, out, errOut}, got, "nothing of ucp's own in either stream")
}

func TestRunMakesTheSpecFromItsFlags(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "a.csv": "A", "text": "in"})
	s.stdin = "S"
	var got job.Spec
	b.execute = func(id string, spec job.Spec) api.Job { got = spec; return succeeded(id) }
	r := s.run("run", "m.wasm", "--stdin", "-", "--input", "d/a.csv=a.csv", "--input", "b=text", "--env", "K=V=W", "--cpu", "0.5",
		"--memory", "128MiB", "--label", "team=north", "--constraint", "arch=arm64", "--constraint", "k in (a,b)", "--output", "r.json",
		"--dir", "tmp", "--timeout", "90s", "--retries", "2", "--retry-backoff", "3s", "--id", "mine", "--", "-v", "--cpu", "x")
	require.Equal(t, ran{0, "", ""}, r)
	require.Contains(t, b.jobs, "mine")
	require.Equal(t, job.Spec{
		Driver: job.Wasm, Name: "m.wasm", Module: job.Digest(digestOf(emptyModule)), Args: []string{"-v", "--cpu", "x"}, Env: map[string]string{"K": "V=W"},
		Stdin: job.Digest(digestOf("S")), Inputs: map[string]string{"d/a.csv": digestOf("A"), "b": digestOf("in")},
		Dirs: []string{"tmp"}, Outputs: []string{"r.json"}, Resources: job.Resources{CPU: 500, Memory: 128 << 20},
		Priority: job.Priority{User: job.DefaultUser}, Labels: map[string]string{"team": "north"}, Constraints: []string{"arch=arm64", "k in (a,b)"},
		Timeout: clock.Duration(90 * time.Second), Retries: job.Retries{Max: 2, Backoff: clock.Duration(3 * time.Second)}, Preemption: job.Suspend,
	}, got)
}

func TestRunOfANativeProgram(t *testing.T) {
	b, s := newFakeBroker(t)
	var got job.Spec
	b.execute = func(id string, spec job.Spec) api.Job { got = spec; return succeeded(id) }
	require.Equal(t, ran{0, "", ""}, s.run("run", "--driver", "process", "uname", "--", "-a"))
	require.Equal(t, "uname", got.Command)
	require.Equal(t, []string{"-a"}, got.Args)
	require.Empty(t, got.Module)
	require.Empty(t, got.Name, "a native program's own name says enough")
	require.Equal(t, ran{0, "", ""}, s.run("run", "--driver", "process", "--name", "which system", "uname"))
	require.Equal(t, "which system", got.Name)
}

// What this version of a broker can't do is the broker's to refuse.
func TestRunPassesOnWhatTheBrokerWillRefuse(t *testing.T) {
	_, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	got := s.run("run", "m.wasm", "--input", "x=m.wasm", "--emergency", "flood 7")
	require.Equal(t, ran{exitError, "", "ucp: priority.emergency: \"flood 7\"; want a level (none, low, medium, high, critical, or 0 to 4), or the ID or type of an emergency\n"}, got)
}

// What a job is beside others.
func TestRunSaysHowAJobCompetes(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	var got job.Spec
	b.execute = func(id string, spec job.Spec) api.Job { got = spec; return succeeded(id) }
	require.Equal(t, ran{0, "", ""}, s.run("run", "m.wasm", "--priority", "9", "--deadline", "2127-01-31T15:04:05Z", "--emergency", "critical",
		"--after", "j1", "--after-any-end", "--exclusive", "drone-2", "--device", "camera=2", "--preempt", "never", "--weight", "3"))
	require.Equal(t, job.Priority{User: 9, Emergency: "critical", Weight: 3, Deadline: got.Priority.Deadline}, got.Priority)
	require.Equal(t, 2127, got.Priority.Deadline.Time().Year())
	require.Equal(t, []job.ID{"j1"}, got.After)
	require.Equal(t, job.AfterEnd, got.AfterPolicy)
	require.Equal(t, "drone-2", got.Exclusive)
	require.Equal(t, map[string]int64{"camera": 2}, got.Resources.Devices)
	require.Equal(t, job.Never, got.Preemption)

	wrong := s.run("run", "m.wasm", "--device", "camera")
	require.Equal(t, exitError, wrong.code)
	require.Equal(t, exitError, s.run("run", "m.wasm", "--device", "camera=0").code)
}

func TestRunUploadsOnce(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "in": "data"})
	for range 2 {
		require.Zero(t, s.run("run", "m.wasm", "--stdin", "in", "--input", "copy=in").code)
	}
	require.Equal(t, 2, b.count("PUT /v1/blobs/"), "the module and one input, though it is named twice")
	require.Equal(t, 4, b.count("HEAD /v1/blobs/"), "each file once in each run")
}

func TestRunExitCodes(t *testing.T) {
	zero, three, killed, odd, terminated, own := 0, 3, 137, 256, 143, 124
	timedOut := func(code *int) api.Job {
		j := ended("j1", job.StateFailed, code, "timeout after 2s")
		j.TimedOut = true
		return j
	}
	for name, x := range map[string]struct {
		j    api.Job
		code int
		err  string
	}{
		"success":                                {succeeded("j1"), 0, ""},
		"own code":                               {ended("j1", job.StateFailed, &three, "exit code 3"), 3, ""},
		"signal":                                 {ended("j1", job.StateFailed, &killed, "killed"), 137, "ucp: job j1 failed: killed\n"},
		"own code, that of a signal":             {ended("j1", job.StateFailed, &killed, "exit code 137"), 137, ""},
		"own code, and something is left out":    {ended("j1", job.StateFailed, &three, "exit code 3; not among the outputs: o (a link)"), 3, "ucp: job j1 failed: exit code 3; not among the outputs: o (a link)\n"},
		"more than 8 bits":                       {ended("j1", job.StateFailed, &odd, ""), 255, ""},
		"timeout":                                {timedOut(nil), 124, "ucp: job j1 failed: timeout after 2s\n"},
		"timeout of one that a signal ended":     {timedOut(&terminated), 124, "ucp: job j1 failed: timeout after 2s\n"},
		"timeout of one that left in good order": {timedOut(&zero), 124, "ucp: job j1 failed: timeout after 2s\n"},
		"own code, that of a timeout":            {ended("j1", job.StateFailed, &own, "exit code 124"), 124, ""},
		"failed with code 0":                     {ended("j1", job.StateFailed, &zero, "output r.json is missing"), 1, "ucp: job j1 failed: output r.json is missing\n"},
		"cancelled":                              {ended("j1", job.StateCancelled, nil, "cancelled at a"), 1, "ucp: job j1 cancelled: cancelled at a\n"},
		"expired":                                {ended("j1", job.StateExpired, nil, ""), 1, "ucp: job j1 expired: no reason is known; `ucp job get j1` shows more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newFakeBroker(t)
			inFolder(t, map[string]string{"m.wasm": emptyModule})
			b.execute = func(string, job.Spec) api.Job { return x.j }
			require.Equal(t, ran{x.code, "", x.err}, s.run("run", "m.wasm", "--id", "j1"))
			out := "j1  " + string(x.j.State) + "\n"
			require.Equal(t, ran{x.code, out, x.err}, s.run("job", "wait", "j1"))
		})
	}
}

func TestRunBringsOutputsBack(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "there/r.json": "old"})
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "stdout", "hello\n")
		b.leaves(&j, "outputs/r.json", "\x00\xff")
		b.leaves(&j, "outputs/deep/er/x", "")
		return j
	}
	require.Equal(t, ran{0, "hello\n", ""}, s.run("run", "m.wasm", "--output", "r.json", "--to", "there"))
	requireFile(t, "there/r.json", "\x00\xff")
	requireFile(t, "there/deep/er/x", "")
	require.NoFileExists(t, "there/stdout")
}

func requireFile(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// A broker, or who claims to be one, can't write outside of --to.
func TestOutputsStayInside(t *testing.T) {
	for _, path := range []string{"../escaped", "/tmp/escaped", "a/../../escaped", "link/escaped", "file-link"} {
		t.Run(path, func(t *testing.T) {
			b, s := newFakeBroker(t)
			inFolder(t, map[string]string{"m.wasm": emptyModule, "outside/kept": "kept"})
			require.NoError(t, os.Mkdir("to", 0o700))
			require.NoError(t, os.Symlink("../outside", "to/link"))
			require.NoError(t, os.Symlink("../outside/kept", "to/file-link"))
			b.execute = func(id string, _ job.Spec) api.Job {
				j := succeeded(id)
				b.leaves(&j, "outputs/"+path, "evil")
				return j
			}
			got := s.run("run", "m.wasm", "--to", "to")
			requireFile(t, "outside/kept", "kept")
			require.NoFileExists(t, "escaped")
			require.NoFileExists(t, "outside/escaped")
			if path != "file-link" { // there the link itself is replaced
				require.Equal(t, exitError, got.code)
				require.Contains(t, got.errOut, "ucp: fetching output")
			}
		})
	}
}

func TestDamagedOutputIsRefused(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "r.json": "old"})
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "outputs/r.json", "right")
		b.streams[id+"/outputs/r.json"] = "wrong"
		return j
	}
	got := s.run("run", "m.wasm")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "the content is not what the job wrote")
	requireFile(t, "r.json", "old")
	left, err := filepath.Glob("*")
	require.NoError(t, err)
	require.Equal(t, []string{"m.wasm", "r.json"}, left, "no part of a file stays behind")
}

func TestRunDetached(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	got := s.run("run", "m.wasm", "--detach")
	require.Zero(t, got.code)
	require.Contains(t, b.jobs, strings.TrimSpace(got.out))
	require.Zero(t, b.count("GET /v1/jobs"), "nothing is waited for")
	got = s.run("run", "m.wasm", "--detach", "--id", "mine", "-o", "json")
	require.JSONEq(t, `{"id":"mine","replicas":3,"degraded":false,"causal_token":""}`, got.out)
}

func TestRunAsJSON(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "stdout", "hello\n")
		return j
	}
	got := s.run("run", "m.wasm", "--id", "j1", "-o", "json")
	require.Zero(t, got.code)
	require.Contains(t, got.out, `"state": "succeeded"`)
	require.NotContains(t, got.out, "hello")
}

func TestNotPlaced(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	b.execute = func(id string, _ job.Spec) api.Job {
		j := ended(id, job.StatePending, nil, "")
		j.Why = "no broker meets gpu"
		return j
	}
	const want = "ucp: job j1 is not placed after 10ms: no broker meets gpu; it stays: wait with `ucp job wait j1`, or end it with `ucp job cancel j1`\n"
	require.Equal(t, ran{exitNotPlaced, "", want}, s.run("run", "m.wasm", "--id", "j1", "--place-timeout", "10ms"))
	require.Equal(t, ran{exitNotPlaced, "", want}, s.run("job", "wait", "j1", "--place-timeout", "10ms"))
	require.Equal(t, ran{exitNotPlaced, "j1\n", want}, s.run("run", "m.wasm", "--id", "j1", "--detach", "--place-timeout", "10ms"))

	b.execute = func(id string, _ job.Spec) api.Job { return ended(id, job.StateQueued, nil, "") }
	require.Equal(t, ran{0, "j2\n", ""}, s.run("run", "m.wasm", "--id", "j2", "--detach", "--place-timeout", "10ms"), "queued is placed")
}

func TestWaitHasAnEnd(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StateRunning, nil, "")
	b.jobs["j1"] = &j
	require.Equal(t, ran{exitError, "", "ucp: waiting for job j1: the job has not ended after 10ms, and goes on\n"}, s.run("job", "wait", "j1", "--timeout", "10ms"))
}

func TestInterruptLeavesTheJobRunning(t *testing.T) {
	for request, want := range map[string]string{
		"PUT": "ucp: interrupted; if job j1 was taken before, it goes on: follow it with `ucp job wait j1`, or end it with `ucp job cancel j1`\n",
		"GET": "ucp: interrupted; job j1 goes on: follow it with `ucp job wait j1`, or end it with `ucp job cancel j1`\n",
	} {
		t.Run(request, func(t *testing.T) {
			b, s := newFakeBroker(t)
			inFolder(t, map[string]string{"m.wasm": emptyModule})
			b.execute = func(id string, _ job.Spec) api.Job { return ended(id, job.StateRunning, nil, "") }
			b.hold = func(r *http.Request) {
				if r.Method == request && strings.HasPrefix(r.URL.Path, "/v1/jobs/") {
					s.signals <- syscall.SIGINT
					<-r.Context().Done() // the client has hung up
				}
			}
			require.Equal(t, ran{exitError, "", want}, s.run("run", "m.wasm", "--id", "j1"))
			require.Zero(t, b.count("DELETE"))
			require.Empty(t, s.exited)
		})
	}
}

// A cancelled job has ended before its executor has stopped it: what it wrote comes a moment later (rule J13).
func TestRunWaitsForWhatACancelledJobLeft(t *testing.T) {
	const stopped = "ucp: job j1 cancelled: cancelled at a\n"
	for name, x := range map[string]struct {
		second func(b *fakeBroker, s *shell) // what happens when the job is asked for again
		want   ran
	}{
		"it comes": {func(b *fakeBroker, _ *shell) {
			b.jobs["j1"].Attempts[0].State = job.AttemptStopped
			b.leaves(b.jobs["j1"], "stdout", "half\n")
		}, ran{exitError, "half\n", stopped}},
		"interrupted": {func(_ *fakeBroker, s *shell) { s.signals <- syscall.SIGINT },
			ran{exitError, "", "ucp: job j1: b has not said what it left; `ucp job result j1` fetches that later\n" + stopped}},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newFakeBroker(t)
			inFolder(t, map[string]string{"m.wasm": emptyModule})
			b.execute = func(id string, _ job.Spec) api.Job {
				j := ended(id, job.StateCancelled, nil, "cancelled at a")
				j.Attempts = []api.Attempt{{Executor: "b", State: job.AttemptStopping}}
				return j
			}
			asked := 0
			b.hold = func(r *http.Request) {
				if r.Method != "GET" || r.URL.Path != "/v1/jobs/j1" {
					return
				}
				if asked++; asked == 2 {
					x.second(b, s)
				}
			}
			require.Equal(t, x.want, s.run("run", "m.wasm", "--id", "j1"))
		})
	}
}

func TestRunRefusesBeforeItUploads(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.txt": "hello", "dir/x": "", "c.wasm": "\x00asm\x0d\x00\x01\x00", "t.wasm": emptyModule + "\x05\x04\x01\x03\x01\x02"})
	require.Equal(t, "ucp: c.wasm: this is a WASI preview 2 component; build for wasip1\n", s.run("run", "c.wasm").errOut)
	require.Equal(t, "ucp: t.wasm: it needs threads, which workers do not have; build it without\n", s.run("run", "t.wasm").errOut)
	require.Contains(t, s.run("run", "m.txt").errOut, "ucp: m.txt: it is not a WebAssembly module: its first bytes are ")
	require.Contains(t, s.run("run", "m.txt").errOut, "; a native program needs --driver process\n")
	require.Equal(t, "ucp: module: dir is a directory, where a file is wanted\n", s.run("run", "dir").errOut)
	s.stdin = emptyModule
	require.Equal(t, "ucp: --stdin: \"-\" (stdin) is already taken by module\n", s.run("run", "-", "--stdin", "-").errOut)
	require.Zero(t, b.count("PUT /v1/jobs"))
}

// What JSON can't hold is refused, and not changed without a word.
func TestRunRefusesWhatIsNoText(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "caf\xe9.wasm": emptyModule})
	for _, args := range [][]string{
		{"m.wasm", "--", "caf\xe9"}, {"m.wasm", "--env", "K=caf\xe9"}, {"m.wasm", "--env", "caf\xe9=V"}, {"m.wasm", "--input", "caf\xe9=m.wasm"},
		{"m.wasm", "--output", "caf\xe9"}, {"--driver", "process", "caf\xe9"},
	} {
		require.Contains(t, s.run(append([]string{"run"}, args...)...).errOut, `"caf\xe9`, args)
	}
	require.Zero(t, b.count("PUT"))
	require.Equal(t, ran{0, "", ""}, s.run("run", "caf\xe9.wasm", "--input", "x=caf\xe9.wasm"), "names of our own files are not sent")
}

// Names as long as a file system takes, and names that are no text, come back as the program gave them.
func TestOutputsOfOddNames(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	names := []string{strings.Repeat("n", 255), "caf\xe9", `back\slash`, "d/" + strings.Repeat("m", 255)}
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		for _, name := range names {
			b.leaves(&j, "outputs/"+job.PathText(name), "content of "+name)
		}
		return j
	}
	require.Equal(t, ran{0, "", ""}, s.run("run", "m.wasm", "--to", "out"))
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join("out", name))
		require.NoError(t, err)
		require.Equal(t, "content of "+name, string(got))
	}
}

func TestProgressOnlyForAPersonAndALargeFile(t *testing.T) {
	_, s := newFakeBroker(t)
	large := emptyModule + strings.Repeat("x", largeUpload)
	inFolder(t, map[string]string{"large.wasm": large, "larger.wasm": large + "y", "small.wasm": emptyModule})
	require.Empty(t, s.run("run", "large.wasm").errOut)
	s.terminal = true
	require.Empty(t, s.run("run", "small.wasm").errOut)
	got := s.run("run", "larger.wasm").errOut
	require.Contains(t, got, "uploading larger.wasm: ")
	require.True(t, strings.HasSuffix(got, eraseLine), "the line is taken away: %q", got)
}

// Without a terminal it is said once, not with each answer.
func TestAJobThatNobodyTakesIsNotSilent(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StatePending, nil, "")
	j.Why = "no broker meets gpu"
	b.jobs["j1"] = &j
	require.Equal(t, "ucp: job j1 waits: no broker meets gpu\nucp: waiting for job j1: the job has not ended after 8s, and goes on\n",
		s.run("job", "wait", "j1", "--timeout", "8s").errOut)
	require.NotContains(t, s.run("job", "wait", "j1", "--timeout", "300ms").errOut, "waits:", "it may be placed any moment")
}

// A job that had a broker, which returned it, and that no other can take is not silent either, and --place-timeout counts again.
func TestAJobThatWasReturnedIsNotSilent(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StateQueued, nil, "")
	b.jobs["j1"] = &j
	asked := 0
	b.before = func(_, _ string) {
		if asked++; asked > 2 { // first what kind of a thing j1 is, then how it stands
			b.jobs["j1"].State, b.jobs["j1"].Why = job.StatePending, "b6 returned it (no space left); none of 6 live brokers can run it"
		}
	}
	got := s.run("job", "wait", "j1", "--place-timeout", "400ms", "--timeout", "10s")
	require.Equal(t, ran{exitNotPlaced, "", "ucp: job j1 waits: b6 returned it (no space left); none of 6 live brokers can run it\n" +
		"ucp: job j1 is not placed after 400ms: b6 returned it (no space left); none of 6 live brokers can run it; it stays: wait with `ucp job wait j1`, or end it with `ucp job cancel j1`\n"}, got)
	require.Greater(t, asked, 3, "it was waited for a while")
}

// What it queues for is said once, too: who is ahead of it changes all the time.
func TestAJobThatQueuesIsNotSilent(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StateQueued, nil, "")
	b.jobs["j1"] = &j
	began, asked := time.Now(), 0
	b.before = func(_, _ string) {
		if asked++; time.Since(began) > sayAfter+2*time.Second {
			*b.jobs["j1"] = succeeded("j1")
			return
		}
		b.jobs["j1"].Why = fmt.Sprintf("waiting at b: behind %d jobs", asked)
	}
	got := s.run("job", "wait", "j1")
	require.Zero(t, got.code)
	require.Greater(t, asked, 2)
	require.Regexp(t, `^ucp: job j1 is queued: waiting at b: behind [0-9]+ jobs\n$`, got.errOut)
}

// That nobody knows how it is with a job that is waited for is said when it becomes so, and not with each answer.
func TestAWaitSaysThatTheJobsBrokerIsSilent(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StateRunning, nil, "")
	j.Executor = "van-3"
	b.jobs["j1"] = &j
	asked := 0
	b.before = func(_, path string) {
		if path == "/v1/jobs/j1" {
			asked++
			b.jobs["j1"].Silent = asked > 1 && asked < 4
		}
		if asked == 6 {
			*b.jobs["j1"] = succeeded("j1")
		}
	}
	require.Equal(t, "ucp: WARNING: job j1 is running?: van-3, where it was last, does not answer\n", s.run("job", "wait", "j1").errOut)
	require.GreaterOrEqual(t, asked, 6)
}

// Of many jobs it is said once of each broker that does not answer, with one of its jobs.
func TestAWaitForManySaysWhoIsSilent(t *testing.T) {
	b, s := newFakeBroker(t)
	for id, at := range map[string]string{"j1": "van-3", "j2": "van-3", "j3": "van-4"} {
		j := ended(id, job.StateRunning, nil, "")
		j.Executor, j.Silent = at, true
		b.jobs[id] = &j
	}
	asked := map[string]int{}
	b.before = func(_, path string) {
		id := path[strings.LastIndex(path, "/")+1:]
		if asked[id]++; b.jobs[id] != nil && asked[id] == 3 {
			*b.jobs[id] = succeeded(id)
		}
	}
	r := s.run("job", "wait", "j1", "j2", "j3")
	require.Zero(t, r.code, r.errOut)
	require.Regexp(t, `ucp: WARNING: van-3, where job j[12] and maybe others were last, does not answer\n`, r.errOut)
	require.Contains(t, r.errOut, "ucp: WARNING: van-4, where job j3 and maybe others were last, does not answer\n")
	require.Equal(t, 2, strings.Count(r.errOut, "\n"), r.errOut)
}

// Of many jobs each reason is said once, with one of them, whether a person looks on or not.
func TestJobsThatNobodyTakesAreNotSilent(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		b, s := newFakeBroker(t)
		s.terminal = terminal
		began, asked := time.Now(), map[string]int{} // since it may be said
		for id, why := range map[string]string{"j1": "no broker meets gpu", "j2": "no broker meets gpu", "j3": "no broker has 4 TiB"} {
			j := ended(id, job.StatePending, nil, "")
			j.Why = why
			b.jobs[id] = &j
		}
		b.before = func(_, path string) {
			id := path[strings.LastIndex(path, "/")+1:]
			if asked[id]++; time.Since(began) < sayAfter+500*time.Millisecond {
				asked[id] = 0
			}
			if j := b.jobs[id]; j != nil && asked[id] == 2 {
				*j = succeeded(id)
			}
		}
		r := s.run("job", "wait", "j1", "j2", "j3")
		require.Zero(t, r.code, r.errOut)
		require.Equal(t, 1, strings.Count(r.errOut, " waits, and others may, too: no broker meets gpu\n"), r.errOut)
		require.Equal(t, 1, strings.Count(r.errOut, "ucp: job j3 waits, and others may, too: no broker has 4 TiB\n"), r.errOut)
	}
}

func TestAPersonSeesWhatAJobWaitsFor(t *testing.T) {
	b, s := newFakeBroker(t)
	j := ended("j1", job.StatePending, nil, "")
	j.Why = "no broker meets gpu"
	b.jobs["j1"] = &j
	s.terminal = true
	got := s.run("job", "wait", "j1", "--timeout", "300ms").errOut
	require.Contains(t, got, eraseLine+"job j1 is pending: no broker meets gpu"+eraseLine+"ucp: waiting")
	s.columns = 24 // a line that is wider than the screen would leave traces
	require.Contains(t, s.run("job", "wait", "j1", "--timeout", "300ms").errOut, eraseLine+"job j1 is pending: no …"+eraseLine)
}

// The jobs that a job reads, or runs after, may be named as lists show them. One that is not known may come; of several none is meant.
func TestJobsThatAreReadMayBeShortened(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	var got job.Spec
	b.execute = func(id string, spec job.Spec) api.Job { got = spec; return succeeded(id) }
	for _, id := range []string{"kkhsa2cuabcd", "twin1", "twin2"} {
		j := succeeded(id)
		b.jobs[id] = &j
	}
	args := []string{"run", "m.wasm", "--stdin", "job:kkhsa2cu/stdout", "--input", "a=job:kkhsa2cu/out/a", "--input", "b=job:later/out/b", "--after", "kkhsa2cu"}
	require.Zero(t, s.run(args...).code)
	require.EqualValues(t, "job:kkhsa2cuabcd/stdout", got.Stdin)
	require.Equal(t, map[string]string{"a": "job:kkhsa2cuabcd/out/a", "b": "job:later/out/b"}, got.Inputs)
	require.Equal(t, []job.ID{"kkhsa2cuabcd", "later"}, got.After)
	require.Contains(t, s.run("run", "m.wasm", "--stdin", "job:twin/stdout").errOut, "twin")
	require.Equal(t, exitError, s.run("run", "m.wasm", "--after", "twin").code)
}

// A module may be named data, which is not looked for among the files of this machine.
func TestRunOfNamedData(t *testing.T) {
	b, s := newFakeBroker(t)
	var got job.Spec
	b.execute = func(id string, spec job.Spec) api.Job {
		got = spec
		j := succeeded(id)
		j.Module = &api.Module{Name: "tools/quake", Digest: job.Digest(strings.Repeat("e", 64)), At: clock.At(asOf), Broker: "b1"}
		j.Spec = &spec
		return j
	}
	require.Equal(t, ran{0, "", ""}, s.run("run", "data:tools/quake", "--id", "q", "--", "-v"))
	require.EqualValues(t, "data:tools/quake", got.Module)
	require.Equal(t, job.Wasm, got.Driver)
	require.Equal(t, "quake", got.Name)
	require.Contains(t, s.run("job", "get", "q").out, "module data:tools/quake, "+strings.Repeat("e", 64)+", as it was written at "+shortTime(clock.At(asOf), asOf)+" by b1\n")
	require.Equal(t, ran{0, "", ""}, s.run("run", "data:tools/quake", "--array", "0-1"))
	require.EqualValues(t, "data:tools/quake", got.Module)
	r := s.run("run", "data:tools/")
	require.Equal(t, exitError, r.code)
	require.Contains(t, r.errOut, "want data: and the name of a file")

	b.write("n/dir", "d", 3, true)
	b.write("n/file", "f", 3, false)
	out := s.run("__complete", "run", "data:").out
	require.Contains(t, out, "data:n/file\t")
	require.NotContains(t, out, "data:n/dir")
}
