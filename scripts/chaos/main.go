// Command chaos tells the truth about "no acknowledged job is lost" by real
// processes (DESIGN.md section 1, sentences 1 and 2; rules A1, A3, J1, J6 to J8).
// It starts three brokers, lets clients submit jobs, and meanwhile kills the
// brokers with SIGKILL, pauses them and sends them away, in every subset and in an
// order that a seed gives. Then it lets them run, waits, and checks:
//
//   - lost: an acknowledged job that some broker does not know, or that is not final
//   - accepted twice: a job for which two results were shown as the accepted one,
//     whether by two brokers or by one at two times; provisional answers may change
//   - ran twice: a job with redeploy: false that was started more than once
//   - ran after: a start at a broker that had shown the job's end before
//   - wrong: a result that the job can't have had, or that none of its runs made
//   - `ucp cluster verify`: all brokers hold the same
//
// It prints a table and ends with exit code 1 when any of this is not as it must
// be. The jobs run this same program, which notes in a file when it starts and ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	ucp, wasm, dir  string
	jobs, clients   int
	over, settle    time.Duration
	maxDown         time.Duration
	seed            uint64
	keep            bool
	syncInterval    time.Duration
	isolation, wait time.Duration // --isolation-delay, --redeploy-delay
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == guestVerb {
		os.Exit(guest(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.ucp, "ucp", "bin/ucp", "the broker's `program`")
	flag.StringVar(&o.wasm, "wasm", "", "examples/words as a WebAssembly `module`: some jobs run it (none: native jobs only)")
	flag.StringVar(&o.dir, "dir", "", "an empty or new `directory` for disks and logs (default: a temporary one)")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory; it stays anyhow when something is wrong")
	flag.IntVar(&o.jobs, "jobs", 2000, "jobs that are submitted")
	flag.IntVar(&o.clients, "clients", 8, "clients that submit them")
	flag.DurationVar(&o.over, "over", 3*time.Minute, "time over which jobs are submitted and faults happen")
	flag.DurationVar(&o.settle, "settle", 2*time.Minute, "time after the last fault in which all must end")
	flag.DurationVar(&o.maxDown, "down", 14*time.Second, "the longest time that a broker stays down or paused")
	flag.Uint64Var(&o.seed, "seed", 0, "of the faults and jobs (default: from the clock)")
	flag.DurationVar(&o.syncInterval, "sync-interval", 5*time.Second, "--sync-interval of the brokers")
	flag.DurationVar(&o.isolation, "isolation-delay", 10*time.Second, "--isolation-delay of the brokers")
	flag.DurationVar(&o.wait, "redeploy-delay", time.Second, "--redeploy-delay of the brokers")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ok, err := chaos(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// chaos is one run; ok says that nothing was found.
func chaos(ctx context.Context, o options) (ok bool, err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "ucp-chaos-"); err != nil {
			return false, err
		}
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return false, err
	}
	defer func() {
		if ok && !o.keep {
			err = os.RemoveAll(o.dir)
			return
		}
		fmt.Printf("\nlogs, disks and the notes of all runs are in %s\n", o.dir)
	}()
	w, err := newWorld(o)
	if err != nil {
		return false, err
	}
	defer w.end()
	fmt.Printf("chaos: seed %d, %d jobs over %v\n", o.seed, o.jobs, o.over)
	if err := w.start(ctx); err != nil {
		return false, err
	}
	if err := w.storm(ctx); err != nil {
		return false, err
	}
	r, err := w.judge(ctx)
	if err != nil {
		return false, err
	}
	r.print(os.Stdout)
	return r.good(), nil
}
