package httpd

import (
	"log/slog"
	"sync"
	"time"
)

// complaints logs, one line a second at most, what peers send that does not validate: who lies, or is broken, may do so
// without end. All is counted.
type complaints struct {
	log *slog.Logger

	mu     sync.Mutex
	last   time.Time
	untold int // since the last line
}

func (c *complaints) add(text, from string, args ...any) {
	if from == "" {
		from = "not known" // not even that could be read
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < time.Second {
		c.untold++
		return
	}
	c.last = now
	c.log.Error(text, append([]any{"peer", from, "not logged before", c.untold}, args...)...)
	c.untold = 0
}

// Malformed counts and logs a message, a reply or a state of a push-pull that does not validate as a whole. From is its
// sender, where that is known. Nothing of it was looked at.
func (m *Metrics) Malformed(from string, err error) {
	m.malformed.Inc()
	m.complaints.add("what a peer says does not validate; nothing of it was believed", from, "error", err)
}

// Invalid counts and logs records of a peer, none or more, that do not validate: they are set aside (rule L10).
func (m *Metrics) Invalid(from string, records int) {
	if records == 0 {
		return
	}
	m.quarantined.Add(float64(records))
	m.complaints.add("records of a peer do not validate; they were set aside", from, "records", records)
}
