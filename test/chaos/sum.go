package main

// add takes another round's report into this one: counts are summed, times are the
// longest, and what each broker used is that of the last round.
func (r *report) add(o *report) {
	for k, n := range o.faults {
		r.faults[k] += n
	}
	for k, n := range o.short {
		r.short[k] += n
	}
	r.seeds = append(r.seeds, o.seeds...)
	r.missing, r.loads = o.missing, o.loads
	for _, c := range []struct {
		to   *int
		from int
	}{
		{&r.rounds, o.rounds}, {&r.acknowledged, o.acknowledged}, {&r.degraded, o.degraded}, {&r.repeated, o.repeated},
		{&r.succeeded, o.succeeded}, {&r.failed, o.failed}, {&r.mayHaveRun, o.mayHaveRun}, {&r.moved, o.moved},
		{&r.rejected, o.rejected}, {&r.superseded, o.superseded}, {&r.takenOver, o.takenOver},
		{&r.runs, o.runs}, {&r.runsOfJoined, o.runsOfJoined}, {&r.looks, o.looks},
		{&r.startedAgain, o.startedAgain}, {&r.ranToTheEndAgain, o.ranToTheEndAgain},
		{&r.goneWithDisk, o.goneWithDisk}, {&r.dots, o.dots}, {&r.disks, o.disks}, {&r.alarms, o.alarms},
		{&r.returned, o.returned}, {&r.placedElsewhere, o.placedElsewhere}, {&r.withdrawn, o.withdrawn}, {&r.unseen, o.unseen},
	} {
		*c.to += c.from
	}
	for _, c := range []struct {
		to   *[]string
		from []string
	}{
		{&r.lost, o.lost}, {&r.twice, o.twice}, {&r.differ, o.differ}, {&r.late, o.late}, {&r.taken, o.taken},
		{&r.resurrected, o.resurrected}, {&r.dotsTwice, o.dotsTwice}, {&r.alarmsWrong, o.alarmsWrong},
		{&r.overload, o.overload}, {&r.keys, o.keys}, {&r.keysRaced, o.keysRaced}, {&r.ranTwice, o.ranTwice}, {&r.onceApart, o.onceApart},
		{&r.wrong, o.wrong}, {&r.leaks, o.leaks}, {&r.problems, o.problems},
	} {
		*c.to = append(*c.to, c.from...)
	}
	r.busiest = max(r.busiest, o.busiest)
	r.recovered, r.converged = max(r.recovered, o.recovered), max(r.converged, o.converged)
	r.detected = append(r.detected, o.detected...)
	r.elsewhere, r.athome = append(r.elsewhere, o.elsewhere...), append(r.athome, o.athome...)
	for what, g := range o.longest {
		if g.length > r.longest[what].length {
			r.longest[what] = g
		}
	}
	for what, why := range o.untested {
		r.untested[what] = why
	}
}
