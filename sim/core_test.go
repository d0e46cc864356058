package sim

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/race"
)

func coreConfig() broker.Config {
	return broker.Config{
		ModuleSize: func(job.Digest) int64 { return 5 << 20 },
		Capabilities: wire.Capabilities{
			Capacity: job.Resources{CPU: 1000, Memory: 1 << 30, IO: 100},
			Drivers:  []job.Driver{job.Wasm, job.Process},
		},
		Replicas: 3, SyncInterval: time.Minute, NewsLinks: true, RumourPause: 200 * time.Millisecond,
		AckTimeout: 2 * time.Second, MaxClockSkew: time.Minute,
		RedeployDelay: 3 * time.Second, IsolationDelay: 30 * time.Second, Retention: 24 * time.Hour,
	}
}

// finished requires that every job has succeeded at every broker, and that all
// hold the same.
func finished(t *testing.T, c *Core, ids []job.ID) {
	t.Helper()
	require.Empty(t, c.Differences())
	for _, id := range ids {
		for _, name := range c.Names() {
			r := c.Record(name, id)
			require.NotNil(t, r, "%s does not know %s", name, id)
			require.Equal(t, job.StateSucceeded, r.State(), "%s at %s", id, name)
		}
	}
}

// A job that is submitted at each of three brokers is known and finished at each.
func TestCoreThreeBrokers(t *testing.T) {
	t.Parallel()
	c := NewCore(1, 3, coreConfig())
	c.Flawless = true
	c.Run(5 * time.Second)
	var ids []job.ID
	for i, name := range c.Names() {
		id := job.ID(fmt.Sprintf("j%d", i))
		c.Submit(name, id)
		ids = append(ids, id)
	}
	c.Run(200 * time.Millisecond)
	for _, id := range ids {
		require.True(t, c.Acked[id], "%s is not acknowledged", id)
		for _, name := range c.Names() {
			require.NotNil(t, c.Record(name, id), "%s does not know %s", name, id)
		}
	}
	c.Run(2 * time.Minute)
	finished(t, c, ids)
	for _, id := range ids {
		require.Equal(t, 1, c.Runs[id])
	}
}

// With every news link cut, the exchange alone brings a change to all of ten
// brokers within its interval (rule S2).
func TestCoreExchangeAlone(t *testing.T) {
	ofOneGoroutine(t)
	for seed := range uint64(20) {
		cfg := coreConfig()
		cfg.NewsLinks = false
		c := NewCore(seed, 10, cfg)
		c.Run(5 * time.Minute)
		c.Submit("b3", "j")
		c.Run(61 * time.Second)
		for _, name := range c.Names() {
			require.NotNil(t, c.Record(name, "j"), "seed %d: %s does not know the job", seed, name)
		}
	}
}

// seeds says which fault schedules a test drives: UCP_SEEDS of them from UCP_SEED on (make
// sim), or else the first n.
func seeds(t *testing.T, n uint64) (from, to uint64) {
	read := func(name string, without uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return without
		}
		v, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, name)
		return v
	}
	from = read("UCP_SEED", 0)
	return from, from + read("UCP_SEEDS", n)
}

// chosen says what a seed's schedule does beside its plain events: what UCP_FAULTS names (make
// sim), or else what is usual.
func chosen(t *testing.T) func(seed uint64) Faults {
	text, given := os.LookupEnv("UCP_FAULTS")
	if !given || text == "" {
		return Usual
	}
	f, err := ParseFaults(text)
	require.NoError(t, err)
	return func(uint64) Faults { return f }
}

// No acknowledged job is lost, every one ends with one result that is the same
// everywhere, nothing comes back to life, and all brokers come to hold the same,
// whatever fails on the way (sentences 1 and 2 of the design).
func TestCoreSchedules(t *testing.T) {
	t.Parallel()
	n := uint64(1000)
	if race.Enabled {
		n = 4 // a schedule has no goroutine, and the cores share nothing
	}
	from, to := seeds(t, n)
	faults := chosen(t)
	var next atomic.Uint64
	next.Store(from)
	var failed atomic.Int64
	var reach Reach
	var adding sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for failed.Load() < 3 {
				seed := next.Add(1) - 1
				if seed >= to {
					return
				}
				c := Schedule(seed, coreConfig(), faults(seed))
				adding.Lock()
				reach.Add(c)
				adding.Unlock()
				if len(c.Wrong()) == 0 {
					continue
				}
				failed.Add(1)
				about := aboutJob.FindString(c.Wrong()[0])
				t.Errorf("seed %d: %s\n%s\n\nagain: make sim SEED=%d SEEDS=1 FAULTS=%v", seed, strings.Join(c.Wrong(), "\n"), c.Story(about), seed, faults(seed))
			}
		})
	}
	wg.Wait()
	t.Logf("what decided something, in how many of %d schedules:\n%v", reach.Runs, &reach)
}

// The same with messages of a few records only, so that whoever was away for a moment gets the rest in pages, from
// one donor, while news passes (rules L5, R1, R2), and a donor that loses its disk leaves updates behind that no clock will
// ever cover: all results are firm in the end, all the same.
func TestCoreSchedulesInPages(t *testing.T) {
	ofOneGoroutine(t)
	const n = uint64(100)
	cfg := coreConfig()
	cfg.PageSize = 2 << 10
	leased := 0
	for seed := range n {
		c := Schedule(seed, cfg, Readers)
		leased += c.leases
		require.Empty(t, c.Wrong(), "seed %d\n%s", seed, c.Story(""))
	}
	t.Logf("%d messages and answers named a donor in %d schedules", leased, n)
	require.Greater(t, leased, int(n))
}

// An emergency that some have forgotten, and others have not, is declared again, after and amid all faults: then it is in force everywhere, as it was
// declared last, and nobody holds another one (rule E6).
func TestEmergenciesAreDeclaredAgain(t *testing.T) {
	ofOneGoroutine(t)
	for seed := range uint64(12) {
		c := Schedule(seed, coreConfig(), DeclaredAgain|Restores)
		require.Empty(t, c.Wrong(), "seed %d\n%s", seed, c.Story(""))
	}
}

var aboutJob = regexp.MustCompile(`\bj[0-9]+`)

// The same seed gives the same run, event by event.
func TestCoreIsRepeatable(t *testing.T) {
	ofOneGoroutine(t)
	for seed := range uint64(20) {
		require.Equal(t, Schedule(seed, coreConfig(), 0).Trace(), Schedule(seed, coreConfig(), 0).Trace(), "seed %d", seed)
	}
}
