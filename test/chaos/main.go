// Command chaos checks what the broker promises (docs/design.md, "What it promises")
// with real processes: it starts a cluster, lets clients submit jobs, and meanwhile
// kills and stops brokers, exchanges their disks, takes their file descriptors and
// disk space, cuts and spoils the links between them, in a fault schedule that the
// seed gives. Then it heals everything, waits, and checks. docs/testing.md lists the checks,
// `chaos -h` the flags, `chaos -plan` the story that a seed tells.
//
// As root each broker has a network namespace of its own. Without, and where the
// machine does not permit it, brokers are on loopback; the faults that need more are
// left out, and a banner says which.
//
// Each fault is one small type with Begin and End, one family a file:
// fault_process.go, fault_disk.go, fault_few.go, fault_network.go. What is checked
// stands in check_*.go. The jobs run this same program, which notes in a file when it
// starts, that it goes on, and when it ends.
//
// The rules that comments cite, such as A3, are defined in docs/protocol.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// options are the flags.
type options struct {
	ucp, wasm, dir  string
	brokers         int // beside one that joins later
	jobs, clients   int
	over, settle    time.Duration
	soak            time.Duration
	seed            uint64
	only            string // kinds of faults, with commas
	loopback        bool
	keep, plan      bool
	city            bool
	syncInterval    time.Duration
	isolation, wait time.Duration // --isolation-delay, --redeploy-delay

	barred map[need]string // what this machine lacks, and why
	set    *flag.FlagSet   // as they were given
}

// notRepeated are the flags that do not change what happens to the cluster.
var notRepeated = []string{"ucp", "wasm", "dir", "keep", "soak", "plan"}

// declare declares the flags.
func declare(fs *flag.FlagSet) *options {
	o := &options{barred: map[need]string{}, set: fs}
	fs.StringVar(&o.ucp, "ucp", "bin/ucp", "the broker's `program`")
	fs.StringVar(&o.wasm, "wasm", "", "examples/words as a WebAssembly `module`: some jobs run it (none: native jobs only)")
	fs.StringVar(&o.dir, "dir", "", "an empty or new `directory` for disks and logs (default: a temporary one)")
	fs.BoolVar(&o.keep, "keep", false, "keep the directory; it stays anyhow when something is wrong")
	fs.IntVar(&o.brokers, "brokers", 4, "brokers at the start; one more joins later")
	fs.IntVar(&o.jobs, "jobs", 1000, "jobs that are submitted in a round")
	fs.IntVar(&o.clients, "clients", 8, "clients that submit them")
	fs.DurationVar(&o.over, "over", 80*time.Second, "time of a round over which jobs are submitted and faults begin")
	fs.DurationVar(&o.settle, "settle", 2*time.Minute, "time after the last fault in which all must end")
	fs.DurationVar(&o.soak, "soak", 0, "go on with fresh seeds, a new cluster for each, for so long")
	fs.Uint64Var(&o.seed, "seed", 0, "of the faults and jobs (default: from the clock)")
	fs.StringVar(&o.only, "faults", "", "only these `kinds` of faults, with commas (default: all): "+strings.Join(kindNames(), ", "))
	fs.BoolVar(&o.loopback, "loopback", false, "brokers on loopback, also for root: no faults of the network")
	fs.BoolVar(&o.city, "city", false, "the brokers are a city: they know each other by their keys, and all between them is encrypted and signed")
	fs.BoolVar(&o.plan, "plan", false, "tell the story that the seed gives, and do nothing")
	fs.DurationVar(&o.syncInterval, "sync-interval", 5*time.Second, "--sync-interval of the brokers")
	fs.DurationVar(&o.isolation, "isolation-delay", 10*time.Second, "--isolation-delay of the brokers")
	fs.DurationVar(&o.wait, "redeploy-delay", time.Second, "--redeploy-delay of the brokers")
	return o
}

// flags reads the command line; without -seed the clock gives one.
func flags() *options {
	o := declare(flag.CommandLine)
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return o
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == guestVerb {
		os.Exit(guest(os.Args[2:]))
	}
	o := flags()
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if o.plan {
		tellPlan(os.Stdout, o)
		return
	}
	if o.loopback {
		o.bar("-loopback was given", onNetwork, inBox)
	} else if code, inside, why := rig.Box(); why != nil {
		o.bar(why.Error(), onNetwork, inBox)
	} else if !inside {
		os.Exit(code)
	}
	o.barMachine()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ok, err := soak(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// check refuses what makes no sense.
func (o *options) check() error {
	if o.brokers < 3 || o.brokers > 20 {
		return fmt.Errorf("-brokers %d: give 3 to 20", o.brokers)
	}
	for _, name := range o.kinds() {
		if !isKind(name) {
			return fmt.Errorf("-faults: unknown kind %q; want some of %s", name, strings.Join(kindNames(), ", "))
		}
	}
	return nil
}

// kinds are the kinds of faults that were asked for; none means all.
func (o *options) kinds() []string {
	return strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
}

// bar takes note of what can't be done here.
func (o *options) bar(why string, what ...need) {
	for _, n := range what {
		o.barred[n] = why
	}
}

// soak runs one round, or rounds with fresh seeds for as long as was asked for, and
// sums them up.
func soak(ctx context.Context, o *options) (ok bool, err error) {
	banner(os.Stdout, o)
	begin, ok := time.Now(), true
	sum := newReport()
	for n := 0; n == 0 || time.Since(begin) < o.soak; n++ {
		one := *o
		one.seed = o.seed + uint64(n)
		if o.dir != "" && o.soak > 0 {
			one.dir = filepath.Join(o.dir, fmt.Sprint(one.seed))
		}
		r, err := round(ctx, &one)
		if err != nil {
			return false, err
		}
		ok = ok && r.good()
		sum.add(r)
		if o.soak > 0 {
			fmt.Printf("\n=== after %v: %d rounds, %d jobs acknowledged\n\n", time.Since(begin).Round(time.Second), n+1, sum.acknowledged)
		}
	}
	if o.soak > 0 {
		fmt.Printf("=== all rounds, seeds %d to %d\n", o.seed, o.seed+uint64(sum.rounds)-1)
		sum.print(os.Stdout)
		banner(os.Stdout, o)
	}
	return ok, nil
}

// round is one cluster, from its start to the report. What is wrong keeps the
// directory: disks, logs, digests, the notes of all jobs, and the report.
func round(ctx context.Context, o *options) (r *report, err error) {
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", fmt.Sprintf("ucp-chaos-%d-", os.Getpid()))
	} else {
		o.dir, err = filepath.Abs(o.dir)
	}
	if err != nil {
		return nil, err
	}
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		p := recover()
		keep := p != nil || err != nil || !r.good() || o.keep
		w.end(keep)
		if keep {
			fmt.Printf("\nlogs, digests, disks and the notes of all runs are in %s\n", o.dir)
			fmt.Printf("the same faults and jobs again:  %s\n", o.again())
		} else {
			err = os.RemoveAll(o.dir)
		}
		if p != nil {
			panic(p)
		}
	}()
	fmt.Printf("chaos: seed %d, %d brokers and one that joins, %d jobs over %v, %s\n", o.seed, o.brokers, o.jobs, o.over, w.where())
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	if err := w.storm(ctx); err != nil {
		return nil, err
	}
	if r, err = w.judge(ctx); err != nil {
		return nil, err
	}
	r.print(os.Stdout)
	if !r.good() {
		err = w.save("report", []byte(r.String()))
	}
	return r, err
}

// again is the command that draws the same faults and jobs.
func (o *options) again() string {
	args := fmt.Sprintf("-seed %d", o.seed) // a soak counts it up
	o.set.Visit(func(x *flag.Flag) {
		if x.Name != "seed" && !slices.Contains(notRepeated, x.Name) {
			args += fmt.Sprintf(" -%s=%v", x.Name, x.Value)
		}
	})
	return fmt.Sprintf("make chaos ARGS=%q", args)
}
