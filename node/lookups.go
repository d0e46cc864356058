package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/urban-compute/ucp/gossip"
)

// lookups looks up what --retry-join and --discover name, and knows which of these entries can't be looked up now: a command
// that fails, a name that no server knows. Others that are there hide it, until they are gone.
type lookups struct {
	log    *slog.Logger
	failed map[string]bool        // entries; of the goroutine that looks up
	why    atomic.Pointer[string] // see failing
}

// targets looks up entries, all that there are now, at a pool: each address once. It tells of each entry that begins to fail,
// or works again.
func (l *lookups) targets(ctx context.Context, pool *gossip.Pool, entries []string) (targets []string) {
	errs := map[string]error{}
	for _, entry := range entries {
		found, err := pool.Targets(ctx, []string{entry})
		for _, addr := range found {
			if !slices.Contains(targets, addr) {
				targets = append(targets, addr)
			}
		}
		if err != nil {
			errs[entry] = err
		}
	}
	if ctx.Err() == nil {
		l.note(entries, errs)
	}
	return targets
}

// note takes what came of looking up entries.
func (l *lookups) note(entries []string, errs map[string]error) {
	var texts []string
	failed := map[string]bool{}
	for _, entry := range entries {
		err, was := errs[entry], l.failed[entry]
		switch {
		case err != nil && !was:
			l.log.Warn("nobody can be looked up by this entry of the list of nodes to join, which is tried again without end, and in silence", "entry", entry, "error", err)
		case err == nil && was:
			l.log.Info("this entry of the list of nodes to join can be looked up again", "entry", entry)
		}
		if err != nil {
			failed[entry] = true
			text := fmt.Sprintf("%.100q can't be looked up: %s", entry, cutText(oneLine(err.Error())))
			if gossip.IsCommand(entry) { // which may hold a secret, and so may what it says
				text = "a command (exec:) fails; this broker's log says why"
			}
			texts = append(texts, text)
		}
	}
	l.failed = failed
	why := ""
	if len(texts) > 0 {
		why = "the list of nodes to join: " + strings.Join(texts, "; ")
	}
	l.why.Store(&why)
}

// failing says, for people, which entries can't be looked up; "" when all can. It may be called from any goroutine.
func (l *lookups) failing() string {
	if why := l.why.Load(); why != nil {
		return *why
	}
	return ""
}

// oneLine makes one line of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// cutText shortens a text to what a status shows.
func cutText(s string) string {
	const limit = 300
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
