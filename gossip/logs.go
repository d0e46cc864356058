package gossip

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// logBridge is the io.Writer behind the loggers of Serf, memberlist and the agent. Each of their lines, such
// as "2006/01/02 15:04:05 [WARN] serf: text", becomes a slog record at the line's level, with its origin as
// the attribute "from".
type logBridge struct {
	log   *slog.Logger
	quiet atomic.Bool // set at a shutdown: what fails from then on fails because of it, and is logged at debug level
}

// levelTrace is below slog's debug level, as in the libraries.
const levelTrace = slog.LevelDebug - 4

// Write implements io.Writer; p is one line. It never fails.
func (b *logBridge) Write(line []byte) (int, error) {
	level, from, text := parseLogLine(string(line))
	if b.quiet.Load() {
		level = min(level, slog.LevelDebug)
	}
	if ctx := context.Background(); b.log.Enabled(ctx, level) {
		b.log.LogAttrs(ctx, level, text, slog.String("from", from))
	}
	return len(line), nil
}

// logLevels maps the libraries' names of levels, which are not always spelt the same.
var logLevels = map[string]slog.Level{
	"TRACE": levelTrace, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "ERR": slog.LevelError, "ERROR": slog.LevelError,
}

// logTimeLen is the length of the standard logger's date and time, including both spaces.
const logTimeLen = len("2006/01/02 15:04:05 ")

// parseLogLine splits a line into its parts. A line of unknown form is taken for a warning from "serf": the
// libraries' only such lines report errors.
func parseLogLine(line string) (level slog.Level, from, text string) {
	line = strings.TrimSpace(line)
	if len(line) >= logTimeLen && line[4] == '/' && line[logTimeLen-1] == ' ' {
		line = line[logTimeLen:]
	}
	level, from = slog.LevelWarn, "serf"
	if word, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "] "); ok && line[0] == '[' {
		if l, known := logLevels[word]; known {
			level, line = l, rest
		}
	}
	if origin, rest, ok := strings.Cut(line, ": "); ok && origin != "" && !strings.ContainsAny(origin, " []") && origin == strings.ToLower(origin) {
		from, line = origin, rest
	}
	return level, from, oneLine(line)
}

// oneLine joins the lines of an error that lists others: some of the libraries' errors are such lists.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "; ")
}
