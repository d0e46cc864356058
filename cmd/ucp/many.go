package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// atOnce is how many requests a command has under way when it deals with many jobs.
const atOnce = 16

// pipelined gets n things, up to width of them at once, and hands them over in their order, one by one. The first error
// of each ends it; what is under way is then given up. It returns when nothing of it runs any more.
func pipelined[T any](ctx context.Context, n, width int, get func(context.Context, int) (T, error), each func(int, T, error) error) error {
	type result struct {
		value T
		err   error
	}
	var getting sync.WaitGroup
	defer getting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]chan result, n)
	begin := func(i int) {
		results[i] = make(chan result, 1)
		getting.Go(func() {
			v, err := get(ctx, i)
			results[i] <- result{v, err}
		})
	}
	for i := range min(n, width) {
		begin(i)
	}
	for i := range n {
		r := <-results[i]
		results[i] = nil
		if i+width < n {
			begin(i + width)
		}
		if err := each(i, r.value, r.err); err != nil {
			return err
		}
	}
	return nil
}

// awaitMany waits until the jobs have ended, and hands each over, in their order. On a terminal one line shows how all of
// them stand, as count says, or where that is nil how many were handed over. Each reason why no broker takes jobs is said once.
func (c *cli) awaitMany(ctx context.Context, client *api.Client, ids []string, p patience, count func(context.Context) (map[job.State]int, error), each func(api.Job) error) error {
	began := time.Now()
	line := c.newProgress()
	defer line.clear()
	if line.to != nil && count != nil {
		var showing sync.WaitGroup
		defer showing.Wait()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		showing.Go(func() { watchCounts(ctx, line, count) })
	}
	r := c.newReasons(line, "waits, and others may, too")
	p.among, p.silent = r.say, r.saySilent
	get := func(ctx context.Context, i int) (api.Job, error) {
		left := p
		if p.total > 0 {
			left.total = max(p.total-time.Since(began), time.Millisecond)
		}
		return c.follow(ctx, client, ids[i], began, left)
	}
	return pipelined(ctx, len(ids), atOnce, get, func(i int, j api.Job, err error) error {
		line.erase()
		if err == nil {
			err = each(j)
		}
		if count == nil {
			line.show(fmt.Sprintf("%d of %d jobs have ended", i+1, len(ids)))
		}
		return err
	})
}

// reasons says why jobs wait that no broker has taken, and which brokers do not answer that have some: each reason once.
type reasons struct {
	c     *cli
	line  *progress // is on the screen meanwhile
	waits string    // as text, of the job that is named

	mu   sync.Mutex
	said map[string]bool
}

// mostReasons bounds the reasons that are said: there may be one for each job.
const mostReasons = 10

func (c *cli) newReasons(line *progress, waits string) *reasons {
	return &reasons{c: c, line: line, waits: waits, said: map[string]bool{}}
}

func (r *reasons) say(j *api.Job) {
	why := oneLine(j.Why)
	r.once(why, fmt.Sprintf("ucp: job %s %s: %s", j.ID, r.waits, why))
}

// saySilent says, of each broker once, that it does not answer, where a job was last.
func (r *reasons) saySilent(j *api.Job) {
	r.once("silent "+j.Executor, oneLine(fmt.Sprintf("ucp: WARNING: %s, where job %s and maybe others were last, does not answer", j.Executor, j.ID)))
}

func (r *reasons) once(why, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[why] || len(r.said) == mostReasons {
		return
	}
	r.said[why] = true
	r.line.aside(r.c.err, text+"\n")
}

// countsEvery is how often a person is shown how many jobs are in each state.
const countsEvery = time.Second

// watchCounts shows how many jobs are in each state, until ctx ends.
func watchCounts(ctx context.Context, line *progress, count func(context.Context) (map[job.State]int, error)) {
	for ctx.Err() == nil {
		if n, err := count(ctx); err == nil {
			line.show(countsText(n))
		}
		select {
		case <-ctx.Done():
		case <-time.After(countsEvery):
		}
	}
}

// countsText says how many jobs are in each state, and how many in all.
func countsText(n map[job.State]int) string {
	all := 0
	var parts []string
	for _, s := range job.States {
		if n[s] > 0 {
			all += n[s]
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	return strings.TrimSuffix(counted(all, "job: ", "jobs: ")+strings.Join(parts, ", "), ": ")
}

// failures collects what went wrong with some of many.
type failures struct {
	of    int
	texts []string
}

func (f *failures) add(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

// mostTold is how many of many failures are told one by one.
const mostTold = 10

// err says what went wrong, as an error; nil if nothing did.
func (f *failures) err(what string) error {
	if len(f.texts) == 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d %s", len(f.texts), f.of, what)
	for _, t := range f.texts[:min(len(f.texts), mostTold)] {
		text += "\n  " + t
	}
	if more := len(f.texts) - mostTold; more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return fmt.Errorf("%s", text)
}

// howEnded says in a few words how a job has ended.
func howEnded(j *api.Job) string {
	switch {
	case j.Reason != "":
		return string(j.State) + ": " + oneLine(j.Reason)
	case j.ExitCode != nil && *j.ExitCode != 0:
		return fmt.Sprintf("%s: exit code %d", j.State, *j.ExitCode)
	}
	return string(j.State)
}

// idsOf lists the IDs of jobs, the oldest first.
func idsOf(jobs []api.Job) (ids []string) {
	for _, j := range slices.Backward(jobs) {
		ids = append(ids, string(j.ID))
	}
	return ids
}
