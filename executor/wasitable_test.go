package executor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// TestWASITable runs the public suite under other engines beside ours, and logs how many tests each of them passes, for
// docs/performance.md. What is not on this machine is named. It needs UCP_FIGURES.
func TestWASITable(t *testing.T) {
	if os.Getenv("UCP_FIGURES") == "" {
		t.Skip("set UCP_FIGURES=1")
	}
	_, modules := suiteModules(t)
	runner, err := filepath.Abs("testdata/wasisuite")
	require.NoError(t, err)
	r := newRig(t)
	engines := []struct {
		name string
		run  func(file string) (why string)
	}{
		{"ucp", r.suite},
		{"wasmtime", suiteUnder(t, wasmtimeCommand(t, runner))},
		{"node", suiteUnder(t, exec.Command("node", "--no-warnings", filepath.Join(runner, "run.mjs")))},
		{"wazero", func(file string) string { return compareSuite(t, file, bareWazero) }},
	}
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var failed []string
			for _, file := range modules {
				if why := e.run(file); why != "" {
					failed = append(failed, fmt.Sprintf("%s/%s: %.100q", filepath.Base(filepath.Dir(file)), filepath.Base(file), why))
				}
			}
			t.Logf("%d of %d pass; these do not:\n%s", len(modules)-len(failed), len(modules), strings.Join(failed, "\n"))
		})
	}
}

// wasmtimeCommand builds the program that runs modules under wasmtime.
func wasmtimeCommand(t *testing.T, dir string) *exec.Cmd {
	program := filepath.Join(t.TempDir(), "wasisuite")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("NOT MEASURED: wasmtime can't be had here: %s", out)
	}
	return exec.Command(program)
}

// suiteUnder runs tests of the suite by a command, to which module, directory, environment and arguments are added.
func suiteUnder(t *testing.T, command *exec.Cmd) func(file string) string {
	if command.Err != nil {
		t.Logf("NOT MEASURED: %v", command.Err)
	}
	return func(file string) string {
		return compareSuite(t, file, func(s suiteTest, file, dir string) (stdout, stderr string, code int, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := append(slices.Clone(command.Args[1:]), file, dir)
			for name, value := range s.Env {
				args = append(args, name+"="+value)
			}
			c := exec.CommandContext(ctx, command.Path, append(append(args, "--"), s.Args...)...)
			var out, said bytes.Buffer
			c.Stdin, c.Stdout, c.Stderr = strings.NewReader(s.Stdin), &out, &said
			err = c.Run()
			if errors.As(err, new(*exec.ExitError)) && ctx.Err() == nil {
				err = nil
			}
			return out.String(), said.String(), c.ProcessState.ExitCode(), err
		})
	}
}

// bareWazero runs a module with the engine's own WASI and mount of a directory.
func bareWazero(s suiteTest, file, dir string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	wasm, err := os.ReadFile(file)
	if err != nil {
		return "", "", 0, err
	}
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	defer rt.Close(ctx)
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return "", "", 0, err
	}
	var out, said bytes.Buffer
	c := wazero.NewModuleConfig().WithArgs(append([]string{filepath.Base(file)}, s.Args...)...).
		WithStdin(strings.NewReader(s.Stdin)).WithStdout(&out).WithStderr(&said).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		c = c.WithEnv(name, s.Env[name])
	}
	if dir != "" {
		c = c.WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/"))
	}
	_, err = rt.InstantiateWithConfig(ctx, wasm, c)
	var exit *sys.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		code, err = int(exit.ExitCode()), nil
	}
	return out.String(), said.String(), code, err
}

// compareSuite runs one test with a fresh copy of its directory, and says why it failed, or nothing.
func compareSuite(t *testing.T, file string, run func(s suiteTest, file, dir string) (stdout, stderr string, code int, err error)) string {
	s := readSuiteTest(t, file)
	dir := ""
	if s.Root != "" {
		dir = t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(filepath.Dir(file), s.Root))))
	}
	stdout, stderr, code, err := run(s, file, dir)
	if err != nil {
		return err.Error()
	}
	return s.compare(code, stdout, stderr)
}
