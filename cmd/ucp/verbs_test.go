package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func TestMembers(t *testing.T) {
	b, s := newFakeBroker(t)
	require.Equal(t, ran{0, "no members\n", ""}, s.run("members"))
	b.members.Members = []api.Member{
		{Name: "a", Addr: "10.0.0.1:7946", HTTPAddr: "10.0.0.1:8000", Status: "alive", Actor: "a~1", Self: true, Emergency: "high", Emergencies: []string{"flood-1"}},
		{Name: "bridge", Addr: "10.0.0.2:7946", HTTPAddr: "10.0.0.2:8000", Status: "failed", Actor: "bridge~2", RTT: clock.Duration(1234 * time.Microsecond)},
		{Name: "laptop", Addr: "10.0.0.3:7946", Status: "alive", Emergency: "low", Emergencies: []string{"old"}, Unheard: []string{"old"}},
		{Name: "odd", Addr: "10.0.0.4:7946", Status: "alive", Unset: true, Unproven: true, Breaches: 1},
		{Name: "slow", Addr: "10.0.0.5:7946", Status: "alive", ClockOff: clock.Duration(-90 * time.Minute), Breaches: 3},
		{Name: "stolen", Addr: "10.0.0.6:7946", Status: "alive", Revoked: true, Roll: "removed", Health: "was revoked, and belongs to the city no more"},
	}
	require.Equal(t, ran{0, `
NAME    STATUS                                         ROLL     EMERGENCY                                GOSSIP         HTTP           RTT
a *     alive                                          -        high: flood-1                            10.0.0.1:7946  10.0.0.1:8000  -
bridge  failed                                         -        -                                        10.0.0.2:7946  10.0.0.2:8000  1.2ms
laptop  alive                                          -        low: old (as it said last; not so here)  10.0.0.3:7946  -              -
odd     alive, clock NOT SET, not proven, BREACHES: 1  -        -                                        10.0.0.4:7946  -              -
slow    alive, clock 1h30m BEHIND, BREACHES: 3         -        -                                        10.0.0.5:7946  -              -
stolen  revoked                                        removed  -                                        10.0.0.6:7946  -              -
`[1:], ""}, s.run("members"))
	got := s.run("members", "-o", "json")
	require.Contains(t, got.out, "{\n  \"members\": [\n    {\n      \"name\": \"a\",\n")
}

func TestStatus(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status = api.Coordination{
		CoordinatorRunning: true, Name: "a", Actor: "a~1", Software: "v1", Uptime: clock.Duration(76 * time.Hour), Strategy: "fcfs",
		SyncInterval: clock.Duration(time.Minute), SyncStretch: 1, Replicas: 3, Capacity: job.Resources{CPU: 4000, Memory: 8 << 30}, AsOf: asOf,
	}
	require.Equal(t, ran{0, `
Broker:     a, up 3d4h
Actor:      a~1
Software:   v1
Peers:      none; this broker is alone
Last sync:  none yet (every 1m0s)
Clock:      {}
Jobs:       it owns none unfinished
CPU:        0 of 4 cores asked for (0 %)
Memory:     0 B of 8 GiB asked for (0 %)
Strategy:   fcfs
Replicas:   3
As of:      2026-01-31 15:04:05 UTC
`[1:], ""}, s.run("status", "--full"))

	last := asOf.Add(-12 * time.Second)
	b.status.TotalPeers, b.status.HealthyPeers, b.status.UnhealthyPeers = 2, 1, 1
	b.status.LastSyncTime, b.status.SyncStretch = &last, 1.5
	b.status.Clock = clock.NewVector(clock.Dot{Actor: "a~1", Counter: 7}, clock.Dot{Actor: "b~2", Counter: 3})
	b.status.Jobs = map[job.State]int{job.StateRunning: 2, job.StatePending: 1}
	b.status.Usage = job.Resources{CPU: 1000, Memory: 2 << 30}
	b.status.PeerBrokers = map[string]api.Peer{
		"b": {Host: "10.0.0.2", Port: 8000, Healthy: true, LastSeen: asOf.Add(-3 * time.Second).Unix(), Ahead: 2}, "c": {Host: "10.0.0.3", Port: 8000, Behind: 10, Failing: 3},
	}
	b.status.PeerBrokers["e"] = api.Peer{
		Host: "10.0.0.5", Port: 8000, Healthy: true, Unproven: true, ClockOff: clock.Duration(48 * time.Hour), Breaches: 2, LastBreach: "it holds too much (rule X1)",
	}
	b.status.Unproven, b.status.AwaitsProof = true, "not proven yet, until b has compared"
	b.status.DiskFull = true
	b.status.Here = &api.Here{Running: 3, Queued: 4}
	b.status.PeerBrokers["d"] = api.Peer{Host: "10.0.0.4", Port: 8000, Failing: 9, Refused: "protocol version 1"}
	b.status.Warnings = []string{"the vector clock has 2049 entries"}
	require.Equal(t, ran{0, `
Broker:     a, up 3d4h
Actor:      a~1
Software:   v1
Peers:      2, 1 UNHEALTHY
Last sync:  12s ago (every 1m0s, stretched 1.5-fold because the machine is busy)
Clock:      {a~1:7 b~2:3}
Jobs:       3 run here, 4 are queued here; it owns 1 pending, 2 running
CPU:        1 of 4 cores asked for (25 %)
Memory:     2 GiB of 8 GiB asked for (25 %)
Strategy:   fcfs
Replicas:   3
Disk:       FULL: new jobs are refused until space is free
Start:      not proven yet, until b has compared
WARNING:    the vector clock has 2049 entries
WARNING:    e says what it can't know, which is not believed; the last: it holds too much (rule X1)
As of:      2026-01-31 15:04:05 UTC

PEER  HEALTH                                                  HTTP           LAST SYNC  BEHIND BY  AHEAD BY
b     healthy                                                 10.0.0.2:8000  3s ago     0          2
c     UNHEALTHY, 3 unanswered                                 10.0.0.3:8000  never      10         0
d     UNHEALTHY, it refuses our messages: protocol version 1  10.0.0.4:8000  never      0          0
e     healthy, clock 2d0h AHEAD, not proven, BREACHES: 2      10.0.0.5:8000  never      0          0
`[1:], ""}, s.run("status", "--full"))
}

func TestLongClockIsCut(t *testing.T) {
	var v clock.Vector
	for c := 'a'; c <= 'z'; c++ {
		v.Set(clock.Dot{Actor: clock.Actor(c), Counter: 1})
	}
	require.Contains(t, clockLine(v), "l:1} and 14 more (-o json shows all)")
}

func threeJobs(b *fakeBroker) {
	three := 3
	for _, j := range []api.Job{succeeded("j1"), ended("j2", job.StateFailed, &three, "exit code 3"), ended("j3", job.StatePending, nil, "")} {
		b.jobs[string(j.ID)] = &j
	}
	b.jobs["j2"].Name = "pumps.wasm"
	b.jobs["j3"].Why, b.jobs["j3"].Executor, b.jobs["j3"].StartedAt = "no broker meets\tgpu", "", 0
}

// Of a job that went on after a pause it is not said that it has run since then only.
func TestTookAfterAPause(t *testing.T) {
	at := func(ago time.Duration) clock.Time { return clock.At(asOf.Add(-ago)) }
	j := api.Job{State: job.StateRunning, Executor: "b", StartedAt: at(5 * time.Second), Pauses: []api.Pause{{At: "b", Mode: job.Suspend, From: at(time.Minute), To: at(5 * time.Second)}}, AsOf: asOf}
	require.Equal(t, ">5s", took(&j, asOf))
	b, s := newFakeBroker(t)
	j.ID = "j1"
	b.jobs["j1"] = &j
	require.Contains(t, strings.Join(strings.Fields(s.run("job", "get", "j1").out), " "), "UTC, when it went on after a pause; it had begun before 15:03:05")
	for _, change := range []func(p *api.Pause){
		func(p *api.Pause) { p.At = "c" }, func(p *api.Pause) { p.Mode = job.Requeue }, func(p *api.Pause) { p.To = 0 }, func(p *api.Pause) { p.To = at(30 * time.Second) },
	} {
		other := j
		other.Pauses = []api.Pause{j.Pauses[0]}
		change(&other.Pauses[0])
		require.Equal(t, "5s", took(&other, asOf), "it was started then")
	}
}

func TestJobList(t *testing.T) {
	b, s := newFakeBroker(t)
	require.Equal(t, ran{0, "no jobs\n", ""}, s.run("job", "list"))
	require.Equal(t, ran{0, "no job matches\n", ""}, s.run("job", "list", "--state", "running"))
	require.JSONEq(t, `{"jobs":[],"next":"","as_of":"2026-01-31T15:04:05Z"}`, s.run("job", "list", "-o", "json").out)
	threeJobs(b)
	b.jobs["j2"].Short = "j2s"
	b.jobs["j3"].Silent, b.jobs["j3"].Executor, b.jobs["j3"].State = true, "b", job.StateRunning
	require.Equal(t, ran{0, `
ID   NAME        STATE      AT  AGE    TOOK  NOTE
j3   -           running?   b   1m30s  -     b does not answer; no broker meets gpu
j2s  pumps.wasm  failed     b   1m30s  2.5s  exit code 3
j1   -           succeeded  b   1m30s  2.5s
`[1:], ""}, s.run("job", "list"))
	require.Contains(t, s.run("job", "list", "--limit", "2").out, "... more: --all, or --after j2\n")
	got := s.run("job", "list", "--limit", "2", "--all").out
	require.Contains(t, got, "j1   -           succeeded")
	require.NotContains(t, got, "more")
	require.NotContains(t, s.run("job", "list", "--state", "failed,cancelled").out, "j1")
	require.Contains(t, s.run("job", "list", "--label", "a in 7").errOut, "--label: ")
	s.run("job", "list", "--state", "failed", "--label", "batch=7", "--label", "x", "--name", "pumps*", "--broker", "n1", "--emergency", "flood")
	require.Equal(t, "broker=n1&emergency=flood&label=batch%3D7&label=x&limit=50&name=pumps%2A&state=failed", b.queries[len(b.queries)-1])
}

// On a screen no line is longer than that: what does not fit stands below its job.
func TestJobListFitsTheScreen(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	b.jobs["j3"].Why = strings.Repeat("none of 3 live brokers can run it; ", 4)
	s.columns = 60
	require.Equal(t, ran{0, `
ID  NAME        STATE      AT  AGE    TOOK  NOTE
j3  -           pending    -   1m30s  -
    none of 3 live brokers can run it; none of 3 live
    brokers can run it; none of 3 live brokers can run it;
    none of 3 live brokers can run it;
j2  pumps.wasm  failed     b   1m30s  2.5s  exit code 3
j1  -           succeeded  b   1m30s  2.5s
`[1:], ""}, s.run("job", "list"))
}

// Jobs are named by their IDs, or chosen by what they are; never by nothing, and never by an empty ID.
func TestVerbsTakeSelections(t *testing.T) {
	b, s := newFakeBroker(t)
	inFolder(t, nil)
	for _, verb := range []string{"wait", "cancel", "result"} {
		require.Contains(t, s.run("job", verb).errOut, "needs a job ID, or a choice such as --label k=v;", verb)
		require.Equal(t, "ucp: `ucp job "+verb+"` needs a job ID, and what is given is empty; see `ucp job "+verb+" --help`\n", s.run("job", verb, "").errOut)
		require.Contains(t, s.run("job", verb, "x", "--name", "y").errOut, "give one or the other", verb)
		require.Equal(t, ran{exitError, "", "ucp: no job matches; nothing is done\n"}, s.run("job", verb, "--name", "y"))
	}
	for _, verb := range []string{"get", "logs"} {
		require.Contains(t, s.run("job", verb, "").errOut, "what is given is empty", verb)
	}
	threeJobs(b)
	require.Equal(t, ran{exitError, "j3  cancelled\n", "ucp: 1 of 2 jobs are not cancelled; the first: job j1: job j1 has already ended: succeeded\n"}, s.run("job", "cancel", "j3", "j1"))
	b.jobs["j3"].State = job.StateQueued
	require.Equal(t, ran{0, "j3  cancelled\n", ""}, s.run("job", "cancel", "--state", "queued,pending"))
	b.jobs["j3"].State = job.StateStarting
	require.Equal(t, ran{0, "j3  cancelled\n", ""}, s.run("job", "cancel", "--state", "running"), "one that starts is not left behind")
	require.Equal(t, ran{exitError, "", "ucp: all jobs that match have ended; nothing is done\n"}, s.run("job", "cancel", "--name", "pumps.wasm"))
	b.jobs["j3"].State, b.jobs["j3"].Name = job.StateQueued, "slow.wasm"
	require.Equal(t, ran{exitError, "", "ucp: no job that matches has ended yet; nothing is done\n"}, s.run("job", "result", "--name", "slow.wasm"))
	b.jobs["j3"].State = job.StateCancelled
	require.Equal(t, ran{exitError, "j1  succeeded\nj2  failed\n", "ucp: 1 of 2 jobs have not succeeded\n"}, s.run("job", "wait", "j1", "j2"))
	for _, verb := range [][]string{{"wait", "j1", "j2"}, {"get", "j1", "j2"}, {"wait", "--name", "pumps.wasm"}, {"result", "j1", "j2", "--to", t.TempDir()}, {"cancel", "--label", "a=b"}, {"list"}} {
		got := s.run(append(append([]string{"job"}, verb...), "-o", "json")...)
		if got.out == "" {
			continue // nothing matches
		}
		var doc struct{ Jobs []struct{ ID string } }
		require.NoError(t, json.Unmarshal([]byte(got.out), &doc), "%v is one document:\n%s", verb, got.out)
		require.NotEmpty(t, doc.Jobs, "%v", verb)
		require.NotEmpty(t, doc.Jobs[0].ID, "%v", verb)
	}
	require.Regexp(t, `(?s)^ID: +j1\n.*\n\nID: +j2\n`, s.run("job", "get", "j1", "j2").out)
	require.Equal(t, ran{exitError, "j2  failed\n", "ucp: 1 of 1 jobs have not succeeded\n"}, s.run("job", "wait", "--name", "pumps.wasm"))
	b.leaves(b.jobs["j1"], "stdout", "log")
	require.Equal(t, ran{0, "j1/stdout\n", ""}, s.run("job", "result", "--state", "succeeded", "--to", "x"))
	requireFile(t, "x/j1/stdout", "log")
}

// Where the output is, is said with those that may have it and do not answer; that it is lost only when all have answered.
func TestCopiesLine(t *testing.T) {
	for want, c := range map[string]api.Copies{
		"3, 2 are wanted (n1, n2, n3)":                                 {Want: 2, Holders: []string{"n1", "n2", "n3"}},
		"2 of 3 (n1, n3)":                                              {Want: 3, Holders: []string{"n1", "n3"}},
		"1 of 1 (n1); given up: n2, n3":                                {Want: 1, Holders: []string{"n1"}, GivenUp: []string{"n2", "n3"}},
		"0 of 1: the output is out of reach, or LOST; given up: n2":    {Want: 1, GivenUp: []string{"n2"}},
		"1 of 3 (n1); no answer of n2, n3":                             {Want: 3, Holders: []string{"n1"}, Silent: []string{"n2", "n3"}},
		"0 of 2: the output is LOST":                                   {Want: 2},
		"0 of 2: the output is out of reach, or LOST; no answer of n2": {Want: 2, Silent: []string{"n2"}},
	} {
		require.Equal(t, want, copiesLine(&c))
	}
	b, s := newFakeBroker(t)
	threeJobs(b)
	require.NotContains(t, s.run("job", "get", "j1").out, "Copies:")
	b.jobs["j1"].Copies = &api.Copies{Want: 3, Holders: []string{"n1"}}
	require.Regexp(t, "Copies: +1 of 3 \\(n1\\)\n", s.run("job", "get", "j1").out)
}

func TestJobListTellsOfEmergencies(t *testing.T) {
	pause := api.Pause{At: "b", For: "pumps", Mode: job.Suspend, From: clock.At(asOf)}
	over := pause
	over.To = clock.At(asOf)
	for want, change := range map[string]func(j *api.Job){
		"":                              func(j *api.Job) { j.Pauses = []api.Pause{over} },
		"makes room for pumps":          func(j *api.Job) { j.Pauses = []api.Pause{over, pause} },
		"needs 1":                       func(j *api.Job) { j.Pauses, j.Why = []api.Pause{pause}, "needs 1" },
		"has the level of flood-1":      func(j *api.Job) { j.Emergency = "flood-1" },
		"it belongs to flood-1; why":    func(j *api.Job) { j.NoLevel, j.Why = "it belongs to flood-1", "why" },
		"has the level of flood-1; why": func(j *api.Job) { j.Emergency, j.Why = "flood-1", "why" },
		"it was": func(j *api.Job) {
			j.State, j.Reason, j.Emergency, j.Pauses = job.StateFailed, "it was", "flood-1", []api.Pause{pause}
		},
	} {
		j := ended("j1", job.StateSuspended, nil, "")
		change(&j)
		require.Equal(t, want, noteOf(&j))
	}
}

func TestJobGet(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	b.jobs["j2"].Provisional, b.jobs["j2"].KnownBy = true, 2
	b.jobs["j2"].ProvisionalUntil = "until c has been heard, or `ucp cluster forget c`"
	b.jobs["j2"].Accepted = &api.Accepted{Executor: "b", Attempt: "1.3.x.a"}
	b.jobs["j2"].Superseded = []api.Verdict{{By: "c", Outcome: "succeeded", At: clock.At(asOf), Result: &api.Accepted{Attempt: "1.2.x.a"}}}
	b.jobs["j2"].Rejected = []api.Accepted{{Outcome: "succeeded", Attempt: "1.2.x.a", Executor: "c", At: clock.At(asOf)}}
	b.jobs["j2"].Spec = &job.Spec{Module: "m0", Args: []string{"a b"}, Inputs: map[string]string{"x": "d", "a": "d"}, Resources: job.Resources{CPU: 100, Memory: 64 << 20, Devices: map[string]int64{"gps": 2, "camera": 1}}, Exclusive: "crane"}
	at := func(d time.Duration) clock.Time { return clock.At(asOf.Add(d)) }
	b.jobs["j2"].Attempts = []api.Attempt{
		{Executor: "c", Attempt: "1.1.x.a", State: job.AttemptReturned, EndedAt: at(-time.Minute), Reason: "no space", Began: true},
		{Executor: "d", Attempt: "1.2.x.a", State: job.AttemptLost, StartedAt: at(-50 * time.Hour)},
		{Attempt: "1.3.x.a", State: job.AttemptEarlier},
		{Executor: "b", Attempt: "1.3.x.a", State: job.AttemptFailed, StartedAt: at(-4500 * time.Millisecond), EndedAt: at(-2 * time.Second), Reason: "exit code 3"},
	}
	b.leaves(b.jobs["j2"], "outputs/r.json", "12345")
	require.Equal(t, ran{0, `
ID:         j2
State:      failed (provisional: it may still change, until c has been heard, or `[1:] + "`ucp cluster forget c`" + `)
Reason:     exit code 3
Exit code:  3
Origin:     a
Owner:      a
Executor:   b
Attempt:    1 (retry 0)
Attempts:   at c: returned, 15:03:05: no space; it may have run (1.1.x.a)
Attempts:   at d: lost, started 2026-01-29 13:04 (1.2.x.a)
Attempts:   an earlier one, of which no more is known (1.3.x.a)
Attempts:   at b: failed, 15:04:00 to 15:04:03: exit code 3 (1.3.x.a)
Submitted:  2026-01-31 15:02:35.000 UTC
Started:    2026-01-31 15:04:00.500 UTC
Finished:   2026-01-31 15:04:03.000 UTC
Took:       2.5s
Runs:       module m0
Args:       ["a b"]
Inputs:     a, x
Asks for:   0.1 cores, 64 MiB memory, 1 GiB disk
Devices:    camera=1, gps=2
Exclusive:  crane
Output:     r.json (5 B)
Ran twice:  c succeeded at 15:04:05, too; b's result came first and counts (its output: attempt 1.2.x.a)
Known by:   2 of 3 brokers, as of 15:04:05 UTC
`, ""}, s.run("job", "get", "j2"))
	b.jobs["j2"].Accepted, b.jobs["j2"].Rejected, b.jobs["j2"].State = nil, nil, job.StateCancelled
	require.Contains(t, s.run("job", "get", "j2").out, "Ended twice:  c ended it at 15:04:05, too (succeeded); the job had ended before: cancelled\n")
	require.Contains(t, s.run("job", "get", "j3").out, "State:      pending\nWhy:        no broker meets gpu\n")
}

// Who sets the strategy of one broker is told which others decide otherwise.
func TestStrategySetSaysWhoDiffers(t *testing.T) {
	b, s := newFakeBroker(t)
	require.Equal(t, ran{0, "fcfs\n", ""}, s.run("strategy", "set", "fcfs"), "it is alone")
	b.others = map[string][]string{"causal": {"b", "d"}, "edf": {"c"}}
	require.Equal(t, ran{0, "fcfs\nat this broker alone: others still decide otherwise, b, d by causal, c by edf (--cluster changes all)\n", ""}, s.run("strategy", "set", "fcfs"))
	b.commanded = map[string]string{"d": "e9"}
	require.Equal(t, "fcfs\nat this broker alone: others still decide otherwise, b by causal, d by emergency (while e9 is in force; otherwise causal), c by edf (--cluster changes all)\n",
		s.run("strategy", "set", "fcfs").out, "what they decide by now is said, too")
}

func TestJobLogs(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	b.leaves(b.jobs["j1"], "stdout", "out\x00")
	b.leaves(b.jobs["j1"], "stderr", "err")
	require.Equal(t, ran{0, "out\x00", "err"}, s.run("job", "logs", "j1"))
	require.Equal(t, ran{0, "out\x00", ""}, s.run("job", "logs", "j1", "--stdout"))
	require.Equal(t, ran{0, "", "err"}, s.run("job", "logs", "j1", "--stderr"))
	require.Equal(t, ran{exitError, "", "ucp: job j3 is pending; its output is there when it has ended\n"}, s.run("job", "logs", "j3"))
	require.JSONEq(t, `{"id":"j1","encoding":"utf-8","stdout":"out\u0000","stderr":"err"}`, s.run("job", "logs", "j1", "-o", "json").out)
	require.JSONEq(t, `{"id":"j1","encoding":"utf-8","stderr":"err"}`, s.run("job", "logs", "j1", "--stderr", "-o", "json").out)
	b.leaves(b.jobs["j1"], "stdout", "\xff")
	require.JSONEq(t, `{"id":"j1","encoding":"base64","stdout":"/w==","stderr":"ZXJy"}`, s.run("job", "logs", "j1", "-o", "json").out)
}

func TestJobCancel(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	require.Equal(t, ran{0, "j3  cancelled\n", ""}, s.run("job", "cancel", "j3"))
	require.Equal(t, ran{exitError, "", "ucp: cancelling job j1: job j1 has already ended: succeeded\n"}, s.run("job", "cancel", "j1"))
}

func TestJobResult(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	inFolder(t, nil)
	require.Equal(t, ran{0, "job j2 left no files\n", ""}, s.run("job", "result", "j2"))
	require.Equal(t, ran{exitError, "", "ucp: job j3 is pending; wait for its result with `ucp job wait j3`\n"}, s.run("job", "result", "j3"))
	b.leaves(b.jobs["j1"], "stdout", "log")
	b.leaves(b.jobs["j1"], "stderr", "complaint")
	b.leaves(b.jobs["j1"], "outputs/d/r.json", "{}")
	b.leaves(b.jobs["j1"], "outputs/stderr", "a file of that name")
	require.Equal(t, ran{0, "d/r.json\nstderr\nstdout\n", ""}, s.run("job", "result", "j1", "--to", "x/y"))
	requireFile(t, "x/y/d/r.json", "{}")
	requireFile(t, "x/y/stdout", "log")
	requireFile(t, "x/y/stderr", "a file of that name")
	require.JSONEq(t, `{"id":"j1","dir":"z","files":["d/r.json","stderr","stdout"]}`, s.run("job", "result", "j1", "--to", "z", "-o", "json").out)
}

// What a job had written that was stopped to run again is fetched of its attempt, and is not taken for its result.
func TestResultOfAPreemptedJob(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	inFolder(t, nil)
	j := b.jobs["j3"]
	half := api.Job{ID: "j3"}
	b.leaves(&half, "stdout", "half")
	b.leaves(&half, "outputs/d/r.json", "{")
	j.Attempts = []api.Attempt{{Executor: "a", Attempt: "1.1.1.a~1", State: job.AttemptQueued, Kept: &api.Kept{Stdout: half.Stdout, Outputs: half.Outputs}}}
	require.Equal(t, ran{0, "d/r.json\nstdout\n", "ucp: job j3 is pending: this is what it had written at a when it was stopped there, to run again\n"}, s.run("job", "result", "j3", "--to", "x"))
	requireFile(t, "x/d/r.json", "{")
	requireFile(t, "x/stdout", "half")
	require.Contains(t, s.run("job", "get", "j3").out, "at a: queued; kept: stdout, d/r.json (1.1.1.a~1)")
}

func TestJobSubmit(t *testing.T) {
	b, s := newFakeBroker(t)
	spec := `{"module":"` + digestOf(emptyModule) + `"}`
	inFolder(t, map[string]string{"job.json": spec, "job.yaml": "module: x", "m.wasm": emptyModule})
	require.Equal(t, ran{exitError, "", "ucp: upload first: " + digestOf(emptyModule) + "\n"}, s.run("job", "submit", "job.json"))
	require.Equal(t, ran{0, "j1\n", ""}, s.run("job", "submit", "job.json", "--upload", "m.wasm", "--id", "j1"))
	require.Equal(t, ran{0, "j2\n", ""}, s.run("job", "submit", "job.yaml", "--id", "j2"))
	s.stdin = "\n " + spec
	require.Equal(t, ran{0, "j3\n", ""}, s.run("job", "submit", "-", "--id", "j3"))
	s.stdin = "module: x"
	require.Equal(t, ran{0, "j4\n", ""}, s.run("job", "submit", "-", "--id", "j4"))
	require.Equal(t, []string{"application/json", "application/json", "application/yaml", "application/json", "application/yaml"}, b.types)

	s.stdin = `{"modul":"x"}`
	got := s.run("job", "submit", "-")
	require.Contains(t, got.errOut, `unknown field "modul"`)
	s.stdin = string(make([]byte, job.MaxSpec+1))
	require.Contains(t, s.run("job", "submit", "-").errOut, "spec file - has more than the 16384 bytes")
}

func TestDegradedSubmissionSaysSo(t *testing.T) {
	b, s := newFakeBroker(t)
	out, errOut := newBuffers()
	c := s.cli(out, errOut)
	c.format = formatTable
	require.NoError(t, c.submitted(t.Context(), nil, api.Submission{ID: "j1", Replicas: 1, Degraded: true}, time.Now(), patience{}))
	require.Equal(t, "j1\n", out.String())
	require.Equal(t, "ucp: job j1 is saved on 1 broker only: lost if that disk is lost\n", errOut.String(), "an earlier broker does not say how many it should be")

	b.degraded = true
	for _, args := range [][]string{{"run"}, {"run", "--detach"}} {
		got := s.run(append(args, "--driver", "process", "--id", "j7", "true")...)
		require.Equal(t, "ucp: job j7 is saved on 1 broker only (3 wanted): lost if that disk is lost\n", got.errOut)
	}
}

// Whom to ask instead is said of a broker that stands still, as the advice is to start one where there is none.
func TestASilentBrokerIsToldFromNone(t *testing.T) {
	out, errOut := newBuffers()
	c := newShell(t).cli(out, errOut)
	require.Equal(t, "GET /v1/members at a: nothing came; any other broker can answer: name one with --addr or UCP_ADDR", c.explain(fmt.Errorf("GET /v1/members at a: %w", api.ErrSilent)))
}

// A job that names an emergency which is not there is taken, since it may come; the person hears of it.
func TestAJobOfNoEmergencySaysSo(t *testing.T) {
	_, s := newFakeBroker(t)
	for _, args := range [][]string{{"run", "--detach"}, {"run"}} {
		got := s.run(append(args, "--driver", "process", "--emergency", "fire", "true")...)
		require.Contains(t, got.errOut, "no emergency of the type fire is known here")
	}
	require.NotContains(t, s.run("run", "--driver", "process", "--emergency", "high", "true").errOut, "no emergency")
}

func TestCompletion(t *testing.T) {
	b, s := newFakeBroker(t)
	threeJobs(b)
	b.members.Members = []api.Member{{Name: "a", Actor: "a~1", Status: "alive"}, {Name: "b", Actor: "b~1", Status: "failed"}, {Name: "laptop", Status: "alive"}}
	require.Contains(t, s.run("__complete", "job", "get", "").out, "j3\tpending\nj2\tfailed\nj1\tsucceeded\n")
	require.Contains(t, s.run("__complete", "job", "cancel", "").out, "j3\tpending\n:")
	require.Contains(t, s.run("__complete", "job", "logs", "").out, "j2\tfailed\nj1\tsucceeded\n:")
	require.Contains(t, s.run("__complete", "run", "--constraint", "").out, "name=a\n:")
	require.Contains(t, s.run("__complete", "members", "-o", "").out, "table\njson\n")
	require.NotContains(t, s.run("__complete", "job", "get", "j1", "").out, "j1")
	require.Contains(t, s.run("__complete", "job", "result", "j1", "").out, "j2\tfailed\n:", "a verb that takes several is offered the others")
	require.Contains(t, s.run("__complete", "run", "--after", "").out, "j3\tpending\nj2\tfailed\n")
	require.Contains(t, s.run("__complete", "job", "list", "--broker", "").out, "a\talive\nb\tfailed\n:")
	require.Contains(t, s.run("__complete", "job", "list", "--state", "running,").out, "running,pending\n")
	require.NotContains(t, s.run("__complete", "job", "list", "--state", "running,").out, "running,running\n")
	require.Contains(t, s.run("__complete", "job", "list", "--name", "").out, "pumps.wasm\n:")
	require.Contains(t, s.run("__complete", "events", "--kinds", "job,m").out, "job,member\n")
	b.emergencies.Emergencies = []api.Emergency{{ID: "flood-1", Type: "flood", Level: "high", Active: true, InScope: true}}
	require.Contains(t, s.run("__complete", "run", "--emergency", "").out, "flood-1\thigh, ACTIVE\nflood\nnone\nlow\n")
	require.Contains(t, s.run("__complete", "emergency", "declare", "--type", "").out, "flood\n:")
	require.Contains(t, s.run("__complete", "run", "--exclusive", "").out, ":4\n", "no files where none is meant")
	require.Contains(t, s.run("__complete", "run", "--stdin", "").out, ":0\n", "files where one is")
	s.env["UCP_ADDR"] = "127.0.0.1:1"
	require.Contains(t, s.run("__complete", "job", "get", "").out, ":1\n", "no broker, no names, no harm")
}
