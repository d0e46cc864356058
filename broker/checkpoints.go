package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// A long job says which of its files it needs to go on. Its executor copies them from time to time, or when the program says that they
// are whole, and the copy is a directory like any other. It counts once it is on as many brokers as the inputs of a submission
// are (rule A1): then the job's record names it, and the next attempt, wherever that is, goes on from there (rule J17).

// checkpoints are those that this broker's executor has taken, and that do not count yet.
type checkpoints struct {
	*core
	spreading map[string]*spreading // by key
}

// spreading is a checkpoint on its way to others, and the newest one behind it: of a job that takes them faster than they
// travel each one that is on its way arrives nevertheless.
type spreading struct {
	job.Checkpoint
	next *job.Checkpoint
}

// take takes in a checkpoint that an attempt has taken.
func (c *checkpoints) take(key string, p job.Checkpoint) {
	c.blobs.Saw(job.TreeOf(p.Tree))
	if s := c.spreading[key]; s != nil {
		s.next = s.next.Newest(&p)
	} else {
		c.begin(key, p)
	}
	c.settle(key)
}

func (c *checkpoints) begin(key string, p job.Checkpoint) {
	c.spreading[key] = &spreading{Checkpoint: p}
	c.blobs.Spread([]job.Digest{job.TreeOf(p.Tree)}, c.copies.Reach())
}

// settleAll looks which have come to enough brokers.
func (c *checkpoints) settleAll() {
	for _, key := range slices.Sorted(maps.Keys(c.spreading)) {
		c.settle(key)
	}
}

// settle notes a checkpoint that is on as many brokers as an input is, or on all that are alive and take it.
func (c *checkpoints) settle(key string) {
	for s := c.spreading[key]; s != nil; s = c.spreading[key] {
		r := c.record(key)
		if r == nil || r.Finished() {
			delete(c.spreading, key)
			return
		}
		blobs := []job.Digest{job.TreeOf(s.Tree)}
		if c.copies.Copies(clock.Dot{Actor: c.cfg.Actor}, blobs) < c.copies.Goal() && c.blobs.Travels(blobs) {
			return
		}
		delete(c.spreading, key)
		if s.next != nil {
			c.begin(key, *s.next)
		}
		c.write(key, s.Checkpoint)
	}
}

// write notes a checkpoint in the job's record, unless that has a newer one.
func (c *checkpoints) write(key string, p job.Checkpoint) {
	noted := false
	r := c.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		p.Dot, p.At = dot, c.stamp()
		if old.Checkpoint != nil && old.Checkpoint.Compare(&p) >= 0 {
			return nil
		}
		noted = true
		return old.With(dot, func(r *job.Record) { r.SetCheckpoint(p) })
	})
	if noted && r != nil {
		c.stats.Checkpoints++
		c.tellCheckpoint(r)
	}
}

// newest is the newest checkpoint from which an attempt can go on here: that of the record, or one that this broker's
// executor has taken since, and that is still on its way to others.
func (c *checkpoints) newest(key string, r *job.Record) *job.Checkpoint {
	p := r.Checkpoint
	if s := c.spreading[key]; s != nil {
		p = p.Newest(&s.Checkpoint).Newest(s.next)
	}
	return p
}

// holders are the brokers of which it is known here that they have a job's checkpoint, this one among them, sorted.
func (c *core) holders(r *job.Record) (names []string) {
	if r.Checkpoint == nil || r.Finished() {
		return nil
	}
	blobs := []job.Digest{job.TreeOf(r.Checkpoint.Tree)}
	for _, name := range append([]string{c.self}, c.members.Names()...) {
		if !slices.Contains(names, name) && c.blobs.Has(name, blobs) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// tellCheckpoint notes that a job has a newer checkpoint.
func (c *core) tellCheckpoint(r *job.Record) {
	if !c.watched {
		return
	}
	p := r.Checkpoint
	text := fmt.Sprintf("%s has a checkpoint after %v of running, at %s", r.ID, time.Duration(p.Ran).Round(time.Second), strings.Join(c.holders(r), ", "))
	c.note(Note{Kind: "job", ID: string(r.ID), What: "checkpoint", Text: text, Place: r.Place.Broker, Job: r})
}

// checkpointed takes in that an attempt has taken a checkpoint.
func (a *attempts) checkpointed(in Checkpointed) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || x.forgotten {
		return
	}
	if r := a.record(in.Key); in.Problem != "" && r != nil {
		text := fmt.Sprintf("of %s no checkpoint could be taken at %s; it goes on, and one is taken later: %.300s", r.ID, a.self, in.Problem)
		a.note(Note{Kind: "job", ID: string(r.ID), What: "no checkpoint", Text: text, Place: a.self, Job: r})
	}
	if in.Ran <= 0 {
		return
	}
	ran := min(in.Ran, job.MostRan) // or no broker would take the record: a member may have made up the one that it went on from
	a.checkpoints.take(in.Key, job.Checkpoint{Attempt: x.as, Ran: clock.Duration(ran), Tree: in.Tree, Bytes: in.Bytes})
}

// outdatedBasis reports whether an attempt that has not started would go on from an older checkpoint than the record has by now.
func (x *run) outdatedBasis(r *job.Record) bool {
	if x.started || x.stopping || r.Checkpoint == nil {
		return false
	}
	have := x.basis(r).Checkpoint.Newest(x.lost)
	return have == nil || r.Checkpoint.Compare(have) > 0
}

// loses gives up the checkpoint of an attempt whose inputs nobody has, if it has one: that is no reason not to run the job. It
// reports whether it did; then the attempt begins from the beginning, and all that comes to count was taken after what is lost.
func (a *attempts) loses(x *run, r *job.Record) bool {
	basis := *x.basis(r)
	if basis.Checkpoint == nil {
		return false
	}
	x.lost, basis.Checkpoint = basis.Checkpoint, nil
	x.given, x.inputs = &basis, missing{}
	text := fmt.Sprintf("%s begins from the beginning: of its checkpoint after %v of running no broker has all files any more", r.ID, time.Duration(x.lost.Ran).Round(time.Second))
	a.note(Note{Kind: "job", ID: string(r.ID), What: "checkpoint lost", Text: text, Place: r.Place.Broker, Job: r})
	return true
}

// from is where an attempt begins that would go on from a checkpoint: of one that is lost counts for how long the job had run.
func (x *run) from(p *job.Checkpoint) *job.Checkpoint {
	if x.lost == nil || p != nil && p.Compare(x.lost) >= 0 {
		return p
	}
	return &job.Checkpoint{Ran: x.lost.Ran}
}
