package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// A digest of a fault schedule sums up what clients were answered on the way and what the
// disks hold in the end, so that a change that should not alter behaviour can prove that it
// does not. Prose (reasons, explanations) is left out: a sentence may be improved without
// touching what is decided. The text that is hashed is made here, field by field, and does
// not depend on how the broker's types are laid out.
type digest struct{ sum hash.Hash }

func newDigest() *digest { return &digest{sha256.New()} }

// line adds one line of text.
func (d *digest) line(format string, args ...any) {
	fmt.Fprintf(d.sum, format+"\n", args...)
}

func (d *digest) String() string { return hex.EncodeToString(d.sum.Sum(nil)[:10]) }

// answer adds what a client was told.
func (d *digest) answer(at time.Duration, node, question string, v broker.Answer) {
	d.line("%d %s %s: %s", at, node, question, answerText(v))
}

// answerText writes an answer down without its prose.
func answerText(v broker.Answer) string {
	switch a := v.(type) {
	case *broker.Submitted:
		return submittedText(a, false)
	case *broker.TooFewCopies:
		return submittedText((*broker.Submitted)(a), true)
	case *broker.ModuleAbsent:
		return fmt.Sprintf("submitted %s its module is absent", recordText(a.Record))
	case *broker.Draining:
		return "submitted none created false replicas 0 degraded false short false draining true unknown [] past \"\" conflict false"
	case *broker.UnknownEmergency:
		return fmt.Sprintf("submitted none unknown emergency %q nearest %q", a.Name, a.Nearest)
	case *broker.UnknownPredecessors:
		return fmt.Sprintf("submitted none created false replicas 0 degraded false short false draining false unknown %v past %q conflict false", a.IDs, a.Past.Token())
	case *broker.IDTaken:
		return fmt.Sprintf("submitted %s created false replicas 0 degraded false short false draining false unknown [] past %q conflict true", recordText(a.Record), a.Past.Token())
	case *broker.Found:
		return foundText(a, false)
	case *broker.Cancelled:
		return foundText(a.Job, a.Wrote)
	case *broker.NotFound:
		return fmt.Sprintf("found none ambiguous [] provisional false known 1 of 1 as of %d changed false past %q emergency  displaced [] same [] first false", a.AsOf.UnixNano(), a.Past.Token())
	case *broker.AmbiguousJob:
		return fmt.Sprintf("found none ambiguous %v provisional false known 1 of 1 as of %d changed false past %q emergency  displaced [] same [] first false", a.IDs, a.AsOf.UnixNano(), a.Past.Token())
	case *broker.Listing:
		var jobs []string
		for _, r := range a.Jobs {
			jobs = append(jobs, recordText(r))
		}
		return fmt.Sprintf("listing %v next %q later %v provisional %v emergencies %v as of %d", jobs, a.Next, a.Later, a.Provisional, a.Emergencies, a.AsOf.UnixNano())
	case *broker.CaughtUp:
		return "caught up, missing \"\""
	case *broker.StillBehind:
		return fmt.Sprintf("caught up, missing %q", a.Missing.Token())
	case *broker.Declared:
		return fmt.Sprintf("declared %s replicas %d degraded %v created %v over false invalid false too many false ambiguous []", viewText(a.View), a.Replicas, a.Degraded, a.Created)
	case *broker.AlreadyCleared:
		return fmt.Sprintf("declared %s replicas 0 degraded false created false over true invalid false too many false ambiguous []", viewText(a.View))
	case *broker.InvalidDeclaration:
		return "declared none replicas 0 degraded false created false over false invalid true too many false ambiguous []"
	case *broker.TooManyDeclarations:
		return "declared none replicas 0 degraded false created false over false invalid false too many true ambiguous []"
	case *broker.NoSuchEmergency:
		return fmt.Sprintf("emergencies [] ambiguous [] as of %d", a.AsOf.UnixNano())
	case *broker.Emergencies:
		var list []string
		for _, v := range a.List {
			list = append(list, viewText(v))
		}
		return fmt.Sprintf("emergencies %v ambiguous [] as of %d", list, a.AsOf.UnixNano())
	case *broker.StrategySet:
		return fmt.Sprintf("strategy %s", a.Strategy)
	case *broker.DataWritten:
		return fmt.Sprintf("data %s version %v new %v removed %d replicas %d degraded %v", dataText(a.Record), a.Version, a.New, a.Removed, a.Replicas, a.Degraded)
	case *broker.NoSuchData:
		return fmt.Sprintf("no data %s", a.Name)
	case *broker.DataListing:
		var list []string
		for _, r := range a.Records {
			list = append(list, dataText(r))
		}
		return fmt.Sprintf("data %q", list)
	case *broker.MemberDrained:
		return fmt.Sprintf("drained %s since %d until %d", a.Broker, a.Since, a.Until)
	case *broker.Outdated:
		return fmt.Sprintf("outdated %d %v", a.Version, slices.Sorted(slices.Values(slices.Concat(a.Brokers, a.Unknown))))
	case *broker.Conflicts:
		var list []string
		for _, c := range a.List {
			s := c.Snapshot
			list = append(list, fmt.Sprintf("%s %s over %q winner %q at %q rest %d by %s at %d of %d %d %d", c.ID, c.Kind, c.Over, c.Winner, c.At, c.Rest, s.Strategy, s.Now, len(s.Running), len(s.Suspended), len(s.Pending)))
		}
		return fmt.Sprintf("conflicts %v of %d", list, a.Total)
	case *broker.Prospects:
		var list []string
		for _, p := range a.Brokers {
			list = append(list, fmt.Sprintf("%s %s meets %d lacks %d cost %.9f score %d starts %v yields %v", p.Broker, p.Strategy, len(p.Meets), len(p.Lacks), p.Cost, p.Score, p.Starts, p.Yields))
		}
		return fmt.Sprintf("prospects %v", list)
	}
	panic(fmt.Sprintf("sim: the digest does not know the answer %T", v))
}

func submittedText(a *broker.Submitted, short bool) string {
	return fmt.Sprintf("submitted %s created %v replicas %d degraded %v short %v draining false unknown [] past %q conflict false",
		recordText(a.Record), a.Created, a.Replicas, a.Degraded, short, a.Past.Token())
}

func foundText(a *broker.Found, wrote bool) string {
	return fmt.Sprintf("found %s ambiguous [] provisional %v known %d of %d as of %d changed %v past %q emergency %s displaced %v same %v first %v",
		recordText(a.Record), a.Provisional, a.KnownBy, a.Members, a.AsOf.UnixNano(), wrote, a.Past.Token(), a.Emergency, a.Displaced, a.SameID, a.First)
}

func recordText(r *job.Record) string {
	if r == nil {
		return "none"
	}
	return hex.EncodeToString(withoutProse(r))
}

// withoutProse is a record's encoding without reasons.
func withoutProse(r *job.Record) []byte {
	plain := *r
	silent := func(rep job.Report) job.Report {
		if rep.Result != nil {
			res := *rep.Result
			res.Reason = ""
			rep.Result = &res
		}
		return rep
	}
	plain.Reports = slices.Clone(r.Reports)
	for i, rep := range plain.Reports {
		plain.Reports[i] = silent(rep)
	}
	plain.Verdicts = slices.Clone(r.Verdicts)
	for i, v := range plain.Verdicts {
		v.Reason = ""
		if v.Report != nil {
			rep := silent(*v.Report)
			v.Report = &rep
		}
		plain.Verdicts[i] = v
	}
	sum := sha256.Sum256(plain.Encode())
	return sum[:8]
}

func viewText(v *broker.EmergencyView) string {
	if v == nil {
		return "none"
	}
	sum := sha256.Sum256(v.Record.Encode())
	text := fmt.Sprintf("%s %x active %v in scope %v heard %v ended %d caused %d", v.Record.ID, sum[:8], v.Active, v.InScope, v.Heard, v.Ended, v.Caused)
	for _, e := range v.Effects {
		text += fmt.Sprintf(" [%s %s %s %d %d %s %s %s]", e.Job, e.State, e.Pause.By, e.Pause.From, e.Pause.To, e.Pause.For, e.Pause.Emergency, e.Pause.Mode)
	}
	return text
}

// disk adds what a broker's disk holds.
func (d *digest) disk(n *coreNode) {
	for _, key := range slices.Sorted(maps.Keys(n.disk)) {
		value := n.disk[key]
		if _, ok := isJob(key); ok {
			value = withoutProse(decodeJob(value))
		}
		d.line("%s %q %x", n.name, key, value)
	}
}

// Digest asks every broker for all that a client can see, and sums that up with all
// earlier answers and what is on the disks.
func (c *Core) Digest() string {
	for _, name := range c.names {
		n := c.nodes[name]
		ask := func(what string, in func(broker.Token) broker.Input) {
			c.request(n, what, 5*time.Second, in, func(broker.Answer) {})
		}
		ask("list", func(t broker.Token) broker.Input { return broker.List{Token: t, Limit: 1000} })
		ask("emergencies", func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t} })
		ask("conflicts", func(t broker.Token) broker.Input { return broker.ListConflicts{Token: t} })
		for i := range 60 {
			ask(fmt.Sprintf("get j%d", i), func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: fmt.Sprintf("j%d", i)} })
		}
		for i := range 8 {
			ask(fmt.Sprintf("emergency e%d", i), func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t, ID: fmt.Sprintf("e%d", i)} })
		}
		spec := job.Spec{Command: "work", Resources: job.Resources{CPU: 300}}
		must(spec.Complete())
		ask("dry run", func(t broker.Token) broker.Input { return broker.DryRun{Token: t, Spec: spec} })
	}
	c.Run(10 * time.Second)
	for _, name := range c.names {
		c.answers.disk(c.nodes[name])
	}
	return c.answers.String()
}
