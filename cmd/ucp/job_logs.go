package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// jobLogsCommand is `ucp job logs`.
func (c *cli) jobLogsCommand() *cobra.Command {
	var onlyOut, onlyErr bool
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what a job wrote to stdout and stderr",
		Long: `Prints what an ended job wrote, byte for byte: its stdout to stdout, its stderr
to stderr. A job that still runs has no output yet; "ucp job wait" waits for it.

With -o json both are fields of one object, as text; as base64 where one of the two is not
UTF-8, and "encoding" says so.`,
		Example:           "  ucp job logs k7m2p9q4\n  ucp job logs k7m2p9q4 --stderr",
		Args:              exactArgs("a job ID"),
		ValidArgsFunction: c.completeJob(finishedState),
	}
	cmd.Flags().BoolVar(&onlyOut, "stdout", false, "only stdout")
	cmd.Flags().BoolVar(&onlyErr, "stderr", false, "only stderr (on stderr)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if onlyOut && onlyErr {
			return errors.New("--stdout and --stderr: say one of them, or none for both")
		}
		if c.format == formatJSON {
			return c.logsAsJSON(ctx, client, args[0], onlyOut, onlyErr)
		}
		if !onlyErr {
			if err := copyStream(ctx, client.Stdout, args[0], c.out); err != nil {
				return err
			}
		}
		if onlyOut {
			return nil
		}
		return copyStream(ctx, client.Stderr, args[0], c.err)
	})
	return cmd
}

// logs is what a job wrote, as -o json shows it.
type logs struct {
	ID       string  `json:"id"`
	Encoding string  `json:"encoding"` // of both: "utf-8" or "base64"
	Stdout   *string `json:"stdout,omitempty"`
	Stderr   *string `json:"stderr,omitempty"`
}

// logsAsJSON prints what a job wrote as one object.
func (c *cli) logsAsJSON(ctx context.Context, client *api.Client, id string, onlyOut, onlyErr bool) error {
	var stdout, stderr bytes.Buffer
	l := logs{ID: id, Encoding: "utf-8"}
	if !onlyErr {
		if err := copyStream(ctx, client.Stdout, id, &stdout); err != nil {
			return err
		}
	}
	if !onlyOut {
		if err := copyStream(ctx, client.Stderr, id, &stderr); err != nil {
			return err
		}
	}
	text := func(b []byte) *string { return new(string(b)) }
	if !utf8.Valid(stdout.Bytes()) || !utf8.Valid(stderr.Bytes()) {
		l.Encoding = "base64"
		text = func(b []byte) *string { return new(base64.StdEncoding.EncodeToString(b)) }
	}
	if !onlyErr {
		l.Stdout = text(stdout.Bytes())
	}
	if !onlyOut {
		l.Stderr = text(stderr.Bytes())
	}
	return c.show(l, nil)
}

// copyStream copies one stream of a job byte for byte.
func copyStream(ctx context.Context, open func(context.Context, string) (io.ReadCloser, error), id string, to io.Writer) error {
	r, err := open(ctx, id)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(to, r); err != nil {
		return fmt.Errorf("copying the output of job %s: %w", id, err)
	}
	return nil
}
