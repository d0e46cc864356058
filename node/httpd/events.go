package httpd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
)

// hub hands events out to those who watch. Nothing rests on it.
type hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	jobs     int // of them that want to hear of every job's state
}

// watcher is one stream.
type watcher struct {
	wants func(broker.Note) bool
	jobs  bool
	queue chan api.Event
	lost  int // guarded by the hub
}

// add begins a stream; ok is false when there are too many. First says that it is the
// first that asks for jobs' states.
func (h *hub) add(w *watcher) (first, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= MaxWatchers {
		return false, false
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]struct{}{}
	}
	h.watchers[w] = struct{}{}
	if w.jobs {
		h.jobs++
	}
	return w.jobs && h.jobs == 1, true
}

// remove ends it; last says that nobody asks for jobs' states any more.
func (h *hub) remove(w *watcher) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	if w.jobs {
		h.jobs--
	}
	return w.jobs && h.jobs == 0
}

// tell hands notes out. It never blocks: who reads too slowly misses some, and is told so.
func (h *hub) tell(from string, notes []broker.Note) {
	if len(notes) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		for _, x := range notes {
			if !w.wants(x) {
				continue
			}
			if w.lost > 0 && len(w.queue) < cap(w.queue)/2 {
				w.queue <- api.Event{At: x.At.UTC(), Broker: from, Kind: "lost", What: "lost", Text: fmt.Sprintf("%d events were lost here: this reader is slow", w.lost)}
				w.lost = 0
			}
			select {
			case w.queue <- api.Event{At: x.At.UTC(), Broker: from, Kind: x.Kind, ID: x.ID, What: x.What, Place: x.Place, For: x.For, Text: x.Text}:
			default:
				w.lost++
			}
		}
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
	watch := &watcher{wants: wants, jobs: jobs, queue: make(chan api.Event, watcherQueue)}
	first, ok := srv.hub.add(watch)
	if !ok {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "%d clients watch the events of this broker, and that is the most", MaxWatchers)
	}
	if first {
		srv.core.Tell(broker.Watch{On: true})
	}
	defer func() {
		if srv.hub.remove(watch) {
			srv.core.Tell(broker.Watch{On: false})
		}
	}()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	write := func(format string, args ...any) bool {
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	if !write(": the events of %s from now on\n\n", srv.cfg.Name) {
		return nil // the client is gone
	}
	t := time.NewTicker(keepAlive)
	defer t.Stop()
	for {
		select {
		case e := <-watch.queue:
			b, err := json.Marshal(e)
			if err != nil {
				return err // strings and times can be encoded
			}
			if !write("event: %s\ndata: %s\n\n", e.Kind, b) {
				return nil
			}
		case <-t.C:
			if _, err := srv.identify(r); err != nil {
				return nil // a token that ended, or was revoked, meanwhile
			}
			if !write(": still here\n\n") {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-srv.host.Leaving().Done():
			return nil
		}
	}
}

// Watchers is how many clients watch /v1/events now.
func (srv *Server) Watchers() int {
	srv.hub.mu.Lock()
	defer srv.hub.mu.Unlock()
	return len(srv.hub.watchers)
}
