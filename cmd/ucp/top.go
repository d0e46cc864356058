package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

const topHelp = `Shows how things are on the whole terminal, and goes on: what "ucp status" shows, the brokers,
the jobs (those that have not ended first), and the latest decisions of the broker that
answers. It works over ssh, and in 80 columns and 24 lines; a larger terminal shows more.

The first line says how old what is shown is, counted from when it was asked for. When
nothing comes any more it says CUT OFF, and since when; what is below is then marked as
old, and stays so until an answer has come.

Keys: 1 to 4, Tab and the arrows left and right change the page; arrows up and down, PgUp,
PgDn, Home and End move in it; f shows all jobs, or again those that have not ended; r asks
at once; q ends. Without colours if NO_COLOR is set.`

// Bounds of what `ucp top` asks for.
const (
	topJobs      = 500
	topDecisions = 100
	topEvery     = 2 * time.Second // least time from one question to the next
)

// topCommand is `ucp top`: the screen, again and again, with pages for brokers, jobs and decisions.
func (c *cli) topCommand() *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top", Short: "Show brokers, jobs and decisions on the whole terminal, as they change", Long: topHelp,
		Example: "  ucp top\n  ucp top --every 10s", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().DurationVar(&every, "every", topEvery, "ask every so often, from 1s to 1m")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		term, _ := c.lookupEnv("TERM")
		switch {
		case every < time.Second || every > time.Minute:
			return fmt.Errorf("--every %v: from 1s to 1m", every)
		case c.format == formatJSON || c.outColumns() == 0 || term == "dumb":
			return errors.New("`ucp top` needs a terminal that can be drawn on; `ucp status` prints the same once, with -o json for programs")
		}
		return c.runTop(ctx, client, every)
	})
	return cmd
}

// runTop draws until the person ends it, or a signal does.
func (c *cli) runTop(ctx context.Context, client *api.Client, every time.Duration) error {
	ctx, stop := c.interruptible(ctx)
	defer stop()
	wake := make(chan struct{}, 1)
	model := newTop(c.addr, every, c.colours(), func() {
		select {
		case wake <- struct{}{}:
		default: // it is about to ask
		}
	})
	p := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(c.in), tea.WithOutput(c.out), tea.WithEnvironment(c.environ()), tea.WithoutSignalHandler())
	asking, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		askAgain(asking, every, wake, func(ctx context.Context) *board { return readBoard(ctx, client) }, p.Send)
	})
	work.Go(func() {
		for api.Sleep(asking, time.Second) == nil {
			p.Send(tickMsg(time.Now()))
		}
	})
	_, err := p.Run()
	interrupted := ctx.Err() != nil
	end()
	work.Wait()
	if interrupted {
		return nil
	}
	return err
}

// tickMsg says what time it is.
type tickMsg time.Time

// board is what one round of questions has brought.
type board struct {
	sent      time.Time // when it was asked for, by this machine
	screen    *screen
	err       error // why there is no screen
	jobs      *api.JobList
	all       *api.JobList
	decisions *api.ConflictList
	unknown   map[page]string // why a page is not known
}

// askAgain asks every so often, or when it is woken, and tells what came.
func askAgain(ctx context.Context, every time.Duration, wake <-chan struct{}, ask func(context.Context) *board, tell func(tea.Msg)) {
	for ctx.Err() == nil {
		b := ask(ctx)
		tell(b)
		next := time.NewTimer(max(every-time.Since(b.sent), 100*time.Millisecond))
		select {
		case <-next.C:
		case <-wake:
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// readBoard asks a broker for all pages, at most for screenWithin.
func readBoard(ctx context.Context, client *api.Client) *board {
	ctx, cancel := context.WithTimeoutCause(ctx, screenWithin, fmt.Errorf("%w within %v", api.ErrSilent, screenWithin))
	defer cancel()
	b := &board{sent: time.Now(), unknown: map[page]string{}}
	var work sync.WaitGroup
	var mu sync.Mutex
	ask := func(of page, do func() error) {
		work.Go(func() {
			if err := do(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				b.unknown[of] = err.Error()
			}
		})
	}
	list := func(into **api.JobList, states []job.State) {
		ask(pageJobs, func() error {
			l, err := listJobs(ctx, client, api.ListOptions{States: states}, topJobs)
			if err == nil {
				*into = &l
			}
			return err
		})
	}
	list(&b.jobs, unfinishedStates())
	list(&b.all, nil)
	ask(pageDecisions, func() error {
		l, err := client.Conflicts(ctx, topDecisions)
		if err == nil {
			b.decisions = &l
		}
		return err
	})
	b.screen, b.err = readScreen(ctx, client)
	work.Wait()
	return b
}
