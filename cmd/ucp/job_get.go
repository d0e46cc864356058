package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// jobGetCommand is `ucp job get`.
func (c *cli) jobGetCommand() *cobra.Command {
	var token string
	cmd := &cobra.Command{
		Use:     "get ID...",
		Aliases: []string{"show"},
		Short:   "Show all that the broker knows of jobs",
		Long: `Shows all that the broker knows of a job. Copies says on how many of the brokers that
are to hold the output of a finished job all of it is: all brokers are asked for that.`,
		Example:           "  ucp job get k7m2p9q4\n  ucp job get k7m2p9q4 t5x8w3d1 -o json",
		Args:              someArgs("a job ID"),
		ValidArgsFunction: c.completeJobs(anyState),
		RunE: c.reading(func(ctx context.Context, client *api.Client, args []string) error {
			all := api.JobList{Jobs: []api.Job{}}
			get := func(ctx context.Context, i int) (api.Job, error) { return client.JobWithCopies(ctx, args[i], token) }
			err := pipelined(ctx, len(args), atOnce, get, func(_ int, j api.Job, err error) error {
				all.Jobs, all.AsOf = append(all.Jobs, j), j.AsOf
				return err
			})
			switch {
			case err != nil:
				return err
			case len(args) == 1:
				return c.show(all.Jobs[0], func(w io.Writer) { jobTable(w, &all.Jobs[0]) })
			}
			return c.show(all, func(w io.Writer) {
				for i := range all.Jobs {
					if i > 0 {
						fmt.Fprintln(w)
					}
					jobTable(w, &all.Jobs[i])
				}
			})
		}),
	}
	cmd.Flags().StringVar(&token, "causal-token", "", "`TOKEN` of an earlier answer (-o json): wait until this broker knows at least that much")
	return cmd
}

// jobTable shows a job, one field a line; what has no value is left out.
func jobTable(w io.Writer, j *api.Job) {
	field := func(name, value string) {
		if value != "" && value != "-" {
			row(w, name+":", value)
		}
	}
	field("ID", string(j.ID))
	field("State", stateText(j))
	field("Why", j.Why)
	if j.Losses > 0 {
		field("Losses", plural(int(j.Losses), "broker was", "brokers were")+" lost while it ran there")
	}
	var displaced []string
	for _, id := range j.Displaced {
		displaced = append(displaced, string(id))
	}
	field("Displaced", strings.Join(displaced, ", "))
	field("Emergency", j.Emergency)
	field("No level", j.NoLevel)
	for _, p := range j.Pauses {
		field("Made room", pauseLine(&p, j.AsOf))
	}
	field("Reason", j.Reason)
	if j.ExitCode != nil {
		field("Exit code", exitText(j.ExitCode))
	}
	field("Submitter", j.Submitter)
	field("Origin", j.Origin)
	field("Owner", j.Owner)
	field("Executor", dash(j.Executor))
	if j.Attempt > 0 {
		field("Attempt", fmt.Sprintf("%d (retry %d)", j.Attempt, j.Try))
	}
	for _, a := range j.Attempts {
		field("Attempts", attemptLine(&a, j.AsOf))
	}
	field("Submitted", clockTime(j.SubmittedAt))
	started := clockTime(j.StartedAt)
	if p := wentOn(j); p != nil {
		started += ", when it went on after a pause; it had begun before " + shortTime(p.From, j.AsOf)
	}
	field("Started", started)
	field("Finished", clockTime(j.FinishedAt))
	field("Took", took(j, j.AsOf))
	specFields(field, j)
	resultFields(field, j)
	field("Known by", fmt.Sprintf("%d of %d brokers, as of %s", j.KnownBy, j.Members, j.AsOf.UTC().Format("15:04:05 MST")))
}

// attemptLine says where and when an attempt ran, and how it stands or ended.
func attemptLine(a *api.Attempt, asOf time.Time) string {
	text := "at " + a.Executor + ": " + a.State
	if a.State == job.AttemptEarlier {
		return "an earlier one, of which no more is known (" + a.Attempt + ")"
	}
	switch {
	case a.StartedAt != 0 && a.EndedAt != 0:
		text += fmt.Sprintf(", %s to %s", shortTime(a.StartedAt, asOf), shortTime(a.EndedAt, asOf))
	case a.StartedAt != 0:
		text += ", started " + shortTime(a.StartedAt, asOf)
	case a.EndedAt != 0:
		text += ", " + shortTime(a.EndedAt, asOf)
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	if a.Began {
		text += "; it may have run"
	}
	if a.Kept != nil {
		if names := keptNames(a.Kept); len(names) > 0 {
			text += "; kept: " + strings.Join(names, ", ")
		}
	}
	return text + " (" + a.Attempt + ")"
}

// keptNames lists what is kept of an attempt.
func keptNames(k *api.Kept) (names []string) {
	if k.Stdout != nil {
		names = append(names, "stdout")
	}
	if k.Stderr != nil {
		names = append(names, "stderr")
	}
	return append(names, slices.Sorted(maps.Keys(k.Outputs))...)
}

// pauseLine is one pause of a job.
func pauseLine(p *api.Pause, asOf time.Time) string {
	text := fmt.Sprintf("for %s at %s, %s", p.For, p.At, shortTime(p.From, asOf))
	if p.To == 0 {
		text += " until now"
	} else {
		text += fmt.Sprintf(" for %s", humanDuration(p.To.Time().Sub(p.From.Time())))
	}
	if p.Mode == job.Requeue {
		text += "; it started again"
	}
	if p.Emergency != "" {
		text += ", because of " + p.Emergency
	}
	return text
}

func stateText(j *api.Job) string {
	text := stateIn(j)
	if j.Silent {
		text += " (" + j.Executor + " does not answer: nobody here knows)"
	}
	if j.Removed {
		if j.Executor != "" {
			text += " on " + j.Executor
		}
		text += "; its output was removed, since its retention is over"
	}
	if j.SetAside {
		text += " (set aside)"
	}
	if j.Provisional && j.State.Final() {
		text += " (provisional: it may still change" + strings.TrimSuffix(", "+j.ProvisionalUntil, ", ") + ")"
	}
	return text
}

func specFields(field func(name, value string), j *api.Job) {
	s := j.Spec
	if s == nil {
		return
	}
	field("Name", s.Name)
	what := "module " + string(s.Module)
	if j.Module != nil {
		what = "module " + moduleText(j.Module, j.AsOf)
	}
	if s.Command != "" {
		what = "command " + s.Command
	}
	field("Runs", what)
	if len(s.Args) > 0 {
		field("Args", fmt.Sprintf("%q", s.Args))
	}
	field("Inputs", strings.Join(inputsText(s), ", "))
	field("Writes", strings.Join(sortedPairs(s.NamedOutputs), ", "))
	field("Asks for", fmt.Sprintf("%s, %s memory, %s disk", job.Cores(s.Resources.CPU), humanBytes(s.Resources.Memory), humanBytes(s.DiskLimit())))
	var devices []string
	for _, name := range slices.Sorted(maps.Keys(s.Resources.Devices)) {
		devices = append(devices, fmt.Sprintf("%s=%d", name, s.Resources.Devices[name]))
	}
	field("Devices", strings.Join(devices, ", "))
	field("Exclusive", s.Exclusive)
	field("After", afterText(s))
	field("Keeps", keepsText(s.Checkpoint))
	field("Checkpoint", checkpointText(j))
	field("Labels", strings.Join(sortedPairs(s.Labels), ", "))
	field("Constraints", strings.Join(s.Constraints, "; "))
}

// afterText says after which jobs and arrays a job runs.
func afterText(s *job.Spec) string {
	var parts []string
	for _, id := range s.After {
		parts = append(parts, string(id))
	}
	if len(parts) > 0 && s.AfterPolicy == job.AfterEnd {
		parts[len(parts)-1] += " (any end)"
	}
	return strings.Join(parts, ", ")
}

// moduleText says which version of named data a module is.
func moduleText(m *api.Module, now time.Time) string {
	return fmt.Sprintf("data:%s, %s, as it was written at %s by %s", m.Name, m.Digest, shortTime(m.At, now), m.Broker)
}

// keepsText says what is kept of a job while it runs, and when.
func keepsText(c *job.Checkpointing) string {
	if c == nil {
		return ""
	}
	text := strings.Join(c.Paths, ", ") + " when its program says so"
	switch every := time.Duration(c.Every); {
	case c.Signal != "":
		text += ", asked by " + c.Signal + " every " + every.String()
	case every > 0:
		text += ", and every " + every.String()
	}
	return text
}

// checkpointText says from where the job goes on if its broker is lost.
func checkpointText(j *api.Job) string {
	c := j.Checkpoint
	switch {
	case j.Spec.Checkpoint == nil || j.State.Final():
		return ""
	case c == nil:
		return "none yet: its next attempt would begin from the beginning"
	}
	text := fmt.Sprintf("after %v of running, %s, taken at %s", (time.Duration(c.Ran) * time.Millisecond).Round(time.Second), humanBytes(c.Bytes), shortTime(c.At, j.AsOf))
	if len(c.Holders) > 0 {
		text += ", at " + strings.Join(c.Holders, ", ")
	}
	if c.Earlier {
		text += "; this attempt goes on from it"
	}
	return text
}

// inputsText names the inputs, and those that come from other jobs with where they do.
func inputsText(s *job.Spec) (out []string) {
	for _, path := range slices.Sorted(maps.Keys(s.Inputs)) {
		if text := s.Inputs[path]; job.IsSource(text) {
			path += " (" + text + ")"
		}
		out = append(out, path)
	}
	if text := string(s.Stdin); job.IsSource(text) {
		out = append(out, "stdin ("+text+")")
	}
	return out
}

// copiesLine says where the output of a job is.
func copiesLine(c *api.Copies) string {
	text := fmt.Sprintf("%d of %d", len(c.Holders), c.Want)
	if len(c.Holders) > c.Want {
		text = fmt.Sprintf("%d, %d are wanted", len(c.Holders), c.Want)
	}
	switch {
	case len(c.Holders) > 0:
		text += " (" + strings.Join(c.Holders, ", ") + ")"
	case len(c.Silent)+len(c.GivenUp) > 0:
		text += ": the output is out of reach, or LOST"
	default:
		text += ": the output is LOST"
	}
	if len(c.Silent) > 0 {
		text += "; no answer of " + strings.Join(c.Silent, ", ")
	}
	if len(c.GivenUp) > 0 {
		text += "; given up: " + strings.Join(c.GivenUp, ", ")
	}
	return text
}

// whatCounts says which end of a job that has ended twice is its end.
func whatCounts(j *api.Job) string {
	if j.Accepted != nil {
		return fmt.Sprintf("%s's result came first and counts", j.Accepted.Executor)
	}
	return fmt.Sprintf("the job had ended before: %s", j.State)
}

func resultFields(field func(name, value string), j *api.Job) {
	if j.Stdout != nil {
		field("Stdout", humanBytes(j.Stdout.Size))
	}
	if j.Stderr != nil {
		field("Stderr", humanBytes(j.Stderr.Size))
	}
	for _, path := range slices.Sorted(maps.Keys(j.Outputs)) {
		size := humanBytes(j.Outputs[path].Size)
		if job.IsDirectory(path) {
			size = "a directory"
		}
		field("Output", fmt.Sprintf("%s (%s)", path, size))
	}
	if j.Copies != nil {
		field("Copies", copiesLine(j.Copies))
	}
	if j.Accepted != nil {
		for _, x := range j.Accepted.Read {
			was := "it ended"
			if _, isData := x.Job.Data(); isData {
				was = "it was written"
			}
			field("Has read", fmt.Sprintf("%s, as %s at %s by %s", x.Job, was, shortTime(x.At, j.AsOf), x.By))
		}
	}
	for _, r := range j.Rejected {
		field("Ran twice", fmt.Sprintf("%s %s at %s, too; %s (its output: attempt %s)", r.Executor, r.Outcome, shortTime(r.At, j.AsOf), whatCounts(j), r.Attempt))
	}
	for _, v := range j.Superseded {
		if v.Result == nil || !slices.ContainsFunc(j.Rejected, func(r api.Accepted) bool { return r.Attempt == v.Result.Attempt }) {
			field("Ended twice", fmt.Sprintf("%s ended it at %s, too (%s); %s", v.By, shortTime(v.At, j.AsOf), v.Outcome, whatCounts(j)))
		}
	}
	if len(j.SameID) > 0 {
		field("Same ID", strings.Join(j.SameID, ", "))
	}
}
