// Command ucp is the broker of the Urban Compute Platform and the command line
// that talks to it. One file holds one verb; a verb reads its flags, calls
// package api (or starts package node), and shows the answer. Flag parsing and
// os.Exit live here and nowhere else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	c := &cli{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		lookupEnv: os.LookupEnv, environ: os.Environ,
		terminal: isTerminal(os.Stderr),
		width:    columnsOf,
		signals: func(ch chan<- os.Signal) func() {
			signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
			return func() { signal.Stop(ch) }
		},
		exit: os.Exit,
	}
	os.Exit(c.main(context.Background(), os.Args[1:]))
}

// main runs one command line and returns the exit code.
func (c *cli) main(ctx context.Context, args []string) int {
	c.args = args
	root := c.rootCommand()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := exitError
	var e *exitCode
	if errors.As(err, &e) {
		code, err = e.code, e.err
	}
	if err != nil {
		fmt.Fprintf(c.err, "ucp: %s\n", c.explain(err))
	}
	return code
}

// columnsOf asks the terminal behind a stream how many columns it has; 0 where there is no terminal. A serial line that
// can't tell counts as 80.
func columnsOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80
	}
	return int(size.Col)
}

// isTerminal reports whether a person is likely to watch f. The null device is
// a character device too, and nobody minds progress there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
