package httpd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// ProtocolTag is the Serf tag that says which versions of the protocol a broker speaks, from the lowest to the highest:
// "1-2", or "1" for only that (rule K5).
const ProtocolTag = "proto"

// Protocols reads a protocol tag; 0 and 0 when it makes no sense.
func Protocols(tag string) (lowest, highest int) {
	first, last, found := strings.Cut(tag, "-")
	if !found {
		last = first
	}
	lowest, err := strconv.Atoi(first)
	if err == nil {
		highest, err = strconv.Atoi(last)
	}
	if err != nil {
		return 0, 0
	}
	return lowest, highest
}

// health is how another broker is, as far as this one knows: whether the two exchange messages, it as itself. That
// gossip calls it alive does not count, since nothing of jobs passes there.
type health struct {
	kind   healthKind
	reason string    // what is wrong, for people, but for the time; "" of a healthy one
	since  time.Time // its last good exchange, where that is what is wrong; zero is not since our start
	lost   time.Time // when gossip lost it, where that is known
	gossip bool      // gossip hears it
	leaves bool      // it is about to leave: that it answers no more is no news
}

// healthKind is what a change is a change of; metrics show it.
type healthKind string

const (
	healthy     healthKind = "healthy"     // messages pass both ways, and it is the one that it says
	unheard     healthKind = "unheard"     // nothing has passed yet
	silent      healthKind = "silent"      // nothing passes any more
	stranger    healthKind = "stranger"    // somebody else answers at its address
	refusing    healthKind = "refusing"    // it takes none of our messages
	foreign     healthKind = "foreign"     // it speaks another protocol
	addressless healthKind = "addressless" // it names no address that can be called
	revoked     healthKind = "revoked"     // it was shut out of the city, or given up
	unreached   healthKind = "unreached"   // its messages do not reach this broker, though it answers ours
)

// text says it to people.
func (h health) text(now time.Time) string {
	switch {
	case h.kind != silent:
		return h.reason
	case h.since.IsZero():
		return "silent since this broker's start" + h.byGossip(now)
	}
	return fmt.Sprintf("silent for %s%s", secondsAgo(h.since, now), cmp.Or(h.reason, h.byGossip(now)))
}

// byGossip says how a silent broker is for gossip: where there was nothing to say, the last message may have come long before
// the broker fell silent.
func (h health) byGossip(now time.Time) string {
	switch {
	case h.gossip:
		return "; gossip still hears it"
	case !h.lost.IsZero():
		return fmt.Sprintf("; gossip lost it %s ago", secondsAgo(h.lost, now))
	}
	return ""
}

// secondsAgo is how long an instant was ago, to the second, and not less than 0.
func secondsAgo(at, now time.Time) time.Duration { return max(now.Sub(at), 0).Round(time.Second) }

// unansweredToSilent is how many messages in a row a broker may leave unanswered until it counts as silent.
const unansweredToSilent = 2

// silence is how long nothing may pass although nothing failed: some intervals, each of which may be stretched to two, and
// never less than a busy machine may take.
func (srv *Server) silence() time.Duration { return max(5*srv.cfg.SyncInterval, 30*time.Second) }

// healthOf judges a broker by what is known of it.
func (srv *Server) healthOf(m *membership.Member, k Contact, protocols string, now time.Time) health {
	if k.Actor != "" && m.Actor != "" && k.Actor != m.Actor {
		k.Failing, k.Stranger, k.Refused, k.Unanswered = 0, "", "", 0 // that was its earlier start
	}
	lowest, highest := Protocols(protocols)
	there := m.Status == membership.Alive || srv.proven(m.Name)
	switch {
	case srv.revoked(m.Name):
		return health{kind: revoked, reason: "was revoked, and belongs to the city no more: `ucp cluster forget " + m.Name + "` says that it is not waited for"}
	case there && highest != 0 && highest < wire.Lowest:
		return health{kind: foreign, reason: fmt.Sprintf("speaks protocol %d, we speak %d", highest, wire.Lowest)}
	case there && lowest > wire.Version:
		return health{kind: foreign, reason: fmt.Sprintf("speaks protocol %d, we speak %d", lowest, wire.Version)}
	case k.Stranger != "":
		by := clock.Actor(k.Stranger)
		if by.Broker() == m.Name {
			return health{kind: stranger, reason: "at its address another start of it answers"}
		}
		return health{kind: stranger, reason: "at its address " + by.Broker() + " answers"}
	case k.Refused != "":
		return health{kind: refusing, reason: "refuses us: " + k.Refused}
	case there && m.HTTPAddr == "":
		return health{kind: addressless, reason: "names no HTTP address that can be called"}
	case !there, k.Failing >= unansweredToSilent, !k.Seen.IsZero() && now.Sub(k.Seen) > srv.silence():
		if there && k.Answered.Before(k.Seen) && now.Sub(k.Seen) <= srv.silence() {
			return health{kind: silent, reason: " to our messages, though it sends some", since: k.Answered}
		}
		return health{kind: silent, since: k.Seen}
	case k.Seen.IsZero():
		return health{kind: unheard, reason: "not heard yet"}
	case k.Unanswered > 0 && now.Sub(k.UnansweredFrom) >= unansweredFor:
		at, _ := srv.host.Addresses()
		return health{kind: unreached, reason: fmt.Sprintf("can't reach this broker at %s (%d messages without an answer): is that port open to it?", at, k.Unanswered)}
	}
	return health{kind: healthy, reason: string(healthy)}
}

// revoked reports whether a broker was shut out of the city.
func (srv *Server) revoked(name string) bool { return srv.cfg.City != nil && srv.cfg.City.Gone(name) }

// others are the other brokers that take part: neither who has left, nor who is gone and was given up (rule M2).
func (srv *Server) others() (out []membership.Member) {
	roll := srv.roll()
	for _, m := range srv.host.Brokers() {
		givenUp := roll[m.Name].Closed != "" && m.Status == membership.Failed
		if m.Name != srv.cfg.Name && m.Status != membership.Left && !givenUp {
			out = append(out, m)
		}
	}
	return out
}

// healths judges all other brokers that take part, by name.
func (srv *Server) healths(now time.Time) map[string]health {
	tags := map[string]string{}
	for _, x := range srv.host.Members() {
		tags[x.Name] = x.Tags[ProtocolTag]
	}
	met, _ := srv.host.Contacts()
	out := map[string]health{}
	roll := srv.roll()
	for _, m := range srv.others() {
		h := srv.healthOf(&m, met[m.Name], tags[m.Name], now)
		h.leaves, h.gossip = m.Draining, m.Status == membership.Alive
		if !h.gossip && roll[m.Name].Absent {
			h.lost = roll[m.Name].Since
		}
		out[m.Name] = h
	}
	for name, m := range roll { // Serf has dropped it, and it counts all the same
		if _, known := out[name]; m.Absent && !known && name != srv.cfg.Name {
			out[name] = health{kind: silent, since: met[name].Seen, lost: m.Since}
		}
	}
	return out
}

// Unwell reports whether it was told last of another broker that something is wrong with it. It is for the goroutine that
// calls WatchHealth.
func (srv *Server) Unwell(name string) bool {
	was := srv.healthWas[name]
	return was != "" && was != healthy
}

// WatchHealth tells of each change of another broker's health, in the log and to those that watch: once. The first word of
// one that is well, or that was not heard yet, is no change. The node calls it every few seconds, from one goroutine.
func (srv *Server) WatchHealth() {
	srv.restWatching()
	now := srv.cfg.Now()
	all := srv.healths(now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		h, was := all[name], srv.healthWas[name]
		if h.kind == unheard || h.leaves || h.kind == was {
			continue
		}
		srv.healthWas[name] = h.kind
		if was == "" && h.kind == healthy {
			continue
		}
		text := h.text(now)
		srv.log.Warn("peer", "name", name, "health", text)
		srv.hub.tell(srv.cfg.Name, []broker.Note{{At: now, Kind: "health", ID: name, What: string(h.kind), Text: name + ": " + text}})
	}
	maps.DeleteFunc(srv.healthWas, func(name string, _ healthKind) bool { _, known := all[name]; return !known })
	srv.watchOffers(now, all)
}

// watchOffers tells, as of health, when another broker that is heard begins to take no jobs by itself, since its disk is
// full or it can't carry any out, and when it takes some again. That it is about to leave, or was drained, is told as such.
func (srv *Server) watchOffers(now time.Time, all map[string]health) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		row, _ := srv.rowOf(name)
		if all[name].kind != healthy || all[name].leaves || row.Draining {
			continue
		}
		why := takesNone(&row, false, false)
		if why == wire.DrainedText {
			why = ""
		}
		if (why != "") == srv.tookNone[name] {
			continue
		}
		srv.tookNone[name] = why != ""
		what, text := "takes_jobs", "takes jobs again"
		if why != "" {
			what, text = "takes_none", fmt.Sprintf("takes no jobs: %.200s", why)
		}
		srv.log.Warn("peer", "name", name, "health", text)
		srv.hub.tell(srv.cfg.Name, []broker.Note{{At: now, Kind: "health", ID: name, What: what, Text: name + ": " + text}})
	}
	maps.DeleteFunc(srv.tookNone, func(name string, _ bool) bool { _, known := all[name]; return !known })
}
