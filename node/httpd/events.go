package httpd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/label"
)

// Bounds of /v1/events.
const (
	MaxWatchers  = 64
	watcherQueue = 1024             // events that wait for one that reads slowly; beyond it some are lost, and that is said
	keepAlive    = 15 * time.Second // between two lines of a stream, so that a dead peer is noticed
	pastEvents   = 2048             // that are kept for who comes back, and names the last that it has seen, of what is frequent and of what is not
	comesBack    = time.Minute      // for how long what is frequent is told of though nobody watches: who was cut off misses none
)

// LastEventID is the header in which who comes back names the last event that it has seen.
const LastEventID = "Last-Event-ID"

// hub hands events out to those who watch. Nothing rests on it.
type hub struct {
	start string    // tells the numbers of this start of the broker from those of another
	born  time.Time // when that was

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	number   uint64    // of the latest event
	rare     ring      // the latest events
	frequent ring      // the same of what is frequent, which would push all else out
	jobs     int       // of those who watch that want to hear of what is frequent
	telling  bool      // the core tells of that
	since    uint64    // behind which number it has told of all of it
	sinceAt  time.Time // when that was
	idle     time.Time // since when nobody wants to hear of it, while it is told
}

// told is one event with its number.
type told struct {
	number uint64
	note   broker.Note // without records, which it would keep in memory
	event  api.Event
}

// ring is the latest events of some kinds.
type ring struct {
	past     []told    // the earliest first
	forgot   uint64    // the number of the latest one that is not among them any more
	forgotAt time.Time // when that was; zero for none
}

// add keeps an event, and forgets others where there are too many.
func (r *ring) add(e told) {
	if len(r.past) == pastEvents {
		last := &r.past[pastEvents/4-1]
		r.forgot, r.forgotAt = last.number, last.event.At
		r.past = slices.Delete(r.past, 0, pastEvents/4)
	}
	r.past = append(r.past, e)
}

// begin is where a stream begins: behind an event that the watcher names, or with what was told since a time; the zero value is now.
type begin struct {
	last  string
	since time.Time
}

// watcher is one stream.
type watcher struct {
	wants func(broker.Note) bool
	jobs  bool
	queue chan told
	lost  int // guarded by the hub
}

// add begins a stream. What was told since its beginning is in missed. First says that the core must begin to tell of jobs' states; ok is
// false when there are too many streams.
func (h *hub) add(w *watcher, from begin, now time.Time) (missed []told, number uint64, first, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= MaxWatchers {
		return nil, 0, false, false
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]struct{}{}
	}
	h.watchers[w] = struct{}{}
	if w.jobs {
		h.jobs++
		if first = !h.telling; first {
			h.number++ // a number between those that have missed something and those that have not
			h.telling, h.since, h.sinceAt = true, h.number, now
		}
	}
	switch {
	case from.last != "":
		missed = h.behind(w, from.last)
	case !from.since.IsZero():
		missed = h.from(w, from.since)
	}
	return missed, h.number, first, true
}

// behind are the events behind one that a watcher names. Where some of them are not known any more, an event says so in their place. The hub
// is locked.
func (h *hub) behind(w *watcher, last string) []told {
	start, text, _ := strings.Cut(last, ".")
	n, err := strconv.ParseUint(text, 10, 64)
	var gaps []told
	lost := func(number uint64) {
		gaps = append(gaps, gap(number, time.Time{}, "what happened since then is not known here any more, or not all of it: look again"))
	}
	if err != nil || start != h.start || n > h.number {
		n = 0
		lost(h.rare.forgot)
	} else if n < h.rare.forgot {
		lost(h.rare.forgot)
	}
	if known := max(h.frequent.forgot, h.since); w.jobs && n < known {
		lost(known)
	}
	return h.kept(w, gaps, func(x *told) bool { return x.number > n })
}

// from are the events since a time. Where some of them are not known, an event says so in their place. The hub is locked.
func (h *hub) from(w *watcher, since time.Time) []told {
	var gaps []told
	lost := func(number uint64, at time.Time, why string) {
		if since.Before(at) {
			gaps = append(gaps, gap(number, at, fmt.Sprintf("not all that happened before %s is known here: %s", at.UTC().Format(time.RFC3339), why)))
		}
	}
	if h.rare.forgot == 0 {
		lost(0, h.born, "this broker has started then")
	} else {
		lost(h.rare.forgot, h.rare.forgotAt, "too much has happened since")
	}
	switch {
	case !w.jobs:
	case h.frequent.forgot > h.since:
		lost(h.frequent.forgot, h.frequent.forgotAt, "too much has happened since")
	default:
		lost(h.since, h.sinceAt, "what jobs and data do is noted only while somebody asks for it; `ucp trace` and `ucp job get` show what is known of jobs")
	}
	return h.kept(w, gaps, func(x *told) bool { return !x.event.At.Before(since) })
}

// gap is an event that says that some are missing. Who names it later has all behind that number still to come.
func gap(number uint64, at time.Time, text string) told {
	return told{number: number, event: api.Event{At: at.UTC(), Kind: "lost", What: "lost", Text: text}}
}

// kept are the past events that a watcher wants, in their order, with gaps between them. The hub is locked.
func (h *hub) kept(w *watcher, gaps []told, want func(*told) bool) (out []told) {
	for _, r := range []*ring{&h.rare, &h.frequent} {
		for i := range r.past {
			if x := &r.past[i]; want(x) && w.wants(x.note) {
				out = append(out, *x)
			}
		}
	}
	out = append(out, gaps...) // each behind the event with its number
	slices.SortStableFunc(out, func(a, b told) int { return cmp.Compare(a.number, b.number) })
	for i := len(out) - 1; i > 0; i-- { // nothing that is known lies between two of them: they are one
		if out[i].event.Kind == "lost" && out[i-1].event == (api.Event{At: out[i].event.At, Kind: "lost", What: "lost", Text: out[i].event.Text}) {
			out = slices.Delete(out, i-1, i)
		}
	}
	return out
}

// remove ends a stream.
func (h *hub) remove(w *watcher, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	if w.jobs {
		h.jobs--
		h.idle = now
	}
}

// rest reports whether the core need not tell of jobs' states any more, since nobody has asked for a while.
func (h *hub) rest(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs > 0 || !h.telling || now.Sub(h.idle) < comesBack {
		return false
	}
	h.telling = false
	return true
}

// id names an event for who may come back.
func (h *hub) id(number uint64) string { return h.start + "." + strconv.FormatUint(number, 10) }

// reached is the number up to which a watcher has been told of all; ok is false while something waits for it.
func (h *hub) reached(w *watcher) (number uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.number, len(w.queue) == 0 && w.lost == 0
}

// tell hands notes out. It never blocks: who reads too slowly misses some, and is told so.
func (h *hub) tell(from string, notes []broker.Note) {
	if len(notes) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range notes {
		h.number++
		x.Job, x.Emergency = nil, nil
		e := told{h.number, x, api.Event{At: x.At.UTC(), Broker: from, Kind: x.Kind, ID: x.ID, What: x.What, Place: x.Place, For: x.For, Text: x.Text}}
		if frequent(x.Kind) && !rejected(x) {
			h.frequent.add(e)
		} else {
			h.rare.add(e)
		}
		for w := range h.watchers {
			if w.wants(x) {
				w.take(from, e)
			}
		}
	}
}

// take queues an event, or counts it as lost. The hub is locked.
func (w *watcher) take(from string, e told) {
	if w.lost > 0 && len(w.queue) < cap(w.queue)/2 {
		text := fmt.Sprintf("%d events were lost here: this reader is slow", w.lost)
		w.queue <- told{number: e.number - 1, event: api.Event{At: e.event.At, Broker: from, Kind: "lost", What: "lost", Text: text}}
		w.lost = 0
	}
	select {
	case w.queue <- e:
	default:
		w.lost++
	}
}

// handleEvents streams what happens, as server-sent events, until the client goes or this broker leaves.
func (srv *Server) handleEvents(w http.ResponseWriter, r *http.Request) error {
	kinds, err := eventKinds(r)
	if err != nil {
		return err
	}
	return srv.stream(w, r, slices.ContainsFunc(kinds, frequent), func(x broker.Note) bool { return isOf(x, kinds) })
}

// isOf reports whether a note is of one of these kinds; a result that does not count is of two.
func isOf(x broker.Note, kinds []string) bool {
	return slices.Contains(kinds, x.Kind) || rejected(x) && slices.Contains(kinds, api.Rejected)
}

// rejected reports whether a note is of a result that does not count: of what becomes of jobs these are few, and what an operator wants to
// know after a split.
func rejected(x broker.Note) bool { return x.Kind == "job" && x.What == api.Rejected }

// frequent are the kinds of which there may be thousands a second: the states of jobs, and versions of named data. The core tells of
// them only as long as somebody asks.
func frequent(kind string) bool { return kind == "job" || kind == "data" }

// eventKinds reads which events are asked for: all but what is frequent, unless ?kinds= says otherwise.
func eventKinds(r *http.Request) ([]string, error) {
	s := r.URL.Query().Get("kinds")
	if s == "" {
		return slices.DeleteFunc(slices.Clone(api.EventKinds), frequent), nil
	}
	kinds := strings.Split(s, ",")
	for _, k := range kinds {
		if !slices.Contains(api.EventKinds, k) {
			return nil, fail(http.StatusBadRequest, api.CodeBadRequest, "kind of event %.40q: %s", k, label.OneOf(k, api.EventKinds))
		}
	}
	return kinds, nil
}

// handleJobEvents is the same of one job: what becomes of it, and for whom it makes room, or who for it.
func (srv *Server) handleJobEvents(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	f, err := srv.awaitOwn(r, id, 0, causal.Context{})
	if err != nil {
		return err
	}
	name := string(f.Record.ID)
	return srv.stream(w, r, true, func(x broker.Note) bool {
		return (x.Kind == "job" || x.Kind == "preemption") && x.ID == name || x.Kind == "preemption" && string(x.For) == name
	})
}

// beginning reads where a stream is to begin.
func (srv *Server) beginning(r *http.Request) (begin, error) {
	b, text := begin{last: r.Header.Get(LastEventID)}, r.URL.Query().Get("since")
	if text == "" {
		return b, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		b.since = srv.host.CityTime().Add(-d)
		return b, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return b, fail(http.StatusBadRequest, api.CodeBadRequest, "?since=%.40s: a time such as 2026-01-31T15:04:05Z, or a duration from now back such as 10m", text)
	}
	b.since = t
	return b, nil
}

// concerns reports whether a note is about a broker: of itself, or of what is placed there.
func concerns(x broker.Note, name string) bool {
	return x.Place == name || (x.Kind == "member" || x.Kind == "health") && x.ID == name
}

// stream sends the events that a request wants, until the client goes or this broker leaves.
func (srv *Server) stream(w http.ResponseWriter, r *http.Request, jobs bool, wants func(broker.Note) bool) error {
	from, err := srv.beginning(r)
	if err != nil {
		return err
	}
	if name := r.URL.Query().Get("broker"); name != "" {
		all := wants
		wants = func(x broker.Note) bool { return all(x) && concerns(x, name) }
	}
	watch := &watcher{wants: wants, jobs: jobs, queue: make(chan told, watcherQueue)}
	missed, number, first, ok := srv.hub.add(watch, from, srv.host.CityTime())
	if !ok {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "%d clients watch the events of this broker, and that is the most", MaxWatchers)
	}
	if first {
		srv.core.Tell(broker.Watch{On: true})
	}
	defer func() { srv.hub.remove(watch, srv.cfg.Now()) }()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	write := func(format string, args ...any) bool {
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	send := func(e told) bool {
		if e.event.Broker = srv.cfg.Name; e.event.At.IsZero() {
			e.event.At = srv.host.CityTime().UTC()
		}
		b, err := json.Marshal(e.event) // strings and times can be encoded
		return err == nil && write("id: %s\nevent: %s\ndata: %s\n\n", srv.hub.id(e.number), e.event.Kind, b)
	}
	for _, e := range missed {
		if !send(e) {
			return nil // the client is gone
		}
	}
	if !write(": the events of %s from now on\nid: %s\n\n", srv.cfg.Name, srv.hub.id(number)) {
		return nil
	}
	t := time.NewTicker(keepAlive)
	defer t.Stop()
	for {
		select {
		case e := <-watch.queue:
			if !send(e) {
				return nil
			}
		case <-t.C:
			if _, err := srv.identify(r); err != nil {
				return nil // a token that ended, or was revoked, meanwhile
			}
			id := ""
			if n, all := srv.hub.reached(watch); all {
				id = "id: " + srv.hub.id(n) + "\n"
			}
			if !write(": still here\n%s\n", id) {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-srv.host.Leaving().Done():
			return nil
		}
	}
}

// restWatching lets the core tell no more of what is frequent when nobody has asked for it for a while.
func (srv *Server) restWatching() {
	if srv.hub.rest(srv.cfg.Now()) {
		srv.core.Tell(broker.Watch{On: false})
	}
}

// Watchers is how many clients watch /v1/events now.
func (srv *Server) Watchers() int {
	srv.hub.mu.Lock()
	defer srv.hub.mu.Unlock()
	return len(srv.hub.watchers)
}
