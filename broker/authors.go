package broker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// authors are what is known of whether those have written the ends of jobs whom these name, where they sign (rule H3). The shell looks, and tells
// ([Looked]). An end that comes from somebody else is not firm before that, for a while; one that was made up never is.
type authors struct {
	*core
	signs    func(clock.Actor) bool // whether an actor of another broker does
	unlooked map[string]unlooked    // by key
	madeUp   map[string][]clock.Dot // by key: updates that have not written what of the end is said to be theirs
}

// unlooked is an end that was not looked at.
type unlooked struct {
	end   clock.Dot
	since time.Duration // uptime
}

// Bounds of what is remembered of ends.
const (
	lookedWithin = 5 * time.Second // after that it is firm without: the writer may be away, or there are too many
	mostUnlooked = 1024            // of more the rest is firm without
	mostMadeUp   = 256             // jobs
	mostDots     = 16              // of one job
)

func newAuthors(c *core, bound func(clock.Actor) (uint64, bool)) authors {
	signs := func(a clock.Actor) bool { _, is := bound(a); return is }
	return authors{c, signs, map[string]unlooked{}, map[string][]clock.Dot{}}
}

// endings yields the updates that are said to have written the end of a job: its verdict, the report in it, its seal.
func endings(r *job.Record) (dots []clock.Dot) {
	v := r.Verdict()
	if dots = append(dots, v.Dot); v.Report != nil {
		dots = append(dots, v.Report.Dot)
	}
	if r.Seal != nil {
		dots = append(dots, r.Seal.Dot)
	}
	return dots
}

// came notes that a peer has told of the end of a job. What it says in its own name needs no look.
func (a *authors) came(from clock.Actor, old, r *job.Record) {
	if !a.cfg.Signs || !r.Finished() || r.IsStub() || old != nil && old.Finished() && deciding(old) == deciding(r) {
		return
	}
	another := func(d clock.Dot) bool { return d.Actor != from && (d.Actor.Broker() == a.self || a.signs(d.Actor)) }
	if _, waits := a.unlooked[r.Key()]; (waits || len(a.unlooked) < mostUnlooked) && slices.ContainsFunc(endings(r), another) {
		a.unlooked[r.Key()] = unlooked{deciding(r), a.up}
	}
}

// holdsBack says why the end of a job is not firm although it is stable; "" where it is.
func (a *authors) holdsBack(r *job.Record) string {
	if made := a.madeUp[r.Key()]; len(made) > 0 {
		for _, d := range endings(r) {
			if slices.Contains(made, d) {
				return fmt.Sprintf("since it is in the name of %s, which has not written it, as its signature shows (`ucp status`): somebody has made it up, so submit the job again", d.Actor.Broker())
			}
		}
	}
	x, waits := a.unlooked[r.Key()]
	switch {
	case !waits:
	case x.end == deciding(r) && a.up < x.since+lookedWithin:
		return "until this broker has looked whether those have written it whom it names"
	default:
		delete(a.unlooked, r.Key())
	}
	return ""
}

// looked takes in what the shell has found out.
func (a *authors) looked(in Looked) {
	for _, r := range in.Ends {
		if x, waits := a.unlooked[r.Key()]; waits && r.Finished() && x.end == deciding(r) {
			delete(a.unlooked, r.Key())
		}
	}
	for _, x := range in.MadeUp {
		list := a.madeUp[x.Key]
		if slices.Contains(list, x.Dot) || len(list) >= mostDots || list == nil && len(a.madeUp) >= mostMadeUp || a.record(x.Key) == nil {
			continue
		}
		a.madeUp[x.Key] = append(slices.Clone(list), x.Dot)
		a.ledger.KeepOwn(madeUpName(x.Key), encodeDots(a.madeUp[x.Key]))
	}
}

// forget drops what is known of a job that is forgotten.
func (a *authors) forget(key string) {
	delete(a.unlooked, key)
	if _, known := a.madeUp[key]; known {
		delete(a.madeUp, key)
		a.ledger.KeepOwn(madeUpName(key), nil)
	}
}

// madeUpKind is what ends that were made up are called among the broker's own values.
const madeUpKind = "made-up"

func madeUpName(key string) string { return madeUpKind + "\x00" + key }

var dotsHandle = &codec.MsgpackHandle{}

func encodeDots(list []clock.Dot) []byte {
	out := binary.AppendUvarint(nil, 1) // the number is for versions before
	var b []byte
	if err := codec.NewEncoderBytes(&b, dotsHandle).Encode(list); err != nil {
		panic("broker: encoding updates: " + err.Error()) // they hold strings and numbers only
	}
	return append(out, b...)
}

// recall takes in what an earlier start has stored. It reports whether that is of a job that is held.
func (a *authors) recall(key string, value []byte) bool {
	_, n := binary.Uvarint(value)
	var list []clock.Dot
	if n <= 0 || codec.NewDecoderBytes(value[n:], dotsHandle).Decode(&list) != nil || len(list) == 0 || a.record(key) == nil {
		return false
	}
	a.madeUp[key] = list[:min(len(list), mostDots)]
	return true
}
