package broker

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
)

// names is the named data that this broker knows (rules D1 to D5): what each name stands for is in the ledger.
type names struct {
	*core
	sorted *btree.BTreeG[data.Name]          // all that are known
	ages   map[data.Name]dataAge             // of those with old or removed versions
	absent map[data.Name]map[string]struct{} // of those that are there, who says that it has forgotten it
	copies namePass
	waits  []dataWaiter
	onNew  func(name string) // hears that a name stands for something else
}

// namePass sees to it that the versions are here that belong here (rule D5).
type namePass struct {
	next   time.Time // when it goes on; zero is never
	todo   []data.Name
	listed map[data.Name]struct{}   // those of todo
	asked  map[job.Digest]data.Name // on their way here, unless they are here already
	failed map[data.Name]struct{}   // some of it did not come, and somebody who did not answer may have it
	pause  time.Duration
}

// mostNames bounds how many names there are (rule L11). What other brokers have written counts, and is taken all the same.
const mostNames = 1 << 16

func newNames(c *core) names {
	return names{
		core: c, sorted: btree.NewG(32, func(a, b data.Name) bool { return a < b }), ages: map[data.Name]dataAge{},
		absent: map[data.Name]map[string]struct{}{},
		copies: namePass{listed: map[data.Name]struct{}{}, asked: map[job.Digest]data.Name{}, failed: map[data.Name]struct{}{}, pause: shortFirst},
	}
}

// get returns what is known of a name, nil for nothing.
func (n *names) get(name data.Name) *data.Record {
	r, err := n.ledger.Get(kind.DataRef(name))
	n.fail(err)
	rec, _ := r.(*data.Record)
	return rec
}

// load takes in a record that was stored before this start.
func (n *names) load(r *data.Record) {
	n.sorted.ReplaceOrInsert(r.Name)
	n.copies.add(r.Name)
}

// ageless lets the age of all that have none begin.
func (n *names) ageless() {
	n.sorted.Ascend(func(name data.Name) bool {
		if r := n.get(name); r != nil {
			n.keepAge(r, false)
		}
		return true
	})
}

// write makes a local update of a name. Change returns nil to leave all as it is.
func (n *names) write(name data.Name, change func(dot clock.Dot, old *data.Record) *data.Record) *data.Record {
	var old *data.Record
	r, err := n.ledger.Apply(kind.DataRef(name), func(dot clock.Dot, o ledger.Record) ledger.Record {
		old, _ = o.(*data.Record)
		if rec := change(dot, old); rec != nil {
			return rec
		}
		return nil
	})
	if err != nil {
		n.fail(err)
		return nil
	}
	rec, _ := r.(*data.Record)
	if rec != nil && rec != old {
		n.noted(old, rec, true)
	}
	return rec
}

// noted takes in a name that has changed, here or by a peer, and passes it on; old is nil for a new one.
func (n *names) noted(old, r *data.Record, own bool) {
	n.sorted.ReplaceOrInsert(r.Name)
	delete(n.absent, r.Name)
	was, is := latestOf(old), latestOf(r)
	n.keepAge(r, was != is)
	if !own {
		n.look(r.Name)
	}
	n.tell(r.Dots, own)
	if was != is {
		n.tellData(r)
		n.answerWaiters(r.Name)
		n.onNew(r.Key())
	}
}

// latest is the latest version of a name, nil when none is there.
func (n *names) latest(name string) *data.Version {
	if r := n.get(data.Name(name)); r != nil {
		return r.Latest()
	}
	return nil
}

// below yields the names below a prefix of which something is there, sorted, with their latest versions.
func (n *names) below(prefix string) iter.Seq2[data.Name, *data.Version] {
	return func(yield func(data.Name, *data.Version) bool) {
		n.sorted.AscendGreaterOrEqual(data.Name(prefix), func(name data.Name) bool {
			if !name.Below(prefix) {
				return false
			}
			v := n.latest(string(name))
			return v == nil || yield(name, v)
		})
	}
}

// latestOf is the update that wrote the latest version that is there; zero for none. R may be nil.
func latestOf(r *data.Record) clock.Dot {
	if r == nil || r.Latest() == nil {
		return clock.Dot{}
	}
	return r.Latest().Dot
}

// tellData notes that a name stands for something else now, when somebody watches.
func (n *names) tellData(r *data.Record) {
	if !n.watched {
		return
	}
	if v := r.Latest(); v != nil {
		by := v.Dot.Actor.Broker()
		n.note(Note{Kind: "data", ID: string(r.Name), What: "written", Text: string(r.Name) + " is written at " + by, Place: by})
		return
	}
	n.note(Note{Kind: "data", ID: string(r.Name), What: "removed", Text: string(r.Name) + " is removed"})
}

// nameOutputs writes what a job has left under the names that its spec gives it: by whom ends it, in the commit that does so (rule D7).
func (n *names) nameOutputs(r *job.Record) {
	rep := r.Accepted()
	if len(r.Spec.NamedOutputs) == 0 || rep == nil || rep.Result == nil || r.Verdict().Outcome != job.Succeeded {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(r.Spec.NamedOutputs)) {
		b, left := rep.Result.Outputs[path]
		if !left {
			continue
		}
		name := data.Name(r.Spec.NamedOutputs[path])
		if owned := n.notFor(name, r.Spec.Submitter); owned != nil {
			n.note(Note{Kind: "data", ID: string(name), What: "refused", Place: n.self,
				Text: fmt.Sprintf("%s is not written by job %s, since it has belonged to %s since that was submitted, who has not submitted the job", name, r.ID, owned.Owner)})
			continue
		}
		n.write(name, func(dot clock.Dot, old *data.Record) *data.Record {
			at := n.stamp()
			c := data.Content{Digest: b.Digest, Size: b.Size, Directory: job.IsDirectory(path), Job: r.ID, Attempt: rep.Attempt.Token()}
			return data.Put(name, old, c, at, dot).ClaimedBy(r.Spec.Submitter, at, dot)
		})
		n.look(name) // another broker may have run it
	}
}

// notFor says whose a name is that a job of somebody would write, if it is not theirs (rule D9); nil where they may.
func (n *names) notFor(name data.Name, submitter string) *DataOwned {
	if owner := n.get(name).Owner(); owner != "" && owner != submitter {
		return &DataOwned{Name: name, Owner: owner, Job: true}
	}
	return nil
}

// trim lets go of the places of removed versions, and of the name when nothing is left. It is no update.
func (n *names) trim(r *data.Record) {
	t := r.Trimmed()
	if t == nil {
		n.forget(r.Name)
		n.stats.Forgotten++
		return
	}
	n.fail(n.ledger.Shorten(kind.DataRef(r.Name), t))
	n.keepAge(t, false)
}

// forget drops a name without a trace.
func (n *names) forget(name data.Name) {
	n.fail(n.ledger.Forget(kind.DataRef(name)))
	n.sorted.Delete(name)
	delete(n.absent, name)
	if _, known := n.ages[name]; known {
		delete(n.ages, name)
		n.dropSince(kind.DataRef(name))
	}
}

// forgetWith takes in that a peer has forgotten a name: it is believed of one of which nothing is there any more. Of another one
// nobody can have forgotten it (rule D4), unless this broker's disk is an older copy: it goes when every other member says so.
func (n *names) forgetWith(from string, name data.Name, peer clock.Tips) {
	r := n.get(name)
	if r == nil || !n.ledger.CreatedWithin(r, peer) {
		return
	}
	if r.Latest() != nil {
		if n.absent[name] == nil {
			n.absent[name] = map[string]struct{}{}
		}
		n.absent[name][from] = struct{}{}
		if counted := n.members.Counted(); len(counted) == 0 || slices.ContainsFunc(counted, func(m string) bool { _, says := n.absent[name][m]; return !says }) {
			n.stats.Refuted++
			return
		}
	}
	n.forget(name)
	n.answerWaiters(name)
	n.stats.Zombies++
}

// nearest is the name that was probably meant by one that is not known; "" for none.
func (n *names) nearest(text data.Name) string {
	dir := string(text[:strings.LastIndex(string(text), "/")+1])
	var list []string
	n.sorted.AscendGreaterOrEqual(data.Name(dir), func(name data.Name) bool {
		if !name.Below(dir) || len(list) == 256 {
			return false
		}
		if r := n.get(name); r != nil && r.Latest() != nil {
			list = append(list, string(name))
		}
		return true
	})
	return label.Slip(string(text), list)
}

// add notes that a name is to be looked at.
func (p *namePass) add(name data.Name) {
	if _, listed := p.listed[name]; !listed {
		p.listed[name] = struct{}{}
		p.todo = append(p.todo, name)
	}
}

// look lets the versions of a name be looked at soon: some may belong here. While this broker takes nothing, all are looked at
// afterwards.
func (n *names) look(name data.Name) {
	if n.offer.full || n.offer.draining {
		return
	}
	p := &n.copies
	p.add(name)
	p.next = sooner(p.next, n.now.Add(inputsAfter))
}

// changed says that other brokers are there than before, or that something is damaged here: all names are looked at.
func (n *names) changed() {
	p := &n.copies
	p.pause = shortFirst
	n.sorted.Ascend(func(name data.Name) bool {
		p.add(name)
		return true
	})
	if len(p.todo) > 0 {
		p.next = sooner(p.next, n.now.Add(outputsAfter))
	}
}

// pass looks at the next names, and asks for what belongs here and is not known to be here (rule D5): the content of a version
// belongs on the broker that wrote it and on those behind that one on the ring, as many as hold copies of a submission.
func (n *names) pass() {
	p := &n.copies
	if p.next.IsZero() || n.now.Before(p.next) {
		return
	}
	if p.next = (time.Time{}); n.offer.full || n.offer.draining {
		return // until this broker takes something again: changed
	}
	if n.peers.CatchingUp() {
		p.next = n.now.Add(outputsAfter)
		return
	}
	k := min(len(p.todo), repairMost)
	for _, name := range p.todo[:k] {
		delete(p.listed, name)
		if r := n.get(name); r != nil {
			n.keepHere(r)
		}
	}
	if p.todo = p.todo[k:]; len(p.todo) > 0 {
		p.next = n.now.Add(repairSoon)
	}
}

func (n *names) keepHere(r *data.Record) {
	for v := range r.There() {
		by, d := v.Dot.Actor.Broker(), v.Content.Blob()
		if _, asked := n.copies.asked[d]; asked || !n.members.Holds(by, n.cfg.Replicas) || n.blobs.Has(n.self, []job.Digest{d}) {
			continue
		}
		n.copies.asked[d] = r.Name
		var from []string
		if by != n.self {
			from = []string{by}
		}
		n.out.Keep = append(n.out.Keep, Keep{Digest: d, From: from})
	}
}

// kept takes in whether a content is here now. If not, and somebody may have it who did not answer, the name is looked at again
// after pauses that grow.
func (n *names) kept(in Kept) {
	p := &n.copies
	name, asked := p.asked[in.Digest]
	if !asked {
		return
	}
	delete(p.asked, in.Digest)
	if !in.Here && !in.Nowhere {
		p.failed[name] = struct{}{}
	}
	if len(p.asked) > 0 {
		return
	}
	if len(p.failed) == 0 {
		p.pause = shortFirst
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.failed)) {
		p.add(name)
	}
	clear(p.failed)
	p.next, p.pause = sooner(p.next, n.now.Add(p.pause)), min(2*p.pause, shortMost)
}

// due is when the next names are to be looked at; zero is never.
func (n *names) due() time.Time { return n.copies.next }

// begin lets those be looked at that were stored.
func (n *names) begin() {
	n.ageless()
	if len(n.copies.todo) > 0 {
		n.copies.next = n.now.Add(outputsAfter)
	}
}
