package gossip

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// logBridge is the io.Writer behind the loggers of Serf, memberlist and the agent. Each of their lines, such
// as "2006/01/02 15:04:05 [WARN] serf: text", becomes a slog record at the line's level, with its origin as
// the attribute "from".
type logBridge struct {
	log   *slog.Logger
	quiet atomic.Bool // set at a shutdown: what fails from then on fails because of it, and is logged at debug level

	mu   sync.Mutex
	same map[string]time.Time // when lines were logged, by their text without its numbers
}

// levelTrace is below slog's debug level, as in the libraries.
const levelTrace = slog.LevelDebug - 4

// routine are how lines of memberlist and Serf begin that warn of what happens whenever a peer, or the way to it, is gone, and
// come once for each packet. They are for those who look for a fault in the gossip: the pool's owner says, once and by name,
// which member has failed or is silent, whose name is claimed twice, and which address is lost.
var routine = []string{
	"Failed to send gossip to ", "Failed to send UDP ", "Failed to send indirect UDP ping", "Failed to send ack", "failed to send ack",
	"Failed fallback TCP ping", "Got ping for unexpected node", "Push/Pull with ", "failed to receive: ", "Failed to read remote state",
	"Failed to push local state", "Refuting ", "Conflicting address for ", "Node name conflicts with ", "Name conflict for ", "error joining",
}

// sameEvery is how often a line of the libraries is logged at its level that differs from an earlier one in its numbers only.
const sameEvery = 10 * time.Minute

// maxSame bounds the lines that are remembered for that; beyond it they are forgotten.
const maxSame = 256

// said reports whether a line like this one was logged lately, and notes it if not.
func (b *logBridge) said(text string, now time.Time) bool {
	kind := strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '#'
		}
		return r
	}, text)
	b.mu.Lock()
	defer b.mu.Unlock()
	if last, known := b.same[kind]; known && now.Sub(last) < sameEvery {
		return true
	}
	if b.same == nil || len(b.same) == maxSame {
		b.same = map[string]time.Time{}
	}
	b.same[kind] = now
	return false
}

// plain says in other words what a line of a library means that an operator can do something about.
func plain(text string) string {
	if peer, ok := strings.CutPrefix(text, "Was able to connect to "); ok {
		if peer, ok := strings.CutSuffix(peer, " over TCP but UDP probes failed, network may be misconfigured"); ok {
			return "TCP reaches " + peer + ", and UDP does not: a firewall between the two, or a machine that is overloaded"
		}
	}
	return text
}

// Write implements io.Writer; p is one line. It never fails.
func (b *logBridge) Write(line []byte) (int, error) {
	level, from, text := parseLogLine(string(line))
	if b.quiet.Load() || slices.ContainsFunc(routine, func(s string) bool { return strings.HasPrefix(text, s) }) {
		level = min(level, slog.LevelDebug)
	}
	if level > slog.LevelInfo && b.said(text, time.Now()) {
		level = slog.LevelDebug
	}
	text = plain(text)
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

// counted is how an error of the libraries begins that lists others, one a line.
var counted = regexp.MustCompile(`[0-9]+ errors? occurred:$`)

// oneLine joins the lines of an error that lists others: some of the libraries' errors are such lists.
func oneLine(text string) string {
	var before string
	var lines []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if head := counted.ReplaceAllString(line, ""); head != line {
			before += head
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	return before + strings.Join(lines, "; ")
}
