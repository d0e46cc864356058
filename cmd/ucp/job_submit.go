package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

const submitHelp = `Submits a job from a spec file, JSON or YAML ("-" is stdin), and prints its ID.
A spec names module and inputs by their SHA-256; --upload sends the files.

  driver: wasm
  module: 5f0c...            # sha256sum quake.wasm
  args: [-report, report.json, quake.csv]
  inputs: {quake.csv: 9a41...}
  outputs: [report.json]
  resources: {cpu: 500, memory: 134217728}
  timeout: 2m`

// jobSubmitCommand is `ucp job submit`.
func (c *cli) jobSubmitCommand() *cobra.Command {
	var id, token string
	var within time.Duration
	var uploads []string
	var p patience
	cmd := &cobra.Command{
		Use:     "submit FILE|-",
		Short:   "Submit a job from a spec file",
		Long:    submitHelp,
		Example: "  ucp job submit quake.yaml --upload quake.wasm --upload quake.csv\n  ucp job submit - < job.json",
		Args:    exactArgs("a spec file, or - for stdin"),
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the job; submitting the same again is the same job (default: a new one)")
	cmd.Flags().StringArrayVar(&uploads, "upload", nil, "upload this `FILE` first, unless the broker holds it; repeatable")
	registerSubmission(cmd.Flags(), nil, &within, &token)
	p.register(cmd)
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		began := time.Now()
		files := &sources{in: c.in}
		defer files.close()
		doc, contentType, err := readSpec(files, args[0])
		if err != nil {
			return err
		}
		for _, path := range uploads {
			content, err := files.open("--upload", path)
			if err != nil {
				return err
			}
			if _, err := c.upload(ctx, client, path, content); err != nil {
				return err
			}
		}
		jobID, err := chooseID(id)
		if err != nil {
			return err
		}
		s, err := client.SubmitDocument(ctx, doc, contentType, api.SubmitOptions{ID: jobID, Timeout: within, Token: token})
		if err != nil {
			return maybeSubmitted(jobID, err)
		}
		c.warn(jobID, s.Warnings)
		return c.submitted(ctx, client, s, began, p)
	})
	return cmd
}

// byteOrderMark is what some editors write before a text in UTF-8; it is no part of it.
var byteOrderMark = []byte("\ufeff")

// readSpec reads a spec file and tells JSON from YAML: by its name, else by its
// first character.
func readSpec(files *sources, path string) (doc []byte, contentType string, err error) {
	content, err := files.open("spec file", path)
	if err != nil {
		return nil, "", err
	}
	r, err := content()
	if err != nil {
		return nil, "", fmt.Errorf("spec file: %w", err)
	}
	defer r.Close()
	if doc, err = io.ReadAll(io.LimitReader(r, job.MaxSpec+1)); err != nil {
		return nil, "", fmt.Errorf("spec file %s: %w", path, err)
	}
	if len(doc) > job.MaxSpec {
		return nil, "", fmt.Errorf("spec file %s has more than the %d bytes that are allowed: large data belongs in inputs", path, job.MaxSpec)
	}
	doc = bytes.TrimPrefix(doc, byteOrderMark)
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".yaml" || ext == ".yml":
		return doc, "application/yaml", nil
	case ext == ".json" || bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")):
		return doc, "application/json", nil
	}
	return doc, "application/yaml", nil
}

// chooseID checks the person's ID, or makes one. The client always names the
// job, so that a submission whose answer was lost can be looked up or repeated.
func chooseID(id string) (job.ID, error) {
	if id == "" {
		return api.NewJobID(), nil
	}
	if !label.ValidName(id) {
		return "", fmt.Errorf("--id %q: use letters, digits and . _ -, at most 64, the first a letter or digit", id)
	}
	return job.ID(id), nil
}

// fewCopies says what it means that so many brokers hold a job, fewer than are wanted; how many that is an earlier broker
// does not tell (0).
func fewCopies(replicas, wanted int) string {
	want := ""
	if wanted > 0 {
		want = fmt.Sprintf(" (%d wanted)", wanted)
	}
	if replicas > 1 {
		return fmt.Sprintf("%d brokers only%s: lost if all their disks are lost", replicas, want)
	}
	return fmt.Sprintf("1 broker only%s: lost if that disk is lost", want)
}

// warnOfFew says of a job that fewer brokers hold it than wanted.
func (c *cli) warnOfFew(s api.Submission) {
	if s.Degraded {
		fmt.Fprintf(c.err, "ucp: job %s is saved on %s\n", s.ID, fewCopies(s.Replicas, s.Wanted))
	}
}

// submitted prints the ID of a job that is not waited for, once it is placed
// where the person asked for that.
func (c *cli) submitted(ctx context.Context, client *api.Client, s api.Submission, began time.Time, p patience) error {
	c.warnOfFew(s)
	if err := c.show(s, func(w io.Writer) { row(w, s.ID) }); err != nil || p.place == 0 {
		return err
	}
	_, err := c.awaitPlacement(ctx, client, string(s.ID), began, p, func(api.Job) error { return nil })
	return err
}
