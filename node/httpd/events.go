package httpd

import (
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
	pastEvents   = 2048             // that are kept for who comes back, and names the last that it has seen
	comesBack    = time.Minute      // for how long what is frequent is told of though nobody watches: who was cut off misses none
)

// LastEventID is the header in which who comes back names the last event that it has seen.
const LastEventID = "Last-Event-ID"

// hub hands events out to those who watch. Nothing rests on it.
type hub struct {
	start string // tells the numbers of this start of the broker from those of another

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	number   uint64    // of the latest event
	past     []told    // the latest ones, the earliest first
	forgot   uint64    // the number of the latest one that is not among them any more
	jobs     int       // of those who watch that want to hear of what is frequent
	telling  bool      // the core tells of that
	since    uint64    // behind which number it has told of all of it
	idle     time.Time // since when nobody wants to hear of it, while it is told
}

// told is one event with its number.
type told struct {
	number uint64
	note   broker.Note
	event  api.Event
}

// watcher is one stream.
type watcher struct {
	wants func(broker.Note) bool
	jobs  bool
	queue chan told
	lost  int // guarded by the hub
}

// add begins a stream, behind the event that last names; "" is from now on. What was told meanwhile is in missed. First says that the
// core must begin to tell of jobs' states; ok is false when there are too many streams.
func (h *hub) add(w *watcher, last string) (missed []told, from uint64, first, ok bool) {
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
			h.telling, h.since = true, h.number
		}
	}
	if last != "" {
		missed = h.missed(w, last)
	}
	return missed, h.number, first, true
}

// missed are the events behind one that a watcher names; or the word that they are not known any more. The hub is locked.
func (h *hub) missed(w *watcher, last string) (out []told) {
	start, text, _ := strings.Cut(last, ".")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || start != h.start || n > h.number || n < h.forgot || w.jobs && n < h.since {
		return []told{{number: h.number, event: api.Event{Kind: "lost", What: "lost", Text: "what happened since then is not known here any more: look again"}}}
	}
	for _, x := range h.past {
		if x.number > n && w.wants(x.note) {
			out = append(out, x)
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
		e := told{h.number, x, api.Event{At: x.At.UTC(), Broker: from, Kind: x.Kind, ID: x.ID, What: x.What, Place: x.Place, For: x.For, Text: x.Text}}
		if len(h.past) == pastEvents {
			h.forgot = h.past[pastEvents/4-1].number
			h.past = slices.Delete(h.past, 0, pastEvents/4)
		}
		h.past = append(h.past, e)
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
	rejected := r.URL.Query().Get("kinds") == "" // of jobs these are few, and what an operator wants to know after a split
	return srv.stream(w, r, slices.ContainsFunc(kinds, frequent), func(x broker.Note) bool {
		return slices.Contains(kinds, x.Kind) || rejected && x.Kind == "job" && x.What == "rejected"
	})
}

// frequent are the kinds of which there may be thousands a second: the states of jobs, and versions of named data. The core tells of
// them only as long as somebody asks.
func frequent(kind string) bool { return kind == "job" || kind == "data" }

// eventKinds reads which events are asked for: all but what is frequent, unless ?kinds= says otherwise. Who names none is told of
// results that do not count, too.
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

// handleJobEvents is the same of one job, its present state first; it ends when the job has.
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
	return srv.stream(w, r, true, func(x broker.Note) bool { return (x.Kind == "job" || x.Kind == "preemption") && x.ID == name })
}

func (srv *Server) stream(w http.ResponseWriter, r *http.Request, jobs bool, wants func(broker.Note) bool) error {
	watch := &watcher{wants: wants, jobs: jobs, queue: make(chan told, watcherQueue)}
	missed, from, first, ok := srv.hub.add(watch, r.Header.Get(LastEventID))
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
		if e.event.Broker == "" {
			e.event.At, e.event.Broker = srv.cfg.Now().UTC(), srv.cfg.Name
		}
		b, err := json.Marshal(e.event) // strings and times can be encoded
		return err == nil && write("id: %s\nevent: %s\ndata: %s\n\n", srv.hub.id(e.number), e.event.Kind, b)
	}
	for _, e := range missed {
		if !send(e) {
			return nil // the client is gone
		}
	}
	if !write(": the events of %s from now on\nid: %s\n\n", srv.cfg.Name, srv.hub.id(from)) {
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
