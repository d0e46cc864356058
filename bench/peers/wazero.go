package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/urban-compute/ucp/test/load"
)

// wazero measures the engine alone: one process that has compiled the module, and runs it again and again.
func (r *round) wazero() error {
	_, line, err := r.self("wazero", r.program("hello.wasm"))
	if err != nil {
		return err
	}
	p50, err := time.ParseDuration(line)
	r.figures["wazero-p50"] = ms(p50)
	return err
}

// serveWazero runs a module for some seconds in this process, and prints the median time that it took.
func serveWazero(path string) error {
	module, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.CompileModule(ctx, module)
	if err != nil {
		return err
	}
	var took []time.Duration
	for i, end := 0, time.Now().Add(4*time.Second); time.Now().Before(end); i++ {
		begin := time.Now()
		var out bytes.Buffer
		mod, err := r.InstantiateModule(ctx, m, wazero.NewModuleConfig().WithName(fmt.Sprint(i)).WithStdout(&out).WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime())
		var exit *sys.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 0) {
			return err
		}
		if mod != nil {
			if err := mod.Close(ctx); err != nil {
				return err
			}
		}
		if out.String() != "hello\n" {
			return fmt.Errorf("the module has written %q", out.String())
		}
		if i > 0 { // the first one touches all memory
			took = append(took, time.Since(begin))
		}
	}
	slices.Sort(took)
	fmt.Println(load.Quantile(took, 0.5))
	return nil
}
