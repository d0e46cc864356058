package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// BenchmarkChoose is what it takes to choose a place among 100 brokers while 10,000 jobs of an emergency wait: for an ordinary job, for one of the emergency, and for
// the first of these after the emergency has changed, for which all sums are made again. And a look at those that wait in vain (rule J9).
func BenchmarkChoose(b *testing.B) {
	w := newWorld()
	n := w.start("a", func(c *Config) { c.Replicas = 1 })
	for i := range 99 {
		name := fmt.Sprintf("m%02d", i)
		actor := clock.Actor(name + "~1")
		n.seen[name] = membership.Member{Name: name, Actor: actor, Status: membership.Alive}
		said := wire.Metadata{Name: name, Actor: actor, Capabilities: w.cfg.Capabilities}
		said.Capabilities.Labels = map[string]string{"district": fmt.Sprint(i % 10)}
		n.b.members.Learn(said, true)
	}
	w.roster(n)
	w.step(n, Tick{Now: w.now, Wall: w.now})
	declareAt(b, w, "a", "fire-1", "fire", "critical", "district=3")
	spec := func(names string) job.Spec {
		s := job.Spec{Command: "work", Resources: job.Resources{CPU: 100}, Priority: job.Priority{User: job.DefaultUser, Emergency: names}}
		require.NoError(b, s.Complete())
		return s
	}
	for i := range 10_000 {
		require.NoError(b, n.b.Step(Submit{Token: Token(1_000_000 + i), ID: job.ID(fmt.Sprintf("j%05d", i)), Spec: spec("fire")}))
	}
	w.ready(n)
	require.Len(b, n.b.liveJobs(func(r *job.Record) bool { return !r.Place.IsZero() }), 10_000)
	r := someRecord(b, 1, 1)
	o := &n.b.ownership
	choose := func(b *testing.B, names string, before func()) {
		r.Spec = spec(names)
		for b.Loop() {
			before()
			if _, _, ok := o.choose(r, 0); !ok {
				b.Fatal("nobody takes it")
			}
		}
	}
	b.Run("ordinary", func(b *testing.B) { choose(b, "", func() {}) })
	b.Run("urgent", func(b *testing.B) { choose(b, "fire", func() {}) })
	b.Run("sums", func(b *testing.B) { choose(b, "fire", n.b.jobs.precedence.forget) })
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			n.b.now = n.b.now.Add(time.Minute)
			n.b.balancer.hurry()
		}
	})
}
