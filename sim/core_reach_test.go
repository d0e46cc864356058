package sim

import (
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/race"
)

// Each rule decides something in one of these schedules at least, which do all that schedules can do: 300 of them are looked
// through, or fewer, until none is missed. What they find wrong is for TestCoreSchedules.
func TestEveryRuleIsReached(t *testing.T) {
	t.Parallel()
	if race.Enabled {
		t.Skip("a schedule has no goroutine")
	}
	from, to := seeds(t, 300)
	cfg := coreConfig()
	cfg.MaxLosses = 3
	reach := reachOf(from, to, func(seed uint64) *Core { return Schedule(seed, cfg, anyFaults(seed)) })
	t.Logf("%d schedules\n%v", reach.Runs, reach)
	require.Empty(t, reach.Missed(), "no schedule has needed these: see core_reach.go")
}

// anyFaults draws what a schedule does of all that there is, what takes long more rarely.
func anyFaults(seed uint64) (f Faults) {
	random := rand.New(rand.NewPCG(seed, 4))
	for i := range faultNames {
		x := Faults(1 << i)
		if random.IntN(4) == 0 && (x&(Bulk|LongSplits|Liar) == 0 || random.IntN(5) == 0) {
			f |= x
		}
	}
	return f
}

// reachOf adds up runs, on all processors, until each rule was reached.
func reachOf(from, to uint64, run func(seed uint64) *Core) *Reach {
	var sum Reach
	var mu sync.Mutex
	var next atomic.Uint64
	next.Store(from)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for all := false; !all; {
				seed := next.Add(1) - 1
				if seed >= to {
					return
				}
				c := run(seed)
				mu.Lock()
				sum.Add(c)
				all = len(sum.Missed()) == 0
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return &sum
}

// Each rule of docs/protocol.md has its line here, and each line its rule.
func TestEveryRuleIsListed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	written, listed := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \|`).FindAllStringSubmatch(string(text), -1) {
		written[m[1]] = true
	}
	for _, r := range rules {
		listed[r.name] = true
	}
	require.NotEmpty(t, written)
	require.Equal(t, written, listed, "a rule of docs/protocol.md needs a line in core_reach.go: what is seen when it decides something")
}
