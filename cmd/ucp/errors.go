package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/urban-compute/ucp/api"
)

// Exit codes of ucp itself; `run` and `job wait` also end with the job's own.
const (
	exitError     = 1
	exitNotPlaced = 2   // no broker took the job within --place-timeout
	exitTimedOut  = 124 // the job's own timeout has ended it, as timeout(1) says it
)

// exitCode ends ucp with a code; err, when there is one, is shown before.
type exitCode struct {
	code int
	err  error
}

// Error implements error.
func (e *exitCode) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns what is shown.
func (e *exitCode) Unwrap() error { return e.err }

// explain adds to an error what to do about it, where we know.
func (c *cli) explain(err error) string {
	if errors.Is(err, api.ErrSilent) {
		return err.Error() + "; any other broker can answer: name one with --addr or UCP_ADDR"
	}
	var u *api.UnreachableError
	if !errors.As(err, &u) || u.Sent {
		return err.Error()
	}
	hint := "start one with `ucp agent`, or name one with --addr or UCP_ADDR"
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no broker answers at %s; %s", u.Addr, hint)
	case errors.As(err, &dns):
		return fmt.Sprintf("there is no host %q (%s); %s", dns.Name, u.Addr, hint)
	}
	return fmt.Sprintf("%v; %s", err, hint)
}
