// Command mutants breaks the code on purpose, one rule at a time, and demands that a test
// goes red: a rule that no test misses is one that somebody will simplify away.
//
//	go run ./tools/mutants [name ...]
//
// Nothing in the tree is touched: each mutation is laid over the sources with the
// -overlay flag of the go command. All of them take some minutes. docs/testing.md
// has the table.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is one way to break the code. Old stands in the file exactly once.
type mutant struct {
	name     string // the rule, and what of it is left out
	file     string
	old, new string
	pkg, run string // the tests of which one must go red
}

const (
	stories   = "TestStories"
	schedules = "TestCoreSchedules"
)

var mutants = []mutant{
	{"I1 no fresh actor", "store/identity.go",
		"	value, err := json.Marshal(id)\n", "	if stored.Actor != \"\" {\n		id.Actor = stored.Actor\n	}\n	value, err := json.Marshal(id)\n",
		"./store", "Identi"},
	{"I1 no fresh actor, in the core", "sim/core.go",
		"	n.actor = clock.StartActor(", "	if n.actor != \"\" {\n		return n.actor\n	}\n	n.actor = clock.StartActor(",
		"./sim", schedules},
	{"I4 act before the fsync", "node/engine.go",
		"		busy = true\n		commits <- out", "		e.finish(out)\n		out = broker.Ready{Commit: out.Commit}\n		busy = true\n		commits <- out",
		"./node", "TestNothingLeavesBeforeTheSync"},
	{"A1 acknowledge before the fsync", "node/engine.go",
		"		busy = true\n		commits <- out", "		e.answer(out.Answers)\n		out.Answers = nil\n		busy = true\n		commits <- out",
		"./node", "TestNothingLeavesBeforeTheSync"},
	{"A1 a clock proves the inputs", "broker/ack/waiters.go",
		"if w.peers.HoldsUpdate(name, dot) && w.holders.Has(name, blobs) {", "if w.peers.HoldsUpdate(name, dot) {",
		"./broker", stories},
	{"A1 no hedge", "broker/ack/waiters.go",
		"	w.hedges++\n", "	w.hedges += 0\n	return\n",
		"./broker", stories},
	{"L4 adopt without looking at since", "ledger/delta.go",
		" || !l.lineage.Covers(l.seen, d.Since) {", " {",
		"./ledger", "."},
	{"L5 the live clock, not the pinned", "ledger/delta.go",
		"	d.Clock = t.clock\n", "	d.Clock = l.Clock()\n",
		"./ledger", "."},
	{"L5 adopt without every page", "broker/replication/receive.go",
		"	if in == nil || in.id != m.Page.Transfer || m.Page.Number > in.next {\n		return Received{Restart: true}", "	if in == nil {\n		l.incoming = &incoming{id: m.Page.Transfer}\n		in = l.incoming\n	}\n	if false {\n		return Received{Restart: true}",
		"./broker", "TestPagesOutOfTurn"},
	{"K1 no row", "ledger/start.go",
		"	return ok && l.Wrote() == 0 && ", "	return false && ok && l.Wrote() == 0 && ",
		"./broker", "TestStories/K1"},
	{"K1 a row that somebody can't read", "broker/core.go",
		"c.ledger.RowIf(func() bool { return c.needs(startRows) == nil })", "c.ledger.RowIf(func() bool { return true })",
		"./broker", "TestStories/K5"},
	{"K1 who has met nobody yet knows nobody", "broker/membership/roll.go",
		"	if !m.met && m.cfg.Protocol > 0 {\n", "	if false {\n",
		"./broker", "TestStories/K5"},
	{"K1 a row lists what was not read", "ledger/start.go",
		"slices.DeleteFunc(l.clock.Of(", "slices.DeleteFunc(l.seen.Of(",
		"./ledger", "."},
	{"K1 a hole holds back no later start", "ledger/quarantine.go",
		"			l.clock = l.lineage.Without(l.clock, d)\n", "			(*clock.Vector)(&l.clock).Cut(d)\n",
		"./ledger", "."},
	{"K1 hearsay holds back no later start", "ledger/delta.go",
		"		c = l.lineage.Without(c, clock.Dot{Actor: a, Counter: 1})\n", "		c = slices.DeleteFunc(c.Clone(), func(d clock.Dot) bool { return d.Actor == a })\n",
		"./ledger", "."},
	{"K1 a row may change", "ledger/start.go",
		"	case known:\n", "	case known && false:\n",
		"./ledger", "."},
	{"K1 a start below what is known", "store/identity.go",
		"clock.NextStart(now, known.Of(name), stored.Actor,", "clock.NextStart(now, known[:0], stored.Actor,",
		"./store", "Identi"},
	{"K2 a parent has ended", "clock/lineage.go",
		"			all[d.Actor] = max(had, d.Counter)\n", "			all[d.Actor] = MaxCounter\n",
		"./clock", "."},
	{"K2 clocks keep every start", "clock/lineage.go",
		"		return Tips(out) // no other starts than before\n	}\n	return l.Tips(out)\n", "		return Tips(out) // no other starts than before\n	}\n	return Tips(out)\n",
		"./broker", "TestStories/K"},
	{"K2 a delta goes through all starts", "ledger/delta.go",
		"		if had == 0 && known {\n", "		if known {\n",
		"./ledger", "."},
	{"L5 what came in pages is not passed on", "ledger/delta.go",
		"	for a := range l.strays {\n		if clock.Vector(l.seen).Get(a) == 0 {\n", "	for a := range l.strays {\n		if false {\n",
		"./ledger ./broker ./sim", "."},
	{"K4 metadata carries every clock", "broker/wire/metadata.go",
		"		if r.Name != s.From || len(r.Clock) > MaxClock {\n", "		if len(r.Clock) > MaxClock {\n",
		"./broker/wire", "PushPull"},
	{"K4 a push-pull tells always of the same", "node/act.go",
		"		s.told.Add(int64(told))\n", "		_ = told\n",
		"./node", "PushPull"},
	{"K4 a peer that refuses looks away", "node/peers.go",
		"			c.Refused = refused.reason\n", "",
		"./node", "RefusedByAPeer"},
	{"K5 an absent member counts for nothing", "broker/membership/roll.go",
		"		m.protocol = min(m.protocol, m.Speaks(name))\n", "		if m.Alive(name) {\n			m.protocol = min(m.protocol, m.Speaks(name))\n		}\n",
		"./broker", stories},
	{"K5 one version for all", "broker/replication/send.go",
		"	version := r.members.Speaks(name)\n", "	version := wire.Version\n",
		"./broker/replication", "SpokenToInItsVersion"},
	{"K5 what somebody can't read is written", "broker/strategy.go",
		"refused != nil {", "refused != nil && false {",
		"./broker", stories},
	{"L7 no", "ledger/delta.go",
		"	if e == nil && l.CreatedWithin(r, l.clock) {", "	if false {",
		"./broker", stories},
	{"M4 a member that is away holds whole jobs back", "broker/sweeper.go",
		"		case !s.members.Complete() && s.needs(stubVersion) == nil:\n			reduce = append(reduce, r)\n", "",
		"./broker", stories},
	{"M4 a stub takes away what is whole", "job/merge.go",
		"	m.Reports, c[3] = mergeReports(a.Reports, b.Reports)\n", "	m.Reports, c[3] = mergeReports(a.Reports, b.Reports)\n	if b.IsStub() && !a.IsStub() {\n		m, _ := Merge(a.ToStub(), b)\n		return m, true\n	}\n",
		"./job", "Stub"},
	{"M4 stubs are not sent", "ledger/stubs.go",
		"	if l.lineage.Covers(since, l.stubs.high) {", "	if true {",
		"./ledger", "StubsAreOnDiskOnly"},
	{"M4 a page misses what is whole again", "ledger/stubs.go",
		"			r = e.record\n		}\n", "			return true\n		}\n",
		"./ledger", "WholeAgainWithin"},
	{"M4 what is forgotten is found while it is deleted", "ledger/stubs.go",
		"	l.stubs.gone[ref] = l.generation\n", "",
		"./ledger", "ForgottenStubs"},
	{"M4 a stub is run again", "broker/jobs.go",
		"	if len(stubs) == 0 {\n", "	if true {\n",
		"./broker", stories},
	{"F1 what an earlier start has told still counts", "broker/replication/link.go",
		"		*l = link{plain: l.plain, pages: l.pages, exchange: l.exchange}\n", "",
		"./broker/replication", "Void"},
	{"F1 a clock counts before ours covers it", "broker/replication/stable.go",
		"		if r.ledger.Covers(l.offered.clock) {", "		if true {",
		"./broker/replication", "Firm|Stable"},
	{"F1 an entry is looked at for one member", "broker/replication/stable.go",
		"low <= at {\n			break\n", "low > at {\n			break\n",
		"./broker/replication", "Stable"},
	{"F1 a start that some lack hides what all hold", "broker/replication/stable.go",
		"	case low == 0 && fresh:\n", "	case false:\n",
		"./broker/replication", "Stable"},
	{"F1 the stable clock is not stored", "ledger/ledger.go",
		"		l.stable, l.stableDirty = next, true\n", "		l.stable = next\n",
		"./ledger", "Stable"},
	{"F1 it travels with the exchange only", "broker/replication/stable.go",
		"	if awaited && r.cfg.NewsLinks {", "	if false {",
		"./broker/replication", "Travels"},
	{"F1 a late message is the latest", "broker/replication/stable.go",
		"	case s.Version < l.version:\n		return false\n", "",
		"./broker/replication", "LateStable"},
	{"F2 firm by our own word alone (H1)", "broker/replication/stable.go",
		"	return have >= min(r.cfg.Copies, of) ||", "	return true ||",
		"./broker/replication", "Firm"},
	{"F3 forgotten by our own word alone (H3)", "broker/replication/stable.go",
		"			return r.members.Protocol() < 2\n		}\n	}\n	return true", "		}\n	}\n	return true",
		"./broker/replication", "Firm"},
	{"L9 no audit", "broker/replication/audit.go",
		"		if r.ledger.Forgotten(ref, a.Since) {", "		if false {",
		"./broker", stories},
	{"L9 run before the audit", "broker/replication/audit.go",
		"return r.unaudit.waiting && created <= r.unaudit.before", "return false",
		"./broker", stories},
	{"L10 the clock covers what was bad", "ledger/quarantine.go",
		"	q := &quarantined{Bytes: in.Encoded, Dots: in.Dots.Clone()}\n", "	if len(in.Dots) > 0 {\n		return true, nil\n	}\n	q := &quarantined{Bytes: in.Encoded, Dots: in.Dots.Clone()}\n",
		"./broker", stories},
	{"J1 who knows a verdict writes one", "broker/ownership.go",
		"if old == nil || old.Finished() {", "if old == nil {",
		"./broker", stories},
	{"J1 the last verdict decides", "job/state.go",
		"	return &r.Verdicts[0]", "	return &r.Verdicts[len(r.Verdicts)-1]",
		"./job ./broker ./sim", "Test"},
	{"J1 the last result is accepted", "broker/ownership.go",
		"first == nil || rep.At < first.At {", "first == nil || rep.At > first.At {",
		"./broker", stories},
	{"J6 takeover by every survivor", "broker/review.go",
		" && b.successor(r.Key(), \"\") == b.self && b.ownership.mayMove(r.Key()) {", " {",
		"./broker", stories},
	{"J6 a flapping peer is given no longer", "broker/membership/absence.go",
		"m.cfg.RedeployDelay << min(f.times, maxDoublings)", "m.cfg.RedeployDelay",
		"./broker", stories},
	{"J7 no isolation", "broker/membership/absence.go",
		"m.isolated = now.Add(m.cfg.IsolationDelay)", "m.isolated = now",
		"./broker", stories},
	{"J7 a newer attempt stops one at once", "broker/attempts.go",
		"	case !have.started:\n		return true\n", "	case true:\n		return true\n",
		"./broker", stories},
	{"J7 no adoption", "broker/ownership.go",
		"	if best == nil {\n		return false\n	}\n", "	if best == nil || true {\n		return false\n	}\n",
		"./broker", stories},
	{"J8 placed again", "broker/placement.go",
		"	if !r.Spec.MayRedeploy() && (", "	if false && (",
		"./broker", stories},
	{"J8 starts before it is durable", "broker/attempts.go",
		"	if !r.Spec.MayRedeploy() && !a.mayStart(r) {", "	if false {",
		"./broker", stories},
	{"J9 no balance", "broker/balancer.go",
		"		b.stats.Rebalanced++\n", "		continue\n",
		"./broker", stories},
	{"J11 a verdict before its output travels", "broker/results.go",
		"		if len(blobs) == 0 || ", "		if true || ",
		"./broker", stories},
	{"F2 nothing is provisional, in the core", "broker/read.go",
		"		f.Provisional = !b.firm(r)\n", "",
		"./sim", schedules},
	{"A1 an old confirmation counts", "broker/ack/digests.go",
		"!known || at.Before(since) || at.IsZero()", "!known || at.IsZero()",
		"./broker", "Test"},
	{"P1 SWIM's word stands", "broker/membership/presence.go",
		"	m.leases[name] = lease{actor, said.Actor, until}\n	return true\n", "	return false\n",
		"./broker", stories},
	{"P1 records are judged before their sender", "broker/sync.go",
		"	return m.Beat > 0 &&", "	return false &&",
		"./broker", "TestLateMessages"},
	{"P1 a lease does not end", "broker/membership/presence.go",
		"	until := heard.Add(term)\n", "	until := heard.Add(1000 * term)\n",
		"./broker", stories},
	{"P1 an old proof counts", "broker/membership/presence.go",
		"a != nil && heard.Before(a.since) ||", "a == nil ||",
		"./broker", "TestLateMessages"},
	{"P1 nobody is asked", "broker/roster.go",
		"range b.members.Doubted() {\n			b.peers.Retry(name)\n", "range b.members.Doubted() {\n			_ = name\n",
		"./broker", stories},
	{"P2 no pause", "broker/pace.go",
		"	m.next = o.now.Add(o.gap(m.count))\n", "	m.next = o.now\n",
		"./broker", stories},
	{"P2 news of a lost broker counts for nothing", "broker/pace.go",
		"!o.members.Lost(name) {", "true {",
		"./sim", "TestHealedLink"},
	{"P4 a power cut makes suspects", "broker/membership/absence.go",
		"then.Sub(at).Abs() < isolationWindow {", "then.Sub(at).Abs() < 0 {",
		"./broker", stories},
	{"P4 one job ends every broker", "broker/placement.go",
		"losses > r.Losses && most > 0 && losses >= most {", "losses > r.Losses+most {",
		"./broker", stories},
	{"X1 a clock may say what we wrote", "ledger/delta.go",
		"	c = l.lineage.Without(c, clock.Dot{Actor: l.self, Counter: l.Wrote() + 1})\n", "",
		"./ledger", "."},
	{"X1 a record may say what we wrote", "ledger/delta.go",
		"own.Counter == 0 || l.lineage.Has(l.seen, own) {", "own.Counter == 0 || true {",
		"./ledger", "."},
	{"X1 who overstates holds our updates", "broker/breach.go",
		"	s.Clock = slices.DeleteFunc(", "	_ = slices.DeleteFunc(",
		"./broker", "TestLies"},
	{"X1 a deceived peer's claim counts", "broker/sync.go",
		"	if !b.overstates(r.Clock) {", "	if true {",
		"./broker", "TestDeceived"},
	{"X2 tags may name another's actor", "broker/membership/membership.go",
		"x.Actor.Broker() != x.Name {", "false {",
		"./broker/membership", "."},
	{"X2 others may say what a broker is", "broker/membership/metadata.go",
		"	case !direct && m.direct[said.Name] == said.Actor:\n", "	case false:\n",
		"./broker/membership", "."},
	{"X4 one word holds the clock back", "ledger/quarantine.go",
		"		if d.Actor == from {\n			real.Set(d)", "		if true {\n			real.Set(d)",
		"./ledger", "."},
	{"X4 a doubted record counts as held", "ledger/delta.go",
		"	for a := range void {\n", "	for a := range map[clock.Actor]bool{} {\n",
		"./ledger", "."},
	{"X3 anybody's answer counts", "node/httpd/addressed.go",
		"	return to == \"\" || to == actor || to == clock.Actor(actor.Broker())\n", "	return len(to) >= 0\n",
		"./node", "TestMisdirected|TestWrongAddress"},
	{"X3 another start takes it", "broker/sync.go",
		" || m.To != \"\" && m.To != b.cfg.Actor {", " {",
		"./broker", "TestAnotherStart"},
	{"R4 the gate is shut to who has seen the end", "broker/acks.go",
		"past.Covers(r.Verdict().Dot) {", "false {",
		"./broker", stories},
	{"R4 a withheld end is seen", "broker/read.go",
		"min(d.Counter, v.Dot.Counter-1)", "d.Counter",
		"./broker", stories},
	{"R3 a confirmation of an earlier start counts", "broker/ack/holders.go",
		"	case actor != h.members.Get(name).Actor:", "	case false:",
		"./broker/ack", "."},
	{"R2 an answer does not say what it took", "broker/replication/receive.go",
		"whole && !r.ledger.Covers(m.Clock),", "whole && !r.ledger.Covers(m.Clock) && false,",
		"./broker", stories},
	{"R2 a bad record counts as taken", "broker/replication/receive.go",
		" && m.Delta.Bad() == 0", "",
		"./broker", stories},
	{"R2 news waits for the pages", "broker/replication/send.go",
		"	if fits && len(d.Entries) > 0 { // otherwise", "	if fits && len(d.Entries) > wire.MaxPage { // otherwise",
		"./sim", "SubmissionsWhileAPair"},
	{"R2 who lacks much is counted on", "broker/replication/replication.go",
		"	return l == nil || !l.behind || l.follows\n", "	return l == nil || true\n",
		"./broker/ack", "LacksMuch"},
	{"J6 a restart takes up nothing", "broker/review.go",
		"	case r.Owner.Actor != b.cfg.Actor:\n", "	case r.Owner.Actor != b.cfg.Actor && false:\n",
		"./broker", stories},
	{"J6 a leaving broker hands nothing over", "broker/review.go",
		"		b.ownership.handOver(r)\n", "",
		"./broker", stories},
	{"M1 who counts is whom Serf has", "broker/membership/roll.go",
		"		if name != m.self {\n", "		if name != m.self && m.Knows(name) && m.members[name].Status != Left {\n",
		"./broker", stories},
	{"M1 records pass before the member record", "broker/membership/roll.go",
		"	return m.roll.Empty() || m.protocol < RollProtocol\n", "	return true\n",
		"./broker", stories},
	{"M1 all admit at once", "broker/enrolment.go",
		"	return e.coming[name].Add(time.Duration(e.turn) * patience)\n", "	return e.coming[name]\n",
		"./broker", stories},
	{"M1 nobody admits for the first, when that is silent", "broker/enrolment.go",
		"	return e.coming[name].Add(time.Duration(e.turn) * patience)\n", "	return e.coming[name].Add(time.Duration(e.turn) * time.Hour)\n",
		"./broker", stories},
	{"M1 a member record waits for its turn", "broker/kind/kind.go",
		"roll.Merge).Ahead(),", "roll.Merge),",
		"./broker", stories},
	{"M1 a word that is lost is not said again", "broker/enrolment.go",
		"	return !e.ledger.Has(by) && !e.members.Present(by.Actor)\n", "	return false\n",
		"./broker", stories},
	{"M1 who has no roll writes one, whatever the others have", "broker/enrolment.go",
		"		return e.members.Living() > 1 && e.peers.LivingHaveTold()\n", "		return true\n",
		"./broker", stories},
	{"M2 a removed broker is heard", "broker/membership/roll.go",
		"		return rec.Open()\n", "		return true\n",
		"./broker", stories},
	{"M2 a removed broker goes on", "broker/enrolment.go",
		"	if !rec.Open() {\n		return true\n", "	if !rec.Open() {\n		return false\n",
		"./broker", stories},
	{"M2 who is back takes in at once", "broker/enrolment.go",
		"	if know < min(e.cfg.Replicas, others) {\n		return true\n", "	if know < min(e.cfg.Replicas, others) {\n		return false\n",
		"./broker", stories},
	{"M2 two that are back wait for each other", "broker/enrolment.go",
		"name == e.self || e.waitsToo(name):", "name == e.self:",
		"./sim", schedules},
	{"M2 who is out shows results as firm", "broker/read.go",
		"	if b.enrolment.blocked() {\n		return false // this broker", "	if false {\n		return false // this broker",
		"./broker", stories},
	{"M2 who says goodbye is admitted again", "broker/enrolment.go",
		"		return rec.Closed != roll.Left || rec.By.Actor != m.Actor", "		return true",
		"./broker", stories},
	{"M2 one that is there may be removed", "broker/enrolment.go",
		"	case b.members.Alive(in.Name) ||", "	case false &&",
		"./broker", stories},
	{"M2 who is removed by all stays so", "broker/enrolment.go",
		"		e.write(e.self, \"\") // two sides", "		_ = 0 // two sides",
		"./broker", stories},
	{"M2 a goodbye although too few hold what it wrote", "broker/enrolment.go",
		" || there < enough || ", " || ",
		"./broker", stories},
	{"M2 a goodbye that others do not know of", "broker/drain.go",
		"	case pending:\n		return\n", "	case pending:\n",
		"./broker", stories},
	{"A3 a drain waits for nobody but the copies", "broker/replication/replication.go",
		"		h.Living = h.Living && has\n", "",
		"./broker", stories},
	{"S1 rumours never ask first", "broker/replication/send.go",
		"len(d.Entries) > few &&", "false &&",
		"./sim", "TestFigureSpread$"},
	{"C2 no wait for news of causes", "broker/causality.go",
		"	if !c.now.Before(until) {\n		c.stats.Uncaused++", "	if true {\n		c.stats.Uncaused++",
		"./broker", "TestExecutorWaitsForCauses"},
	{"C4 a failed predecessor bars nobody", "broker/predecessors.go",
		"if e, barred := r.Barred(); barred {", "if e, barred := r.Barred(); barred && e.At == 0 {",
		"./broker", stories},
	{"I1 a new start inherits what was known of the last", "broker/replication/link.go",
		"		*l = link{plain: l.plain, pages: l.pages, exchange: l.exchange}\n", "",
		"./broker", stories},
	{"I2 a superseded start's reply is heard", "broker/sync.go",
		"	if r.From != peer || b.members.Superseded(r.Actor) {", "	if r.From != peer {",
		"./broker", stories},
	{"L7 who creates again loses it", "broker/forget.go",
		"r != nil && b.ledger.CreatedWithin(r, peer) {", "r != nil {",
		"./broker", stories},
	{"L7 a forgotten attempt reports to the next job", "broker/attempts.go",
		"		x.forgotten = true\n", "",
		"./broker", stories},
	{"L9 any auditor will do", "broker/replication/audit.go",
		"	known := r.lineage.Covers(l.base, r.unaudit.target)\n", "	known := true\n",
		"./broker", stories},
	{"L10 an earlier state fills the hole", "ledger/quarantine.go",
		"q != nil && r.Writers().Covers(q.Dots) {", "q != nil {",
		"./broker", stories},
	{"L10 a later state does not fill the hole", "ledger/quarantine.go",
		"q != nil && r.Writers().Covers(q.Dots) {", "q != nil && r.Writers().Covers(q.Dots) && q.Dots.Covers(r.Writers()) {",
		"./broker", stories},
	{"C4 a track is lost while a member is away", "broker/predecessors.go",
		"	if len(gone) == 0 || !p.peers.LacksNothing() {", "	if len(gone) == 0 {",
		"./broker", stories},
	{"J10 a lost broker holds its keys", "broker/exclusive.go",
		" || d.members.JudgeLost(d.now, o.Place.Broker) {", " {",
		"./broker", stories},
	{"J10 nobody looks again when a holder is lost", "broker/roster.go",
		"	for _, name := range b.members.Expire(b.now) {\n		b.decisions.holdersChanged()\n", "	for _, name := range b.members.Expire(b.now) {\n",
		"./broker", stories},
	{"C4 placed before its predecessors end", "broker/predecessors.go",
		"	return len(r.Waits()) > 0\n", "	return false\n",
		"./broker", stories},
	{"C5 no inheritance", "broker/decisions.go",
		"	c.Raised, _ = d.raised(r, set)\n", "",
		"./broker", stories},
	{"J10 keys are held by many", "broker/exclusive.go",
		"	d.queue.SetHeld(held)\n", "",
		"./broker", stories},
	{"J10 who raced goes on", "broker/attempts.go",
		"		a.yieldKey(r, x)\n", "",
		"./broker", stories},
	{"a victim's room is given away at once", "broker/preemption.go",
		"	a.out.Suspend = append(a.out.Suspend, Suspend{Key: p.Victim, Attempt: x.attempt})\n",
		"	a.out.Suspend = append(a.out.Suspend, Suspend{Key: p.Victim, Attempt: x.attempt})\n	a.decisions.stoodStill(p.Victim)\n",
		"./broker", stories},
	{"C3 a broker answers that lacks the past", "broker/causality.go",
		"	if len(missing) == 0 || in.Timeout <= 0 {", "	if true {",
		"./broker", stories},
	{"E1 a replayed event is news", "broker/emergencies.go",
		"	if !changed || view.Version.Seq > 0 &&", "	if false && !changed || view.Version.Seq > 0 &&",
		"./broker", "TestEventsAreLimited"},
	{"E1 push-pull brings no hints", "broker/sync.go",
		"	b.emergencies.takeHints(s.Hints())\n", "",
		"./broker", stories},
	{"E2 everybody writes at once", "broker/emergencies.go",
		"	if stock && e.successor(string(r.ID), \"\") == e.self {", "	if stock {",
		"./broker", stories},
	{"E2 nobody writes for one who is dead", "broker/emergencies.go",
		"	return e.now.Add(writeAfter + ", "	return e.now.Add(1000*time.Hour + ",
		"./broker", stories},
	{"E2 the ID depends on who hears it", "emergency/event.go",
		"hashID(payload, ltime))", "hashID(payload, uint64(now)))",
		"./emergency", "."},
	{"E3 the last time to live counts", "emergency/record.go",
		"	if b.TTL > a.TTL {", "	if b.TTL != a.TTL {",
		"./emergency", "."},
	{"E3 a clear is not final", "emergency/record.go",
		"	m.Cleared, more[0] = canon.Smallest(a.Cleared, b.Cleared, Mark.compare, 1)\n", "	m.Cleared, more[0] = b.Cleared, len(a.Cleared) != len(b.Cleared)\n",
		"./emergency", "."},
	{"E3 of equal versions the first counts", "emergency/record.go",
		"	return bytes.Compare(canon.Encode(b.Terms), canon.Encode(a.Terms)) > 0\n", "	return bytes.Compare(nil, nil) > 0\n",
		"./emergency", "."},
	{"E3 forgotten though a member may lack it", "broker/emergencies.go",
		"(r.IsHint() || e.forgettable(r.Dots))", "true",
		"./broker", stories},
	{"E3 a forced clear takes a prefix", "broker/emergencies.go",
		"	if !in.Force { // with", "	if true { // with",
		"./broker", stories},
	{"E4 a message makes an event too long", "emergency/event.go",
		"err == nil && len(m) <= maxEvent {", "err == nil {",
		"./emergency", "."},
	{"I3 made-up stamps of events stay", "broker/emergencies.go",
		"	if r.Version.At > latest {", "	if false {",
		"./broker", stories},
	{"an emergency does not end by itself", "broker/emergencies.go",
		"	if e.next == 0 || now < e.next {", "	if true {",
		"./broker", stories},
	{"an active set ignores the scope", "emergency/active.go",
		"		if r.Active(now) && r.InScope(labels) {", "		if r.Active(now) {",
		"./emergency", "."},
	{"a new active set moves nobody", "broker/emergencies.go",
		"	if !e.activeSet.Equal(old) {\n", "	if false && !e.activeSet.Equal(old) {\n",
		"./broker", stories},
	{"what was lent does not come back", "resolve/victims.go",
		"	case x.takesBack(e, v):\n", "	case false && x.takesBack(e, v):\n",
		"./broker", stories},
	{"I3 emergencies go by a clock that is wrong", "broker/clocks.go",
		"	c.drift = drift\n", "	c.drift = 0\n",
		"./broker", stories},
	{"no limit of declarations", "broker/emergencies.go",
		"	case !e.claims.take(e.now, claimLimits):\n", "	case false:\n",
		"./broker", "TestDeclarationsAreLimited"},
	{"no limit of events", "broker/emergencies.go",
		"	if !e.events.take(e.now, eventLimits) || ", "	if ",
		"./broker", "TestEventsAreLimited"},
	{"no limit at the RPC port", "gossip/rpc_limit.go",
		"	if l.spent+1 > rpcEventBurst {", "	if false {",
		"./gossip", "TestRateLimiter"},
	{"any incarnation is let in", "gossip/sift.go",
		"	if uint64(n) > limit {", "	if false {",
		"./gossip", "TestForgedPacketsMuteNobody"},
	{"any Lamport time is let in", "gossip/sift.go",
		"; t > limit {", "; t > limit && t == 0 {",
		"./gossip", "TestForgedPacketsMuteNobody"},
	{"a name is joined though another one answers to it", "gossip/claim.go",
		"	if p.inUse(ctx, addr) {", "	if false {",
		"./gossip", "TestTakenNameIsRefused"},
	{"an old address is not told to have left", "gossip/claim.go",
		"		if _, err := p.wire.WriteToAddress(left, Address{Addr: target}); err != nil {", "		if _, err := p.wire.WriteToAddress(left[:0], Address{Addr: target}); err != nil {",
		"./gossip", "TestNameMovesToANewAddress"},
	{"every event that makes no sense is logged", "node/broadcasts.go",
		"		if b.warnings.allow(b.now()) {\n			b.log.Warn(\"an event", "		if true {\n			b.log.Warn(\"an event",
		"./node", "TestEventsThatMakeNoSense"},
	{"a slow reader is not told what it lost", "node/httpd/events.go",
		"			if w.lost > 0 && ", "			if false && ",
		"./node/httpd", "TestSlowReaders"},
	{"a later end of a pause counts", "job/merge.go",
		"(out[i].To == 0 || p.To < out[i].To)", "(out[i].To == 0 || p.To > out[i].To)",
		"./job", "TestPauses"},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	dir, err := os.MkdirTemp("", "ucp-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var alive []string
	var untried []error // one that does not apply or compile hides nothing of the others
	for _, m := range mutants {
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(m.name, n) }) {
			continue
		}
		red, err := m.try(dir)
		if err != nil {
			fmt.Printf("%-42s NOT TRIED\n", m.name)
			untried = append(untried, fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		if len(red) == 0 {
			alive = append(alive, m.name)
			red = []string{"SURVIVED " + m.pkg}
		}
		fmt.Printf("%-42s %s\n", m.name, strings.Join(red, ", "))
	}
	if len(alive) > 0 {
		untried = append(untried, fmt.Errorf("no test noticed: %s", strings.Join(alive, "; ")))
	}
	return errors.Join(untried...)
}

// panicked finds a test that had failed before the rest of it ran into the void.
var panicked = regexp.MustCompile(`panic: Fail in goroutine after (\S+) has completed`)

var failure = regexp.MustCompile(`--- FAIL: (\S+)`)

// try runs the tests on the broken code, and returns those that went red.
func (m mutant) try(dir string) (red []string, err error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%s holds the text to be changed %d times, not once: %q", m.file, n, m.old)
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return nil, err
	}
	broken := filepath.Join(dir, "broken.go")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"test", "-overlay", list, "-vet=off", "-timeout", "5m", "-run", m.run}, strings.Fields(m.pkg)...)
	test := exec.Command("go", args...)
	test.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // else a property that fails leaves its case in the tree
	out, err := test.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	all := failure.FindAllStringSubmatch(string(out), -1)
	for i, f := range all {
		parent := i+1 < len(all) && strings.HasPrefix(all[i+1][1], f[1]+"/")
		if !parent && !slices.Contains(red, f[1]) {
			red = append(red, f[1])
		}
	}
	switch {
	case len(red) > 4:
		red = append(red[:4], fmt.Sprintf("and %d more", len(red)-4))
	case len(red) == 0 && panicked.Match(out):
		red = []string{string(panicked.FindSubmatch(out)[1])}
	case len(red) == 0:
		return nil, fmt.Errorf("%w:\n%s", err, out)
	}
	return red, nil
}
