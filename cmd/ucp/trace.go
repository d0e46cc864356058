package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const traceHelp = `Writes what is known of jobs in time in the trace event format, which https://ui.perfetto.dev
and chrome://tracing open, both without sending it anywhere. Brokers are processes; a thread
is a slot, in which one job ran at a time, or a place in the queue. A job is queued (also
starting or loading) until it runs; while it is suspended, its slot has a gap; an arrow leads
from one broker to the next where it has moved. Decisions, attempts that were returned and
results that came too late are marks at the broker where they happened, emergencies marks
across all. A span that has not ended lasts until the broker has answered.

It is drawn from what the broker says of the jobs now. Of several attempts at one start of a
broker only the latest is known, and those that were returned: what is not known is left
out, and where a beginning or an end is not known, the span says so. Each broker remembers
its own latest decisions: all that answer are asked, and who does not is said.

Name jobs by their IDs, or choose them by flags, all of which must hold, or say --all.`

// decisionsAsked bounds how many decisions each broker is asked for.
const decisionsAsked = 1000

// traceFlags is what `ucp trace` was told.
type traceFlags struct {
	selection
	all   bool
	since time.Duration
}

// traceCommand is `ucp trace`: jobs in time, for a viewer of traces.
func (c *cli) traceCommand() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use: "trace ID...", Short: "Write jobs in time as a trace for Perfetto and chrome://tracing", Long: traceHelp,
		Example:           "  ucp trace k7m2p9q4 > trace.json\n  ucp trace --all > trace.json\n  ucp trace --all --since 1h > trace.json\n  ucp trace --label batch=7 > trace.json",
		ValidArgsFunction: c.completeJobs(anyState),
	}
	c.selectBy(cmd, &f.selection)
	cmd.Flags().BoolVar(&f.all, "all", false, "all jobs that the broker knows")
	cmd.Flags().DurationVar(&f.since, "since", 0, "of those that are chosen, jobs that are unfinished, or have ended within this `duration`")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case f.since < 0:
			return fmt.Errorf("--since %v: a duration from now back, such as 1h", f.since)
		case f.since > 0 && len(args) > 0:
			return fmt.Errorf("--since and %q: of jobs that are named all is written", args[0])
		case f.all && len(args) > 0:
			return fmt.Errorf("--all and %q: give one or the other", args[0])
		case f.all || f.since > 0 && len(args) == 0:
			return nil
		}
		return f.idsOrSelection(cmd, args)
	}
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		t, err := c.gather(ctx, client, &f, args)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(c.out)
		if err := writeTrace(w, t); err != nil {
			return err
		}
		return w.Flush()
	})
	return cmd
}

// history is what is known of jobs in time, as brokers have said it.
type history struct {
	asked       string          // the broker that has told of the jobs
	asOf        time.Time       // when the latest of them was told of
	jobs        []api.Job       // the earliest submitted first
	only        map[string]bool // IDs of the jobs that decisions must concern; nil: all decisions
	brokers     []string        // all that are known, also without jobs
	decisions   []decision
	emergencies []api.Emergency
	unknown     []string // what could not be found out, and why
}

// decision is one that a broker has made.
type decision struct {
	broker string
	api.Conflict
}

// gather asks for all that is drawn. Jobs must be known; what else is not known is told.
func (c *cli) gather(ctx context.Context, client *api.Client, f *traceFlags, ids []string) (*history, error) {
	h := &history{unknown: []string{}}
	chosen := len(ids) == 0
	if chosen {
		o, err := f.options()
		if err != nil {
			return nil, err
		}
		if f.since > 0 {
			o.Since = time.Now().Add(-f.since)
		}
		l, err := listJobs(ctx, client, o, 0)
		if err != nil {
			return nil, err
		}
		if len(l.Jobs) == 0 && !f.all {
			return nil, errors.New("no job matches; nothing is written" + f.meant(ctx, client))
		}
		ids, h.asOf = idsOf(l.Jobs), l.AsOf
	}
	line := c.newProgress()
	defer line.clear()
	get := func(ctx context.Context, i int) (api.Job, error) { return client.Job(ctx, ids[i], 0) }
	err := pipelined(ctx, len(ids), atOnce, get, func(i int, j api.Job, err error) error {
		var gone *api.Error
		if errors.As(err, &gone) && (gone.Code == api.CodeNotFound || gone.Code == api.CodeGone) && chosen {
			h.unknown = append(h.unknown, fmt.Sprintf("job %s: %v", ids[i], err)) // forgotten while the others were asked for
			return nil
		}
		if err == nil {
			h.jobs = append(h.jobs, j)
			line.show(fmt.Sprintf("%d of %d jobs", i+1, len(ids)))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range h.jobs {
		if h.jobs[i].AsOf.After(h.asOf) {
			h.asOf = h.jobs[i].AsOf
		}
	}
	slices.SortStableFunc(h.jobs, func(a, b api.Job) int {
		return cmp.Or(cmp.Compare(a.SubmittedAt, b.SubmittedAt), cmp.Compare(a.ID, b.ID))
	})
	if !f.all {
		h.only = map[string]bool{}
		for i := range h.jobs {
			h.only[string(h.jobs[i].ID)] = true
		}
	}
	h.addRest(ctx, client)
	for _, text := range h.unknown {
		line.aside(c.err, "ucp: not known: "+oneLine(text)+"\n")
	}
	return h, nil
}

// addRest asks for what is around the jobs: brokers, their decisions, emergencies.
func (h *history) addRest(ctx context.Context, client *api.Client) {
	l, err := client.Emergencies(ctx)
	if err != nil {
		h.unknown = append(h.unknown, fmt.Sprintf("emergencies: %v", err))
	}
	h.emergencies = l.Emergencies
	members, err := client.Members(ctx)
	if err != nil {
		h.unknown = append(h.unknown, fmt.Sprintf("brokers: %v", err))
		h.addDecisions(ctx, "the broker", client)
		return
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, m := range members.Members {
		counts, wrong := toCompare(&m)
		switch {
		case m.Self:
			h.asked = m.Name
			h.addDecisions(ctx, m.Name, client)
		case counts:
			asking.Go(func() {
				part := history{only: h.only}
				there, err := client.At(m.HTTPAddr)
				if err == nil {
					defer there.Close()
					part.addDecisions(ctx, m.Name, there)
				} else {
					part.unknown = []string{fmt.Sprintf("decisions of %s: %v", m.Name, err)}
				}
				mu.Lock()
				defer mu.Unlock()
				h.decisions, h.unknown = append(h.decisions, part.decisions...), append(h.unknown, part.unknown...)
			})
		case wrong != "":
			mu.Lock()
			h.unknown = append(h.unknown, fmt.Sprintf("decisions of %s: it %s", m.Name, wrong))
			mu.Unlock()
		}
		if m.Actor != "" {
			h.brokers = append(h.brokers, m.Name)
		}
	}
	asking.Wait()
	slices.Sort(h.unknown)
	slices.SortFunc(h.decisions, func(a, b decision) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.broker, b.broker), cmp.Compare(a.ID, b.ID))
	})
}

// otherWithin is how long another broker may take to tell its decisions.
const otherWithin = 5 * time.Second

// addDecisions asks one broker for its decisions.
func (h *history) addDecisions(ctx context.Context, broker string, client *api.Client) {
	ctx, cancel := context.WithTimeoutCause(ctx, otherWithin, fmt.Errorf("%w within %v", api.ErrSilent, otherWithin))
	defer cancel()
	l, err := client.Conflicts(ctx, decisionsAsked)
	if err != nil {
		h.unknown = append(h.unknown, fmt.Sprintf("decisions of %s: %v", broker, err))
		return
	}
	for _, x := range l.Conflicts {
		if h.only == nil || h.only[x.Winner] || slices.ContainsFunc(x.IDs, func(id string) bool { return h.only[id] }) {
			h.decisions = append(h.decisions, decision{broker, x})
		}
	}
}
