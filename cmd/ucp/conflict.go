package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/resolve"
)

// conflictCommand is `ucp conflict`.
func (c *cli) conflictCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "conflict", Short: "See what was decided between jobs that could not all run"})
	g.AddCommand(c.conflictListCommand(), c.conflictExplainCommand(), c.conflictExportCommand(), c.conflictReplayCommand())
	return g
}

func (c *cli) conflictListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the latest decisions of this broker, the newest first",
		Example: "  ucp conflict list --limit 5", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many, at most")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		l, err := client.Conflicts(ctx, limit)
		if err != nil {
			return err
		}
		return c.show(l, func(w io.Writer) {
			if len(l.Conflicts) == 0 {
				row(w, "no conflicts at this broker: all jobs there fitted together. Each broker remembers what it has decided itself: ask others with --addr")
				return
			}
			row(w, "ID", "TIME", "STRATEGY", "WINNER", "JOBS", "DECIDED")
			for _, k := range l.Conflicts {
				row(w, k.ID, clockTime(k.At), k.Strategy, dash(k.Winner), k.Jobs, k.Sentence)
			}
		})
	})
	return cmd
}

func (c *cli) conflictExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain ID", Short: "Explain a decision: the jobs that competed, their scores, the reasons, and what other strategies would have done",
		Example: "  ucp conflict explain c1795459442000-3", Args: exactArgs("a conflict's ID"), ValidArgsFunction: c.completeConflicts(),
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			b, err := client.Conflict(ctx, args[0], false)
			if err != nil {
				return err
			}
			var e resolve.Explanation
			if err := json.Unmarshal(b, &e); err != nil {
				return fmt.Errorf("the broker's answer: %w", err)
			}
			return c.show(e, func(w io.Writer) { explanationTable(w, &e) })
		}),
	}
}

func explanationTable(w io.Writer, e *resolve.Explanation) {
	row(w, e.Sentence)
	row(w, "")
	row(w, "JOB", "RELATION", "SCORE", "LEVEL", "USER", "URGENCY", "WEIGHT", "WAITING", "WITH INHERITED", "FITS", "AFTER", "OUTCOME")
	for _, list := range [][]resolve.Contender{e.Contenders, e.Holders} {
		for _, k := range list {
			f := k.Factors
			row(w, k.ID, k.Relation, f.Total, f.Emergency, f.User, f.Urgency, f.Compute, f.Waiting, k.Rank, fits(k), dash(strings.Join(k.Past, ", ")), k.Outcome)
		}
	}
	if e.Rest > 0 {
		row(w, fmt.Sprintf("and %d more that waited", e.Rest))
	}
	row(w, "")
	for _, a := range e.Alternative {
		row(w, "under "+string(a.Strategy)+":", a.Sentence)
	}
}

// fits says whether a job found room before the decision, or what it lacked.
func fits(k resolve.Contender) string {
	if k.Fits {
		return "yes"
	}
	return k.Lacks
}

func (c *cli) conflictExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export ID", Short: "Write a conflict as a bundle that can be replayed anywhere",
		Example: "  ucp conflict export c1795459442000-3 > bundle.json", Args: exactArgs("a conflict's ID"), ValidArgsFunction: c.completeConflicts(),
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			b, err := client.Conflict(ctx, args[0], true)
			if err != nil {
				return err
			}
			_, err = c.out.Write(b)
			return err
		}),
	}
}

func (c *cli) conflictReplayCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "replay FILE|-", Short: "Decide a bundle's conflict again, from what was recorded",
		Long: `Decides again, on this machine and without a broker, from the snapshot in the bundle. The
same bundle and strategy give the same bytes everywhere; the bundle's own strategy gives
the bundle. Another version of ucp may say the same decision in other words.`,
		Example: "  ucp conflict replay bundle.json --strategy priority\n  ucp conflict replay bundle.json | cmp - bundle.json",
		Args:    exactArgs("a bundle, or - for stdin"),
	}
	cmd.Flags().StringVar(&name, "strategy", "", "decide by this `STRATEGY` instead of the recorded one")
	must(cmd.RegisterFlagCompletionFunc("strategy", completeStrategy))
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		files := &sources{in: c.in}
		defer files.close()
		content, err := files.open("bundle", args[0])
		if err != nil {
			return err
		}
		b, err := readAtMost(content, resolve.MaxBundle)
		if err != nil {
			return err
		}
		out, err := resolve.Replay(b, resolve.Strategy(name))
		if err != nil {
			return err
		}
		_, err = c.out.Write(out)
		return err
	}
	return cmd
}

// readAtMost reads a file that came from somebody else.
func readAtMost(content api.Content, limit int64) ([]byte, error) {
	r, err := content()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes: that is not a bundle", limit)
	}
	return b, err
}
