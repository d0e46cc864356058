package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// selection chooses jobs by what they are, where a verb does not name them by their IDs.
type selection struct {
	states, labels          []string
	name, broker, emergency string
	submitter               string
	mine                    bool
}

// selectHelp says to verbs that take IDs what else they take.
const selectHelp = `Name the jobs by their IDs, all of an array by the array's ID, or choose them by
--state, --label, --name, --broker, --emergency, --submitter and --mine; all that are
given must hold.`

// selectBy gives a verb the flags of a selection.
func (c *cli) selectBy(cmd *cobra.Command, s *selection) {
	f := cmd.Flags()
	f.StringSliceVar(&s.states, "state", nil, "jobs in this `STATE`, or one of several, with commas between them: "+stateNames())
	f.StringArrayVar(&s.labels, "label", nil, "jobs whose labels meet `CONDITION`: k=v, k!=v, \"k in (a,b)\" or k; repeatable, all must hold")
	f.StringVar(&s.name, "name", "", "jobs with this `NAME`; with a final *, whose name begins so")
	f.StringVar(&s.broker, "broker", "", "jobs placed at the broker `NAME`, or with an attempt there")
	f.StringVar(&s.emergency, "emergency", "", "jobs that name the emergency `ID` or type, have their level of it, or made room because of it")
	f.StringVar(&s.submitter, "submitter", "", "jobs that `NAME` has submitted, a member of the city or the subject of a token")
	f.BoolVar(&s.mine, "mine", false, "jobs that you have submitted")
	must(cmd.RegisterFlagCompletionFunc("state", completeList(strings.Split(stateNames(), ", "))))
	must(cmd.RegisterFlagCompletionFunc("name", c.completeNames()))
	must(cmd.RegisterFlagCompletionFunc("broker", c.completeMembers(func(*api.Member) bool { return true })))
	must(cmd.RegisterFlagCompletionFunc("emergency", c.completeLevels()))
}

// given reports whether anything is chosen.
func (s *selection) given() bool {
	return len(s.states) > 0 || len(s.labels) > 0 || s.name != "" || s.broker != "" || s.emergency != "" || s.submitter != "" || s.mine
}

// options are what the broker is asked for. What is written wrong is an error.
func (s *selection) options() (api.ListOptions, error) {
	o := api.ListOptions{Labels: s.labels, Name: s.name, Broker: s.broker, Emergency: s.emergency, Submitter: s.submitter, Mine: s.mine}
	for _, text := range s.states {
		if !slices.Contains(job.States, job.State(text)) {
			return o, fmt.Errorf("--state %q: %s", text, label.OneOf(text, strings.Split(stateNames(), ", ")))
		}
		o.States = append(o.States, job.State(text))
	}
	for _, text := range s.labels {
		if _, err := label.ParseSelector(text); err != nil {
			return o, fmt.Errorf("--label: %w", err)
		}
	}
	return o, nil
}

// chosen lists the jobs that are chosen in one of the states, all of them; those that start are among those that run. None is an
// error, which says so if there are such jobs in other states.
func (s *selection) chosen(ctx context.Context, client *api.Client, states []job.State) ([]api.Job, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	all := o
	switch {
	case len(o.States) == 0:
		o.States = states
	case slices.Contains(o.States, job.StateRunning) && !slices.Contains(o.States, job.StateStarting):
		o.States = append(o.States, job.StateStarting) // who is to be stopped, or waited for, may have been started this moment
	}
	l, err := listJobs(ctx, client, o, 0)
	if err != nil || len(l.Jobs) > 0 {
		return l.Jobs, err
	}
	if len(all.States) == 0 && len(states) > 0 {
		if l, err := listJobs(ctx, client, all, 1); err == nil && len(l.Jobs) > 0 {
			what := "all jobs that match have ended"
			if slices.Contains(states, job.StateSucceeded) {
				what = "no job that matches has ended yet"
			}
			return nil, errors.New(what + "; nothing is done")
		}
	}
	return nil, errors.New("no job matches; nothing is done" + s.meant(ctx, client))
}

// meant says, where no job was found, which broker or emergency was probably meant; "" when it can't say.
func (s *selection) meant(ctx context.Context, client *api.Client) string {
	var near []string
	if s.broker != "" {
		if l, err := client.Members(ctx); err == nil {
			var names []string
			for _, m := range l.Members {
				names = append(names, m.Name)
			}
			near = append(near, label.Slip(s.broker, names))
		}
	}
	if s.emergency != "" {
		names := job.Levels()
		if l, err := client.Emergencies(ctx); err == nil {
			for _, e := range l.Emergencies {
				names = append(names, string(e.ID), e.Type)
			}
		}
		near = append(near, label.Slip(s.emergency, names))
	}
	if near = slices.DeleteFunc(near, func(n string) bool { return n == "" }); len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, ", ") + "?"
}

// idsOrSelection wants IDs, or a selection instead of them.
func (s *selection) idsOrSelection(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && !s.given():
		return fmt.Errorf("`%s` needs a job ID, or a choice such as --label k=v; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
	case len(args) > 0 && s.given():
		return fmt.Errorf("%q and a choice of jobs by flags: give one or the other; see `%s --help`", args[0], cmd.CommandPath())
	}
	return noneEmpty(cmd, args, "a job ID")
}

// unfinishedStates are those of jobs that go on.
func unfinishedStates() []job.State { return statesThat(unfinished) }

// finalStates are those of jobs that have ended.
func finalStates() []job.State { return statesThat(finishedState) }

func statesThat(are func(job.State) bool) []job.State {
	return slices.DeleteFunc(slices.Clone(job.States), func(s job.State) bool { return !are(s) })
}
