package resolve

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// The words in which a job that waits is told why.

const roomComes = "room is being made for it"

func waitsForEnd(c *Candidate) string { return "waits for the end of " + c.Name() }

func comesAfter(c *Candidate) string {
	return "comes after " + c.Name() + ", which its submitter had seen and which has not started"
}

func heldBy(c *Candidate) string { return "needs " + c.Exclusive + ", which " + c.Name() + " holds" }

func heldElsewhere(k *HeldKey) string {
	if k.At == "" {
		return "needs " + k.Exclusive + ", which " + k.By + " holds"
	}
	return "needs " + k.Exclusive + ", which " + k.By + " holds at " + k.At
}

func inLine(c *Candidate) string {
	return "needs " + c.Exclusive + ", for which another stands before it"
}

// noRoom says what a job lacks, and how many have their turn before.
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

// behind says that n contenders have their turn before.
func (s settings) behind(n int) string {
	what := cmp.Or(s.strategy.ahead, aheadByScore)
	if n == 1 {
		return "behind 1 " + what
	}
	return fmt.Sprintf("behind %d %s", n, strings.Replace(what, "job", "jobs", 1))
}
