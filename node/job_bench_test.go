package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	wsys "github.com/tetratelabs/wazero/sys"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// tinyModule is a WebAssembly module whose _start returns at once:
// (module (memory (export "memory") 1) (func (export "_start"))).
var tinyModule = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 4, 1, 0x60, 0, 0, // one type: func()
	3, 2, 1, 0, // one function of it
	5, 3, 1, 0, 1, // one memory of one page
	7, 19, 2, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0, 6, '_', 's', 't', 'a', 'r', 't', 0, 0,
	10, 4, 1, 2, 0, 0x0b, // its body: end
}

// helloModule builds a Go program that prints a line, for wasip1.
func helloModule(b *testing.B) []byte {
	dir := b.TempDir()
	src := filepath.Join(dir, "hello.go")
	require.NoError(b, os.WriteFile(src, []byte("package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n"), 0o644))
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "hello.wasm"), src)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, string(out))
	module, err := os.ReadFile(filepath.Join(dir, "hello.wasm"))
	require.NoError(b, err)
	return module
}

// benchBroker starts one broker with real workers, and uploads a module.
func benchBroker(b *testing.B, module []byte) (*api.Client, job.Spec) {
	ctx, cancel := context.WithCancel(context.Background())
	n, err := New(Config{Name: "a", DataDir: b.TempDir(), Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0", Replicas: 1})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	client, err := api.New(n.listener.Addr().String(), api.WithTransport(&http.Transport{MaxIdleConnsPerHost: submitters}))
	require.NoError(b, err)
	b.Cleanup(func() {
		client.Close()
		cancel()
		require.NoError(b, <-done)
	})
	blob := api.Blob{Digest: job.Digest(digest(module)), Size: int64(len(module))}
	_, err = client.PutBlob(ctx, blob, api.Bytes(module))
	require.NoError(b, err)
	spec := job.Spec{Driver: job.Wasm, Module: blob.Digest, Priority: job.Priority{User: job.DefaultUser}}
	runJob(b, client, spec) // compile
	return client, spec
}

func runJob(b *testing.B, c *api.Client, spec job.Spec) {
	s, err := c.Submit(context.Background(), spec, api.SubmitOptions{Wait: api.MaxWait})
	if err != nil || s.Job == nil || s.Job.State != job.StateSucceeded {
		b.Errorf("%v %+v", err, s.Job)
	}
}

// BenchmarkWarmJob is a Go hello world, from submission to result over HTTP, one
// client, one broker. Compare with BenchmarkWazeroAlone in the same run.
func BenchmarkWarmJob(b *testing.B) {
	client, spec := benchBroker(b, helloModule(b))
	b.ResetTimer()
	for range b.N {
		runJob(b, client, spec)
	}
}

// BenchmarkWazeroAlone is what wazero itself takes to instantiate and run the same
// module, compiled already.
func BenchmarkWazeroAlone(b *testing.B) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.CompileModule(ctx, helloModule(b))
	require.NoError(b, err)
	b.ResetTimer()
	for i := range b.N {
		var out bytes.Buffer
		cfg := wazero.NewModuleConfig().WithName(fmt.Sprint(i)).WithStdout(&out).WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime()
		mod, err := r.InstantiateModule(ctx, m, cfg)
		if exit, ok := err.(*wsys.ExitError); err != nil && (!ok || exit.ExitCode() != 0) {
			b.Fatal(err)
		}
		if mod != nil {
			require.NoError(b, mod.Close(ctx))
		}
		require.Equal(b, "hello\n", out.String())
	}
}

// BenchmarkTrivialJobs is how many jobs that do nothing one broker takes from 64
// clients, from submission to result over HTTP.
func BenchmarkTrivialJobs(b *testing.B) {
	client, spec := benchBroker(b, tinyModule)
	var n atomic.Int64
	b.SetParallelism(submitters / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			runJob(b, client, spec)
			n.Add(1)
		}
	})
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "jobs/s")
}
