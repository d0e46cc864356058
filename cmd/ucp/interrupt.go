package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// errInterrupted is the cause of a context that the first SIGINT or SIGTERM ended.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first SIGINT or SIGTERM ends; a
// second one ends the process at once with exit code 1. The caller calls stop,
// which waits for the goroutine that watches.
func (c *cli) interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 2)
	undo := c.signals(ch)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case s := <-ch:
				if n == 0 {
					cancel(errInterrupted)
					continue
				}
				fmt.Fprintf(c.err, "ucp: %v again: ending at once\n", s)
				c.exit(exitError)
				return
			}
		}
	}()
	return ctx, func() {
		undo()
		close(quit)
		<-done
		cancel(nil)
	}
}
