package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// Faults is a set of what a fault schedule may do beside its plain events.
type Faults uint

// What a schedule can be asked to do.
const (
	// Readers: clients read and list all the while, with their tokens and without.
	Readers Faults = 1 << iota
	// Strangers: a broker does not know that another exists.
	Strangers
	// Reaping: SWIM forgets who is only cut off.
	Reaping
	// Clocks: every broker has a clock of its own: off by days, in 1970, years ahead, and set
	// right, or wrong, on the way.
	Clocks
	// Joins: new brokers join, also on one side of a split.
	Joins
	// SlowDisks: disks take seconds to sync.
	SlowDisks
	// Late: messages arrive again up to a minute later.
	Late
	// Restores: two disks are restored at once.
	Restores
	// LongSplits: a split lasts for longer than results are kept.
	LongSplits
	// Bulk: tables are so large that they travel as transfers of many pages.
	Bulk
	// Damage: records arrive that do not validate.
	Damage
	// PushPulls: brokers tell each other in Serf's push-pull what they know.
	PushPulls
	// OldMember: one broker speaks only the version of the protocol before this one, until all is healed.
	OldMember
	// Crowds: many jobs compete at one broker, for a key, for room, and for each other's end.
	Crowds
	// Liar: one member is hostile, until all is healed.
	Liar
	// Spoilt: a broker can't carry out jobs for a while, and returns them.
	Spoilt
	// Names: clients write, remove and read named data, and some jobs have a module that is.
	Names
	// DeclaredAgain: emergencies are soon forgotten, and declared again under their IDs. Clocks are then off by seconds only, since
	// those that are off by more than emergencies are remembered make one end twice.
	DeclaredAgain
	// LongJobs: jobs take checkpoints.
	LongJobs
	// Arrays: jobs run after whole arrays.
	Arrays
)

var faultNames = []string{"readers", "strangers", "reaping", "clocks", "joins", "slow-disks", "late", "restores", "long-splits", "bulk", "damage", "push-pulls", "old-member", "crowds", "liar", "spoilt", "names", "declared-again", "long-jobs", "arrays"}

func (f Faults) has(x Faults) bool { return f&x != 0 }

// String lists the names, separated by commas.
func (f Faults) String() string {
	var out []string
	for i, name := range faultNames {
		if f.has(1 << i) {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ",")
}

// ParseFaults reads what String writes; "none" is a schedule of plain events.
func ParseFaults(s string) (f Faults, err error) {
	for _, word := range strings.Split(s, ",") {
		found := word == "none"
		for i, name := range faultNames {
			if word == name {
				f, found = f|1<<i, true
			}
		}
		if !found {
			return 0, fmt.Errorf("fault %q: want some of %s", word, strings.Join(faultNames, ","))
		}
	}
	return f, nil
}

// clean is what today's rules stand: every fault of it goes through thousands of schedules. The
// rest is for core_reach_test.go alone: it costs too much for each, or the checks do not know yet what it excuses.
const clean = Readers | Strangers | Reaping | Joins | Clocks | SlowDisks | Late | Restores | LongSplits | Spoilt | Names | LongJobs | Arrays

// Usual draws what the schedule of a seed does: each of what is clean in every other one.
func Usual(seed uint64) Faults {
	return Faults(rand.New(rand.NewPCG(seed, 3)).Uint64()) & clean
}

// begin is what a schedule does before its first event.
func (n *schedule) begin() {
	if n.c.faults.has(Late) {
		n.c.late = time.Minute
	}
	if n.c.faults.has(Clocks) {
		for _, name := range n.c.names {
			n.setClock(name)
		}
	}
	if n.c.faults.has(Damage) {
		n.c.Damage = 0.03
	}
	if n.c.faults.has(Liar) {
		n.c.Hostile(n.more.IntN, true)
	}
	if n.c.faults.has(OldMember) {
		n.c.Downgrade(n.c.names[n.more.IntN(len(n.c.names))])
	}
}

// setClock draws how far a broker's clock is off: often not at all.
func (n *schedule) setClock(name string) {
	const day = 24 * time.Hour
	off := []time.Duration{0, 0, time.Minute, -time.Hour, -2 * day, 3 * day, 20 * 365 * day, n.c.epoch()}
	n.c.Skew(name, off[n.more.IntN(len(off))])
}

// moreEvents are what Faults adds to one event of a schedule.
func (n *schedule) moreEvents() {
	c, f := n.c, n.c.faults
	pick := func() string { return c.names[n.more.IntN(len(c.names))] }
	often := func(x Faults, one int) bool { return f.has(x) && n.more.IntN(one) == 0 }
	if f.has(Readers) {
		for range 3 {
			n.read(pick())
		}
	}
	if often(Strangers, 12) {
		c.Estrange(pick(), pick())
	}
	if often(Reaping, 8) {
		c.Reaped()
	}
	if often(Clocks, 12) {
		n.setClock(pick())
	}
	if often(Joins, 30) && len(c.names) < 9 {
		c.Join(pick())
	}
	if often(SlowDisks, 8) {
		c.SlowDisk(pick(), time.Duration(n.more.IntN(20))*time.Second)
	}
	if often(Spoilt, 12) {
		c.Spoil(pick(), time.Duration(n.more.IntN(40))*time.Second)
	}
	if often(Names, 2) {
		n.names(pick())
	}
	if often(Arrays, 4) {
		n.array(pick)
	}
	if often(DeclaredAgain, 3) {
		n.declareAgain(pick())
	}
	if often(Restores, 20) {
		c.RestoreTwo(pick(), pick())
	}
	if often(Bulk, 25) {
		c.Flood(pick(), 130)
	}
	if often(PushPulls, 2) {
		c.PushPull(pick(), pick())
	}
	if often(Crowds, 8) {
		n.crowd(pick())
	}
	if f.has(Liar) {
		for range 3 {
			c.Lie(pick())
		}
	}
	if often(LongSplits, 30) {
		group := map[string]bool{}
		for _, name := range c.names {
			group[name] = n.more.IntN(2) == 0
		}
		c.Split(group)
		for range 12 {
			n.submit(pick())
			c.Run(time.Duration(2+n.more.IntN(8)) * time.Second)
		}
	}
}

// crowd submits jobs at one broker that all want the same: its room, a key, and each other's end, some urgently.
func (n *schedule) crowd(at string) {
	first := job.ID("")
	for i := range 5 {
		id := job.ID(fmt.Sprintf("j%d", len(n.ids)))
		n.ids = append(n.ids, id)
		spec := job.Spec{Resources: job.Resources{CPU: 600}}
		switch i {
		case 1, 2:
			spec.Exclusive = "drone"
		case 3:
			spec.Stdin, spec.AfterPolicy, spec.Priority.Emergency = job.Digest("job:"+first+"/stdout"), job.AfterEnd, "critical"
		default:
			first = id
		}
		n.c.SubmitSpec(at, id, spec, nil)
	}
}

// read lets one of the clients look at a job.
func (n *schedule) read(at string) {
	if len(n.ids) == 0 {
		return
	}
	c, client, id := n.c, n.more.IntN(3), n.ids[n.more.IntN(len(n.ids))]
	switch past := n.past[client]; n.more.IntN(6) {
	case 0:
		c.List(at)
	case 1, 2:
		if len(past) > 0 && past[len(past)-1].Job != "" {
			c.ReadAfter(at, past[len(past)-1].Job, past, func(f *broker.Found) { n.past[client] = f.Past })
		}
	default:
		c.Read(at, id, past, func(f *broker.Found) { n.past[client] = f.Past })
	}
}
