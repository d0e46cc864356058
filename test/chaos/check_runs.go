package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/job"
)

// ran is one run of one job.
type ran struct {
	id job.ID
	*attempt
}

// checkCapacity demands that what surely ran at once at a broker never asked for more
// than it offers, by the notes of the jobs themselves. A job that stood still meanwhile
// (suspended, or its broker's machine was too busy) counts for nothing.
func checkCapacity(r *report, runs []ran) {
	type change struct {
		at  time.Time
		cpu int64
		id  job.ID
	}
	changes := map[string][]change{}
	for _, x := range runs {
		for _, s := range x.evident() {
			changes[x.broker] = append(changes[x.broker], change{s.from, x.cpu, x.id}, change{s.to, -x.cpu, x.id})
		}
	}
	for broker, list := range changes {
		slices.SortFunc(list, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.cpu, b.cpu)) })
		var used int64
		for _, c := range list {
			was := used
			used += c.cpu
			r.busiest = max(r.busiest, used)
			if was <= brokerCPU && used > brokerCPU {
				r.overload = append(r.overload, fmt.Sprintf("%s: at %s %d millicores run, with %s, and it offers %d", broker, clockTime(c.at), used, c.id, brokerCPU))
			}
		}
	}
}

// What an executor can know of a key that is held elsewhere (rule J10).
const (
	// keyKnown is how long a holder had been running, in reach, when another began:
	// its report had arrived by then.
	keyKnown = 2 * time.Second
	// keyYields is how long two holders may go on in reach of each other, until the
	// later one has stopped.
	keyYields = 5 * time.Second
)

// checkKeys demands that two jobs with one exclusive key never run at once at brokers
// that could reach each other, and knew. What races is counted apart: both began
// before they could know, in a split for example. Then the later one must give way
// when they reach each other.
func checkKeys(w *world, r *report, runs []ran) {
	byKey := map[string][]ran{}
	for _, x := range runs {
		if x.key != noKey {
			byKey[x.key] = append(byKey[x.key], x)
		}
	}
	for key, list := range byKey {
		slices.SortFunc(list, func(a, b ran) int { return a.start.Compare(b.start) })
		for i, a := range list {
			for _, b := range list[i+1:] {
				s, both := together(a.attempt, b.attempt)
				if !both {
					continue
				}
				what := fmt.Sprintf("%s: %s at %s since %s, and %s at %s from %s on, together for %v",
					key, a.id, a.broker, clockTime(a.start), b.id, b.broker, clockTime(s.from), s.to.Sub(s.from).Round(time.Millisecond))
				if w.knew(a, b) || w.inReach(a.broker, b.broker, s.to.Add(-keyYields), s.to) && s.to.Sub(s.from) > keyYields {
					r.keys = append(r.keys, what)
				} else {
					r.keysRaced = append(r.keysRaced, what)
				}
			}
		}
	}
}

// together is when two runs surely went on at once.
func together(a, b *attempt) (out stretch, ok bool) {
	for _, s := range a.evident() {
		for _, t := range b.evident() {
			from, to := later(s.from, t.from), earlier(s.to, t.to)
			if !from.Before(to) {
				continue
			}
			if !ok {
				out = stretch{from, to}
			}
			ok, out.to = true, to
		}
	}
	return out, ok
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// knew reports whether the broker of the later run must have known that the earlier
// one held the key. At one broker it always does.
func (w *world) knew(a, b ran) bool {
	if a.broker == b.broker {
		return w.broker(a.broker).Lived(a.start, b.start)
	}
	return b.start.Sub(a.start) > keyKnown && w.inReach(a.broker, b.broker, b.start.Add(-keyKnown), b.start)
}

// inReach reports whether two brokers were up and reached each other all the time.
func (w *world) inReach(a, b string, from, to time.Time) bool {
	return w.broker(a).Lived(from, to) && w.broker(b).Lived(from, to) && w.heard(a, b, from, to)
}

// checkRedundant counts what ran more often than it had to, and finds runs of what had
// ended long before: at a broker that had shown the end, or at one that came back from
// an older disk and must ask before it runs anything old (rule L9).
func checkRedundant(w *world, r *report, a acknowledged, runs []*attempt) {
	complete := 0
	for i, x := range runs {
		if !x.end.IsZero() {
			complete++
		}
		if at := w.witness.firstAt(a.id, x.broker); !at.IsZero() && x.start.After(at.Add(startSlack)) {
			r.late = append(r.late, fmt.Sprintf("%s: started at %s at %s, which had shown its end at %s", a.id, clockTime(x.start), x.broker, clockTime(at)))
		}
		if s, old := w.swapBefore(x.broker, x.start); old {
			if at := w.witness.firm(a.id); !at.IsZero() && at.Before(s.at) && w.someoneHeard(x.broker, s.at, x.start) {
				r.resurrected = append(r.resurrected, fmt.Sprintf("%s: its end was known at %s; %s got another disk at %s and ran it again at %s",
					a.id, clockTime(at), x.broker, clockTime(s.at), clockTime(x.start)))
			}
		}
		switch {
		case a.kind != once || i != 1:
		case createdApart(runs[0].token, x.token):
			r.onceApart = append(r.onceApart, string(a.id))
		default:
			r.ranTwice = append(r.ranTwice, fmt.Sprintf("%s: redeploy is false, and it ran in attempts %s at %s and %s at %s", a.id, runs[0].token, runs[0].broker, x.token, x.broker))
		}
	}
	r.startedAgain += max(0, len(runs)-1)
	r.ranToTheEndAgain += max(0, complete-1)
}

// createdApart reports whether two attempts are of two creations of one job: our client,
// whose answer was lost, repeated it at a broker that could not know of the first, in another
// part of a split or after it had stood still. Only a creation makes a tenure of epoch 1
// (rule J4), and a broker that has placed one before it knew of the other (rule J8 speaks of one).
func createdApart(a, b string) bool {
	x, y := strings.SplitN(a, ".", 3), strings.SplitN(b, ".", 3)
	return len(x) == 3 && len(y) == 3 && x[0] == "1" && y[0] == "1" && x[2] != y[2]
}

// swapBefore is the latest exchange of a broker's disk before a time.
func (w *world) swapBefore(broker string, at time.Time) (out swap, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.swaps {
		if s.broker == broker && s.at.Before(at) {
			out, ok = s, true
		}
	}
	return out, ok
}

// someoneHeard reports whether the broker was in reach of another all the time.
func (w *world) someoneHeard(broker string, from, to time.Time) bool {
	for _, b := range w.members() {
		if b.Name != broker && w.heard(broker, b.Name, from, to) && b.Lived(from, to) {
			return true
		}
	}
	return false
}
