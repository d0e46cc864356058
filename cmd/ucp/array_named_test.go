package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// The ID of an array stands for all its jobs: what they wrote comes in the order of their indices, and who has not ended yet is counted.
func TestArraysAreNamed(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "stdout", "out of "+id+"\n")
		b.leaves(&j, "stderr", "errors of "+id+"\n")
		return j
	}
	require.Zero(t, s.run("run", "m.wasm", "--array", "8-11", "--id", "t").code)
	require.Equal(t, ran{0, "out of t.8\nout of t.9\nout of t.10\nout of t.11\n", "errors of t.8\nerrors of t.9\nerrors of t.10\nerrors of t.11\n"}, s.run("job", "logs", "t"))
	require.Equal(t, ran{0, "out of t.8\nout of t.9\nout of t.10\nout of t.11\n", ""}, s.run("job", "logs", "t", "--stdout"))
	require.Equal(t, ran{0, "out of t.9\n", ""}, s.run("job", "logs", "t.9", "--stdout"), "one of its jobs is not the array")
	require.Zero(t, s.run("job", "wait", "t").code)
	require.Zero(t, s.run("job", "result", "t", "--to", "res").code)
	for _, id := range []string{"t.8", "t.11"} {
		content, err := os.ReadFile("res/" + id + "/stdout")
		require.NoError(t, err)
		require.Equal(t, "out of "+id+"\n", string(content))
	}
	for _, args := range [][]string{{"logs", "t", "-f"}, {"logs", "t", "-o", "json"}, {"logs", "t", "--tail", "3"}} {
		got := s.run(append([]string{"job"}, args...)...)
		require.Equal(t, exitError, got.code, args)
		require.Contains(t, got.errOut, "t is an array")
	}

	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		if b.leaves(&j, "stdout", "out of "+id+"\n"); id == "u.2" {
			j = api.Job{ID: "u.2", State: job.StateRunning}
		}
		return j
	}
	require.Zero(t, s.run("run", "m.wasm", "--array", "1-3", "--id", "u", "--detach").code)
	const some = "1 of 3 jobs of array u have not ended, and are not in this; wait for them with `ucp job wait u`"
	require.Equal(t, ran{exitError, "out of u.1\nout of u.3\n", "ucp: " + some + "\n"}, s.run("job", "logs", "u"))
	got := s.run("job", "result", "u", "--to", "res")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, some)
	got = s.run("job", "logs", "v")
	require.Equal(t, exitError, got.code)
	require.NotContains(t, got.errOut, "array")
}

// What lies there is not fetched again: a file that is whole, and of one that broke off what has come, if it is the beginning of the same.
func TestResultsAreResumed(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, map[string]string{"m.wasm": emptyModule})
	content := strings.Repeat("what the job has written, at some length\n", 1000)
	b.execute = func(id string, _ job.Spec) api.Job {
		j := succeeded(id)
		b.leaves(&j, "outputs/r", content)
		return j
	}
	require.Zero(t, s.run("run", "m.wasm", "--id", "t", "--detach", "--output", "r").code)
	sent := func() int64 { n := b.sent.Load(); b.sent.Store(0); return n }
	fetch := func() {
		t.Helper()
		got := s.run("job", "result", "t", "--to", "res")
		require.Zero(t, got.code, got.errOut)
		have, err := os.ReadFile("res/r")
		require.NoError(t, err)
		require.Equal(t, content, string(have))
	}
	fetch()
	require.EqualValues(t, len(content), sent())
	fetch()
	require.Zero(t, sent(), "it is there")

	part := "res/" + partName("r\x000", job.Digest(digestOf(content)))
	require.NoError(t, os.Remove("res/r"))
	require.NoError(t, os.WriteFile(part, []byte(content[:30_000]), 0o600))
	fetch()
	require.NoFileExists(t, part)

	require.NoError(t, os.WriteFile("res/r", []byte("another"), 0o600))
	require.NoError(t, os.WriteFile(part, []byte("not the beginning of it"), 0o600))
	got := s.run("job", "result", "t", "--to", "res")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "the content is not what the job wrote")
	require.NoFileExists(t, part, "the next one begins at the beginning")
	fetch()

	require.NoError(t, os.Remove("res/r"))
	b.breaks.Store(20_000)
	got = s.run("job", "result", "t", "--to", "res")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "that have come are kept")
	b.breaks.Store(0)
	sent()
	fetch()
	require.Less(t, sent(), int64(len(content)-10_000), "what had come was not sent again")
}
