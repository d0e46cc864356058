package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// checks is what a simulation watches all the while. Wrong collects what must never
// be; a run with any of it has failed.
type checks struct {
	wrong []string
	dots  map[clock.Dot]string               // what each dot brought, for ever (I1)
	ends  map[string]map[string]clock.Vector // by broker: jobs whose verdict its disk has held, and their creations then
	over  map[string]bool                    // jobs of which any disk has held a verdict, by key
	ended map[job.ID]bool                    // their IDs
	acks  map[string]map[string]bool         // acknowledged jobs by key, and the disks that held them then
	once  map[string]int                     // starts of jobs that must not run twice

	answers answers // what clients were told
}

func newChecks() checks {
	return checks{
		dots: map[clock.Dot]string{}, ends: map[string]map[string]clock.Vector{}, over: map[string]bool{}, ended: map[job.ID]bool{},
		acks: map[string]map[string]bool{}, once: map[string]int{},
		answers: newAnswers(),
	}
}

// fail notes that something is wrong.
func (c *Core) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.tell("WRONG: %s", text)
	c.checks.wrong = append(c.checks.wrong, text)
}

// Wrong lists the broken invariants.
func (c *Core) Wrong() []string { return c.checks.wrong }

// checkWrite looks at what reaches a disk.
func (c *Core) checkWrite(n *coreNode, op ledger.Op, old []byte) {
	key, ok := isJob(string(op.Key))
	whole := ok
	if !ok {
		key, ok = isStub(string(op.Key))
	}
	if !ok {
		c.sawWritten(n, op, old)
		return
	}
	r := n.disk.job(key)
	c.checks.answers.checkHolds(n.name, r)
	if whole {
		c.sawJob(n, old, r)
	} else {
		c.saw(n, stubbed{})
	}
	once := func(d clock.Dot, what string) {
		if old, ok := c.checks.dots[d]; ok && old != what {
			c.fail("I1: dot %v has two contents: %s; %s", d, old, what)
		}
		c.checks.dots[d] = what
	}
	for _, s := range r.Created {
		once(s.Dot, fmt.Sprintf("%s created %v", key, s.At))
	}
	for _, rep := range r.Reports {
		once(rep.Dot, fmt.Sprintf("%s report %v %s", key, rep.Attempt.Token(), rep.Phase))
	}
	for _, v := range r.Verdicts {
		once(v.Dot, fmt.Sprintf("%s verdict %v %s", key, v.At, v.Outcome))
	}
	if s := r.Seal; s != nil {
		once(s.Dot, fmt.Sprintf("%s seal of %v", key, s.Verdict))
	}
	ends := c.checks.ends[n.name]
	if ends == nil {
		ends = map[string]clock.Vector{}
		c.checks.ends[n.name] = ends
	}
	born, ended := ends[key]
	switch {
	case r.Finished():
		ends[key], c.checks.over[key], c.checks.ended[r.ID] = clock.NewVector(slices.Collect(r.Creations())...), true, true
	case ended && born.Covers(clock.NewVector(slices.Collect(r.Creations())...)): // it was not created again since (rules K3, F3)
		c.fail("L7: %s is unfinished again at %s, which had its verdict", r.ID, n.name)
	}
}

// diskChanged notes that a disk was lost, or is an older one.
func (c *Core) diskChanged(n *coreNode) {
	n.exchanged, n.exchangedAt = true, c.Now
	delete(c.checks.ends, n.name)
	c.checks.answers.diskChanged(n.name)
	for _, r := range n.disk.jobs() {
		if r.Finished() {
			c.checkWrite(n, ledger.Op{Key: ledger.RecordKey(kind.JobRef(r.Key())), Value: r.Encode()}, r.Encode())
		}
	}
	for key, holders := range c.checks.acks {
		if !n.disk.holds(key) {
			delete(holders, n.name)
		}
	}
	c.checks.answers.forgetLost()
}

// checkRun looks at an attempt that a broker starts.
func (c *Core) checkRun(n *coreNode, r broker.Run) {
	switch rec := n.disk.job(r.Key); {
	case rec == nil:
		c.fail("%s starts %s, which is not on its disk", n.name, r.ID)
	case rec.Finished():
		c.fail("%s starts %s, whose verdict it knows", n.name, r.ID)
	default:
		c.checkFrom(n, r, rec)
		c.checkAfter(n, r, rec)
	}
	for _, d := range r.Spec.Blobs() {
		if !n.blobs[string(d)] {
			c.fail("%s starts %s without its input", n.name, r.ID)
		}
	}
	if r.Spec.Driver == job.Wasm && !job.ValidDigest(string(r.Spec.Module)) {
		c.fail("D8: %s starts %s with the module %q", n.name, r.ID, r.Spec.Module)
	}
	if !c.Now.Before(n.spoilt) { // otherwise its program does not begin
		c.checkOnce(n, r)
	}
	c.checkRoom(n, r.Key)
}

// checkRoom sees to it that what runs, and the memory of what stands still, does not
// exceed what the broker has.
func (c *Core) checkRoom(n *coreNode, key string) {
	free := c.cfg.Capabilities.Capacity
	for _, x := range n.running {
		free = free.Minus(x.Spec.Resources)
	}
	for _, x := range n.still {
		free = free.Minus(job.Resources{Memory: x.Spec.Resources.Memory, Devices: x.Spec.Resources.Devices})
	}
	if why := free.Lacks(job.Resources{}); why != "" {
		c.fail("%s runs more than it can, with %s: %s", n.name, key, why)
	}
}

// checkOnce sees to it that a job that must not run twice does not (rule J8). If it
// was submitted in two parts of a split, neither can know of the other.
func (c *Core) checkOnce(n *coreNode, r broker.Run) {
	rec := n.disk.job(r.Key)
	if rec == nil || r.Spec.MayRedeploy() || len(rec.Created) > 1 {
		return
	}
	id := fmt.Sprint(r.Key, rec.Created[0].Dot)
	if c.checks.once[id]++; c.checks.once[id] > 1 {
		c.fail("J8: %s runs for the second time, at %s", r.ID, n.name)
	}
}

// checkAck remembers who holds an acknowledged job: as long as one of these keeps its
// disk, the job must end.
func (c *Core) checkAck(r *job.Record, copies int) {
	holders := map[string]bool{}
	for _, name := range c.names {
		n := c.nodes[name]
		held := n.disk.holds(r.Key())
		for _, d := range r.Spec.Blobs() {
			held = held && n.blobs[string(d)]
		}
		if _, named := r.ModuleVersion(); named && !r.Finished() {
			held = held && n.blobs[string(r.Module())]
		}
		if held {
			holders[name] = true
		} else if n.exchanged && c.Now.Sub(n.exchangedAt) < 2*slowest {
			copies-- // it may have held it when the answer was made: a slow disk keeps an answer for as long
		}
	}
	if c.hostile != nil {
		copies-- // it says that it holds it, and who can tell
	}
	if len(holders) < copies && !c.checks.over[r.Key()] {
		c.fail("A1: %s is acknowledged with %d copies, but only %v hold it", r.ID, copies, slices.Sorted(maps.Keys(holders)))
	}
	c.Acked[r.ID] = true
	if c.checks.acks[r.Key()] == nil {
		c.checks.acks[r.Key()] = holders
	} else {
		maps.Copy(c.checks.acks[r.Key()], holders)
	}
}

// Converged checks what must hold when all was well for long enough: every
// acknowledged job has ended, alike everywhere, and all hold the same.
func (c *Core) Converged() {
	for _, key := range slices.Sorted(maps.Keys(c.checks.acks)) {
		if len(c.checks.acks[key]) == 0 {
			continue // every disk that held it was lost
		}
		for _, name := range c.names {
			c.checkEnded(c.nodes[name], key)
		}
	}
	for _, d := range c.Differences() {
		c.fail("%s", d)
	}
	c.checkOutputs()
	c.checkEmergencies()
	if c.faults.has(Names) {
		c.checkData()
	}
	if c.faults.has(DeclaredAgain) {
		c.checkDeclaredAgain()
	}
	if c.faults.has(Readers) {
		c.checkLastAnswers()
	}
	for _, name := range c.names {
		n := c.nodes[name]
		for id, r := range n.running {
			c.fail("%s still runs %s (%s)", name, r.ID, id)
		}
		for id, r := range n.still {
			c.fail("%s still holds %s, which stands still (%s)", name, r.ID, id)
		}
	}
}

// checkOutputs sees to it that output which is kept, and not lost, is on as many disks as were asked for (rule R3).
func (c *Core) checkOutputs() {
	if c.cfg.Retention <= time.Hour {
		return // most are forgotten by now
	}
	for _, r := range c.nodes[c.names[0]].disk.jobs() {
		rep := r.Accepted()
		if rep == nil {
			continue
		}
		for _, d := range rep.Result.Blobs() {
			var holders []string
			for _, name := range c.names {
				if c.nodes[name].blobs[string(d)] {
					holders = append(holders, name)
				}
			}
			if len(holders) > 0 && len(holders) < min(c.cfg.Replicas, len(c.names)) {
				c.fail("R3: the output of %s, which %s ran, is on %v only", r.ID, rep.Dot.Actor, holders)
			}
		}
	}
}

func (c *Core) checkEnded(n *coreNode, key string) {
	r := n.disk.job(key)
	if r == nil {
		if !c.checks.over[key] || c.cfg.Retention > time.Hour {
			c.fail("%s was acknowledged, and %s knows nothing of it", key, n.name)
		}
		return
	}
	if !r.Finished() {
		c.fail("%s was acknowledged, and has not ended: it is %s at %s, owner %s, executor %s", r.ID, r.State(), n.name, r.Owner.Broker, r.Place.Actor)
	}
}

// Differences names the records that not all brokers hold alike, and the clocks
// that differ. A finished record that one broker has forgotten, and another not yet,
// does not count as a difference, nor does the row of a start of which nothing else is left.
func (c *Core) Differences() (out []string) {
	first := c.nodes[c.names[0]]
	for _, name := range c.names[1:] {
		n := c.nodes[name]
		keys := maps.Clone(first.disk)
		maps.Copy(keys, n.disk)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			a, b := first.disk[k], n.disk[k]
			if string(a) == string(b) || !ledger.Shared([]byte(k)) || c.forgotten(a, b) || c.tainted(k, a) || c.tainted(k, b) || c.metStub(k, a, b) || c.isOver(k, a, b) ||
				first.onlyRow(k, a) || n.onlyRow(k, b) {
				continue
			}
			if ref, _ := ledger.RefOf([]byte(k)); ref.Kind == kind.Data && shownData(a) == shownData(b) {
				continue // each lets go of what was removed in its own time (rule D4)
			}
			if _, stub := isStub(k); stub {
				continue // each broker has its own: they are finished
			}
			out = append(out, fmt.Sprintf("%s and %s differ in %q: %s / %s", first.name, name, k, sketch(k, a), sketch(k, b)))
		}
	}
	return out
}

// onlyRow reports whether a stored row of a start is all that a broker has of that start. A broker that is not in the roll yet is
// believed in that alone (rule M1); if it then loses its disk, nobody has a reason to tell the row, or to ask for it.
func (n *coreNode) onlyRow(storeKey string, value []byte) bool {
	ref, ok := ledger.RefOf([]byte(storeKey))
	if !ok || ref.Kind != ledger.Starts || value == nil {
		return false
	}
	held, err := ledger.StoredClock(n.disk.scan)
	must(err)
	start := clock.Actor(ref.Key)
	if n.disk.lineage().Get(held, start) > 0 {
		return false
	}
	updates := false
	must(ledger.Records(n.disk.scan, kind.Schemas, func(s ledger.Stored) error {
		updates = updates || s.Record != nil && s.Kind != ledger.Starts && s.Record.Writers().Get(start) > 0
		return nil
	}))
	return !updates
}

// metStub reports whether two states of a job that has ended differ only since one of them is an older one that has
// met a stub: that brings the end and the updates, and nothing else (rule M4).
func (c *Core) metStub(key string, a, b []byte) bool {
	if _, ok := isJob(key); !ok || a == nil || b == nil || c.cfg.Retention > time.Hour {
		return false
	}
	x, y := decodeJob(a), decodeJob(b)
	return x.Finished() && y.Finished() && x.Verdict().Dot == y.Verdict().Dot && x.Dots.Compare(y.Dots) == clock.Equal
}

func (c *Core) forgotten(a, b []byte) bool {
	if a == nil {
		a, b = b, a
	}
	if b != nil || c.cfg.Retention > time.Hour {
		return false
	}
	r, err := job.DecodeRecord(a)
	return err == nil && r.Finished()
}
