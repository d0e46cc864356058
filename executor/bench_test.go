package executor

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/urban-compute/ucp/job"
)

// BenchmarkWarm runs the same warm module with wazero alone in this process and through the executor. The
// difference is the cost of the worker processes.
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

// BenchmarkSuspend measures the time from a call of Suspend to the Update with PhaseSuspended, and the same
// for Resume, for a wasm loop and for three native loops in two sessions.
//
//	go test -run '^$' -bench Suspend -benchtime 200x ./executor/
func BenchmarkSuspend(b *testing.B) {
	const loops = "while :; do :; done & setsid sh -c 'while :; do :; done' & echo ready; while :; do :; done"
	for name, of := range map[string]func(*rig) Task{
		"wasm":    func(r *rig) Task { return r.wasm("loop") },
		"process": func(r *rig) Task { return r.sh(loops) },
	} {
		b.Run(name, func(b *testing.B) {
			told := make(chan Phase, 1)
			r := newRig(b, native, func(c *Config) {
				c.Logger = nil
				c.Report = func(u Update) {
					if u.Result == nil {
						told <- u.Phase
					}
				}
			})
			task := of(r)
			r.e.Start(task)
			<-told
			if name == "process" {
				r.says(task, "ready")
			}
			var worst, stopping, going time.Duration
			for b.Loop() {
				begin := time.Now()
				r.e.Suspend(task.Key, task.Attempt)
				<-told
				d := time.Since(begin)
				stopping, worst = stopping+d, max(worst, d)
				begin = time.Now()
				r.e.Resume(task.Key, task.Attempt)
				<-told
				going += time.Since(begin)
			}
			b.ReportMetric(float64(stopping.Microseconds())/float64(b.N), "suspend-us")
			b.ReportMetric(float64(worst.Microseconds()), "suspend-max-us")
			b.ReportMetric(float64(going.Microseconds())/float64(b.N), "resume-us")
		})
	}
}

// BenchmarkUsage measures one call with eight wasm jobs, and with eight native jobs, for which Usage reads
// the stat files of all processes of the machine.
func BenchmarkUsage(b *testing.B) {
	for name, driver := range map[string]job.Driver{"wasm": job.Wasm, "process": job.Process} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, native, func(c *Config) { c.Logger = nil })
			for range 8 {
				task := r.wasm("sleep", "1h")
				if driver == job.Process {
					task = r.sh("sleep 1000")
				}
				r.e.Start(task)
				r.started(task)
			}
			for b.Loop() {
				if u := r.e.Usage(); len(u.Tasks) != 8 {
					b.Fatal(u)
				}
			}
			b.ReportMetric(float64(len(processes())), "processes")
		})
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

// benchExecutor keeps as many jobs under way as there are clients. As a broker would, it runs 20 of them at a
// time.
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

// BenchmarkNative measures a native job that does nothing, from Start to its end, in a sandbox and without one.
//
//	go test -run '^$' -bench Native -count 5 ./executor/
func BenchmarkNative(b *testing.B) {
	for name, how := range map[string]func(*Config){"sandbox": native, "bare": bare} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, how, func(c *Config) { c.Logger = nil })
			task := r.sh("")
			task.Spec.Command, task.Spec.Args = "true", nil
			for b.Loop() {
				r.n++
				task.Key = "job/" + strconv.Itoa(r.n)
				r.mu.Lock()
				r.updates = nil
				r.mu.Unlock()
				r.run(task)
			}
		})
	}
}

// BenchmarkStartWorker measures the time from the decision to start a worker until it answers, behind its fence and without one.
//
//	go test -run '^$' -bench StartWorker ./executor/
func BenchmarkStartWorker(b *testing.B) {
	for name, off := range map[string]bool{"fence": false, "none": true} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(c *Config) { c.Logger, c.IdleWorkers, c.Sandbox.Off = nil, -1, off })
			for b.Loop() {
				w, err := r.e.pool.start(forModules)
				require.NoError(b, err)
				require.NoError(b, w.send(toWorker{Ping: true}))
				<-w.in
				b.StopTimer()
				w.end(0)
				for range w.in { // until it is dead
				}
				b.StartTimer()
			}
		})
	}
}
