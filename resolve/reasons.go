package resolve

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// This file has the words that say why a job waits. Those that differ by strategy are in its row.

const roomComes = "room is being made for it"

// unready says why a pending job may not run whatever room there is, "" when it may. Open reports whether an
// entry, or one before it, has not had its turn.
func (s settings) unready(e *entry, byKey map[string]*entry, open func(*entry) bool) string {
	if e.state != pending {
		return ""
	}
	for _, key := range e.c.After {
		if f := byKey[key]; f != nil {
			return waitsForEnd(f.c)
		}
	}
	if lack := s.capacity.Lacks(e.c.Want); lack != "" {
		return "never fits here: " + lack
	}
	if s.strategy.causal {
		for _, key := range e.c.Deps {
			if f := byKey[key]; f != nil && open(f) {
				return comesAfter(f.c)
			}
		}
	}
	return ""
}

// keyless says why a job does not get its exclusive key: a job elsewhere or here holds it, or another one that
// wants it is before it. It is "" when the key is not what the job waits for.
func keyless(c *Candidate, elsewhere *HeldKey, holder *entry, first bool) string {
	switch {
	case elsewhere != nil:
		return heldElsewhere(elsewhere)
	case holder != nil:
		return heldBy(holder.c)
	case !first:
		return inLine(c)
	}
	return ""
}

func waitsForEnd(c *Candidate) string { return "waits for the end of " + c.name() }

func comesAfter(c *Candidate) string {
	return "comes after " + c.name() + ", which its submitter had seen and which has not started"
}

func heldBy(c *Candidate) string { return "needs " + c.Exclusive + ", which " + c.name() + " holds" }

func heldElsewhere(k *HeldKey) string {
	if k.At == "" {
		return "needs " + k.Exclusive + ", which " + k.By + " holds"
	}
	return "needs " + k.Exclusive + ", which " + k.By + " holds at " + k.At
}

func inLine(c *Candidate) string {
	return "needs " + c.Exclusive + ", for which another stands before it"
}

// noRoom says what a job lacks, and how many have their turn before it.
func (s settings) noRoom(free job.Resources, e *entry, ahead int) string {
	lack := free.Lacks(e.need())
	switch {
	case lack == "" && ahead == 0:
		return "waits for its turn"
	case ahead == 0:
		return lack
	case lack == "":
		return s.behind(ahead)
	}
	return lack + "; " + s.behind(ahead)
}

// behind says that n contenders have their turn before it.
func (s settings) behind(n int) string {
	what := cmp.Or(s.strategy.ahead, "more urgent job")
	if n == 1 {
		return "behind 1 " + what
	}
	return fmt.Sprintf("behind %d %s", n, strings.Replace(what, "job", "jobs", 1))
}
