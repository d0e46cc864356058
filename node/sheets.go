package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// Bounds of sheets, and of what is looked at by them.
const (
	sheetsPrefix = "h"         // and the actor, a zero, eight bytes big-endian: the sheet of the commit that ends with that update
	keptSheets   = 16 << 20    // bytes of this broker's own
	sheetsEvery  = time.Second // how often records are looked at: at most a question to each broker
	maxToLookAt  = 1024        // records that wait for that; of more the latest
	maxForgeries = 64          // that are named; of more only the number is known
)

// sheets keep what this broker has written in each of its commits, as long as there is room, and look by those of others whether the ends of
// jobs, what is said of members, and named data, were written by whom they name (rule H3). That is done beside everything else, a little at a time:
// what is found out is said, and nothing waits for it.
type sheets struct {
	heads   *heads
	store   *store.Store
	peers   *peers
	audits  *audits
	brokers func() []membership.Member
	name    string
	now     func() time.Time
	log     *slog.Logger
	limit   int64               // keptSheets, but in tests
	told    func(broker.Looked) // the core hears of it

	size   int64  // bytes of those that are kept; of the goroutine that commits
	pruned []byte // the key of the last one that was dropped

	mu     sync.Mutex
	queue  []looked
	found  map[ledger.Ref]string // what was found forged
	forged atomic.Uint64
}

// looked is a record that is to be looked at.
type looked struct {
	ref    ledger.Ref
	record ledger.Record
}

// recall counts what an earlier start has kept.
func (s *sheets) recall() error {
	return s.store.Scan([]byte(sheetsPrefix), func(_, value []byte) error {
		s.size += int64(len(value))
		return nil
	})
}

func sheetKey(a clock.Actor, counter uint64) []byte {
	return binary.BigEndian.AppendUint64(sheetsOf(a), counter)
}

func sheetsOf(a clock.Actor) []byte { return append([]byte(sheetsPrefix+string(a)), 0) }

// keep says how a sheet of this broker is stored, and which earlier ones make room for it: starts sort as text as they began.
func (s *sheets) keep(x *head.Sheet) []ledger.Op {
	if len(x.Leaves) > head.MaxSheetSlots {
		return nil
	}
	ops := []ledger.Op{{Key: sheetKey(x.Head.Actor, x.Head.Counter), Value: x.Encode()}}
	s.size += int64(len(ops[0].Value))
	if s.size <= s.limit {
		return ops
	}
	err := s.store.Walk([]byte(sheetsPrefix), s.pruned, func(key, value []byte) bool {
		ops, s.size, s.pruned = append(ops, ledger.Op{Key: slices.Clone(key)}), s.size-int64(len(value)), slices.Clone(key)
		return s.size > s.limit-s.limit/16
	})
	if err != nil { // the store ends the broker when its disk has failed
		s.log.Error("sheets of earlier commits can't be read", "error", err)
	}
	return ops
}

// own is the sheet of this broker's commit that is over an update; nil where there is none.
func (s *sheets) own(a clock.Actor, counter uint64) (found *head.Sheet, err error) {
	var bad error
	err = s.store.Walk(sheetsOf(a), sheetKey(a, counter-1), func(_, value []byte) bool {
		found, bad = head.DecodeSheet(slices.Clone(value))
		return false
	})
	if err = errors.Join(err, bad); err != nil || found == nil || !found.Covers(counter) {
		return nil, err
	}
	return found, nil
}

// Sheets implements httpd.Heads.
func (h *heads) Sheets(of clock.Actor, updates []uint64) (out [][]byte, err error) {
	var last *head.Sheet
	for _, n := range slices.Compact(slices.Sorted(slices.Values(updates))) {
		if last != nil && last.Covers(n) {
			continue
		}
		x, err := h.sheets.own(of, n)
		if err != nil {
			return nil, err
		}
		if x != nil {
			out, last = append(out, x.Encode()), x
		}
	}
	return out, nil
}

// Forged implements httpd.Heads.
func (h *heads) Forged() uint64 { return h.sheets.forged.Load() }

// look has the records of a commit looked at that say how a job has ended, who is a member, or what named data holds. It does not block.
func (s *sheets) look(rd broker.Ready) {
	if rd.Commit == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for ref, r := range rd.Commit.Changed() {
		s.sees(ref, r)
	}
	s.queue = s.queue[max(0, len(s.queue)-maxToLookAt):]
}

// sees has one record looked at, if it is of that sort.
func (s *sheets) sees(ref ledger.Ref, r ledger.Record) {
	switch j, isJob := r.(*job.Record); {
	case isJob && j.Finished() && !j.IsStub(), ref.Kind == kind.Member, ref.Kind == kind.Data:
		s.queue = append(s.queue, looked{ref, r})
	}
}

// run looks at what waits.
func (s *sheets) run(ctx context.Context) error {
	tick := time.NewTicker(sheetsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.check(ctx)
		}
	}
}

// claimed is a part of a record that an update is said to have written.
type claimed struct {
	kind.Claim
	ref ledger.Ref
}

// check looks at as many records, the latest first, as one question to each broker allows.
func (s *sheets) check(ctx context.Context) {
	byActor := map[clock.Actor][]claimed{}
	updates := map[clock.Actor]map[uint64]bool{}
	seen := map[ledger.Ref]bool{}
	var ends []*job.Record
	for x := range s.next() {
		if seen[x.ref] {
			continue // that was a later state of it
		}
		seen[x.ref] = true
		if j, is := x.record.(*job.Record); is {
			ends = append(ends, j)
		}
		full := false
		for _, c := range kind.Claims(x.ref, x.record) {
			of := updates[c.Dot.Actor]
			if of == nil {
				of = map[uint64]bool{}
				updates[c.Dot.Actor] = of
			}
			of[c.Dot.Counter] = true
			byActor[c.Dot.Actor] = append(byActor[c.Dot.Actor], claimed{c, x.ref})
			full = full || len(of) > httpd.MaxSheetUpdates-2*maxClaims
		}
		if full {
			break
		}
	}
	var out broker.Looked
	silent := map[ledger.Ref]bool{} // of which somebody does not tell
	for _, a := range slices.Sorted(maps.Keys(byActor)) {
		list, err := s.of(ctx, a, slices.Sorted(maps.Keys(updates[a])))
		if err != nil {
			s.log.Debug("what a broker has written is not looked at, since it does not tell", "actor", string(a), "error", err)
			for _, c := range byActor[a] {
				silent[c.ref] = true
			}
			continue
		}
		for _, c := range byActor[a] {
			if i := slices.IndexFunc(list, func(x *head.Sheet) bool { return x.Covers(c.Dot.Counter) }); i >= 0 && !list[i].Has(c.Leaf) {
				s.tell(c, list[i])
				if c.ref.Kind == kind.Job && slices.Contains(endParts, c.Part) {
					out.MadeUp = append(out.MadeUp, broker.MadeUp{Key: c.ref.Key, Dot: c.Dot})
				}
			}
		}
	}
	for _, x := range ends {
		if !silent[kind.JobRef(x.Key())] {
			out.Ends = append(out.Ends, x)
		}
	}
	if len(out.Ends)+len(out.MadeUp) > 0 {
		s.told(out)
	}
}

// endParts are the parts of a job's record that its end is made of.
var endParts = []string{"verdict", "accepted", "report", "seal"}

// maxClaims bounds the updates of one actor that a record names, but for those that are rare.
const maxClaims = 8

// next takes what waits, the latest first.
func (s *sheets) next() func(yield func(looked) bool) {
	return func(yield func(looked) bool) {
		for {
			s.mu.Lock()
			n := len(s.queue)
			var x looked
			if n > 0 {
				x, s.queue = s.queue[n-1], s.queue[:n-1]
			}
			s.mu.Unlock()
			if n == 0 || !yield(x) {
				return
			}
		}
	}
}

// of are the sheets of an actor that are over some of its updates, as far as they are to be had, with their signatures verified.
func (s *sheets) of(ctx context.Context, a clock.Actor, updates []uint64) (out []*head.Sheet, err error) {
	if a.Broker() == s.name {
		for _, n := range updates {
			x, err := s.own(a, n)
			if err != nil {
				return nil, err
			}
			if x != nil {
				out = append(out, x)
			}
		}
		return out, nil
	}
	for _, m := range s.brokers() {
		if m.Name == a.Broker() && m.Status == membership.Alive && m.HTTPAddr != "" {
			out, err = s.ask(ctx, &m, a, updates[:min(len(updates), httpd.MaxSheetUpdates)])
			return out, err
		}
	}
	return nil, errors.New("it is not there")
}

// ask asks a broker for sheets of its own.
func (s *sheets) ask(ctx context.Context, m *membership.Member, a clock.Actor, updates []uint64) (out []*head.Sheet, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.peers.cfg.PeerTimeout)
	defer cancel()
	var list []string
	for _, n := range updates {
		list = append(list, strconv.FormatUint(n, 10))
	}
	query := url.Values{"actor": {string(a)}, "updates": {strings.Join(list, ",")}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.peers.url(m.HTTPAddr, "/broker/sheets")+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.peers.do(req, m.Name, m.Actor)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, httpd.MaxSheets+binary.MaxVarintLen64*httpd.MaxSheetUpdates))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK { // of an earlier version, too
		return nil, errors.New(saidReason(b))
	}
	var heads [][]byte
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, errors.New("it tells less than it says")
		}
		x, err := head.DecodeSheet(b[used : used+int(n)]) //nolint:gosec // it is at most len(b)
		if err != nil {
			return nil, err
		}
		if x.Head.Actor != a {
			return nil, fmt.Errorf("it tells what %s has written", x.Head.Actor)
		}
		if err := s.heads.all.Verify(x.Head); err != nil {
			return nil, err
		}
		out, heads, b = append(out, x), append(heads, x.Head.Encode()), b[used+int(n):] //nolint:gosec // likewise
	}
	s.heads.See(m.Name, m.Actor, heads) // who disowns what it has signed has made a fork (rule H2)
	return out, nil
}

// tell says that a record was forged: once.
func (s *sheets) tell(c claimed, by *head.Sheet) {
	s.mu.Lock()
	_, said := s.found[c.ref]
	text := fmt.Sprintf("FORGED: the %s of %s %s is in the name of %s, which has not written that, as its signature of its update %d shows: another member of the city has made it up, or %s was resumed from a snapshot",
		c.Part, c.ref.Kind, c.ref.Key, c.Dot.Actor, by.Head.Counter, c.Dot.Actor.Broker())
	if !said && len(s.found) < maxForgeries {
		s.found[c.ref] = text
	}
	s.mu.Unlock()
	if said {
		return
	}
	s.forged.Add(1)
	s.log.Error("FORGED: a record says that a broker has written what it has not (rule H3)", "what", text)
	s.audits.Note(audit.Entry{At: s.now(), What: audit.Forged, Which: c.ref.Key, Who: c.Dot.Actor.Broker(), Detail: text})
}

// troubles say what was found, for people.
func (s *sheets) troubles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Values(s.found))
}
