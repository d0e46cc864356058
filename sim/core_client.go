package sim

import (
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// answerWithin is how much later than its own timeout a request may be answered.
const answerWithin = time.Second

// request asks a broker for something, and sees to it that an answer comes in time
// unless the broker dies or stands still meanwhile.
func (c *Core) request(n *coreNode, what string, within time.Duration, in func(broker.Token) broker.Input, done func(broker.Answer)) {
	b, pause, asked := n.b, n.paused, c.Now
	if c.Now.Before(pause) {
		within += pause.Sub(c.Now)
	}
	if c.faults.has(SlowDisks) {
		within += 4 * slowest
	}
	over := false
	var question broker.Input
	c.ask(n, func(t broker.Token) broker.Input { question = in(t); return question }, func(v broker.Answer) {
		over = true
		c.saw(n, answered{asked, question, v})
		c.answers.answer(c.Now.Sub(c.start), n.name, what, v)
		c.checkAnswer(n, question, v, asked)
		done(v)
	})
	c.after(within+answerWithin, func() {
		if n.b == b && n.paused.Equal(pause) && !c.Now.Before(pause) && !over {
			c.fail("%s has not answered: %s", n.name, what)
		}
	})
}

// Submit submits a plain job at a broker; Acked has its ID once that has answered.
func (c *Core) Submit(at string, id job.ID) { c.SubmitSpec(at, id, job.Spec{}, nil) }

// SubmitSpec submits a job, after what a client has seen; done (may be nil) gets the
// answer.
func (c *Core) SubmitSpec(at string, id job.ID, spec job.Spec, past causal.Context, done ...func(*broker.Submitted)) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	if spec.Module == "" {
		spec.Command = "work"
	}
	if spec.Priority == (job.Priority{}) {
		spec.Priority.User = job.DefaultUser
	}
	must(spec.Complete())
	for _, d := range spec.Blobs() {
		n.blobs[string(d)] = true // it was uploaded before
	}
	timeout := 5 * time.Second
	within := c.cfg.AckTimeout
	if spec.MinReplicas > 0 || len(spec.After) > 0 {
		within = timeout + c.cfg.AckTimeout
	}
	c.tell("%s is submitted at %s", id, at)
	in := broker.Submit{ID: id, Spec: spec, Past: past, Timeout: timeout}
	var ask func()
	b := n.b
	taken := func(v broker.Answer) {
		if x, ok := v.(*broker.ModuleAbsent); ok && c.bringModule(n, x.Record.Module()) {
			in.Brought = x.Record.Module()
			c.after(0, func() {
				if n.b == b {
					ask()
				}
			})
			return
		}
		if short, ok := v.(*broker.TooFewCopies); ok {
			c.tell("%s has only %d copies of %s", at, short.Replicas, id)
			return
		}
		s, ok := v.(*broker.Submitted)
		if !ok {
			return // refused
		}
		c.note("acked %s %d", id, s.Replicas)
		c.tell("%s acknowledges %s, %d copies", at, id, s.Replicas)
		c.checkAck(s.Record, s.Replicas)
		if len(done) > 0 {
			done[0](s)
		}
	}
	ask = func() {
		c.request(n, "submit "+string(id), within, func(t broker.Token) broker.Input { in.Token = t; return in }, taken)
	}
	c.withModule(n, &spec, func(module *data.Version) { in.Module = module; ask() })
}

// Read reads a job at a broker; done gets what it shows.
func (c *Core) Read(at string, id job.ID, past causal.Context, done func(*broker.Found)) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.request(n, "get "+string(id), 0, func(t broker.Token) broker.Input {
		return broker.Get{Token: t, ID: string(id), Past: past}
	}, func(v broker.Answer) {
		if f, ok := v.(*broker.Found); ok {
			done(f)
		}
	})
}

// List lists jobs at a broker.
func (c *Core) List(at string) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.request(n, "list", 0, func(t broker.Token) broker.Input { return broker.List{Token: t, Limit: 100} }, func(broker.Answer) {})
}

// SetStrategy changes how a broker, or the whole cluster, decides conflicts.
func (c *Core) SetStrategy(at string, s resolve.Strategy, cluster bool) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.tell("%s decides by %s, for the cluster: %v", at, s, cluster)
	c.request(n, "strategy", 0, func(t broker.Token) broker.Input {
		return broker.SetStrategy{Token: t, Strategy: s, Cluster: cluster}
	}, func(broker.Answer) {})
}

// Cancel cancels a job at a broker.
func (c *Core) Cancel(at string, id job.ID) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.tell("%s is cancelled at %s", id, at)
	c.request(n, "cancel "+string(id), c.cfg.AckTimeout, func(t broker.Token) broker.Input {
		return broker.Cancel{Token: t, ID: string(id), Reason: "client"}
	}, func(broker.Answer) {})
}

// ReadAfter reads a job at a broker that must first know what a client has seen
// (rule C3): then it knows the job. Done (may be left out) gets what it shows.
func (c *Core) ReadAfter(at string, id job.ID, past causal.Context, done ...func(*broker.Found)) {
	n := c.nodes[at]
	b := n.b
	if b == nil {
		return
	}
	c.request(n, "catch up", 3*time.Second, func(t broker.Token) broker.Input {
		return broker.CatchUp{Token: t, Past: past, Timeout: 3 * time.Second}
	}, func(v broker.Answer) {
		if _, ok := v.(*broker.CaughtUp); ok {
			c.after(0, func() { // the client's next request; another start, perhaps with an older disk, has not caught up
				if n.b == b {
					c.readCaughtUp(n, id, past, done)
				}
			})
		}
	})
}

// readCaughtUp is the second half of ReadAfter.
func (c *Core) readCaughtUp(n *coreNode, id job.ID, past causal.Context, done []func(*broker.Found)) {
	c.request(n, "get "+string(id), 0, func(t broker.Token) broker.Input {
		return broker.Get{Token: t, ID: string(id), Past: past}
	}, func(v broker.Answer) {
		forgotten := func() {
			if c.cfg.Retention > time.Hour || !c.someOver(id) {
				c.fail("C3: %s has caught up, but does not know %s", n.name, id)
			}
		}
		switch v := v.(type) {
		case *broker.NotFound:
			forgotten()
		case *broker.Found:
			if v.SetAside {
				forgotten() // what it shows beside is what its older disk had
				return
			}
			c.checkToken(n, v.Record, past)
			if len(done) > 0 {
				done[0](v)
			}
		}
	})
}

// someOver reports whether a job with this ID has ended somewhere.
func (c *Core) someOver(id job.ID) bool {
	for key := range c.checks.over {
		if len(key) > len(id) && key[:len(id)+1] == string(id)+"~" {
			return true
		}
	}
	return false
}
