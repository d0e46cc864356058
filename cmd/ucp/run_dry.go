package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// dryRun shows what would become of a job. Its files are read, to name them by their
// content, and not sent.
func (c *cli) dryRun(ctx context.Context, client *api.Client, f *runFlags, file string, spec job.Spec) error {
	files := &sources{in: c.in}
	defer files.close()
	digest := func(what, path string) (d job.Digest, err error) {
		content, err := files.open(what, path)
		if err != nil {
			return "", err
		}
		r, err := content()
		if err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		defer r.Close()
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		return job.Digest(hex.EncodeToString(h.Sum(nil))), nil
	}
	var err error
	if spec.Driver == job.Process {
		spec.Command = file
	} else if isNamed(file) {
		spec.Module = job.Digest(file)
	} else if spec.Module, err = digest("module", file); err != nil {
		return notAModule(file, err)
	}
	if job.IsSource(f.stdin) {
		spec.Stdin = job.Digest(f.stdin)
	} else if f.stdin != "" {
		if spec.Stdin, err = digest("--stdin", f.stdin); err != nil {
			return err
		}
	}
	for path, from := range f.inputs.pairs {
		name := digest
		if job.IsSource(from) {
			name = func(_, text string) (job.Digest, error) { return job.Digest(text), nil }
		} else if job.IsDirectory(path) {
			name = measureTree
		}
		d, err := name("--input "+path, from)
		if err != nil {
			return err
		}
		if spec.Inputs == nil {
			spec.Inputs = map[string]string{}
		}
		spec.Inputs[path] = string(d)
	}
	p, err := client.DryRun(ctx, spec, f.token)
	if err != nil {
		return err
	}
	for _, text := range p.Warnings {
		fmt.Fprintf(c.err, "ucp: %s\n", oneLine(text))
	}
	return c.show(p, func(w io.Writer) {
		if p.Module != nil {
			row(w, "module "+moduleText(p.Module, time.Now()))
		}
		row(w, "BROKER", "STRATEGY", "SCORE", "LOAD", "MEETS", "WOULD")
		for _, b := range p.Brokers {
			if len(b.Lacks) > 0 {
				row(w, b.Broker, b.Strategy, "-", "-", meets(b), "never run it: lacks "+strings.Join(b.Lacks, "; "))
				continue
			}
			what := "start it at once"
			switch {
			case len(b.Yields) > 0:
				what = "make room: " + strings.Join(b.Yields, ", ")
			case !b.Starts:
				what = "let it wait: " + b.Why
			}
			row(w, b.Broker, b.Strategy, b.Score, fmt.Sprintf("%.2f", b.Cost), meets(b), what)
		}
	})
}

// meets lists the constraints that hold at a broker.
func meets(b api.Prospect) string { return dash(strings.Join(b.Meets, "; ")) }
