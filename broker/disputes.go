package broker

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// A record is forgotten only when every member, the holder too, has told a stable clock that covers all of its
// updates. So nobody can have forgotten a job that is unfinished here, or has ended here and was not stable on this disk,
// unless this disk is an older copy of the one that told so: a claim counts only while this start is unproven. Even then it
// is not believed on one word: the job is *disputed*, held and not run, its end provisional, until a member answers that it
// holds it undisputed, or all have answered that it is absent, or in doubt there, too. Then it is set aside, and one that
// has ended stays as it is until its retention is over (rule F3; docs/decisions/0022, 0121, 0177).

// disputes are the jobs that others may have ended and forgotten, perhaps with another end, and those that were set aside.
type disputes struct {
	open    map[string]map[string]bool // by key: the members that have answered that it is absent (true), or in doubt there (false)
	changed bool                       // others are open than the members are asked of
	aside   map[string]*setAside       // by key
	again   map[string]recreation      // by key: jobs of which somebody says wrongly that they were forgotten
}

// setAside is a job that every member called forgotten: it is out of the ledger, and can be read until its
// retention is over.
type setAside struct {
	record *job.Record
	since  time.Duration // uptime of this broker
}

func newDisputes() disputes {
	return disputes{open: map[string]map[string]bool{}, aside: map[string]*setAside{}, again: map[string]recreation{}}
}

// isDisputed reports whether others may have ended and forgotten a job.
func (c *core) isDisputed(key string) bool { return c.disputes.open[key] != nil }

// forgetWith takes in that a peer says that it has forgotten a record, unless that has been created again since
// (rules L4, L7, L9), or that can't be, because this start has created it and others may lack it (rule K3).
func (b *Broker) forgetWith(from string, ref ledger.Ref, peer clock.Tips) {
	r, err := b.ledger.Get(ref)
	if b.fail(err); r != nil && b.ledger.CreatedWithin(r, peer) && b.renewal.deny(from, r) {
		return
	}
	switch ref.Kind {
	case kind.Emergency:
		b.emergencies.forgetWith(emergency.ID(ref.Key), peer)
	case kind.Data:
		b.names.forgetWith(from, data.Name(ref.Key), peer)
	case kind.Job:
		if r := b.record(ref.Key); r != nil && b.ledger.CreatedWithin(r, peer) {
			b.claimed(from, r)
		}
	}
}

// claimed judges the claim that a job was forgotten.
func (b *Broker) claimed(from string, r *job.Record) {
	switch {
	case b.enrolment.blocked(): // neither believed nor refuted: others may well have forgotten it (rule M2)
	case r.Finished() && b.needs(wire.V3) == nil && !b.mayDoubt(r): // true or not, it goes when its own retention is over
	case b.needs(wire.V3) != nil: // there, others forget without who is away
		b.forget(r)
		b.stats.Zombies++
	case !b.mayDoubt(r):
		b.stats.Refuted++
		b.breach(from, "F3", "it says that it has forgotten the job %s, which is unfinished here", r.ID)
		b.createLater(r)
	default:
		b.unsure(from, r, true)
	}
}

// mayDoubt reports whether others may have ended and forgotten a job: it is disputed, or this start is not proven, and the
// job is one that it has not created, or an end that was not stable on its disk.
func (b *Broker) mayDoubt(r *job.Record) bool {
	switch {
	case b.isDisputed(r.Key()):
		return true
	case b.peers.Proven():
		return false
	case r.Finished():
		return b.peers.Unsettled(deciding(r))
	}
	return r.Created[0].Dot.Actor != b.cfg.Actor || b.peers.Old(r.Submitted())
}

// inDoubt reports whether a job that has ended here may have ended otherwise, and be forgotten by others. Nobody is asked of
// stubs: the end of one is in doubt until it is stable, and then it is forgotten at once.
func (c *core) inDoubt(r *job.Record) bool {
	if c.members.Single() {
		return false
	}
	return c.isDisputed(r.Key()) || r.IsStub() && r.Seal == nil && c.holdsAll(r.Dots) && c.peers.Unsettled(r.Verdict().Dot)
}

// unsure notes that a job is absent at a member, or in doubt there.
func (b *Broker) unsure(from string, r *job.Record, absent bool) {
	key := r.Key()
	b.dispute(key)
	b.disputes.open[key][from] = absent
	b.disputes.changed = b.disputes.changed || r.Finished() && b.absentEverywhere(key)
	b.settleDispute(r)
}

// absentEverywhere reports whether every member has answered that a job is absent there.
func (b *Broker) absentEverywhere(key string) bool {
	return !slices.ContainsFunc(b.members.Counted(), func(name string) bool { return !b.disputes.open[key][name] })
}

// doubtedBy takes in that a member holds jobs, and is in doubt itself: its disk may be an older copy, too. So whoever
// holds one by a start that is not proven is in doubt as well, and does not wait for that member.
func (b *Broker) doubtedBy(from string, refs []ledger.Ref, peer clock.Tips) {
	for _, ref := range refs {
		r := b.record(ref.Key)
		if ref.Kind == kind.Job && r != nil && b.ledger.CreatedWithin(r, peer) && b.mayDoubt(r) && !b.enrolment.blocked() {
			b.unsure(from, r, false)
		}
	}
}

// dispute notes that others may have forgotten a job, and asks all of them. A later start of this disk is in doubt, too:
// it may prove another, which holds the job by it (rule M3).
func (b *Broker) dispute(key string) {
	if !b.isDisputed(key) {
		b.disputes.open[key] = map[string]bool{}
		b.disputes.changed = true
		b.ledger.KeepOwn(doubtName(key), binary.AppendUvarint(nil, 1))
		b.stats.Disputed++
	}
}

// endDispute ends a dispute, if there is one: a member holds the job, or it is here no more.
func (b *Broker) endDispute(key string) {
	if b.isDisputed(key) {
		delete(b.disputes.open, key)
		b.disputes.changed = true
		b.ledger.KeepOwn(doubtName(key), nil)
	}
}

// askDisputed asks every member what it knows of the disputed jobs, once for all that a message has changed of these: an
// answer may be about thousands. Of one that has ended here, and that is absent everywhere else, nobody will know more.
func (b *Broker) askDisputed() {
	if !b.disputes.changed {
		return
	}
	b.disputes.changed = false
	var refs []ledger.Ref
	for _, key := range slices.Sorted(maps.Keys(b.disputes.open)) {
		if r := b.record(key); r == nil || !r.Finished() || !b.absentEverywhere(key) {
			refs = append(refs, kind.JobRef(key))
		}
	}
	b.peers.Ask(refs)
}

// settleDispute sets a job aside when every member has answered that it is absent there, or in doubt, unless it has ended here: that
// goes when its retention is over. An absent one holds that back. When as many as hold copies are in doubt, one of them holds it by a disk that is no older copy: it lives. Who has come
// since it was submitted may have got it from one that is, and is none of these.
func (b *Broker) settleDispute(r *job.Record) {
	key := r.Key()
	answered, holders := true, 0
	if b.tookPart(b.self, r.Submitted()) {
		holders++
	}
	for _, name := range b.members.Counted() {
		absent, said := b.disputes.open[key][name]
		answered = answered && said
		if said && !absent && b.tookPart(name, r.Submitted()) {
			holders++
		}
	}
	if holders >= max(b.cfg.Replicas, 2) { // fewer disks are lost together: one of these is no older copy, and holds it (rule M3)
		b.endDispute(key)
		b.reviews.later(key)
		return
	}
	if !answered || r.Finished() {
		return
	}
	b.disputes.aside[key] = &setAside{r, b.up}
	b.ledger.KeepOwn(asideName(key), append(binary.AppendUvarint(nil, uint64(b.up.Milliseconds())), r.Encode()...))
	b.stats.Zombies++
	b.stats.SetAside++
	b.forget(r)
}

// tookPart reports whether a broker has been in the roll, without a break, since then.
func (b *Broker) tookPart(name string, then clock.Hybrid) bool {
	roll := b.members.Roll()
	r := roll.Get(name)
	return r != nil && r.Open() && (r.At <= then || roll.Founded(name))
}

// heldBy takes in that a member holds jobs, undisputed: nobody has forgotten them.
func (b *Broker) heldBy(refs []ledger.Ref) {
	for _, ref := range refs {
		if b.isDisputed(ref.Key) && ref.Kind == kind.Job {
			b.endDispute(ref.Key)
			b.reviews.later(ref.Key)
		}
	}
}

// asked answers an audit, beside what this broker has forgotten: which jobs it holds without a doubt, of which it is in
// doubt, and those that have ended here. The clock of who asks may cover such an end, although it has not got it. Of what had
// ended on the disk of who asks only that is of interest which is newer than that disk.
func (b *Broker) asked(a *wire.Audit, reply *wire.Reply) {
	if a == nil || reply.Version < wire.V3 {
		return
	}
	if b.enrolment.blocked() {
		reply.Unread = len(a.Records)
		return
	}
	var newer func(ledger.Ref) bool
	if a.Ended > 0 {
		newer = b.ledger.Beyond(a.Disk)
	}
	var ends ledger.Delta
	size := 0
	for i, ref := range a.Records {
		if ref.Kind != kind.Job || i >= len(a.Records)-a.Ended && !b.isDisputed(ref.Key) && b.ledger.Stubs() == 0 && !newer(ref) {
			continue
		}
		r := b.record(ref.Key)
		switch {
		case r == nil:
		case b.isDisputed(ref.Key), r.Finished() && b.inDoubt(r):
			reply.Doubted = append(reply.Doubted, ref)
		case r.Finished():
			if i < len(a.Records)-a.Ended || !b.ledger.Lineage().Has(a.Disk, r.Verdict().Dot) { // who asks may have another end of it
				r = b.sealAsked(r)
			}
			in := ledger.Entry{Ref: ref, Dots: r.Dots, Encoded: r.Encode()}
			if size += len(in.Encoded); size > wire.MaxPage || reply.Delta != nil {
				reply.Unread = len(a.Records) - i // it asks again
				break
			}
			ends.Entries = append(ends.Entries, in)
			if b.proven() {
				reply.Held = append(reply.Held, ref)
			}
		case b.proven(): // else it can't vouch for what is on its disk
			reply.Held = append(reply.Held, ref)
		}
		if reply.Unread > 0 {
			break
		}
	}
	if len(ends.Entries) > 0 {
		reply.Delta = wire.FromLedger(ends)
	}
}

// asideKind is what jobs that were set aside are called among the broker's own values.
const asideKind = "aside"

func asideName(key string) string { return asideKind + "\x00" + key }

// doubtKind is what jobs that are in doubt are called among the broker's own values.
const doubtKind = "doubt"

func doubtName(key string) string { return doubtKind + "\x00" + key }

// recallDoubt takes in that a job was in doubt in an earlier start.
func (c *core) recallDoubt(key string) bool {
	if c.record(key) == nil {
		return false
	}
	c.disputes.open[key] = map[string]bool{}
	c.disputes.changed = true
	return true
}

// recallAside takes in a job that an earlier start has set aside.
func (c *core) recallAside(key string, value []byte) bool {
	ms, n := binary.Uvarint(value)
	if n <= 0 || ms > maxMillis {
		return false
	}
	r, err := job.DecodeRecord(slices.Clone(value[n:]))
	if err != nil || r.Key() != key || c.record(key) != nil {
		return false
	}
	c.disputes.aside[key] = &setAside{r, time.Duration(ms) * time.Millisecond}
	return true
}

// dropAside ends that a job is set aside: it was created again, or its retention is over.
func (c *core) dropAside(key string) {
	if c.disputes.aside[key] != nil {
		delete(c.disputes.aside, key)
		c.ledger.KeepOwn(asideName(key), nil)
	}
}

// sweepAside drops what was set aside long ago.
func (c *core) sweepAside() {
	for _, key := range slices.Sorted(maps.Keys(c.disputes.aside)) {
		if c.cfg.Retention > 0 && c.up-c.disputes.aside[key].since > c.cfg.Retention {
			c.dropAside(key)
		}
	}
}

// asideWith finds a job that was set aside by its ID or key; nil when there is none.
func (c *core) asideWith(id string) *job.Record {
	for _, key := range slices.Sorted(maps.Keys(c.disputes.aside)) {
		if r := c.disputes.aside[key].record; string(r.ID) == id || strings.HasPrefix(key, id) && strings.Contains(id, "~") {
			return r
		}
	}
	return nil
}
