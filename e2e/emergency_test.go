package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// startFull starts brokers of one core under the strategy emergency.
func startFull(t *testing.T, n int) []*agent {
	return startCluster(t, n, "--cpu", "1.0", "--allow-process", "--strategy", "emergency")
}

// fill submits a job that takes the whole of a broker.
func (a *agent) fill(id string, args ...string) {
	a.t.Helper()
	r := a.ucp(append(append([]string{"run", "--detach", "--id", id, "--driver", "process", "--cpu", "900m", "--constraint", "name=" + a.name}, args...), "/bin/sleep", "--", "60")...)
	require.Equal(a.t, 0, r.code, r.stderr)
}

// is waits until a job is in a state, as this broker sees it.
func (a *agent) is(id string, state job.State) {
	a.t.Helper()
	eventually(a.t, 20*time.Second, fmt.Sprintf("%s sees %s %s", a.name, id, state), func() bool { return a.state(id) == state })
}

// knows waits until the broker knows an emergency as active, or as ended.
func (a *agent) knows(id emergency.ID, active bool) api.Emergency {
	a.t.Helper()
	var e api.Emergency
	eventually(a.t, 70*time.Second, fmt.Sprintf("%s knows %s, active %t", a.name, id, active), func() bool {
		var err error
		e, err = a.client.Emergency(a.t.Context(), string(id))
		return err == nil && e.Active == active
	})
	return e
}

// Declared at one broker, it lets a tagged job at another overtake; cleared at a third, the one
// that had made room goes on by itself; and all can tell what it has caused.
func TestEmergencyOvertakes(t *testing.T) {
	brokers := startFull(t, 3)
	a, b, c := brokers[0], brokers[1], brokers[2]
	b.fill("low")
	b.is("low", job.StateRunning)
	b.fill("crit", "--emergency", "flood")
	b.is("crit", job.StateQueued)

	r := a.ucp("emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "critical", "--scope", "name in (a,b)", "--message", "the river is over the wall")
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "flood-1 declared: flood, level critical")
	a.is("crit", job.StateRunning)
	a.is("low", job.StateSuspended)
	require.False(t, c.knows("flood-1", true).InScope, "c does not react, and knows of it")
	require.Contains(t, c.ucp("emergency", "list").stdout, "active elsewhere")
	require.Contains(t, a.ucp("members").stdout, "critical: flood-1")

	r = c.ucp("emergency", "clear", "flood")
	require.Equal(t, result{"flood-1 cleared\n", "", 0}, r)
	a.is("low", job.StateRunning)
	for _, x := range brokers {
		e := x.knows("flood-1", false)
		require.True(t, e.Cleared)
		eventually(t, 20*time.Second, x.name+" can tell what it has caused", func() bool {
			e, err := x.client.Emergency(t.Context(), "flood-1")
			return err == nil && len(e.Effects) == 1 && e.Effects[0].To != 0
		})
		e, err := x.client.Emergency(t.Context(), "flood-1")
		require.NoError(t, err)
		require.EqualValues(t, "low", e.Effects[0].Job)
		require.EqualValues(t, "crit", e.Effects[0].For)
		require.Equal(t, "b", e.Effects[0].At)
	}
}

// Events of a stock command line do the same, once, though three brokers see each (rule E2); what
// makes no sense harms nothing.
func TestStockEventsDeclareOnce(t *testing.T) {
	brokers := startCluster(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	told := map[string][]string{}
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for _, a := range brokers {
		begun := make(chan struct{})
		watching.Go(func() {
			a.watch(ctx, begun, func(e api.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == "emergency" {
					told[a.name] = append(told[a.name], e.What)
				}
			})
		})
		<-begun
	}

	r := brokers[1].serf("event", "ucp:emergency", `{"type":"flood","level":"critical"}`)
	require.Equal(t, 0, r.code, r.stderr+r.stdout)
	var id emergency.ID
	for _, a := range brokers {
		eventually(t, 10*time.Second, a.name+" has its record", func() bool {
			l, err := a.client.Emergencies(t.Context())
			return err == nil && len(l.Emergencies) == 1 && !l.Emergencies[0].Heard
		})
		l, err := a.client.Emergencies(t.Context())
		require.NoError(t, err)
		if id == "" {
			id = l.Emergencies[0].ID
		}
		require.Equal(t, id, l.Emergencies[0].ID, "one emergency, the same at all")
	}
	for _, bad := range []string{`{"type":"flood"}`, `flood!`, `{"clear":"a b"}`} {
		require.Equal(t, 0, brokers[0].serf("event", "ucp:emergency", bad).code)
	}
	for _, a := range brokers {
		eventually(t, 10*time.Second, a.name+" has counted what made no sense", func() bool {
			return strings.Contains(string(a.get(t, "/metrics")), "ucp_emergency_events_invalid_total 3")
		})
	}
	require.Equal(t, 0, brokers[2].serf("event", "ucp:emergency", `{"clear":"`+string(id)+`"}`).code)
	for _, a := range brokers {
		a.knows(id, false)
		l, err := a.client.Emergencies(t.Context())
		require.NoError(t, err)
		require.Len(t, l.Emergencies, 1)
	}
	eventually(t, 10*time.Second, "all tell the same, once", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range brokers {
			if !slices.Equal(told[a.name], []string{"declared", "cleared"}) {
				return false
			}
		}
		return true
	})
}

// A broker that was killed while an emergency was declared, and one that joins late, know of it;
// and that it has ended.
func TestEmergencyReachesWhoWasAway(t *testing.T) {
	brokers := startCluster(t, 3, "--sync-interval", "2s")
	a, c := brokers[0], brokers[2]
	c.signal(syscall.SIGKILL, 5*time.Second)
	for _, id := range []string{"flood-1", "storm-1"} {
		r := a.ucp("emergency", "declare", "--id", id, "--type", "flood", "--level", "high")
		require.Equal(t, 0, r.code, r.stderr)
	}
	require.Equal(t, 0, a.ucp("emergency", "clear", "storm-1").code)
	c = startAgent(t, "c", c.dir, "--join", a.gossip, "--sync-interval", "2s")
	d := startAgent(t, "d", t.TempDir(), "--join", brokers[1].gossip, "--sync-interval", "2s")
	for _, x := range []*agent{c, d} {
		x.knows("flood-1", true)
		require.True(t, x.knows("storm-1", false).Cleared)
	}
	c.signal(syscall.SIGKILL, 5*time.Second)
	require.Equal(t, 0, d.ucp("emergency", "clear", "flood-1").code)
	c = startAgent(t, "c", c.dir, "--join", a.gossip, "--sync-interval", "2s")
	require.True(t, c.knows("flood-1", false).Cleared)
}

// How fast an emergency is felt on real processes: three brokers, each full with a low job and with
// a tagged one in its queue; from the moment when the declaration is sent to one of them, until a
// critical job is seen to run at another, and until the last of the three has given its room. Streams
// of events say when; nothing is subtracted. For docs/performance.md:
//
//	UCP_FIGURES=1 go test ./e2e -count=1 -run FigureEmergency -v
func TestFigureEmergency(t *testing.T) {
	if os.Getenv("UCP_FIGURES") == "" {
		t.Skip("SKIPPED: figures take a minute and a quiet machine; set UCP_FIGURES=1")
	}
	const trials = 50
	brokers := startFull(t, 3)
	type seen struct {
		event api.Event
		at    time.Time
	}
	events := make(chan seen, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for _, x := range brokers {
		begun := make(chan struct{})
		watching.Go(func() { x.watch(ctx, begun, func(e api.Event) { events <- seen{e, time.Now()} }) })
		<-begun
	}
	var first, last []time.Duration
	for trial := range trials {
		id := emergency.ID(fmt.Sprintf("flood-%d", trial))
		name := func(what string, x *agent) string { return fmt.Sprintf("%s%d%s", what, trial, x.name) }
		for _, x := range brokers {
			x.submitFull(name("low", x), "")
			x.is(name("low", x), job.StateRunning)
			x.submitFull(name("crit", x), string(id))
			x.is(name("crit", x), job.StateQueued)
		}
		for len(events) > 0 {
			<-events
		}
		began := time.Now()
		from := brokers[trial%3]
		_, _, err := from.client.Declare(t.Context(), emergency.Declaration{ID: id, Type: "flood", Level: "critical"})
		require.NoError(t, err)
		runs, rooms := time.Duration(0), map[string]time.Duration{}
		for runs == 0 || len(rooms) < len(brokers) {
			select {
			case s := <-events:
				e := s.event
				for _, x := range brokers {
					// Only what a broker says of itself counts: others hear of it later.
					switch {
					case e.Broker != x.name || e.What != string(job.StateRunning) && e.What != string(job.StateSuspended):
					case e.ID == name("crit", x) && e.What == string(job.StateRunning):
						if x != from && runs == 0 {
							runs = s.at.Sub(began)
						}
					case e.ID == name("low", x) && e.What == string(job.StateSuspended) && rooms[x.name] == 0:
						rooms[x.name] = s.at.Sub(began)
					}
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("trial %d: runs %v, rooms %v", trial, runs, rooms)
			}
		}
		latest := time.Duration(0)
		for _, d := range rooms {
			latest = max(latest, d)
		}
		first, last = append(first, runs), append(last, latest)
		_, err = from.client.ClearEmergency(t.Context(), string(id), false)
		require.NoError(t, err)
		for _, x := range brokers {
			for _, what := range []string{"low", "crit"} {
				_, err := x.client.Cancel(t.Context(), name(what, x))
				require.NoError(t, err)
			}
		}
		time.Sleep(220 * time.Millisecond) // five claims a second are allowed
	}
	t.Logf("declared to ..., %d trials, 3 brokers:", trials)
	for _, row := range []struct {
		what string
		d    []time.Duration
	}{{"the first critical job runs at another broker", first}, {"the last low job stands still", last}} {
		slices.Sort(row.d)
		t.Logf("%-46s p50 %4d ms, p99 %4d ms, worst %4d ms", row.what, row.d[trials/2].Milliseconds(), row.d[trials*99/100-1].Milliseconds(), row.d[trials-1].Milliseconds())
	}
}

// submitFull is fill without the time that a command line takes.
func (a *agent) submitFull(id, tag string) {
	a.t.Helper()
	a.submitLarge(id, tag, "name="+a.name)
}

// submitLarge submits a job that takes the whole of a broker, of one that meets the constraints.
func (a *agent) submitLarge(id, tag string, constraints ...string) {
	a.t.Helper()
	spec := job.Spec{
		Driver: job.Process, Command: "/bin/sleep", Args: []string{"60"}, Resources: job.Resources{CPU: 900},
		Priority: job.Priority{User: job.DefaultUser, Emergency: tag}, Constraints: constraints,
	}
	require.NoError(a.t, spec.Complete())
	_, err := a.client.Submit(a.t.Context(), spec, api.SubmitOptions{ID: job.ID(id)})
	require.NoError(a.t, err)
}

// watch follows jobs' states and emergencies until the context ends; begun is closed when the
// stream is there.
func (a *agent) watch(ctx context.Context, begun chan struct{}, do func(api.Event)) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.http+"/v1/events?kinds=job,emergency", nil)
	if err != nil {
		panic(err) // a request of ours
	}
	resp, err := http.DefaultClient.Do(req)
	close(begun)
	if err != nil {
		return // the test fails for want of events
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var e api.Event
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &e) == nil {
			do(e)
		}
	}
}

// Under the strategy that brokers have when nobody says otherwise a critical emergency is obeyed, and the one who declares it
// is told where and how; a slip of the pen is said and does nothing.
func TestEmergencyUnderTheDefaultStrategy(t *testing.T) {
	brokers := startCluster(t, 2, "--cpu", "1.0", "--allow-process", "--label", "district=7")
	a, b := brokers[0], brokers[1]
	require.Equal(t, result{"fcfs\n", "", 0}, a.ucp("strategy", "set", "fcfs", "--cluster"))
	require.Equal(t, "fcfs\n", a.ucp("strategy", "get").stdout, "at once")
	require.Equal(t, 0, a.ucp("strategy", "set", "causal", "--cluster").code)
	require.Equal(t, "causal\n", a.ucp("strategy", "get").stdout)
	eventually(t, 10*time.Second, "b adopts it", func() bool { return b.ucp("strategy", "get").stdout == "causal\n" })
	b.fill("low")
	b.is("low", job.StateRunning)
	b.fill("crit", "--emergency", "flood")
	b.is("crit", job.StateQueued)

	r := a.ucp("emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "critcal")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "did you mean critical?")
	r = a.ucp("emergency", "declare", "--id", "slip-1", "--type", "storm", "--level", "critical", "--scope", "distrct=7")
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, `WARNING: it is in force at 0 of 2 brokers: no broker has a label that meets "distrct=7"; did you mean "district=7"?`)
	require.Equal(t, "causal\n", a.ucp("strategy", "get").stdout)
	require.Equal(t, 0, a.ucp("emergency", "clear", "slip-1").code)

	r = a.ucp("emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "critical", "--scope", "district=7")
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "in force at 2 of 2 brokers\n")
	require.Contains(t, r.stdout, "by emergency until it is over (otherwise causal): a job of its level ")
	b.is("crit", job.StateRunning)
	b.is("low", job.StateSuspended)
	for _, x := range brokers {
		require.Equal(t, "emergency (while flood-1 is in force; otherwise causal)\n", x.ucp("strategy", "get").stdout)
	}
	require.Equal(t, 0, b.ucp("emergency", "clear", "flood").code)
	require.Equal(t, 0, b.ucp("job", "cancel", "crit").code) // it had the room, and goes on when the emergency is over
	b.is("low", job.StateRunning)
	eventually(t, 10*time.Second, "it ends by itself", func() bool { return a.ucp("strategy", "get").stdout == "causal\n" })
}
