package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
)

// startSlack is how late after an end was shown a run may still begin: between the
// decision to start and the first line of the program lies the start of a process,
// on a machine with other things to do.
const startSlack = 2 * time.Second

// judge waits until all has ended, and says what the run came to.
func (w *world) judge(ctx context.Context) (*report, error) {
	r := &report{w: w, acknowledged: w.acks.from(0)}
	err := w.whole(ctx, w.o.settle)
	if err != nil {
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
		r.firm = time.Since(w.healed)
	}
	w.scrape(ctx)
	r.verified(ctx)
	if err := w.last(ctx, r); err != nil {
		return nil, err
	}
	for _, b := range w.brokers {
		if n := b.surprises.Load(); n > 0 {
			r.problem("broker %s has ended by itself %d times", b.name, n)
		}
	}
	return r, ctx.Err()
}

// settle asks every broker for every acknowledged job until enough says yes to all
// answers; false when that is not so in time.
func (w *world) settle(ctx context.Context, deadline time.Time, enough func(looked) bool) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	all := w.acks.from(0)
	ok := make([]bool, len(w.brokers))
	var brokers sync.WaitGroup
	for i, b := range w.brokers {
		brokers.Go(func() {
			left := slices.Clone(all)
			for len(left) > 0 {
				left = slices.DeleteFunc(left, func(a acknowledged) bool {
					j, err := w.get(ctx, b, a.task)
					return err == nil && enough(j)
				})
				if len(left) > 0 && pause(ctx, 100*time.Millisecond) != nil {
					return
				}
			}
			ok[i] = true
		})
	}
	brokers.Wait()
	return !slices.Contains(ok, false)
}

// last asks every broker for every job once more, and compares.
func (w *world) last(ctx context.Context, r *report) error {
	answers := make([]map[string]looked, len(w.brokers))
	var brokers sync.WaitGroup
	for i, b := range w.brokers {
		answers[i] = map[string]looked{}
		brokers.Go(func() {
			for _, a := range r.acknowledged {
				if j, err := w.get(ctx, b, a.task); err == nil {
					answers[i][string(a.id)] = j
				} else if !notFound(err) {
					w.complain("%s: %s: %v", a.id, b.name, err)
				}
			}
		})
	}
	brokers.Wait()
	for _, a := range r.acknowledged {
		var shown []api.Job
		var missing []string
		for i, b := range w.brokers {
			j, ok := answers[i][string(a.id)]
			switch {
			case !ok:
				missing = append(missing, fmt.Sprintf("%s does not know it", b.name))
			case !j.State.Final():
				missing = append(missing, fmt.Sprintf("at %s it is %s (%s; owner %s, executor %s)", b.name, j.State, j.Why, j.Owner, j.Executor))
			default:
				shown = append(shown, j.Job)
			}
		}
		if len(missing) > 0 {
			r.lost = append(r.lost, fmt.Sprintf("%s: %s", a.id, strings.Join(missing, ", ")))
		}
		if err := w.examine(r, a, shown); err != nil {
			return err
		}
	}
	return nil
}

// examine looks at one job: what the brokers show at the end, and its runs.
func (w *world) examine(r *report, a acknowledged, shown []api.Job) error {
	for _, j := range shown[min(1, len(shown)):] {
		if endingOf(j) != endingOf(shown[0]) {
			w.witness.twice[a.id] = fmt.Sprintf("%s: at the end one broker shows %v, another %v", a.id, endingOf(shown[0]), endingOf(j))
		}
	}
	runs, err := attempts(a.notes, w.disks())
	if err != nil {
		return err
	}
	for i, x := range runs {
		if at := w.witness.firstAt(a.id, x.broker); !at.IsZero() && x.start.After(at.Add(startSlack)) {
			r.late = append(r.late, fmt.Sprintf("%s: started at %s at %s, which had shown its end at %s", a.id, clockTime(x.start), x.broker, clockTime(at)))
		}
		if a.kind == once && i == 1 {
			r.ranTwice = append(r.ranTwice, fmt.Sprintf("%s: redeploy is false, and it ran in attempts %s at %s and %s at %s", a.id, runs[0].token, runs[0].broker, x.token, x.broker))
		}
	}
	r.moves(runs)
	if len(shown) < len(w.brokers) {
		return nil
	}
	j := shown[0]
	r.finished(a, j, len(runs))
	if what := a.wrong(j, runs); what != "" {
		r.wrong = append(r.wrong, fmt.Sprintf("%s (%s): %s", a.id, a.kind, what))
	}
	return nil
}

// verified lets `ucp cluster verify` compare the brokers.
func (r *report) verified(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	b := r.w.brokers[0]
	out, err := exec.CommandContext(ctx, b.program, "cluster", "verify", "--addr", b.http, "--wait", "60s").CombinedOutput()
	r.verify = "all brokers hold the same"
	if err != nil {
		r.verify = "THEY DIFFER"
		r.problem("ucp cluster verify: %v\n%s", err, out)
	}
}
