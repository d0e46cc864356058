package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const healthHelp = `Ends with 0 when a broker answers that it is alive, with --ready when it is ready for work: it has
joined the others, or has tried to for five seconds, and is not about to leave. Else it ends
with 1 and says why.

It is for what watches over a broker, such as the probes of a container, and for images that
have no other program. It shows no identity and no token, and needs none, also in a city; so it
does not check who it is that answers. "ucp status" says how a broker is.`

// healthCommand is `ucp health`: the question of a probe.
func (c *cli) healthCommand() *cobra.Command {
	var ready bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:               "health",
		Short:             "Ask whether a broker is alive, for probes",
		Long:              healthHelp,
		Example:           "  ucp health\n  ucp health --ready --timeout 2s",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready for work")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long an answer is waited for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("no answer for %v", timeout))
		defer cancel()
		if err := c.probe(ctx, ready); err != nil {
			return err
		}
		answer := "alive"
		if ready {
			answer = "ready"
		}
		return c.show(map[string]string{"status": answer}, func(w io.Writer) { row(w, answer) })
	}
	return cmd
}

// probe asks without TLS, and again with it where a broker of a city answers.
func (c *cli) probe(ctx context.Context, ready bool) error {
	err := ask(ctx, c.addr, ready)
	var answer *api.Error
	if errors.As(err, &answer) && answer.Status == http.StatusBadRequest {
		terms := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} //nolint:gosec // nothing is shown, and nothing believed but that somebody is there
		return ask(ctx, c.addr, ready, api.WithTLS(terms))
	}
	return err
}

// ask asks one or several brokers whether they are alive, or ready.
func ask(ctx context.Context, addr string, ready bool, options ...api.Option) error {
	client, err := api.New(addr, options...)
	if err != nil {
		return fmt.Errorf("--addr or UCP_ADDR: %w", err)
	}
	defer client.Close()
	if ready {
		return client.Ready(ctx)
	}
	return client.Healthy(ctx)
}
