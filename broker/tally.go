package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// Ends counts jobs that have ended, by outcome.
type Ends struct{ Succeeded, Failed, Cancelled, Expired uint64 }

func (e *Ends) add(o job.Outcome) {
	switch o {
	case job.Succeeded:
		e.Succeeded++
	case job.Failed:
		e.Failed++
	case job.Cancelled:
		e.Cancelled++
	case job.Expired:
		e.Expired++
	}
}

// takenKinds are the kinds of records that are counted.
var takenKinds = [...]ledger.Kind{kind.Job, kind.Setting, kind.Emergency, kind.Member, kind.Data, ledger.Starts}

// Taken counts records that came of peers, by kind.
type Taken [len(takenKinds)]TakenOf

// TakenOf is what came of one kind.
type TakenOf struct {
	Records uint64 // all
	New     uint64 // those that said something that was not known here
	Bytes   uint64 // of all, as they were encoded
}

// Each calls a function for each kind.
func (t *Taken) Each(f func(of ledger.Kind, n TakenOf)) {
	for i, k := range takenKinds {
		f(k, t[i])
	}
}

func (t *Taken) count(came []ledger.Entry, news []ledger.Change) {
	for i := range came {
		if k := slices.Index(takenKinds[:], came[i].Kind); k >= 0 {
			t[k].Records++
			t[k].Bytes += uint64(len(came[i].Encoded))
		}
	}
	for i := range news {
		if k := slices.Index(takenKinds[:], news[i].Kind); k >= 0 {
			t[k].New++
		}
	}
}

// oldestLooked bounds how many own jobs without a place are looked at for the oldest of each level.
const oldestLooked = 256

// oldest is, by level, when the job was submitted that has waited for longest: of those that compete here, and of the own ones
// that no broker can take. Of the latter the first are looked at, and the first that name a level.
func (b *Broker) oldest() resolve.Levels {
	out := b.decisions.queue.Oldest()
	look := func(it jobItem) {
		r := b.record(it.key)
		if r == nil || r.Owner.Broker != b.self {
			return
		}
		level, _ := b.emergencies.activeSet.Level(&r.Spec)
		level = min(max(level, 0), len(out)-1)
		if out[level] == 0 || it.at < out[level] {
			out[level] = it.at
		}
	}
	for _, set := range b.jobs.placeless {
		n := 0
		set.Ascend(func(it jobItem) bool {
			look(it)
			n++
			return n < oldestLooked
		})
	}
	return out
}
