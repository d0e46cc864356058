package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

// debugCommand is `ucp debug`.
func (c *cli) debugCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "debug", Short: "Collect what helps somebody to understand a broker"})
	g.AddCommand(c.debugBundleCommand())
	return g
}

const bundleHelp = `Writes a tar.gz of what helps to understand how the brokers are: status, members, metadata,
digests of the records, metrics, goroutines, the last 2000 lines of the log, the settings
and the version, of the broker that is asked, or with --all of every one that answers.

Nothing secret is in it: no specs of jobs and nothing of their environment, no contents of
blobs, no variables of the broker; a command given as --retry-join exec:COMMAND, and lines
of the log about it, are left out. Names, labels, addresses and IDs of jobs are in it.

-o names the file to write; without it that is ucp-debug-TIME.tar.gz here. -o json lists
what was written, as JSON (write ./json for a file of that name).

Exit code 1 when no broker answers, or with --all one of them does not; what the others
have said is written.`

// bundleTimeout bounds how long one broker may take.
const bundleTimeout = time.Minute

// bundle is what `ucp debug bundle` has written.
type bundle struct {
	File    string            `json:"file"`
	Bytes   int64             `json:"bytes"`
	Brokers []string          `json:"brokers"`
	Silent  map[string]string `json:"silent"` // broker -> why nothing of it is in the bundle
}

// debugBundleCommand is `ucp debug bundle`.
func (c *cli) debugBundleCommand() *cobra.Command {
	var profiles, all bool
	var out outValue
	cmd := &cobra.Command{
		Use: "bundle", Short: "Write a tar.gz of status, goroutines, log and settings", Long: bundleHelp,
		Example: "  ucp debug bundle\n  ucp debug bundle --all -o flood-7.tar.gz\n  ucp debug bundle --pprof -o json",
		Args:    exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&profiles, "pprof", false, "also profiles for go tool pprof: heap, allocations, goroutines, and 3 s of CPU")
	cmd.Flags().BoolVar(&all, "all", false, "of every broker that answers, not only of the one that is asked")
	cmd.Flags().VarP(&out, "format", "o", "`FILE` to write, or json: list what was written as JSON")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		file := out.file
		if file == "" {
			file = "ucp-debug-" + time.Now().UTC().Format("20060102-150405") + ".tar.gz"
		}
		if out.json {
			c.format = formatJSON
		}
		b, err := writeBundle(ctx, client, file, profiles, all)
		if err != nil {
			return err
		}
		if err := c.show(b, func(w io.Writer) {
			row(w, fmt.Sprintf("%s: %s, of %s", b.File, humanBytes(b.Bytes), strings.Join(b.Brokers, ", ")))
		}); err != nil {
			return err
		}
		var silent []string
		for name, why := range b.Silent {
			silent = append(silent, name+": "+why)
		}
		if slices.Sort(silent); len(silent) > 0 {
			return errors.New("nothing is in it of " + strings.Join(silent, "; "))
		}
		return nil
	})
	return cmd
}

// outValue is -o of this verb: a file, or what -o is for all others.
type outValue struct {
	given string
	file  string
	json  bool
}

func (o *outValue) String() string { return o.given }
func (o *outValue) Type() string   { return "FILE" }
func (o *outValue) Set(s string) error {
	o.given = s
	switch s {
	case "":
		return errors.New("want a file, or json")
	case string(formatJSON):
		o.json = true
	case string(formatTable):
	default:
		if near := label.Slip(strings.ToLower(s), []string{string(formatJSON), string(formatTable)}); near != "" {
			return fmt.Errorf("did you mean %s? a file of that name is ./%s", near, s)
		}
		o.file = s
	}
	return nil
}

// writeBundle makes the file. What was written of it goes when it fails.
func writeBundle(ctx context.Context, client *api.Client, file string, profiles, all bool) (b *bundle, err error) {
	asked := map[string]*api.Client{"": client}
	b = &bundle{File: file, Brokers: []string{}, Silent: map[string]string{}}
	if all {
		if asked, err = b.reach(ctx, client); err != nil {
			return nil, err
		}
		for _, x := range asked {
			defer x.Close()
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("-o: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for name, x := range asked {
		of, err := copyBundle(ctx, t, x, profiles)
		switch {
		case err == nil:
			b.Brokers = append(b.Brokers, of)
		case !all || of != "": // the file is no archive any more, or there is nothing to write
			return nil, err
		default:
			b.Silent[name] = err.Error()
		}
	}
	slices.Sort(b.Brokers)
	if len(b.Brokers) == 0 {
		return nil, errors.New("no broker answers")
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil {
		b.Bytes = info.Size()
	}
	return b, nil
}

// reach makes a client for each broker that is a member, and notes those that are away.
func (b *bundle) reach(ctx context.Context, client *api.Client) (map[string]*api.Client, error) {
	l, err := client.Members(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]*api.Client{}
	for _, m := range l.Members {
		switch {
		case m.Status == "left" || m.HTTPAddr == "" && m.Roll != "open":
		case m.Status != "alive":
			b.Silent[m.Name] = m.Status + inBrackets(m.Health)
		default:
			if out[m.Name], err = client.At(m.HTTPAddr); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// maxBundleFile bounds one file of a bundle that is copied.
const maxBundleFile = 64 << 20

// copyBundle copies what one broker says into an archive, and returns its name, "" when nothing was copied.
func copyBundle(ctx context.Context, t *tar.Writer, client *api.Client, profiles bool) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, bundleTimeout)
	defer cancel()
	body, err := client.Debug(ctx, profiles)
	if err != nil {
		return "", err
	}
	defer body.Close()
	z, err := gzip.NewReader(body)
	if err != nil {
		return "", fmt.Errorf("reading the bundle: %w", err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return name, nil
		}
		if err != nil || h.Size > maxBundleFile || h.Typeflag != tar.TypeReg {
			return name, fmt.Errorf("reading the bundle: it is damaged (%w)", err)
		}
		name, _, _ = strings.Cut(h.Name, "/")
		if err := t.WriteHeader(&tar.Header{Name: h.Name, Mode: 0o600, Size: h.Size, ModTime: h.ModTime, Typeflag: tar.TypeReg}); err != nil {
			return name, err
		}
		if _, err := io.Copy(t, r); err != nil {
			return name, fmt.Errorf("copying %s: %w", h.Name, err)
		}
	}
}
