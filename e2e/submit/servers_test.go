package submit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/test/load"
)

// clients is how many keep-alive connections submit at once.
const clients = 64

// serveBroker is one real broker; args: its name, its folder, and whom to join. It
// runs nothing: no job of the benchmark fits any broker.
func serveBroker(args []string, up func(addresses), stop <-chan struct{}) error {
	cfg := node.Config{
		Name: args[0], DataDir: args[1], Join: args[2:], Replicas: 2,
		Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0",
		Logger: slog.New(slog.NewJSONHandler(&firstLine{tell: func(line []byte) {
			var a addresses
			if err := json.Unmarshal(line, &a); err == nil && a.HTTP != "" {
				up(a)
			}
		}}, nil)),
		Runner: func(node.RunnerConfig) (node.Runner, error) { return noRunner{}, nil },
	}
	if f := city.Of(cfg.DataDir); f.Held() {
		self, err := city.Open(f, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		cfg.City = self
	}
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var pace sync.WaitGroup
	pace.Go(func() { node.PaceCollector(ctx) }) // as the agent does
	defer pace.Wait()
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the broker has ended: %w", err)
	case <-stop:
	}
	err = n.Close() // at once: handing its jobs over is not what is measured
	if ran := <-ended; !errors.Is(ran, httpd.ErrStopped) {
		err = errors.Join(err, ran)
	}
	return err
}

// firstLine passes on the log line that names what was bound.
type firstLine struct{ tell func([]byte) }

func (f *firstLine) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"broker is up"`)) {
		f.tell(b)
	}
	return len(b), nil
}

type noRunner struct{}

func (noRunner) Start(t executor.Task)      { panic("a job runs: " + t.Key) }
func (noRunner) Stop(string, string)        {}
func (noRunner) StopAndKeep(string, string) {}
func (noRunner) Suspend(string, string)     {}
func (noRunner) Resume(string, string)      {}
func (noRunner) Prepare(job.Digest)         {}
func (noRunner) FreeDisk(int64) int64       { return 0 }
func (noRunner) Close() error               { return nil }

func (noRunner) Probe(context.Context) error { return nil }

// servePipeline is one stage of the bare pipeline; args: its name, its folder, and
// the next stage's address if there is one.
func servePipeline(args []string, up func(addresses), stop <-chan struct{}) error {
	return load.ServePipeline(args[1], strings.Join(args[2:], ""), func(addr string) { up(addresses{HTTP: addr}) }, stop)
}
