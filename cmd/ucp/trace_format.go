package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// mark is one event of the trace event format. Times are in microseconds.
type mark struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"` // X: a span; i: an instant; s, f: the two ends of an arrow; M: a name
	At    int64          `json:"ts"`
	For   *int64         `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	ID    int            `json:"id,omitempty"`
	Bind  string         `json:"bp,omitempty"` // e: an arrow ends in the span that is there then
	Scope string         `json:"s,omitempty"`  // of an instant: t, its thread; p, its process; g, all
	Args  map[string]any `json:"args,omitempty"`
}

// The threads of a process: marks, then slots, then places in the queue.
const (
	marksThread = 1
	firstSlot   = 2
	firstPlace  = 1_000_000
)

// drawing is a trace that is made.
type drawing struct {
	marks  []mark
	pids   map[string]int    // of brokers; "" is where no broker has the job
	taken  map[lane][]int64  // until when the lanes are that begin with this one
	named  map[lane]struct{} // threads
	arrows int
}

// lane is a thread of a process.
type lane struct{ pid, tid int }

// micros is an instant as the format has it.
func micros(t clock.Time) int64 { return t.Time().UnixMicro() }

// writeTrace writes what is known of jobs in time.
func writeTrace(w io.Writer, h *history) error {
	d := &drawing{pids: map[string]int{}, taken: map[lane][]int64{}, named: map[lane]struct{}{}}
	d.process("", "no broker: emergencies, and jobs that none has taken")
	names := slices.Clone(h.brokers)
	slices.Sort(names)
	for _, name := range names {
		d.pidOf(name)
	}
	d.jobs(h.jobs)
	for i := range h.decisions {
		d.decision(&h.decisions[i])
	}
	for i := range h.emergencies {
		d.emergency(&h.emergencies[i])
	}
	slices.SortStableFunc(d.marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.At, b.At), cmp.Compare(order[a.Phase], order[b.Phase]))
	})
	other := map[string]any{"as_of": h.asOf.UTC(), "told_by": h.asked, "jobs": len(h.jobs), "not_known": h.unknown}
	if _, err := io.WriteString(w, `{"displayTimeUnit":"ms","traceEvents":[`); err != nil {
		return err
	}
	for i := range d.marks {
		b, err := json.Marshal(&d.marks[i])
		if err != nil {
			return fmt.Errorf("encoding the trace: %w", err)
		}
		comma := ","
		if i == 0 {
			comma = ""
		}
		if _, err := fmt.Fprintf(w, "%s\n%s", comma, b); err != nil {
			return err
		}
	}
	b, err := json.Marshal(other)
	if err != nil {
		return fmt.Errorf("encoding the trace: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n],\"otherData\":%s}\n", b)
	return err
}

// order is that of marks of one moment: a span is there before an arrow that begins or ends in it.
var order = map[string]int{"X": 0, "s": 1, "f": 2, "i": 3}

// rank puts names before all else.
func rank(m *mark) int {
	if m.Phase == "M" {
		return 0
	}
	return 1
}

// process adds a process, once.
func (d *drawing) process(broker, title string) int {
	pid := len(d.pids) + 1
	d.pids[broker] = pid
	d.marks = append(d.marks,
		mark{Name: "process_name", Phase: "M", PID: pid, Args: map[string]any{"name": title}},
		mark{Name: "process_sort_index", Phase: "M", PID: pid, Args: map[string]any{"sort_index": pid}})
	return pid
}

// pidOf is the process of a broker.
func (d *drawing) pidOf(broker string) int {
	if pid, known := d.pids[broker]; known {
		return pid
	}
	return d.process(broker, broker)
}

// thread names a thread of a process, once.
func (d *drawing) thread(at lane, title string) {
	if _, known := d.named[at]; known {
		return
	}
	d.named[at] = struct{}{}
	d.marks = append(d.marks,
		mark{Name: "thread_name", Phase: "M", PID: at.pid, TID: at.tid, Args: map[string]any{"name": title}},
		mark{Name: "thread_sort_index", Phase: "M", PID: at.pid, TID: at.tid, Args: map[string]any{"sort_index": at.tid}})
}

// laneOf finds the first slot, or place in the queue, that is free for a stay, and takes it.
func (d *drawing) laneOf(s *stay) lane {
	first, title := lane{d.pidOf(s.broker), firstSlot}, "slot %d"
	if s.queue {
		first.tid, title = firstPlace, "waiting %d"
	}
	from := micros(s.from())
	i := slices.IndexFunc(d.taken[first], func(until int64) bool { return until <= from })
	if i < 0 {
		i = len(d.taken[first])
		d.taken[first] = append(d.taken[first], 0)
	}
	d.taken[first][i] = from + length(s.from(), s.to())
	at := lane{first.pid, first.tid + i}
	d.thread(at, fmt.Sprintf(title, i+1))
	return at
}

// length is how long a span is drawn: one of no time would not be seen.
func length(from, to clock.Time) int64 { return max(micros(to)-micros(from), 1) }

// jobs draws all jobs. Stays take the lanes in the order in which they begin.
func (d *drawing) jobs(jobs []api.Job) {
	type placed struct {
		j  *api.Job
		s  stay
		at lane
	}
	var all []*placed
	for i := range jobs {
		for _, s := range staysOf(&jobs[i]) {
			all = append(all, &placed{j: &jobs[i], s: s})
		}
		d.lateResults(&jobs[i])
	}
	slices.SortStableFunc(all, func(a, b *placed) int { return cmp.Compare(a.s.from(), b.s.from()) })
	last := map[*api.Job]*placed{}
	for _, p := range all {
		p.at = d.laneOf(&p.s)
		for _, x := range p.s.spans {
			d.span(p.j, &p.s, x, p.at)
		}
		if before := last[p.j]; before != nil && before.s.broker != p.s.broker {
			d.arrow(p.j, &before.s, before.at, &p.s, p.at)
		}
		last[p.j] = p
	}
}

// span draws one time of a job.
func (d *drawing) span(j *api.Job, s *stay, x span, at lane) {
	dur := length(x.from, x.to)
	args := map[string]any{"job": j.ID, "state": x.name}
	for k, v := range map[string]string{"name": j.Name, "attempt": s.attempt, "note": x.note, "emergency": j.Emergency} {
		if v != "" {
			args[k] = v
		}
	}
	name := string(j.ID)
	if j.Name != "" && j.Name != name {
		name = j.Name + " " + name // many jobs have the name of their program
	}
	if s.queue {
		name += " " + x.name
	}
	d.marks = append(d.marks, mark{Name: name, Cat: x.name, Phase: "X", At: micros(x.from), For: &dur, PID: at.pid, TID: at.tid, Args: args})
	if x.name == "returned" {
		d.instant(at, x.to, "returned "+string(j.ID), "returned", map[string]any{"job": j.ID, "reason": x.note})
	}
}

// arrow leads from the end of a stay to the beginning of the next, at another broker. Both ends lie in spans.
func (d *drawing) arrow(j *api.Job, from *stay, at lane, to *stay, next lane) {
	last := from.spans[len(from.spans)-1]
	begin, end := micros(last.from), micros(to.from())
	if end < begin {
		return // by the clocks of the two it began there before: no arrow leads back in time
	}
	d.arrows++
	begin = min(begin+length(last.from, last.to)-1, end)
	args := map[string]any{"job": j.ID}
	d.marks = append(d.marks,
		mark{Name: "moved", Cat: "move", Phase: "s", ID: d.arrows, At: begin, PID: at.pid, TID: at.tid, Args: args},
		mark{Name: "moved", Cat: "move", Phase: "f", Bind: "e", ID: d.arrows, At: end, PID: next.pid, TID: next.tid, Args: args})
}

// instant draws a mark on a thread.
func (d *drawing) instant(at lane, when clock.Time, name, cat string, args map[string]any) {
	d.marks = append(d.marks, mark{Name: name, Cat: cat, Phase: "i", Scope: "t", At: micros(when), PID: at.pid, TID: at.tid, Args: args})
}

// marksOf is the thread of a broker's marks.
func (d *drawing) marksOf(broker string) lane {
	at := lane{d.pidOf(broker), marksThread}
	d.thread(at, "decisions and marks")
	return at
}

// lateResults draws results that did not count.
func (d *drawing) lateResults(j *api.Job) {
	for _, x := range j.Rejected {
		d.instant(d.marksOf(x.Executor), x.At, "late result of "+string(j.ID), "late", map[string]any{"job": j.ID, "attempt": x.Attempt, "outcome": x.Outcome})
	}
}

// decision draws what a broker has decided.
func (d *drawing) decision(x *decision) {
	args := map[string]any{"id": x.ID, "strategy": x.Strategy, "winner": x.Winner, "sentence": x.Sentence}
	if x.Over != "" {
		args["over"] = x.Over
	}
	if len(x.IDs) > 0 {
		args["jobs"] = x.IDs
	}
	d.instant(d.marksOf(x.broker), x.At, "decided: "+cmp.Or(x.Winner, "nobody")+" ("+x.Kind+")", "decision", args)
}

// emergency draws when an emergency was declared, and when it ended, across all.
func (d *drawing) emergency(e *api.Emergency) {
	pid := d.pidOf("")
	d.thread(lane{pid, marksThread}, "emergencies")
	at := func(when clock.Time, what string) {
		d.marks = append(d.marks, mark{Name: fmt.Sprintf("%s %s", e.ID, what), Cat: "emergency", Phase: "i", Scope: "g", At: micros(when), PID: pid, TID: marksThread,
			Args: map[string]any{"id": e.ID, "type": e.Type, "level": e.Level, "scope": e.Scope, "message": e.Message, "until": e.Until}})
	}
	if e.DeclaredAt != 0 {
		at(e.DeclaredAt, "declared: "+e.Level)
	}
	switch {
	case e.ClearedAt != 0:
		at(e.ClearedAt, "cleared")
	case e.EndedAt != 0:
		at(e.EndedAt, "is over")
	}
}
