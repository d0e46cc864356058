package main

import (
	"context"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// observeEvery is how often every broker is asked how it sees the others: what the
// detection times are exact to.
const observeEvery = 250 * time.Millisecond

// observe asks all brokers how they see each other and what they have counted, until
// ctx ends.
func (w *world) observe(ctx context.Context) {
	for n := 0; rig.Pause(ctx, observeEvery) == nil; n++ {
		var all sync.WaitGroup
		for _, b := range w.members() {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if n%4 == 0 {
					w.scrape(ctx, b)
				}
				s, err := b.Client().Coordination(ctx)
				if err != nil {
					return
				}
				for name, p := range s.PeerBrokers {
					w.seen.add(b.Name, name, p.Healthy, time.Now())
				}
			})
		}
		all.Wait()
	}
}

// sightings are the changes of which broker saw which other as healthy, and when.
type sightings struct {
	mu   sync.Mutex
	last map[[2]string]bool
	list []sightingOf
}

type sightingOf struct {
	by, whom string
	healthy  bool
	at       time.Time
}

func (s *sightings) add(by, whom string, healthy bool, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[[2]string]bool{}
	}
	key := [2]string{by, whom}
	if was, known := s.last[key]; known && was == healthy {
		return
	}
	s.last[key] = healthy
	s.list = append(s.list, sightingOf{by, whom, healthy, at})
}

// detected is how long it took until somebody first saw that a broker was gone; false
// when it was back before.
func (s *sightings) detected(b *blow) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.list {
		if x.whom == b.broker && !x.healthy && x.at.After(b.at) && (b.back.IsZero() || x.at.Before(b.back)) {
			return x.at.Sub(b.at), true
		}
	}
	return 0, false
}

// scrape reads what a broker has counted since its start. What a process counts
// between the last look and its end is not known: the sums are "at least".
func (w *world) scrape(ctx context.Context, b *rig.Broker) {
	if b.LivesSince().IsZero() {
		return
	}
	now, err := b.Metrics(ctx, "ucp_decisions_total")
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.counters[b.Name]
	for what, v := range old {
		if now[what] < v { // a new process
			w.past[what] += v
		}
	}
	w.counters[b.Name] = now
}

// total sums a decision over all brokers.
func (w *world) total(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	what = `ucp_decisions_total{what="` + what + `"}`
	sum := w.past[what]
	for _, c := range w.counters {
		sum += c[what]
	}
	return int(sum)
}

// availability is how long clients of living brokers waited for an answer.
type availability struct {
	mu      sync.Mutex
	open    map[[2]string]time.Time // broker, what -> when it was first asked without an answer
	longest map[string]gap
}

// gap is a time without an answer.
type gap struct {
	broker string
	from   time.Time
	length time.Duration
}

// note takes in that a broker has answered, or not, to what was asked then. Times in
// which it was not up, or hindered by us, do not count.
func (a *availability) note(b *rig.Broker, what string, asked time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open, a.longest = map[[2]string]time.Time{}, map[string]gap{}
	}
	key := [2]string{b.Name, what}
	since := b.LivesSince()
	if since.IsZero() || asked.Before(since) {
		delete(a.open, key)
		return
	}
	from, waiting := a.open[key]
	if !waiting || from.Before(since) {
		from = asked
	}
	if length := time.Since(from); length > a.longest[what].length {
		a.longest[what] = gap{b.Name, from, length}
	}
	if ok {
		delete(a.open, key)
	} else {
		a.open[key] = from
	}
}
