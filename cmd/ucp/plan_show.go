package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/plan"
)

// planCheckCommand is `ucp plan check`.
func (c *cli) planCheckCommand() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "check FILE|-",
		Short: "Check a plan without running it",
		Long: `Reads a plan and its files, and says all that is wrong with it, each mistake with its line:
jobs that wait for one another, names that nothing has, files that are not there, values that no broker
takes, and what would be too large. It asks no broker. The exit code is 1 when something is wrong.`,
		Example:           "  ucp plan check quake.yaml",
		Args:              exactArgs("the file of a plan, or - for stdin"),
		ValidArgsFunction: completePlanFiles,
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` that the plan will have, which counts among what its jobs may be long")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		as, err := planID(id)
		if err != nil {
			return fmt.Errorf("--id: %w", err)
		}
		p, err := c.readPlan(args[0], as)
		var m *plan.Mistakes
		if errors.As(err, &m) && c.format == formatJSON {
			type mistake struct {
				Line int    `json:"line,omitempty"`
				Job  string `json:"job,omitempty"`
				Text string `json:"error"`
			}
			out := []mistake{}
			for _, x := range m.List {
				out = append(out, mistake(x))
			}
			return errors.Join(c.show(map[string]any{"file": m.File, "mistakes": out}, nil), &exitCode{code: exitError})
		}
		if err != nil {
			return err
		}
		files := map[string]bool{}
		for _, j := range p.Jobs {
			for i := range j.Files {
				files[p.path(j.Files[i].Path)] = true
			}
		}
		return c.show(map[string]any{"file": args[0], "jobs": len(p.Jobs), "files": len(files), "mistakes": []string{}}, func(w io.Writer) {
			row(w, fmt.Sprintf("%s is right: %s, %s", args[0], counted(len(p.Jobs), "job", "jobs"), counted(len(files), "file", "files")))
		})
	}
	return cmd
}

// pictureValue is the value of -o where a plan is drawn.
type pictureValue string

var pictures = []string{"tree", "dot", "mermaid", "json"}

func (v *pictureValue) String() string { return string(*v) }
func (v *pictureValue) Type() string   { return "tree|dot|mermaid|json" }
func (v *pictureValue) Set(s string) error {
	if s == "table" {
		s = pictures[0]
	}
	if !slices.Contains(pictures, s) {
		return errors.New(label.OneOf(s, pictures))
	}
	*v = pictureValue(s)
	return nil
}

// planShowCommand is `ucp plan show`.
func (c *cli) planShowCommand() *cobra.Command {
	var as pictureValue
	cmd := &cobra.Command{
		Use:   "show FILE|ID",
		Short: "Draw which jobs of a plan run after which",
		Long: `Draws a plan: as a tree in the terminal, where each job stands below one that it runs after, with
what it reads of that; where it runs after several, three dots stand at all but one of its places. With
-o dot it is for Graphviz, with -o mermaid for Markdown. Of a FILE it draws what is written there, and asks no
broker; of the ID of a plan that runs or has run also how its jobs stand. An array is drawn as one.`,
		Example:           "  ucp plan show quake.yaml\n  ucp plan show quake-7\n  ucp plan show quake.yaml -o dot | dot -Tsvg > quake.svg",
		Args:              exactArgs("the file or the ID of a plan"),
		ValidArgsFunction: completePlanFiles,
	}
	cmd.Flags().VarP(&as, "format", "o", "how it is drawn (default tree)")
	must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(pictures, noFiles)))
	draw := func(g *plan.Graph) error {
		switch {
		case as == "json" || as == "" && c.format == formatJSON:
			return c.show(g, nil)
		case as == "dot":
			_, err := io.WriteString(c.out, g.DOT())
			return err
		case as == "mermaid":
			_, err := io.WriteString(c.out, g.Mermaid())
			return err
		}
		for _, line := range g.Tree() {
			if _, err := fmt.Fprintln(c.out, oneLine(line)); err != nil {
				return err
			}
		}
		return nil
	}
	known := c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		s, err := c.findPlan(ctx, client, args[0])
		if err != nil {
			return err
		}
		c.warnOfLacking(s)
		if err := s.specs(ctx, client); err != nil {
			return err
		}
		state := map[string]job.State{}
		for _, k := range s.latest {
			_, name, _, _ := plan.Split(k.ID)
			state[name] = k.State
		}
		return draw(plan.FromJobs(s.id, s.latest).Graph(func(name string) job.State { return state[name] }))
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := os.Stat(args[0])
		if args[0] != "-" && err != nil && plan.ValidID(args[0]) && filepath.Ext(args[0]) == "" {
			return known(cmd, args)
		}
		p, err := c.readPlan(args[0], api.NewJobID())
		if err != nil {
			return err
		}
		return draw(p.Graph(nil))
	}
	return cmd
}
