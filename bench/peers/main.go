// Command peers measures ucp beside what its users would pick instead, in one run on one machine: NATS JetStream with three synced
// copies, etcd, and a bare pipeline that does for a job what durable submission costs at least. Only ratios of one run say anything: the machine
// and its other load are the same for all. Each round starts fresh processes on fresh disks, in another order than the round before; what is
// printed are medians of rounds.
//
// It is a module of its own, so that the product needs nothing of what it is compared to. `make bench-peers` builds all programs and runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/test/load"
)

// config is what the command line says.
type config struct {
	rounds           int
	warmup, measured time.Duration
	programs         string // folder of the programs that are compared: ucp, nats-server, etcd, hello.wasm
	before           string // an older ucp, "" for none
	only             string // part of the name of what is measured
	tolerance        float64
	record, check    string
	json             bool
	keep             string // folder that keeps the logs of servers
}

// roleVar makes this program one of the servers: each has a heap and a collector of its own.
const roleVar = "UCP_BENCH_ROLE"

func main() {
	if role := os.Getenv(roleVar); role != "" {
		if err := serve(role, os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	var c config
	flag.IntVar(&c.rounds, "rounds", 5, "how many rounds; figures are medians of them")
	flag.DurationVar(&c.warmup, "warmup", time.Second, "how long each load runs before it counts")
	flag.DurationVar(&c.measured, "measured", 4*time.Second, "how long each load counts")
	flag.StringVar(&c.programs, "programs", "bin", "folder with the programs ucp, nats-server, etcd and hello.wasm")
	flag.StringVar(&c.before, "before", "", "an older `ucp` to compare trivial jobs with")
	flag.StringVar(&c.only, "only", "", "measure only that whose name contains this: submit, batch, trivial, warm")
	flag.StringVar(&c.record, "record", "", "write the ratios to this `file`")
	flag.StringVar(&c.check, "check", "", "compare the ratios with those recorded in this `file`, and fail if one became worse")
	flag.Float64Var(&c.tolerance, "tolerance", 0.2, "how much worse a ratio may be than the recorded one")
	flag.BoolVar(&c.json, "json", false, "print JSON")
	flag.StringVar(&c.keep, "logs", "", "keep the logs of all servers in this `folder`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp("", "ucp-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.programs, err = filepath.Abs(c.programs); err != nil {
		return err
	}
	var rounds []figures
	for i := range c.rounds {
		f := figures{}
		for _, m := range turned(measurements(c), i) {
			if !strings.Contains(m.name, c.only) {
				continue
			}
			at := filepath.Join(dir, fmt.Sprintf("%d-%s", i, strings.ReplaceAll(m.name, "/", "-")))
			if err := errors.Join(os.Mkdir(at, 0o755), ctx.Err()); err != nil {
				return err
			}
			one := &round{ctx: ctx, config: c, dir: at, figures: f}
			err := m.measure(one)
			one.end()
			if err = errors.Join(err, os.RemoveAll(at)); err != nil {
				return fmt.Errorf("round %d, %s: %w", i+1, m.name, err)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d: %s\n", i+1, f)
		rounds = append(rounds, f)
	}
	s := summarise(rounds)
	if c.json {
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	} else {
		s.print(os.Stdout)
	}
	if c.record != "" {
		if err := s.record(c.record); err != nil {
			return err
		}
	}
	if c.check != "" {
		return s.check(c.check, c.tolerance, os.Stdout)
	}
	return nil
}

// turned is a list that begins with another element each round, so that nobody always comes after the same one.
func turned[E any](list []E, by int) []E {
	by %= len(list)
	return append(append([]E{}, list[by:]...), list[:by]...)
}

// serve is this program as one of the servers. It ends with its standard input: a server never outlives who has started it.
func serve(role string, args []string) error {
	stop := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // nothing comes but the end
		close(stop)
	}()
	switch role {
	case "pipeline":
		return load.ServePipeline(args[0], strings.Join(args[1:], ""), func(addr string) { fmt.Println(addr) }, stop)
	case "wazero":
		err := serveWazero(args[0])
		<-stop // what was printed is read until then
		return err
	}
	return errors.New("there is no such server")
}
