package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
)

// startWithin is how long a broker may take until it says what it has bound, on a
// machine that has other things to do.
const startWithin = 30 * time.Second

// broker is one real broker: a directory, its ports, and the process that runs at
// the moment. Only the goroutine that makes the faults starts and ends processes;
// anybody may ask for the client.
type broker struct {
	name, disk, log string
	program         string
	args            []string
	peers           func() []string // gossip addresses of the others

	gossip, http, rpc string // once bound they stay
	cmd               *exec.Cmd
	up                chan bound    // told once for each process
	done              chan struct{} // closed when the process is gone and its log complete
	ending            atomic.Bool   // we are ending it
	surprises         atomic.Int64  // it ended without our doing
	client            atomic.Pointer[api.Client]
}

// bound is the first line of a broker's log.
type bound struct{ Msg, Gossip, RPC, HTTP string }

// spawn starts a process; it does not wait until that is up.
func (b *broker) spawn() error {
	out, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	args := append([]string{
		"agent", "--name", b.name, "--data-dir", b.disk, "--log-format", "json", "--allow-process",
		"--bind", orFree(b.gossip), "--http-addr", orFree(b.http), "--rpc-addr", orFree(b.rpc),
	}, b.args...)
	for _, peer := range b.peers() {
		args = append(args, "--retry-join", peer)
	}
	b.cmd = exec.Command(b.program, args...)
	// A group of its own: an interrupt at the terminal is for us, who then end it.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.Env = environment()
	stderr, err := b.cmd.StderrPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		out.Close()
		return fmt.Errorf("starting %s: %w", b.name, err)
	}
	b.ending.Store(false)
	b.up, b.done = make(chan bound, 1), make(chan struct{})
	go b.follow(b.cmd, stderr, out, b.up, b.done)
	return nil
}

func orFree(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}

// environment is ours without settings of some agent of the caller's.
func environment() (out []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "UCP_") {
			out = append(out, v)
		}
	}
	return out
}

// follow copies a process' log to its file until the process ends.
func (b *broker) follow(cmd *exec.Cmd, stderr io.Reader, out *os.File, up chan<- bound, done chan<- struct{}) {
	defer close(done)
	defer out.Close()
	told := false
	for lines := bufio.NewReader(stderr); ; {
		line, err := lines.ReadString('\n')
		_, _ = out.WriteString(line) // a log that can't be written must not stop the broker
		var first bound
		if !told && json.Unmarshal([]byte(line), &first) == nil && first.Msg == "broker is up" {
			told = true
			up <- first
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait() // how it ended is read from ProcessState
	if told && !b.ending.Load() {
		b.surprises.Add(1)
		fmt.Fprintf(out, "chaos: the process has ended by itself: %v\n", cmd.ProcessState)
	}
}

var errEnded = errors.New("it has ended at its start")

// start starts a process and waits until it is up. When one of its ports has been
// taken meanwhile it gets new ones.
func (b *broker) start() error {
	if err := b.spawn(); err != nil {
		return err
	}
	err := b.await()
	if !errors.Is(err, errEnded) {
		return err
	}
	b.gossip, b.http, b.rpc = "", "", ""
	if err := b.spawn(); err != nil {
		return err
	}
	return b.await()
}

// await waits until the process that was spawned is up.
func (b *broker) await() error {
	late := time.NewTimer(startWithin)
	defer late.Stop()
	select {
	case u := <-b.up:
		b.gossip, b.http, b.rpc = u.Gossip, u.HTTP, u.RPC
		c, err := api.New(u.HTTP)
		if err != nil {
			return err
		}
		if old := b.client.Swap(c); old != nil {
			old.Close()
		}
		return nil
	case <-b.done:
		return fmt.Errorf("broker %s: %w: %v; its log is %s", b.name, errEnded, b.cmd.ProcessState, b.log)
	case <-late.C:
		return fmt.Errorf("broker %s is not up after %v; its log is %s", b.name, startWithin, b.log)
	}
}

// signal sends a signal to the process, if it still runs.
func (b *broker) signal(s syscall.Signal) {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		b.ending.Store(true)
	}
	if b.cmd != nil && b.cmd.Process != nil {
		_ = b.cmd.Process.Signal(s) // fails when it has ended, which is as well
	}
}

// gone waits until the process has ended.
func (b *broker) gone(within time.Duration) error {
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-b.done:
		return nil
	case <-late.C:
		return fmt.Errorf("broker %s still runs after %v; its log is %s", b.name, within, b.log)
	}
}

// newBroker makes one of the brokers; it does not start it.
func newBroker(o options, name string) (*broker, error) {
	dir := filepath.Join(o.dir, "brokers", name)
	b := &broker{
		name: name, disk: filepath.Join(dir, "disk"), log: filepath.Join(dir, "log"), program: o.ucp,
		args: []string{
			"--sync-interval", o.syncInterval.String(), "--isolation-delay", o.isolation.String(),
			"--redeploy-delay", o.wait.String(), "--drain-timeout", "5s",
		},
	}
	return b, os.MkdirAll(dir, 0o700)
}
