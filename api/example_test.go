package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
)

// TestMain is also the body of a worker and of a spawner: the brokers of the examples start this binary again with the
// arguments "worker" and "spawner".
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		err = executor.RunWorker(context.Background(), os.Stdin, os.Stdout)
	case len(os.Args) > 1 && os.Args[1] == "spawner":
		err = executor.RunSpawner()
	default:
		goleak.VerifyTestMain(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startBroker runs a broker in this process, alone, until stop is called. A program has the address of one that runs
// already, or of several with commas between them.
func startBroker() (addr string, stop func()) {
	dir, err := os.MkdirTemp("", "ucp-example-")
	if err != nil {
		panic(err)
	}
	socket := filepath.Join(dir, "http")
	n, err := node.New(node.Config{
		Name: "a", Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0", HTTPSocket: socket, DataDir: filepath.Join(dir, "data"),
		AllowProcess: true, Replicas: 1, DrainTimeout: -1,
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	addr = "unix:" + socket
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(time.Minute); c.Ready(ctx) != nil; {
		if time.Now().After(deadline) {
			panic("the broker of an example is not ready")
		}
		_ = api.Sleep(ctx, 10*time.Millisecond)
	}
	return addr, func() {
		cancel()
		if err := errors.Join(<-done, os.RemoveAll(dir)); err != nil {
			panic(err)
		}
	}
}

// A program, and what it reads, are uploaded first; the job names them. With an ID the submission may be repeated.
func ExampleClient_Submit() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	content := api.Bytes([]byte("the river rises\n"))
	text, err := api.Measure(content)
	if err != nil {
		panic(err)
	}
	if _, err := c.PutBlob(ctx, text, content); err != nil {
		panic(err)
	}
	spec := job.Spec{Command: "/usr/bin/wc", Args: []string{"-w"}, Stdin: text.Digest, Priority: job.Priority{User: job.DefaultUser}}
	s, err := c.Submit(ctx, spec, api.SubmitOptions{ID: "words-1"})
	if err != nil {
		panic(err)
	}
	j, err := c.Wait(ctx, string(s.ID), api.WaitOptions{Others: true})
	if err != nil {
		panic(err)
	}
	fmt.Println(j.ID, j.State, *j.ExitCode)
	out, err := c.Stdout(ctx, string(j.ID))
	if err != nil {
		panic(err)
	}
	defer out.Close()
	count, err := io.ReadAll(out)
	fmt.Println(strings.TrimSpace(string(count)), err)
	// Output:
	// words-1 succeeded 0
	// 3 <nil>
}

// How urgent a job is: what a user says, 0 to 10, the level of an emergency, and until when it is of use. A dry run says
// what would become of it.
func ExampleClient_DryRun() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	urgent := job.Spec{
		Command: "true", Priority: job.Priority{User: 9, Emergency: "high"}, DeadlineIn: clock.Duration(time.Hour),
		Labels: map[string]string{"district": "7"},
	}
	dry, err := c.DryRun(ctx, urgent, "")
	if err != nil {
		panic(err)
	}
	for _, at := range dry.Brokers {
		fmt.Println("at", at.Broker, "it starts at once:", at.Starts)
	}
	s, err := c.Submit(ctx, urgent, api.SubmitOptions{Wait: api.MaxWait})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Job.State, s.Job.Spec.Priority.User, s.Job.Spec.Priority.Emergency)
	// Output:
	// at a it starts at once: true
	// succeeded 9 high
}

// By which strategy conflicts are decided, at all brokers.
func ExampleClient_SetStrategy() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	if _, err := c.SetStrategy(ctx, "edf", true); err != nil {
		panic(err)
	}
	s, err := c.Strategy(ctx)
	fmt.Println(s.Strategy, err)
	_, err = c.SetStrategy(ctx, "edf2", true)
	var refused *api.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Code)
	}
	// Output:
	// edf <nil>
	// 422 invalid
}

// What a broker has decided between jobs that could not all run.
func ExampleClient_ConflictStatistics() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	for _, id := range []job.ID{"first", "second"} {
		spec := job.Spec{Command: "sleep", Args: []string{"60"}, Exclusive: "crane", Priority: job.Priority{User: job.DefaultUser}}
		if _, err := c.Submit(ctx, spec, api.SubmitOptions{ID: id}); err != nil {
			panic(err)
		}
	}
	s, err := c.ConflictStatistics(ctx)
	for deadline := time.Now().Add(time.Minute); err == nil && (s.RunningJobs != 1 || s.PendingConflicts != 1) && time.Now().Before(deadline); s, err = c.ConflictStatistics(ctx) {
		_ = api.Sleep(ctx, 10*time.Millisecond)
	}
	fmt.Println(s.CurrentStrategy, s.RunningJobs, "runs,", s.PendingConflicts, "waits", err)
	for _, id := range []string{"second", "first"} {
		if _, err := c.Cancel(ctx, id); err != nil {
			panic(err)
		}
	}
	// Output:
	// causal 1 runs, 1 waits <nil>
}

// How a broker stands to the others, and how they are.
func ExampleClient_CoordinationNow() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	s, err := c.CoordinationNow(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Name, "hears", s.HealthyPeers, "of", s.TotalPeers, "and runs:", s.CoordinatorRunning)
	for name, peer := range s.PeerBrokers {
		fmt.Println(name, peer.Health)
	}
	// Output: a hears 0 of 0 and runs: true
}

// A name stands for versions of data; the latest is what jobs read that name it.
func ExampleClient_PutData() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	known := api.NoVersion
	for _, level := range []string{"4.2 m", "4.3 m"} {
		b, err := api.Measure(api.Bytes([]byte(level)))
		if err != nil {
			panic(err)
		}
		if _, err := c.PutBlob(ctx, b, api.Bytes([]byte(level))); err != nil {
			panic(err)
		}
		d, err := c.PutData(ctx, "sensors/river/today", b.Digest, false, known) // only if nobody has written meanwhile
		if err != nil {
			panic(err)
		}
		known = d.Latest.Version
	}
	d, err := c.Data(ctx, "sensors/river/today")
	if err != nil {
		panic(err)
	}
	r, err := c.DataContent(ctx, d.Name, "", "")
	if err != nil {
		panic(err)
	}
	defer r.Close()
	latest, err := io.ReadAll(r)
	fmt.Println(len(d.Versions), "versions, the latest:", string(latest), err)
	// Output: 2 versions, the latest: 4.3 m <nil>
}

// An emergency is declared, and cleared for good.
func ExampleClient_Declare() {
	addr, stop := startBroker()
	defer stop()
	ctx := context.Background()
	c, err := api.New(addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	e, created, err := c.Declare(ctx, emergency.Declaration{ID: "flood-7", Type: "flood", Level: "high", Message: "the river is over its banks"})
	if err != nil {
		panic(err)
	}
	fmt.Println(e.ID, e.Level, "new:", created, "in force at", e.Brokers[0].Broker)
	e, err = c.ClearEmergency(ctx, "flood-7", false)
	fmt.Println(e.ID, "active:", e.Active, err)
	// Output:
	// flood-7 high new: true in force at a
	// flood-7 active: false <nil>
}
