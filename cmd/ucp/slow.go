package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

// slowAfter is after how long a person is told what a submission waits for.
const slowAfter = 1500 * time.Millisecond

// mostLooked bounds the jobs that are looked up for that.
const mostLooked = 10

// sayWhatItWaitsFor tells, unless stop is called before, which of the jobs that a submission is to run after are not known: the broker
// waits for word of these before it refuses, and nobody would know why nothing happens. Stop waits for what was begun.
func (c *cli) sayWhatItWaitsFor(ctx context.Context, client *api.Client, after []string) (stop func()) {
	if len(after) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		t := time.NewTimer(slowAfter)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if unknown := unknownTo(ctx, client, after); len(unknown) > 0 {
			fmt.Fprintf(c.err, "ucp: the broker does not know %s (--after) and waits a while for word of that before it refuses\n", strings.Join(unknown, ", "))
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}

// unknownTo lists those of a few jobs that a broker does not know. Of arrays it is not asked.
func unknownTo(ctx context.Context, client *api.Client, ids []string) (unknown []string) {
	for _, id := range ids[:min(len(ids), mostLooked)] {
		if !label.ValidName(id) {
			continue
		}
		_, err := client.Job(ctx, id, 0)
		var refused *api.Error
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			unknown = append(unknown, id)
		}
	}
	return unknown
}
