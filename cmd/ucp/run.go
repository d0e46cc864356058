package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

const runHelp = `Runs a WebAssembly (WASI preview 1) module on the cluster as if it ran here: sends
the module and its inputs to the broker unless it holds them, submits the job,
waits, prints what the job wrote to stdout and stderr byte for byte, writes its
--output files below --to, and ends with its exit code, or with 124 and the reason
if --timeout has ended it.

The job's directory is its root and its working directory; inputs and outputs are
paths in it. One that ends with a slash is a directory with all that is in it: files and
whether they are programs, links that stay inside, empty directories. An input, or stdin,
may be named data, data:NAME, for which the job waits, and a directory all that is below
data:PREFIX/; or what another job leaves: job:ID/out/PATH, job:ID/stdout or job:ID/stderr.
The job runs after that one. The module may be named data, too: it is what the broker knows
as the latest version when the job is submitted. What stands behind -- are the job's arguments.

A --secret is encrypted here to the brokers of the city that may run the job. One with a
slash in its name is a file of the job's directory, any other a variable.

With -o json the final job is printed instead of what it wrote, and of many
{"array": ID, "jobs": [...]} when all have ended. Interrupted, ucp
leaves the job running and says how to follow it; a second interrupt ends at once.
` + arrayHelp

// runCommand is `ucp run`: from a module on this machine to its output here.
func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE.wasm|data:NAME [-- ARGS]",
		Short: "Run a job and wait for its result",
		Long:  runHelp,
		Example: `  ucp run words.wasm --stdin report.txt
  ucp run quake.wasm --input quake.csv=today.csv --output report.json -- -report report.json quake.csv
  ucp run report.wasm --input report.json=job:quake-7/out/report.json
  ucp run data:tools/quake --input quake.csv=data:sensors/quake/today -- quake.csv
  ucp run render.wasm --input map/=survey/ --output tiles/ --to out
  ucp run model.wasm --cpu 2.0 --memory 1GiB --timeout 10m --constraint arch=arm64
  ucp run --driver process uname -- -a
  ucp run upload.wasm --secret API_TOKEN --secret ./key=van-3.pem
  pass show door | ucp run open.wasm --secret PIN=-
  ucp run tiles.wasm --array 0-999 --id tiles --input dem.tif --output tile.png -- --tile {index}
  ucp run report.wasm --after tiles
  ucp run words.wasm --each reports.txt --stdin {}
  ucp run join.wasm --array 0-999 --after-each tiles -- --tile {index}`,
		Args: runArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) > 0:
				return nil, cobra.ShellCompDirectiveDefault
			case isNamed(word):
				return c.completeModule(cmd, args, word)
			}
			return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	f.register(cmd.Flags())
	f.patience.register(cmd)
	must(cmd.MarkFlagDirname("to"))
	must(cmd.RegisterFlagCompletionFunc("driver", cobra.FixedCompletions([]string{"wasm", "process"}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("constraint", c.completeConstraint()))
	must(cmd.RegisterFlagCompletionFunc("emergency", c.completeLevels()))
	must(cmd.RegisterFlagCompletionFunc("priority", completeNumbers(10)))
	must(cmd.RegisterFlagCompletionFunc("checkpoint-signal", cobra.FixedCompletions(job.CheckpointSignals, noFiles)))
	must(cmd.RegisterFlagCompletionFunc("after", c.completeJobs(anyState)))
	must(cmd.RegisterFlagCompletionFunc("preempt", cobra.FixedCompletions([]string{string(job.Suspend), string(job.Requeue), string(job.Never)}, noFiles)))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		ctx, stop := c.interruptible(ctx)
		defer stop()
		return c.runJob(ctx, client, &f, args[0], args[1:])
	})
	return cmd
}

// runArgs wants one file, and the job's own arguments behind "--" only: before
// it a forgotten dash would turn a flag of ours into one of the job's.
func runArgs(cmd *cobra.Command, args []string) error {
	own := len(args)
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		own = dash
	}
	switch {
	case own == 0:
		what := "a module"
		if d, err := cmd.Flags().GetString("driver"); err == nil && d == string(job.Process) {
			what = "a command, the program to run,"
		}
		return fmt.Errorf("`%s` needs %s before the arguments; see `%s --help`", cmd.CommandPath(), what, cmd.CommandPath())
	case own > 1:
		return fmt.Errorf("unexpected argument %q: the arguments of the job stand behind --: `ucp run %s -- %s ...`", args[1], args[0], args[1])
	}
	return nil
}

// runJob is the life of one `ucp run`.
func (c *cli) runJob(ctx context.Context, client *api.Client, f *runFlags, file string, args []string) error {
	began := time.Now()
	files := &sources{in: c.in}
	defer files.close()
	if !f.dryRun {
		if err := c.readSecrets(&f.secrets, files); err != nil {
			return err
		}
	}
	elements, err := f.elements(files)
	if err != nil {
		return err
	}
	if f.after, err = wholeArrays(ctx, client, f.after); err != nil {
		return err
	}
	if len(elements) == 0 && len(f.afterEach) > 0 {
		return errors.New("--after-each is of many jobs, with --array or --each: of one job, say --after")
	}
	if len(elements) > 0 {
		return c.runMany(ctx, client, f, file, args, elements, files)
	}
	spec, err := f.spec(args)
	if err != nil {
		return err
	}
	if spec.Name == "" && spec.Driver == job.Wasm {
		spec.Name = nameOf(file)
	}
	if err := checkText(spec, f, file); err != nil {
		return err
	}
	if f.dryRun {
		return c.dryRun(ctx, client, f, file, spec)
	}
	id, err := chooseID(f.id)
	if err != nil {
		return err
	}
	if err := c.sendAll(ctx, client, files, f, file, &spec, new(digests)); err != nil {
		if errors.Is(err, errInterrupted) {
			return errors.New("interrupted before the job was submitted; nothing runs")
		}
		return err
	}
	// The submission does not wait for the end: once it is acknowledged, a
	// broker that restarts, or an interrupt, costs nothing.
	submit := func() (api.Submission, error) {
		defer c.sayWhatItWaitsFor(ctx, client, f.after)()
		return client.Submit(ctx, spec, api.SubmitOptions{ID: id, Timeout: f.ackWithin, Token: f.token})
	}
	s, err := submit()
	if lacksBlobs(err) { // another broker is asked now than the one that has the files
		if err := c.sendAll(ctx, client, files, f, file, &spec, new(digests)); err != nil {
			return err
		}
		s, err = submit()
	}
	if err != nil {
		return maybeSubmitted(id, err)
	}
	c.warn(id, s.Warnings)
	if f.detach {
		return c.submitted(ctx, client, s, began, f.patience)
	}
	c.warnOfFew(s)
	j, err := c.follow(ctx, client, string(id), began, f.patience)
	if err != nil {
		return err
	}
	if j, err = c.awaitLeft(ctx, client, j); err != nil {
		return err
	}
	return c.deliver(ctx, client, f, &j)
}

// warn says what of a job may not be as it was meant.
func (c *cli) warn(id job.ID, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintf(c.err, "ucp: job %s: %s\n", id, oneLine(text))
	}
}

// checkText refuses what JSON can't hold before anything is sent.
func checkText(spec job.Spec, f *runFlags, file string) error {
	spec.Inputs = map[string]string{} // of the files of this machine only the contents are sent
	for path := range f.inputs.pairs {
		spec.Inputs[path] = ""
	}
	if spec.Driver == job.Process {
		spec.Command = file
	}
	return spec.CheckText()
}

// isNamed reports whether a module is named data, and no file of this machine.
func isNamed(module string) bool { return strings.HasPrefix(module, "data:") }

// nameOf returns the name of a program by its file, or the data that it is, or "" if the file is our stdin or has no name fit to show.
func nameOf(file string) string {
	name := filepath.Base(strings.TrimPrefix(file, "data:"))
	if file == "-" || !utf8.ValidString(name) || strings.ContainsFunc(name, label.Misleads) {
		return ""
	}
	return name
}

// maybeSubmitted says what to do when it is not known whether the broker took
// the job. A clear refusal needs no such words.
func maybeSubmitted(id job.ID, err error) error {
	var refused *api.Error
	var u *api.UnreachableError
	if errors.As(err, &refused) && refused.Refused() {
		return err
	}
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("interrupted; if job %s was taken before, it goes on: follow it with `ucp job wait %s`, or end it with `ucp job cancel %s`", id, id, id)
	}
	if errors.As(err, &u) {
		return fmt.Errorf("%w; the broker may have taken the job before: `ucp job get %s` tells, at any broker", err, id)
	}
	return fmt.Errorf("submitting the job: %w; the broker may have taken it all the same: `ucp job get %s` tells", err, id)
}

// lacksBlobs reports whether a broker has refused a submission since it lacks its files.
func lacksBlobs(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == api.CodeMissingBlobs
}

// notAModule says, of a file that is not there, how a program of the machine is run.
func notAModule(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s; a command of the machine that runs the job needs `--driver process`", file)
	}
	return err
}

// wholeSource returns what another job leaves, job:ID/..., or the ID of another job, with the whole of an ID that was shortened as
// lists show it. A job that the broker does not know stays as it was named: the broker waits for news of it.
func wholeSource(ctx context.Context, client *api.Client, text string) (job.Digest, error) {
	rest, isSource := strings.CutPrefix(text, "job:")
	id, part, hasPart := strings.Cut(rest, "/")
	j, err := client.Job(ctx, id, 0)
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && refused.Code == api.CodeConflict:
		return "", err
	case err != nil || !label.ValidName(string(j.ID)):
		return job.Digest(text), nil
	}
	out := string(j.ID)
	if isSource {
		out = "job:" + out
	}
	if hasPart {
		out += "/" + part
	}
	return job.Digest(out), nil
}

// sendAll sends what the job needs, as far as the broker lacks it, and puts the digests into its spec.
func (c *cli) sendAll(ctx context.Context, client *api.Client, files *sources, f *runFlags, file string, spec *job.Spec, sent *digests) error {
	send := func(what, path string, check func(path string, content api.Content) error) (job.Digest, error) {
		content, err := files.open(what, path)
		if err != nil {
			return "", err
		}
		return sent.once(path, func() (job.Digest, error) {
			if check != nil {
				if err := check(path, content); err != nil {
					return "", err
				}
			}
			return c.upload(ctx, client, path, content)
		})
	}
	var err error
	if spec.Driver == job.Process {
		spec.Command = file
	} else if isNamed(file) {
		spec.Module = job.Digest(file)
	} else if spec.Module, err = send("module", file, checkWasm); err != nil {
		return notAModule(file, err)
	}
	for i, id := range spec.After {
		whole, err := sent.once("job:"+string(id), func() (job.Digest, error) { return wholeSource(ctx, client, string(id)) })
		if err != nil {
			return err
		}
		spec.After[i] = job.ID(whole)
	}
	if job.IsSource(f.stdin) {
		if spec.Stdin, err = sent.once(f.stdin, func() (job.Digest, error) { return wholeSource(ctx, client, f.stdin) }); err != nil {
			return err
		}
	} else if f.stdin != "" {
		if spec.Stdin, err = send("--stdin", f.stdin, nil); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.inputs.pairs)) {
		what, from := "--input "+path, f.inputs.pairs[path]
		put := func() (job.Digest, error) { return send(what, from, nil) }
		if job.IsSource(from) {
			put = func() (job.Digest, error) {
				return sent.once(from, func() (job.Digest, error) { return wholeSource(ctx, client, from) })
			}
		} else if job.IsDirectory(path) {
			put = func() (job.Digest, error) {
				return sent.once(from+"/", func() (job.Digest, error) { return c.sendTree(ctx, client, what, from) })
			}
		}
		d, err := put()
		if err != nil {
			return err
		}
		if spec.Inputs == nil {
			spec.Inputs = map[string]string{}
		}
		spec.Inputs[path] = string(d)
	}
	return c.sealAll(ctx, client, f, spec, sent)
}

// deliver hands over what the job left, and its exit code.
func (c *cli) deliver(ctx context.Context, client *api.Client, f *runFlags, j *api.Job) error {
	id := string(j.ID)
	if c.format == formatJSON {
		if err := c.show(j, nil); err != nil {
			return err
		}
	} else {
		if j.Stdout != nil {
			if err := copyStream(ctx, client.Stdout, id, c.out); err != nil {
				return err
			}
		}
		if j.Stderr != nil {
			if err := copyStream(ctx, client.Stderr, id, c.err); err != nil {
				return err
			}
		}
	}
	return c.deliverFiles(ctx, client, f, j)
}

// deliverFiles is deliver without what is printed.
func (c *cli) deliverFiles(ctx context.Context, client *api.Client, f *runFlags, j *api.Job) error {
	id := string(j.ID)
	if _, err := fetchFiles(ctx, id, f.to, outputFiles(client, j)); err != nil {
		return err
	}
	if j.State == job.StateSucceeded && j.Reason != "" {
		fmt.Fprintf(c.err, "ucp: job %s: %s\n", id, j.Reason)
	}
	return jobExit(j)
}
