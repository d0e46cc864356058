package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// A seed tells the same story every time, in which every kind of fault happens.
func TestPlan(t *testing.T) {
	for seed := range uint64(20) {
		var one, other bytes.Buffer
		o := &options{seed: seed, brokers: 4, over: 30 * time.Second}
		tellPlan(&one, o)
		tellPlan(&other, o)
		require.Equal(t, one.String(), other.String())
		for _, name := range kindNames() {
			require.Contains(t, one.String(), " "+name+" ")
		}
	}
}

// What a machine can't do, or was not asked for, is left out, and said.
func TestPlanWithout(t *testing.T) {
	o := &options{seed: 1, brokers: 4, over: 30 * time.Second, only: "kill,split", barred: map[need]string{onNetwork: "no root"}}
	steps := plan(o)
	require.NotEmpty(t, steps[processes])
	require.Empty(t, steps[network])
	var said bytes.Buffer
	banner(&said, o)
	require.Contains(t, said.String(), "rollback-alone, split, one-way, bridge, loss-10, loss-30, flap:")
	require.Contains(t, said.String(), "no root")
	require.Error(t, (&options{brokers: 4, only: "flood"}).check())
}

// run is a run that notes every 100 ms that it goes on.
func run(id job.ID, broker, key string, from, ms int64) ran {
	a := &attempt{broker: broker, cpu: 1200, key: key, start: time.UnixMilli(from)}
	for at := from; at <= from+ms; at += 100 {
		a.noted = append(a.noted, time.UnixMilli(at))
	}
	return ran{id, a}
}

func TestCapacity(t *testing.T) {
	r := newReport()
	checkCapacity(r, []ran{run("j1", "b1", noKey, 0, 1000), run("j2", "b2", noKey, 500, 1000), run("j3", "b1", noKey, 1000, 500)})
	require.Empty(t, r.overload, "one after the other, and beside each other at two brokers")
	still := run("j4", "b1", noKey, 0, 0)
	still.noted = append(still.noted, time.UnixMilli(5000)) // it stood still
	checkCapacity(r, []ran{run("j1", "b1", noKey, 1000, 1000), still})
	require.Empty(t, r.overload)
	checkCapacity(r, []ran{run("j1", "b1", noKey, 0, 1000), run("j2", "b1", noKey, 500, 1000)})
	require.Len(t, r.overload, 1)
}

// upSince makes a world of two brokers that have been up since 1970.
func upSince(t *testing.T) *world {
	w := &world{brokers: []*rig.Broker{{Name: "b1"}, {Name: "b2"}}, witness: newWitness()}
	for _, b := range w.brokers {
		b.UpSince(time.UnixMilli(0))
	}
	require.True(t, w.inReach("b1", "b2", time.UnixMilli(1), time.UnixMilli(9)))
	return w
}

func TestKeys(t *testing.T) {
	late := run("j2", "b2", "radio", 4000, 1000)
	for name, c := range map[string]struct {
		weather     []weather
		list        []ran
		held, raced int
	}{
		"one after the other": {list: []ran{run("j1", "b1", "radio", 1000, 2000), late}},
		"two keys":            {list: []ran{run("j1", "b1", "drone", 1000, 9000), late}},
		"at once":             {list: []ran{run("j1", "b1", "radio", 1000, 9000), late}, held: 1},
		"a race":              {list: []ran{run("j1", "b1", "radio", 3500, 9000), late}, raced: 1},
		"in a split": {
			weather: []weather{{at: time.UnixMilli(500), lost: map[rig.Link]float64{{From: 0, To: 1}: 1}}, {at: time.UnixMilli(3000)}},
			list:    []ran{run("j1", "b1", "radio", 1000, 9000), late}, raced: 1,
		},
		"long after a split": {
			weather: []weather{{at: time.UnixMilli(500), lost: map[rig.Link]float64{{From: 0, To: 1}: 1}}, {at: time.UnixMilli(3000)}},
			list:    []ran{run("j1", "b1", "radio", 1000, 20000), run("j2", "b2", "radio", 4000, 17000)}, held: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := upSince(t), newReport()
			w.weather = c.weather
			checkKeys(w, r, c.list)
			require.Len(t, r.keys, c.held)
			require.Len(t, r.keysRaced, c.raced)
		})
	}
}

// One dot may stand for several parts of one record, the same on every disk; never for
// two records, or two contents of a part (rule I1).
func TestDots(t *testing.T) {
	record := func(id job.ID, at uint64) *job.Record {
		spec := job.Spec{Driver: job.Process, Command: "true"}
		return job.New(id, spec, job.Digest(strings.Repeat("d", 64)), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: at}, At: 7})
	}
	d := newDots()
	require.NoError(t, d.record("one", record("j1", 1)))
	require.NoError(t, d.record("two", record("j1", 1)))
	require.NoError(t, d.record("two", record("j2", 2)))
	require.Empty(t, d.twice)
	require.NoError(t, d.record("two", record("j3", 2)))
	require.Len(t, d.twice, 1)
}

// The sum of rounds is red when one of them is.
func TestSum(t *testing.T) {
	sum, good, bad := newReport(), newReport(), newReport()
	good.rounds, bad.rounds = 1, 1
	bad.lost = []string{"j1"}
	sum.add(good)
	require.True(t, sum.good())
	sum.add(bad)
	require.False(t, sum.good())
	require.Equal(t, 2, sum.rounds)
	require.Regexp(t, `acknowledged jobs lost +1 +FAIL`, sum.String())
}

// A job that was submitted twice apart was created twice; one that was placed again, or
// taken over, was not.
func TestCreatedApart(t *testing.T) {
	require.True(t, createdApart("1.1.1a215529ecd0000.b3~hh9atjf2", "1.1.1a21552bbd50000.b1~mz20fxds"))
	require.False(t, createdApart("1.1.1a215529ecd0000.b3~hh9atjf2", "1.2.1a215529ecd0000.b3~hh9atjf2"))
	require.False(t, createdApart("1.1.1a215529ecd0000.b3~hh9atjf2", "2.1.1a21552bbd50000.b1~mz20fxds"))
}

// Whom a broker's log takes for a liar is found, however long the log.
func TestAccusationsAreRead(t *testing.T) {
	log := filepath.Join(t.TempDir(), "b1.log")
	said, err := accusations(log)
	require.NoError(t, err)
	require.Empty(t, said)
	require.NoError(t, os.WriteFile(log, []byte(`{"level":"INFO","msg":"broker is up"}
not JSON: FORK: nothing
{"level":"ERROR","msg":"FORK: a broker has signed two histories (rule H2)","actor":"b2~1","what":"two heads"}
{"level":"INFO","msg":"a FORK: is eaten with","what":"a knife"}
{"level":"ERROR","msg":"FORGED: a record says that a broker has written what it has not (rule H3)","what":"the verdict"}
`), 0o600))
	said, err = accusations(log)
	require.NoError(t, err)
	require.Equal(t, []string{"FORK: a broker has signed two histories (rule H2): two heads", "FORGED: a record says that a broker has written what it has not (rule H3): the verdict"}, said)
}
