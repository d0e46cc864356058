package city

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/identity"
)

// Bounds of heads. Actors whose heads are kept are those of members, since each is signed by one.
const (
	keepHeads = 8                 // of one actor, the latest, so that forks are found
	keepChain = 8                 // actors of one name, those of the latest starts
	maxEarly  = 256               // heads of members whose key is not known yet
	maxWrong  = 4                 // heads of one message that are not believed; the rest is not looked at, since that costs as much as to sign
	MaxTold   = 1024              // heads in one message
	MaxHeads  = MaxTold * (1 + 2) // of that, with what proves forks
)

// Heads are what the brokers of a city have signed of their commits (rules H1, H2): this broker signs its own, takes in those
// of others, and tells each to each. Its methods may be called by several goroutines at once.
type Heads struct {
	self *Self

	signing sync.Mutex
	chain   *head.Chain

	mu    sync.Mutex
	known map[clock.Actor]*line
	early map[clock.Actor]*head.Head // of names whose key is not known yet
	told  map[string]*listener
}

// line is what is known of one actor.
type line struct {
	recent []*head.Head // the earliest first
	fork   *Fork
}

func (l *line) last() *head.Head { return l.recent[len(l.recent)-1] }

// listener is what the present start of a peer is known to have.
type listener struct {
	actor clock.Actor
	has   map[clock.Actor]told
}

type told struct {
	head *head.Head
	fork bool
}

// Fork is two heads of one actor that can't be on one chain, both signed with its member's key (rule H2).
type Fork struct{ One, Other *head.Head }

// Actor is whose fork it is.
func (f *Fork) Actor() clock.Actor { return f.One.Actor }

// String says it to people.
func (f *Fork) String() string {
	return fmt.Sprintf("%s has signed two histories, at its updates %d and %d: either its machine was resumed from a snapshot, or somebody else has its key, or it lies; `ucp cluster revoke %s` shuts it out",
		f.One.Actor, f.One.Counter, f.Other.Counter, f.One.Actor.Broker())
}

// NewHeads makes what a broker of a city knows of heads, with those that it has stored: it knows that they were signed.
func NewHeads(self *Self, stored ...*head.Head) *Heads {
	h := &Heads{self: self, chain: head.NewChain(self.signingKey()), known: map[clock.Actor]*line{}, early: map[clock.Actor]*head.Head{}, told: map[string]*listener{}}
	for _, x := range stored {
		h.join(x)
	}
	return h
}

func (s *Self) signingKey() identity.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// Verify returns nil if a head has the signature of a key that its member has, or had.
func (h *Heads) Verify(x *head.Head) error {
	if !slices.ContainsFunc(h.self.keysOf(x.Actor.Broker()), func(k identity.PublicKey) bool { return x.SignedBy(k) == nil }) {
		return fmt.Errorf("a head of %s that this member has not signed", x.Actor)
	}
	return nil
}

// Sign makes the head of a commit of this broker. Nobody else has it before it is synced, and published.
func (h *Heads) Sign(d clock.Dot, leaves []head.Hash) (*head.Head, error) {
	h.signing.Lock()
	defer h.signing.Unlock()
	return h.chain.Next(d, leaves)
}

// Publish lets the others have heads of this broker, which are on its disk.
func (h *Heads) Publish(own ...*head.Head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range own {
		h.join(x)
	}
}

// For is what a start of a peer is to be told: of each actor the last head, and what proves a fork, which it is not known to have. To
// call arrived says that it has come there.
func (h *Heads) For(peer string, actor clock.Actor) (list [][]byte, arrived func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.listener(peer, actor)
	tell := map[clock.Actor]told{}
	for _, a := range slices.Sorted(maps.Keys(h.known)) {
		x := h.known[a]
		now, has := told{x.last(), x.fork != nil}, l.has[a]
		if has == now || len(tell) == MaxTold {
			continue
		}
		if has.head != now.head {
			list = append(list, now.head.Encode())
		}
		if now.fork && !has.fork {
			list = append(list, x.fork.One.Encode(), x.fork.Other.Encode())
		}
		tell[a] = now
	}
	return list, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if l := h.listener(peer, actor); l.actor == actor {
			maps.Copy(l.has, tell)
		}
	}
}

// listener is the present start of a peer; of another one nothing is known.
func (h *Heads) listener(peer string, actor clock.Actor) *listener {
	l := h.told[peer]
	if l == nil || l.actor != actor {
		l = &listener{actor, map[clock.Actor]told{}}
		h.told[peer] = l
	}
	return l
}

// Take takes in what a start of a peer has told. It returns the heads that are news and the last of their actors, and the forks that
// are news; and why some were not believed, after what was.
func (h *Heads) Take(peer string, actor clock.Actor, list [][]byte) (news []*head.Head, forks []*Fork, err error) {
	wrong := 0
	for _, b := range list[:min(len(list), MaxHeads)] {
		if wrong == maxWrong {
			break
		}
		x, bad := head.Decode(b)
		if bad != nil {
			err = bad
			wrong++
			continue
		}
		if h.has(peer, actor, x) {
			continue
		}
		if len(h.self.keysOf(x.Actor.Broker())) == 0 {
			h.await(x)
			continue
		}
		if bad := h.Verify(x); bad != nil {
			err = bad
			wrong++
			continue
		}
		last, fork := h.take(peer, actor, x)
		if last {
			news = append(news, x)
		}
		if fork != nil {
			forks = append(forks, fork)
		}
	}
	return news, forks, err
}

// has reports whether a head that a peer has told is no news. What is not the last one of its actor, and contradicts nothing,
// need not be looked at.
func (h *Heads) has(peer string, actor clock.Actor, x *head.Head) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.known[x.Actor]
	if l == nil {
		return false
	}
	if l.last().Same(x) {
		h.heard(peer, actor, l)
		return true
	}
	contradicts := slices.ContainsFunc(l.recent, x.Contradicts)
	return contradicts && l.fork != nil && x.Counter <= l.last().Counter || !contradicts && x.Counter <= l.last().Counter
}

// heard notes that a peer has told the last head of an actor: it has that.
func (h *Heads) heard(peer string, actor clock.Actor, l *line) {
	has := h.listener(peer, actor).has
	a := l.last().Actor
	has[a] = told{l.last(), has[a].fork}
}

// take takes in a head whose signature is right. It reports whether it is the last of its actor, and the fork that it proves, if that
// is news.
func (h *Heads) take(peer string, actor clock.Actor, x *head.Head) (last bool, fork *Fork) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, fork = h.join(x)
	if l := h.known[x.Actor]; last && peer != "" && l != nil {
		h.heard(peer, actor, l)
	}
	return last, fork
}

func (h *Heads) join(x *head.Head) (last bool, fork *Fork) {
	l := h.known[x.Actor]
	if l == nil {
		l = &line{}
		h.known[x.Actor] = l
		h.forget(x.Actor.Broker())
	}
	if l.fork == nil {
		if i := slices.IndexFunc(l.recent, x.Contradicts); i >= 0 {
			fork = &Fork{l.recent[i], x}
			l.fork = fork
		}
	}
	if n := len(l.recent); n > 0 && l.recent[n-1].Counter >= x.Counter {
		return false, fork
	}
	l.recent = append(l.recent, x)
	l.recent = l.recent[max(0, len(l.recent)-keepHeads):]
	return true, fork
}

// forget drops the heads of the earliest starts of a broker that has many, but not what proves a fork.
func (h *Heads) forget(name string) {
	var starts []clock.Actor
	for a, l := range h.known {
		if a.Broker() == name && l.fork == nil {
			starts = append(starts, a)
		}
	}
	slices.Sort(starts) // as text, starts sort as they do as numbers
	for _, a := range starts[:max(0, len(starts)-keepChain)] {
		delete(h.known, a)
		for _, l := range h.told {
			delete(l.has, a)
		}
	}
}

// await keeps a head until the key of its member is known.
func (h *Heads) await(x *head.Head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.early[x.Actor]; old != nil && old.Counter < x.Counter || old == nil && len(h.early) < maxEarly {
		h.early[x.Actor] = x
	}
}

// Retry looks again at the heads of members whose key was not known, as after an authority has said something. It returns what
// [Heads.Take] does.
func (h *Heads) Retry() (news []*head.Head, forks []*Fork) {
	h.mu.Lock()
	var list [][]byte
	for _, a := range slices.Sorted(maps.Keys(h.early)) {
		list = append(list, h.early[a].Encode())
	}
	clear(h.early)
	h.mu.Unlock()
	news, forks, _ = h.Take("", "", list) // one that is not signed as it should be is nobody's fault: who told it could not know
	return news, forks
}

// Forks lists those that are known, by actor.
func (h *Heads) Forks() (out []*Fork) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range slices.Sorted(maps.Keys(h.known)) {
		if f := h.known[a].fork; f != nil {
			out = append(out, f)
		}
	}
	return out
}

// keysOf are the keys that the broker of a name has, or had: those of all admissions that an authority has signed, also of one that counts no
// more. Who has heard of a head while it did has taken it in, and those that hear of it later must be able to (rule H1).
func (s *Self) keysOf(name string) []identity.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.book.Keys(name)
	if s.admission.Name == name {
		keys = append(keys, s.admission.Key)
	}
	for _, a := range s.met[name] {
		keys = append(keys, a.Key)
	}
	return keys
}

// maxMet bounds the admissions of one name that were shown here.
const maxMet = 4

// meet notes an admission that was verified; the lock is held.
func (s *Self) meet(a *identity.Admission) {
	if s.met == nil {
		s.met = map[string][]*identity.Admission{}
	}
	same := func(b *identity.Admission) bool { return a.Key == b.Key }
	if a.Role == identity.Broker && !slices.ContainsFunc(s.met[a.Name], same) && len(s.met[a.Name]) < maxMet {
		s.met[a.Name] = append(s.met[a.Name], a)
	}
}

// All is what somebody is told of whom nothing is known: of each actor the last head, and what proves forks, in lists of which
// each fits into a message.
func (h *Heads) All() (lists [][][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list [][]byte
	for _, a := range slices.Sorted(maps.Keys(h.known)) {
		x := h.known[a]
		list = append(list, x.last().Encode())
		if x.fork != nil {
			list = append(list, x.fork.One.Encode(), x.fork.Other.Encode())
		}
	}
	return slices.Collect(slices.Chunk(list, MaxTold))
}
