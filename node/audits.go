package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// Entries that come within auditPause of one are written with it, at most auditBatch, so that many cost few syncs of the disk; as
// many may wait.
const (
	auditPause = 100 * time.Millisecond
	auditBatch = 1024
)

// A peer is shown the log's checkpoint once a minute while it changes, and every ten minutes otherwise: what was shown may
// not have arrived.
const (
	showEvery = time.Minute
	showAgain = 10 * time.Minute
)

// auditHeader is the header of messages between brokers in which they show each other their checkpoints: the key and, after
// a space, the signed note in base64. A version that knows it not ignores it.
const auditHeader = "Ucp-Audit"

// audits keeps this broker's audit log (docs/security.md), and is a witness of those of the others.
type audits struct {
	log     *audit.Log
	now     func() time.Time
	logger  *slog.Logger
	brokers func() []membership.Member
	queue   chan audit.Entry
	ended   chan struct{} // closed when run has returned

	mu     sync.Mutex
	showed map[string]showed // to whom
	forks  map[string]fork   // by the names of members whose log was not what it had been
}

// fork is when a log was found to contradict what it was, and how.
type fork struct {
	why string
	at  time.Time
}

// forksShown is for how long it is shown with the broker's state that a log has contradicted itself; the log of this broker keeps it.
const forksShown = 24 * time.Hour

type showed struct {
	signed string
	at     time.Time
}

var _ httpd.AuditLog = (*audits)(nil)

func openAudits(st *store.Store, name string, cfg *Config, logger *slog.Logger) (*audits, error) {
	log, err := audit.Open(auditDisk{st}, name, cfg.Random)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.DataDir, err)
	}
	start := audit.Entry{At: cfg.Now(), What: audit.Start, Detail: "ucp " + cfg.Software}
	return &audits{
		log: log, now: cfg.Now, logger: logger,
		queue: make(chan audit.Entry, auditBatch), ended: make(chan struct{}), showed: map[string]showed{}, forks: map[string]fork{},
	}, log.Append(start)
}

// Note implements httpd.AuditLog.
func (a *audits) Note(e audit.Entry) {
	select {
	case a.queue <- e:
	case <-a.ended:
		a.logger.Error("an order came too late for the audit log", "what", e.What, "which", e.Which, "who", e.Who)
	}
}

// run writes what is noted, until the context ends; what is noted by then is written, too.
func (a *audits) run(ctx context.Context) error {
	defer close(a.ended)
	for {
		select {
		case e := <-a.queue:
			if err := a.log.Append(a.soon(ctx, e)...); err != nil {
				return err
			}
		case <-ctx.Done():
			rest := a.waiting()
			if len(rest) == 0 {
				return nil
			}
			return a.log.Append(rest...)
		}
	}
}

// soon is an entry with those that come soon after it.
func (a *audits) soon(ctx context.Context, first audit.Entry) []audit.Entry {
	pause := time.NewTimer(auditPause)
	defer pause.Stop()
	list := []audit.Entry{first}
	for len(list) < auditBatch {
		select {
		case e := <-a.queue:
			list = append(list, e)
		case <-pause.C:
			return list
		case <-ctx.Done():
			return list
		}
	}
	return list
}

// waiting is what waits.
func (a *audits) waiting() (list []audit.Entry) {
	for len(list) < auditBatch {
		select {
		case e := <-a.queue:
			list = append(list, e)
		default:
			return list
		}
	}
	return list
}

// Copy implements httpd.AuditLog.
func (a *audits) Copy(w io.Writer) error { return a.log.Copy(w) }

// Show implements httpd.AuditLog.
func (a *audits) Show(h http.Header, to string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.showed[to]
	since := now.Sub(last.at)
	if since >= 0 && since < showEvery || !a.member(to) { // in this order: with most messages nothing is shown
		return
	}
	signed := a.log.Checkpoint()
	if since >= 0 && last.signed == signed && since < showAgain {
		return
	}
	a.showed[to] = showed{signed, now}
	h.Set(auditHeader, a.log.Key()+" "+base64.StdEncoding.EncodeToString([]byte(signed)))
}

// See implements httpd.AuditLog. What is wrong with a log that a peer shows does not concern the message that it comes with.
func (a *audits) See(h http.Header, from string) {
	key, encoded, shown := strings.Cut(h.Get(auditHeader), " ")
	if !shown || !a.member(from) {
		return
	}
	signed, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = a.log.Witness(from, key, string(signed), a.now())
	}
	var f *audit.ForkError
	switch {
	case errors.As(err, &f):
		a.logger.Error("a broker's audit log contradicts what it was; both checkpoints are in the log of this one", "broker", from, "why", f.Why)
		a.mu.Lock()
		a.forks[from] = fork{f.Why, a.now()}
		a.mu.Unlock()
	case err != nil:
		a.logger.Warn("the checkpoint of a broker's audit log is of no use", "broker", from, "error", err)
	}
}

// troubles says, for people, whose logs were found lately not to be what they had been. It may be called from any goroutine.
func (a *audits) troubles() (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(a.forks)) {
		x := a.forks[name]
		if a.now().Sub(x.at).Abs() > forksShown {
			delete(a.forks, name)
			continue
		}
		list = append(list, fmt.Sprintf("the audit log of %s is not what it was, as of %s: %s", name, x.at.UTC().Format("2006-01-02 15:04:05 MST"), x.why))
	}
	return list
}

// member reports whether a name is that of a broker that this one knows; no stranger's log is noted.
func (a *audits) member(name string) bool {
	for _, m := range a.brokers() {
		if m.Name == name {
			return true
		}
	}
	return false
}

// auditDisk is the part of the store where the log lies.
type auditDisk struct{ *store.Store }

// Set implements audit.Disk.
func (d auditDisk) Set(writes []audit.Write) error {
	var b store.Batch
	for _, w := range writes {
		b.Set(w.Key, w.Value)
	}
	return d.Commit(&b)
}
