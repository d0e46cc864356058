package rig

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
)

// StartWithin is how long a broker may take until it says what it has bound, on a
// machine that has other things to do.
const StartWithin = 30 * time.Second

// Broker is one real broker: a name, a disk, a place in the network, and the process
// that runs at the moment. One goroutine at a time starts and ends its processes;
// anybody may ask for the client and whether it lives.
type Broker struct {
	Name, Disk, Log string
	Program         string
	Args            []string        // beside name, disk, addresses and peers
	Peers           func() []string // gossip addresses of the others
	Place           Place
	City            *City // that it belongs to; nil for none
	Files           int   // file descriptors that the next process may have; 0 is what we have

	Gossip, HTTP string // once bound they stay
	RPC          string

	cmd       *exec.Cmd
	up        chan bound    // told once for each process
	done      chan struct{} // closed when the process is gone and its log complete
	ending    atomic.Bool   // we are ending it
	surprises atomic.Int64  // it ended without our doing
	client    atomic.Pointer[api.Client]
	lives     lives
}

// bound is the first line of a broker's log.
type bound struct{ Msg, Gossip, RPC, HTTP string }

// Spawn starts a process; it does not wait until that is up.
func (b *Broker) Spawn() error {
	if b.City != nil {
		if err := b.City.identify(b); err != nil {
			return err
		}
	}
	out, err := os.OpenFile(b.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", b.Name, err)
	}
	line := b.commandLine()
	b.cmd = exec.Command(line[0], line[1:]...)
	b.cmd.SysProcAttr = ownGroup()
	b.cmd.Env = environment()
	stderr, err := b.cmd.StderrPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		out.Close()
		return fmt.Errorf("starting %s: %w", b.Name, err)
	}
	b.ending.Store(false)
	b.up, b.done = make(chan bound, 1), make(chan struct{})
	go b.follow(b.cmd, stderr, out, b.up, b.done) // ends with the process; Gone waits for it
	return nil
}

// commandLine is the agent, in its place and under its limits.
func (b *Broker) commandLine() []string {
	line := append([]string{}, b.Place.Enter...)
	if b.Files > 0 {
		line = append(line, "sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, b.Files), "sh")
	}
	line = append(line, b.Program, "agent", "--name", b.Name, "--data-dir", b.Disk, "--log-format", "json", "--allow-process",
		"--bind", or(b.Gossip, b.Place.Gossip), "--http-addr", or(b.HTTP, b.Place.HTTP), "--rpc-addr", or(b.RPC, b.Place.RPC))
	line = append(line, b.Args...)
	if b.Place.Insecure && b.City == nil {
		line = append(line, "--insecure")
	}
	for _, peer := range b.Peers() {
		line = append(line, "--retry-join", peer)
	}
	return line
}

func or(addr, otherwise string) string {
	if addr == "" {
		return otherwise
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
func (b *Broker) follow(cmd *exec.Cmd, stderr io.Reader, out *os.File, up chan<- bound, done chan<- struct{}) {
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
	b.lives.end(time.Now())
	if told && !b.ending.Load() {
		b.surprises.Add(1)
		fmt.Fprintf(out, "rig: the process has ended by itself: %v\n", cmd.ProcessState)
	}
}

var errEnded = errors.New("it has ended at its start")

// Start starts a process and waits until it is up. When one of its ports has been
// taken meanwhile it gets new ones.
func (b *Broker) Start() error {
	if err := b.Spawn(); err != nil {
		return err
	}
	err := b.await()
	if !errors.Is(err, errEnded) || b.Place.Insecure { // in a namespace nobody else takes ports
		return err
	}
	b.Gossip, b.HTTP, b.RPC = "", "", ""
	if err := b.Spawn(); err != nil {
		return err
	}
	return b.await()
}

// await waits until the process that was spawned is up.
func (b *Broker) await() error {
	late := time.NewTimer(StartWithin)
	defer late.Stop()
	select {
	case u := <-b.up:
		b.Gossip, b.HTTP, b.RPC = u.Gossip, u.HTTP, or(u.RPC, "-")
		c, err := b.connect(u.HTTP)
		if err != nil {
			return err
		}
		if old := b.client.Swap(c); old != nil {
			old.Close()
		}
		b.lives.begin(time.Now())
		return nil
	case <-b.done:
		return fmt.Errorf("broker %s: %w: %v; its log is %s", b.Name, errEnded, b.cmd.ProcessState, b.Log)
	case <-late.C:
		return fmt.Errorf("broker %s is not up after %v; its log is %s", b.Name, StartWithin, b.Log)
	}
}

// Client talks to the broker; nil before its first start.
func (b *Broker) Client() *api.Client { return b.client.Load() }

// Surprises is how often a process has ended without our doing.
func (b *Broker) Surprises() int { return int(b.surprises.Load()) }

// Pid is the process; 0 when none was started.
func (b *Broker) Pid() int {
	if b.cmd == nil || b.cmd.Process == nil {
		return 0
	}
	return b.cmd.Process.Pid
}

// ProgramThatRuns is a path to the program file of the process, also when another file has taken its place, or none.
// Where the machine has no such path it is that of the file.
func (b *Broker) ProgramThatRuns() string {
	path := fmt.Sprintf("/proc/%d/exe", b.Pid())
	if _, err := os.Stat(path); err != nil {
		return b.Program
	}
	return path
}

// Running reports whether a process was started and has not ended.
func (b *Broker) Running() bool {
	if b.Pid() == 0 {
		return false
	}
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process, if it still runs.
func (b *Broker) Signal(s syscall.Signal) {
	switch s {
	case syscall.SIGKILL, syscall.SIGTERM:
		b.ending.Store(true)
		b.lives.end(time.Now())
	case syscall.SIGSTOP:
		b.lives.end(time.Now())
	}
	if b.Pid() != 0 {
		_ = b.cmd.Process.Signal(s) // fails when it has ended, which is as well
	}
	if s == syscall.SIGCONT {
		b.lives.begin(time.Now())
	}
}

// gone waits until the process has ended.
func (b *Broker) gone(within time.Duration) error {
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-b.done:
		return nil
	case <-late.C:
		return fmt.Errorf("broker %s still runs after %v; its log is %s", b.Name, within, b.Log)
	}
}

// Kill ends the process with SIGKILL and waits.
func (b *Broker) Kill() error {
	b.Signal(syscall.SIGKILL)
	return b.gone(10 * time.Second)
}

// Leave ends the process with SIGTERM, so that it drains and hands over, and waits.
func (b *Broker) Leave(within time.Duration) error {
	b.Signal(syscall.SIGTERM)
	return b.Left(within)
}

// Left waits until a process that was told to leave has ended. It is an error when it
// says that it ended badly. (A second SIGTERM would end it at once.)
func (b *Broker) Left(within time.Duration) error {
	if err := b.gone(within); err != nil {
		return err
	}
	if !b.cmd.ProcessState.Success() {
		return fmt.Errorf("broker %s was told to leave and ended with %v; its log is %s", b.Name, b.cmd.ProcessState, b.Log)
	}
	return nil
}

// End ends whatever still runs, for good.
func (b *Broker) End() {
	if b.Running() {
		_ = b.Kill() // nothing more can be done
	}
	if c := b.client.Load(); c != nil {
		c.Close()
	}
}

// Hinder takes note that we are keeping the broker, which lives, from its work until
// the function that is returned is called: its clients' patience does not count.
func (b *Broker) Hinder() (done func()) {
	b.lives.end(time.Now())
	return func() { b.lives.begin(time.Now()) }
}

// LivesSince is since when the broker has been up and unhindered; zero when it is not.
func (b *Broker) LivesSince() time.Time { return b.lives.since() }

// Lived reports whether the broker was up and unhindered all the time.
func (b *Broker) Lived(from, to time.Time) bool { return b.lives.all(from, to) }

// UpSince says that the broker has been up since then, for those who look back on runs
// that were never made.
func (b *Broker) UpSince(at time.Time) { b.lives.begin(at) }
