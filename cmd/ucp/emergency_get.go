package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

func (c *cli) emergencyGetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Aliases: []string{"show"}, Short: "Show an emergency and its effects: which of its jobs wait, and why; which jobs were stopped, for which, for how long",
		Example: "  ucp emergency get flood-3f9a21\n  ucp emergency get flood -o json", Args: exactArgs("an emergency's ID"), ValidArgsFunction: c.completeEmergencies(),
		RunE: c.reading(func(ctx context.Context, client *api.Client, args []string) error {
			e, err := client.Emergency(ctx, args[0])
			if err != nil {
				return err
			}
			waits := waitingOf(ctx, client, &e)
			return c.show(e, func(w io.Writer) { emergencyTable(w, &e, waits) })
		}),
	}
}

func emergencyTable(w io.Writer, e *api.Emergency, waits []string) {
	field := func(name, value string) {
		if value != "" && value != "-" {
			row(w, name+":", value)
		}
	}
	field("ID", string(e.ID))
	field("Type", e.Type)
	field("Level", e.Level)
	field("State", emergencyState(e))
	field("Scope", strings.Join(e.Scope, ", "))
	field("Selects", strings.Join(e.Select, ", "))
	field("Message", e.Message)
	if e.DeclaredAt != 0 {
		field("Declared", clockTime(e.DeclaredAt)+", last changed at "+dash(e.DeclaredBy))
	}
	if e.PassedOver != nil && !e.Cleared {
		field("BUT", passedOver(e))
	}
	field("Until", clockTime(e.Until))
	if e.Cleared {
		field("Cleared", clockTime(e.ClearedAt)+" at "+dash(e.ClearedBy))
	}
	for i, line := range reachLines(e) {
		if i > 0 {
			row(w, "", line)
			continue
		}
		field("Reach", line)
	}
	for i, line := range waits {
		name := ""
		if i == 0 {
			name = "Waits:"
		}
		row(w, name, line)
	}
	if e.Heard {
		field("Record", "not here yet: it is known from an event")
	}
	if len(e.Effects) == 0 {
		field("Caused", "nothing: no running job had to make room")
		return
	}
	caused := "1 pause of a job"
	if e.Caused != 1 {
		caused = fmt.Sprintf("%d pauses of jobs", e.Caused)
	}
	field("Caused", caused)
	fmt.Fprintln(w)
	row(w, "JOB", "NOW", "AT", "MODE", "FOR", "FROM", "TO", "LASTED")
	for _, x := range e.Effects {
		to := shortTime(x.To, e.AsOf)
		if x.To == 0 {
			to = "still"
		}
		row(w, x.Job, x.State, x.At, x.Mode, x.For, shortTime(x.From, e.AsOf), to, humanDuration(time.Duration(x.Lasted)))
	}
}

// passedOver says which terms do not stand, since the present ones were declared meanwhile by somebody who had not heard of them.
func passedOver(e *api.Emergency) string {
	p := e.PassedOver
	text := "level " + p.Level
	if len(p.Scope) > 0 {
		text += " where " + strings.Join(p.Scope, " and ")
	} else if len(e.Scope) > 0 {
		text += " for all brokers"
	}
	if len(p.Select) > 0 {
		text += " for jobs with " + strings.Join(p.Select, " and ")
	}
	return fmt.Sprintf("%s was declared at %s at %s, neither having heard of the other, and does not stand: the later one does. Declare what is to be: `ucp emergency declare --id %s --level %s`",
		text, cmp.Or(p.DeclaredBy, "a stock command line"), clockTime(p.DeclaredAt), e.ID, p.Level)
}

// waitingOf says which jobs of an emergency that is active do not run, the oldest first, where they wait, and why.
func waitingOf(ctx context.Context, client *api.Client, e *api.Emergency) []string {
	if !e.Active {
		return nil
	}
	l, err := listJobs(ctx, client, api.ListOptions{States: unfinishedStates(), Emergency: string(e.ID)}, screenAsks)
	if err != nil {
		return []string{"not known: " + err.Error()}
	}
	l.Jobs = slices.DeleteFunc(l.Jobs, func(j api.Job) bool { return j.Emergency+j.NoLevel == "" || runsNow(j.State) })
	if len(l.Jobs) == 0 {
		return []string{"no job of it, that is known here"}
	}
	slices.SortStableFunc(l.Jobs, func(a, b api.Job) int { return cmp.Compare(a.SubmittedAt, b.SubmittedAt) })
	lines := []string{jobCount(len(l.Jobs), &l)}
	return append(lines, shown(&l, func(j *api.Job) string {
		return fmt.Sprintf("%s, %s for %s: %s", called(j), stateIn(j), ago(j.SubmittedAt, l.AsOf), cmp.Or(noteOf(j), "no reason is known here"))
	}, "--emergency "+string(e.ID))...)
}

// runsNow reports whether a job is carried out, or about to be.
func runsNow(s job.State) bool { return s == job.StateRunning || s == job.StateStarting }
