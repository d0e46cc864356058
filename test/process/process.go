// Package process runs the product in tests as real processes: it builds programs, starts brokers, keeps what they log, and
// ends them with their test. What is listened on, and where, is the test's to say.
package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Build builds a package of Go into a file; env are variables NAME=VALUE beside those of this process.
func Build(file, pkg string, env ...string) error {
	cmd := exec.Command("go", "build", "-o", file, pkg)
	cmd.Env = append(append(os.Environ(), env...), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Agent is a broker as a process.
type Agent struct {
	Name  string
	Cmd   *exec.Cmd     // that runs it; how it ended is in its ProcessState once Done is closed
	Done  chan struct{} // closed when it has ended
	First chan string   // gets its first line, or one that comes later; "" where it has ended without that

	mu  sync.Mutex
	log strings.Builder
}

// Start starts a broker by a command, and waits for nothing. First gets the line that comes after so many others. It is killed when the test ends, if it has not ended before, and
// its log is shown if the test has failed.
func Start(t *testing.T, name string, before int, cmd *exec.Cmd) *Agent {
	t.Helper()
	a := &Agent{Name: name, Cmd: cmd, Done: make(chan struct{}), First: make(chan string, 1)}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go a.read(bufio.NewReader(stderr), before)
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, a.Said())
		}
	})
	return a
}

// read keeps what the broker logs until it ends.
func (a *Agent) read(lines *bufio.Reader, before int) {
	defer close(a.Done)
	for i := 0; ; i++ {
		line, err := lines.ReadString('\n')
		a.mu.Lock()
		a.log.WriteString(line)
		a.mu.Unlock()
		if i == before || i < before && err != nil {
			a.First <- line
		}
		if err != nil {
			_ = a.Cmd.Wait() // how it ended is read from ProcessState
			return
		}
	}
}

// Said is what the broker has logged so far.
func (a *Agent) Said() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

// Kill kills the broker, if it has not ended, and waits for its end.
func (a *Agent) Kill() {
	_ = a.Cmd.Process.Kill() // fails when it has ended, which is as well
	<-a.Done
}

// Eventually waits for what real processes do in real time; what says in its failure what did not come.
func Eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
