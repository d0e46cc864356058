package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// startSlack is how late after an end was shown a run may still begin: between the
// decision to start and the first line of the program lies the start of a process,
// on a machine with other things to do.
const startSlack = 2 * time.Second

// judge waits until all has ended, and says what the round came to. All faults are
// healed.
func (w *world) judge(ctx context.Context) (*report, error) {
	r := newReport()
	r.took(w)
	w.tell("all is healed; every broker is asked for every job until all have ended")
	if err := w.whole(ctx, w.o.settle); err != nil {
		r.problem("%v", err)
	}
	deadline := time.Now().Add(w.o.settle)
	settled := w.settle(ctx, deadline, func(j looked) bool { return j.State.Final() })
	r.recovered = time.Since(w.healed)
	if settled {
		// "Provisional" must go away as well: then nothing may change any more.
		if !w.settle(ctx, deadline, func(j looked) bool { return j.firm }) {
			r.problem("some answers are still provisional")
		}
		r.converged = time.Since(w.healed)
	}
	w.checkOffers(ctx)
	for _, b := range w.members() {
		w.scrape(ctx, b)
	}
	w.verify(ctx, r)
	if err := w.last(ctx, r); err != nil {
		return nil, err
	}
	w.checkAlarms(ctx, r)
	w.checkAccused(r)
	w.checkLoads(ctx, r)
	if !r.good() {
		w.keepDigests(ctx)
	}
	w.finish(r)
	if err := w.checkDots(r); err != nil {
		return nil, err
	}
	r.witnessed(w)
	return r, ctx.Err()
}

// settle asks every broker for every acknowledged job until enough says yes to all
// answers; false when that is not so in time.
func (w *world) settle(ctx context.Context, deadline time.Time, enough func(looked) bool) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	all, members := w.acks.from(0), w.members()
	ok := make([]bool, len(members))
	var brokers sync.WaitGroup
	for i, b := range members {
		brokers.Go(func() {
			left := slices.Clone(all)
			for len(left) > 0 {
				left = slices.DeleteFunc(left, func(a acknowledged) bool {
					j, err := w.get(ctx, b, a.task)
					return err == nil && enough(j) || notFound(err) && w.excused(a)
				})
				if len(left) > 0 && rig.Pause(ctx, 100*time.Millisecond) != nil {
					return
				}
			}
			ok[i] = true
		})
	}
	brokers.Wait()
	return !slices.Contains(ok, false)
}

// excused reports whether a job may be gone: the answer said that one disk holds it,
// and that disk was exchanged by us.
func (w *world) excused(a acknowledged) bool { return a.copies <= 1 && w.gone(a.by, a.at) }

// ranThereBefore reports whether a job has only run where it was acknowledged, before that disk was exchanged.
func (w *world) ranThereBefore(a acknowledged, runs []*attempt) bool {
	return !slices.ContainsFunc(runs, func(x *attempt) bool { return x.broker != a.by || !w.gone(a.by, x.start) })
}

// last asks every broker for every job once more, compares, and looks at all runs.
func (w *world) last(ctx context.Context, r *report) error {
	members := w.members()
	answers := make([]map[string]looked, len(members))
	var brokers sync.WaitGroup
	for i, b := range members {
		answers[i] = map[string]looked{}
		brokers.Go(func() {
			for _, a := range w.acks.from(0) {
				if j, err := w.get(ctx, b, a.task); err == nil {
					answers[i][string(a.id)] = j
				} else if !notFound(err) {
					w.problem("%s: %s: %v", a.id, b.Name, err)
				}
			}
		})
	}
	brokers.Wait()
	var all []ran
	for _, a := range w.acks.from(0) {
		var shown []api.Job
		var missing []string
		for i, b := range members {
			j, ok := answers[i][string(a.id)]
			switch {
			case !ok:
				missing = append(missing, fmt.Sprintf("%s does not know it", b.Name))
			case !j.State.Final():
				missing = append(missing, fmt.Sprintf("at %s it is %s (%s; owner %s, executor %s)", b.Name, j.State, j.Why, j.Owner, j.Executor))
			default:
				shown = append(shown, j.Job)
			}
		}
		switch {
		case len(missing) == len(members) && len(shown) == 0 && w.excused(a):
			r.goneWithDisk++
		case len(missing) > 0:
			r.lost = append(r.lost, fmt.Sprintf("%s (acknowledged by %s at %s with %d copies): %s", a.id, a.by, clockTime(a.at), a.copies, strings.Join(missing, ", ")))
		}
		runs, err := w.examine(r, a, shown)
		if err != nil {
			return err
		}
		for _, x := range runs {
			all = append(all, ran{a.id, x})
		}
	}
	r.runs += len(all)
	checkCapacity(r, all)
	checkKeys(w, r, all)
	w.tookPart(r, all)
	return nil
}

// examine looks at one job: what the brokers show at the end, and its runs.
func (w *world) examine(r *report, a acknowledged, shown []api.Job) ([]*attempt, error) {
	for _, j := range shown[min(1, len(shown)):] {
		if endingOf(j) != endingOf(shown[0]) {
			w.witness.twice[a.id] = fmt.Sprintf("%s: at the end one broker shows %v, another %v", a.id, endingOf(shown[0]), endingOf(j))
		}
	}
	runs, err := attempts(a.notes, w.disks())
	if err != nil {
		return nil, err
	}
	checkRedundant(w, r, a, runs)
	r.moves(w.blows, runs)
	if len(shown) < len(w.members()) {
		return runs, nil
	}
	j := shown[0]
	r.finished(a, j)
	switch what := a.wrong(j, runs); {
	case what == "":
	case w.excused(a) && w.ranThereBefore(a, runs) && strings.Contains(j.Reason, "its inputs could not be fetched"):
		r.goneWithDisk++ // its record got around, its inputs, and what it had made of them, were on that disk alone
	default:
		r.wrong = append(r.wrong, fmt.Sprintf("%s (%s, acknowledged by %s at %s with %d copies): %s", a.id, a.kind, a.by, clockTime(a.at), a.copies, what))
	}
	return runs, nil
}

// tookPart demands that the broker which joined in the middle was given work.
func (w *world) tookPart(r *report, runs []ran) {
	for _, b := range w.members()[w.o.brokers:] {
		n := 0
		for _, x := range runs {
			if x.broker == b.Name {
				n++
			}
		}
		r.runsOfJoined += n
		if n == 0 {
			r.problem("%s joined, and no job ran there", b.Name)
		}
	}
}

// verify lets `ucp cluster verify` compare the brokers.
func (w *world) verify(ctx context.Context, r *report) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	b := w.brokers[0]
	out, err := b.Says(ctx, "cluster", "verify", "--wait", "60s", "-o", "json")
	if err == nil {
		return
	}
	var v struct {
		Brokers []struct {
			Name, Digest string
			Clock        json.RawMessage
		}
		Problems []string
	}
	if bad := json.Unmarshal(out, &v); bad != nil {
		r.problem("ucp cluster verify: %v: %s", err, out)
	}
	same := map[string]int{}
	most := 0
	for _, d := range v.Brokers {
		key := d.Digest + " " + string(d.Clock)
		same[key]++
		most = max(most, same[key])
	}
	for range max(1, len(w.members())-most) {
		r.differ = append(r.differ, "ucp cluster verify: "+strings.Join(v.Problems, "; "))
	}
}

// keepDigests writes down what every broker holds, record by record.
func (w *world) keepDigests(ctx context.Context) {
	for _, b := range w.members() {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		d, err := b.Client().Digest(ctx, true)
		cancel()
		var text []byte
		if err == nil {
			text, err = json.MarshalIndent(d, "", " ")
		}
		if err == nil {
			err = w.save(filepath.Join("logs", b.Name+".digest.json"), text)
		}
		if err != nil {
			fmt.Printf("the digest of %s can't be kept: %v\n", b.Name, err)
		}
	}
}

// finish lets all brokers end in good order, at once.
func (w *world) finish(r *report) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, b := range w.members() {
		if n := b.Surprises(); n > 0 {
			r.problem("broker %s has ended by itself %d times; its log is %s", b.Name, n, b.Log)
		}
		all.Go(func() { // all are told at the same time: nobody can hand over
			if err := leaveAtOnce(b); err != nil {
				mu.Lock()
				defer mu.Unlock()
				r.problem("%v", err)
			}
		})
	}
	all.Wait()
}

func leaveAtOnce(b *rig.Broker) error {
	if !b.Running() {
		return nil
	}
	return b.Leave(leaveWithin)
}
