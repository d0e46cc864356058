package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/sim/simnet"
)

// A broker alone, with nobody who holds a copy, loses its power while clients
// submit: whatever it has acknowledged is on its disk (rule I4).
func TestPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { powerCut(t, rand.New(rand.NewPCG(seed, 2))) })
		})
	}
}

func powerCut(t *testing.T, random *rand.Rand) {
	c := NewCluster(t, 1, simnet.Options{Latency: 50 * time.Microsecond})
	defer c.Close()
	c.StartAll()
	var (
		mu    sync.Mutex
		acked []job.ID
		wg    sync.WaitGroup
	)
	ctx, stop := context.WithCancel(t.Context())
	for client := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				time.Sleep(300 * time.Microsecond) // virtual: on one host nothing else takes time
				id := job.ID(fmt.Sprintf("c%d-%d", client, i))
				if _, err := c.Submit("b0", id, time.Hour); err == nil {
					mu.Lock()
					acked = append(acked, id)
					mu.Unlock()
				}
			}
		})
	}
	time.Sleep(time.Duration(1+random.IntN(20)) * time.Millisecond)
	stop()
	c.Kill("b0")
	wg.Wait()
	require.NotEmpty(t, acked)
	c.Restart("b0")
	c.Eventually(time.Minute, "the broker is back", func() bool {
		return c.Client("b0").Ready(context.Background()) == nil
	})
	for _, id := range acked {
		require.True(t, c.Knows("b0", id), "%s was acknowledged and is lost (of %d)", id, len(acked))
	}
}
