// Package submit measures what a durable submission costs: three brokers in
// processes of their own, real disks, real HTTP on loopback, real gossip, beside a
// bare pipeline that does the same for each request without us. It has benchmarks
// only; docs/performance.md has the figures, and how to take them.
package submit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This test binary is the load generator, and in other roles each of the servers: so
// that every one of them has a heap, a garbage collector and a profile of its own.
const (
	roleVar    = "UCP_BENCH_ROLE"
	profileVar = "UCP_BENCH_PROFILES" // a folder; each server leaves its profiles there
)

// roles maps names to what a server process does. It says where it listens by calling
// up once, and ends when stop is closed.
var roles = map[string]func(args []string, up func(addresses), stop <-chan struct{}) error{
	"broker":   serveBroker,
	"pipeline": servePipeline,
}

// addresses are what a server has bound.
type addresses struct{ HTTP, Gossip string }

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := serve(role, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s %v: %v\n", role, os.Args[1:], err)
		os.Exit(1)
	}
}

// serve runs a role until standard input ends: a server never outlives the process
// that started it.
func serve(role string, args []string) error {
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ended it, it is the end
		close(stop)
	}()
	done, err := profile(args[0])
	if err != nil {
		return err
	}
	err = roles[role](args, func(a addresses) {
		b, _ := json.Marshal(a) // two strings
		fmt.Printf("%s\n", b)
	}, stop)
	return errors.Join(err, done())
}

// profile starts the profiles of this process, if they are wanted; done writes them.
func profile(name string) (done func() error, err error) {
	dir := os.Getenv(profileVar)
	if dir == "" {
		return func() error { return nil }, nil
	}
	runtime.SetMutexProfileFraction(10)
	runtime.SetBlockProfileRate(10_000)
	file := func(kind string) (*os.File, error) {
		return os.Create(filepath.Join(dir, fmt.Sprintf("%s.%d.%s", name, os.Getpid(), kind)))
	}
	cpu, err := file("cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, kind := range []string{"mutex", "block", "allocs"} {
			f, err := file(kind)
			if err == nil {
				err = pprof.Lookup(kind).WriteTo(f, 0)
				errs = append(errs, f.Close())
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}, nil
}

// start runs a role in a process of its own, and waits until it listens. The process
// ends with stop, which tells the CPU time that it has used, or with the benchmark.
func start(tb testing.TB, role string, args ...string) (a addresses, stop func() (used time.Duration)) {
	tb.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(tb, err)
	out, err := cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, cmd.Start())
	ended := false
	stop = func() time.Duration {
		if ended {
			return 0
		}
		ended = true
		require.NoError(tb, in.Close())
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }) // Wait says so
		defer late.Stop()
		require.NoError(tb, cmd.Wait(), "%s %s", role, strings.Join(args, " "))
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	tb.Cleanup(func() { stop() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(tb, err, "%s %s says nothing", role, strings.Join(args, " "))
	require.NoError(tb, json.Unmarshal(line, &a))
	return a, stop
}
