package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
)

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

// newLogger makes the log of an agent: one line an event, for people or for
// programs.
func newLogger(w io.Writer, level *slog.LevelVar, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Bounds of what is kept of the log for `ucp debug bundle`.
const (
	recentLines = 2000
	recentBytes = 512 << 10
)

// recentLog keeps the last lines of a log. slog writes each with one call. It may be used by several goroutines.
type recentLog struct {
	mu    sync.Mutex
	lines [][]byte // the oldest first
	size  int      // bytes of all
}

// Write implements io.Writer for one line.
func (l *recentLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.Clone(line))
	l.size += len(line)
	for len(l.lines) > recentLines || l.size > recentBytes {
		l.size -= len(l.lines[0])
		l.lines = l.lines[1:]
	}
	return len(line), nil
}

// hiddenLine stands for a line that may name a command of --retry-join, and what is in it.
const hiddenLine = "(a line about a command of --retry-join is left out)\n"

// text returns the lines, but for those that may hold a secret: a command that the operator gave to find others.
func (l *recentLog) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out bytes.Buffer
	for _, line := range l.lines {
		if bytes.Contains(line, []byte(execEntry)) {
			line = []byte(hiddenLine)
		}
		out.Write(line)
	}
	return out.Bytes()
}

// execEntry begins an entry of --retry-join that is a command, which may hold a secret.
const execEntry = "exec:"
