package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
)

func offering(name string, cpu, used int64) string {
	return fmt.Sprintf(`%q:{"capabilities":{"capacity":{"cpu":%d,"memory":8589934592}},"usage":{"cpu":%d,"memory":0},"jobs":{"running":20,"queued":10}}`, name, cpu, used)
}

// A night on which all goes well is told in a few lines, by `ucp` alone and by `ucp status`.
func TestScreenOfAQuietNight(t *testing.T) {
	b, s := newFakeBroker(t)
	seen, yes, no := asOf.Add(-7*time.Second).Unix(), true, false
	b.status = api.Coordination{
		CoordinatorRunning: true, Name: "van-1", AsOf: asOf, TotalPeers: 1, HealthyPeers: 1,
		PeerBrokers: map[string]api.Peer{"van-2": {Healthy: true, LastSeen: seen, Answers: &yes}},
	}
	b.metadata = offering("van-1", 4000, 500) + "," + offering("van-2", 2000, 0)
	b.counts = map[job.State]int{job.StateRunning: 4, job.StateQueued: 2}
	want := ran{0, `
Emergency  none in force
Trust it?  yes: you see all 2 brokers, and each has answered just now
Urgent     no urgent job waits
Gone       no broker is gone
Stopped    no job makes room for another
Failed     nothing in the last hour
Room       5.5 of 6 cores and 16 GiB of 16 GiB free; most at van-1: 3.5 cores,
             8 GiB
           4 jobs run, 2 wait
As of      2026-01-31 15:04:05 UTC, as van-1 sees it; `[1:] + "`ucp status --full`\n             shows more of that broker\n", ""}
	require.Equal(t, want, s.run("status"))
	require.Equal(t, want, s.run())
	var as struct {
		Name   string `json:"name"`
		Room   []room `json:"room"`
		Urgent api.JobList
	}
	require.NoError(t, json.Unmarshal([]byte(s.run("status", "-o", "json").out), &as))
	require.Equal(t, "van-1", as.Name)
	require.EqualValues(t, 3500, as.Room[0].Free.CPU)

	mute := b.status
	mute.PeerBrokers = map[string]api.Peer{"van-2": {Healthy: true, LastSeen: seen, Answers: &no}}
	b.status, mute = mute, b.status
	require.Contains(t, s.run().out, `
Trust it?  NOT SURE: at the moment 1 of 2 brokers answer
           van-2 does not answer; last heard of at 15:03:58 (7s)
`)
	b.status = mute

	b.status.TotalPeers, b.status.HealthyPeers, b.status.PeerBrokers = 0, 0, nil
	require.Contains(t, s.run().out, "Trust it?  yes, of van-1 alone: it has met no other broker\n")
	b.status.Draining = true
	require.Contains(t, s.run().out, "van-1 drains, and takes no new jobs")
}

// aBadNight is the issue's: an emergency, a broker gone, jobs stopped, failed, and one urgent one that can't run.
func aBadNight(t *testing.T) *shell {
	b, s := newFakeBroker(t)
	yes := true
	at := func(ago time.Duration) clock.Time { return clock.At(asOf.Add(-ago)) }
	since := asOf.Add(-12 * time.Minute)
	b.status = api.Coordination{
		CoordinatorRunning: true, Name: "van-1", AsOf: asOf, TotalPeers: 3, HealthyPeers: 2, UnhealthyPeers: 1,
		PeerBrokers: map[string]api.Peer{
			"van-2": {Healthy: true, LastSeen: asOf.Unix(), Answers: &yes}, "van-3": {LastSeen: asOf.Add(-13 * time.Minute).Unix()},
			"van-4": {Healthy: true, LastSeen: asOf.Unix(), Answers: &yes, TakesNone: "its disk is full"},
		},
		Emergencies: []api.Emergency{{ID: "flood-1", Level: "critical", Scope: []string{"district=7"}, Until: at(-2 * time.Hour), Message: "pumps first", Active: true, AsOf: asOf}},
	}
	b.metadata = offering("van-1", 4000, 4000) + "," + offering("van-3", 64000, 0)
	b.members.Members = []api.Member{
		{Name: "van-1", Actor: "van-1~1", Roll: "open", Status: "alive", Self: true}, {Name: "van-2", Actor: "van-2~1", Roll: "open", Status: "alive"},
		{Name: "van-3", Actor: "van-3~1", Roll: "open", Status: "failed", Away: true, AwaySince: &since}, {Name: "old", Actor: "old~1", Roll: "left", Status: "left"},
		{Name: "a stock Serf agent", Status: "alive"},
	}
	threeJobs(b)
	b.counts = map[job.State]int{job.StateRunning: 3, job.StateLoading: 1, job.StatePending: 1, job.StateSuspended: 1}
	b.jobs["j3"].Why, b.jobs["j3"].Emergency, b.jobs["j3"].Name = "none of 2 live brokers can run it: needs 64 cores; the largest broker has 4", "flood-1", "pump-7"
	b.jobs["j3"].Attempts = []api.Attempt{{Executor: "van-3", State: job.AttemptLost}}
	b.jobs["j2"].FinishedAt = at(3 * time.Minute)
	j1 := ended("j1", job.StateSuspended, nil, "")
	j1.Name, j1.Executor, j1.Silent = "map\x1b[2J", "van-3", true
	j1.Pauses = []api.Pause{{At: "van-1", For: "pumps", Emergency: "flood-1", Mode: job.Suspend, From: at(time.Minute)}}
	b.jobs["j1"] = &j1
	return s
}

// When a broker was last heard is not since when it was shut out.
func TestScreenSaysWhenWhoWasRevokedWasHeard(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status = api.Coordination{CoordinatorRunning: true, Name: "van-1", AsOf: asOf, TotalPeers: 1, UnhealthyPeers: 1,
		PeerBrokers: map[string]api.Peer{"van-2": {Health: "was revoked", LastSeen: asOf.Add(-7 * time.Second).Unix()}}}
	require.Contains(t, s.run().out, "van-2 was revoked; last heard of at 15:03:58 (7s)\n")
}

// What somebody must know who has no time stands there in the order in which it matters, and in 80 columns.
func TestScreenOfABadNight(t *testing.T) {
	s := aBadNight(t)
	require.Equal(t, ran{0, `
Emergency  flood-1: CRITICAL where district=7 (not at van-1), until 17:04:05
             (2h0m left): pumps first
Trust it?  NOT ALL OF IT: you see 3 of 4 brokers
           van-3 silent, last heard of at 14:51:05 (13m0s)
           van-4: TAKES NO JOBS: its disk is full
Urgent     1 job that should run at once
           j3 pump-7, pending for 1m30s: has the level of flood-1; none of 2
             live brokers can run it: needs 64 cores; the largest broker has 4
Gone       van-3 since 14:52:05 (12m0s), with 2 jobs
           j3 pump-7: now pending: none of 2 live brokers can run it: needs 64
             cores; the largest broker has 4
           j1 map [2J: suspended? still counted there
Stopped    1 job stopped for others
           j1 map [2J for pumps at van-1 since 15:03:05 (1m0s), because of
             flood-1
Failed     1 job in the last hour
           j2 pumps.wasm at b, 3m0s ago: exit code 3
Room       0 of 4 cores and 8 GiB of 8 GiB free
           what van-3 may have is not counted
           3 jobs run, 1 starts, 2 wait
           1 of these without a place: `[1:] + "`ucp job list --state pending`" + ` says why
As of      2026-01-31 15:04:05 UTC, as van-1 sees it; ` + "`ucp status --full`\n             shows more of that broker\n", ""}, s.run("status"))
	for _, columns := range []int{0, 40, 80, 132} {
		s.columns = columns
		s.env["NO_COLOR"] = "1"
		got := s.run("status").out
		require.NotContains(t, got, "\x1b", "nobody asked for colours")
		for line := range strings.Lines(got) {
			require.LessOrEqual(t, len([]rune(line)), cmp.Or(columns, 80)+1, "with its end: %q", line)
		}
	}
	s.columns, s.env["NO_COLOR"] = 80, ""
	got := s.run("status").out
	require.Contains(t, got, "\x1b[1mTrust it?\x1b[0m  \x1b[1;31mNOT ALL OF IT: you see 3 of 4 brokers\x1b[0m\n")
	require.NotContains(t, got, "\x1b[2J", "what came from outside can't move the cursor")
	s.env["TERM"] = "dumb"
	require.NotContains(t, s.run("status").out, "\x1b")
	s.env["TERM"], s.columns = "xterm", 0
	require.NotContains(t, s.run("status").out, "\x1b", "a pipe is no terminal")
}

// Where strangers can command a broker every screen says so.
func TestScreensSayWhatIsExposed(t *testing.T) {
	b, s := newFakeBroker(t)
	for _, args := range [][]string{nil, {"status"}, {"status", "--full"}, {"members"}} {
		b.status.Exposed, b.members.Exposed = nil, nil
		require.NotContains(t, s.run(args...).out, "INSECURE", args)
		b.status.Exposed = []string{"gossip at 10.0.0.1:7946", "the HTTP API at 10.0.0.1:8000"}
		b.members.Exposed = b.status.Exposed
		got := strings.Join(strings.Fields(s.run(args...).out), " ")
		require.Contains(t, got, "INSECURE", args)
		require.Contains(t, got, "whoever reaches it commands this broker, and reads all jobs: gossip at 10.0.0.1:7946, the HTTP API at 10.0.0.1:8000", args)
	}
}

// What can't be found out is said, and nothing that stands on it looks well.
func TestScreenSaysWhatItDoesNotKnow(t *testing.T) {
	b, s := newFakeBroker(t)
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/broker/coordination-status" {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"error":"the store has failed","code":"internal"}`))
			return
		}
		_, _ = w.Write([]byte(`{"name":"a","coordinator_running":true}`))
	})
	got := s.run()
	require.Zero(t, got.code)
	require.Contains(t, got.out, "not known: urgent jobs: the store has failed\n")
	require.Regexp(t, `(?m)^Urgent +not known$`, got.out)
	require.Regexp(t, `(?m)^Failed +not known$`, got.out)
	require.Regexp(t, `(?m)^Stopped +not known$`, got.out)
	require.Regexp(t, `(?m)^Gone +not known$`, got.out)
	require.Regexp(t, `(?m)^Room +not known$`, got.out)
	require.NotContains(t, got.out, "yes")
}

// roundTrip is how requests go.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The screen takes five seconds at most: what does not come by then is not known, and a broker that says nothing at all is
// silent.
func TestScreenTakesFiveSeconds(t *testing.T) {
	for _, mute := range []string{"/v1/", "/"} {
		synctest.Test(t, func(t *testing.T) {
			client, err := api.New("127.0.0.1:1", api.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, mute) {
					<-r.Context().Done()
					return nil, context.Cause(r.Context())
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"name":"a","coordinator_running":true,"brokers":{}}`))}, nil
			})))
			require.NoError(t, err)
			began := time.Now()
			s, err := readScreen(t.Context(), client)
			require.Equal(t, screenWithin, time.Since(began))
			require.Equal(t, 5*time.Second, screenWithin)
			if mute == "/" {
				require.ErrorIs(t, err, api.ErrSilent)
				return
			}
			require.NoError(t, err)
			require.Nil(t, s.Urgent)
			require.Contains(t, strings.Join(s.Unknown, "\n"), "urgent jobs: ")
			require.Contains(t, strings.Join(s.Unknown, "\n"), "within 5s")
		})
	}
}

// Without a broker `ucp` alone says so, and how to begin.
func TestAloneWithoutABroker(t *testing.T) {
	got := newShell(t).run("--addr", "127.0.0.1:1")
	require.Equal(t, exitError, got.code)
	require.Empty(t, got.out)
	require.Equal(t, "ucp: no broker answers at 127.0.0.1:1; start one with `ucp agent`, or name one with --addr or UCP_ADDR; `ucp --help` lists what there is\n", got.errOut)
	require.Equal(t, exitError, newShell(t).run("status", "--addr", "127.0.0.1:1").code)
}

// An emergency that nobody obeys does not look as if somebody did: on the screen, in lists, and where it is shown alone.
func TestInForceNowhere(t *testing.T) {
	b, s := newFakeBroker(t)
	e := api.Emergency{ID: "flood-1", Type: "flood", Level: "critical", DeclaredAt: clock.At(asOf), Scope: []string{"distrct=7"}, Until: clock.At(asOf.Add(time.Hour)), Active: true, AsOf: asOf}
	b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf, Emergencies: []api.Emergency{e}}
	require.Contains(t, s.run().out, "flood-1: CRITICAL where distrct=7 (not at a), until 16:04:05", "an older broker does not say more")
	e.OfBrokers, e.Unmet = 3, `no broker has a label that meets "distrct=7"; did you mean "district=7"?`
	b.emergencies = api.EmergencyList{Emergencies: []api.Emergency{e}, AsOf: asOf}
	require.Contains(t, strings.Join(strings.Fields(s.run().out), " "),
		`flood-1: CRITICAL where distrct=7, in force NOWHERE: no broker has a label that meets "distrct=7"; did you mean "district=7"?; until 16:04:05 (1h0m left)`)
	require.Regexp(t, `flood-1 +critical +in force NOWHERE +distrct=7`, s.run("emergency", "list").out)
	e.Away = []string{"c"}
	b.emergencies.Emergencies[0] = e
	require.Regexp(t, `flood-1 +critical +in force at NONE in reach +distrct=7`, s.run("emergency", "list").out)
	require.Contains(t, strings.Join(strings.Fields(s.run().out), " "), "where distrct=7, in force at NONE in reach: no broker has")
	e.Brokers = []api.EmergencyAt{{Broker: "b", Strategy: "emergency"}}
	b.emergencies.Emergencies[0] = e
	require.Regexp(t, `flood-1 +critical +active elsewhere`, s.run("emergency", "list").out)
	require.Contains(t, s.run().out, "flood-1: CRITICAL where distrct=7 (not at a), until 16:04:05")
}

// Jobs that ran at brokers which are gone do not count as running.
func TestScreenCountsWhatMayRun(t *testing.T) {
	b, s := newFakeBroker(t)
	since := asOf.Add(-time.Minute)
	b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf, TotalPeers: 1, UnhealthyPeers: 1, PeerBrokers: map[string]api.Peer{"b": {}}}
	b.metadata = offering("a", 4000, 4000)
	b.members.Members = []api.Member{{Name: "a", Roll: "open", Status: "alive"}, {Name: "b", Roll: "open", Status: "failed", Away: true, AwaySince: &since}}
	b.counts = map[job.State]int{job.StateRunning: 2, job.StateQueued: 1}
	require.Contains(t, s.run().out, " 2 jobs run, 1 waits\n", "what brokers say of themselves, also those that are gone, is not added up")
	threeJobs(b)
	b.jobs["j3"].State, b.jobs["j3"].Executor, b.jobs["j3"].Silent = job.StateRunning, "b", true
	require.Contains(t, s.run().out, " 1 job runs, 1 may still run at brokers that do not answer, 1 waits\n")
}

// An urgent job that starts at once is no alarm, though it is not known yet that it runs; one that has waited, or does not get on, is.
func TestScreenOfWhatStarts(t *testing.T) {
	for _, c := range []struct {
		ago    time.Duration
		silent bool
		want   string
	}{
		{time.Second, false, "Urgent     no urgent job waits\n"},
		{time.Second, true, "1 job that should run at once"},
		{time.Minute, false, "1 job that should run at once"},
	} {
		b, s := newFakeBroker(t)
		b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf}
		j := ended("j1", job.StateStarting, nil, "")
		j.SubmittedAt, j.Executor, j.Silent, j.Emergency = clock.At(asOf.Add(-c.ago)), "b", c.silent, "flood-1"
		b.jobs["j1"] = &j
		require.Contains(t, s.run().out, c.want)
	}
}

// A broker that is gone is not told to have had what had ended before, or ran at another one by then.
func TestScreenShowsWhatWasAtABrokerThatIsGone(t *testing.T) {
	b, s := newFakeBroker(t)
	gone := asOf.Add(-time.Minute)
	b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf, TotalPeers: 1, UnhealthyPeers: 1, PeerBrokers: map[string]api.Peer{"van-2": {LastSeen: gone.Unix()}}}
	b.members.Members = []api.Member{{Name: "a", Roll: "open", Status: "alive"}, {Name: "van-2", Roll: "open", Status: "failed", Away: true, AwaySince: &asOf}}
	threeJobs(b)
	for i, id := range []string{"j1", "j2", "j3"} { // each was at van-2 once, and then at b
		b.jobs[id].Attempts, b.jobs[id].Executor = []api.Attempt{{Executor: "van-2"}}, "b"
		b.jobs[id].State = []job.State{job.StateFailed, job.StateRunning, job.StateSucceeded}[i]
	}
	b.jobs["j1"].FinishedAt = clock.At(gone.Add(-time.Second))
	b.jobs["j2"].StartedAt, b.jobs["j2"].FinishedAt = clock.At(gone.Add(-time.Second)), 0
	b.jobs["j3"].StartedAt, b.jobs["j3"].FinishedAt = clock.At(gone.Add(time.Second)), clock.At(asOf)
	got := s.run().out
	require.Regexp(t, `(?m)^Gone +van-2 since .*, with 1 job\n +j3.*: succeeded at b$`, got)
	require.NotContains(t, got, "j2 ")
	b.status.PeerBrokers["van-2"] = api.Peer{}
	require.Contains(t, s.run().out, "with 3 jobs", "who does not know when it was there leaves none out")
}

// A broker that is about to leave has no room, whatever it last said of itself.
func TestScreenHasNoRoomAtWhomLeaves(t *testing.T) {
	b, s := newFakeBroker(t)
	yes := true
	b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf, TotalPeers: 1, HealthyPeers: 1, PeerBrokers: map[string]api.Peer{
		"b": {Healthy: true, Answers: &yes, LastSeen: asOf.Unix(), TakesNone: "it is about to leave"},
	}}
	b.metadata = offering("a", 4000, 1000) + "," + offering("b", 64000, 0)
	got := s.run().out
	require.Contains(t, got, "Room       3 of 4 cores")
	require.Contains(t, got, "mostly: you see all 2 brokers, but\n           b: TAKES NO JOBS: it is about to leave\n")
}

// Walls that are missing around native jobs stand on the screen; where none are run, none is missing.
func TestScreenShowsMissingWalls(t *testing.T) {
	b, s := newFakeBroker(t)
	for want, x := range map[string]*api.Sandbox{
		"":        {Missing: map[string]string{"users": executor.NotAllowed, "cgroups": executor.NotAllowed}},
		"cgroups": {Holds: []string{"users"}, Missing: map[string]string{"cgroups": "this broker may not make control groups"}},
		"all of it: switched off by --no-sandbox": {Missing: map[string]string{"users": "switched off by --no-sandbox", "cgroups": "switched off by --no-sandbox"}},
	} {
		b.status = api.Coordination{CoordinatorRunning: true, Name: "a", AsOf: asOf, Sandbox: x}
		got := strings.Join(strings.Fields(s.run().out), " ")
		require.Equal(t, want != "", strings.Contains(got, "Sandbox around native jobs at a is MISSING "+want), got)
		b.status.Sandbox, b.status.ModuleSandbox = nil, x
		got = strings.Join(strings.Fields(s.run().out), " ")
		require.Equal(t, want != "", strings.Contains(got, "Sandbox around modules at a is MISSING "+want), got)
	}
}

// A job that is still counted at a broker which was given up is not said to run; without one that broker is nobody's concern.
func TestScreenOfWhoWasGivenUp(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status = api.Coordination{CoordinatorRunning: true, Name: "van-1", AsOf: asOf}
	b.metadata = offering("van-1", 4000, 500)
	b.members.Members = []api.Member{{Name: "van-1", Roll: "open", Status: "alive", Self: true}, {Name: "van-3", Roll: "removed", Status: "failed"}}
	require.Contains(t, s.run().out, "Gone       no broker is gone\n")
	b.counts = map[job.State]int{job.StateRunning: 1}
	j := ended("j1", job.StateRunning, nil, "")
	j.Executor, j.Silent = "van-3", true
	b.jobs["j1"] = &j
	out := s.run().out
	require.Contains(t, out, "Gone       van-3, which was given up, with 1 job\n           j1: running? still counted there\n")
	require.Contains(t, out, "0 jobs run, 1 may still run at brokers that do not answer, 0 wait\n")
}

// Between a broker's death and the moment at which gossip gives it up it is silent: the screen says neither that nobody is gone, nor
// that it sees all room.
func TestScreenOfASilentBroker(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status = api.Coordination{
		CoordinatorRunning: true, Name: "van-1", AsOf: asOf, TotalPeers: 1, UnhealthyPeers: 1,
		PeerBrokers: map[string]api.Peer{"van-2": {Health: "silent for 3s", LastSeen: asOf.Add(-3 * time.Second).Unix()}},
	}
	b.metadata = offering("van-1", 4000, 500) + "," + offering("van-2", 8000, 0)
	b.members.Members = []api.Member{{Name: "van-1", Roll: "open", Status: "alive", Self: true}, {Name: "van-2", Roll: "open", Status: "alive", Health: "silent for 3s"}}
	b.counts = map[job.State]int{job.StateRunning: 1}
	j := ended("j1", job.StateRunning, nil, "")
	j.Executor, j.Silent = "van-2", true
	b.jobs["j1"] = &j
	out := s.run().out
	require.Contains(t, out, "Gone       perhaps van-2, silent since 15:04:02 (3s), with 1 job\n           j1: running? still counted there\n")
	require.Contains(t, out, "Room       3.5 of 4 cores")
	require.Contains(t, out, "           what van-2 may have is not counted\n           0 jobs run, 1 may still run at brokers that do not answer, 0 wait\n")

	no := false // one message has come to nothing, and it has just not answered: nothing else knows of that yet
	b.members.Members[1].Health = "healthy"
	b.status.PeerBrokers["van-2"] = api.Peer{Healthy: true, Health: "healthy", Answers: &no, LastSeen: asOf.Add(-time.Second).Unix()}
	out = s.run().out
	require.Contains(t, out, "Gone       perhaps van-2, silent since 15:04:04 (1s), with 1 job\n")
	require.Contains(t, out, "Room       3.5 of 4 cores")
}

// Who is alone since the others were given up, or have left, has met some.
func TestScreenOfWhoIsLeftAlone(t *testing.T) {
	b, s := newFakeBroker(t)
	b.status = api.Coordination{CoordinatorRunning: true, Name: "van-1", AsOf: asOf}
	b.metadata = offering("van-1", 4000, 500)
	b.members.Members = []api.Member{
		{Name: "van-1", Roll: "open", Status: "alive", Self: true}, {Name: "van-2", Roll: "removed", Status: "failed"},
		{Name: "van-3", Roll: "left", Status: "left", HTTPAddr: "van-3:8000"},
	}
	require.Contains(t, s.run().out, "yes, of van-1 alone: no other broker takes part (van-2 given up;\n             van-3 left)\n")

	// What is queued at a broker that has left has no place.
	b.counts = map[job.State]int{job.StateQueued: 2}
	j := ended("j1", job.StateQueued, nil, "")
	j.Executor = "van-3"
	b.jobs["j1"] = &j
	require.Contains(t, s.run().out, "0 jobs run, 2 wait\n           1 of these without a place: `ucp job list --state pending,queued`\n             says why\n")
}

// The number of brokers that are seen leaves out who does not answer, beside who is silent; and each is said as it is.
func TestScreenOfWhoIsSilentHowLong(t *testing.T) {
	b, s := newFakeBroker(t)
	yes, no, lost := true, false, asOf.Add(-5*time.Second)
	seen := asOf.Add(-48 * time.Second).Unix()
	b.status = api.Coordination{
		CoordinatorRunning: true, Name: "a", AsOf: asOf, TotalPeers: 4, HealthyPeers: 1, UnhealthyPeers: 3,
		PeerBrokers: map[string]api.Peer{
			"b": {Healthy: true, LastSeen: seen, Answers: &no, InGossip: true},
			"c": {Health: "silent for 48s; gossip lost it 5s ago", LastSeen: seen, GossipLost: &lost},
			"d": {Health: "can't reach this broker at a:1 (7 messages without an answer): is that port open to it?", LastSeen: seen, Answers: &yes},
			"e": {Health: "silent for 48s to our messages, though it sends some", LastSeen: asOf.Unix(), InGossip: true},
		},
	}
	b.members.Members = []api.Member{{Name: "c", Roll: "open", Status: "failed", Away: true, AwaySince: &lost}}
	at := func(id string, started time.Time) {
		j := ended(id, job.StateRunning, nil, "")
		j.Executor, j.StartedAt, j.Attempts = "b", clock.At(started), []api.Attempt{{Executor: "c"}}
		b.jobs[id] = &j
	}
	at("j1", lost.Add(-time.Second))
	at("j2", lost.Add(time.Second))
	out := strings.Join(strings.Fields(s.run().out), " ")
	require.Contains(t, out, "NOT ALL OF IT: you see 1 of 5 brokers")
	require.Contains(t, out, "b does not answer; last heard of at 15:03:17 (48s); gossip still hears it")
	require.Contains(t, out, "c silent, last heard of at 15:03:17 (48s); gossip lost it at 15:04:00 (5s)")
	require.Contains(t, out, "d can't reach this broker at a:1 (7 messages without an answer): is that port open to it? e silent for 48s to our messages, though it sends some Urgent")
	require.Contains(t, out, "c since 15:04:00 (5s), with 1 job j2: now running at b", "the other one was moved off before that")
}
