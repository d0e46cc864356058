package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

const twoJobs = `jobs:
  count:
    module: ../m.wasm
    stdin: job:detect/out/report.json
    inputs: {map/: map}
  detect:
    module: ../m.wasm
    inputs: {quake.csv: today.csv}
    outputs: [report.json]
`

var twoFiles = map[string]string{"m.wasm": emptyModule, "plans/today.csv": "1,2", "plans/map/a": "a", "plans/quake.yaml": twoJobs}

// A plan is one submission, its files are relative to it and sent once, and what each job leaves is in a directory with its name.
func TestPlanRun(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, twoFiles)
	b.execute = func(id string, spec job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "outputs/report.json", "of "+id)
		b.leaves(&j, "stdout", "out of "+id)
		return j
	}
	got := s.run("plan", "run", "plans/quake.yaml", "--id", "q", "--to", "res")
	require.Equal(t, ran{0, "count   succeeded\ndetect  succeeded\n", "ucp: plan q: 2 jobs are submitted\n"}, got)
	require.Equal(t, 1, b.count("POST /v1/jobs:batch"))
	require.Equal(t, 4, b.count("PUT /v1/blobs/"), "the module once, the input, and a directory with its file")
	count := b.jobs["q.count"].Spec
	require.EqualValues(t, "job:q.detect/out/report.json", count.Stdin)
	require.Equal(t, []job.ID{"q.detect"}, count.After)
	require.Equal(t, map[string]string{"quake.csv": digestOf("1,2")}, b.jobs["q.detect"].Spec.Inputs)
	for path, want := range map[string]string{"detect/report.json": "of q.detect", "count/stdout": "out of q.count"} {
		content, err := os.ReadFile("res/" + path)
		require.NoError(t, err)
		require.Equal(t, want, string(content))
	}
	require.Equal(t, ran{0, "q\n", ""}, s.run("plan", "run", "plans/quake.yaml", "--id", "q", "--detach"))
	s.stdin = "jobs: {a: {command: x}}"
	require.JSONEq(t, `{"plan":"z","jobs":[{"name":"a","id":"z.a","run":1,"state":"succeeded","executor":"b","exit_code":0,"finished_at":"2026-01-31T15:04:03.000Z"}]}`,
		s.run("plan", "run", "-", "--id", "z", "--to", "res", "-o", "json").out)
	s.stdin = "jobs: {a: {command: x, name: few}, b: {command: x, name: few}}"
	require.Contains(t, s.run("plan", "run", "-", "--id", "w", "--detach").errOut, "ucp: jobs of plan w are saved on 1 broker only (3 wanted): lost if that disk is lost\n", "it says it of the one that fewest hold")
}

// All that is wrong is told at once, and nothing is sent.
func TestPlanIsChecked(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, twoFiles)
	require.Equal(t, ran{0, "plans/quake.yaml is right: 2 jobs, 3 files\n", ""}, s.run("plan", "check", "plans/quake.yaml"))
	require.NoError(t, os.WriteFile("bad.yaml", []byte(`jobs:
  a: {module: none.wasm, after: [b]}
  b: {module: plans/today.csv, after: [a], inputs: {x: plans, y/: m.wasm, z: "job:c/stdout"}}
`), 0o600))
	want := `ucp: bad.yaml has 6 mistakes:
bad.yaml:2: job a: jobs wait for one another: a waits for b waits for a
bad.yaml:2: job a: module: there is no file none.wasm
bad.yaml:3: job b: inputs["z"]: the plan has no job "c"
bad.yaml:3: job b: module: plans/today.csv: it is not a WebAssembly module: its first bytes are "1,2", not "\x00asm"; build for wasip1 (GOOS=wasip1, wasm32-wasip1 or the like); a native program is named by command
bad.yaml:3: job b: inputs["x"]: plans is a directory, where a file is wanted; an input that is a directory has a slash at the end of its path in the job
bad.yaml:3: job b: inputs["y/"]: m.wasm is no directory; a file has a path without a slash at its end
`
	require.Equal(t, ran{exitError, "", want}, s.run("plan", "run", "bad.yaml"))
	require.Equal(t, ran{exitError, "", want}, s.run("plan", "check", "bad.yaml"))
	require.Equal(t, ran{exitError, "", want}, s.run("plan", "show", "bad.yaml"))
	got := s.run("plan", "check", "bad.yaml", "-o", "json")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.out, `"error": "inputs[\"z\"]: the plan has no job \"c\""`)
	require.Empty(t, b.requests)
	for args, says := range map[string]string{
		"plan run none.yaml":              "ucp: the plan: open none.yaml: no such file",
		"plan run plans":                  "ucp: the plan: read plans: is a directory",
		"plan run bad.yaml --id a.b":      `ucp: --id: "a.b" is no ID of a plan`,
		"plan run bad.yaml --retry":       "ucp: --retry is of a plan that has run: name it with --id",
		"plan get a.b":                    `"a.b" is no ID of a plan`,
		"plan get":                        "ucp: `ucp plan get` needs the ID of a plan",
		"plan get none":                   "ucp: the broker that was asked knows of no plan none; `ucp plan list` shows those that it knows\n",
		"plan show plans/quake.yaml -o x": `ucp: -o "x": want one of tree, dot, mermaid, json`,
	} {
		got := s.run(strings.Fields(args)...)
		require.Equal(t, exitError, got.code, args)
		require.Contains(t, got.errOut, says)
	}
}

// Where a broker refuses a job nothing of the plan stays.
func TestPlanIsTakenWholeOrNot(t *testing.T) {
	b, s := newFakeBroker(t)
	b.execute = func(id string, _ job.Spec) api.Job { j := succeeded(id); j.State = job.StatePending; return j }
	inFolder(t, map[string]string{"p.yaml": "jobs: {a: {command: x}, b: {command: x, name: refused}}"})
	got := s.run("plan", "run", "p.yaml", "--id", "p")
	require.Equal(t, ran{exitError, "", "ucp: 1 of 2 jobs of plan p were refused, and the 1 job that was taken before are cancelled:\n  p.b: not that name\n"}, got)
	require.Equal(t, job.StateCancelled, b.jobs["p.a"].State)
}

// The verbs go by the latest run of each job, and say what the broker does not know.
func TestPlanVerbs(t *testing.T) {
	b, s := newFakeBroker(t)
	b.knows("p.a", job.StateFailed, 3)
	b.knows("p.a.r2", job.StateSucceeded, 3)
	b.knows("p.b", job.StateRunning, 3, "p.a").Why = "it runs"
	lacks := "ucp: plan p: the broker that was asked knows 2 of its 3 jobs\n"
	require.Equal(t, ran{0, "JOB  STATE      AT  ID      NOTE\na    succeeded  b   p.a.r2\nb    running    b   p.b     it runs\n", lacks}, s.run("plan", "get", "p"))
	require.Equal(t, ran{0, "a: succeeded\n└─ b: running\n", lacks}, s.run("plan", "show", "p"))
	require.Equal(t, ran{0, "PLAN  JOBS\np     2 jobs: 1 running, 1 succeeded\n", ""}, s.run("plan", "list"))
	got := s.run("plan", "wait", "p", "--timeout", "1ms")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "ucp: waiting for all jobs of plan p: they have not all come to the broker that was asked after 1ms\n")
	b.knows("p.c", job.StatePending, 3, "p.b")
	got = s.run("plan", "cancel", "p")
	require.Equal(t, ran{0, "p.b  cancelled\np.c  cancelled\n", ""}, got)
	require.Contains(t, s.run("plan", "cancel", "p").errOut, "all jobs of plan p have ended")
	got = s.run("plan", "wait", "p")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "2 of 3 jobs of plan p have not succeeded:\n  b cancelled\n  c cancelled\n  run them once more with `ucp plan retry p`\n")
	require.Contains(t, s.run("plan", "result", "p", "nothing").errOut, `knows of no job "nothing" of plan p`)

	got = s.run("plan", "retry", "p", "--detach")
	require.Equal(t, ran{0, "p\n", ""}, got)
	require.Equal(t, []job.ID{"p.a.r2"}, b.jobs["p.b.r2"].Spec.After)
	require.Equal(t, []job.ID{"p.b.r2"}, b.jobs["p.c.r2"].Spec.After)
	require.Equal(t, "2", b.jobs["p.c.r2"].Spec.Labels["plan-run"])
	require.Contains(t, s.run("plan", "retry", "p").errOut, "nothing of plan p has failed")
	require.Equal(t, ran{0, "a  succeeded\nb  succeeded\nc  succeeded\n", ""}, s.run("plan", "wait", "p"))
}

// What REC's jobs leave is handed over as REC does: an archive of results, files in the place of stdout and stderr, a directory as a zip.
func TestPlanOfREC(t *testing.T) {
	b, s := newFakeBroker(t)
	b.execute = func(id string, spec job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "stdout", "out")
		b.leaves(&j, "outputs/out.txt", "result of "+id)
		return j
	}
	text, err := os.ReadFile("../../plan/testdata/rec/execution_plan_twice.toml")
	require.NoError(t, err)
	inFolder(t, map[string]string{"wasi-smoke.wasm": emptyModule, "plans/twice.toml": strings.ReplaceAll(string(text), `"/output"]`, `"/output/stdout.log", "/output"]`),
		"plans/data/infile.txt": "i", "plans/data/data.bin": "d", "plans/data/stdin_input.txt": "s"})
	got := s.run("plan", "run", "plans/twice.toml", "--id", "q", "--to", "res")
	require.Equal(t, ran{0, "job-1  succeeded\njob-2  succeeded\n", "ucp: plan q: 2 jobs are submitted\n"}, got)
	require.Equal(t, map[string]string{"out.txt": "result of q.job-1", "output/stdout.log": "out", "output/stderr.log": ""}, unzipped(t, "res/job-1_result.zip"))
	require.Equal(t, map[string]string{"output/stdout.log": "out", "output/stderr.log": ""}, unzipped(t, "res/output_archive_2"))
	content, err := os.ReadFile("res/wasm_output_file")
	require.NoError(t, err)
	require.Equal(t, "result of q.job-1", string(content))
	got = s.run("plan", "result", "q", "job-2", "--to", "again")
	require.Equal(t, ran{0, "again/job-2_result.zip\nagain/output_archive_2\nagain/wasm_output_file_2\n", ""}, got)
}

func unzipped(t *testing.T, path string) map[string]string {
	z, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer z.Close()
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		out[f.Name] = string(b)
	}
	return out
}

// A large plan is as many batches as it takes.
func TestPlanOfManyJobs(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"p.yaml": "jobs: {a: {command: echo, args: ['{}'], array: 0-1000}}"})
	require.Equal(t, ran{0, "p\n", ""}, s.run("plan", "run", "p.yaml", "--id", "p", "--detach"))
	require.Len(t, b.jobs, 1001)
	require.Equal(t, 2, b.count("POST /v1/jobs:batch"))
	require.Equal(t, fmt.Sprint([]string{"7"}), fmt.Sprint(b.jobs["p.a.7"].Spec.Args))
}

// A plan that was not taken whole is completed from its file, with what has failed.
func TestPlanIsCompleted(t *testing.T) {
	b, s := newFakeBroker(t)
	b.knows("p.a", job.StateFailed, 3)
	b.knows("p.c", job.StateSucceeded, 3)
	inFolder(t, map[string]string{"p.yaml": "jobs: {a: {command: x}, b: {command: x, after: [a, c]}, c: {command: x}}"})
	got := s.run("plan", "run", "p.yaml", "--id", "p", "--retry", "--to", "res")
	require.Equal(t, ran{0, "a  succeeded\nb  succeeded\n", "ucp: plan p: the broker that was asked knows 2 of its 3 jobs\nucp: plan p: 2 jobs are submitted\n"}, got)
	require.Equal(t, []job.ID{"p.a.r2", "p.c"}, b.jobs["p.b"].Spec.After)
}
