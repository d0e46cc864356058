package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// get answers for one job at once.
func (b *Broker) get(in Get) {
	if r := b.lookUp(in.Token, in.ID, in.Past, true); r != nil {
		b.answer(in.Token, b.foundFor(r, in.Past))
	}
}

// await answers when the job has ended and its verdict may be shown.
func (b *Broker) await(in Await) {
	r := b.lookUp(in.Token, in.ID, in.Past, false)
	switch {
	case r == nil:
	case b.acks.shownTo(in.Past, r).Finished():
		b.answer(in.Token, b.foundFor(r, in.Past))
	default:
		b.waiters.add(in.Token, waiting{key: r.Key(), past: in.Past})
	}
}

// cancel ends a job by a verdict, whichever broker owns it (rule J1), and answers when that may be
// shown.
func (b *Broker) cancel(in Cancel) {
	r := b.lookUp(in.Token, in.ID, nil, false)
	switch {
	case r == nil:
		return
	case b.acks.shown(r).Finished():
		b.answer(in.Token, &Cancelled{Job: b.found(r, nil)})
		return
	}
	wrote := b.decide(r.Key(), job.Cancelled, in.Reason, nil)
	if wrote {
		b.out.Cancelled = append(b.out.Cancelled, r.ID)
	}
	if b.acks.withholds(r.Key()) {
		b.waiters.add(in.Token, waiting{key: r.Key(), cancels: true, wrote: wrote})
		return
	}
	b.answer(in.Token, &Cancelled{Job: b.found(b.record(r.Key()), nil), Wrote: wrote})
}

// lookUp finds the job that an ID means; without one it answers why, or, to who only reads, what was set aside.
func (b *Broker) lookUp(t Token, id string, past causal.Context, reads bool) *job.Record {
	r, ambiguous := b.resolve(id)
	switch {
	case len(ambiguous) > 1:
		b.answer(t, &AmbiguousJob{ID: id, IDs: ambiguous, AsOf: b.cityTime(), Past: past})
		return nil
	case r == nil:
		if r := b.asideWith(id); r != nil && reads {
			b.answer(t, &Found{Record: r, SetAside: true, Why: whyAside, First: true, AsOf: b.cityTime(), Past: past})
			return nil
		}
		b.answer(t, &NotFound{ID: id, AsOf: b.cityTime(), Past: past})
	}
	return r
}

// whyAside says to people what became of a job that was set aside (rule F3).
const whyAside = "set aside: all other brokers have answered this one, after its start, that the job was ended and forgotten, or may have been; if not, submit it again"

// tellWaiters answers the clients that wait for a job's end: it has ended, or it is forgotten.
func (b *Broker) tellWaiters(key string) {
	list := b.waiters.take(key)
	if len(list) == 0 {
		return
	}
	r := b.record(key)
	for _, w := range list {
		switch {
		case r == nil:
			b.answer(w.token, &NotFound{ID: string(idOf(key)), AsOf: b.cityTime(), Past: w.past})
		case w.cancels:
			b.answer(w.token, &Cancelled{Job: b.foundFor(r, w.past), Wrote: w.wrote})
		default:
			b.answer(w.token, b.foundFor(r, w.past))
		}
	}
}

// deciders are the updates by which a job has ended: once they are firm, so is its end.
func (b *Broker) deciders(r *job.Record) clock.Vector {
	dots := clock.NewVector(deciding(r))
	for _, d := range r.Dots {
		if b.ours(d.Actor) && d.Actor != b.process() {
			dots.Set(d) // others may believe that they held an earlier update, until they hold this one (rule K3)
		}
	}
	return dots
}

// provisionalUntil says why the end of a job is not firm, and what it takes. Those who have only to be asked, it lists.
func (b *Broker) provisionalUntil(r *job.Record) (until string, asked []string) {
	switch {
	case !b.peers.Proven():
		return "this broker is " + b.awaitsProof(), nil
	case !b.proven():
		return "until enough others have said that this broker takes part again: it had left, or was removed", nil
	case b.authors.holdsBack(r) != "":
		return b.authors.holdsBack(r), nil
	case b.inDoubt(r):
		return "until one of the others has said that it holds the job without a doubt, or all that they do not: they may have ended and forgotten it", nil
	}
	var away []string
	forget := ""
	for _, name := range b.peers.Unstable(b.deciders(r)) {
		if !b.members.Absent(name) {
			asked = append(asked, name)
			continue
		}
		forget = "`ucp cluster forget " + name + "`"
		if since := b.members.AbsentSince(name); !since.IsZero() {
			name += " (silent since " + since.UTC().Format("2006-01-02 15:04:05 MST") + ")"
		}
		away = append(away, name)
	}
	switch {
	case len(away) == 1:
		return "until " + away[0] + " has been heard, or " + forget, nil
	case len(away) > 1:
		return "until these have been heard, or given up with `ucp cluster forget NAME`: " + strings.Join(away, ", "), nil
	case len(asked) == 1:
		return "until " + asked[0] + " has said that it holds that", asked
	case len(asked) > 1:
		return "until " + strings.Join(asked, " and ") + " have said that they hold that", asked
	}
	return "until that is on this broker's disk", nil
}

// firm reports whether the end of a job can't change any more (rule F2). If it can, somebody waits for that now.
func (b *Broker) firm(r *job.Record) bool {
	dots := b.deciders(r)
	if !b.proven() || b.inDoubt(r) {
		return false
	}
	if !b.peers.Firm(dots) {
		b.peers.Await(dots)
		return false
	}
	return b.authors.holdsBack(r) == ""
}

// foundFor shows a job to a client, and notes that it has seen it.
func (b *Broker) foundFor(r *job.Record, past causal.Context) *Found {
	f := b.found(r, past)
	f.Past = past.With(f.seen...)
	return f
}

// found describes a job as this broker knows it, to a client that has seen something.
func (b *Broker) found(r *job.Record, past causal.Context) *Found {
	f := &Found{Record: b.acks.shownTo(past, r), AsOf: b.cityTime(), Holders: b.holders(r)}
	f.Starting = b.starts(f.Record)
	for _, d := range r.Dots {
		if v := r.Verdict(); v != nil && !f.Record.Finished() && d.Actor == v.Dot.Actor {
			d.Counter = min(d.Counter, v.Dot.Counter-1) // it has not seen the end (rule R4)
		}
		if d.Counter > 0 {
			f.seen = append(f.seen, causal.Event{Dot: d})
		}
	}
	created := causal.Event{Dot: r.Created[0].Dot, Job: r.ID}
	if v := f.Record.Verdict(); v != nil {
		if f.Provisional = !past.SawFirm(created.Dot, v.Dot) && !b.firm(r); !f.Provisional {
			created.Firm = causal.FirmEnd(v.Dot)
		} else {
			f.Until, f.Asked = b.provisionalUntil(r)
		}
	}
	if f.seen = append(f.seen, created); !b.holdsAll(r.Dots) && b.peers.StraysTaken() {
		// Every member has what no clock covers: whom its client asks need not wait for it, and would do so in vain.
		f.seen = slices.DeleteFunc(f.seen, func(x causal.Event) bool { return !b.ledger.Has(x.Dot) })
	}
	f.First = true
	for _, key := range b.withID(r.ID) {
		if other := b.record(key); key != r.Key() && other != nil {
			f.SameID = append(f.SameID, key)
			f.First = f.First && r.Before(other)
		}
	}
	f.Displaced = b.attempts.displacedBy(r.ID)
	f.KnownBy, f.Members = b.peers.Covered(r.Writers())
	if f.Record.Finished() {
		return f
	}
	set := b.activeSetAt(r.Place.Broker)
	_, f.Emergency = set.Level(&r.Spec)
	f.NoLevel = b.noLevelAt(r, set)
	var contends bool
	if f.Why, contends = b.why(f.Record); contends {
		f.Why += b.decisions.whyElse(r.Key()) + b.attempts.whyDisplaced(r.Key())
	}
	return f
}

// why says why a job does not run, as far as this broker can tell; contends is true when others are decided for here.
func (b *Broker) why(r *job.Record) (text string, contends bool) {
	verb := "waiting"
	switch text := b.whyNoTurn(r); {
	case text != "":
		return text, false
	case r.State() == job.StateLoading:
		return "loading at " + r.Place.Broker + ": its module is compiled there, or waits for its turn to be", false
	case b.starts(r):
		return "told to start at " + r.Place.Broker + "; whether its program has begun is not known yet", false
	case r.State() == job.StateSuspended:
		verb = "suspended"
	case r.State() != job.StateQueued:
		return "", false
	}
	if why := b.decisions.why(r.Key()); why != "" {
		return verb + " at " + b.self + ": " + why + b.ownership.roomElsewhere(r), true
	}
	return "", false
}

// whyNoTurn says why a job does not take part in the decisions of this broker, "" when it does, or does not wait.
func (b *Broker) whyNoTurn(r *job.Record) string {
	if b.isDisputed(r.Key()) {
		return "disputed: others may have ended and forgotten it; it waits until one says that it holds it without a doubt, or all that they do not (rule F3)"
	}
	switch r.State() {
	case job.StatePending:
		if why := b.predecessors.whyWaiting(r); why != "" {
			return why
		}
		return b.ownership.whyUnplaced(r)
	case job.StateQueued:
		if !b.ours(r.Place.Actor) || b.drained(b.self) {
			return b.whyElsewhere(r)
		}
		if at := r.Place.NotBefore; at > b.cityNow() {
			return fmt.Sprintf("retry %d of %d, not before %s", r.Place.Try, r.Spec.Retries.Max, at.Time().Format("15:04:05"))
		}
		if why := b.attempts.whyFetching(r.Key()); why != "" {
			return why
		}
		if b.causality.waitsForNews(r.Key()) {
			return "waits for news of what it depends on"
		}
	}
	return ""
}

// whyElsewhere says why a job does not run that is queued at another broker. Where that can't run it any more, and no
// other can, the record still names it (rule J6), and the job waits for one that can.
func (b *Broker) whyElsewhere(r *job.Record) string {
	at, was := r.Place.Broker, ""
	switch {
	case b.members.Get(at).Status == membership.Left:
		was = "has left"
	case b.members.Lost(at):
		was = "is gone"
	case b.members.Absent(at):
		return "queued at " + at + ", which does not answer"
	case b.members.Leaves(at) && r.Spec.MayRedeploy():
		was = "is leaving"
	case b.drained(at) && !r.Spec.MayRedeploy() && b.taker(r, at):
		if b.leavesDrained(r, at) {
			return "queued at " + at + ", which is drained and gives it back"
		}
		return "queued at " + at + ", which is drained: it starts there when that is resumed, since its owner was lost and redeploy is false"
	case b.drained(at):
		was = "is drained"
	default:
		if short := b.shortAt(r); short != "" {
			return "queued at " + at + short + b.ownership.roomElsewhere(r)
		}
		return "queued at " + at
	}
	return b.ownership.whyUnplaced(r) + "; it was queued at " + at + ", which " + was
}

// shortAt says what is short for a job at the broker where it is placed, by what that one has told last; "" where it
// would fit, as far as is known here.
func (b *Broker) shortAt(r *job.Record) string {
	row := b.members.Metadata(r.Place.Broker)
	free := row.Capabilities.Capacity.Minus(row.Usage)
	wants := &r.Spec.Resources
	switch {
	case row.Name == "":
		return ""
	case wants.CPU > free.CPU:
		return fmt.Sprintf(": needs %s, %s free there", job.Cores(wants.CPU), cores(max(free.CPU, 0)))
	case wants.Memory > free.Memory:
		return fmt.Sprintf(": needs %d MiB memory, %d MiB free there", wants.Memory>>20, max(free.Memory, 0)>>20)
	}
	return ""
}

// activeSetAt is what is in force at a broker, as far as is known here; at this one without a
// name.
func (b *Broker) activeSetAt(name string) emergency.ActiveSet {
	if name == "" || name == b.self {
		return b.emergencies.activeSet
	}
	return b.emergencies.activeAt(b.members.Metadata(name).Capabilities.Labels)
}

// list answers with a page of jobs. A page may be shorter than asked for, and have a next one: looking for few jobs
// among many must not hold everybody else up.
func (b *Broker) list(in List) {
	out := &Listing{AsOf: b.cityTime(), Emergencies: map[string]emergency.ID{}, NoLevel: map[string]string{}, Why: map[string]string{}, Short: map[string]string{}}
	if in.Count {
		out.Counts = map[job.State]int{}
	}
	sets := map[string]emergency.ActiveSet{} // of each broker once: a page is long
	reasons := mostReasons
	shown := in.Filter
	in.States = job.Recorded(in.States)
	next, err := b.jobs.page(&in.Filter, in.Limit, in.After, func(key string) bool {
		r := b.acks.shown(b.record(key))
		if r == nil || !in.Chooses(r) {
			return false
		}
		state := b.shownState(r)
		if !shown.HasState(state) {
			return false
		}
		at := r.Place.Broker
		if _, ok := sets[at]; !ok {
			sets[at] = b.activeSetAt(at)
		}
		level, by := sets[at].Level(&r.Spec)
		named := b.emergencies.outside(sets[at], r.Spec.Priority.Emergency) // who waits for an emergency is urgent, in its scope or not
		if in.Urgent && level == 0 && named == "" && r.Spec.Priority.User < job.Urgent || in.Emergency != "" && !concerns(in.Emergency, cmp.Or(by, named), r) {
			return false
		}
		if in.Count {
			out.Counts[state]++
			return false
		}
		out.Jobs = append(out.Jobs, r)
		out.Short[key] = b.jobs.short(r.ID)
		if state == job.StateStarting {
			out.Starting = append(out.Starting, key)
		}
		switch v := r.Verdict(); {
		case v != nil && !b.firm(r):
			out.Provisional = append(out.Provisional, key)
		case v == nil:
			if by != "" {
				out.Emergencies[key] = by
			}
			if named != "" {
				out.NoLevel[key] = b.noLevelAt(r, sets[at])
			}
			if reasons > 0 {
				out.Why[key], _ = b.why(r)
				reasons -= b.decisions.whyCosts()
			}
		}
		if first, _ := b.resolve(string(r.ID)); first != nil && first.Key() != key {
			out.Later = append(out.Later, key)
		}
		return true
	})
	if err == nil {
		out.Next = next
	}
	b.answer(in.Token, out)
}

// mostReasons bounds what is looked at to say why the jobs of one page do not run: where so much waits that more would
// hold the loop up, the later jobs of a page are listed without a reason.
const mostReasons = 1 << 20

// concerns reports whether a job has to do with an emergency, an ID or its beginning, or a type: it names it, has its
// level of it (or would, in its scope), or made room because of it. A level, or its number, is that of the jobs that name it.
func concerns(what string, by emergency.ID, r *job.Record) bool {
	return r.Spec.Priority.Emergency == what || r.Spec.Priority.Emergency == job.LevelOf(what) || strings.HasPrefix(string(by), what) ||
		slices.ContainsFunc(r.Pauses, func(p job.Pause) bool { return strings.HasPrefix(p.Emergency, what) })
}
