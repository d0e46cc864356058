package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// sampled is how many other brokers are compared for one placement: the better
// of a few is nearly as good as the best of all, and does not send everything to
// one (Mitzenmacher, "The Power of Two Choices", 2001).
const sampled = 3

// What distance and absent inputs weigh against load, where a load of 1 is a
// broker that is full.
const (
	costNoInputs  = 0.25
	costPerMillis = 0.01 // of round-trip time, up to maxRTT
	maxRTT        = 50 * time.Millisecond
)

// choose picks an executor among the capable live brokers: this one and a few
// random others, the one with the least cost. Ok is false when none is capable.
func (b *Broker) choose(r *job.Record) (name string, actor clock.Actor, ok bool) {
	best := 0.0
	candidates := b.candidates(&r.Spec, sampled)
	if r.Spec.Exclusive != "" {
		if at := b.keyHolder(r, b.candidates(&r.Spec, len(b.members.Names()))); at != "" {
			candidates = []string{at}
		}
	}
	for _, c := range candidates {
		if cost := b.cost(c, r); !ok || cost < best {
			best, name, ok = cost, c, true
		}
	}
	if name == b.self {
		return name, b.cfg.Actor, ok
	}
	return name, b.members.Get(name).Actor, ok
}

// candidates lists this broker, if it is capable, and up to n random capable
// others.
func (b *Broker) candidates(s *job.Spec, n int) []string {
	var others []string
	for _, name := range b.members.Names() {
		m, row := b.members.Get(name), b.members.Metadata(name)
		if m.Status == membership.Alive && row.Actor == m.Actor && m.Actor != "" && !b.members.Leaves(name) && !row.Full && incapable(&row.Capabilities, s) == "" {
			others = append(others, name)
		}
	}
	for len(others) > n {
		i := b.random.Below(len(others))
		others = slices.Delete(others, i, i+1)
	}
	if !b.draining && !b.full && incapable(&b.cfg.Capabilities, s) == "" {
		return append([]string{b.self}, others...)
	}
	return others
}

// cost is what placing the job there costs: the load that the broker would then
// have, and a little for distance and for inputs that must travel.
func (b *Broker) cost(name string, r *job.Record) float64 {
	capacity := b.capacity(name)
	cost := 0.0
	if name != b.self {
		if !b.blobs.Has(name, r.Spec.Blobs()) {
			cost += costNoInputs
		}
		cost += costPerMillis * float64(min(b.members.Get(name).RTT, maxRTT)) / float64(time.Millisecond)
	}
	after := b.jobs.load[name].Plus(r.Spec.Resources)
	return cost + max(share(after.CPU, capacity.CPU), share(after.Memory, capacity.Memory), share(after.IO, capacity.IO))
}

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// whyUnplaced says what the known brokers lack for a job that waits.
func (b *Broker) whyUnplaced(r *job.Record) string {
	lacking := map[string]int{}
	total := 1
	if why := incapable(&b.cfg.Capabilities, &r.Spec); why != "" {
		lacking[why]++
	}
	for _, name := range b.members.Names() {
		if row := b.members.Metadata(name); row.Name != "" && b.members.Alive(name) {
			total++
			if why := incapable(&row.Capabilities, &r.Spec); why != "" {
				lacking[why]++
			}
		}
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(lacking)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", why, lacking[why]))
	}
	if len(parts) == 0 {
		return "about to be placed"
	}
	return fmt.Sprintf("none of %d live brokers can run it; lacking: %s", total, strings.Join(parts, "; "))
}
