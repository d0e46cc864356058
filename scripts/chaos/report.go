package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// report is what a run came to.
type report struct {
	w            *world
	acknowledged []acknowledged
	recovered    time.Duration // from the last healing until all had ended everywhere
	firm         time.Duration // and until nothing was provisional any more
	verify       string

	lost, ranTwice, late, wrong, problems []string

	succeeded, failed, mayHaveRun, runs, moved int
	rejected, superseded                       int
	elsewhere, athome                          []time.Duration // from a kill until the job ran again
}

func (w *world) disks() string { return filepath.Join(w.o.dir, "brokers") }

func (r *report) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// finished counts a job that has ended at all brokers.
func (r *report) finished(a acknowledged, j api.Job, runs int) {
	switch {
	case j.State == job.StateSucceeded:
		r.succeeded++
	case a.kind == once && j.Accepted == nil:
		r.mayHaveRun++
	default:
		r.failed++
	}
	r.runs += runs
	if int(j.Attempt) > j.Try+1 {
		r.moved++
	}
	r.rejected += len(j.Rejected)
	r.superseded += len(j.Superseded)
}

// moves finds the runs that a SIGKILL has cut off, and when the job ran again.
func (r *report) moves(runs []attempt) {
	for _, k := range r.w.blows {
		for i, x := range runs {
			if x.broker != k.broker || x.start.After(k.at) || !x.end.IsZero() || r.cutBefore(x, k) {
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
func (r *report) cutBefore(x attempt, k *blow) bool {
	return slices.ContainsFunc(r.w.blows, func(o *blow) bool {
		return o.broker == x.broker && o.at.After(x.start) && o.at.Before(k.at)
	})
}

// good reports whether nothing was found.
func (r *report) good() bool {
	wit := r.w.witness
	return len(r.lost)+len(wit.twice)+len(wit.taken)+len(r.ranTwice)+len(r.late)+len(r.wrong)+len(r.problems)+len(r.w.complaints) == 0
}

// print prints the table, and below it whatever is wrong.
func (r *report) print(out io.Writer) {
	row := func(what string, value any, note string, args ...any) {
		fmt.Fprintf(out, "%-26s %8v   %s\n", what, value, fmt.Sprintf(note, args...))
	}
	w := r.w
	faults, parts := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(w.counted)) {
		faults += w.counted[name]
		parts = append(parts, fmt.Sprintf("%s: %d", name, w.counted[name]))
	}
	degraded, repeated := 0, 0
	for _, a := range r.acknowledged {
		if a.degraded {
			degraded++
		}
		if a.asked > 1 {
			repeated++
		}
	}
	fmt.Fprintln(out)
	row("faults", faults, "%s", strings.Join(parts, ", "))
	row("brokers killed", len(w.blows), "SIGKILL")
	row("acknowledged", len(r.acknowledged), "%d of them degraded, %d after asking more than once", degraded, repeated)
	row("finished", r.succeeded+r.failed+r.mayHaveRun, "succeeded %d, failed as they must %d, \"may have run\" %d", r.succeeded, r.failed, r.mayHaveRun)
	row("redeployed", r.moved, "placed more than once; taken over by another owner at least %d times", w.total("taken_over"))
	row("runs", r.runs, "of the jobs that note theirs")
	row("rejected late results", r.rejected, "in the records; superseded verdicts %d", r.superseded)
	row("lost", len(r.lost), "")
	row("accepted twice", len(w.witness.twice), "in %d answers that were looked at", w.witness.looks)
	row("taken back", len(w.witness.taken), "an end that was shown, and then no more")
	row("redeploy: false ran twice", len(r.ranTwice), "")
	row("started after its end", len(r.late), "at a broker that had shown it")
	row("wrong results", len(r.wrong), "")
	row("verify", "", "%s", r.verify)
	row("time to recover", r.recovered.Round(100*time.Millisecond), "from the last healing until all had ended everywhere; %v until nothing was provisional", r.firm.Round(100*time.Millisecond))
	row("run again elsewhere", len(r.elsewhere), "runs cut off by SIGKILL; after %s", spread(r.elsewhere))
	row("run again there", len(r.athome), "the same, at the broker itself when it was back; after %s", spread(r.athome))
	for _, list := range [][]string{
		r.lost, slices.Sorted(maps.Values(w.witness.twice)), slices.Sorted(maps.Values(w.witness.taken)),
		r.ranTwice, r.late, r.wrong, r.problems, w.complaints,
	} {
		show(out, list)
	}
}

// shownMost bounds how much of one sort is told.
const shownMost = 10

func show(out io.Writer, list []string) {
	for i, text := range list {
		if i == shownMost {
			fmt.Fprintf(out, "! and %d more of this sort\n", len(list)-i)
			return
		}
		fmt.Fprintf(out, "! %s\n", text)
	}
}

// spread is the median and the maximum.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	slices.Sort(d)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
	return fmt.Sprintf("%v (median), %v (longest)", round(d[len(d)/2]), round(d[len(d)-1]))
}
