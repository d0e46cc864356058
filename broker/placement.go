package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// needsPlace reports whether the job must be placed: it never was; or its executor is lost, or is
// about to leave, is drained, or has withdrawn its offer and has not started the job, or has returned it, or was restarted: a new
// actor proves that what the old one ran is gone (rules I2, J6, J12).
func (o *ownership) needsPlace(r *job.Record) bool {
	p := r.Place
	if p.IsZero() {
		return true
	}
	if _, back := r.Returned(); back {
		return true
	}
	withdrawn := func(why string) bool {
		return (why != "" || o.drained(p.Broker)) && !r.Started() && r.Spec.MayRedeploy() && !o.adopted(r)
	}
	if p.Broker == o.self {
		return !o.ours(p.Actor) || withdrawn(o.offer.withdrawn)
	}
	m := o.members.Get(p.Broker)
	if m.Status == membership.Alive && m.Actor != "" && !m.Runs(p.Actor) {
		return true
	}
	if o.members.Leaves(p.Broker) && !r.Started() && r.Spec.MayRedeploy() || withdrawn(o.members.Metadata(p.Broker).Withdrawn) {
		return true
	}
	return o.members.JudgeLost(o.now, p.Broker)
}

// replace places a job whose executor is gone, or that never had one. A job that must not run
// twice is placed once, by its first owner, or by whom that has handed it to: a later owner cannot know whether it ran, nor can an
// owner whose executor is lost (rule J8).
func (o *ownership) replace(r *job.Record) {
	p := r.Place
	if back, ok := r.Returned(); ok && !p.IsZero() {
		o.placeElsewhere(r, back)
		return
	}
	if !p.IsZero() && !o.mayMove(r.Key()) {
		return
	}
	if !r.Spec.MayRedeploy() && (!p.IsZero() || r.Owner.Tenure.Epoch > 1 && !handedOver(r, 1)) {
		o.decide(r.Key(), job.Failed, whyNotAgain(r)+", and redeploy is false", nil)
		return
	}
	losses := o.losses(r)
	if most := o.cfg.MaxLosses; losses > r.Losses && most > 0 && losses >= most {
		o.decide(r.Key(), job.Failed, fmt.Sprintf("%d brokers were lost while it ran there, the last was %s: it may be what ends them", losses, p.Broker), nil)
		return
	}
	if !o.place(r, p.Try, 0) || p.IsZero() {
		return
	}
	o.stats.Replaced++
	o.move(r.Key())
	if losses > r.Losses {
		o.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
			return old.With(dot, func(r *job.Record) { r.Losses = losses })
		})
	}
}

// whyNotAgain says why a job that must not run twice is not placed again.
func whyNotAgain(r *job.Record) string {
	at := r.Place.Broker
	switch rep, ok := r.Present(); {
	case r.Place.IsZero():
		return "its owner was lost: it may have run"
	case ok && rep.Phase == job.Stopped:
		return at + ", where it ran, has stopped it: it had begun"
	}
	return at + ", where it was placed, was lost: it may have run"
}

// losses counts the executors that were lost while a job ran there, or loaded, which takes memory, the present one included: if no other broker
// was lost at that time, for else a few power cuts would fail every job (rule P4). What our own start has ended
// says nothing of the job.
func (o *ownership) losses(r *job.Record) uint64 {
	p := r.Place
	if rep, ok := r.Present(); p.IsZero() || p.Broker == o.self || !ok || rep.Phase != job.Running && rep.Phase != job.Suspended && !r.Loads() || !o.members.LostAlone(p.Broker) {
		return r.Losses
	}
	return clock.Following(r.Losses)
}

// place chooses an executor and says so in the record. When nobody is capable,
// the job stays where it was, and is looked at again when the membership
// changes. It reports whether there is a new placement.
func (o *ownership) place(r *job.Record, try int, notBefore clock.Time) bool {
	name, actor, ok := o.choose(r, 0)
	if !ok {
		if r.Spec.Disk > 0 {
			o.reviews.at(o.now.Add(diskRetry), r.Key())
		}
		if r.Place.IsZero() {
			return false
		}
		// Its executor is gone and no other broker is capable: it waits for one.
		name, actor = r.Place.Broker, r.Place.Actor
		if try == r.Place.Try {
			return false
		}
	}
	o.placeAt(r, name, actor, try, notBefore)
	return true
}

func (o *ownership) placeAt(r *job.Record, name string, actor clock.Actor, try int, notBefore clock.Time) {
	o.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		attempt := job.Attempt{Tenure: old.Owner.Tenure, Seq: clock.Following(old.Place.Attempt.Seq)}
		if attempt.Compare(old.Place.Attempt) <= 0 { // no number follows: it begins again in a new tenure
			tenure, ok := o.tenureAfter(old.Owner.Tenure)
			if !ok {
				return nil
			}
			attempt = job.Attempt{Tenure: tenure, Seq: 1}
		}
		if from := old.Place.Broker; from != "" && from != name {
			o.out.Moved = append(o.out.Moved, Move{ID: r.ID, From: from, To: name})
		}
		return old.With(dot, func(r *job.Record) {
			r.Owner.Tenure = attempt.Tenure
			r.Place = job.Placement{
				Attempt: attempt,
				Broker:  name, Actor: actor, Try: try, NotBefore: notBefore,
			}
		})
	})
	if !o.fits(name, job.Resources{}) && o.decisions.urgency(r) > 0 {
		o.hurry()
	}
}

// sampled is how many other brokers are compared for one placement: the better
// of a few is nearly as good as the best of all, and does not send everything to
// one (Mitzenmacher, "The Power of Two Choices", 2001).
const sampled = 3

// What distance and absent inputs weigh against load, where a load of 1 is a
// broker that is full.
const (
	costNoInputs  = 0.25
	costNoDisk    = 1    // of less disk than an attempt may write: it may have to be moved
	costPerMillis = 0.01 // of round-trip time, up to maxRTT
	maxRTT        = 50 * time.Millisecond
)

// diskRetry is how often a job that nobody takes, and that says how much disk it writes, is looked at again: what is free changes
// all the time.
const diskRetry = 10 * time.Second

// choose picks an executor among the capable live brokers: this one and a few
// random others, some of them with its module compiled, the one with the least cost. A job that has waited elsewhere for a
// while has paid that much of what compiling costs: so it waits no longer for one that need not compile than compiling
// takes, as whoever rents skis until he has paid their price (Karlin et al., "Competitive snoopy caching", 1988).
// Ok is false when none is capable.
func (o *ownership) choose(r *job.Record, waited time.Duration) (name string, actor clock.Actor, ok bool) {
	best := 0.0
	all := len(o.members.Names())
	n := sampled
	if len(r.Returns) > 0 {
		n = all
	}
	s := o.decisions.stakesOf(r)
	candidates := o.untried(r, o.candidates(r, s, n))
	if r.Spec.Exclusive != "" {
		if at := o.decisions.keyHolder(r, o.untried(r, o.candidates(r, s, all))); at != "" {
			candidates = []string{at}
		}
	}
	for _, c := range candidates {
		if cost := o.cost(c, r, s, waited); !ok || cost < best {
			best, name, ok = cost, c, true
		}
	}
	return name, o.processAt(name), ok
}

// chooseWarm is choose among those with the module compiled and room for the job.
func (o *ownership) chooseWarm(r *job.Record) (name string, actor clock.Actor, ok bool) {
	best := 0.0
	if r.Spec.Exclusive != "" {
		return "", "", false // its key is where it is
	}
	s := o.decisions.stakesOf(r)
	for _, c := range o.untried(r, o.candidates(r, s, sampled)) {
		if cost := o.cost(c, r, s, 0); o.isWarm(c, r) && o.fits(c, r.Spec.Resources) && (!ok || cost < best) {
			best, name, ok = cost, c, true
		}
	}
	return name, o.processAt(name), ok
}

// candidates lists this broker, if it is capable and takes jobs now, up to n random others of that sort, up to n more
// that have compiled the module while there are others that have not, and as many of those within the scope of what makes the job urgent, while
// there are others that are not (rule J9).
func (o *ownership) candidates(r *job.Record, s *stakes, n int) []string {
	list := o.takers(r)
	var own []string
	if len(list) > 0 && list[0] == o.self {
		own, list = list[:1:1], list[1:]
	}
	if len(list) <= n {
		return append(own, list...)
	}
	var within, outside []string
	for _, name := range list {
		if s.within(name) {
			within = append(within, name)
		} else {
			outside = append(outside, name)
		}
	}
	return slices.Concat(own, o.sample(r, outside, n), o.sample(r, within, n))
}

// sample leaves n random names of a list, and up to n more that have compiled the job's module while there are others that have not.
func (o *ownership) sample(r *job.Record, list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	var warm, cold []string
	for _, name := range list {
		if r.Module() != "" && o.isWarm(name, r) {
			warm = append(warm, name)
		} else {
			cold = append(cold, name)
		}
	}
	return slices.Concat(o.some(cold, n), o.some(warm, n))
}

// some leaves n random names of a list.
func (o *ownership) some(list []string, n int) []string {
	for len(list) > n {
		i := o.random.Below(len(list))
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// takers lists the live brokers that are capable of a job and take it now, this one first.
func (c *core) takers(r *job.Record) []string {
	return slices.DeleteFunc(c.capable(r), func(name string) bool { return c.refusesJob(name, &r.Spec) != "" })
}

// capable lists the live brokers that are capable of a job, this one first, also those that take none for now.
func (c *core) capable(r *job.Record) (list []string) {
	if c.isCapable(c.self, r) {
		list = append(list, c.self)
	}
	for _, name := range c.members.Names() {
		if c.isCapable(name, r) {
			list = append(list, name)
		}
	}
	return list
}

// isCapable reports whether a broker lives and is capable of a job.
func (c *core) isCapable(name string, r *job.Record) bool {
	if name == c.self {
		return c.incapable(name, &c.cfg.Capabilities, r) == ""
	}
	m, row := c.members.Get(name), c.members.Metadata(name)
	return m.Status == membership.Alive && row.Actor == m.Actor && m.Actor != "" && c.incapable(name, &row.Capabilities, r) == ""
}

// cost is what placing the job there costs: the load that the broker would then
// have, a broker more where the disk has less room than it may write, and a little for distance and for inputs that must travel; and what compiling its module takes, where that is yet to
// be done, longer than the job has waited. Of a job that is urgent only what goes before it counts.
func (o *ownership) cost(name string, r *job.Record, s *stakes, waited time.Duration) float64 {
	capacity := o.capacity(name)
	cost := 0.0
	if price := o.compileTime(r) - waited; price > 0 && !o.isWarm(name, r) {
		cost += costPerSecond * price.Seconds()
	}
	if free := o.freeDisk(name); free > 0 && free < r.Spec.DiskLimit() {
		cost += costNoDisk
	}
	if name != o.self {
		if !o.blobs.Has(name, r.Needs()) {
			cost += costNoInputs
		}
		cost += costPerMillis * float64(min(o.members.Get(name).RTT, maxRTT)) / float64(time.Millisecond)
	}
	if s.top > 0 {
		return cost + o.urgentCost(name, r, s)
	}
	return cost + filled(o.jobs.load[name].Plus(r.Spec.Resources), capacity)
}

// filled is which part of a broker's capacity is asked for, of what is scarcest there.
func filled(want, capacity job.Resources) float64 {
	return max(share(want.CPU, capacity.CPU), share(want.Memory, capacity.Memory), share(want.IO, capacity.IO))
}

// What it weighs, for a job that has a level somewhere, where it would be placed (rule J9).
const (
	costNoRoom    = 1    // it waits there, or others are stopped for it
	costNoLevel   = 0.25 // it has a higher level elsewhere
	costOvertaken = 1    // both: what comes later may start before it
)

// urgentCost is what goes before a job at a broker: where it has room, or levels do not go first, all that is there; and a price where it must wait,
// or others make room for it, and where it has a lower level than elsewhere.
func (o *ownership) urgentCost(name string, r *job.Record, s *stakes) float64 {
	capacity, level := o.capacity(name), s.at(name)
	there := o.jobs.load[name]
	if r.Place.Broker == name {
		there = there.Minus(r.Spec.Resources)
	}
	outside, room := level < s.top, capacity.Minus(there).Fits(r.Spec.Resources)
	if !room && level > 0 && o.decisions.strategyAt(name).LevelsFirst() {
		there = o.before(name, r, level)
	}
	cost := filled(there.Plus(r.Spec.Resources), capacity)
	if !room {
		cost += costNoRoom
	}
	if outside {
		cost += costNoLevel
	}
	if !room && outside {
		cost += costOvertaken
	}
	return cost
}

// tooLarge says what a job needs that is more than the largest broker has; lack says it for what is not CPU or memory.
func tooLarge(want, largest *job.Resources, lack string) string {
	switch {
	case want.CPU > largest.CPU:
		return fmt.Sprintf("needs %s; the largest broker has %s", job.Cores(want.CPU), cores(largest.CPU))
	case want.Memory > largest.Memory:
		return fmt.Sprintf("needs %d MiB of memory; the largest broker has %d", (want.Memory+1<<20-1)>>20, largest.Memory>>20)
	}
	return lack + " at the largest broker"
}

// cores writes millicores as cores.
func cores(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (c *core) capacity(name string) job.Resources {
	if name == c.self {
		return c.cfg.Capabilities.Capacity
	}
	return c.members.Metadata(name).Capabilities.Capacity
}

// fits reports whether a broker could start a job at once, next to all that is
// placed there.
func (c *core) fits(name string, want job.Resources) bool {
	return c.capacity(name).Minus(c.jobs.load[name]).Fits(want)
}

// incapable says why a broker of these capabilities can't run a job at all, "" when it can.
func (c *core) incapable(name string, caps *wire.Capabilities, r *job.Record) string {
	s := &r.Spec
	if !slices.Contains(caps.Drivers, s.Driver) {
		if s.Driver == job.Process {
			return "driver process (`ucp agent --allow-process`)"
		}
		return fmt.Sprintf("driver %s", s.Driver)
	}
	if s.Driver == job.Process && s.Network && caps.NoNetwork {
		return "network for native jobs (--allow-network)"
	}
	if len(s.Secrets) > 0 && !caps.Secrets {
		return "an identity of a city, which secrets take"
	}
	if needs := versionOf(s); c.members.Speaks(name) < needs { // it has come when the job was there
		return "a version of ucp that " + newIn[needs]
	}
	if !c.mayAllow(caps, r.Module()) {
		return "permission for its module (--allow-module)"
	}
	if lack := caps.Capacity.Lacks(s.Resources); lack != "" {
		return lack + " at all"
	}
	if need := c.workerMemory(name, r); caps.Room > 0 && need > caps.Room {
		return fmt.Sprintf("memory to get its module ready: %d MiB with its own (--memory, --module-memory)", (need+1<<20-1)>>20)
	}
	if text := s.Unmet(caps.Labels); text != "" {
		return "constraint " + text
	}
	return ""
}

// mayAllow reports whether a broker may run a module by what it says; where nothing is known of the module, it may.
func (c *core) mayAllow(caps *wire.Capabilities, module job.Digest) bool {
	if module == "" || len(caps.AllowModules) == 0 || c.cfg.ModuleTags == nil {
		return true
	}
	tags := c.cfg.ModuleTags(module)
	allowed := func(tag uint32) bool { return slices.Contains(caps.AllowModules, tag) }
	return len(tags) == 0 || slices.ContainsFunc(tags, allowed)
}

// workerMemory is how many bytes of memory a job takes at a broker at least, with its module; 0 where that is not known.
func (c *core) workerMemory(name string, r *job.Record) int64 {
	size := c.moduleSize(r)
	if size == 0 || c.cfg.WorkerMemory == nil {
		return 0
	}
	return c.cfg.WorkerMemory(r.Spec.Resources.Memory, size, c.isWarm(name, r))
}

// freeDisk is how many bytes jobs may write at a broker, 0 where it is not known.
func (c *core) freeDisk(name string) int64 {
	if name == c.self {
		return c.offer.freeDisk
	}
	return c.members.Metadata(name).FreeDisk
}

// roomElsewhere goes on after why a job queues where it is: a broker has room for it, and lacks something else. It says nothing
// where none has room, and where one lacks nothing, since the job moves there (rule J9).
func (o *ownership) roomElsewhere(r *job.Record) string {
	if r.State() != job.StateQueued || r.Spec.Exclusive != "" || !r.Spec.MayRedeploy() {
		return ""
	}
	text := ""
	for _, name := range slices.Sorted(slices.Values(slices.Concat(o.members.Names(), []string{o.self}))) {
		caps := &o.cfg.Capabilities
		if name != o.self {
			row := o.members.Metadata(name)
			if caps = &row.Capabilities; row.Name == "" || !o.members.Alive(name) {
				continue
			}
		}
		if name == r.Place.Broker || !o.fits(name, r.Spec.Resources) {
			continue
		}
		switch lack := o.incapable(name, caps, r); {
		case lack == "" && o.refusesJob(name, &r.Spec) == "":
			return ""
		case lack != "" && text == "":
			text = fmt.Sprintf("; %s has room, but lacks %s", name, lack)
		}
	}
	return text
}

// whyUnplaced says what the known brokers lack for a job that waits. Any broker can tell that of any job.
func (o *ownership) whyUnplaced(r *job.Record) string {
	lacking := map[string]int{}
	var largest job.Resources // of each resource the most that a broker has
	lacks := func(name string, c *wire.Capabilities) {
		largest = largest.Max(c.Capacity)
		why := o.incapable(name, c, r)
		if why == "" {
			why = o.refusesJob(name, &r.Spec)
		}
		if why != "" {
			lacking[why]++
		}
	}
	total := 1
	lacks(o.self, &o.cfg.Capabilities)
	for _, name := range o.members.Names() {
		if row := o.members.Metadata(name); row.Name != "" && o.members.Alive(name) {
			total++
			lacks(name, &row.Capabilities)
		}
	}
	before := ""
	if back, ok := r.Returned(); ok && !r.Place.IsZero() {
		before = fmt.Sprintf("%s returned it (%s); ", back.By.Broker(), back.Reason)
	}
	if lack := largest.Lacks(r.Spec.Resources); lack != "" {
		return before + noneOf(total) + fmt.Sprintf(": %s", tooLarge(&r.Spec.Resources, &largest, lack))
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(lacking)) {
		if total > 1 {
			why = fmt.Sprintf("%s (%d)", why, lacking[why])
		}
		parts = append(parts, why)
	}
	if away := o.unasked(r); len(parts) == 0 && before != "" && len(away) > 0 {
		return before + "waits for " + strings.Join(away, ", ") + ", which may be able to"
	}
	if len(parts) == 0 {
		return before + o.whoPlaces(r)
	}
	return before + noneOf(total) + fmt.Sprintf("; lacking: %s", strings.Join(parts, "; "))
}

// whoPlaces says of a job that somebody could run who is about to place it.
func (o *ownership) whoPlaces(r *job.Record) string {
	owner := r.Owner.Broker
	switch {
	case owner == o.self:
		return "about to be placed"
	case o.members.Get(owner).Status == membership.Left, o.members.Lost(owner):
		return "about to be taken over from " + owner + ", which owned it and is gone"
	case o.members.Absent(owner):
		return "waiting for " + owner + ", which owns it and does not answer: it is taken over when that is lost"
	}
	return "waiting for " + owner + ", which owns it, to place it"
}

// noneOf says that none of so many brokers can run a job.
func noneOf(total int) string {
	if total == 1 {
		return "the only live broker can't run it"
	}
	return fmt.Sprintf("none of %d live brokers can run it", total)
}
