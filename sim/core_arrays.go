package sim

import (
	"fmt"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// array submits the jobs of an array at several brokers, and one that runs after all of them, before, between or behind them.
func (n *schedule) array(pick func() string) {
	name := fmt.Sprintf("a%d", len(n.ids))
	size := 2 + n.more.IntN(4)
	first := n.more.IntN(3)
	ids := []job.ID{job.ID(name + "-join")}
	for i := range size {
		ids = append(ids, job.ID(fmt.Sprintf("%s.%d", name, first+i)))
	}
	n.ids = append(n.ids, ids...)
	join := job.Spec{
		After:       []job.ID{job.ID(fmt.Sprintf("%s[%d-%d]", name, first, first+size-1))},
		AfterPolicy: []string{job.AfterSuccess, job.AfterEnd}[n.more.IntN(2)],
		Priority:    job.Priority{User: job.DefaultUser, Emergency: []string{"", "", "high"}[n.more.IntN(3)]},
	}
	if n.more.IntN(3) > 0 { // after the others
		ids = append(ids[1:], ids[0])
	}
	for _, id := range ids {
		spec := job.Spec{}
		if id == ids[0] && n.more.IntN(8) == 0 {
			continue // it was never submitted
		}
		if string(id) == name+"-join" {
			spec = join
		}
		n.c.SubmitSpec(pick(), id, spec, nil)
	}
}

// checkAfter sees to it that a job starts after all those after which it runs, also those of arrays: of each some disk has held the end.
func (c *Core) checkAfter(n *coreNode, r broker.Run, rec *job.Record) {
	for _, id := range rec.Spec.After {
		if !rec.HasEnding(id) {
			c.fail("C4: %s starts %s, and its record says nothing of the end of %s", n.name, r.ID, id)
		}
		a, isArray := id.Array()
		if !isArray {
			continue
		}
		for one := range a.IDs() {
			if !c.checks.ended[one] {
				c.fail("C4: %s starts %s after %s, and %s has not ended", n.name, r.ID, id, one)
			}
		}
	}
}
