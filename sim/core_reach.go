package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/roll"
)

// A rule that no fault schedule ever needs is not tested by them, however many there are. So each
// run notes which rules of docs/protocol.md have decided something in it. That is seen at the edge
// of the cores: in what goes in and comes out, in what reaches their disks, and in their counters.

// rule is one line of that: a rule may have several, one for each thing that it decides.
type rule struct {
	name string // in docs/protocol.md
	when string // what is seen when it decides; or why that can't be here, and what tests it
	seen *probe // nil of what can't be seen here
}

// probe looks at what happens of one type.
type probe struct {
	of   reflect.Type
	seen func(c *Core, n *coreNode, x any) bool
}

// on makes the probe of what has type E: an input, a *broker.Ready, broker.Stats, or one of the
// types below. N is the broker where it happens.
func on[E any](seen func(c *Core, n *coreNode, x E) bool) *probe {
	return &probe{reflect.TypeFor[E](), func(c *Core, n *coreNode, x any) bool { return seen(c, n, x.(E)) }}
}

// What happens at the edge of a core, beside its inputs, its *broker.Ready and its broker.Stats.
type (
	// wrote is a job's record that reaches a disk; old is what was there, nil for nothing.
	wrote struct {
		old []byte
		now *job.Record
	}
	// declared is the same of an emergency.
	declared struct{ old, now *emergency.Record }
	// admitted is the same of a member.
	admitted struct{ now *roll.Record }
	// named is the same of a name of data; old is empty for a new one.
	named struct{ old, now *data.Record }
	// began is the row of a start.
	began struct{ row *ledger.Row }
	// stubbed is a job of which only a stub is left.
	stubbed struct{}
	// reads is a record that is read from the disk.
	reads struct{}
	// unsynced is what a broker was killed with before it was on disk.
	unsynced struct{ rd *broker.Ready }
	// arrives is a peer's message before it is taken in.
	arrives struct{ m *wire.Message }
	// replied is a message that was taken in, and the reply.
	replied struct {
		m *wire.Message
		r *wire.Reply
	}
	// answered is the answer to a client's question of that time.
	answered struct {
		asked time.Time
		in    broker.Input
		v     broker.Answer
	}
)

// saw lets the rules look at something, those that have not decided anything in this run yet.
func (c *Core) saw(n *coreNode, x any) {
	for _, i := range probes[reflect.TypeOf(x)] {
		if !c.reached[i] && rules[i].seen.seen(c, n, x) {
			c.reached[i] = true
		}
	}
}

// probes are the lines of rules by what they look at.
var probes = map[reflect.Type][]int{}

func init() {
	for i, r := range rules {
		if r.seen != nil {
			probes[r.seen.of] = append(probes[r.seen.of], i)
		}
	}
}

// counted is the probe of a counter.
func counted(of func(s *broker.Stats) uint64) *probe {
	return on(func(_ *Core, _ *coreNode, s broker.Stats) bool { return of(&s) > 0 })
}

// breached is the probe of something that a peer has said against a rule.
func breached(rule string) *probe {
	return on(func(_ *Core, _ *coreNode, rd *broker.Ready) bool {
		return slices.ContainsFunc(rd.Breaches, func(b broker.Breach) bool { return b.Rule == rule })
	})
}

// known looks at the jobs of a message that its receiver has on its disk.
func (m arrives) known(n *coreNode, look func(here *job.Record, there wire.Encoded) bool) bool {
	if m.m.Delta == nil {
		return false
	}
	return slices.ContainsFunc(m.m.Delta.Records, func(e wire.Encoded) bool {
		if e.Kind != kind.Job {
			return false
		}
		here := n.disk.job(e.Key)
		return here != nil && look(here, e)
	})
}

// forgets reports whether the replier has forgotten a record that some list of the message names.
func (x replied) forgets(listed func(key string) bool) bool {
	for _, ref := range x.r.Forgotten {
		if listed(ref.Key) {
			return true
		}
	}
	return false
}

// sawJob notes a job's record that has reached a disk.
func (c *Core) sawJob(n *coreNode, old []byte, now *job.Record) {
	if v := now.Verdict(); v != nil && n.learnt != nil && n.learnt[v.Dot].IsZero() {
		n.learnt[v.Dot] = c.Now
	}
	c.saw(n, wrote{old, now})
}

// takenTwice reports whether any broker has written another job with this ID: only then is it worth while to look through a disk.
func (c *Core) takenTwice(r *job.Record) bool {
	switch key, known := c.keys[r.ID]; {
	case !known:
		c.keys[r.ID] = r.Key()
		return false
	case key == r.Key():
		return false
	}
	c.keys[r.ID] = "" // more than one
	return true
}

// sawWritten notes what else has reached it.
func (c *Core) sawWritten(n *coreNode, op ledger.Op, before []byte) {
	ref, ok := ledger.RefOf(op.Key)
	if !ok {
		return
	}
	r, err := kind.Schemas[ref.Kind].Decode(op.Value)
	must(err)
	switch r := r.(type) {
	case *emergency.Record:
		old, _ := emergency.Decode(before)
		c.saw(n, declared{old, r})
	case *roll.Record:
		c.saw(n, admitted{r})
	case *ledger.Row:
		c.saw(n, began{r})
	case *data.Record:
		was := new(data.Record)
		if before != nil {
			was, err = data.Decode(before)
			must(err)
		}
		c.saw(n, named{was, r})
	}
}

// doubt notes the attempts that run at brokers which a roster has as failed.
func (c *Core) doubt(roster []membership.Member) {
	for _, m := range roster {
		if n := c.nodes[m.Name]; n != nil && m.Status == membership.Failed && n.b != nil {
			for id := range n.running {
				c.doubted[id] = true
			}
		}
	}
}

// sees is how a broker's roster has another.
func (n *coreNode) sees(name string) membership.Member {
	for _, m := range n.roster {
		if m.Name == name {
			return m
		}
	}
	return membership.Member{}
}

// rules are all of docs/protocol.md, in its order.
var rules = []rule{
	{"I1", "a broker whose disk was lost or restored writes", on(func(_ *Core, n *coreNode, x wrote) bool {
		return n.exchanged && x.now.Dots.Get(n.actor) > 0
	})},
	{"I2", "what a superseded start says is not heard", counted(func(s *broker.Stats) uint64 { return s.Unheard })},
	{"I3", "a message's stamp is too far ahead", on(func(c *Core, n *coreNode, x arrives) bool {
		return x.m.Hybrid.Time().Sub(c.wall(n)) > c.cfg.MaxClockSkew
	})},
	{"I4", "a broker is killed with something to say that is not on its disk", on(func(_ *Core, _ *coreNode, x unsynced) bool {
		return len(x.rd.Send)+len(x.rd.Answers) > 0
	})},

	{"L1", "a finished record is read from the disk", on(func(_ *Core, _ *coreNode, _ reads) bool { return true })},
	{"L2", "a record arrives, and each side has what the other lacks", on(func(_ *Core, n *coreNode, x arrives) bool {
		return x.known(n, func(here *job.Record, there wire.Encoded) bool {
			return here.Dots.Compare(there.Dots) == clock.Concurrent
		})
	})},
	{"L3", "a delta carries less than all that its sender has", on(func(_ *Core, n *coreNode, s replication.Send) bool {
		return s.Message.Delta != nil && len(s.Message.Delta.Records) < len(n.disk.jobs())
	})},
	{"L4", "a delta is since a clock that its receiver does not cover: the link starts again", on(func(_ *Core, n *coreNode, x replied) bool {
		return x.m.Delta != nil && x.m.Page == nil && x.r.Restart && x.r.Metadata != nil && !n.disk.lineage().Covers(x.r.Clock, x.m.Delta.Since)
	})},
	{"L5", "a transfer of several pages ends, and its clock is adopted", on(func(_ *Core, _ *coreNode, x replied) bool {
		return x.m.Page != nil && x.m.Page.Number > 0 && x.m.Page.Last && !x.r.Restart
	})},
	{"L5", "a donor loses its disk in the middle, and the ends that nobody else has are sealed: about one schedule in 400; L5_orphans of broker", nil},
	{"L6", "a record arrives that is no news", on(func(_ *Core, n *coreNode, x arrives) bool {
		return x.known(n, func(here *job.Record, there wire.Encoded) bool { return here.Dots.Covers(there.Dots) })
	})},
	{"L7", "a record arrives that its receiver has forgotten", on(func(_ *Core, _ *coreNode, x replied) bool {
		return x.m.Delta != nil && x.forgets(func(key string) bool {
			return slices.ContainsFunc(x.m.Delta.Records, func(e wire.Encoded) bool { return e.Key == key })
		})
	})},
	{"L8", "a finished job is forgotten", counted(func(s *broker.Stats) uint64 { return s.Forgotten })},
	{"M4", "a job becomes a stub", on(func(_ *Core, _ *coreNode, _ stubbed) bool { return true })},
	{"M5", "no operator drains a broker here: M5_drain and M5_deadline of broker, TestDrain of e2e", nil},
	{"M6", "there is no city here: M6_admitted and M6_not_let_in of broker, TestEveryLie", nil},
	{"L9", "an audit finds a record that the other has forgotten", on(func(_ *Core, _ *coreNode, x replied) bool {
		return x.m.Audit != nil && x.forgets(func(key string) bool {
			return slices.ContainsFunc(x.m.Audit.Records, func(r ledger.Ref) bool { return r.Key == key })
		})
	})},
	{"L10", "a record that does not validate is put aside", on(func(_ *Core, _ *coreNode, s broker.Stats) bool { return s.Quarantined > 0 })},
	{"L11", "a message is full", on(func(_ *Core, _ *coreNode, s replication.Send) bool {
		return s.Message.Page != nil && !s.Message.Page.Last
	})},

	{"S1", "a broker passes on what others wrote", on(func(_ *Core, n *coreNode, s replication.Send) bool {
		return s.Message.Delta != nil && slices.ContainsFunc(s.Message.Delta.Records, func(e wire.Encoded) bool { return e.Dots.Get(n.actor) == 0 })
	})},
	{"S2", "an exchange brings what no news had", on(func(_ *Core, _ *coreNode, x broker.Acked) bool {
		return x.Reply.Delta != nil && len(x.Reply.Delta.Records) > 0
	})},
	{"S3", "a push-pull shows a clock that is ahead", on(func(_ *Core, n *coreNode, x broker.Gossip) bool {
		return len(x.State.Metadata) > 0 && !n.disk.lineage().Covers(n.b.Clock(), x.State.Metadata[0].Clock)
	})},
	{"S4", "a message says of its sender what SWIM does not say yet", on(func(_ *Core, n *coreNode, x arrives) bool {
		return x.m.Metadata != nil && x.m.Actor != n.sees(x.m.From).Actor
	})},
	{"S5", "a peer is asked again after it was silent more than once", on(func(_ *Core, n *coreNode, s replication.Send) bool { return n.silent[s.To] > 1 })},
	{"S6", "the core is told who is a member: TestClusterSplit of sim, e2e and make chaos have brokers that rejoin", nil},
	{"G1", "there is no gossip here: TestForgedPacketsMuteNobody of gossip", nil},
	{"G2", "there is no gossip here: TestTakenNameIsRefused and TestNameMovesToANewAddress of gossip, TestOneNameTwice of sim", nil},
	{"G3", "there is no gossip here: the tests of e2e/lan, on networks of their own", nil},
	{"G4", "there is no gossip here: TestKeyring and TestKeysAreReplaced of gossip, TestKeysAreReplaced of e2e", nil},

	{"P1", "a member proves that it is there", counted(func(s *broker.Stats) uint64 { return s.ProvenAlive })},
	{"P1", "the records of one that has not proven it wait", counted(func(s *broker.Stats) uint64 { return s.Unproven })},
	{"P2", "a move of a job waits", counted(func(s *broker.Stats) uint64 { return s.Paced })},
	{"P3", "an attempt decides whose broker was held for lost while it ran", on(func(c *Core, _ *coreNode, x wrote) bool {
		v := x.now.Verdict()
		return v != nil && v.Report != nil && c.doubted[x.now.Key()+v.Report.Attempt.Token()]
	})},
	{"P4", "a job has a loss", on(func(_ *Core, _ *coreNode, x wrote) bool { return x.now.Losses > 0 })},

	{"X1", "a peer says more of what we wrote than there is", breached("X1")},
	{"X2", "a peer speaks in another's name", breached("X2")},
	{"X3", "a message is for another start of its receiver", on(func(_ *Core, n *coreNode, x arrives) bool { return x.m.To != "" && x.m.To != n.actor })},
	{"X4", "a bad record comes from a peer that did not write it alone", on(func(_ *Core, _ *coreNode, x arrives) bool {
		return x.m.Delta.Bad() > 0 && slices.ContainsFunc(x.m.Delta.Records, func(e wire.Encoded) bool {
			return slices.ContainsFunc(e.Dots, func(d clock.Dot) bool { return d.Actor != x.m.Actor })
		})
	})},
	{"X5", "there are no connections here: TestMessagesAreOfTheirSender of node/httpd, TestWhoIsAsked of city, the tests of cities of e2e", nil},
	{"H1", "there is no city here, and nobody signs: the tests of head, TestHonestClocksAreWithinTheirHeads and others of broker, those of heads of city, TestHeads of e2e", nil},
	{"H2", "there is no city here, and nobody signs: TestForks of head, TestForksAreToldToAll of city, TestHeads of e2e", nil},
	{"H3", "there is no city here, and the shell looks: TestSheets of head, TestWhatIsForgedIsFound of node, TestForgedEnds of e2e", nil},
	{"X6", "there is no city here: the tests of trust and city, TestVouch of broker, TestWhoBelongsIsKnownEverywhere of e2e", nil},

	{"K1", "a start writes its row", on(func(_ *Core, n *coreNode, x began) bool { return x.row.Actor == n.actor })},
	{"K2", "a clock has an entry that stands for an earlier start", on(func(_ *Core, n *coreNode, x began) bool { return len(x.row.Parents) > 0 })},
	{"K3", "a broker begins another start while it runs", on(func(_ *Core, _ *coreNode, rd *broker.Ready) bool { return rd.Mint != nil })},
	{"K4", "a push-pull tells of others, without their clocks", on(func(_ *Core, _ *coreNode, x broker.Gossip) bool {
		return slices.ContainsFunc(x.State.Metadata, func(m wire.Metadata) bool { return m.Name != x.State.From && m.Clock == nil })
	})},
	{"K4", "a message says what has changed in clocks", on(func(_ *Core, _ *coreNode, x arrives) bool {
		return x.m.Told != nil && x.m.Told.Since > 0 && len(x.m.Told.Clock) > 0
	})},
	{"K4", "a message says that nothing has changed in clocks", on(func(_ *Core, _ *coreNode, x arrives) bool {
		return x.m.Told != nil && x.m.Told.Since == x.m.Told.Version
	})},
	{"K4", "a message of an earlier start, or to one that has forgotten, is not understood", counted(func(s *broker.Stats) uint64 { return s.Misunderstood })},
	{"K4", "a delta goes on from what its receiver has told", on(func(_ *Core, _ *coreNode, x arrives) bool { return x.m.Delta != nil && x.m.Delta.Base > 0 })},
	{"K5", "a member is spoken to in an earlier version", on(func(_ *Core, _ *coreNode, s replication.Send) bool { return s.Message.Version < wire.Version })},

	{"M1", "a member is admitted", on(func(_ *Core, _ *coreNode, x admitted) bool {
		return x.now.Closed == "" && x.now.By.Actor.Broker() != x.now.Name
	})},
	{"M3", "a start says that it is not proven", on(func(_ *Core, _ *coreNode, x arrives) bool { return x.m.Metadata != nil && x.m.Metadata.Unproven })},
	{"M3", "a later start is proven, and there are others", on(func(_ *Core, n *coreNode, rd *broker.Ready) bool {
		return rd.Overview != nil && rd.Overview.Unproven == "" && len(rd.Overview.Roll) > 1 && n.starts > 1
	})},
	{"M3", "an end is provisional that was firm there before", on(func(_ *Core, n *coreNode, x answered) bool {
		f, ok := x.v.(*broker.Found)
		if !ok || !f.Record.Finished() || f.Members < 2 {
			return false
		}
		was := n.firm[f.Record.Key()]
		n.firm[f.Record.Key()] = was || !f.Provisional
		return was && f.Provisional
	})},
	{"M2", "a member says goodbye, or is removed", on(func(_ *Core, _ *coreNode, x admitted) bool { return x.now.Closed != "" })},

	{"A1", "a submission is acknowledged with copies", on(func(_ *Core, _ *coreNode, x answered) bool {
		s, ok := x.v.(*broker.Submitted)
		return ok && s.Replicas > 1
	})},
	{"A1", "a submission is acknowledged with fewer copies", on(func(_ *Core, _ *coreNode, x answered) bool {
		s, ok := x.v.(*broker.Submitted)
		return ok && s.Degraded
	})},
	{"A1", "fewer hold it than its client demands", on(func(_ *Core, _ *coreNode, x answered) bool {
		_, ok := x.v.(*broker.TooFewCopies)
		return ok
	})},
	{"A2", "a submission comes while a commit syncs", on(func(_ *Core, n *coreNode, _ broker.Submit) bool { return n.busy })},
	{"A3", "a result is provisional", on(func(_ *Core, _ *coreNode, x answered) bool {
		f, ok := x.v.(*broker.Found)
		return ok && f.Provisional
	})},
	{"F1", "a message tells a stable clock", on(func(_ *Core, _ *coreNode, x arrives) bool { return x.m.Told != nil })},
	{"F2", "a result is provisional of which all are known to hold the job", on(func(_ *Core, _ *coreNode, x answered) bool {
		f, ok := x.v.(*broker.Found)
		return ok && f.Provisional && f.KnownBy == f.Members
	})},
	{"F2", "a result is firm", on(func(_ *Core, _ *coreNode, x answered) bool {
		f, ok := x.v.(*broker.Found)
		return ok && f.Record.Finished() && !f.Provisional && f.Members > 1
	})},
	{"F3", "a record may be forgotten", counted(func(s *broker.Stats) uint64 { return s.Forgotten })},
	{"F3", "a claim of forgetting is refuted", counted(func(s *broker.Stats) uint64 { return s.Refuted })},
	{"F3", "a job is created again, since somebody has forgotten it: about one schedule in 1,000; TestWhatOneHasForgottenComesToItAgain of broker", nil},
	{"F3", "a job is disputed", counted(func(s *broker.Stats) uint64 { return s.Disputed })},
	{"F3", "a member says that it holds what is disputed", on(func(_ *Core, _ *coreNode, x replied) bool { return len(x.r.Held) > 0 })},
	{"F3", "a member says that it is in doubt of what is disputed: its disk was restored, too; stories F3_both_in_doubt, F3_doubt_travels", nil},
	{"F3", "a start asks of what had ended on its disk, and was not stable", on(func(_ *Core, _ *coreNode, x replied) bool { return x.m.Audit != nil && x.m.Audit.Ended > 0 })},
	{"F3", "an end is in doubt, since others have forgotten it: about one schedule in 1,000; stories F3_end_of_an_older_disk, F3_end_in_doubt_travels, F3_end_is_held, F3_ends_in_doubt_everywhere", nil},
	{"F3", "a job is set aside: about one schedule in 1,000; stories F3_set_aside, L9_rolled_back, L7_no_tombstones", nil},
	{"R1", "an answer names the donor of who lacks much", on(func(_ *Core, _ *coreNode, x replied) bool { return x.r.Lease != nil })},
	{"R2", "a reply names what it has taken, and its clock does not say so", on(func(_ *Core, _ *coreNode, x replied) bool { return x.r.Taken })},
	{"R3", "what an earlier start of a peer has confirmed is asked of the present one", on(func(_ *Core, n *coreNode, rd *broker.Ready) bool {
		return slices.ContainsFunc(rd.Push, func(p ack.Push) bool {
			by, known := n.confirmed[p.To+string(p.Digest)]
			return known && by != p.Actor
		})
	})},
	{"R3", "a file that is to be kept here comes from another", on(func(_ *Core, _ *coreNode, x broker.Kept) bool { return x.New })},
	{"R4", "a token shows an end of which there are too few copies yet", on(func(c *Core, n *coreNode, x answered) bool {
		g, asked := x.in.(broker.Get)
		f, found := x.v.(*broker.Found)
		if !asked || !found || !f.Record.Finished() || f.KnownBy >= c.cfg.Replicas || !g.Past.Covers(f.Record.Verdict().Dot) {
			return false
		}
		return c.Now.Sub(n.learnt[f.Record.Verdict().Dot]) < c.cfg.AckTimeout
	})},

	{"T1", "a job is old enough by its broker's uptime", counted(func(s *broker.Stats) uint64 { return s.Forgotten })},
	{"T2", "an emergency comes to a broker whose clock is off", on(func(c *Core, n *coreNode, _ declared) bool { return n.skew.Abs() > c.cfg.MaxClockSkew })},
	{"T3", "a job's deadline has come", on(func(_ *Core, _ *coreNode, x wrote) bool {
		v := x.now.Verdict()
		return v != nil && v.Outcome == job.Expired
	})},

	{"J1", "a job has two verdicts", on(func(_ *Core, _ *coreNode, x wrote) bool { return len(x.now.Verdicts) > 1 })},
	{"J2", "a definition: TestState of job", nil},
	{"J3", "an ID is taken", on(func(_ *Core, _ *coreNode, x answered) bool {
		_, ok := x.v.(*broker.IDTaken)
		return ok
	})},
	{"J3", "an ID was taken twice", on(func(c *Core, n *coreNode, x wrote) bool {
		return x.old == nil && c.takenTwice(x.now) && len(n.disk.of(x.now.ID)) > 1
	})},
	{"J4", "two owners meet", on(func(_ *Core, n *coreNode, x arrives) bool {
		return x.known(n, func(here *job.Record, there wire.Encoded) bool {
			r, err := job.DecodeRecord(there.Bytes)
			return err == nil && r.Owner.Actor != here.Owner.Actor && here.Dots.Compare(there.Dots) == clock.Concurrent
		})
	})},
	{"J5", "several executors have reported", on(func(_ *Core, _ *coreNode, x wrote) bool { return len(x.now.Reports) > 1 })},
	{"J6", "a job is placed again", counted(func(s *broker.Stats) uint64 { return s.Replaced })},
	{"J6", "a job is taken over", counted(func(s *broker.Stats) uint64 { return s.TakenOver })},
	{"J6", "a leaving broker hands a job over", counted(func(s *broker.Stats) uint64 { return s.Handed })},
	{"J7", "an attempt is adopted", counted(func(s *broker.Stats) uint64 { return s.Adopted })},
	{"J7", "a broker holds itself for cut off", counted(func(s *broker.Stats) uint64 { return s.Isolations })},
	{"J8", "a job that must run once may have run", on(func(_ *Core, _ *coreNode, x wrote) bool {
		v := x.now.Verdict()
		return v != nil && v.Outcome == job.Failed && strings.Contains(v.Reason, "may have run")
	})},
	{"J9", "a job is placed where there is room", counted(func(s *broker.Stats) uint64 { return s.Rebalanced - s.Hurried - s.Drawn })},
	{"J9", "an urgent job is placed where it starts at once", counted(func(s *broker.Stats) uint64 { return s.Hurried })},
	{"J9", "an urgent job is placed where it waits with a higher level: about one schedule in 1,000; J9_scope_drawn and TestUrgentJobsComeToRest of broker", nil},
	{"J10", "a job is placed where another with its key is", on(func(_ *Core, n *coreNode, x wrote) bool {
		if x.now.Spec.Exclusive == "" || x.now.Place.IsZero() || x.old != nil && decodeJob(x.old).Place == x.now.Place {
			return false
		}
		return slices.ContainsFunc(n.disk.jobs(), func(r *job.Record) bool {
			return r.Spec.Exclusive == x.now.Spec.Exclusive && r.Key() != x.now.Key() && !r.Finished() && r.Place.Broker == x.now.Place.Broker
		})
	})},
	{"J10", "two hold one key at two brokers", on(func(_ *Core, n *coreNode, x wrote) bool {
		if x.now.Spec.Exclusive == "" || x.now.State() != job.StateRunning {
			return false
		}
		return slices.ContainsFunc(n.disk.jobs(), func(r *job.Record) bool {
			return r.Spec.Exclusive == x.now.Spec.Exclusive && r.Key() != x.now.Key() && r.State() == job.StateRunning && r.Place.Broker != x.now.Place.Broker
		})
	})},
	{"J11", "an output travels before its verdict", on(func(c *Core, n *coreNode, rd *broker.Ready) bool {
		for _, p := range rd.Push {
			if c.outputs[p.Digest] {
				return true
			}
		}
		return false
	})},
	{"J12", "an attempt is returned", counted(func(s *broker.Stats) uint64 { return s.Returned })},
	{"J12", "a returned job is placed at another broker, or again", counted(func(s *broker.Stats) uint64 { return s.Elsewhere })},
	{"J12", "a broker that withdrew its offer can carry out jobs again", on(func(_ *Core, _ *coreNode, _ broker.Recovered) bool { return true })},
	{"J13", "what a job without a result had written is kept", on(func(_ *Core, _ *coreNode, x wrote) bool { return x.now.Finished() && x.now.Left() != nil })},
	{"J13", "what a job had written that is to run again is kept", on(func(_ *Core, _ *coreNode, x wrote) bool { return x.now.Kept != nil })},
	{"J13", "the turn of a stopped job comes before that is stored: J13_turn_comes_early of broker", nil},
	{"J14", "a module is not ready", on(func(_ *Core, _ *coreNode, in broker.Loads) bool { return in.On })},
	{"J15", "a module is to be compiled where its job may come", on(func(_ *Core, _ *coreNode, rd *broker.Ready) bool { return len(rd.Prepare) > 0 })},
	{"J15", "a broker has compiled a module", on(func(_ *Core, _ *coreNode, in broker.Compiled) bool { return len(in.Digests) > 0 })},
	{"J17", "a checkpoint counts", on(func(_ *Core, _ *coreNode, x wrote) bool { return x.now.Checkpoint != nil })},
	{"J17", "an attempt goes on from the checkpoint of another broker", on(func(_ *Core, n *coreNode, rd *broker.Ready) bool {
		return slices.ContainsFunc(rd.Run, func(r broker.Run) bool {
			return r.From != nil && r.From.Tree != "" && r.From.Dot.Actor != "" && r.From.Dot.Actor.Broker() != n.name
		})
	})},
	{"B1", "files between halves without a link: TestCarriedFilesConverge of broker, and its stories", nil},
	{"B2", "who takes a file in: stories B2 of broker", nil},
	{"B3", "words: stories B3 of broker, TestResultsBecomeFirmByFiles", nil},
	{"J17", "all files of a checkpoint are lost: J17_lost of broker", nil},
	{"J16", "all brokers offer the same here: J16_network, J16_memory and J16_disk of broker", nil},

	{"C1", "a job depends on what its submitter had seen", on(func(_ *Core, _ *coreNode, x wrote) bool { return len(x.now.Created[0].Deps) > 0 })},
	{"C2", "a job waits for news of what it depends on", counted(func(s *broker.Stats) uint64 { return s.Behind })},
	{"C2", "and goes on without", counted(func(s *broker.Stats) uint64 { return s.Uncaused })},
	{"C3", "a broker catches up with a token", on(func(c *Core, _ *coreNode, x answered) bool {
		_, ok := x.v.(*broker.CaughtUp)
		return ok && c.Now.After(x.asked)
	})},
	{"C4", "the end of a predecessor is noted", on(func(_ *Core, _ *coreNode, x wrote) bool { return len(x.now.Ended) > 0 })},
	{"C4", "a predecessor is not known", on(func(_ *Core, _ *coreNode, x answered) bool {
		_, ok := x.v.(*broker.UnknownPredecessors)
		return ok
	})},
	{"C4", "a job waits for a whole array, and one end is noted", on(func(_ *Core, _ *coreNode, x wrote) bool {
		return slices.ContainsFunc(x.now.Ended, func(e job.Ending) bool { return e.Job.IsArray() && e.Outcome == job.Succeeded })
	})},
	{"C4", "one of an array fails, and with it who waits for the success of all", on(func(_ *Core, _ *coreNode, x wrote) bool {
		return slices.ContainsFunc(x.now.Ended, func(e job.Ending) bool { return e.Job.IsArray() && e.Outcome != job.Succeeded })
	})},
	{"C6", "what a job reads of another is noted with that one's end", on(func(_ *Core, _ *coreNode, x wrote) bool { return len(x.now.Readings()) > 0 })},
	{"C6", "a result says what its attempt has read", on(func(_ *Core, _ *coreNode, x wrote) bool {
		return slices.ContainsFunc(x.now.Reports, func(rep job.Report) bool { return rep.Result != nil && len(rep.Result.Read) > 0 })
	})},
	{"D1", "versions of several brokers are there", on(func(_ *Core, _ *coreNode, x named) bool {
		by := map[string]bool{}
		for v := range x.now.There() {
			by[v.Dot.Actor.Broker()] = true
		}
		return len(by) > 1
	})},
	{"D2", "a client has removed a version, and others are there", on(func(_ *Core, _ *coreNode, x named) bool {
		return x.now.Latest() != nil && slices.ContainsFunc(x.now.Versions, func(v data.Version) bool { return !v.There() && !v.Removed.Old })
	})},
	{"D3", "a version is dropped, since it is old", on(func(_ *Core, _ *coreNode, x named) bool {
		return slices.ContainsFunc(x.now.Versions, func(v data.Version) bool { return !v.There() && v.Removed.Old })
	})},
	{"D4", "the place of a removed version goes", on(func(_ *Core, _ *coreNode, x named) bool {
		return len(x.now.Versions) < len(x.old.Versions) && x.old.Trimmable() && !x.now.Trimmable()
	})},
	{"D5", "a content comes to where it belongs", on(func(c *Core, _ *coreNode, in broker.Kept) bool { return in.New && c.content[in.Digest] })},
	{"D6", "no job reads data here yet: D6_inputs of broker, TestDataIsRead of job", nil},
	{"D8", "an attempt has run a module that is named data, and says which version", on(func(_ *Core, _ *coreNode, x wrote) bool {
		_, named := x.now.ModuleVersion()
		return named && slices.ContainsFunc(x.now.Reports, func(rep job.Report) bool { return rep.Result != nil && len(rep.Result.Read) > 0 })
	})},
	{"D8", "the same job again, whose name stands for something else now, or for nothing", on(func(_ *Core, _ *coreNode, x answered) bool {
		s, again := x.v.(*broker.Submitted)
		in, ok := x.in.(broker.Submit)
		if !again || !ok || s.Created {
			return false
		}
		_, named := s.Record.ModuleVersion()
		return named && (in.Module == nil || in.Module.Content.Digest != s.Record.Module())
	})},
	{"D9", "there is no city here: D9_owner, D9_jobs and D9_split of broker", nil},
	{"D7", "no job writes data here yet: D7_outputs of broker", nil},
	{"C5", "a job inherits the level of one that waits for it", on(func(_ *Core, _ *coreNode, x answered) bool {
		a, ok := x.v.(*broker.Conflicts)
		if !ok {
			return false
		}
		for _, k := range a.List {
			for _, list := range [][]*resolve.Candidate{k.Snapshot.Running, k.Snapshot.Suspended, k.Snapshot.Pending} {
				if slices.ContainsFunc(list, func(x *resolve.Candidate) bool { return x.Raised > x.Level }) {
					return true
				}
			}
		}
		return false
	})},

	{"E1", "an event is told again", on(func(c *Core, n *coreNode, x broker.Heard) bool {
		again := n.heard[x.Event.ID]
		n.heard[x.Event.ID] = true
		return again
	})},
	{"E2", "an event of a stock command line is written down", on(func(c *Core, _ *coreNode, x declared) bool { return c.stock[x.now.ID] })},
	{"E3", "an emergency is cleared", on(func(_ *Core, _ *coreNode, x declared) bool { return x.now.Finished() })},
	{"E3", "an emergency has changed", on(func(_ *Core, _ *coreNode, x declared) bool { return x.now.Version.Seq > 1 })},
	{"E4", "a broker tells Serf of an emergency", on(func(_ *Core, _ *coreNode, rd *broker.Ready) bool { return len(rd.Broadcast) > 0 })},
	{"E5", "an emergency decides by which strategy is decided", on(func(_ *Core, _ *coreNode, x answered) bool {
		a, ok := x.v.(*broker.Conflicts)
		return ok && slices.ContainsFunc(a.List, func(k resolve.Conflict) bool { return k.Snapshot.Override != nil })
	})},
	{"E6", "another life of an emergency begins", on(func(c *Core, _ *coreNode, x declared) bool { return x.old != nil && x.old.Life < x.now.Life })},
	{"E6", "an emergency that is over is written again", on(func(_ *Core, _ *coreNode, x broker.Stats) bool { return x.Recollected > 0 })},
}

// conflicts asks all brokers what they have decided: the inputs of a decision are seen there only.
func (c *Core) conflicts() {
	for _, name := range c.names {
		if n := c.nodes[name]; n.b != nil {
			in := broker.ListConflicts{Limit: 1000}
			c.ask(n, func(t broker.Token) broker.Input { in.Token = t; return in }, func(v broker.Answer) { c.saw(n, answered{c.Now, in, v}) })
		}
	}
	c.Run(time.Second)
}

// Reach counts, for each line of the rules, in how many runs it has decided something.
type Reach struct {
	Runs  int
	Times []int // as rules
}

// Add adds a run, which is over.
func (r *Reach) Add(c *Core) {
	c.conflicts()
	if r.Times == nil {
		r.Times = make([]int, len(rules))
	}
	r.Runs++
	for i, yes := range c.reached {
		if yes {
			r.Times[i]++
		}
	}
}

// String is the table, for people: a line for each thing that a rule decides.
func (r *Reach) String() string {
	var out strings.Builder
	for i, x := range rules {
		if x.seen == nil {
			fmt.Fprintf(&out, "%-4s      -  %s\n", x.name, x.when)
		} else {
			fmt.Fprintf(&out, "%-4s %6d  %s\n", x.name, r.Times[i], x.when)
		}
	}
	return out.String()
}

// Missed lists what was decided in no run.
func (r *Reach) Missed() (out []string) {
	for i, x := range rules {
		if x.seen != nil && r.Times[i] == 0 {
			out = append(out, x.name+": "+x.when)
		}
	}
	return out
}
