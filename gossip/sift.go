package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A node's statements about the cluster carry numbers that only grow: incarnations in memberlist, Lamport times
// in Serf. Both libraries believe any number, and go on from it. So one forged packet that names the greatest
// number there is mutes a node for good: it cannot say anything newer. The bounds below keep a forged number so
// close to the true one that the node still can (rule G1):
//
//   - What comes unasked, in a packet or in a stream that a peer has opened, may be ahead of what is known here
//     by one step.
//   - What answers a stream that this node has opened itself may be ahead by any amount below the ceiling. So a
//     node that was away for long, or starts, catches up.
//
// The bound of what a node says of itself lies above the bound of what others say of it, so that it can
// contradict whatever was let in. To reach a ceiling by steps takes many thousand packets.
const (
	incarnationStep    = 1 << 16 // ahead of the highest incarnation that is known of a node
	incarnationFirst   = 1 << 30 // of a node that is not known yet
	incarnationCeiling = 1 << 31

	lamportStep    = 1 << 32 // ahead of the highest Lamport time that is known, in a message
	lamportCeiling = 1 << 62
)

// maxSiftNames bounds of how many names incarnations are kept; beyond it they are forgotten, and learnt again.
const maxSiftNames = 8192

// Refused says what was wrong with a statement that was not let in.
type Refused string

// The kinds of statements that are refused.
const (
	RefusedIncarnation Refused = "incarnation" // of a node: too far ahead
	RefusedLamport     Refused = "lamport"     // time of an event, a query, a join or a leave: too far ahead
	RefusedTags        Refused = "tags"        // longer than any node may have
	RefusedPrune       Refused = "prune"       // a node that is alive is to be forgotten; its leave is let in
	RefusedKey         Refused = "key"         // not encrypted with a key of this node
	RefusedForm        Refused = "form"        // a packet that is nested too deep, or too large when decompressed
)

// sift refuses statements that would mute a node for good, and counts them. Everything that comes in passes it
// before memberlist and Serf see it. Its methods may be called from any goroutine.
type sift struct {
	self   string
	report func(Refused) // see Config.Refused
	log    *slog.Logger
	alive  func(name string) bool // whether Serf takes a node for alive

	mu           sync.Mutex
	incarnations map[string]uint32 // the highest that were let in, by node
	lamport      [3]uint64         // the highest that were let in, by clock
	warned       time.Time
	silent       int // refused since the last line in the log
}

// The Lamport clocks of Serf.
const (
	memberClock = iota
	eventClock
	queryClock
)

func newSift(self string, report func(Refused), log *slog.Logger) *sift {
	return &sift{self: self, report: report, log: log, incarnations: map[string]uint32{}, alive: func(string) bool { return false }}
}

// refuse counts a statement, and logs at most one a second. Only who holds s.mu may call it.
func (s *sift) refuse(what Refused, text string, args ...any) {
	s.report(what)
	if !s.due() {
		return
	}
	s.log.Error("a statement of the gossip is refused, since it would mute a node: "+text, append(args, "what", string(what), "others since the last line", s.silent)...)
	s.silent = 0
}

// due reports whether a line may be logged: one a second. Only who holds s.mu may call it.
func (s *sift) due() bool {
	now := time.Now()
	if now.Sub(s.warned) < time.Second {
		s.silent++
		return false
	}
	s.warned = now
	return true
}

// incarnation reports whether a statement about a node is let in. Own says that it may come from the node itself
// (it is alive), asked that it answers us.
func (s *sift) incarnation(node string, n uint32, own, asked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, met := s.incarnations[node]
	limit, ceiling := uint64(known)+incarnationStep, uint64(incarnationCeiling-incarnationStep)
	if own || node == s.self {
		limit, ceiling = limit+incarnationStep, incarnationCeiling
	}
	switch {
	case asked && own:
		limit = ceiling
	case asked, !met && node != s.self:
		limit = max(limit, incarnationFirst)
	}
	limit = min(limit, ceiling)
	if uint64(n) > limit {
		s.refuse(RefusedIncarnation, "its incarnation is too far ahead", "node", node, "incarnation", n, "known", known)
		return false
	}
	if !met && !own && node != s.self {
		return true // memberlist ignores it
	}
	if len(s.incarnations) >= maxSiftNames {
		clear(s.incarnations)
	}
	s.incarnations[node] = max(known, n)
	return true
}

// tags reports whether a node's tags have a length that is allowed.
func (s *sift) tags(node string, meta []byte) bool {
	if len(meta) <= maxTags {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse(RefusedTags, "its tags are too long", "node", node, "bytes", len(meta), "limit", maxTags)
	return false
}

// time reports whether a Lamport time is let in. Reach is how far ahead it may be.
func (s *sift) time(clock int, t, reach uint64, of string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := min(s.lamport[clock]+reach, lamportCeiling); t > limit {
		s.refuse(RefusedLamport, "its Lamport time is too far ahead", "of", of, "time", t, "known", s.lamport[clock])
		return false
	}
	s.lamport[clock] = max(s.lamport[clock], t)
	return true
}

// packet returns what is let in of a packet: all of it, its other parts, or nothing. What is not understood is
// let in, for memberlist to complain about.
func (s *sift) packet(b []byte) []byte {
	inner := b
	if len(b) >= 5 && b[0] == wireCRC {
		if inner = b[5:]; crc32.ChecksumIEEE(inner) != binary.BigEndian.Uint32(b[1:]) {
			return b
		}
	}
	if out, changed := s.message(inner, 0); changed {
		return out // without a checksum, which may be left out
	}
	return b
}

// message returns what is let in of a message of memberlist, and whether that is not all of it.
func (s *sift) message(b []byte, depth int) (out []byte, changed bool) {
	if len(b) == 0 {
		return b, false
	}
	switch b[0] {
	case wireCompound, wireCompress:
		if depth == maxNesting {
			return s.misshapen("it is nested too deep")
		}
		if b[0] == wireCompress {
			return s.compressed(b, depth+1)
		}
		return s.compound(b, depth+1)
	case wireSuspect, wireDead:
		var a accusation
		if decodeWire(b[1:], &a) == nil && !s.incarnation(a.Node, a.Incarnation, false, false) {
			return nil, true
		}
	case wireAlive:
		var a announcement
		if decodeWire(b[1:], &a) == nil && (!s.tags(a.Node, a.Meta) || !s.incarnation(a.Node, a.Incarnation, true, false)) {
			return nil, true
		}
	}
	return b, false
}

func (s *sift) misshapen(why string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse(RefusedForm, why)
	return nil, true
}

// compressed looks into a compressed packet; what is changed is passed on uncompressed.
func (s *sift) compressed(b []byte, depth int) (out []byte, changed bool) {
	var c compressed
	if decodeWire(b[1:], &c) != nil {
		return b, false
	}
	inner, err := c.decompress(maxPacketMessage)
	if err != nil {
		return s.misshapen(err.Error())
	}
	if out, changed := s.message(inner, depth); changed {
		return out, true
	}
	return b, false
}

func (s *sift) compound(b []byte, depth int) (out []byte, changed bool) {
	parts, ok := splitCompound(b[1:])
	if !ok {
		return b, false
	}
	kept := parts[:0:0]
	for _, p := range parts {
		let, other := s.message(p, depth)
		changed = changed || other
		if len(let) > 0 && len(let) < 1<<16 {
			kept = append(kept, let)
		}
	}
	switch {
	case !changed:
		return b, false
	case len(kept) == 0:
		return nil, true
	}
	return joinCompound(kept), true
}

// userMessage returns what is let in of a message of Serf: all of it, nothing, or a leave without its Prune.
func (s *sift) userMessage(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	clock, known := map[byte]int{serfLeave: memberClock, serfJoin: memberClock, serfEvent: eventClock, serfQuery: queryClock}[b[0]]
	var m stamped
	if !known || decodeWire(b[1:], &m) != nil {
		return b
	}
	if !s.time(clock, m.LTime, lamportStep, m.Name+m.Node) {
		return nil
	}
	if b[0] == serfLeave {
		return s.leave(b)
	}
	return b
}

// leave lets a leave in. Serf forgets a node that is to be pruned, even when that has said meanwhile that it is
// alive, and would never show it again.
func (s *sift) leave(b []byte) []byte {
	var m leaveIntent
	if decodeWire(b[1:], &m) != nil || !m.Prune || !s.alive(m.Node) {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse(RefusedPrune, "it is alive, and would be forgotten", "node", m.Node)
	out, err := encodeWire(serfLeave, &leaveIntent{LTime: m.LTime, Node: m.Node})
	if err != nil {
		return nil
	}
	return out
}

// pushPull removes what is refused from what a peer says in a push-pull, and reports whether it did. Asked says
// that this node has begun it.
func (s *sift) pushPull(pp *pushPull, asked bool) (changed bool) {
	all := len(pp.nodes)
	pp.nodes = slices.DeleteFunc(pp.nodes, func(n pushPullNode) bool {
		return !s.tags(n.Name, n.Meta) || !s.incarnation(n.Name, n.Incarnation, n.State == stateAlive, asked)
	})
	state, payload, found, err := cutTrailer(pp.user)
	if err != nil || len(state) == 0 || state[0] != serfPushPull {
		return len(pp.nodes) < all
	}
	var m serfState
	if decodeWire(state[1:], &m) != nil || !s.serfState(&m, asked) {
		return len(pp.nodes) < all
	}
	if state, err = encodeWire(serfPushPull, &m); err == nil {
		pp.user = state
		if found {
			pp.user = appendTrailer(state, payload)
		}
	}
	return true
}

// serfState removes what is refused from a state of Serf, and reports whether it did.
func (s *sift) serfState(m *serfState, asked bool) (changed bool) {
	reach := uint64(2 * lamportStep) // more than in a message, so that who let in a step is not refused here
	if asked {
		reach = lamportCeiling
	}
	for clock, t := range map[int]*uint64{memberClock: &m.LTime, eventClock: &m.EventLTime, queryClock: &m.QueryLTime} {
		if !s.time(clock, *t, reach, "a peer's clock") {
			*t, changed = 0, true // 0 says nothing
		}
	}
	for node, t := range m.StatusLTimes {
		if !s.time(memberClock, t, reach, node) {
			delete(m.StatusLTimes, node)
			m.LeftMembers = slices.DeleteFunc(m.LeftMembers, func(x string) bool { return x == node })
			changed = true
		}
	}
	for i, e := range m.Events {
		if e != nil && !s.time(eventClock, e.LTime, reach, "a past event") {
			m.Events[i], changed = nil, true
		}
	}
	return changed
}

// stream returns the message of a stream as it is let in; what is no push-pull passes as it is.
func (s *sift) stream(r *recorder, asked bool) ([]byte, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	var pp pushPull
	switch kind {
	case wirePushPull:
		pp, err = readPushPull(r)
	case wireCompress:
		var inner []byte
		if inner, err = readCompressed(r); err == nil {
			if inner[0] != wirePushPull {
				return r.kept, nil
			}
			pp, err = readPushPull(bytes.NewReader(inner[1:]))
		}
	default:
		return r.kept, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gossip: a peer's push-pull: %w", err)
	}
	if !s.pushPull(&pp, asked) {
		return r.kept, nil
	}
	return pp.encode()
}
