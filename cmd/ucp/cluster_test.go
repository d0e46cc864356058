package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// fakeLedger is a broker that has only a digest.
type fakeLedger struct {
	api.Digest
	asked atomic.Int64
	fail  func(asked int64) bool // answers 500 then
	then  func(asked int64, d *api.Digest)
}

// fakeCluster is brokers with these ledgers; the first is asked for the members.
func fakeCluster(t *testing.T, ledgers ...*fakeLedger) (*fakeBroker, *shell) {
	b, s := newFakeBroker(t)
	for _, l := range ledgers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/broker/digest" {
				t.Errorf("unexpected %s", r.URL)
			}
			n := l.asked.Add(1)
			if l.fail != nil && l.fail(n) {
				b.fail(w, http.StatusInternalServerError, api.CodeInternal, "the disk is on fire")
				return
			}
			d := l.Digest
			if l.then != nil {
				l.then(n, &d)
			}
			if r.URL.Query().Get("records") == "" {
				d.List = nil
			}
			b.reply(w, http.StatusOK, d)
		}))
		t.Cleanup(server.Close)
		b.members.Members = append(b.members.Members, api.Member{
			Name: l.Name, Status: "alive", HTTPAddr: strings.TrimPrefix(server.URL, "http://"), Self: len(b.members.Members) == 0,
		})
	}
	return b, s
}

func at(counters ...uint64) clock.Vector {
	var v clock.Vector
	for i, n := range counters {
		v.Set(clock.Dot{Actor: clock.Actor(string(rune('a'+i)) + "~1"), Counter: n})
	}
	return v
}

// ledgerOf makes a digest of records: key -> content.
func ledgerOf(name string, c clock.Vector, records ...string) *fakeLedger {
	d := api.Digest{Name: name, Actor: clock.Actor(name + "~1"), Clock: c, Records: len(records) / 2, AsOf: asOf}
	all := ""
	for i := 0; i+1 < len(records); i += 2 {
		key, finished := strings.CutSuffix(records[i], "*")
		all += key + records[i+1]
		d.List = append(d.List, api.RecordDigest{
			Kind: "job", Key: key, Digest: digestOf(records[i+1]), Finished: finished,
			Created: []clock.Dot{{Actor: "a~1", Counter: 1}},
		})
	}
	d.Digest = digestOf(all)
	return &fakeLedger{Digest: d}
}

func TestClusterVerifyEqual(t *testing.T) {
	_, s := fakeCluster(t, ledgerOf("a", at(7, 3), "j1", "x", "j2", "y"), ledgerOf("b", at(7, 3), "j1", "x", "j2", "y"))
	sum := digestOf("j1xj2y")[:16]
	require.Equal(t, ran{0, `
BROKER  RECORDS  STUBS  DIGEST            CLOCK
a       2        0      `[1:] + sum + `  {a~1:7 b~1:3}
b       2        0      ` + sum + `  {a~1:7 b~1:3}
all 2 brokers hold the same
`, ""}, s.run("cluster", "verify", "--wait", "0s"))
	var v verification
	require.NoError(t, json.Unmarshal([]byte(s.run("cluster", "verify", "-o", "json").out), &v))
	require.True(t, v.Same)
	require.Len(t, v.Brokers, 2)
	require.Empty(t, v.Problems)
	require.Empty(t, v.Differing)
}

// One broker agrees with nobody, and one that takes no jobs is named although it holds the same.
func TestClusterVerifySaysWhatIsNotWell(t *testing.T) {
	b, s := fakeCluster(t, ledgerOf("a", at(7), "j1", "x"))
	b.status.Warnings = []string{"nobody else answers at what --retry-join names: 10.0.0.1"}
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.out, "\nnothing to compare: a is the only broker that is known here\nWARNING: nobody else answers at what --retry-join names: 10.0.0.1\n")
	require.NotContains(t, got.out, "hold the same")

	b, s = fakeCluster(t, ledgerOf("a", at(7), "j1", "x"), ledgerOf("b", at(7), "j1", "x"))
	b.members.Members[1].TakesNone = "its disk is full"
	got = s.run("cluster", "verify", "--wait", "0s")
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.out, "\nb: TAKES NO JOBS: its disk is full\nall 2 brokers hold the same\n")
	require.Contains(t, s.run("cluster", "verify", "-o", "json").out, `"takes_none": {`)
}

// TestClusterVerifyDiffers: what differs at equal clocks is named, with who holds what.
func TestClusterVerifyDiffers(t *testing.T) {
	_, s := fakeCluster(t,
		ledgerOf("a", at(7), "j1", "x", "j2", "y", "j4", "same"),
		ledgerOf("b", at(7), "j1", "X", "j3", "z", "j4", "same"))
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Equal(t, "ucp: the brokers do not hold the same: 3 records differ, the first is job j1\n", got.errOut)
	require.Contains(t, got.out, "differs: job j1           a "+digestOf("x")[:12]+", b "+digestOf("X")[:12])
	require.Contains(t, got.out, "differs: job j2           a "+digestOf("y")[:12]+", b absent")
	require.Contains(t, got.out, "differs: job j3           a absent, b "+digestOf("z")[:12])
	require.NotContains(t, got.out, "j4")
	require.NotContains(t, got.out, "hold the same")

	got = s.run("cluster", "verify", "--wait", "0s", "-o", "json")
	require.Equal(t, exitError, got.code)
	var v verification
	require.NoError(t, json.Unmarshal([]byte(got.out), &v), got.out)
	require.False(t, v.Same)
	require.Equal(t, []difference{
		{"job j1", map[string]string{"a": digestOf("x"), "b": digestOf("X")}},
		{"job j2", map[string]string{"a": digestOf("y"), "b": "absent"}},
		{"job j3", map[string]string{"a": "absent", "b": digestOf("z")}},
	}, v.Differing)
}

// TestClusterVerifyForgotten: a finished record that a broker lacks although it covers its
// creation was forgotten there (rule L8), which is not a difference; an unfinished record is one.
func TestClusterVerifyForgotten(t *testing.T) {
	_, s := fakeCluster(t, ledgerOf("a", at(7), "j1*", "x", "j2", "y"), ledgerOf("b", at(7), "j2", "y"))
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.out, "1 finished records are already forgotten by some brokers, or kept as stubs; retention permits that")
	require.Contains(t, got.out, "all 2 brokers hold the same")

	// A broker that does not cover the creation has not forgotten it: it lacks it.
	before := clock.Vector{}
	_, s = fakeCluster(t, ledgerOf("a", before, "j1*", "x"), ledgerOf("b", before))
	got = s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "1 records differ, the first is job j1")
}

// What a broker's clock stands for may be known to another one only, which still has the rows of the starts (rule K2): a
// job that was forgotten is no difference for that, nor are rows, which an older version lists.
func TestClusterVerifyTrimmed(t *testing.T) {
	full := ledgerOf("a", at(7), "j1*", "x", "j2", "y", "b~1*", "parents")
	full.List[2].Kind = "start"
	trimmed := ledgerOf("b", at(7), "j2", "y")
	trimmed.then = func(_ int64, d *api.Digest) { d.Clock = clock.NewVector(clock.Dot{Actor: "a~2", Counter: 1}) }
	full.then = func(asked int64, d *api.Digest) {
		if d.Clock = clock.NewVector(clock.Dot{Actor: "a~2", Counter: 1}); asked > 1 { // with records: what it stands for, too
			d.Clock.Set(clock.Dot{Actor: "a~1", Counter: 7})
		}
	}
	_, s := fakeCluster(t, full, trimmed)
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.out, "1 finished records are already forgotten")
}

// Who has changed between the two questions has not been compared.
func TestClusterVerifyChanges(t *testing.T) {
	moves := ledgerOf("b", at(7), "j1", "x")
	moves.then = func(asked int64, d *api.Digest) {
		if asked > 1 {
			*d = ledgerOf("b", at(7), "j1", "x", "j2", "y").Digest
		}
	}
	_, s := fakeCluster(t, ledgerOf("a", at(7), "j2", "y"), moves)
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "it is not certain that all brokers hold the same: while they were asked brokers have changed")
	require.NotContains(t, got.out, "differs:")
}

// TestClusterVerifyWaits: while clocks differ something is on its way; it asks again, and
// says at the end who lacks what.
func TestClusterVerifyWaits(t *testing.T) {
	behind := ledgerOf("b", at(5, 3))
	_, s := fakeCluster(t, ledgerOf("a", at(7, 3), "j1", "x"), behind)
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "the clocks of a and b differ: a lacks nothing; b lacks updates a~1 6 to 7")
	require.NotContains(t, got.out, "differs:", "at different clocks nothing can be said of records")

	behind.asked.Store(0)
	behind.then = func(asked int64, d *api.Digest) {
		if asked > 1 {
			*d = ledgerOf("b", at(7, 3), "j1", "x").Digest
		}
	}
	got = s.run("cluster", "verify", "--wait", "20s")
	require.Zero(t, got.code, got.errOut)
	require.EqualValues(t, 2, behind.asked.Load())
}

// TestClusterVerifySilent: a broker that has failed, or does not answer, or answers with
// an error, is a problem that is said, and no agreement.
func TestClusterVerifySilent(t *testing.T) {
	burning := ledgerOf("c", at(7), "j1", "x")
	burning.fail = func(int64) bool { return true }
	b, s := fakeCluster(t, ledgerOf("a", at(7), "j1", "x"), burning)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	b.members.Members = append(b.members.Members,
		api.Member{Name: "d", Status: "alive", HTTPAddr: strings.TrimPrefix(dead.URL, "http://")},
		api.Member{Name: "e", Status: "failed", HTTPAddr: "127.0.0.1:1", Health: "silent for 31s"},
		api.Member{Name: "f", Status: "left", HTTPAddr: "127.0.0.1:1"},                                  // has left the cluster
		api.Member{Name: "h", Status: "failed", Roll: "removed", HTTPAddr: "127.0.0.1:1"},               // was given up
		api.Member{Name: "i", Status: "alive", Revoked: true, Roll: "removed", HTTPAddr: "127.0.0.1:1"}, // as well, though it runs
		api.Member{Name: "k", Status: "alive", Revoked: true, Roll: "open", HTTPAddr: "127.0.0.1:1"},    // was not given up yet
		api.Member{Name: "laptop", Status: "alive"},                                                     // a stock Serf agent
		api.Member{Name: "g", Status: "alive", HTTPAddr: b.members.Members[0].HTTPAddr},                 // a has taken its address
	)
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "c: the disk is on fire")
	require.Contains(t, got.errOut, "d: no broker answers at 127.0.0.1")
	require.Contains(t, got.errOut, "e has failed (silent for 31s)")
	require.Contains(t, got.errOut, "at the address of g a answers")
	require.NotContains(t, got.errOut, "laptop")
	require.NotContains(t, got.errOut, "; f")
	require.NotContains(t, got.errOut, "h has failed")
	require.NotContains(t, got.errOut, "; i ")
	require.Contains(t, got.errOut, "k was revoked, and is waited for until `ucp cluster forget k`")
	require.NotContains(t, got.out, "hold the same")

	got = s.run("cluster", "verify", "--wait", "0s", "-o", "json")
	var v verification
	require.NoError(t, json.Unmarshal([]byte(got.out), &v), got.out)
	require.False(t, v.Same)
	require.Len(t, v.Problems, 5)
	require.Len(t, v.Brokers, 1)

	s.env["UCP_ADDR"] = dead.URL
	got = s.run("cluster", "verify", "--wait", "0s")
	require.NotZero(t, got.code)
	require.Contains(t, got.errOut, "no broker answers")
}

// Without a single digest nothing is agreed.
func TestClusterVerifyNobody(t *testing.T) {
	b, s := newFakeBroker(t)
	b.members.Members = []api.Member{{Name: "laptop", Status: "alive"}}
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code, got.out)
	require.Contains(t, got.errOut, "no broker")
}

// TestClusterVerifyQuarantine: a record that a broker keeps aside is a problem, also when
// the rest is equal (rule L10).
func TestClusterVerifyQuarantine(t *testing.T) {
	odd := ledgerOf("b", at(7), "j1", "x")
	odd.Quarantined = 2
	_, s := fakeCluster(t, ledgerOf("a", at(7), "j1", "x"), odd)
	got := s.run("cluster", "verify", "--wait", "0s")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errOut, "b keeps 2 records aside that it can't read")
}

// Verify asks once a second until all is the same, or for as long as it was told to; and says once, when that takes a while, what it waits for.
func TestVerifyWaits(t *testing.T) {
	for _, c := range []struct {
		wait, same, took time.Duration // same: from when on; took: until it returned
		settled          bool
		told             int
	}{
		{wait: 30 * time.Second, same: 0, took: 0, settled: true},
		{wait: 30 * time.Second, same: 0, took: 31 * time.Second, told: 1}, // their clocks differ to the end
		{wait: 30 * time.Second, same: 1500 * time.Millisecond, took: 2 * time.Second, settled: true},
		{wait: 30 * time.Second, same: 20 * time.Second, took: 20 * time.Second, settled: true, told: 1},
		{wait: 30 * time.Second, same: time.Hour, took: 31 * time.Second, settled: true, told: 1},
		{wait: 0, same: time.Hour, took: time.Second, settled: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, told := time.Now(), 0
			v, err := untilSame(t.Context(), c.wait, func(v *verification) {
				told++
				require.Equal(t, 2*time.Second, time.Since(began))
				require.False(t, v.Same && c.settled)
			}, func() (*verification, bool, error) {
				return &verification{Same: time.Since(began) >= c.same}, c.settled, nil
			})
			require.NoError(t, err)
			require.Equal(t, time.Since(began) >= c.same, v.Same, "%v", c)
			require.Equal(t, c.took, time.Since(began), "%v", c)
			require.Equal(t, c.told, told, "%v", c)
		})
	}
}
