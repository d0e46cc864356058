package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// report is what a round came to, or several.
type report struct {
	rounds  int
	faults  map[string]int // by kind
	seeds   []uint64
	missing []string // what was not tested for want of something

	acknowledged, degraded, repeated     int
	succeeded, failed, mayHaveRun, moved int
	rejected, superseded, takenOver      int
	runs, runsOfJoined, looks            int
	startedAgain, ranToTheEndAgain       int
	goneWithDisk, dots, disks, alarms    int
	returned, placedElsewhere, withdrawn int // attempts that a broker could not carry out; how often one was seen to withdraw its offer
	busiest                              int64
	recovered, converged                 time.Duration
	detected                             []time.Duration // from a blow until somebody saw it
	unseen                               int             // blows that were over before
	elsewhere, athome                    []time.Duration // from a kill until the job ran again
	longest                              map[string]gap
	loads                                []loads
	untested                             map[string]string
	short                                map[string]int // what brokers answered that were short of descriptors

	// What must be empty.
	lost, twice, differ, late, taken, resurrected []string
	dotsTwice, alarmsWrong, overload, keys        []string
	ranTwice, onceApart, wrong, leaks, problems   []string
	keysRaced                                     []string // this may happen
}

func newReport() *report {
	return &report{faults: map[string]int{}, longest: map[string]gap{}, untested: map[string]string{}, short: map[string]int{}}
}

func (r *report) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// took takes in what has been done to the cluster.
func (r *report) took(w *world) {
	r.rounds, r.seeds = 1, []uint64{w.o.seed}
	r.missing = w.o.missing()
	maps.Copy(r.faults, w.counted)
	for _, a := range w.acks.from(0) {
		r.acknowledged++
		if a.degraded {
			r.degraded++
		}
		if a.asked > 1 {
			r.repeated++
		}
	}
	for _, b := range w.blows {
		if d, ok := w.seen.detected(b); ok {
			r.detected = append(r.detected, d)
		} else {
			r.unseen++
		}
	}
	r.withdrawn = w.withdrew
	maps.Copy(r.longest, w.served.longest)
	maps.Copy(r.short, w.short)
}

// witnessed takes in what the witness has noticed, and the problems that were noted.
func (r *report) witnessed(w *world) {
	r.looks, r.takenOver = w.witness.looks, w.total("taken_over")
	r.returned, r.placedElsewhere = w.total("returned"), w.total("placed_elsewhere")
	r.twice = slices.Sorted(maps.Values(w.witness.twice))
	r.taken = slices.Sorted(maps.Values(w.witness.taken))
	r.problems = append(r.problems, w.problems...)
}

// finished counts a job that has ended at all brokers.
func (r *report) finished(a acknowledged, j api.Job) {
	switch {
	case j.State == job.StateSucceeded:
		r.succeeded++
	case a.kind == once && j.Accepted == nil:
		r.mayHaveRun++
	default:
		r.failed++
	}
	if int(j.Attempt) > j.Try+1 {
		r.moved++
	}
	r.rejected += len(j.Rejected)
	r.superseded += len(j.Superseded)
}

// moves finds the runs that a SIGKILL has cut off, and when the job ran again.
func (r *report) moves(blows []*blow, runs []*attempt) {
	for _, k := range blows {
		if k.how != killed {
			continue
		}
		for i, x := range runs {
			if x.broker != k.broker || x.start.After(k.at) || !x.end.IsZero() || cutBefore(blows, x, k) {
				continue
			}
			for _, y := range runs[i+1:] {
				if y.start.Before(k.at) {
					continue
				}
				if y.broker == k.broker {
					r.athome = append(r.athome, y.start.Sub(k.at))
				} else {
					r.elsewhere = append(r.elsewhere, y.start.Sub(k.at))
				}
				break
			}
		}
	}
}

// cutBefore reports whether an earlier blow has ended the run already.
func cutBefore(blows []*blow, x *attempt, k *blow) bool {
	return slices.ContainsFunc(blows, func(o *blow) bool {
		return o.how == killed && o.broker == x.broker && o.at.After(x.start) && o.at.Before(k.at)
	})
}

// check is one line of what is demanded.
type check struct {
	what  string
	found []string
	note  string
}

// checks are what must not happen, in the order of the table.
func (r *report) checks() []check {
	return []check{
		{"acknowledged jobs lost", r.lost, fmt.Sprintf("of %d; %d more, or their inputs, were on one disk alone, as their answers said, and we replaced it", r.acknowledged, r.goneWithDisk)},
		{"two accepted results", r.twice, fmt.Sprintf("jobs, in %d answers that were looked at", r.looks)},
		{"ledgers that differ", r.differ, "brokers, by ucp cluster verify"},
		{"started after its end", r.late, "runs at a broker that had shown the accepted result"},
		{"resurrected", append(slices.Clone(r.taken), r.resurrected...), "jobs shown as ended, and later as unfinished or unknown; or run from an older disk"},
		{"dots with two contents", r.dotsTwice, fmt.Sprintf("of %d dots on %d disks, exchanged ones too", r.dots, r.disks)},
		{"emergencies out of step", r.alarmsWrong, or(r.untested["emergencies"], fmt.Sprintf("of %d declared", r.alarms))},
		{"more than the capacity", r.overload, fmt.Sprintf("times, by the jobs' own notes; at most %d of %d millicores at once", r.busiest, brokerCPU)},
		{"exclusive key held twice", r.keys, fmt.Sprintf("at brokers in reach of each other; %d more raced before they could know", len(r.keysRaced))},
		{"redeploy: false ran twice", r.ranTwice, fmt.Sprintf("jobs; %d more were submitted again where nobody could know of the first", len(r.onceApart))},
		{"wrong results", r.wrong, "jobs"},
		{"leaks", r.leaks, "figures of brokers that did not come back to what a fresh one uses"},
		{"other", r.problems, "processes that ended by themselves, refusals that were not clear, what did not settle"},
	}
}

// good reports whether nothing was found.
func (r *report) good() bool {
	return !slices.ContainsFunc(r.checks(), func(c check) bool { return len(c.found) > 0 })
}

// String is the table.
func (r *report) String() string {
	var s strings.Builder
	r.print(&s)
	return s.String()
}

// print prints the table, and below it whatever is wrong.
func (r *report) print(out io.Writer) {
	row := func(what string, value any, demand, note string) {
		fmt.Fprintf(out, "%-26s %8v  %-9s %s\n", what, value, demand, note)
	}
	fmt.Fprintln(out)
	r.printStory(row)
	for _, c := range r.checks() {
		verdict := "ok (0)"
		if len(c.found) > 0 {
			verdict = "FAIL (0)"
		}
		row(c.what, len(c.found), verdict, c.note)
	}
	r.printTimes(row)
	for _, text := range r.missing {
		row("not tested", "", "", text)
	}
	for _, c := range r.checks() {
		show(out, c.what, c.found)
	}
}

func (r *report) printStory(row func(what string, value any, demand, note string)) {
	n, parts := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		n += r.faults[name]
		parts = append(parts, fmt.Sprintf("%s %d", name, r.faults[name]))
	}
	row("faults", n, "", strings.Join(parts, ", "))
	row("acknowledged", r.acknowledged, "", fmt.Sprintf("%d of them degraded, %d after asking more than once", r.degraded, r.repeated))
	row("finished", r.succeeded+r.failed+r.mayHaveRun, "", fmt.Sprintf("succeeded %d, failed as they must %d, \"may have run\" %d", r.succeeded, r.failed, r.mayHaveRun))
	row("runs", r.runs, "", fmt.Sprintf("of the jobs that note theirs; %d at the broker that joined", r.runsOfJoined))
	row("redeployed", r.moved, "", fmt.Sprintf("placed more than once; taken over by another owner at least %d times", r.takenOver))
	row("returned", r.returned, "", fmt.Sprintf("attempts, at least, that a broker could not carry out; %d placed again; brokers were seen to withdraw their offer %d times, and offered again", r.placedElsewhere, r.withdrawn))
	row("redundant executions", r.ranToTheEndAgain, "", fmt.Sprintf("runs to the end beyond the first; %d starts beyond the first; %d late results rejected, %d verdicts superseded", r.startedAgain, r.rejected, r.superseded))
}

func (r *report) printTimes(row func(what string, value any, demand, note string)) {
	for _, what := range slices.Sorted(maps.Keys(r.longest)) {
		g := r.longest[what]
		row("longest without "+what, g.length.Round(10*time.Millisecond), "", fmt.Sprintf("by clients of a living broker: %s at %s", g.broker, clockTime(g.from)))
	}
	row("detection", len(r.detected), "", fmt.Sprintf("kills and pauses were seen after %s; %d were over before", spread(r.detected), r.unseen))
	row("run again elsewhere", len(r.elsewhere), "", "runs cut off by SIGKILL; after "+spread(r.elsewhere))
	row("run again there", len(r.athome), "", "the same, at the broker itself when it was back; after "+spread(r.athome))
	row("recovery", tenth(r.recovered), "", "from the last healing until all had ended everywhere")
	row("convergence", tenth(r.converged), "", "until nothing was provisional anywhere")
	for _, what := range slices.Sorted(maps.Keys(r.short)) {
		row("short of descriptors", r.short[what], "", "uploads: "+what)
	}
	for _, l := range r.loads {
		row("use", "", "", l.String())
	}
}

func tenth(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// shownMost bounds how much of one sort is told.
const shownMost = 10

func show(out io.Writer, what string, list []string) {
	for i, text := range list {
		if i == shownMost {
			fmt.Fprintf(out, "! and %d more of this sort\n", len(list)-i)
			return
		}
		fmt.Fprintf(out, "! %s: %s\n", what, text)
	}
}

// spread is the median and the maximum.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%v (median), %v (longest)", tenth(d[len(d)/2]), tenth(d[len(d)-1]))
}
