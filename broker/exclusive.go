package broker

// One key, one holder, across the cluster (rule J10). Jobs with the same exclusive key are brought
// to one executor, whose queue then decides between them. What still races, after a split say, is
// found when the records meet.

import (
	"cmp"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// holds reports whether a job has its key now.
func holds(r *job.Record) bool {
	s := r.State()
	return s == job.StateLoading || s == job.StateRunning || s == job.StateSuspended
}

// keyHolder names the broker where a job with this key belongs: where one holds it, else where the
// first one queues, else the one that rendezvous hashing names among those that can run it.
func (d *decisions) keyHolder(r *job.Record, capable []string) string {
	var first *job.Record
	for _, key := range slices.Sorted(maps.Keys(d.jobs.keys[r.Spec.Exclusive])) {
		o := d.record(key)
		if o == nil || key == r.Key() || o.Place.IsZero() || !slices.Contains(capable, o.Place.Broker) {
			continue
		}
		if first == nil || holds(o) && !holds(first) || holds(o) == holds(first) && o.Before(first) {
			first = o
		}
	}
	if first != nil {
		return first.Place.Broker
	}
	return membership.Rendezvous(capable, "key "+r.Spec.Exclusive)
}

// refreshHeld tells the queue which keys are held at other brokers that live.
func (d *decisions) refreshHeld() {
	if !d.heldStale {
		return
	}
	d.heldStale = false
	var held []resolve.HeldKey
	for _, name := range slices.Sorted(maps.Keys(d.jobs.keys)) {
		if o := d.heldElsewhere(name); o != nil {
			held = append(held, resolve.HeldKey{Exclusive: name, By: string(o.ID), At: o.Place.Broker})
		}
	}
	d.queue.SetHeld(held)
	d.undecided = true
}

// heldElsewhere returns the job that holds a key at another broker which is not lost:
// the one that began first.
func (d *decisions) heldElsewhere(name string) (first *job.Record) {
	for _, key := range slices.Sorted(maps.Keys(d.jobs.keys[name])) {
		o := d.record(key)
		if o == nil || !holds(o) || o.Place.Broker == d.self || d.members.JudgeLost(d.now, o.Place.Broker) {
			continue
		}
		if first == nil || beganBefore(o, first) {
			first = o
		}
	}
	return first
}

// beganBefore orders the holders of one key: first the one that was first reported as running.
func beganBefore(r, s *job.Record) bool {
	a, _ := r.Present()
	b, _ := s.Present()
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Dot.Actor, b.Dot.Actor)) < 0
}
