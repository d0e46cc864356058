package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

func won(by, attempt string) api.Job {
	return api.Job{ID: "j", State: job.StateSucceeded, Accepted: &api.Accepted{Executor: by, Attempt: attempt}}
}

func provisional(j api.Job) api.Job {
	j.Provisional = true
	return j
}

// What contradicts what was shown before is noticed; what may change is not held
// against anybody (rules A3, J1).
func TestWitness(t *testing.T) {
	type answer struct {
		broker string
		job    api.Job
	}
	running := api.Job{ID: "j", State: job.StateRunning}
	for name, c := range map[string]struct {
		answers      []answer
		twice, taken bool
	}{
		"the same everywhere":                                {answers: []answer{{"a", won("b", "1")}, {"b", won("b", "1")}, {"a", won("b", "1")}}},
		"a broker that does not know yet":                    {answers: []answer{{"a", won("b", "1")}, {"b", running}}},
		"provisional may change":                             {answers: []answer{{"a", provisional(won("b", "1"))}, {"a", won("c", "2")}}},
		"provisional elsewhere":                              {answers: []answer{{"a", won("b", "1")}, {"c", provisional(won("c", "2"))}}},
		"two brokers show two results":                       {answers: []answer{{"a", won("b", "1")}, {"c", won("c", "2")}}, twice: true},
		"one broker shows one, then the other":               {answers: []answer{{"a", won("b", "1")}, {"a", won("c", "2")}}, twice: true},
		"the same attempt at another broker":                 {answers: []answer{{"a", won("b", "1")}, {"c", won("c", "1")}}, twice: true},
		"a result, then an end without one":                  {answers: []answer{{"a", won("b", "1")}, {"a", api.Job{ID: "j", State: job.StateFailed}}}, twice: true},
		"a broker that has shown an end shows it as running": {answers: []answer{{"a", won("b", "1")}, {"a", running}}, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, now := newWitness(), time.Unix(1, 0)
			for _, a := range c.answers {
				w.saw(a.broker, "j", a.job, now.Add(time.Second), now.Add(2*time.Second))
				now = now.Add(10 * time.Second)
			}
			require.Equal(t, c.twice, len(w.twice) == 1, "%v", w.twice)
			require.Equal(t, c.taken, len(w.taken) == 1, "%v", w.taken)
		})
	}
}

// An answer that was asked for before the broker showed the end may be older.
func TestWitnessForgivesOvertaking(t *testing.T) {
	w, at := newWitness(), func(s int64) time.Time { return time.Unix(s, 0) }
	w.saw("a", "j", won("b", "1"), at(2), at(3))
	w.saw("a", "j", api.Job{ID: "j", State: job.StateRunning}, at(1), at(4))
	require.Empty(t, w.taken)
	require.Equal(t, at(3), w.firstAt("j", "a"))
}

// notes makes a run's notes as the guests would.
func notes(t *testing.T, lines string) []*attempt {
	path := filepath.Join(t.TempDir(), "j")
	require.NoError(t, os.WriteFile(path, []byte(lines), 0o600))
	runs, err := attempts(path, "/brokers")
	require.NoError(t, err)
	return runs
}

func TestNotes(t *testing.T) {
	runs := notes(t, "start 1000000000 7 x /brokers/a/disk/run/1 300 -\nstart 2000000000 8 y /brokers/b/disk/run/1 300 radio\non 2100000000 8\nend 3000000000 8\n")
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	require.Equal(t, []*attempt{
		{broker: "a", pid: "7", token: "x", start: at(1000), cpu: 300, key: "-", noted: []time.Time{at(1000)}},
		{broker: "b", pid: "8", token: "y", start: at(2000), end: at(3000), cpu: 300, key: "radio", noted: []time.Time{at(2000), at(2100), at(3000)}},
	}, runs)
	require.Equal(t, []stretch{{at(2000), at(2100)}}, runs[1].evident(), "it may have stood still afterwards")
}

// A result must be one that the job can have had, made by a run that came to its end.
func TestWrongResults(t *testing.T) {
	zero, three := 0, 3
	ran := []*attempt{{broker: "a", token: "x", start: time.Unix(1, 0)}, {broker: "b", token: "y", start: time.Unix(2, 0), end: time.Unix(3, 0)}}
	good := won("b", "y")
	good.ExitCode = &zero
	bad := good
	bad.State, bad.ExitCode = job.StateFailed, &three
	cut := good
	cut.Accepted = &api.Accepted{Executor: "a", Attempt: "x"}
	adopted := good
	adopted.Accepted = &api.Accepted{Executor: "b", Attempt: "z"}
	lost := api.Job{State: job.StateFailed, Reason: "may have run"}
	read := good
	read.Stdout = &api.Blob{Digest: "d", Size: 1}
	for _, c := range []struct {
		name, kind string
		job        api.Job
		wrong      bool
	}{
		{"a result", plain, good, false},
		{"a failure that was not meant", plain, bad, true},
		{"a failure that was", fails, bad, false},
		{"a success that was not meant", fails, good, true},
		{"a run that was cut off has no result", plain, cut, true},
		{"a run that a new owner has adopted", plain, adopted, false},
		{"no result", plain, lost, true},
		{"no result, and it must not run again", once, lost, false},
		{"no output", input, good, true},
		{"the output", input, read, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := task{kind: c.kind, notes: "somewhere"}
			if c.kind == input {
				x.out = &api.Blob{Digest: "d", Size: 1}
			}
			require.Equal(t, c.wrong, x.wrong(c.job, ran) != "")
		})
	}
}

// A broker that takes back an end, or forgets it, is noticed, unless its disk was
// exchanged meanwhile.
func TestWitnessOfForgetting(t *testing.T) {
	at := time.Now()
	w := newWitness()
	w.saw("a", "j", won("b", "1"), at, at)
	w.missed("c", "j", at.Add(time.Second), at.Add(time.Second))
	require.Empty(t, w.taken, "c had never shown it")
	w.missed("a", "j", at.Add(time.Second), at.Add(time.Second))
	require.Len(t, w.taken, 1)

	w = newWitness()
	w.saw("a", "j", won("b", "1"), at, at)
	w.forget("a")
	w.missed("a", "j", at.Add(time.Second), at.Add(time.Second))
	require.Empty(t, w.taken)
	require.Equal(t, at, w.firm("j"))
}

// When a killed broker's job ran again, and where.
func TestMoves(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	blows := []*blow{{broker: "a", how: killed, at: at(10)}, {broker: "a", how: killed, at: at(20)}, {broker: "a", how: paused, at: at(5)}}
	r := newReport()
	r.moves(blows, []*attempt{{broker: "a", start: at(9)}, {broker: "b", start: at(14), end: at(15)}})
	r.moves(blows, []*attempt{{broker: "a", start: at(19)}, {broker: "a", start: at(22), end: at(23)}})
	r.moves(blows, []*attempt{{broker: "a", start: at(8), end: at(9)}, {broker: "b", start: at(14), end: at(15)}})
	require.Equal(t, []time.Duration{4 * time.Second}, r.elsewhere)
	require.Equal(t, []time.Duration{2 * time.Second}, r.athome)
}
