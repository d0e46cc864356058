package sim

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Long jobs, which take checkpoints: the next attempt goes on from the newest one that counts (rule J17).

// long lets every other job that may run again take checkpoints.
func (n *schedule) long(id job.ID, spec *job.Spec) {
	if n.c.faults.has(LongJobs) && spec.MayRedeploy() && digestOf(string(id)) < "8" {
		spec.Checkpoint = &job.Checkpointing{Paths: []string{"state"}}
	}
}

// Work is how much a job has to do, however often it is begun again, and how often it takes a checkpoint meanwhile.
type Work struct{ Takes, Every time.Duration }

// done is what an attempt need not do, since the checkpoint that it goes on from holds it.
func done(r broker.Run) time.Duration {
	if r.From == nil {
		return 0
	}
	return time.Duration(r.From.Ran)
}

func (w Work) left(r broker.Run) time.Duration { return w.Takes - done(r) }

// checkpoints lets an attempt take two checkpoints on its way, or as many as its work says.
func (c *Core) checkpoints(n *coreNode, r broker.Run, takes time.Duration, here func(func()) func()) {
	if r.Spec.Checkpoint == nil {
		return
	}
	at := []time.Duration{takes / 3, takes * 2 / 3}
	if w, long := c.Work[r.ID]; long {
		at = nil
		for ran := w.Every; ran < takes; ran += w.Every {
			at = append(at, ran)
		}
	}
	id := r.Key + r.Attempt.Token()
	for i, ran := range at {
		c.after(ran, here(func() {
			if _, runs := n.running[id]; !runs {
				return
			}
			tree := job.Digest(digestOf(fmt.Sprint("checkpoint ", n.name, id, i)))
			n.blobs[string(job.TreeOf(tree))] = true
			c.tell("%s takes checkpoint %.4s of %s after %v", n.name, tree, r.ID, done(r)+ran)
			c.step(n, broker.Checkpointed{Key: r.Key, Attempt: r.Attempt, Tree: tree, Bytes: 1, Ran: done(r) + ran})
		}))
	}
}

// checkFrom sees to it that an attempt goes on from the newest checkpoint that its broker knows of, and whose files are there; or knows how
// far the job had come for one that nobody has any more.
func (c *Core) checkFrom(n *coreNode, r broker.Run, rec *job.Record) {
	var ran clock.Duration
	if p := r.From; p != nil {
		if ran = p.Ran; p.Tree != "" && !n.blobs[string(job.TreeOf(p.Tree))] {
			c.fail("J17: %s starts %s from a checkpoint whose files it lacks", n.name, r.ID)
		}
	}
	if p := rec.Checkpoint; p != nil && ran < p.Ran {
		c.fail("J17: %s starts %s after %v of running, and its record has a checkpoint after %v", n.name, r.ID, time.Duration(ran), time.Duration(p.Ran))
	}
}
