package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

const eventsHelp = `Shows what happens, line by line, as the broker comes to know it: emergencies that are
declared, changed, cleared or over; jobs that make room for others; nodes that come and go;
brokers with which messages pass no longer, or again (health), or which take no jobs; changes
of the strategy; results that do not count, since a job ran twice in a split (--kinds rejected;
-o json calls them "kind": "job", "what": "rejected"). With --kinds job every job's states
instead, these results among them, all at once with
--kinds emergency,preemption,job,member,health,strategy,data. It goes on until it is interrupted, or the
broker ends.

With --since it begins with what has happened since then. The broker keeps the latest 2,048
events of its present start, and as many states of jobs, which it notes only while somebody
asks for them. With -o json each event is a line, with a "cursor": --after CURSOR goes on
behind it. What is not known any more is told, as an event of the kind "lost". What this
broker does not hear of is not shown: see "ucp job list" and "ucp emergency get".`

// watching is what `ucp events` was told.
type watching struct {
	kinds, job, broker string
	since, after       string
	noFollow           bool
}

// errCurrent ends a stream of which only what has happened is wanted.
var errCurrent = errors.New("all that has happened is told")

// eventsCommand is `ucp events`: what happens, and what has happened.
func (c *cli) eventsCommand() *cobra.Command {
	var f watching
	cmd := &cobra.Command{
		Use: "events", Short: "Follow what happens: emergencies, preemptions, nodes, jobs", Long: eventsHelp,
		Example: "  ucp events\n  ucp events --kinds emergency,preemption\n  ucp events --kinds rejected --since 24h   # what ran twice\n  ucp events --since 1h --no-follow\n  ucp events --job k7m2p9q4\n  ucp events --broker van-3 -o json", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&f.kinds, "kinds", "", "`KIND,...`: "+strings.Join(api.EventKinds, ", ")+" (default: all but job and data)")
	cmd.Flags().StringVar(&f.job, "job", "", "only the states of the job `ID`, and who makes room for whom")
	cmd.Flags().StringVar(&f.broker, "broker", "", "only what is about the broker `NAME`, or about what is placed there")
	cmd.Flags().StringVar(&f.since, "since", "", "begin with what has happened since `TIME`: 2026-01-31T15:04:05Z, or a duration such as 10m")
	cmd.Flags().StringVar(&f.after, "after", "", "begin behind the event with this `CURSOR` (of a line of -o json)")
	cmd.Flags().BoolVar(&f.noFollow, "no-follow", false, "end when all that has happened is shown")
	must(cmd.RegisterFlagCompletionFunc("kinds", completeList(api.EventKinds)))
	must(cmd.RegisterFlagCompletionFunc("job", c.completeJobs(anyState)))
	must(cmd.RegisterFlagCompletionFunc("broker", c.completeMembers(func(*api.Member) bool { return true })))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		o, err := f.options()
		if err != nil {
			return err
		}
		ctx, stop := c.interruptible(ctx)
		defer stop()
		cursor := f.after
		err = client.Events(ctx, o, func(e api.Event) error {
			if e.Cursor != "" {
				cursor = e.Cursor
			}
			return c.showEvent(&e)
		})
		if ctx.Err() != nil || errors.Is(err, errCurrent) {
			return nil // interrupted: that is how one ends it
		}
		if cursor != "" && err != nil && c.format == formatJSON {
			err = fmt.Errorf("%w; --after %s goes on behind the last line", err, cursor)
		}
		return err
	})
	return cmd
}

// options are what the broker is asked for. What is written wrong is an error.
func (f *watching) options() (o api.EventOptions, err error) {
	if f.kinds != "" {
		o.Kinds = strings.Split(f.kinds, ",")
	}
	for _, k := range o.Kinds { // of all events the broker knows best which kinds it has
		if f.job != "" && !slices.Contains(api.EventKinds, k) {
			return o, fmt.Errorf("--kinds %q: %s", k, label.OneOf(k, api.EventKinds))
		}
	}
	if f.since != "" && f.after != "" {
		return o, errors.New("--since and --after: give one or the other")
	}
	if f.since != "" {
		d, err := time.ParseDuration(f.since)
		if _, wrong := time.Parse(time.RFC3339, f.since); wrong != nil && (err != nil || d < 0) {
			return o, fmt.Errorf("--since %q: write 2026-01-31T15:04:05Z, or a duration from now back such as 10m", f.since)
		}
	}
	if strings.ContainsFunc(f.after, label.Misleads) {
		return o, fmt.Errorf("--after %q: that is no cursor", f.after)
	}
	o.Job, o.Broker, o.Since, o.After = f.job, f.broker, f.since, f.after
	if f.noFollow {
		o.Current = func() error { return errCurrent }
	}
	return o, nil
}

// showEvent prints one event: a line of JSON, or one for a person, with its day where that is not today.
func (c *cli) showEvent(e *api.Event) error {
	if c.format == formatJSON {
		b, err := json.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(c.out, "%s\n", b)
		}
		return err
	}
	at := e.At.UTC()
	form := "15:04:05.000"
	if now := time.Now().UTC(); now.YearDay() != at.YearDay() || now.Year() != at.Year() {
		form = "2006-01-02 " + form
	}
	_, err := fmt.Fprintf(c.out, "%s  %-10s  %s\n", at.Format(form), e.Kind, oneLine(e.Text))
	return err
}
