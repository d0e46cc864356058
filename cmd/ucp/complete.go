package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// completeTimeout bounds what a press of the tab key waits for.
const completeTimeout = 500 * time.Millisecond

const (
	noFiles = cobra.ShellCompDirectiveNoFileComp
	inOrder = noFiles | cobra.ShellCompDirectiveKeepOrder // the order of the answer says something
)

// offer makes a completion of what a broker says. List returns candidates, each with a description if it likes. A verb that
// takes several arguments is not offered one twice.
func (c *cli) offer(several bool, directive cobra.ShellCompDirective, list func(ctx context.Context, client *api.Client) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		client, ok := c.completer(cmd)
		if !ok || len(args) > 0 && !several {
			return nil, directive
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
		defer cancel()
		out, err := list(ctx, client)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.DeleteFunc(out, func(s string) bool {
			word, _, _ := strings.Cut(s, "\t")
			return slices.Contains(args, word)
		}), directive
	}
}

// completer makes a client for a completion, where no verb has run its checks.
func (c *cli) completer(cmd *cobra.Command) (*api.Client, bool) {
	if c.globalsFromEnv(cmd.Root().PersistentFlags()) != nil {
		return nil, false
	}
	client, err := c.client()
	return client, err == nil
}

// jobsNewestFirst lists the IDs of jobs that keep accepts.
func jobsNewestFirst(keep func(job.State) bool) func(ctx context.Context, client *api.Client) ([]string, error) {
	return func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Jobs(ctx, api.ListOptions{Limit: 50})
		for _, j := range l.Jobs {
			if keep(j.State) {
				out = append(out, cobra.CompletionWithDesc(string(j.ID), string(j.State)))
			}
		}
		return out, err
	}
}

// completeJob completes the only argument with the newest jobs that keep accepts, completeJobs each of several.
func (c *cli) completeJob(keep func(job.State) bool) cobra.CompletionFunc {
	return c.offer(false, inOrder, jobsNewestFirst(keep))
}

func (c *cli) completeJobs(keep func(job.State) bool) cobra.CompletionFunc {
	return c.offer(true, inOrder, jobsNewestFirst(keep))
}

// membersThat lists the names of brokers for which want says yes, as describe describes them.
func membersThat(want func(*api.Member) bool, describe func(*api.Member) string) func(ctx context.Context, client *api.Client) ([]string, error) {
	return func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Members(ctx)
		for _, m := range l.Members {
			if want(&m) {
				out = append(out, cobra.CompletionWithDesc(m.Name, describe(&m)))
			}
		}
		return out, err
	}
}

// completeMembers completes the names of brokers for which want says yes.
func (c *cli) completeMembers(want func(*api.Member) bool) cobra.CompletionFunc {
	return c.offer(false, noFiles, membersThat(func(m *api.Member) bool { return m.Actor != "" && want(m) }, func(m *api.Member) string { return m.Status }))
}

// completeAway completes the names of brokers that are away.
func (c *cli) completeAway() cobra.CompletionFunc {
	return c.offer(false, noFiles, membersThat(func(m *api.Member) bool { return m.Away }, func(m *api.Member) string { return inRoll(m, time.Now()) }))
}

// completeConstraint offers name=BROKER for every live broker.
func (c *cli) completeConstraint() cobra.CompletionFunc {
	return c.offer(true, noFiles, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Members(ctx)
		for _, m := range l.Members {
			if m.Actor != "" && m.Status == "alive" {
				out = append(out, "name="+m.Name)
			}
		}
		return out, err
	})
}

// completeEmergencies offers the IDs that the broker knows.
func (c *cli) completeEmergencies() cobra.CompletionFunc {
	return c.offer(false, inOrder, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Emergencies(ctx)
		for _, e := range l.Emergencies {
			out = append(out, cobra.CompletionWithDesc(string(e.ID), e.Level+", "+emergencyState(&e)))
		}
		return out, err
	})
}

// completeLevels offers what a job can name to have a level: active emergencies, their types, and the levels; these also where no broker
// answers.
func (c *cli) completeLevels() cobra.CompletionFunc {
	known := c.knownLevels()
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if out, directive := known(cmd, args, typed); directive != cobra.ShellCompDirectiveError && len(out) > 0 {
			return out, directive
		}
		return job.Levels(), inOrder
	}
}

// knownLevels offers the same as a broker says it.
func (c *cli) knownLevels() cobra.CompletionFunc {
	return c.offer(true, inOrder, func(ctx context.Context, client *api.Client) (out []string, err error) {
		types, err := activeTypes(ctx, client)
		if err != nil {
			return nil, err
		}
		l, err := client.Emergencies(ctx)
		for _, e := range l.Emergencies {
			if e.Active {
				out = append(out, cobra.CompletionWithDesc(string(e.ID), e.Level+", "+emergencyState(&e)))
			}
		}
		return slices.Concat(out, types, job.Levels()), err
	})
}

// activeTypes lists the types of the emergencies that are active.
func activeTypes(ctx context.Context, client *api.Client) (out []string, err error) {
	l, err := client.Emergencies(ctx)
	for _, e := range l.Emergencies {
		if e.Active && !slices.Contains(out, e.Type) {
			out = append(out, e.Type)
		}
	}
	return out, err
}

// completeConflicts offers the conflicts that the broker remembers.
func (c *cli) completeConflicts() cobra.CompletionFunc {
	return c.offer(false, inOrder, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Conflicts(ctx, 20)
		for _, x := range l.Conflicts {
			out = append(out, x.ID)
		}
		return out, err
	})
}

// completeNames offers the names of the newest jobs.
func (c *cli) completeNames() cobra.CompletionFunc {
	return c.offer(true, inOrder, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Jobs(ctx, api.ListOptions{Limit: 50})
		for _, j := range l.Jobs {
			if j.Name != "" && !slices.Contains(out, j.Name) {
				out = append(out, j.Name)
			}
		}
		return out, err
	})
}

// completeNumbers offers whole numbers, from 0 to the most.
func completeNumbers(most int) cobra.CompletionFunc {
	var out []string
	for i := range most + 1 {
		out = append(out, strconv.Itoa(i))
	}
	return cobra.FixedCompletions(out, inOrder)
}

// completeList offers what may stand behind the last comma of a list.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) (out []string, _ cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		given := strings.Split(before, ",")
		for _, w := range words {
			if !slices.Contains(given, w) {
				out = append(out, before+w)
			}
		}
		return out, inOrder | cobra.ShellCompDirectiveNoSpace
	}
}

// offerNoFiles keeps the shell from offering files for flags that take none, all that nothing else is offered for.
func offerNoFiles(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		form, _ := pflag.UnquoteUsage(f)
		if _, has := cmd.GetFlagCompletionFunc(f.Name); !has && !strings.Contains(form, "FILE") && !strings.Contains(form, "DIR") && !strings.Contains(form, "PATH") {
			must(cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions))
		}
	})
	for _, sub := range cmd.Commands() {
		offerNoFiles(sub)
	}
}
