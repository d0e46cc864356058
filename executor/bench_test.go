package executor

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/urban-compute/ucp/job"
)

// The same module, warm, by wazero alone in this process and through the
// executor: what the worker processes cost.
//
//	go test -run '^$' -bench . ./executor/
func BenchmarkWarm(b *testing.B) {
	hello, err := os.ReadFile(guest)
	require.NoError(b, err)
	for name, code := range map[string][]byte{"tiny": tinyModule("_start", 0), "GoHello": hello} {
		b.Run(name+"/wazero", func(b *testing.B) { benchWazero(b, code) })
		b.Run(name+"/executor", func(b *testing.B) { benchExecutor(b, code, 1) })
		b.Run(name+"/executor-64-clients", func(b *testing.B) { benchExecutor(b, code, 64) })
	}
}

func benchWazero(b *testing.B, code []byte) {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	compiled, err := rt.CompileModule(ctx, code)
	require.NoError(b, err)
	for b.Loop() {
		mod, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithArgs("guest").
			WithStdout(io.Discard).WithSysWalltime().WithSysNanotime().WithRandSource(rand.Reader))
		require.NoError(b, err)
		_ = mod.Close(ctx)
	}
}

// benchExecutor keeps as many jobs under way as there are clients, of which, as
// a broker would, it lets 20 run side by side.
func benchExecutor(b *testing.B, code []byte, clients int) {
	const capacity = 20
	var mu sync.Mutex
	waiting := map[string]chan *job.Result{}
	r := newRig(b, func(c *Config) {
		c.Logger = nil
		c.Report = func(u Update) {
			if u.Result != nil {
				mu.Lock()
				ch := waiting[u.Key]
				delete(waiting, u.Key)
				mu.Unlock()
				ch <- u.Result
			}
		}
	})
	base := r.module(r.put(code))
	slots := make(chan struct{}, capacity)
	one := func(key string) {
		slots <- struct{}{}
		defer func() { <-slots }()
		done := make(chan *job.Result, 1)
		mu.Lock()
		waiting[key] = done
		mu.Unlock()
		task := base
		task.Key = key
		r.e.Start(task)
		if res := <-done; res.Outcome != job.Succeeded {
			b.Error(res.Reason)
		}
	}
	var warm sync.WaitGroup
	for i := range min(clients, capacity) * 3 {
		warm.Go(func() { one("warm" + strconv.Itoa(i)) })
	}
	warm.Wait()
	keys := make(chan string)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for key := range keys {
				one(key)
			}
		})
	}
	n := 0
	for b.Loop() {
		keys <- strconv.Itoa(n)
		n++
	}
	close(keys)
	wg.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
}
