package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

var rewrite = flag.Bool("rewrite", false, "write down what is printed now, in testdata")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// sec is so many seconds before asOf.
func sec(before int) clock.Time { return clock.At(asOf.Add(-time.Duration(before) * time.Second)) }

// threeBrokers have seen a job move since its broker was lost, one suspended for another, one returned, one that waits, one that none
// takes, one that ran twice in a split, and one that made room twice and runs again.
func threeBrokers(b *fakeBroker) {
	zero := 0
	base := func(id string, state job.State, submitted int) *api.Job {
		return &api.Job{ID: job.ID(id), Key: id + "~0", State: state, Origin: "n1", Owner: "n1", SubmittedAt: sec(submitted), Rejected: []api.Accepted{}, Superseded: []api.Verdict{}, AsOf: asOf}
	}
	moved := base("j1", job.StateSucceeded, 90)
	moved.Name, moved.Executor, moved.StartedAt, moved.FinishedAt, moved.ExitCode = "pumps", "n2", sec(50), sec(20), &zero
	moved.Attempts = []api.Attempt{
		{Executor: "n3", Attempt: "1.1", State: job.AttemptLost, StartedAt: sec(88)},
		{Executor: "n2", Attempt: "1.2", State: job.AttemptSucceeded, StartedAt: sec(50), EndedAt: sec(20), ExitCode: &zero},
	}
	moved.Accepted = &api.Accepted{Executor: "n2", Attempt: "1.2", At: sec(20)}
	moved.Rejected = []api.Accepted{{Executor: "n3", Attempt: "1.1", At: sec(10), Outcome: job.Succeeded}}

	gap := base("j2", job.StateRunning, 85)
	gap.Executor, gap.StartedAt = "n1", sec(30)
	gap.Attempts = []api.Attempt{{Executor: "n1", Attempt: "1.1", State: job.AttemptRunning, StartedAt: sec(30)}} // when it went on
	gap.Pauses = []api.Pause{{At: "n1", For: "j3", Emergency: "flood-1", Mode: job.Suspend, From: sec(60), To: sec(30)}}

	urgent := base("j3", job.StateSucceeded, 61)
	urgent.Executor, urgent.Emergency, urgent.StartedAt, urgent.FinishedAt = "n1", "flood-1", sec(60), sec(31)
	urgent.Attempts = []api.Attempt{
		{Executor: "n2", Attempt: "1.1", State: job.AttemptReturned, EndedAt: sec(61) + 500, Reason: "its worker did not begin"},
		{Executor: "n1", Attempt: "1.2", State: job.AttemptSucceeded, StartedAt: sec(60), EndedAt: sec(31)},
	}
	urgent.Accepted = &api.Accepted{Executor: "n1", Attempt: "1.2", At: sec(31)}
	b.jobs = map[string]*api.Job{"j1": moved, "j2": gap, "j3": urgent}
	b.members.Members = []api.Member{{Name: "n1", Actor: "n1~1", Self: true, Roll: "open", Status: "alive"}, {Name: "n2", Actor: "n2~1", Roll: "left", Status: "left"}, {Name: "n3", Actor: "n3~1", Roll: "open", Status: "failed", Away: true}}
	b.emergencies.Emergencies = []api.Emergency{{ID: "flood-1", Type: "flood", Level: "critical", DeclaredAt: sec(62), ClearedAt: sec(25), EndedAt: sec(25), Until: sec(-3600)}}
	b.conflicts.Conflicts = []api.Conflict{
		{ID: "c1", At: sec(60), Strategy: "emergency", Kind: "capacity", Winner: "j3", Jobs: 2, Sentence: "j3 goes before j2", IDs: []string{"j3", "j2"}},
		{ID: "c2", At: sec(70), Strategy: "emergency", Kind: "exclusive", Over: "valve", Jobs: 2, Sentence: "nobody", IDs: []string{"other"}},
	}
}

func TestTrace(t *testing.T) {
	b, s := newFakeBroker(t)
	threeBrokers(b)
	got := s.run("trace", "--all")
	require.Equal(t, ran{0, got.out, "ucp: not known: decisions of n3: it has failed\n"}, got)
	validTrace(t, []byte(got.out))
	golden(t, "trace.json", got.out)

	one := s.run("trace", "j1")
	require.Zero(t, one.code)
	validTrace(t, []byte(one.out))
	require.Contains(t, one.out, "pumps")
	require.NotContains(t, one.out, "decided", "no decision was about it")
	require.Contains(t, s.run("trace", "j2").out, "decided: j3")
	require.Contains(t, s.run("trace", "--since", "1h").out, "pumps")
	require.Contains(t, b.queries[len(b.queries)-1], "since=")

	for args, want := range map[string]string{
		"":                  "needs a job ID, or a choice",
		"--all j1":          "give one or the other",
		"--since -1s --all": "a duration from now back",
		"--since 1h j1":     "of jobs that are named all is written",
		"nowhere":           "knows of no job nowhere",
		"--name nothing":    "no job matches; nothing is written",
	} {
		got := s.run(append([]string{"trace"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, got.code, args)
		require.Contains(t, got.errOut, want, args)
		require.Empty(t, got.out, args)
	}
}

// What is not known of attempts is left out, and said where a span rests on it.
func TestStays(t *testing.T) {
	began, ended := sec(80), sec(20)
	pause := func(to clock.Time) []api.Pause {
		return []api.Pause{{At: "n1", For: "u", Mode: job.Suspend, From: sec(70), To: to}}
	}
	show := func(state job.State, pauses []api.Pause, attempts ...api.Attempt) (out []string) {
		j := api.Job{ID: "j", State: state, SubmittedAt: sec(90), AsOf: asOf, Pauses: pauses, Attempts: attempts, Executor: "n9"}
		if state.Final() {
			j.FinishedAt = ended
		}
		if state == job.StateSucceeded {
			j.Accepted = &api.Accepted{}
		}
		for _, s := range staysOf(&j) {
			text := s.broker
			for _, x := range s.spans {
				text += fmt.Sprintf(" %s %d-%d", x.name, (x.from-sec(90))/1000, (x.to-sec(90))/1000)
			}
			out = append(out, text)
		}
		return out
	}
	n1 := func(state string, from, to clock.Time) api.Attempt {
		return api.Attempt{Executor: "n1", Attempt: "1", State: state, StartedAt: from, EndedAt: to}
	}
	n2 := func(state string, from, to clock.Time) api.Attempt {
		return api.Attempt{Executor: "n2", Attempt: "2", State: state, StartedAt: from, EndedAt: to}
	}
	for name, x := range map[string]struct{ got, want []string }{
		"waits for a broker":       {show(job.StatePending, nil), []string{"n9 pending 0-90"}},
		"cancelled before it ran":  {show(job.StateCancelled, nil), []string{"n9 pending 0-70"}},
		"is queued":                {show(job.StateQueued, nil, n1("queued", 0, 0)), []string{"n1 queued 0-90"}},
		"loads":                    {show(job.StateLoading, nil, n1("loading", 0, 0)), []string{"n1 loading 0-90"}},
		"runs":                     {show(job.StateRunning, nil, n1("running", began, 0)), []string{"n1 queued 0-10", "n1 running 10-90"}},
		"ran":                      {show(job.StateSucceeded, nil, n1("succeeded", began, ended)), []string{"n1 queued 0-10", "n1 succeeded 10-70"}},
		"is suspended":             {show(job.StateSuspended, pause(0), n1("suspended", 0, 0)), []string{"n1 running 0-20"}},
		"was suspended":            {show(job.StateSucceeded, pause(sec(50)), n1("succeeded", began, ended)), []string{"n1 queued 0-10", "n1 running 10-20 succeeded 40-70"}},
		"lost while it stood":      {show(job.StateSucceeded, pause(sec(50)), n1("lost", 0, 0), n2("succeeded", sec(49), ended)), []string{"n1 running 0-20", "n2 queued 20-41", "n2 succeeded 41-70"}},
		"lost after it had stood":  {show(job.StateSucceeded, pause(sec(60)), n1("lost", sec(60), 0), n2("succeeded", sec(49), ended)), []string{"n1 running 0-20 lost 30-41", "n2 succeeded 41-70"}},
		"was lost":                 {show(job.StateRunning, nil, n1("lost", began, 0), n2("running", sec(49), 0)), []string{"n1 queued 0-10", "n1 lost 10-41", "n2 running 41-90"}},
		"was lost, waits":          {show(job.StatePending, nil, n1("returned", 0, sec(60))), []string{"n1 returned 0-30", "n9 pending 30-90"}},
		"ran twice":                {show(job.StateSucceeded, nil, n1("succeeded", sec(50), sec(10)), n2("succeeded", began, ended)), []string{"n2 queued 0-10", "n2 succeeded 10-70", "n1 succeeded 40-80"}},
		"earlier":                  {show(job.StateSucceeded, nil, api.Attempt{State: job.AttemptEarlier}, n1("succeeded", began, ended)), []string{"n1 queued 0-10", "n1 succeeded 10-70"}},
		"stopped, nobody saw when": {show(job.StateCancelled, nil, n1("stopped", 0, 0)), []string{"n9 pending 0-70"}},
		"clocks differ":            {show(job.StateSucceeded, nil, n1("succeeded", sec(100), sec(95))), []string{"n1 succeeded -10--5"}},
	} {
		require.Equal(t, x.want, x.got, name)
	}
}

// A broker that says nothing of emergencies, members or decisions leaves jobs to be drawn, and is told.
func TestTraceSaysWhatIsNotKnown(t *testing.T) {
	b, s := newFakeBroker(t)
	threeBrokers(b)
	b.refuse = func(r *http.Request) bool {
		return slices.Contains([]string{"/v1/members", "/v1/conflicts", "/v1/emergencies"}, r.URL.Path)
	}
	got := s.run("trace", "j1")
	require.Zero(t, got.code)
	validTrace(t, []byte(got.out))
	for _, what := range []string{"emergencies", "brokers", "decisions of the broker"} {
		require.Contains(t, got.errOut, "ucp: not known: "+what)
		require.Contains(t, got.out, what+": ", "in the file, too")
	}
}

// Ten thousand jobs that wait at once are drawn in less than ten seconds, and no two spans of a thread overlap.
func TestTraceOfManyJobs(t *testing.T) {
	h := &history{asOf: asOf}
	for i := range 10_000 {
		h.jobs = append(h.jobs, api.Job{ID: job.ID(fmt.Sprintf("j%05d", i)), State: job.StateQueued, Executor: fmt.Sprintf("n%d", i%3), SubmittedAt: sec(100 + i%50), AsOf: asOf})
	}
	began := time.Now()
	var out bytes.Buffer
	require.NoError(t, writeTrace(&out, h))
	require.Less(t, time.Since(began), 10*time.Second)
	require.Equal(t, 10_000, validTrace(t, out.Bytes()))
}

// validTrace holds a trace to what its viewers demand, and returns how many spans it has: each event has a phase, whole microseconds, a
// process and a thread that have names; spans of one thread lie apart (a viewer would drop one that begins in another and ends behind
// it); arrows have one beginning and one end, in this order, each within a span; marks have a scope.
func validTrace(t *testing.T, b []byte) (spans int) {
	t.Helper()
	var doc struct {
		Unit   string           `json:"displayTimeUnit"`
		Events []map[string]any `json:"traceEvents"`
		Other  map[string]any   `json:"otherData"`
	}
	from := json.NewDecoder(bytes.NewReader(b))
	from.UseNumber()
	require.NoError(t, from.Decode(&doc))
	require.Equal(t, "ms", doc.Unit)
	whole := func(e map[string]any, key string) int64 {
		n, isNumber := e[key].(json.Number)
		require.True(t, isNumber, "%s of %v", key, e)
		v, err := n.Int64()
		require.NoError(t, err, "%v: microseconds are whole", e)
		return v
	}
	type thread struct{ pid, tid int64 }
	type times struct{ from, to int64 }
	by, names, arrows := map[thread][]times{}, map[string]map[thread]bool{"process_name": {}, "thread_name": {}}, map[int64][]map[string]any{}
	for _, e := range doc.Events {
		at := thread{whole(e, "pid"), whole(e, "tid")}
		ts := whole(e, "ts")
		require.NotEmpty(t, e["name"], "%v", e)
		require.Contains(t, []any{"X", "i", "s", "f", "M"}, e["ph"], "%v", e)
		if e["ph"] == "M" {
			if names[e["name"].(string)] != nil {
				names[e["name"].(string)][at] = true
			}
			continue
		}
		require.True(t, names["process_name"][thread{at.pid, 0}], "the process of %v has a name", e)
		require.True(t, names["thread_name"][at], "the thread of %v has a name", e)
		require.Greater(t, ts, asOf.Add(-time.Hour).UnixMicro(), "%v: in microseconds", e)
		require.LessOrEqual(t, ts, asOf.UnixMicro(), "%v: in microseconds", e)
		switch e["ph"] {
		case "X":
			dur := whole(e, "dur")
			require.Positive(t, dur, "%v", e)
			by[at] = append(by[at], times{ts, ts + dur})
			spans++
		case "i":
			require.Contains(t, []any{"t", "p", "g"}, e["s"], "%v", e)
		default:
			arrows[whole(e, "id")] = append(arrows[whole(e, "id")], e)
		}
	}
	for at, list := range by {
		slices.SortFunc(list, func(a, b times) int { return int(a.from - b.from) })
		for i := range list[1:] {
			require.LessOrEqual(t, list[i].to, list[i+1].from, "spans of %v overlap", at)
		}
	}
	for id, ends := range arrows {
		require.Len(t, ends, 2, "arrow %d", id)
		require.Equal(t, []any{"s", "f", "e"}, []any{ends[0]["ph"], ends[1]["ph"], ends[1]["bp"]})
		require.LessOrEqual(t, whole(ends[0], "ts"), whole(ends[1], "ts"))
		for _, e := range ends {
			ts := whole(e, "ts")
			require.True(t, slices.ContainsFunc(by[thread{whole(e, "pid"), whole(e, "tid")}], func(x times) bool { return x.from <= ts && ts < x.to }), "%v lies in a span", e)
		}
	}
	return spans
}
