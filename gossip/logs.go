package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// logBridge is the io.Writer behind the loggers of Serf, memberlist and the
// agent. Each of their lines, "2006/01/02 15:04:05 [WARN] serf: text", becomes a
// record of slog at its own level, with who said it as the attribute "from".
type logBridge struct {
	log   *slog.Logger
	quiet atomic.Bool // set when we shut down: what fails then fails because of us, and is said at debug level
}

// levelTrace is below slog's debug, as in the libraries.
const levelTrace = slog.LevelDebug - 4

// Write takes one line. It never fails: nobody could report that.
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

// logLevels maps the words of the libraries, which do not always spell alike.
var logLevels = map[string]slog.Level{
	"TRACE": levelTrace, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "ERR": slog.LevelError, "ERROR": slog.LevelError,
}

// logStamp is how long the standard logger's date and time are, with both blanks.
const logStamp = len("2006/01/02 15:04:05 ")

// parseLogLine takes a line apart. A line of unknown form is a warning of "serf":
// the only such lines of the libraries tell of errors.
func parseLogLine(line string) (level slog.Level, from, text string) {
	line = strings.TrimSpace(line)
	if len(line) >= logStamp && line[4] == '/' && line[logStamp-1] == ' ' {
		line = line[logStamp:]
	}
	level, from = slog.LevelWarn, "serf"
	if word, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "] "); ok && line[0] == '[' {
		if l, known := logLevels[word]; known {
			level, line = l, rest
		}
	}
	if who, rest, ok := strings.Cut(line, ": "); ok && who != "" && !strings.ContainsAny(who, " []") && who == strings.ToLower(who) {
		from, line = who, rest
	}
	return level, from, line
}
