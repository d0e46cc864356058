package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

const dataHelp = `Named data is what people and jobs hand each other by name, such as sensors/quake/today.
A name stands for versions of a file or a directory, which never change; "get" gives the
latest. Any broker takes and shows them, on both sides of a split, too: then both versions
stay, and when the sides meet the later one is the latest. A version that was written in view
of another is the latest of the two, whatever the clocks show.

Of each broker the 8 latest versions of a name are kept. One goes when it has not been the
latest for the brokers' --data-retention.`

// dataCommand is `ucp data`.
func (c *cli) dataCommand() *cobra.Command {
	g := group(&cobra.Command{
		Use: "data", Short: "Write, read, list, watch and remove named data", Long: dataHelp,
		Example: "  ucp data put sensors/quake/today today.csv\n  ucp data get sensors/quake/today\n  ucp data list sensors/\n  ucp data watch sensors/quake/today",
	})
	g.AddCommand(c.dataPutCommand(), c.dataGetCommand(), c.dataListCommand(), c.dataRemoveCommand(), c.dataWatchCommand())
	return g
}

// completeData offers names of data; of several arguments only the first one where only that is a name.
func (c *cli) completeData(several bool) cobra.CompletionFunc {
	return c.offer(several, noFiles, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.ListData(ctx, "", "", maxOffered, false)
		for _, d := range l.Data {
			if d.Latest != nil {
				out = append(out, cobra.CompletionWithDesc(d.Name, contentText(d.Latest)))
			}
		}
		return out, err
	})
}

// completeModule offers data:NAME for the names that are files.
func (c *cli) completeModule(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	return c.offer(false, noFiles, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.ListData(ctx, "", "", maxOffered, false)
		for _, d := range l.Data {
			if d.Latest != nil && !d.Latest.Directory {
				out = append(out, cobra.CompletionWithDesc(string(job.DataID(d.Name)), contentText(d.Latest)))
			}
		}
		return out, err
	})(cmd, args, word)
}

const maxOffered = 200

// aName refuses what is no name of data, before anything is sent.
func aName(text string) error {
	if prefix, slash := strings.CutSuffix(text, "/"); slash && data.Name(prefix).Valid() == nil {
		return fmt.Errorf("%s stands for all names below it; see `ucp data list %[1]s`", text)
	}
	return data.Name(text).Valid()
}

const putHelp = `Writes a version of a name: a file, a directory with all that is in it, or stdin ("-").
What the latest version holds already is not written again. With --if it is only written if
that is the latest version ("none": if there is none), as "ucp data list NAME" shows it.`

func (c *cli) dataPutCommand() *cobra.Command {
	var known string
	cmd := &cobra.Command{
		Use: "put NAME FILE|DIR", Short: "Write a version: a file, a directory, or stdin", Long: putHelp,
		Example: "  ucp data put sensors/quake/today today.csv\n  ucp data put maps/district-7 tiles/\n  ./measure | ucp data put sensors/level -",
		Args:    exactArgs("a NAME", "a FILE, a DIR or - for stdin"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return c.completeData(false)(cmd, args, word)
		},
	}
	cmd.Flags().StringVar(&known, "if", "", "only if this `VERSION` is the latest, or \"none\"")
	must(cmd.RegisterFlagCompletionFunc("if", cobra.FixedCompletions([]string{"none"}, noFiles)))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		name, from := args[0], args[1]
		if err := aName(name); err != nil {
			return err
		}
		var digest job.Digest
		var err error
		info, statErr := os.Stat(from)
		directory := from != "-" && statErr == nil && info.IsDir()
		if directory {
			digest, err = c.sendTree(ctx, client, from, from)
		} else {
			files := &sources{in: c.in}
			defer files.close()
			var content api.Content
			if content, err = files.open(from, from); err == nil {
				digest, err = c.upload(ctx, client, from, content)
			}
		}
		if err != nil {
			return err
		}
		d, err := client.PutData(ctx, name, digest, directory, known)
		if err != nil {
			return err
		}
		return c.show(d, func(w io.Writer) {
			if d.Latest == nil {
				row(w, d.Name+" was written, and is removed again")
				return
			}
			what := "is " + contentText(d.Latest)
			if !d.New {
				what = "was that already: " + contentText(d.Latest)
			}
			row(w, fmt.Sprintf("%s %s; %s", d.Name, what, copiesText(d.Replicas, d.Degraded)))
		})
	})
	return cmd
}

// contentText says what a version holds.
func contentText(v *api.DataVersion) string {
	if v.Directory {
		return "a directory"
	}
	return humanBytes(v.Size)
}

// copiesText says how many brokers hold what was written.
func copiesText(n int, degraded bool) string {
	text := fmt.Sprintf("%d brokers hold it", n)
	if n == 1 {
		text = "one broker holds it"
	}
	if degraded {
		text += ", fewer than --replicas"
	}
	return text
}

const getHelp = `Prints the latest version of a name to stdout, or writes it to the file or into the
directory of --to; a directory needs --to. With --version another one, as "ucp data list NAME" shows
them. With --wait it waits so long until there is one. What can't be had whole is an error, and
with --to nothing is replaced then.`

func (c *cli) dataGetCommand() *cobra.Command {
	var to, version string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "get NAME", Short: "Read a version: to stdout, a file or a directory", Long: getHelp,
		Example: "  ucp data get sensors/quake/today\n  ucp data get maps/district-7 --to tiles/\n  ucp data get sensors/level --wait 10m --to level.txt",
		Args:    exactArgs("a NAME"), ValidArgsFunction: c.completeData(false),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&to, "to", "", "write it to this `FILE`, or into this directory")
	f.StringVar(&version, "version", "", "this `VERSION` (default: the latest)")
	f.DurationVar(&wait, "wait", 0, "wait so long until there is one, at most 1h")
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		if err := aName(args[0]); err != nil {
			return err
		}
		known := ""
		if wait > 0 {
			known = api.NoVersion
		}
		d, err := client.AwaitData(ctx, args[0], known, wait)
		if err != nil {
			return err
		}
		v, err := versionAs(&d, version)
		switch {
		case err != nil:
			return err
		case v.Directory && to == "":
			return fmt.Errorf("%s is a directory: say with --to into which one here", d.Name)
		case to == "" && c.format == formatJSON:
			return fmt.Errorf("-o json goes with --to, since stdout is what %s holds; `ucp data list %[1]s -o json` tells of its versions", d.Name)
		case to == "":
			return printVersion(ctx, client, d.Name, v, c.out)
		case v.Directory:
			err = fetchVersionTree(ctx, client, d.Name, v, to)
		default:
			err = fetchVersionFile(ctx, client, d.Name, v, to)
		}
		if err != nil {
			return fmt.Errorf("fetching %s to %s: %w", d.Name, to, err)
		}
		return c.show(v, func(w io.Writer) { row(w, fmt.Sprintf("%s: %s", to, contentText(v))) })
	})
	return cmd
}

// versionAs is the version of that text, "" for the latest.
func versionAs(d *api.Data, text string) (*api.DataVersion, error) {
	if text == "" && d.Latest != nil {
		return d.Latest, nil
	}
	for i := range d.Versions {
		if v := &d.Versions[i]; v.Version == text {
			if !v.There() {
				return nil, fmt.Errorf("version %s of %s was removed", text, d.Name)
			}
			return v, nil
		}
	}
	if text == "" {
		return nil, fmt.Errorf("nothing is there under %s", d.Name)
	}
	return nil, fmt.Errorf("%s has no version %s; see `ucp data list %[1]s`", d.Name, text)
}

// versionContent opens a version, or a file of a directory.
func versionContent(client *api.Client, name string, v *api.DataVersion, within string, b job.Blob) outputFile {
	return outputFile{blob: &b, open: func(ctx context.Context, _ string) (io.ReadCloser, error) {
		return client.DataContent(ctx, name, v.Version, within)
	}}
}

// printVersion prints a version that is a file.
func printVersion(ctx context.Context, client *api.Client, name string, v *api.DataVersion, to io.Writer) error {
	r, err := client.DataContent(ctx, name, v.Version, "")
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(to, io.LimitReader(r, v.Size+1))
	if err == nil && n != v.Size {
		err = fmt.Errorf("%d bytes of %s came, and it has %d; try again, or ask another broker", n, name, v.Size)
	}
	return err
}

// fetchVersionFile writes a version that is a file.
func fetchVersionFile(ctx context.Context, client *api.Client, name string, v *api.DataVersion, to string) error {
	if info, err := os.Stat(to); err == nil && info.IsDir() || strings.HasSuffix(to, "/") {
		to = filepath.Join(to, path.Base(name))
	}
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fetchFile(ctx, root, name, job.PathText(filepath.Base(to)), versionContent(client, name, v, "", job.Blob{Digest: v.Digest, Size: v.Size}))
}

// fetchVersionTree writes a version that is a directory into one. Files are replaced one by one; what else is there stays.
func fetchVersionTree(ctx context.Context, client *api.Client, name string, v *api.DataVersion, to string) error {
	r, err := client.DataContent(ctx, name, v.Version, "")
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxSeen))
	if err != nil {
		return err
	}
	if got, err := api.Measure(api.Bytes(text)); err != nil || got.Digest != v.Digest {
		return fmt.Errorf("the manifest that came is not that of the directory; try again, or ask another broker")
	}
	m, err := tree.Decode(text)
	if err != nil {
		return fmt.Errorf("the manifest of the directory is not to be used: %w", err)
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	if a, b := alikeButForCase(m); a != "" && foldsCase(root, ".") {
		return fmt.Errorf("%q and %q are one name here, and nothing was written", a, b)
	}
	return m.Unpack(root, ".", func(files []*tree.Entry) error {
		fetch := func(ctx context.Context, i int) (struct{}, error) {
			e := files[i]
			f := versionContent(client, name, v, e.Path, job.Blob{Digest: e.Digest, Size: e.Size})
			f.mode = e.Mode
			return struct{}{}, fetchFile(ctx, root, name, job.PathText(e.Path), f)
		}
		return pipelined(ctx, len(files), atOnce, fetch, func(i int, _ struct{}, err error) error {
			if err != nil {
				return fmt.Errorf("%q: %w", files[i].Path, err)
			}
			return nil
		})
	})
}

const dataListHelp = `Lists the names below a prefix, all without one, with their latest versions; or the
versions of one name, the latest first, with those that were removed. What is no name is
taken for a prefix, with or without the slash.`

func (c *cli) dataListCommand() *cobra.Command {
	var removed bool
	cmd := &cobra.Command{
		Use: "list [PREFIX/|NAME]", Short: "List names, or the versions of one", Long: dataListHelp,
		Example: "  ucp data list\n  ucp data list sensors/\n  ucp data list sensors/quake/today -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("a PREFIX/ or a NAME")(cmd, args)
		},
		ValidArgsFunction: c.completeData(false),
	}
	cmd.Flags().BoolVar(&removed, "removed", false, "names of which nothing is there, too")
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		prefix := strings.Join(args, "")
		if err := data.Name(strings.TrimSuffix(prefix, "/")).Valid(); prefix != "" && err != nil {
			return err
		}
		if prefix == "" || strings.HasSuffix(prefix, "/") {
			all, err := listData(ctx, client, prefix, removed)
			if err != nil {
				return err
			}
			return c.show(all, func(w io.Writer) { nameTable(w, &all) })
		}
		d, err := client.Data(ctx, prefix)
		if err == nil {
			return c.show(d, func(w io.Writer) { versionTable(w, &d) })
		}
		if all, listErr := listData(ctx, client, prefix+"/", removed); listErr == nil && len(all.Data) > 0 {
			return c.show(all, func(w io.Writer) { nameTable(w, &all) })
		}
		return err
	})
	return cmd
}

// listData lists all names below a prefix.
func listData(ctx context.Context, client *api.Client, prefix string, removed bool) (all api.DataList, err error) {
	all.Data = []api.Data{}
	for after, more := "", true; more; {
		l, err := client.ListData(ctx, prefix, after, 1000, removed)
		if err != nil {
			return all, err
		}
		all.Data, all.AsOf = append(all.Data, l.Data...), l.AsOf
		after, more = l.Next, l.Next != ""
	}
	return all, nil
}

func nameTable(w io.Writer, l *api.DataList) {
	if len(l.Data) == 0 {
		row(w, "no data")
		return
	}
	row(w, "NAME", "SIZE", "WRITTEN", "AT", "JOB", "VERSIONS")
	for _, d := range l.Data {
		there := 0
		for i := range d.Versions {
			if d.Versions[i].There() {
				there++
			}
		}
		if d.Latest == nil {
			row(w, d.Name, "removed", "-", "-", "-", there)
			continue
		}
		row(w, d.Name, contentText(d.Latest), clockTime(d.Latest.At), d.Latest.Broker, dash(string(d.Latest.Job)), there)
	}
}

func versionTable(w io.Writer, d *api.Data) {
	row(w, "VERSION", "SIZE", "WRITTEN", "AT", "JOB", "SHA-256")
	for i := range d.Versions {
		v := &d.Versions[i]
		size, digest := contentText(v), fmt.Sprintf("%.12s", v.Digest)
		if !v.There() {
			size, digest = "removed by "+v.RemovedBy, "-"
			if v.Old {
				size = "removed, since it was old"
			}
		}
		row(w, v.Version, size, clockTime(v.At), v.Broker, dash(string(v.Job)), digest)
	}
	if d.Owner != "" {
		row(w, fmt.Sprintf("%s belongs to %s, who has written it first", d.Name, d.Owner))
	}
}

func (c *cli) dataRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm NAME...", Short: "Remove all versions of names, for good",
		Long: `Removes all versions of each name that the broker knows, everywhere and for good. One that was
written on the other side of a split, and that it does not know, is there when the sides meet.`,
		Example: "  ucp data rm sensors/quake/today\n  ucp data rm maps/district-7 maps/district-8",
		Args:    someArgs("a NAME"), ValidArgsFunction: c.completeData(true),
	}
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		var all []api.Data
		var failed []error
		for _, name := range args {
			err := aName(name)
			var d api.Data
			if err == nil {
				d, err = client.RemoveData(ctx, name)
			}
			if err != nil {
				failed = append(failed, err)
				continue
			}
			all = append(all, d)
		}
		err := c.show(map[string]any{"removed": all}, func(w io.Writer) {
			for _, d := range all {
				row(w, fmt.Sprintf("%s: %s removed; %s", d.Name, plural(d.Removed, "version is", "versions are"), knowText(d.Replicas, d.Degraded)))
			}
		})
		return errors.Join(append(failed, err)...)
	})
	return cmd
}

// knowText says how many brokers know what was removed.
func knowText(n int, degraded bool) string {
	text := fmt.Sprintf("%d brokers know", n)
	if n == 1 {
		text = "one broker knows"
	}
	if degraded {
		text += ", fewer than --replicas"
	}
	return text
}

// watchFor is how long a broker is asked to wait for another version, before it is asked again.
const watchFor = time.Minute

func (c *cli) dataWatchCommand() *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use: "watch NAME", Short: "Follow a name: a line for each version that becomes the latest",
		Long: `Shows what a name stands for now, and each version that becomes the latest, a line each, until it
is interrupted; with --count so many. Of versions that follow each other quickly some may be left out.`,
		Example: "  ucp data watch sensors/quake/today\n  ucp data watch sensors/level --count 2 -o json",
		Args:    exactArgs("a NAME"), ValidArgsFunction: c.completeData(false),
	}
	cmd.Flags().IntVar(&count, "count", 0, "end after so many lines (default: never)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if count < 0 {
			return fmt.Errorf("--count %d: want a number of at least 1", count)
		}
		if err := aName(args[0]); err != nil {
			return err
		}
		ctx, stop := c.interruptible(ctx)
		defer stop()
		err := c.watchData(ctx, client, args[0], count)
		if ctx.Err() != nil {
			return nil // interrupted: that is how one ends it
		}
		return err
	})
	return cmd
}

// watchData shows a name whenever it stands for something else, so often; 0 is without end.
func (c *cli) watchData(ctx context.Context, client *api.Client, name string, count int) error {
	known, shown := api.NoVersion, 0
	for count == 0 || shown < count {
		asked := time.Now()
		d, err := client.AwaitData(ctx, name, known, watchFor)
		var none *api.Error
		latest := api.NoVersion
		switch {
		case errors.As(err, &none) && none.Status == http.StatusNotFound && none.Code == api.CodeNotFound:
			if _, err := client.ListData(ctx, "", "", 1, false); errors.As(err, &none) && none.Status == http.StatusNotFound {
				return errors.New("this broker is of an earlier version, which keeps no named data; ask another with --addr")
			}
		case err != nil:
			return err
		case d.Latest != nil:
			latest = d.Latest.Version
		}
		if latest == known {
			if time.Since(asked) < watchFor/2 { // the broker is about to leave
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		if err := c.showLatest(name, &d); err != nil {
			return err
		}
		known = latest
		shown++
	}
	return nil
}

// showLatest prints a line that says what a name stands for.
func (c *cli) showLatest(name string, d *api.Data) error {
	if c.format == formatJSON {
		b, err := json.Marshal(map[string]any{"name": name, "latest": d.Latest})
		if err == nil {
			_, err = fmt.Fprintf(c.out, "%s\n", b)
		}
		return err
	}
	text := "removed"
	if v := d.Latest; v != nil {
		text = fmt.Sprintf("%s, written %s at %s", contentText(v), clockTime(v.At), v.Broker)
		if v.Job != "" {
			text += " by job " + string(v.Job)
		}
		text += ", version " + v.Version
	}
	_, err := fmt.Fprintf(c.out, "%s: %s\n", name, oneLine(text))
	return err
}
