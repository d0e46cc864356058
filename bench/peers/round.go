package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// round is one measurement in progress: its servers, and where their disks are.
type round struct {
	config
	ctx     context.Context
	dir     string
	figures figures
	servers []*server
	closers []func()
}

// server is a process that is measured.
type server struct {
	cmd  *exec.Cmd
	in   io.Closer
	out  *bufio.Reader
	done chan struct{}
}

// patience is for how long a server may take until it answers.
const patience = 30 * time.Second

// start starts a server; what it logs is kept where the command line says.
func (r *round) start(name string, cmd *exec.Cmd) (*server, error) {
	log := io.Discard
	if r.keep != "" {
		f, err := os.OpenFile(filepath.Join(r.keep, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, func() { f.Close() })
		log = f
	}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w; make bench-peers builds what is missing", name, err)
	}
	s := &server{cmd: cmd, in: in, out: bufio.NewReader(out), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(s.done)
	}()
	r.servers = append(r.servers, s)
	return s, nil
}

// self starts this program as a server, which says in a line of its output where it listens, or what it has measured.
func (r *round) self(role string, args ...string) (*server, string, error) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	s, err := r.start(role, cmd)
	if err != nil {
		return nil, "", err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("%s says nothing: %w", role, err)
	}
	return s, line[:len(line)-1], nil
}

// end ends all servers, and returns what they have used of the processors.
func (r *round) end() (cpu time.Duration) {
	for _, f := range r.closers {
		defer f()
	}
	for _, s := range r.servers {
		_ = s.in.Close()
		_ = s.cmd.Process.Signal(os.Interrupt)
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		cpu += s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
	}
	r.servers, r.closers = nil, nil
	return cpu
}

// until calls f until it holds.
func (r *round) until(what string, f func() error) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && r.ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// freeAddrs are addresses of loopback that were free a moment ago: some servers can't say which port they were given.
func freeAddrs(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
