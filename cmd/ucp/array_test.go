package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// Many jobs are one submission; their outputs come in the order of their indices, and who failed is named.
func TestRunArray(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "in-4.csv": "four", "in-5.csv": "five", "in-6.csv": "six"})
	specs := map[string]job.Spec{}
	b.execute = func(id string, spec job.Spec) api.Job {
		specs[id] = spec
		j := succeeded(id)
		if id == "t.5" {
			three := 3
			j = ended(id, job.StateFailed, &three, "exit code 3")
		}
		b.leaves(&j, "stdout", "out of "+id+"\n")
		b.leaves(&j, "outputs/r", "x")
		return j
	}
	got := s.run("run", "m.wasm", "--array", "4-6", "--id", "t", "--input", "in.csv=in-{}.csv", "--env", "N={index}", "--label", "half={}a",
		"--output", "r", "--to", "res", "--", "-i", "{}", "{{}}", "{{index}}")
	require.Equal(t, ran{exitError, "out of t.4\nout of t.5\nout of t.6\n", "ucp: 1 of 3 jobs have not succeeded:\n  t.5 failed: exit code 3\n"}, got)
	require.Equal(t, 1, b.count("POST /v1/jobs:batch"))
	require.Equal(t, 4, b.count("PUT /v1/blobs/"), "the module once, and each input")
	five := specs["t.5"]
	require.Equal(t, []string{"-i", "5", "{}", "{index}"}, five.Args)
	require.Equal(t, map[string]string{"N": "5"}, five.Env)
	require.Equal(t, map[string]string{"half": "5a", "array": "t", "array-indices": "4-6"}, five.Labels)
	require.Equal(t, map[string]string{"in.csv": digestOf("five")}, five.Inputs)
	for _, id := range []string{"t.4", "t.5", "t.6"} {
		content, err := os.ReadFile("res/" + id + "/r")
		require.NoError(t, err)
		require.Equal(t, "x", string(content))
	}

	require.Equal(t, ran{0, "d\n", ""}, s.run("run", "m.wasm", "--array", "1-2", "--id", "d", "--detach"))
	got = s.run("run", "m.wasm", "--array", "1-3", "--id", "f", "--detach", "--name", "few", "--emergency", "flood")
	require.Equal(t, ran{0, "f\n", `
ucp: job f.1: no emergency of the type flood is known here
ucp: 1 of 3 jobs are saved on 1 broker only (3 wanted): lost if that disk is lost
ucp: 2 of 3 jobs are saved on 2 brokers only (3 wanted): lost if all their disks are lost
`[1:]}, got, "what is the same of many is said once")
	require.JSONEq(t, `{"array":"e","submitted":2}`, s.run("run", "m.wasm", "--array", "1-2", "--id", "e", "--detach", "-o", "json").out)
	var doc struct {
		Array string
		Jobs  []api.Job
	}
	require.NoError(t, json.Unmarshal([]byte(s.run("run", "m.wasm", "--array", "1-2", "--id", "g", "-o", "json").out), &doc), "one document")
	require.Equal(t, "g", doc.Array)
	require.Len(t, doc.Jobs, 2)
	require.EqualValues(t, "g.2", doc.Jobs[1].ID)
}

// Each line of a file is a job.
func TestRunEach(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "lines": "\ufeffa b\r\n\n{}\n", "none": ""})
	args := map[string][]string{}
	b.execute = func(id string, spec job.Spec) api.Job { args[id] = spec.Args; return succeeded(id) }
	require.Equal(t, ran{0, "", ""}, s.run("run", "m.wasm", "--each", "lines", "--id", "e", "--", "{index}: {}"))
	require.Equal(t, map[string][]string{"e.0": {"0: a b"}, "e.1": {"1: "}, "e.2": {"2: {}"}}, args)
	s.stdin = "x\ny"
	require.Equal(t, ran{0, "", ""}, s.run("run", "m.wasm", "--each", "-", "--id", "f", "--name", "{}"))
	require.Equal(t, "y", b.jobs["f.1"].Spec.Name)
}

// What is wrong is said before anything is submitted; a broker that refuses some of the jobs is quoted.
func TestRunArrayIsChecked(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "lines": "a\nb\n", "none": ""})
	for _, c := range []struct{ args, says string }{
		{"--array 3-1", "write indices such as"},
		{"--array 1,1", "write indices such as"},
		{"--array 0-100000", "write indices such as"},
		{"--array -1", "write indices such as"},
		{"--array x", "write indices such as"},
		{"--array 1 --each lines", "say one of them"},
		{"--each none", "has no lines"},
		{"--each missing", "no such file"},
		{"--each lines", "write {} there"},
		{"--each lines --env A={{}}", "write {} there"},
		{"--array 1-2 --id " + strings.Repeat("x", 63), "at most 64"},
		{"--array 1-2 --dry-run", "--dry-run is of one job"},
		{"--array 1-2 --place-timeout 1s", "--place-timeout is of one job"},
		{"--array 1-2 --label array=x", "choose that with --id"},
		{"--array 1-2 --deadline soon", "index 1: --deadline"},
		{"--array 1-2 --input a=in-{}.csv", "no job was submitted"},
	} {
		got := s.run(append([]string{"run", "m.wasm"}, strings.Fields(c.args)...)...)
		require.Equal(t, exitError, got.code, c.args)
		require.Contains(t, got.errOut, c.says, c.args)
	}
	require.Zero(t, b.count("POST "))

	got := s.run("run", "m.wasm", "--each", "lines", "--id", "r", "--name", "refused", "--env", "A={}")
	require.Equal(t, ran{exitError, "", "ucp: 2 of 2 jobs of array r were not taken:\n  r.0: not that name\n  r.1: not that name\n"}, got)
}

// An array that is larger than a request goes in several, of which none is too large.
func TestBatchesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, job.MaxSpec), 1, 1500).Draw(t, "sizes")
		var jobs []api.BatchJob
		for i, n := range sizes {
			jobs = append(jobs, api.BatchJob{ID: job.ID(strconv.Itoa(i)), Spec: job.Spec{Command: strings.Repeat("x", n)}})
		}
		batches, err := inBatches(jobs, arrayBatch)
		require.NoError(t, err)
		at := 0
		for _, b := range batches {
			require.NotEmpty(t, b)
			require.LessOrEqual(t, len(b), api.MaxBatch)
			size := 0
			for i := range b {
				require.Equal(t, jobs[at].ID, b[i].ID)
				size += len(b[i].Spec.Command)
				at++
			}
			require.Less(t, size, api.MaxBatchBytes)
		}
		require.Equal(t, len(jobs), at)
	})
}

// Things are handed over in their order, so many at once are under way, and none is when it is over.
func TestPipelined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, width := rapid.IntRange(0, 50).Draw(t, "n"), rapid.IntRange(1, 8).Draw(t, "width")
		stop := rapid.IntRange(-1, 49).Draw(t, "stop")
		var under, most atomic.Int64
		get := func(ctx context.Context, i int) (int, error) {
			now := under.Add(1)
			defer under.Add(-1)
			if stop >= 0 && i > stop {
				<-ctx.Done()
				for range 100 {
					runtime.Gosched()
				}
			}
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			return i * i, fmt.Errorf("of %d", i)
		}
		next := 0
		enough := errors.New("enough")
		err := pipelined(t.Context(), n, width, get, func(i, v int, err error) error {
			require.Equal(t, next, i)
			require.Equal(t, i*i, v)
			require.EqualError(t, err, fmt.Sprintf("of %d", i))
			next++
			if i == stop {
				return enough
			}
			return nil
		})
		if stop >= 0 && stop < n {
			require.Equal(t, enough, err)
			require.Equal(t, stop+1, next)
		} else {
			require.NoError(t, err)
			require.Equal(t, n, next)
		}
		require.Zero(t, under.Load())
		require.LessOrEqual(t, most.Load(), int64(width))
	})
}

// With --after-each a job waits for the one with its index, beside those that all wait for.
func TestRunAfterEach(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule, "lines": "a\nb\n"})
	specs := map[string]job.Spec{}
	b.execute = func(id string, spec job.Spec) api.Job {
		specs[id] = spec
		return succeeded(id)
	}
	require.Zero(t, s.run("run", "m.wasm", "--array", "7-9", "--id", "t", "--after", "first", "--after-each", "tiles", "--after-each", "dems", "--after-any-end").code)
	require.Equal(t, []job.ID{"first", "tiles.8", "dems.8"}, specs["t.8"].After)
	require.Equal(t, []job.ID{"first", "tiles.9", "dems.9"}, specs["t.9"].After)
	require.Equal(t, job.AfterEnd, specs["t.9"].AfterPolicy)
	require.Zero(t, s.run("run", "m.wasm", "--each", "lines", "--id", "l", "--after-each", "t", "--", "{}").code)
	require.Equal(t, []job.ID{"t.1"}, specs["l.1"].After)
	require.Equal(t, "ucp: --after-each is of many jobs, with --array or --each: of one job, say --after\n", s.run("run", "m.wasm", "--after-each", "t").errOut)
}

// With --after a job waits for a job, or for all of an array, whose indices any of its jobs says.
func TestRunAfterAnArray(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	specs := map[string]job.Spec{}
	b.execute = func(id string, spec job.Spec) api.Job {
		specs[id] = spec
		return api.Job{ID: job.ID(id), State: job.StateSucceeded, Spec: &spec}
	}
	require.Zero(t, s.run("run", "m.wasm", "--array", "0-4,7", "--id", "tiles", "--detach").code)
	require.Equal(t, "0-4,7", specs["tiles.3"].Labels["array-indices"])
	require.Zero(t, s.run("run", "m.wasm", "--id", "one", "--detach").code)
	for _, c := range []struct {
		after []string
		want  []job.ID
	}{
		{[]string{"tiles"}, []job.ID{"tiles[0-4,7]"}},
		{[]string{"one", "tiles"}, []job.ID{"one", "tiles[0-4,7]"}},
		{[]string{"tiles[0-9]", "nothing", "tiles.3"}, []job.ID{"tiles[0-9]", "nothing", "tiles.3"}},
	} {
		args := []string{"run", "m.wasm", "--id", "join", "--detach"}
		for _, id := range c.after {
			args = append(args, "--after", id)
		}
		require.Zero(t, s.run(args...).code)
		require.Equal(t, c.want, specs["join"].After)
	}
	require.Zero(t, s.run("run", "m.wasm", "--array", "1-2", "--id", "next", "--after", "tiles", "--after", "x.{index}", "--detach").code)
	require.Equal(t, []job.ID{"tiles[0-4,7]", "x.2"}, specs["next.2"].After)

	require.Zero(t, s.run("run", "m.wasm", "--id", "tiles", "--detach").code)
	require.Equal(t, "ucp: --after tiles: it is a job and an array; write the array as tiles[0-4,7]\n", s.run("run", "m.wasm", "--after", "tiles", "--detach").errOut)
	require.Zero(t, s.run("run", "m.wasm", "--id", "old.1", "--label", "array=old", "--detach").code)
	require.Contains(t, s.run("run", "m.wasm", "--after", "old", "--detach").errOut, "as in --after 'old[0-999]'")
}

func TestAfterText(t *testing.T) {
	require.Empty(t, afterText(&job.Spec{AfterPolicy: job.AfterEnd}))
	require.Equal(t, "a, tiles[0-9]", afterText(&job.Spec{After: []job.ID{"a", "tiles[0-9]"}}))
	require.Equal(t, "a, tiles[0-9] (any end)", afterText(&job.Spec{After: []job.ID{"a", "tiles[0-9]"}, AfterPolicy: job.AfterEnd}))
}
